"""The marketplace of the crash harness (`dev/torture`): the product dials it, kill after kill.

Accounts with many buyers each. The market keeps what was not acknowledged and pushes it again over
the next link; it shows an account its own messages, so whatever arrived can be proven. Every few
links an account's token is good no more, so the HTTP side is asked again. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from trunkline.dialects.contract import (
    Actor,
    Effect,
    Effects,
    Fetch,
    Fetched,
    Head,
    LinkInfo,
    LinkState,
    Opening,
    Refuse,
)
from trunkline.dialects.xianyu.market import Market
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.errors import TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.wire.cookies import parse_cookies

FIRST: Final = 2_200_000_000_001
# Two machines that talk much are paused by the guard against loops (5 in 60 s), so an account has
# many buyers, and none of them says more than a few things a minute. Source: reliability 8
BUYERS: Final = 240
RATE: Final = 25.0
MOST_OPEN: Final = 12  # a slow machine answers them within the life of an answer
COPIES: Final = 14  # a platform was seen to deliver so often (reliability 7)
LINKS_OF_A_TOKEN: Final = 5
_LINE: Final = """\
[lines.shop{number}]
dialect = "xianyu"
cookies = "unb={me}; cookie2=c; _m_h5_tk=0123456789abcdef_1"
url = "ws{at}/"
http_url = "http{at}"
upload_url = "http{at}"
debounce_s = 0.0
send_gap_s = 0.0
jitter = 0.0
reconnect_interval_s = 0.2
max_failures = 0
"""


class Stall(MarketSession):
    """One account's link.

    Args:
        has_copies: what is pushed again comes many times.
    """

    def __init__(
        self,
        options: XianyuOptions,
        opening: Opening,
        place: Marketplace,
        *,
        has_copies: bool,
    ) -> None:
        super().__init__(options, opening, place.market)
        self._place = place
        self._has_copies = has_copies

    def linked(self, info: LinkInfo) -> Effects:
        """Let the account in; its buyers wait for proof over any number of links."""
        effects = super().linked(info)
        self.unproven = self._place.unproven.setdefault(self.seller.ident, {})
        return effects

    def push_new(self) -> list[Effect]:
        """Push; what was said before this link comes many times."""
        effects = super().push_new()
        if self.state is not LinkState.OPENING or not self._has_copies or not effects:
            return effects
        for push in self.watched:
            push.times = COPIES
        return effects * COPIES

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; what is unproven stays so."""
        self.unproven = {}
        return super().lost(error)


class Marketplace:
    """The platform of one run (`dev/torture/ways.py`)."""

    def __init__(self, opening: Opening, peers: int) -> None:
        self.market = Market(opening.clock, opening.ids)
        self.unproven: dict[str, dict[int, DeliveryId]] = {}
        self._options = XianyuOptions.model_validate(
            {"dialect": "xianyu", "role": "market", "link": "listen"}
        )
        self._numbers = {str(FIRST + number): number for number in range(peers)}
        self._links: Counter[str] = Counter()

    @property
    def violations(self) -> Mapping[str, int]:
        """Rules of the platform that the product broke."""
        return self.market.violations

    def lines(self, base: str) -> str:
        """Return one line for each account."""
        at = base.removeprefix("http")
        return "\n".join(
            _LINE.format(number=number, me=me, at=at) for me, number in self._numbers.items()
        )

    def actor(self, number: int) -> Actor:
        """Return an account with its buyers."""
        me = str(FIRST + number)
        buyers = range(3_300_000_000_000, 3_300_000_000_000 + BUYERS)
        chats = [(Chat(me, "user", f"{buyer}?item=900000000001"), b"") for buyer in buyers]
        return Actor("market", {}, chats, remembers=True, rate=RATE, most_open=MOST_OPEN)

    def http(self, request: Fetch) -> Fetched:
        """Answer a side call."""
        return self.market.http(request)

    def admit(self, head: Head) -> tuple[int, str] | Refuse:
        """Let an account in by its cookies; now and then its token has become old."""
        me = parse_cookies(head.headers.get("cookie", "")).get("unb", "")
        if me not in self._numbers:
            return Refuse(403, "no account")
        self._links[me] += 1
        if self._links[me] % LINKS_OF_A_TOKEN == 0:
            self.market.forget_tokens(me)
        return self._numbers[me], ""

    def session(self, number: int, opening: Opening, manners: frozenset[str]) -> Stall:
        """Make the session of an account's link."""
        del number  # the cookies say it again
        return Stall(self._options, opening, self, has_copies="redeliver-14" in manners)


class MarketCast:
    """What the crash harness is told (`dev/torture/ways.py`)."""

    manners = frozenset({"redeliver-14", "leave", "stop-reading", "late"})
    proves = True

    def place(self, opening: Opening, peers: int) -> Marketplace:
        """Make the platform of a run."""
        return Marketplace(opening, peers)
