"""CQ codes: a message written as one string, and back, with exact escaping.

    message  = *( text / code )
    code     = "[CQ:" type *( "," key "=" value ) [ "," ] "]"

What merely resembles a code is text, unchanged: nothing is ever lost. `parse_cq(format_cq(x))` is
`x` for every clean list whose values are text. Source: onebot11 6.3
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from trunkline.dialects.onebot11.segments import MAX_SEGMENTS, Seg, flush, to_word

_OPEN: Final = "[CQ:"
_NAME = r"[A-Za-z0-9_.\-]+"
# A code up to its closing bracket. Possessive: whatever the input, no step back.
_HEAD: Final = re.compile(rf"\[CQ:(?P<type>{_NAME}+)(?P<rest>(?:,{_NAME}+=[^,\]]*+)*+)", re.DOTALL)
_NAMES: Final = re.compile(_NAME)
_TEXT_ESCAPES: Final = str.maketrans({"&": "&amp;", "[": "&#91;", "]": "&#93;"})
_VALUE_ESCAPES: Final = str.maketrans({"&": "&amp;", "[": "&#91;", "]": "&#93;", ",": "&#44;"})


def parse_cq(text: str) -> list[Seg]:
    """Parse CQ-code text into clean segments. Any text is a message.

    Behind about 10,000 segments codes are text: a million of them held up everybody for seconds.
    """
    if _OPEN not in text:
        plain = unescape(text)
        return [Seg("text", {"text": plain})] if plain else []
    found: list[Seg] = []
    words: list[str] = []
    end = 0
    start = text.find(_OPEN)
    while start >= 0 and len(found) < MAX_SEGMENTS:
        code = _HEAD.match(text, start)
        stop = code.end() if code is not None else start + len(_OPEN)
        closed = _closed(text, stop) if code is not None else 0
        if code is not None and closed:
            words.append(unescape(text[end:start]))
            data = _parse_data(code["rest"])
            if code["type"] == "text":
                words.append(data.get("text", ""))
            else:
                flush(words, found)
                found.append(Seg(code["type"], data))
            end = stop = closed
        # There is no bracket before `stop`, so no code that begins before it can end either: the
        # search goes on there and never looks at a character twice.
        start = text.find(_OPEN, stop)
    words.append(unescape(text[end:]))
    flush(words, found)
    return found


def _closed(text: str, at: int) -> int:
    """Return where a code ends whose parameters end at `at`; 0 = it does not."""
    if text.startswith("]", at):
        return at + 1
    return at + 2 if text.startswith(",]", at) else 0


def _parse_data(rest: str) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for pair in rest.split(",")[1:]:
        key, _, value = pair.partition("=")
        data[key] = unescape(value)  # of a doubled key the last wins
    return data


def unescape(text: str) -> str:
    """Replace the four entities as if in one pass, so that `&amp;#91;` is the text `&#91;`.

    The ampersand comes last: none of the others can come into being by it.
    """
    if "&" not in text:
        return text
    text = text.replace("&#44;", ",").replace("&#91;", "[").replace("&#93;", "]")
    return text.replace("&amp;", "&")


def format_cq(segments: Sequence[Seg]) -> str:
    """Format segments as CQ-code text.

    A segment or key whose name a code cannot carry is left out: it would become text.
    """
    return "".join(_format_one(one) for one in segments)


def _format_one(seg: Seg) -> str:
    if seg.type == "text":
        return escape_text(to_word(seg.data.get("text")))
    if _NAMES.fullmatch(seg.type) is None:
        return ""
    pairs = [
        f",{key}={to_word(value).translate(_VALUE_ESCAPES)}"
        for key, value in seg.data.items()
        if value is not None and _NAMES.fullmatch(key) is not None
    ]
    return f"[CQ:{seg.type}{''.join(pairs)}]"


def escape_text(text: str) -> str:
    """Escape text outside of codes."""
    return text.translate(_TEXT_ESCAPES) if _needs_escape(text) else text


def _needs_escape(text: str) -> bool:
    return "&" in text or "[" in text or "]" in text
