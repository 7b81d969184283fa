"""Who talks to the house, by dialect: the only file that a further dialect adds to.

An entry names the lines of the house and the guests that meet them. A guest is an ordinary line of
the other role with the dialect's own session, so nothing here knows a frame.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, Literal, Protocol

import msgspec

from trunkline.dialects.contract import Fetch, Fetched, Opening, Session
from trunkline.dialects.options import LineOptions

HOUSE_URL: Final = "ws://house"


class Platform(Protocol):
    """What outlives the links of a guest that the house dials and calls: its emulator's world."""

    def session(self, opening: Opening) -> Session:
        """Make the session of a link that came in."""
        ...

    def http(self, request: Fetch) -> Fetched:
        """Answer a side call."""
        ...

    def calm(self) -> None:
        """Let nothing go wrong any more; what a person must see to stays so."""
        ...

    def verify(self) -> None:
        """Let a person do what the platform demanded."""
        ...


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
        platform: `(options, opening, seed, faults)`, makes what answers at `http://NAME` too.
        faults: of it, by name, each with its highest probability at a message.
    """

    name: str
    options: Mapping[str, Any]
    chats: tuple[tuple[str, str], ...]
    is_plain: bool = False
    dedupes: bool = False
    shares: bool = False
    repeats: bool = True
    large_chars: int = 34_000
    platform: Callable[[Any, Opening, int, Mapping[str, float]], Platform] | None = None
    faults: Mapping[str, float] = {}


class Cast(msgspec.Struct, frozen=True):
    """One dialect's part of the play.

    Args:
        lines: options of the house's lines, by name.
        guests: who meets them.
        address: how a program addresses somebody on a seat of these lines.
        renew: `(options, nth)`, gives a line its `nth` new credential, when a person must.
    """

    lines: Mapping[str, Mapping[str, Any]]
    guests: tuple[Guest, ...]
    address: Literal[
        "visitor:{seat}", "private:u1@{seat}", "user:901@{seat}?item=77", "user:700300400@{seat}"
    ]  # fmt: skip
    renew: Callable[[LineOptions, int], LineOptions] | None = None


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


_MARKET: Final[Any] = import_module("trunkline.dialects.xianyu.emulator")


def _cookies(me: str, nth: int = 0) -> str:
    return f"unb={me}; cookie2=login-{nth}; _m_h5_tk=0123456789abcdef_1"


def _shop(name: str, me: str, **more: Any) -> dict[str, Any]:
    return {
        "dialect": "xianyu", "cookies": _cookies(me), "url": f"ws://{name}/",
        "http_url": f"http://{name}", "upload_url": f"http://{name}", "max_failures": 0,
        "debounce_mode": "merge", **more,
    }  # fmt: skip


def _renew_shop(options: LineOptions, nth: int) -> LineOptions:
    fields = options.model_dump(exclude_unset=True)
    me = fields["cookies"].get_secret_value().partition("unb=")[2].partition(";")[0]
    return type(options).model_validate(fields | {"cookies": _cookies(me, nth)})


def _open_market(
    options: Any, opening: Opening, seed: int, faults: Mapping[str, float]
) -> Platform:
    return _MARKET.World(options, opening, seed=seed, pace_s=1.0, faults=faults, is_scripted=False)


def _market(name: str) -> Guest:
    options = {"dialect": "xianyu", "role": "market", "link": "listen"}
    buyers = tuple(("user", f"90{nth}?item=77") for nth in range(4))
    # Not `owner`: who writes in the app silences a chat, which has tests of its own.
    faults = dict.fromkeys(_MARKET.FAULTS - {"owner"}, 0.1) | {
        "close": 0.02, "cut": 0.02, "demand": 0.02, "revoke": 0.02, "silent": 0.005,
    }  # fmt: skip
    return Guest(name, options, buyers, large_chars=900, platform=_open_market, faults=faults)


_GATEWAY: Final[Any] = import_module("trunkline.dialects.boss.emulator")


def _login(name: str, nth: int = 0) -> str:
    return f"wt=login-of-{name}; bst=call-token-{nth}"


def _seeker(name: str, **more: Any) -> dict[str, Any]:
    return {
        "dialect": "boss", "cookies": _login(name), "url": f"ws://{name}/chatws",
        "http_url": f"http://{name}", "mode": "auto", "every_s": 0.0, "daily": 0,
        "max_failures": 0, "debounce_mode": "merge", **more,
    }  # fmt: skip


def _renew_seeker(options: LineOptions, nth: int) -> LineOptions:
    fields = options.model_dump(exclude_unset=True)
    name = fields["http_url"].removeprefix("http://")
    return type(options).model_validate(fields | {"cookies": _login(name, nth)})


_PEOPLE: Final = tuple(range(700_300_400, 700_300_404))


def _open_gateway(
    name: str, options: Any, opening: Opening, seed: int, faults: Mapping[str, float]
) -> Platform:
    world = _GATEWAY.World(
        options, opening, seed=seed, pace_s=1.0, faults=faults, is_scripted=False
    )
    account, rules = world.gateway.account(_login(name)), world.gateway.rules
    for uid in _PEOPLE:  # conversations that are there: nobody can be written to out of the blue
        account.peer(uid)
    # What is not known of the platform differs from seed to seed. Source: boss 10.4
    rules.shows_own, rules.marks_dup = bool(seed & 1), bool(seed & 2)
    rules.bad_wt2 = ("connack4", "connack5", "close", "silent")[seed >> 2 & 3]
    return world


def _agency(name: str) -> Guest:
    options = {"dialect": "boss", "role": "gateway", "link": "listen"}
    people = tuple(("user", str(uid)) for uid in _PEOPLE)
    # Not `owner`: who writes in the app silences a chat, which has tests of its own. Not `refuse`:
    # what the platform does not take nobody hears.
    faults = dict.fromkeys(_GATEWAY.FAULTS - {"owner", "refuse"}, 0.05) | {
        "close": 0.02, "cut": 0.02, "cut-after": 0.02, "cut-before": 0.02, "demand": 0.01,
        "half": 0.02, "login": 0.01, "short": 0.02, "silent": 0.005,
    }  # fmt: skip
    opens = functools.partial(_open_gateway, name)
    # A packet as it was means something else on a later link: its id is another message's there.
    # Copies are faults of the gateway (`double`, `again`), and what it delivers again by itself.
    return Guest(
        name, options, people, repeats=False, large_chars=900, platform=opens, faults=faults
    )


CASTS: Final[Mapping[str, Cast]] = {
    "boss": Cast(
        lines={
            "job": _seeker("amt", accept_timeout_s=3.0),
            "rapid": _seeker(
                "kontor", mqtt_level=4, subprotocol="mqtt", subscribe=1, heartbeat_interval_s=5.0,
                accept_timeout_s=2.0, reconnect_interval_s=1.0, send_gap_s=0.0,
            ),
        },
        guests=(_agency("amt"), _agency("kontor")),
        address="user:700300400@{seat}",
        renew=_renew_seeker,
    ),
    "contact": Cast(
        lines={"blog": {"dialect": "contact", "chat_burst": 0, "rejected_frames": 0}},
        guests=(
            _visitor("anna", session=False),
            _visitor("ben", session=False),
            _visitor("cleo", session=True),
            _visitor("dora", session=True),
        ),
        address="visitor:{seat}",
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
        address="private:u1@{seat}",
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
        address="private:u1@{seat}",
    ),
    "xianyu": Cast(
        lines={
            "shop": _shop("markt", "2200000000001"),
            "quick": _shop(
                "basar", "2200000000002", send_gap_s=0.0, reconnect_interval_s=1.0,
                heartbeat_interval_s=5.0, heartbeat_timeout_s=10.0, quiet_check_s=20.0,
            ),
        },
        guests=(_market("markt"), _market("basar")),
        address="user:901@{seat}?item=77",
        renew=_renew_shop,
    ),
}  # fmt: skip
