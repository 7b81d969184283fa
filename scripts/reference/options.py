"""`options.md`: every table and key of `trunkline.toml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from trunkline.config import _SECTIONS
from trunkline.configuration import notbuilt
from trunkline.configuration.lines import _DIAL_ONLY, _LISTEN_ONLY, HOUSE_PATHS
from trunkline.configuration.rules import _Default, _Rule
from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.pipeline.render import FIELDS
from trunkline.pipeline.rulebook import RuleSpec
from trunkline.reload import _LIVE

from .tables import attributes, code, first_line, head, table

# What docstrings leave to the key's own name. A key that is said twice ends the run.
_SOURCE = re.compile(r" ?(\(`[a-z]+ \d+`\)|Source: .*)")
SECTION_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("log", "level"): "the least that is written",
    ("log", "format"): "of the file and of stderr: lines for people, or one JSON object a line",
    ("limits", "max_connections"): "connections of the process, HTTP and links together; more get "
    "HTTP 503",
    ("dev", "failpoints"): "whether `TRUNKLINE_FAILPOINT` is obeyed; set without it, the start is "
    "refused",
}
RUNNING: Final = "A change is taken up while it runs."
RESTART: Final = "A change needs a restart."
SECTION_CHANGES: Final[Mapping[str, str]] = {
    "plugins": "The Python files are followed while it runs; other `paths` need a restart.",
}
RULE_WORDS: Final[Mapping[str, str]] = {
    "name": 'what `why` and logs call it; "" = its place, as in `#3`; no two rules share one',
    "match": "how a keyword must meet the text, both folded (case and width do not count): inside "
    "it, all of it, as a pattern found in it; `any` matches every message",
    "priority": "higher first; rules with `items` come before rules with `lines`, these before all "
    "others, then priority, then the order of the file",
    "notice": "names of notices (`order:paid`, `order` for all of the kind, `*` works): the rule "
    "answers those and no message, and has no keywords",
    "enabled": "false = as if it were not there, but still checked",
    "image": "sent after the text: a file beside the configuration (PNG, JPEG, GIF, WebP or BMP, "
    "at most 10 MiB) or an address (`https://…`)",
    "then": "`reply`: answers, as the line's mode has it · `send`: leaves at once, also on a draft "
    "line · `draft`: waits for approval, whatever the mode · `person`: says nothing and hands the "
    "message over, `trunkline inbox list --for-person` ([rules.md](rules.md#handing-over))",
}
DEFAULT_WORDS: Final[Mapping[str, str]] = {
    "reply": 'the text; "" = deliberate silence (on a contact line the offline notice follows)',
    "lines": "patterns (`shop-*`) of the lines it holds for; empty = every line",
    "items": "with these it is an item reply: before the default reply, and not counted",
    "limit": "at most so many per `per`; 0 = no limit",
    "per": "what `limit` counts: the conversation, each sender in it, or the conversation and day",
    "enabled": "false = as if it were not there, but still checked",
}
FIELD_WORDS: Final[Mapping[str, str]] = {
    "send_user_name": "the sender's name in the group, else the name; nothing when it has none",
    "send_user_id": "the sender's id",
    "send_message": "the text that is answered",
    "item_id": "what the chat is about",
    "time": "hours and minutes at `[site] utc_offset_h`",
}
LINE_WORDS: Final[Mapping[str, str]] = {
    "dialect": "what the line speaks",
    "max_message_bytes": "of one WebSocket message; a larger one closes with 1009. onebot11: a "
    "framework that listens takes 16 MiB (16_777_216) unless the key is written",
    "ca_file": "PEM file with the only roots that are trusted; empty = the system's",
    "pin_sha256": "SHA-256 of the server's own certificate, 64 hexadecimal digits: then no other "
    "certificate passes",
    "tls_insecure": "check no certificate; works for loopback only",
    "headers": "sent when dialling",
    "user_agent": "sent when dialling",
    "subprotocol": "asked for when dialling",
    "reconnect_interval_s": "wait between two attempts; none = the dialect's retry table",
    "reconnect_backoff": "true = `reconnect_interval_s` doubles up to 60 s",
    "max_failures": "attempts that may fail in a row before the line is FAILED; 0 = any number. "
    "A connection that was ready and not refused is no failure and begins the count anew, however "
    "soon it ends; only the wait before the next one then grows, until one has lived for a minute "
    "(xianyu: 5 that end within 30 s each, in 5 minutes, count as failures too)",
    "jitter": "a wait grows by at most this share; none = 0.2 when several lines dial, else 0",
    "heartbeat_interval_s": "between two protocol pings of ours. onebot11: between two heartbeat "
    "events of an implementation, 0 = none; its protocol pings are `ping_interval_s`",
    "heartbeat_timeout_s": "without a pong for so long the link closes with 1011",
    "tls_cert": "PEM file for the line's own `bind`",
    "tls_key": "PEM file of its key, readable by its owner alone",
    "path": "exact path that the line serves",
    "aliases": "further exact paths",
    "retention_days": "how long message bodies are kept; none = 30",
}


def render() -> str:
    """Return the page."""
    parts = [_head(), _sections(), _lines()]
    parts += [_dialect(dialect) for dialect in DIALECTS.values()]
    parts += [_rules(), _not_built()]
    return "\n\n".join(parts) + "\n"


def _head() -> str:
    return head(
        "Configuration",
        "One file, `trunkline.toml`. Each table says below whether a change of it is taken up "
        "while trunkline runs, which is within two seconds of the last edit, or at the next start; "
        "what waits for one is named in the log and in `/readyz`. A broken edit changes nothing "
        "and is reported there too. `trunkline check` lists all problems of a file at once and "
        "opens nothing. An unknown key is an error that suggests the nearest.",
        "- Any key may come from the environment instead: `TRUNKLINE__SECTION__KEY`, as in "
        "`TRUNKLINE__SERVER__PORT=9000` or `TRUNKLINE__LINES__CORE__TOKEN=…`. The environment wins "
        "over the file. A list of tables is given whole, as JSON.\n"
        '- Any value may be `{ env = "NAME" }` or `{ file = "PATH" }`. A file that holds a '
        "credential must be readable by its owner alone, else `check` refuses it.\n"
        "- Paths of files are relative to the folder of `trunkline.toml`.\n"
        "- A value from the environment is the one that it was at the start.",
    )


def _sections() -> str:
    parts: list[str] = []
    for name, model in _SECTIONS.items():
        said = attributes(model)
        words = {key: text for (section, key), text in SECTION_WORDS.items() if section == name}
        about = tidy(first_line(model).partition(": ")[2]) + "."
        rows = _rows(model, model.model_fields, said, words)
        when = SECTION_CHANGES.get(name) or (RUNNING if name in _LIVE else RESTART)
        parts.append(f"## `[{name}]`\n\n{_sentence(about)} {when}\n\n{_keys(rows)}")
    return "\n\n".join(parts)


def _lines() -> str:
    roles = [
        (
            code(dialect.name),
            ", ".join(map(code, dialect.roles)),
            ", ".join(map(code, dialect.listens)) or "–",
            ", ".join(map(code, dialect.dials)) or "–",
        )
        for dialect in DIALECTS.values()
    ]
    fields = {
        key: field
        for key, field in LineOptions.model_fields.items()
        if key not in notbuilt.IDLE_KEYS
    }
    rows = [
        (shown, kind, _default_by_dialect(key, fields[key]), _direction(key), meaning)
        for shown, kind, _, meaning in _rows(
            LineOptions, fields, attributes(LineOptions), LINE_WORDS, is_override=True
        )
        for key in (shown.strip("`"),)
    ]
    idle = [
        f"{code(key)} on a {name} line"
        for name, keys in notbuilt.IDLE_KEYS_OF.items()
        for key in sorted(keys)
    ]
    return "\n\n".join((
        "## `[lines.NAME]`",
        "One table a line. The name has no spaces and none of `/ @ : ? *`; it is the first part "
        "of every address: `NAME/kind:id[@account]`. A change needs a restart, but new credentials "
        "are taken up while it runs, where `trunkline lines credential` works.",
        table(("`dialect`", "`role`, the first is the default", "may listen", "may dial"), roles),
        "A key of the other direction is refused, not ignored. "
        f"Refused as not built yet: {', '.join(idle)}. A listening line without a `bind` of its "
        "own uses the main port, where it may not take the house's paths: "
        f"{', '.join(map(code, ('/', *HOUSE_PATHS)))}.",
        table(("key", "type", "default", "for", "meaning"), rows),
    ))  # fmt: skip


def _dialect(dialect: Dialect) -> str:
    model: type[BaseModel] = dialect.options
    own = {
        key: field
        for key, field in model.model_fields.items()
        if key not in LineOptions.model_fields
    }
    rows = _rows(model, own, attributes(model), {})
    return (
        f"### Only {dialect.name}\n\nKeys that a line has with `dialect = "
        f'"{dialect.name}"`, besides those above.\n\n{_keys(rows)}'
    )


def _rules() -> str:
    rules = _rows(_Rule, _Rule.model_fields, _of_spec(RuleSpec), RULE_WORDS, is_override=True)
    defaults = _rows(_Default, _Default.model_fields, {}, DEFAULT_WORDS)
    fields = [(code(f"{{{name}}}"), FIELD_WORDS[name]) for name in FIELDS]
    return "\n\n".join((
        "## `[[rules]]`",
        "The best rule that matches decides; at most 20,000 rules with 100,000 keywords. "
        f"`trunkline try TEXT` says which one it would be. {RUNNING}",
        _keys(rules),
        "## `[[default_replies]]`",
        f"Said when no rule matched. With `items` it is an item reply. {RUNNING}",
        _keys(defaults),
        "## Placeholders",
        "In `reply` and `offline_notice`. Values are not expanded again, unknown names stay as "
        "they are written, and `{{name}}` gives a literal `{name}`.",
        table(("placeholder", "value"), fields),
    ))  # fmt: skip


def _not_built() -> str:
    rows = [
        ("tables", ", ".join(code(f"[[{name}]]") for name in sorted(notbuilt.TABLES))),
        *(
            (
                code(f"[{table_name}]") if table_name != "lines" else "`[lines.NAME]`",
                ", ".join(
                    map(
                        code,
                        sorted(keys | (notbuilt.IDLE_KEYS if table_name == "lines" else set())),
                    )
                ),
            )
            for table_name, keys in notbuilt.KEYS.items()
        ),
        ("`[store] url`", ", ".join(code(scheme) for scheme in notbuilt.STORE_SCHEMES)),
    ]
    return "\n\n".join((
        "## Not built yet",
        "These are known and refused with exit code 2 and the words *not built yet*; nothing is "
        "ignored silently.",
        table(("where", "what"), [row for row in rows if row[1]]),
    ))  # fmt: skip


# -- rows ------------------------------------------------------------------------------------


def _rows(
    model: type[BaseModel],
    fields: Mapping[str, FieldInfo],
    said: Mapping[str, str],
    words: Mapping[str, str],
    *,
    is_override: bool = False,
) -> list[tuple[str, str, str, str]]:
    """Return (key, type, default, meaning) for each field.

    Args:
        said: by docstring.
        words: by this page, for what the docstring does not say.
        is_override: `words` may be plainer words for what the docstring says too.

    Raises:
        SystemExit: a key has no meaning, or two.
    """
    keys = {field.alias or name: name for name, field in fields.items()}
    for key, name in keys.items():
        told = said.get(name) or said.get(key)
        if told is None and key not in words:
            raise SystemExit(f"{model.__name__}.{name} is described nowhere: in its docstring?")
        if told is not None and key in words and not is_override:
            raise SystemExit(f"{model.__name__}.{name} is described twice: here and by itself")
    if unknown := words.keys() - keys.keys():
        raise SystemExit(f"{model.__name__} has no key {', '.join(sorted(unknown))}")
    return [
        (
            code(key),
            describe_type(fields[name]),
            describe_default(fields[name]),
            tidy(words.get(key) or said.get(name) or said.get(key) or ""),
        )
        for key, name in keys.items()
    ]


def _keys(rows: Iterable[Sequence[str]]) -> str:
    return table(("key", "type", "default", "meaning"), rows)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def tidy(text: str) -> str:
    """Return a meaning without its source and its full stop: readers have no specification."""
    return _SOURCE.sub("", text).strip().removesuffix(".")


def _of_spec(spec: type) -> dict[str, str]:
    """Return what the pipeline's own value says, under the names of the file."""
    names = {"excepts": "except", "is_enabled": "enabled"}
    return {names.get(key, key): text for key, text in attributes(spec, "Args").items()}


