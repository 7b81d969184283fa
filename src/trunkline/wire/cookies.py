"""Cookie strings as browsers show them: `name=value; name=value`.

People paste them, platforms renew them by `Set-Cookie`, and they are sent as one header line. So
nothing here lets a line break or another control character through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_NAME: Final = re.compile(r"\s*cookie\s*:", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def one_line(text: str) -> str:
    """Return a pasted cookie string as the value of one header; its name may stand before it.

    Raises:
        ValueError: a line break or another control character is inside: two strings were pasted,
            or a piece of something else. To join them would make cookies that nobody has.
    """
    line = _NAME.sub("", text.strip(), count=1).strip()
    if _CONTROL.search(line):
        raise ValueError("there is a line break inside; paste the whole string as one line")
    return line


def parse_cookies(text: str) -> dict[str, str]:
    """Parse a cookie string: a later duplicate wins, parts without `=` are nothing."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name:
            found[name] = value
    return found


def format_cookies(cookies: Mapping[str, str]) -> str:
    """Format cookies as a header has them, without control characters."""
    return _CONTROL.sub("", "; ".join(f"{name}={value}" for name, value in cookies.items()))


def merge_set_cookies(text: str, lines: Iterable[str]) -> str:
    """Return a cookie string with every `Set-Cookie` in it: in place, else at the end."""
    cookies = parse_cookies(text)
    for line in lines:
        name, equals, value = line.partition(";")[0].strip().partition("=")
        if equals and name:
            cookies[name] = value
    return format_cookies(cookies)
