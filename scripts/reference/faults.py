"""`errors.md`: error classes, exit codes, problem codes, refused upgrades, frames and close codes.

Statuses and close codes stand in the source where they are sent; they are found there by their
calls, so that none is missing and none is only remembered.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, get_args

import trunkline
from trunkline import errors
from trunkline.cli.output import ExitCode
from trunkline.dialects.contact.frames import Code
from trunkline.dialects.contact.translate import WORDS
from trunkline.dialects.maim.frames import REJECTIONS
from trunkline.dialects.maim.translate import WARNINGS
from trunkline.dialects.onebot11 import serving
from trunkline.dialects.onebot11 import shapes as onebot11
from trunkline.web.problem import KINDS

from .tables import code, first_line, head, table

SOURCE: Final = Path(trunkline.__file__).parent
EXIT_WORDS: Final[Mapping[ExitCode, str]] = {
    ExitCode.GOOD: "good; `serve` also when it was asked to stop",
    ExitCode.PROBLEM: "a problem was found, or something failed that no other code names",
    ExitCode.USAGE: "the command line, the configuration or what was asked for is wrong; an "
    "address that cannot be bound",
    ExitCode.UNREACHABLE: "the server cannot be reached, or none runs here",
    ExitCode.NOT_ALLOWED: "the server refuses the token, the host or the origin",
    ExitCode.REFUSED: "`send --wait`: the peer refused the message, or it cannot be sent",
    ExitCode.WAITS_FOR_PERSON: "`send --wait`: it waits for a person",
    ExitCode.IN_USE: "another process uses the data folder; it is named",
    ExitCode.UNSAFE: "the configuration would let strangers in; what is missing is named, and no "
    "socket was opened",
}
CONTACT_WORDS: Final[Mapping[str, str]] = {
    "invalid_json": "not JSON, or an empty frame",
    "not_an_object": "JSON, but no object",
    "missing_type": "no `type`, or it is no string",
    "unknown_type": "another `type`; the text ends with its name, cut to 64 characters",
    "missing_field": "a required field is absent or null; `field` names it",
    "invalid_field": "a field has another JSON type or is empty; `field` names it",
    "message_too_long": "`message` is longer than `message_chars`",
    "unsupported_frame": "a binary frame that is not UTF-8 JSON",
    "rate_limited": "too many messages or requests; `retry_after` says for how many seconds",
    "server_busy": "too much waits already; nothing was stored",
    "internal": "our fault; nothing was stored",
}
RETCODES: Final[Mapping[str, str]] = {
    "0": "done, or accepted durably: it leaves later by itself",
    "1": "accepted in the background (`…_async`, `…_rate_limited`)",
    str(serving.FAILED): "refused, or there is no such chat, person or message",
    str(serving.BAD): "the call or a parameter is malformed",
    str(serving.UNKNOWN): "there is no such action",
    str(serving.UNANSWERED): "uncertain: it may have arrived; do not repeat it blindly",
    str(serving.BUSY): "too many calls are open",
    str(serving.BROKEN): "our fault: then the log has it",
    str(serving.IMPOSSIBLE): "a standard action that is not possible here",
    str(serving.GONE): "the connection ends",
}
# What a code means to the peer, whatever sentence came with it.
CLOSE_WORDS: Final[Mapping[int, str]] = {
    1000: "normal: another connection has this seat, nothing was said for long, or we dial anew",
    1001: "we stop; come back a little later",
    1002: "a rule of RFC 6455 was broken",
    1007: "a text message is not UTF-8, or a first frame is no JSON object",
    1008: "not let in: a wrong token, no connect event, another account; too many rejected frames; "
    "no heartbeat",
    1009: "a message is too large or has too many fragments",
    1011: "no answer to our ping, or our fault: then the log has it",
    1012: "the line was told to reconnect; come back at once",
    1013: "the peer does not read what we write, or the process holds too much; come back later",
}
# picows finds these by itself, so no call of ours names them (`lines/reader.py`, `blame`).
FROM_READER: Final[Mapping[int, str]] = {1009: "a frame longer than the limit, by its header"}
_CODES: Final = range(1000, 1016)
_UNSENT: Final = frozenset({1005, 1006})  # only describe an end; RFC 6455 7.4.1
_STATUSES: Final = range(400, 600)


class Said(NamedTuple):
    """A number with its sentence, as the source has them side by side."""

    number: int
    text: str
    room: str


def render() -> str:
    """Return the page."""
    return "\n\n".join((
        head("Errors and codes"),
        "## Exit codes",
        table(("code", "meaning"), _exits()),
        "130 is Ctrl-C in a command that waits, 1 also a second signal while `serve` stops.",
        "## Problem documents",
        "What the HTTP API answers when something goes wrong: `application/problem+json` with "
        "`type`, `title`, `status`, `detail`, `code` and `fix` (`invalid` also has `errors`). Look "
        "at `code`; the texts are for people, in the language of `Accept-Language`.",
        table(("code", "status", "title", "what to do"), _problems()),
        "## Refused upgrades and requests",
        "Before a WebSocket is open, and when a request head is wrong, the answer is a status and "
        "one sentence in plain text.",
        table(("status", "sentences"), list(_refusals())),
        "## Close codes that we send",
        table(("code", "meaning", "reasons in the close frame"), list(_closes())),
        "## Contact: error frames",
        "One rejected frame gets one `error` frame and the connection stays open.",
        table(("code", "when", "text (zh)", "text (en)"), _contact()),
        "## maim: frames that are dropped",
        "The classic line has no error frame: a bad frame is dropped and counted "
        "(`trunkline_lines_rejected_frames_total`), the connection stays open. Reasons: "
        + ", ".join(map(code, sorted(REJECTIONS)))
        + ".",
        "Repaired and told once a connection in the log (`peer oddity`, kind `warned:…`): "
        + ", ".join(map(code, sorted(WARNINGS)))
        + ".",
        "## OneBot 11: frames that are dropped, and calls that fail",
        "A framework drops and counts a bad frame, the connection stays open (more than 100 within "
        "60 s close it); an implementation answers a bad call with `retcode` 1400. Reasons: "
        + ", ".join(map(code, sorted(onebot11.REJECTIONS)))
        + ".",
        "Repaired and told once a connection in the log (`peer oddity`, kind `warned:…`): "
        + ", ".join(map(code, sorted(onebot11.FLAGS)))
        + ".",
        table(("retcode", "an implementation of ours means"), list(RETCODES.items())),
        "## Error classes",
        "For who reads or embeds the code. `retry` is what a loop does next: "
        + ", ".join(code(one.value) for one in errors.Retry)
        + " (`after`: the error carries the seconds).",
        table(("class", "is a", "retry", "meaning"), list(_classes())),
    )) + "\n"  # fmt: skip


def _exits() -> list[tuple[str, str]]:
    return [(str(int(one)), EXIT_WORDS[one]) for one in ExitCode]


def _problems() -> list[tuple[str, ...]]:
    return [
        (code(name), str(kind.status), kind.title.en, kind.fix.en) for name, kind in KINDS.items()
    ]


def _contact() -> list[tuple[str, ...]]:
    return [
        (code(name), CONTACT_WORDS[name], WORDS["zh"].problems[name], WORDS["en"].problems[name])
        for name in get_args(Code)
    ]


def _classes() -> Iterator[tuple[str, ...]]:
    for one in vars(errors).values():
        if isinstance(one, type) and issubclass(one, errors.TrunklineError):
            above = one.__bases__[0].__name__
            yield code(one.__name__), code(above), code(one.retry.value), first_line(one)


def _refusals() -> Iterator[tuple[str, str]]:
    found = [
        said
        for said in sentences(("Answer", "Refuse"), _STATUSES)
        if said.room in ("lines", "web", "dialects")
    ]
    for status in sorted({said.number for said in found}):
        texts = [said.text for said in found if said.number == status]
        if status == 429:
            texts += _returned(SOURCE / "lines" / "quota.py", "ask")
        yield str(status), _join(texts)


def _closes() -> Iterator[tuple[str, ...]]:
    found = close_reasons()
    for number in sorted(found):
        if number not in CLOSE_WORDS:
            raise SystemExit(f"the close code {number} has no words in scripts/reference/faults.py")
        reasons = list(found[number])
        if number in FROM_READER:
            reasons.append(f"({FROM_READER[number]})")
        yield str(number), CLOSE_WORDS[number], _join(reasons)


def close_reasons() -> dict[int, list[str]]:
    """Return the reasons of every close code that the source sends."""
    names = (
        "Hangup",
        "close",
        "close_links",
        "_close",
        "_fail",
        "_drop",
        "call_soon",
        "call_later",
    )
    found: dict[int, list[str]] = {}
    for said in sentences(names, _CODES):
        if said.room in ("lines", "dialects", "app") and said.number not in _UNSENT:
            reasons = found.setdefault(said.number, [])
            if said.text not in reasons:
                reasons.append(said.text)
    return found


def sentences(calls: Iterable[str], numbers: range) -> list[Said]:
    """Find a number followed by its sentence: in a call of these names, or as a pair of values.

    Constants of a module are followed, so `Hangup(DENIED_CODE, DENIED_REASON)` is found too.
    """
    wanted = frozenset(calls)
    found: list[Said] = []
    for path in sorted(SOURCE.rglob("*.py")):
        where = path.relative_to(SOURCE)
        if where.name == "emulator.py" or where.parts[0] == "dev":
            continue  # the simulated other side
        tree = ast.parse(path.read_text("utf-8"))
        constants = _constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in wanted:
                values = node.args
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
                values = node.value.elts
            else:
                continue
            for first, second in pairwise(values):
                number, text = _value(first, constants), _value(second, constants)
                if not isinstance(number, int) or number not in numbers:
                    continue
                if isinstance(text, str) or isinstance(second, ast.Name):
                    room = where.parts[0].removesuffix(".py")
                    found.append(Said(number, text if isinstance(text, str) else "", room))
    return found


def _returned(path: Path, function: str) -> list[str]:
    """Return the sentences that a function returns."""
    tree = ast.parse(path.read_text("utf-8"))
    bodies = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    found = [
        _value(node.value, {})
        for body in bodies
        for node in ast.walk(body)
        if isinstance(node, ast.Return) and node.value is not None
    ]
    return [text for text in found if isinstance(text, str)]


def _constants(tree: ast.Module) -> dict[str, object]:
    found: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = _value(node.value, {})
    return found


def _value(node: ast.expr, constants: Mapping[str, object]) -> object:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return None


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", None) or getattr(function, "id", "")


def _join(texts: Iterable[str]) -> str:
    return " · ".join(dict.fromkeys(text for text in texts if text)) or "–"
