"""An account and the marketplace on one link in memory, with the tokens answered at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pump import End, Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Fetch, Keep, Opening
from trunkline.dialects.xianyu.bot import AccountSession
from trunkline.dialects.xianyu.market import Market, Talk
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.ids import CountingIds
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text

ME = "2200000000001"
BUYER = "2200000000002"
ITEM = "900000000001"
COOKIES = f"unb={ME}; cookie2=c; _m_h5_tk=0123456789abcdef_1"


def make_options(**more: Any) -> XianyuOptions:
    """Return the options of a line."""
    return XianyuOptions(
        **{"dialect": "xianyu", "cookies": COOKIES, "url": "ws://127.0.0.1/", **more}
    )


class Shop:
    """A seller's line and a marketplace.

    Args:
        answer: the words with which a buyer's message is answered; None = none.
        commit: as of `Pump`.
    """

    def __init__(
        self,
        *,
        answer: Callable[[str], str | None] = lambda _words: None,
        commit: Any = "at_once",
        **more: Any,
    ) -> None:
        self.clock = FakeClock()
        self.ids = CountingIds()
        self.options = make_options(**more)
        self.market = Market(self.clock, self.ids)
        self.seller = self.market.seller(ME)
        self.fetches: list[Fetch] = []
        self.pump = Pump(
            self.new_bot(),
            self.new_platform(),
            clock=self.clock,
            commit=commit,
            answer=lambda event: self._answers(event, answer),
            find=self._fetch,
        )

    def new_bot(self) -> AccountSession:
        return AccountSession(self.options, Opening("account", "", self.clock, self.ids))

    def new_platform(self) -> MarketSession:
        opening = Opening("market", "market", self.clock, self.ids)
        return MarketSession(self.options, opening, self.market)

    @property
    def bot(self) -> End:
        return self.pump.bot

    @property
    def platform(self) -> End:
        assert self.pump.platform is not None
        return self.pump.platform

    @property
    def kept(self) -> dict[str, Any]:
        assert self.bot.kept is not None
        return json.loads(self.bot.kept)

    @property
    def token_calls(self) -> int:
        return sum("login.token" in fetch.url for fetch in self.fetches)

    def begin(self) -> None:
        """Begin both; the bot may ask for a token before it dials."""
        for end in self.pump.ends:
            self.pump._do(end, end.session.begin(end.kept))  # as `start` does

    def start(self) -> Shop:
        """Connect and register."""
        self.begin()
        self.pump.link()
        self.pump.run()
        return self

    def again(self, *, is_run: bool = True) -> None:
        """Connect anew, with fresh sessions and what was kept."""
        self.bot.orphans = 0
        self.pump.replace(self.platform, self.new_platform())
        self.pump.replace(self.bot, self.new_bot())
        self.pump.link()
        if is_run:
            self.pump.run()

    def live(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass, with frames carried in between."""
        for _ in range(round(seconds / step_s)):
            self.pump.advance(step_s)
            self.pump.run()

    def talk(self, buyer: str = BUYER, item: str = ITEM) -> Talk:
        return self.market.open_talk(self.seller, buyer, item)

    def says(self, words: str, talk: Talk | None = None) -> Talk:
        """A buyer says something, and it is pushed."""
        talk = talk or self.talk()
        self.pump.say(self.platform, Chat(ME, "chat", talk.ident), words)
        return talk

    @property
    def words(self) -> list[str]:
        """What was received and is no notice."""
        return [plain_text(e.segments) for e in self.bot.inbox if isinstance(e, MessageReceived)]

    @property
    def routes(self) -> list[str]:
        """The routes of what the bot has sent; an acknowledgement is `ack`."""
        return [json.loads(data).get("lwp", "ack") for data in self.bot.sent]

    @property
    def keeps(self) -> int:
        return sum(isinstance(effect, Keep) for effect in self.bot.effects)

    def _fetch(self, request: Any) -> Any:
        assert isinstance(request, Fetch)
        self.fetches.append(request)
        return self.market.http(request)

    @staticmethod
    def _answers(event: Any, answer: Callable[[str], str | None]) -> list[Any]:
        if not isinstance(event, MessageReceived) or event.is_own:
            return []
        words = answer(plain_text(event.segments))
        return [text(words)] if words is not None else []
