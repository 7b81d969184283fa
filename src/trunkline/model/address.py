"""Who and where: `line/kind:id[@account][?item=…]`.

An id may hold any character; `@`, `?`, `%` and controls are percent-encoded when an address is
written. A leading `@` in an id is accepted unencoded when it is read (`tg/private:@name`).
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

_PATTERN = re.compile(r"(?P<line>[^/\s]+)/(?P<kind>[a-z][a-z0-9_-]*):(?P<rest>.+)", re.DOTALL)
_SAFE = "/:#!$&'()*+,;=~^|{}[] "
MAX_ID_CHARS = 512


class Chat(msgspec.Struct, frozen=True, gc=False):
    """One chat as a session knows it: everything of an address but the line.

    Args:
        account: who is on the other end of the link (platform, self_id); "" for visitors.
        kind: `private`, `group`, `visitor`, `chat`, `user` …
        id: the peer's own id of the chat, at most 512 characters.
        name: what people call it, when known.
    """

    account: str
    kind: str
    id: str
    name: str = ""


class Address(msgspec.Struct, frozen=True, gc=False):
    """A target as people write it. `account` is empty while the line has only one."""

    line: str
    kind: str
    id: str
    account: str = ""
    item: str = ""


def parse_address(text: str) -> Address:
    """Parse `line/kind:id[@account][?item=…]`.

    Raises:
        ValueError: with a sentence that shows the form.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an address; write line/kind:id, as in qq/private:10001")
    rest, _, query = match["rest"].partition("?")
    head, at, account = rest.rpartition("@")
    if not at or not head:
        head, account = rest, ""
    item = ""
    if query:
        name, _, value = query.partition("=")
        if name != "item" or not value:
            raise ValueError(f"{text!r}: only ?item=… may follow the id")
        item = unquote(value)
    ident = unquote(head)
    if not ident or len(ident) > MAX_ID_CHARS:
        raise ValueError(f"{text!r}: the id must have 1 to {MAX_ID_CHARS} characters")
    return Address(match["line"], match["kind"], ident, unquote(account), item)


def format_address(address: Address) -> str:
    """Format an address so that `parse_address` gives it back."""
    text = f"{address.line}/{address.kind}:{quote(address.id, safe=_SAFE)}"
    if address.account:
        text += "@" + quote(address.account, safe=_SAFE)
    if address.item:
        text += "?item=" + quote(address.item, safe=_SAFE)
    return text
