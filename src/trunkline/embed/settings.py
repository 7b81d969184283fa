"""What `connect` and `listen` are given, checked as `trunkline.toml` is.

The checks and their sentences are those of `configuration`, so a key means the same in both places.
Keys of the pipeline and the store are refused: nothing here would act on them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

import msgspec

from trunkline.configuration.language import language_of
from trunkline.configuration.lines import read_line
from trunkline.configuration.listening import find_missing
from trunkline.configuration.problems import Problems
from trunkline.configuration.schemas import read_schemas
from trunkline.configuration.sections import Server
from trunkline.configuration.source import Source
from trunkline.dialects.contract import Dialect, Direction
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import ConfigError, UnsafeConfig

BIND: Final = "127.0.0.1:8080"  # Source: design 3, `[server]`
_NOWHERE: Final = Server.model_validate({})  # an embedded line has no main port: loopback is safe
# Tried so often by `connect`; a dialect that is not here tries for ever. Source: guides 5
GIVES_UP_AFTER: Final[Mapping[str, int]] = {"maim": 5}
# What only the whole product acts on. Said, not ignored.
_OF_THE_PRODUCT: Final = frozenset({
    "carries", "debounce_mode", "debounce_s", "enabled", "max_in_work", "mode", "operator_token",
    "probe_s", "replay_s", "resume_image", "retention_days", "send_resume_image", "stale_after_s",
    "takeover_for_s",
})  # fmt: skip


class Settings(msgspec.Struct, frozen=True):
    """One checked line.

    Args:
        name: of the line in log lines: the dialect's.
        schema: compiled, where the line names a schema of its own; b"" = the built-in one.
    """

    name: str
    dialect: Dialect
    options: LineOptions
    schema: bytes = b""


def read_settings(dialect: str, link: Direction, given: Mapping[str, object]) -> Settings:
    """Check the keys of a line.

    Raises:
        ConfigError: with every problem.
    """
    problems = _problems(link)
    raw: dict[str, Any] = {key: _plain(value) for key, value in given.items()}
    raw = {"link": link, **raw, "dialect": dialect}
    if raw["link"] != link:
        other = "listen" if link == "dial" else "connect"
        problems.add(("link",), f"请用 {other}()", f"is what {other}() is for")
    known = DIALECTS.get(dialect)
    if known is not None:
        roles = known.dials if link == "dial" else known.listens
        raw.setdefault("role", roles[0] if roles else known.roles[0])
        if link == "listen":
            raw.setdefault("bind", BIND)
        elif dialect in GIVES_UP_AFTER:
            raw.setdefault("max_failures", GIVES_UP_AFTER[dialect])
        for key in sorted(raw.keys() & _OF_THE_PRODUCT):
            problems.add(
                ("lines", dialect, key),
                "只用于 trunkline serve",
                "is for `trunkline serve`: an embedded line has no pipeline and no store",
            )
            del raw[key]
        if link == "dial":
            # A line that has given up says so to whoever reads it, and stays where it is until then
            raw["probe_s"] = 0
    # Python gives every value with its type, so nothing of the environment is laid over it.
    source = Source(None, {"lines": {dialect: raw}}, os.environ, {})
    options = read_line(source, dialect, raw, problems, DIALECTS)
    if known is None or options is None or len(problems):
        raise ConfigError(problems.texts())
    # Nothing was imported where there is no data folder: only a file that is named counts.
    lines = {dialect: options}
    schemas = read_schemas(lines, DIALECTS, base=source.folder, data=None, problems=problems)
    if len(problems):
        raise ConfigError(problems.texts())
    return Settings(dialect, known, options, schemas.get(dialect, b""))


def renewed(settings: Settings, given: Mapping[str, object]) -> LineOptions:
    """Return the options of a line with other values for some keys.

    Raises:
        ConfigError: a value does not fit, or it is no key whose change a new link would notice.
    """
    allowed = {"headers", "user_agent", settings.options.credential_key} - {""}
    if other := sorted(given.keys() - allowed):
        raise ConfigError([f"{other[0]} cannot be changed while the line is open"])
    options = settings.options
    before = options.model_dump(by_alias=True, exclude_unset=True)
    try:
        return type(options).model_validate({**before, **given})
    except ValueError as error:
        # Only where: what the library says may show the value, which is a secret.
        raise ConfigError([f"{', '.join(sorted(given))}: cannot be used"]) from error


def require_safe(settings: Settings) -> None:
    """Refuse an address that strangers can reach and that nothing guards.

    Raises:
        UnsafeConfig: naming what is missing (exit 78).
    """
    lines = {settings.name: settings.options}
    problems = _problems("listen")
    if missing := find_missing(_NOWHERE, lines, DIALECTS, problems):
        hint = problems.say(
            "确实要对外开放时写 allow_open=True", "or allow_open=True if it is to be open"
        )
        raise UnsafeConfig([*missing, hint])


def _problems(link: Direction) -> Problems:
    return Problems(language_of(os.environ), "connect()" if link == "dial" else "listen()")


def _plain(value: object) -> object:
    """Return a value as a file would hold it: paths as text, tuples as lists."""
    if isinstance(value, PurePath):
        return str(value)
    return list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - checked by the options model
