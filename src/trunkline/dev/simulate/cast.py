"""Who talks to the house, by dialect: the only file that a further dialect adds to.

An entry names the lines of the house and the guests that meet them. A guest is an ordinary line of
the other role with the dialect's own session, so nothing here knows a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

HOUSE_URL: Final = "ws://house"


class Guest(msgspec.Struct, frozen=True):
    """Somebody on the other end of the house's lines.

    Args:
        name: of the host it lives on; a listening guest answers at `ws://NAME` and its path.
        options: of its line.
        chats: (kind, id) of where it talks.
        is_plain: it comes back as a stranger: nothing said over one link belongs to the next.
        dedupes: it drops a second copy by its key, so the house may send again what is unclear.
        shares: other guests JOIN its seat. What was written to a dead one of their links alone,
            before anybody knew, comes again over the others behind what was said meanwhile.
            A new link of one guest JOINs its old one in the same way.
        repeats: a second copy of what it says is known by its key. A call has none: a framework
            that sends one again asks for a second message. Source: onebot11 7.1
        large_chars: of a large message; beyond 32 KiB it has a file of its own in the store.
    """

    name: str
    options: Mapping[str, Any]
    chats: tuple[tuple[str, str], ...]
    is_plain: bool = False
    dedupes: bool = False
    shares: bool = False
    repeats: bool = True
    large_chars: int = 34_000


class Cast(msgspec.Struct, frozen=True):
    """One dialect's part of the play.

    Args:
        lines: options of the house's lines, by name.
        guests: who meets them.
        address: how a program addresses somebody on a seat of these lines.
    """

    lines: Mapping[str, Mapping[str, Any]]
    guests: tuple[Guest, ...]
    address: Literal["visitor", "private"]


def _visitor(name: str, *, session: bool) -> Guest:
    options = {
        "dialect": "contact", "role": "visitor", "link": "dial", "url": f"{HOUSE_URL}/contact",
        "session": session, "reconnect_interval_s": 1.5,
    }  # fmt: skip
    return Guest(name, options, (("visitor", "site"),), is_plain=not session,
                 dedupes=session, large_chars=9_000)  # fmt: skip


def _adapter(name: str, platform: str, *, api: bool) -> Guest:
    options = {
        "dialect": "maim", "role": "adapter", "link": "dial", "url": f"{HOUSE_URL}/ws",
        "platform": platform, "api": api, "reconnect_interval_s": 1.0,
    }  # fmt: skip
    return Guest(name, options, (("private", "u1"), ("private", "u2"), ("group", "g1")),
                 dedupes=api, shares=api)  # fmt: skip


def _core(name: str, *, api: bool) -> Guest:
    options = {"dialect": "maim", "role": "core", "link": "listen", "path": "/ws"}
    return Guest(name, options, (("private", "u1"), ("group", "g1")), dedupes=api)


def _account(name: str, self_id: str) -> Guest:
    options = {
        "dialect": "onebot11", "role": "implementation", "link": "dial",
        "url": f"{HOUSE_URL}/onebot/v11/ws", "self_id": self_id, "reconnect_interval_s": 1.0,
    }  # fmt: skip
    return Guest(name, options, (("private", "901"), ("private", "902"), ("group", "801")))


def _framework(name: str) -> Guest:
    options = {"dialect": "onebot11", "role": "framework", "link": "listen", "path": "/ws/"}
    return Guest(name, options, (("private", "901"), ("group", "801")), repeats=False)


CASTS: Final[Mapping[str, Cast]] = {
    "contact": Cast(
        lines={"blog": {"dialect": "contact", "chat_burst": 0, "rejected_frames": 0}},
        guests=(
            _visitor("anna", session=False),
            _visitor("ben", session=False),
            _visitor("cleo", session=True),
            _visitor("dora", session=True),
        ),
        address="visitor",
    ),
    "maim": Cast(
        lines={
            "core": {"dialect": "maim"},
            "mai": {
                "dialect": "maim", "role": "adapter", "link": "dial", "url": "ws://kern/ws",
                "platform": "shop",
            },
            "mai-api": {
                "dialect": "maim", "role": "adapter", "link": "dial", "url": "ws://kernapi/ws",
                "platform": "shop2", "api": True, "api_key": "k",
            },
        },
        guests=(
            _adapter("qq", "qq", api=False),
            _adapter("tg", "tg", api=True),
            _adapter("tg2", "tg", api=True),
            _adapter("dc", "dc", api=True),
            _core("kern", api=False),
            _core("kernapi", api=True),
        ),
        address="private",
    ),
    "onebot11": Cast(
        lines={
            "napcat": {"dialect": "onebot11", "path": "/onebot/v11/ws"},
            "bot": {
                "dialect": "onebot11", "role": "implementation", "link": "dial",
                "url": "ws://frame/ws/", "self_id": "77",
            },
        },
        guests=(
            _account("eva", "10001"),
            _account("fred", "10002"),
            _framework("frame"),
        ),
        address="private",
    ),
}  # fmt: skip
