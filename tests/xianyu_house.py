"""An account and the marketplace on one link in memory, with the tokens answered at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pairhouse import PairHouse
from trunkline.dialects.contract import Fetch, Keep, Opening
from trunkline.dialects.xianyu.bot import AccountSession
from trunkline.dialects.xianyu.market import Market, Talk
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.model.address import Chat

ME = "2200000000001"
BUYER = "2200000000002"
ITEM = "900000000001"
COOKIES = f"unb={ME}; cookie2=c; _m_h5_tk=0123456789abcdef_1"


def make_options(**more: Any) -> XianyuOptions:
    """Return the options of a line."""
    return XianyuOptions(
        **{"dialect": "xianyu", "cookies": COOKIES, "url": "ws://127.0.0.1/", **more}
    )


class Shop(PairHouse):
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
        super().__init__()
        self.options = make_options(**more)
        self.market = Market(self.clock, self.ids)
        self.seller = self.market.seller(ME)
        self._connect(answer, commit, is_text=True)

    def new_bot(self) -> AccountSession:
        return AccountSession(self.options, Opening("account", "", self.clock, self.ids))

    def new_platform(self) -> MarketSession:
        opening = Opening("market", "market", self.clock, self.ids)
        return MarketSession(self.options, opening, self.market)

    @property
    def token_calls(self) -> int:
        return sum("login.token" in fetch.url for fetch in self.fetches)

    def talk(self, buyer: str = BUYER, item: str = ITEM) -> Talk:
        return self.market.open_talk(self.seller, buyer, item)

    def says(self, words: str, talk: Talk | None = None) -> Talk:
        """A buyer says something, and it is pushed."""
        talk = talk or self.talk()
        self.pump.say(self.platform, Chat(ME, "chat", talk.ident), words)
        return talk

    @property
    def routes(self) -> list[str]:
        """The routes of what the bot has sent; an acknowledgement is `ack`."""
        return [json.loads(data).get("lwp", "ack") for data in self.bot.sent]

    @property
    def keeps(self) -> int:
        return sum(isinstance(effect, Keep) for effect in self.bot.effects)

    def http(self, request: Fetch) -> Any:
        return self.market.http(request)