def _direction(key: str) -> str:
    if key in _DIAL_ONLY:
        return "dial"
    return "listen" if key in _LISTEN_ONLY else "both"


def _default_by_dialect(key: str, field: FieldInfo) -> str:
    shown = {
        dialect.name: describe_default(dialect.options.model_fields[key])
        for dialect in DIALECTS.values()
    }
    if set(shown.values()) == {describe_default(field)}:
        return describe_default(field)
    return ", ".join(f"{default} ({name})" for name, default in shown.items())


def describe_default(field: FieldInfo) -> str:
    """Return a field's default as the file would have it."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ((), {}):
        return "none"
    return _toml(value)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, str):
        return code(f'"{value}"')
    if isinstance(value, tuple):
        return code("[" + ", ".join(f'"{item}"' for item in value) + "]")
    return code(f"{value:_}" if isinstance(value, int) and value >= 10_000 else f"{value}")


def describe_type(field: FieldInfo) -> str:
    """Return what a key takes, with its bounds."""
    unit = "of them" if get_origin(field.annotation) is tuple else "characters"
    bounds = (f"{one} {unit}" if one.startswith("at most") else one for one in _bounds(field))
    return ", ".join((_kind(field.annotation, field.metadata), *bounds))


def _kind(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    if annotation in _KINDS:
        return _KINDS[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " · ".join(
            code(f'"{value}"' if isinstance(value, str) else str(value)) for value in args
        )
    if origin in (Union, UnionType):
        return _kind(next(one for one in args if one is not NoneType), metadata)
    if origin is tuple:
        may_be_single = any(isinstance(item, BeforeValidator) for item in metadata)
        item = _kind(args[0])
        return f"{item} or a list of them" if may_be_single else f"list of {item}"
    if origin is dict:
        return f"table of {_kind(args[1])}"
    raise SystemExit(f"no words for the type {annotation}")


_KINDS: Final[dict[Any, str]] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", SecretStr: "secret",
}  # fmt: skip
_BOUNDS: Final = (
    ("ge", "≥ {}"), ("gt", "> {}"), ("le", "≤ {}"), ("lt", "< {}"),
    ("min_length", "not empty"), ("max_length", "at most {}"),
)  # fmt: skip


def _bounds(field: FieldInfo) -> list[str]:
    found: list[str] = []
    for item in field.metadata:
        for name, words in _BOUNDS:
            value = getattr(item, name, None)
            if value is not None:
                found.append(words.format(f"{value:,}"))
    return found
