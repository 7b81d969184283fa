"""The exchange in memory: acknowledged when in the queue, bounded, repeats shown once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trunkline.dialects.contract import (
    DoBroadcast,
    FindChat,
    FindChats,
    FindHistory,
    FindUnclear,
    Settled,
)
from trunkline.embed.inbox import KEYS, Inbox
from trunkline.errors import LinkError, LocalProtocolError
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Outcome
from trunkline.model.event import Fleeting, MessageReceived
from trunkline.model.history import ChatFacts, History
from trunkline.model.segment import Text

CHAT = Chat("qq", "private", "1")


class Ear:
    """An origin that notes what it is told."""

    line = "maim"
    seat = None
    can_send = is_ready = True

    def __init__(self) -> None:
        self.receipts: list[Any] = []
        self.events = 0
        self.size_bytes = 0
        self.flushes = 0

    def committed(self, receipts: Any, events: int, size_bytes: int) -> None:
        self.receipts += receipts
        self.events += events
        self.size_bytes += size_bytes

    def flush(self) -> None:
        self.flushes += 1

    def deliver(self, deliveries: Any) -> None:
        raise AssertionError

    def tell(self, chat: Any, told: Any) -> None:
        raise AssertionError


def said(text: str, key: bytes | None = None, chat: Chat = CHAT) -> MessageReceived:
    return MessageReceived(chat, None, (Text(text),), key, context=b"c" + text.encode())


def make(limit: int = 2) -> Inbox:
    return Inbox(limit, lambda _origin, _seat: None)


async def turn() -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.call_soon(done.set)
    await done.wait()


async def words(inbox: Inbox) -> str:
    arrival = await inbox.take()
    assert arrival is not None
    return arrival.event.segments[0].text  # type: ignore[union-attr]


async def _acknowledged_when_queued():
    inbox, ear = make(), Ear()
    for n in range(4):
        inbox.offer(ear, said(str(n)), n, 10)
    assert ear.receipts == []  # not inside the read
    await turn()
    assert (ear.receipts, ear.events, ear.size_bytes, ear.flushes) == ([0, 1], 2, 20, 1)
    assert inbox.is_full
    assert await words(inbox) == "0"
    await turn()
    assert ear.receipts == [0, 1, 2]
    assert [await words(inbox) for _ in range(2)] == ["1", "2"]
    await turn()
    assert ear.receipts == [0, 1, 2, 3]
    assert await words(inbox) == "3"
    assert not inbox.is_full


async def _repeats():
    inbox, ear = make(limit=9), Ear()
    inbox.offer(ear, said("a", b"k"), 1, 1)
    inbox.offer(ear, said("a", b"k"), 2, 1)
    inbox.offer(ear, said("b", b"k", Chat("qq", "private", "2")), 3, 1)
    inbox.offer(ear, said("c"), 4, 1)
    inbox.offer(ear, said("c"), 5, 1)
    await turn()
    assert ear.receipts == [1, 2, 3, 4, 5]
    assert [await words(inbox) for _ in range(4)] == ["a", "b", "c", "c"]
    assert inbox.duplicates == 1


async def _keys_are_bounded():
    inbox, ear = make(limit=3 * KEYS), Ear()
    for n in range(KEYS + 1):
        inbox.offer(ear, said("x", b"%d" % n), None, 0)
    inbox.offer(ear, said("again", b"0"), None, 0)
    await turn()
    assert inbox.duplicates == 0
    assert ear.receipts == []


async def _ends():
    inbox, ear = make(), Ear()
    inbox.offer(ear, said("read"), 1, 1)
    await turn()
    inbox.end()
    inbox.offer(ear, said("late"), 2, 1)
    await turn()
    assert ear.receipts == [1]  # what came after the end is nobody's
    assert await words(inbox) == "read"
    assert await inbox.take() is None
    inbox.end(LinkError("gone"))
    with pytest.raises(LinkError, match="gone"):
        await inbox.take()
    inbox.reopen()
    assert await words(inbox) == "late"
    assert ear.receipts == [1, 2]


async def _a_waiting_reader_is_woken():
    inbox = make()
    reader = asyncio.ensure_future(inbox.take())
    await turn()
    inbox.pass_on(Ear(), Fleeting(CHAT, "typing"))
    arrival = await reader
    assert arrival is not None
    assert arrival.event == Fleeting(CHAT, "typing")
    for _ in range(5):
        inbox.pass_on(Ear(), Fleeting(CHAT, "typing"))
    assert inbox.dropped == 3


async def _fates():
    inbox, ear = make(), Ear()
    one = inbox.expect(DeliveryId(1), 2)
    inbox.settled(ear, Settled(DeliveryId(1), Outcome.UNCERTAIN))
    assert not one.done()
    inbox.settled(ear, Settled(DeliveryId(1), Outcome.CONFIRMED))
    inbox.settled(ear, Settled(DeliveryId(1), Outcome.CONFIRMED))
    assert (await one).outcome is Outcome.CONFIRMED
    both = inbox.expect(DeliveryId(2), 2)
    inbox.settled(ear, Settled(DeliveryId(2), Outcome.LATER))
    inbox.settled(ear, Settled(DeliveryId(2), Outcome.REFUSED))
    assert (await both).outcome is Outcome.REFUSED
    inbox.forget(DeliveryId(2))
    inbox.settled(ear, Settled(DeliveryId(2), Outcome.SENT))


async def _frames_without_events_keep_their_place():
    inbox, ear = make(), Ear()
    inbox.keeps_frames = inbox.keeps_lone_frames = True
    inbox.hear(b"1")
    inbox.hear(b"2")
    inbox.offer(ear, said("x"), 7, 0)
    inbox.hear(b"3")
    await turn()
    arrivals = [await inbox.take() for _ in range(2)]
    assert [(one.event is None, one.frame) for one in arrivals if one] == [
        (True, b"1"), (False, b"2"),
    ]  # fmt: skip
    assert ear.receipts == [7]
    assert (inbox.dropped, inbox.is_full) == (1, False), "there was no place for the third"
    inbox.keeps_lone_frames = False
    inbox.hear(b"4")
    inbox.hear(b"5")
    await turn()
    inbox.end()
    assert await inbox.take() is None


def _asked():
    inbox, answers = make(), []
    for request in (FindChat(CHAT), FindHistory(CHAT), FindChats(), FindUnclear(), DoBroadcast(())):
        inbox.ask(Ear(), request, answers.append)
    assert answers[:4] == [ChatFacts(CHAT), History(), (), ()]
    assert isinstance(answers[4], LocalProtocolError)


@pytest.mark.parametrize(
    "story",
    [
        _acknowledged_when_queued, _repeats, _keys_are_bounded, _ends,
        _a_waiting_reader_is_woken, _fates, _frames_without_events_keep_their_place,
    ],
)  # fmt: skip
def test_inbox(story):
    asyncio.run(story(), debug=True)


def test_there_is_no_store_to_ask():
    _asked()


def test_contexts_and_kept_states_are_remembered():
    async def story():
        inbox, ear = make(), Ear()
        inbox.offer(ear, said("x"), None, 0)
        await turn()
        assert inbox.contexts == {CHAT: b"cx"}
        inbox.keep(ear, "", b"token")
        assert inbox.kept == {("maim", ""): b"token"}

    asyncio.run(story())
