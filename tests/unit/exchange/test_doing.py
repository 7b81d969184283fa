"""What sessions ask the house, and what links are told: takeover, watching, other tabs, history."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from house import ECHO, House, visitor
from trunkline.dialects.contract import (
    DoAnswer,
    DoBroadcast,
    DoClose,
    DoRelease,
    DoSend,
    DoTakeOver,
    DoWatch,
    Fetch,
    FindChat,
    FindChats,
    FindHistory,
    FindUnclear,
    Seat,
    Settled,
    Sharing,
    UnclearChat,
)
from trunkline.errors import LocalProtocolError, RemoteProtocolError, StoreUnavailable
from trunkline.exchange.extras import Post
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, DeliveryState, Outcome, Say
from trunkline.model.event import Fleeting, MessageReceived
from trunkline.model.history import HistoryItem, TakeoverChanged
from trunkline.model.message import parse_message, plain_text

ANN = Chat("", "visitor", "ann")


class Ear:
    """A link that sits somewhere and remembers what it is sent and told (`Origin`)."""

    def __init__(self, house: House, seat: Seat, line: str = "blog") -> None:
        self.house = house
        self.line = line
        self.seat: Seat | None = seat
        self.sent: list[str] = []
        self.contexts: list[bytes] = []
        self.told: list[Any] = []
        self.flushes = 0
        self.outcome = Outcome.SENT
        house.roster.take(self, seat)
        house.core.seated(self, seat)

    @property
    def can_send(self) -> bool:
        return self.seat is not None

    @property
    def is_ready(self) -> bool:
        return self.can_send

    def replaced(self) -> None: ...

    def committed(self, receipts: Sequence[Any], events: int, size_bytes: int) -> None: ...

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            assert isinstance(one.what, Say)
            self.sent.append(plain_text(one.what.segments))
            self.contexts.append(one.context)
            self.house.core.settled(self, Settled(one.id, self.outcome))

    def flush(self) -> None:
        self.flushes += 1

    def tell(self, chat: Chat, told: Any) -> None:
        self.told.append((chat.id, told))

    def say(self, text: str, chat: Chat = ANN, context: bytes = b"") -> None:
        event = MessageReceived(chat, None, parse_message(text), context=context)
        self.house.core.offer(self, event, None, 10)

    def leave(self) -> None:
        seat, self.seat = self.seat, None
        assert seat is not None
        if self.house.roster.leave(self, seat):
            self.house.core.unseated(self.line, seat)

    async def ask(self, request: object) -> Any:
        answers: list[object] = []
        self.house.core.ask(self, request, answers.append)
        await until(self.house, answers)
        (answer,) = answers
        return answer

    def items(self) -> list[tuple[str, str, str]]:
        """Return (chat, speaker, words) of the items told."""
        return [(ident, told.speaker, words(told)) for ident, told in self.told
                if isinstance(told, HistoryItem)]  # fmt: skip


async def until(house: House, answers: list[object]) -> None:
    """Let the house work until it has answered; outcomes do not wait for their timer."""
    async with asyncio.timeout(5):
        while not answers:
            await house.core.quiet()
            await house.core.dispatch.quiet()
            await asyncio.sleep(0)
    await house.quiet()


def words(item: HistoryItem) -> str:
    event = item.event
    return plain_text(event.segments if isinstance(event, MessageReceived) else item.segments)


def ann(house: House, *, is_brief: bool = False) -> Ear:
    return Ear(house, Seat("ann", sharing=Sharing.JOIN, is_brief=is_brief))


def operator(house: House, name: str = "op") -> Ear:
    return Ear(house, Seat(f"operator:{name}", sharing=Sharing.JOIN, is_brief=True, is_staff=True))


async def test_a_takeover_silences_and_a_release_ends_it(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        assert await op.ask(DoTakeOver(ANN, "Bo", 60)) is True
        assert tab.told == [("ann", TakeoverChanged(ANN, "Bo"))]
        tab.say("two")
        await house.quiet()
        facts = await op.ask(FindChat(ANN))
        assert (facts.taken_by, facts.taken_until_ms) == ("Bo", house.clock.now_ms() + 60_000)
        assert await op.ask(DoRelease(ANN)) is True
        tab.say("three")
        await house.quiet()
        assert tab.sent == ["收到：one", "收到：three"]
        assert [told.is_taken for _, told in tab.told] == [True, False]
        assert (await op.ask(FindChat(ANN))).taken_by == ""


async def test_a_takeover_survives_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path, rules=[ECHO])
    async with house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        await op.ask(DoTakeOver(ANN, "Bo"))
        clock = house.clock
    async with House(tmp_path, rules=[ECHO], clock=clock) as house:
        tab, op = ann(house), operator(house)
        tab.say("two")
        await house.quiet()
        assert tab.sent == []
        assert (await op.ask(FindChat(ANN))).taken_by == "Bo"


async def test_who_takes_over_and_does_not_answer_loses_the_chat(tmp_path: Path) -> None:
    """Contact 9.3: no operator action within 120 s while a visitor message waits."""
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        await op.ask(DoTakeOver(ANN, "Bo"))
        house.advance(200)  # nothing waits: the person has all the time of the takeover
        await house.keeper.step()
        await house.quiet()
        assert (await op.ask(FindChat(ANN))).taken_by == "Bo"
        tab.say("two")
        await house.quiet()
        house.advance(60)
        tab.say("two, again")  # the first message that waits counts
        await house.quiet()
        house.advance(59)
        await house.keeper.step()
        await house.quiet()
        assert (await op.ask(FindChat(ANN))).taken_by == "Bo"
        house.advance(2)
        await house.keeper.step()
        await house.quiet()
        assert (await op.ask(FindChat(ANN))).taken_by == ""
        assert tab.told[-1] == (
            "ann", TakeoverChanged(ANN, "Bo", is_taken=False, reason="no answer within 120 s"),
        )  # fmt: skip
        tab.say("three")
        await house.quiet()
        assert tab.sent == ["收到：one", "收到：three"]
        assert house.rows("select * from turn") == []


async def test_an_answer_of_the_person_keeps_the_chat(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        await op.ask(DoTakeOver(ANN, "Bo", 130))
        tab.say("two")
        await house.quiet()
        house.advance(100)
        assert isinstance(await op.ask(DoSend(ANN, parse_message("hello"), "Bo")), int)
        house.advance(100)
        await house.keeper.step()
        await house.quiet()
        facts = await op.ask(FindChat(ANN))
        assert facts.taken_until_ms == house.clock.now_ms() + 500_000  # extended by the message
        assert facts.taken_by == "Bo"
        assert tab.sent == ["收到：one", "hello"]
        assert msgspec.msgpack.decode(tab.contexts[1]) == {"operator": "Bo"}


async def test_taking_over_again_gives_the_person_time(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        await op.ask(DoTakeOver(ANN, "Bo"))
        tab.say("two")
        await house.quiet()
        house.advance(100)
        await op.ask(DoTakeOver(ANN, "Bo"))
        for step_s, name in ((30, "Bo"), (80, "Bo"), (11, "")):
            house.advance(step_s)
            await house.keeper.step()
            await house.quiet()
            assert (await op.ask(FindChat(ANN))).taken_by == name
        assert len(tab.told) == 2  # the second takeover by the same person is no news


async def test_what_a_person_says_waits_for_a_visitor_who_is_away(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        tab.leave()
        ident = await op.ask(DoSend(ANN, parse_message("are you there?"), "Bo"))
        found = await house.store.delivery(ident)
        assert found is not None
        assert found.row.state is DeliveryState.QUEUED
        back = ann(house)
        await house.quiet()
        assert back.sent == ["are you there?"]
        assert msgspec.msgpack.decode(back.contexts[0]) == {"operator": "Bo"}


async def test_what_the_owner_allowed_is_said_once_for_each_key(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        first = await op.ask(DoAnswer(ANN, parse_message("my resume"), "resume:1"))
        again = await op.ask(DoAnswer(ANN, parse_message("my resume"), "resume:1"))
        other = await op.ask(DoAnswer(ANN, parse_message("and again"), "resume:2"))
        await house.quiet()
        assert first == again != other
        assert tab.sent == ["收到：one", "my resume", "and again"]


async def test_it_leaves_although_answers_wait_for_a_person(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        house.lines["blog"].facts.mode = "draft"
        tab.say("one")
        await house.quiet()
        await op.ask(DoAnswer(ANN, parse_message("my resume"), "resume:1"))
        await house.quiet()
        assert tab.sent == ["my resume"]


async def test_it_is_not_said_while_the_line_is_off_or_a_person_has_the_chat(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        request = DoAnswer(ANN, parse_message("my resume"), "resume:1")
        house.lines["blog"].facts.mode = "off"
        assert isinstance(await op.ask(request), RemoteProtocolError)
        house.lines["blog"].facts.mode = "auto"
        await op.ask(DoTakeOver(ANN, "Bo", 130))
        assert isinstance(await op.ask(request), RemoteProtocolError)
        await op.ask(DoRelease(ANN))
        assert isinstance(await op.ask(request), int)


async def test_nobody_is_sent_what_he_cannot_get(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        op = operator(house)
        assert isinstance(await op.ask(DoSend(ANN, parse_message("x"))), RemoteProtocolError)
        brief = ann(house, is_brief=True)
        brief.say("one")
        await house.quiet()
        brief.leave()
        assert isinstance(await op.ask(DoSend(ANN, parse_message("x"))), RemoteProtocolError)
        for request in (DoTakeOver(Chat("", "visitor", "nobody")), DoRelease(Chat("", "v", "n"))):
            assert isinstance(await op.ask(request), RemoteProtocolError)
        assert isinstance(await op.ask(Fetch("GET", "http://192.0.2.1/")), LocalProtocolError)


async def test_a_reply_to_a_visitor_who_can_come_back_waits(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        for is_brief, state in ((True, DeliveryState.EXPIRED), (False, DeliveryState.QUEUED)):
            who = Chat("", "visitor", f"ann{is_brief}")
            tab = Ear(house, Seat(who.id, sharing=Sharing.JOIN, is_brief=is_brief))
            tab.say("one", who)
            tab.leave()
            await house.quiet()
            rows = house.rows("select state from outbox order by id desc limit 1")
            assert rows == [(state,)]


async def test_a_plain_visitor_who_opts_in_can_be_reached_later(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house, is_brief=True), operator(house)
        tab.say("one")
        await house.quiet()
        tab.leave()
        tab = ann(house)  # the same seat, to stay
        tab.say("two")
        await house.quiet()
        tab.leave()
        tab_less = await op.ask(DoSend(ANN, parse_message("later")))
        assert isinstance(tab_less, int)


async def test_other_tabs_see_the_visitors_own_words_and_every_answer(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        first, second = ann(house), ann(house)
        other = Ear(house, Seat("bea", sharing=Sharing.JOIN))
        first.say("hi", context=b"ctx")
        await house.quiet()
        assert first.sent == second.sent == ["收到：hi"]
        assert second.items() == [("ann", "user", "hi")]
        assert second.told[0][1].context == b"ctx"
        assert first.told == other.told == []
        second.leave()
        first.say("again")
        await house.quiet()
        assert first.sent == ["收到：hi", "收到：again"]
        assert len(second.told) == 1
        assert not house.roster.shared


async def test_a_repeat_is_not_told_twice(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        first, second = ann(house), ann(house)
        event = MessageReceived(ANN, None, parse_message("hi"), key=b"k")
        for _ in range(2):
            house.core.offer(first, event, None, 10)
            await house.quiet()
        assert len(second.items()) == 1


async def test_who_watches_is_told_everything_until_she_stops(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op, quiet = ann(house), operator(house), operator(house, "other")
        assert await op.ask(DoWatch(ANN)) is True
        tab.say("hi")
        await house.quiet()
        house.core.pass_on(tab, Fleeting(ANN, "typing"))
        await op.ask(DoSend(ANN, parse_message("I am here"), "Bo"))
        await op.ask(DoTakeOver(ANN, "Bo"))
        assert op.items() == [
            ("ann", "user", "hi"), ("ann", "assistant", "收到：hi"),
            ("ann", "operator", "I am here"),
        ]  # fmt: skip
        kinds = [type(told) for _, told in op.told]
        assert kinds == [HistoryItem, HistoryItem, Fleeting, HistoryItem, TakeoverChanged]
        assert op.told[3][1].name == "Bo"
        assert op.flushes
        assert quiet.told == []
        assert await op.ask(DoWatch(ANN, is_on=False)) is True
        tab.say("more")
        await house.quiet()
        assert len(op.told) == 5


async def test_typing_of_a_person_reaches_the_visitor(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        tab, op = ann(house), operator(house)
        house.core.pass_on(op, Fleeting(ANN, "typing"))
        assert tab.told == [("ann", Fleeting(ANN, "typing"))]
        house.core.pass_on(tab, Fleeting(ANN, "typing"))
        assert (len(tab.told), op.told) == (1, [])  # not back to who types


async def test_a_link_watches_64_chats_and_a_dead_one_none(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        op = operator(house)
        for n in range(64):
            assert await op.ask(DoWatch(Chat("", "visitor", str(n)))) is True
        assert await op.ask(DoWatch(Chat("", "visitor", "0"))) is True
        assert isinstance(await op.ask(DoWatch(ANN)), RemoteProtocolError)
        op.leave()
        await operator(house, "next").ask(DoWatch(ANN))
        telling = house.core.doing.telling
        assert list(telling._watching) != [op]
        assert len(telling._watched) == 1


async def test_history_says_who_spoke_and_pages_back(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        for n in range(3):
            tab.say(f"q{n}", context=b"c%d" % n)
            await house.quiet()
        await op.ask(DoSend(ANN, parse_message("person"), "Bo"))
        await op.ask(DoBroadcast(parse_message("all")))
        history = await tab.ask(FindHistory(ANN))
        assert [(item.speaker, words(item), item.context, item.name) for item in history.items] == [
            ("user", "q0", b"c0", ""), ("assistant", "收到：q0", b"c0", ""),
            ("user", "q1", b"c1", ""), ("assistant", "收到：q1", b"c1", ""),
            ("user", "q2", b"c2", ""), ("assistant", "收到：q2", b"c2", ""),
            ("operator", "person", b"", "Bo"), ("system", "all", b"", ""),
        ]  # fmt: skip
        assert {item.state for item in history.items} == {"", "sent"}
        assert not history.has_more
        piece = await tab.ask(FindHistory(ANN, limit=2))
        assert piece.has_more
        before = await tab.ask(FindHistory(ANN, before=piece.items[0].id, limit=1))
        assert [words(item) for item in before.items] == ["收到：q2"]
        assert before.items[0].context == b"c2"  # its question is on no page
        assert (await tab.ask(FindHistory(Chat("", "visitor", "nobody")))).items == ()


async def test_a_chat_of_another_line_is_another_chat(tmp_path: Path) -> None:
    lines = {"blog": {"dialect": "contact"}, "shop": {"dialect": "contact", "path": "/shop"}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        tab = ann(house)
        tab.say("secret")
        await house.quiet()
        op = Ear(house, Seat("operator:x", sharing=Sharing.JOIN, is_staff=True), "shop")
        assert (await op.ask(FindHistory(ANN))).items == ()
        assert not (await op.ask(FindChat(ANN))).exists
        assert await op.ask(FindChats()) == ()
        assert isinstance(await op.ask(DoTakeOver(ANN)), RemoteProtocolError)
        await op.ask(DoWatch(ANN))
        tab.say("more")
        await house.quiet()
        assert op.told == []


async def test_chats_in_which_something_became_unclear_of_late(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        other = Ear(house, Seat("bea", sharing=Sharing.JOIN))
        bea = Chat("", "visitor", "bea")
        assert await op.ask(FindUnclear()) == ()
        tab.outcome = other.outcome = Outcome.UNCERTAIN
        times: list[int] = []
        for ear, chat in ((tab, ANN), (other, bea), (tab, ANN)):
            ear.say("hi", chat)
            await house.quiet()
            times.append(house.clock.now_ms())
            house.advance(10)
        tab.outcome = Outcome.SENT
        tab.say("fine")
        await house.quiet()
        # The newest first, each with the time of its oldest one.
        assert await op.ask(FindUnclear()) == (
            UnclearChat(ANN, times[0]), UnclearChat(bea, times[1]),
        )  # fmt: skip
        assert await op.ask(FindUnclear(since_ms=times[1])) == (
            UnclearChat(ANN, times[2]), UnclearChat(bea, times[1]),
        )  # fmt: skip
        assert await op.ask(FindUnclear(limit=1)) == (UnclearChat(ANN, times[2]),)
        assert await op.ask(FindUnclear(since_ms=house.clock.now_ms())) == ()


async def test_chats_with_what_is_unread(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        bea = Chat("", "visitor", "bea")
        other = Ear(house, Seat("bea", sharing=Sharing.JOIN))
        for text in ("one", "two"):
            tab.say(text)
        other.say("three", bea)
        await house.quiet()
        house.advance(1)
        other.leave()
        chats = await op.ask(FindChats())
        assert [(one.chat.id, one.unread, one.is_online) for one in chats] == [
            ("bea", 1, False), ("ann", 2, True),
        ]  # fmt: skip
        assert chats[1].exists
        assert words(chats[1].last) == "收到：two"
        await op.ask(DoWatch(ANN))
        assert [one.unread for one in await op.ask(FindChats())] == [1, 0]
        await op.ask(DoWatch(ANN, is_on=False))
        house.advance(1)
        tab.say("four")
        await house.quiet()
        assert [one.unread for one in await op.ask(FindChats())] == [1, 1]
        await op.ask(DoSend(ANN, parse_message("answer")))
        assert [one.unread for one in await op.ask(FindChats(limit=1))] == [0]


class Asker:
    """A session that asked something."""

    wake_at = None

    def __init__(self, answers: list[object]) -> None:
        self._answers = answers

    def answered(self, tag: object, answer: object) -> Sequence[Any]:
        self._answers.append((tag, answer))
        return ()

    def lost(self, error: object) -> Sequence[Any]:
        return ()


async def test_closing_a_chat_closes_its_links_and_not_the_askers(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        peer, other = visitor(house), visitor(house)
        line = house.lines["blog"]
        drivers = list(line.drivers)
        seat = drivers[0].seat
        assert seat is not None
        answers: list[object] = []
        drivers[1]._asks["t"] = None
        drivers[1].session = Asker(answers)  # type: ignore[assignment]  # all that is asked of it
        line.ask(drivers[1], "t", DoClose(Chat("", "visitor", seat.key)))
        peer.pump()
        other.pump()
        assert answers == [("t", 1)]
        assert "1000" in str(peer.closed_with)
        assert other.closed_with is None


async def test_a_broadcast_reaches_each_visitor_once(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        tabs = [Ear(house, Seat(f"v{n}", sharing=Sharing.JOIN, is_brief=n < 5)) for n in range(10)]
        second = Ear(house, Seat("v9", sharing=Sharing.JOIN))
        op = operator(house)
        assert await op.ask(DoBroadcast(parse_message("hello all"))) == (10, 0)
        assert [tab.sent for tab in (*tabs, second)] == [["hello all"]] * 11
        assert msgspec.msgpack.decode(tabs[0].contexts[0]) == {"broadcast": True}
        assert op.sent == []
        item = (await op.ask(FindHistory(Chat("", "visitor", "v3")))).items[0]
        assert item.speaker == "system"


async def test_a_broadcast_counts_who_vanishes(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        tabs = [Ear(house, Seat(f"v{n}", sharing=Sharing.JOIN, is_brief=True)) for n in range(6)]
        op = operator(house)
        answers: list[object] = []
        house.core.ask(op, DoBroadcast(parse_message("bye")), answers.append)
        await asyncio.sleep(0)  # it has chosen its chats
        for tab in tabs[:2]:
            tab.leave()
        await until(house, answers)
        assert answers == [(4, 2)]
        assert house.rows("select distinct reason from outbox where state = 7") == [
            ("the visitor left",)
        ]


async def test_a_store_that_is_away_is_said(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO]) as house:
        tab, op = ann(house), operator(house)
        tab.say("one")
        await house.quiet()
        house.core.is_disk_low = True
        assert isinstance(await op.ask(DoSend(ANN, parse_message("x"))), StoreUnavailable)
        assert isinstance(await op.ask(DoBroadcast(parse_message("x"))), StoreUnavailable)


async def test_a_fault_of_ours_is_an_answer_too(tmp_path: Path, monkeypatch: Any) -> None:
    async with House(tmp_path) as house:
        op = operator(house)

        async def fail(*_: object) -> None:
            raise RuntimeError("boom")

        monkeypatch.setattr(house.store, "find_conversations", fail)
        assert isinstance(await op.ask(FindChat(ANN)), LocalProtocolError)
        assert house.troubles[0][0] == "answer request"


async def test_no_more_than_256_requests_at_once(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        op = operator(house)
        answers: list[object] = []
        for _ in range(257):
            house.core.ask(op, FindChat(ANN), answers.append)
        assert [type(one) for one in answers] == [StoreUnavailable]
        await house.quiet()
        assert len(answers) == 257
        assert await op.ask(FindChat(ANN)) is not None


async def test_a_post_planned_after_a_brief_visitor_left_expires(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        tab = ann(house, is_brief=True)
        tab.leave()
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        house.core.post(
            Post(("blog", "", "visitor", "ann"), parse_message("x"), "api", "", 0, done,
                 is_brief=True)
        )  # fmt: skip
        await house.quiet()
        found = await house.store.delivery(done.result())
        assert found is not None
        assert found.row.state is DeliveryState.EXPIRED


@pytest.mark.parametrize("debounce_s", [0.0, 1.0])
async def test_a_debounced_message_waits_for_the_person_too(
    tmp_path: Path, debounce_s: float
) -> None:
    lines = {"blog": {"dialect": "contact", "debounce_s": debounce_s}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        tab, op = ann(house), operator(house)

        async def go(seconds: float) -> None:
            for _ in range(2):
                house.advance(seconds / 2)
                await house.keeper.step()
                await house.quiet()

        tab.say("one")
        await house.quiet()
        await go(3)
        await op.ask(DoTakeOver(ANN, "Bo"))
        tab.say("two")
        await house.quiet()
        await go(3)
        assert tab.sent == ["收到：one"]
        await go(100)
        assert (await op.ask(FindChat(ANN))).taken_by == "Bo"
        await go(40)
        assert (await op.ask(FindChat(ANN))).taken_by == ""
        assert tab.told[-1][1].is_taken is False


async def test_a_request_whose_task_never_begins_leaves_nothing_behind(tmp_path: Path) -> None:
    """Found by the simulation: "coroutine was never awaited" when a process stops just then."""
    async with House(tmp_path, rules=[ECHO]) as house:
        answers: list[object] = []
        house.core.doing.ask(operator(house), FindChat(ANN), answers.append)
        (task,) = house._short
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        house._short.clear()
        del task
        gc.collect()
        assert answers == []
