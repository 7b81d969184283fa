"""An account and the gateway on one link in memory, with the site's calls answered at once."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from pairhouse import PairHouse
from trunkline.dialects.boss.bot import AccountSession
from trunkline.dialects.boss.gateway import Account, Gateway, Peer
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.platform import GatewaySession
from trunkline.dialects.contract import DoAnswer, Fetch, FindUnclear, Opening, UnclearChat
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome
from trunkline.wire.mqtt_packets import Packet, Quirks
from trunkline.wire.mqtt_stream import Broken, Reader

LOGIN = "wt=login-of-a-test-account; bst=call-token-0123456789"
PEER = 700_300_400
NOW_MS = 1_791_470_007_797
QUIRKS = Quirks(
    long_puback=True,
    suback_without_codes=True,
    nonzero_flags=True,
    nonminimal_length=True,
    reserved_types=True,
)


def make_options(**more: Any) -> BossOptions:
    """Return the options of a line."""
    return BossOptions(
        **{
            "dialect": "boss", "cookies": LOGIN, "url": "ws://127.0.0.1/chatws",
            "http_url": "http://127.0.0.1", "send_gap_s": 0, **more,
        }
    )  # fmt: skip


def packets(data: list[bytes]) -> list[Packet | Broken]:
    """Return the packets of what one side has written."""
    return Reader(QUIRKS).feed(b"".join(data))


class Office(PairHouse):
    """An account's line and a gateway.

    Args:
        answer: the words with which a message is answered; None = none.
        commit: as of `Pump`.
        picture: of `resume_image`.
    """

    def __init__(
        self,
        *,
        answer: Callable[[str], str | None] = lambda _words: None,
        commit: Any = "at_once",
        picture: bytes = b"",
        **more: Any,
    ) -> None:
        super().__init__(NOW_MS)
        self.options = make_options(**more).with_picture(picture)
        self.gateway = Gateway(self.clock, self.ids)
        self.account: Account = self._account()
        self.asked: list[DoAnswer] = []
        self.unclear: tuple[UnclearChat, ...] = ()  # what the store says of earlier runs
        self.hold: Callable[[Fetch], bool] = lambda _fetch: False
        self.held: deque[Any] = deque()
        self._connect(answer, commit, is_text=False)

    def _account(self) -> Account:
        found = self.gateway.account(LOGIN)
        assert found is not None
        return found

    def new_bot(self) -> AccountSession:
        return AccountSession(self.options, Opening("account", "", self.clock, self.ids))

    def new_platform(self) -> GatewaySession:
        opening = Opening("gateway", "gateway", self.clock, self.ids)
        return GatewaySession(self.options, opening, self.gateway)

    @property
    def desk(self) -> GatewaySession:
        session = self.platform.session
        assert isinstance(session, GatewaySession)
        return session

    @property
    def peer(self) -> Peer:
        return self.account.peer(PEER, "测试HR")

    @property
    def chat(self) -> Chat:
        return Chat(str(self.account.uid), "user", str(PEER))

    def kept_cmid(self) -> int:
        """Return our id of the last message that the gateway took."""
        return next(reversed(self.account.cmids))

    def calls(self, path: str) -> list[Fetch]:
        """Return the calls of one path."""
        return [fetch for fetch in self.fetches if path in fetch.url]

    def does(self, do: Callable[[GatewaySession], Any]) -> None:
        """Have the gateway's session do something now."""
        desk = self.desk
        self.pump._do(self.platform, desk._out(do(desk)))
        self.pump.run()

    def says(self, words: str, peer: Peer | None = None) -> int:
        """Somebody says something, and it is pushed; return its server id."""
        mid = self.gateway.say_text(self.account, peer or self.peer, words)
        self.does(lambda desk: desk.push_new())
        return mid

    def send(self, words: Any, chat: Chat | None = None, context: bytes = b"") -> DeliveryId:
        """A person sends something from the line."""
        ident = self.pump.say(self.bot, chat or self.chat, words, context)
        self.pump.run()
        return ident

    def act(self, name: str, **data: Any) -> DeliveryId:
        """Do an action."""
        ident = DeliveryId(self.pump.ids.next())
        what = Act(name, json.dumps(data).encode())
        self.pump.deliver(self.bot, Delivery(ident, self.chat, what))
        self.pump.run()
        return ident

    def outcome(self, ident: DeliveryId) -> Outcome | None:
        """Return what became of a delivery, None while nobody knows."""
        settled = self.bot.settled.get(ident)
        return settled.outcome if settled is not None else None

    @property
    def heard(self) -> list[str]:
        """What the gateway has taken."""
        return [words for _, words in self.account.heard]

    def http(self, request: Fetch) -> Any:
        return self.gateway.http(request)

    def _find(self, request: Any) -> Any:
        if isinstance(request, DoAnswer):
            self.asked.append(request)
            return DeliveryId(1)
        if isinstance(request, FindUnclear):
            return self.unclear
        return super()._find(request)
