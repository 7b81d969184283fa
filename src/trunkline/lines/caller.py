"""Who is calling: the address that counts, and whether Host and Origin may pass.

The same answers hold for WebSocket doors and for the HTTP pages on the same port. Pure functions
over header values; nothing here decides about tokens.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_FORWARDED_PREFIX: Final = "x-forwarded-"
# What proxies write besides the headers that are believed: such a request did not start here.
PROXY_HEADERS: Final = frozenset({
    "forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip",
})  # fmt: skip


class Caller(msgspec.Struct, frozen=True):
    """Who is calling.

    Args:
        address: the peer, or the one that a trusted proxy names.
        is_loopback: this machine itself, and no proxy header says otherwise.
        is_proxied: a proxy header is there that nobody vouches for.
    """

    address: str
    is_loopback: bool = False
    is_proxied: bool = False


def is_loopback(address: str) -> bool:
    """Whether an IP address or host name means this machine."""
    if address.lower() == "localhost":
        return True
    found = _parse_ip(address)
    return found is not None and found.is_loopback


def parse_networks(texts: Sequence[str]) -> tuple[_Network, ...]:
    """Parse `trusted_proxies`: addresses or networks.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def identify(peer: str, headers: Mapping[str, str], trusted: Sequence[_Network]) -> Caller:
    """Return who counts as the caller.

    With trusted proxies the right-most address that is not one of them counts; whatever stands to
    its left was written by a stranger. Without, such a header names nobody, but the request did not
    start on this machine.

    Args:
        peer: the address of the TCP connection.
        headers: lower-case names; repeated `x-forwarded-for` values joined by commas.
        trusted: the proxies that are believed.
    """
    is_forwarded = any(
        name in PROXY_HEADERS or name.startswith(_FORWARDED_PREFIX) for name in headers
    )
    if not is_forwarded:
        return Caller(peer, is_loopback=is_loopback(peer))
    if not _is_within(peer, trusted):
        return Caller(peer, is_proxied=True)
    for hop in reversed(_hops(headers)):
        if _parse_ip(hop) is None:
            break  # an obfuscated or broken name: nothing left of it can be believed
        if not _is_within(hop, trusted):
            return Caller(hop)
    return Caller(peer)


def is_host_allowed(host: str, allowed: Sequence[str]) -> bool:
    """Whether a `Host` may be served; stops DNS rebinding (`reliability 8`).

    An IP literal cannot be rebound and this machine's own name is harmless, so both pass without
    being listed; `*` in the list lets everything pass.
    """
    name = host_name(host)
    return (
        _parse_ip(name) is not None
        or name == "localhost"
        or any(entry in ("*", name) for entry in allowed)
    )


def host_name(host: str) -> str:
    """Return the lower-case name of a `Host` value, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_origin_allowed(
    origin: str, allowed: Sequence[str], *, is_public: bool, is_caller_loopback: bool
) -> bool:
    """Whether a page of `origin` may open a link here.

    Args:
        origin: the header's value, "null" included.
        allowed: the door's list.
        is_public: visitors' doors: an empty list means any.
        is_caller_loopback: a page of this machine may then talk to a machine door (`guides 1`).
    """
    origin = origin.strip().rstrip("/").lower()
    if any(entry == "*" or entry.rstrip("/").lower() == origin for entry in allowed):
        return True
    if is_public:
        return not allowed
    if not is_caller_loopback:
        return False
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:
        return False


def _parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _is_within(address: str, networks: Sequence[_Network]) -> bool:
    found = _parse_ip(address)
    return found is not None and any(found in network for network in networks)


def _hops(headers: Mapping[str, str]) -> list[str]:
    """Return the addresses a request came through, the client's first."""
    listed = headers.get("x-forwarded-for")
    if listed is not None:
        return [_bare(part) for part in listed.split(",")]
    hops: list[str] = []
    for element in headers.get("forwarded", "").split(","):
        for pair in element.split(";"):
            name, _, value = pair.strip().partition("=")
            if name.lower() == "for":
                hops.append(_bare(value.strip('"')))
    return hops


def _bare(text: str) -> str:
    """Return an address without brackets and port."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
