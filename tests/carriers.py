"""A house in which lines are carried, and frameworks that are a test's own links.

The dialect `bot` has a role that carries and nothing else: no session of it is ever opened here,
its links are `Framework`s, which note what they are shown and ask what a test has them ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from house import House
from origins import Endpoint
from trunkline.dialects.contract import Dialect, DoCarry, Sharing
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.model.address import Chat
from trunkline.model.capability import Traits
from trunkline.model.carrying import Carried
from trunkline.model.delivery import Delivery, Say
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import Segments, plain_text
from trunkline.model.segment import Text
from trunkline.store.contract import Store

SELF: Final = "10001"


class BotOptions(LineOptions):
    self_id: str = SELF


def _unused(*_: Any) -> Any:
    raise AssertionError("no session is opened here")


BOT: Final = Dialect(
    name="bot",
    options=BotOptions,
    roles=("implementation",),
    traits={"implementation": Traits(has_reply_expiry=False)},
    admit=_unused,
    open=_unused,
    seat_of=lambda chat: chat.account,
    delay_s=lambda cause, nth: 1.0,
    describe=lambda data: "",
    paths=lambda options: ("/bot",),
    listens=("implementation",),
    kinds=("private", "group"),
    carriers=("implementation",),
    account_of=lambda options: options.self_id,
)
LINES: Final[Mapping[str, Mapping[str, Any]]] = {
    "blog": {"dialect": "contact"},
    "core": {"dialect": "maim"},
    "bot": {"dialect": "bot", "carries": "core"},
    "blogbot": {"dialect": "bot", "carries": "blog", "self_id": "10002"},
}


def make_house(
    folder: Path,
    *,
    lines: Mapping[str, Mapping[str, Any]] = LINES,
    store: Store | None = None,
    **more: Any,
) -> House:
    clock = getattr(store, "_clock", None)
    return House(
        folder, lines=lines, store=store, clock=clock, dialects={**DIALECTS, "bot": BOT}, **more
    )


class Framework(Endpoint):
    """Who is on a carrying line."""

    def __init__(self, house: House, *, line: str = "bot", **more: Any) -> None:
        self.shown: list[tuple[Chat, Say]] = []
        account = house.lines[line].facts.account
        super().__init__(house, account, line=line, sharing=Sharing.JOIN, **more)

    def deliver(self, deliveries: Any) -> None:
        for one in deliveries:
            assert isinstance(one, Delivery)
            assert isinstance(one.what, Say)
            if self.can_send:
                self.shown.append((one.chat, one.what))
        super().deliver(deliveries)

    def words(self) -> list[str]:
        return [plain_text(say.segments) for _, say in self.shown]

    def begin(self, request: object) -> list[Any]:
        """Ask; return where the answer will be."""
        answers: list[Any] = []
        self.house.core.ask(self, request, answers.append)
        return answers

    async def ask(self, request: object) -> Any:
        answers = self.begin(request)
        await until(self.house, answers)
        (answer,) = answers
        return answer

    async def say_to(self, chat: Chat, words: str, **more: Any) -> Carried:
        return await self.ask(DoCarry(chat, (Text(words),), **more))


async def until(house: House, answers: list[Any], count: int = 1) -> None:
    """Let the house work until it has answered; outcomes do not wait for their timer."""
    async with asyncio.timeout(10):
        while len(answers) < count:
            await house.core.quiet()
            await house.core.dispatch.quiet()
            await asyncio.sleep(0)
    await house.quiet()


def told(
    words: str | Segments,
    chat: Chat,
    sender: str = "",
    *,
    key: bytes | None = None,
    peer_id: str = "",
    **more: Any,
) -> MessageReceived:
    """Return what a platform reports."""
    segments = (Text(words),) if isinstance(words, str) else words
    person = Person(sender, f"{sender}!") if sender else None
    return MessageReceived(chat, person, segments, key=key, peer_id=peer_id, **more)


def hear(link: Endpoint, event: MessageReceived) -> None:
    """Have a link report something."""
    link.house.core.offer(link, event, None, 10)
