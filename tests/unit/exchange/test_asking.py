"""Asking outside: nothing else waits, each message is answered once and in order."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from askhouse import SORRY, AskHouse, Gate, failing, said
from house import chat, kinds, maim, texts, visitor
from trunkline.clock import FakeClock
from trunkline.errors import StoreUnavailable
from trunkline.exchange import asking
from trunkline.exchange.asking import AGAIN_MS, MAX_ATTEMPTS, MAX_RUNNING, MAX_WAITING
from trunkline.ids import InboxId
from trunkline.model.asking import Failed
from trunkline.pipeline.rulebook import DefaultSpec, RuleSpec
from trunkline.pipeline.trace import decode_trace
from trunkline.store.contract import Beat, Committed, InboxState
from trunkline.store.sqlite import SqliteStore

PRICE = RuleSpec("price", ("价格",), reply="十元")
MAIM = {"core": {"dialect": "maim"}}


def why(house: Any) -> list[Any]:
    rows = house.rows("select why from inbox order by id")
    return [decode_trace(row[0]) for row in rows]


async def test_hanging_models_delay_no_rule_of_another_conversation(tmp_path: Path) -> None:
    gate = Gate("答：{}")
    async with AskHouse(tmp_path, model=gate, rules=[PRICE]) as house:
        asking_peers = [visitor(house) for _ in range(MAX_RUNNING + 4)]
        for nth, peer in enumerate(asking_peers):
            peer.say(chat(f"问题{nth}"))
        await house.until(lambda: gate.running == MAX_RUNNING)
        assert len(gate.asked) == MAX_RUNNING  # the other four wait
        for peer in asking_peers:
            assert kinds(peer.frames()) == ["chat_message_received"]  # never waits for the answer
        other = visitor(house)
        for _ in range(3):
            other.say(chat("价格"))
            await house.quiet()
            assert kinds(other.frames()) == ["chat_message_received", "chat_message"]
        assert gate.running == MAX_RUNNING
        states = house.rows("select state, count(*) from inbox group by state order by state")
        assert states == [(InboxState.WAITING, MAX_RUNNING + 4), (InboxState.DONE, 3)]
        assert house.rows("select distinct kind, attempts from turn") == [("asking", 1)]
        gate.open()
        await house.rest()
        for nth, peer in enumerate(asking_peers):
            assert said(peer.frames()) == [f"答：问题{nth}"]
        assert gate.most == MAX_RUNNING
        assert house.rows("select count(*) from turn") == [(0,)]
        for peer in asking_peers:
            peer.say(chat("再问"))
        await house.rest()  # every place is free again
        assert all(said(peer.frames()) == ["答：再问"] for peer in asking_peers)
        assert house.troubles == []


async def test_answers_of_a_conversation_keep_the_order_of_its_questions(tmp_path: Path) -> None:
    gate = Gate("答：{}")
    async with AskHouse(tmp_path, model=gate, rules=[PRICE]) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.until(lambda: gate.running)
        peer.say(chat("价格"), chat("二"))
        await house.quiet()
        peer.say(chat("价格"))
        await house.quiet()
        assert kinds(peer.frames()) == ["chat_message_received"] * 4
        assert gate.texts == ["一"]
        gate.open()
        await house.rest()
        assert said(peer.frames()) == ["答：一", "十元", "答：二", "十元"]
        assert gate.texts == ["一", "二"]
        assert house.rows("select distinct state from inbox") == [(InboxState.DONE,)]
        assert house.rows("select count(*) from turn") == [(0,)]
        peer.say(chat("价格"))  # nothing is left behind: it is answered with its own beat
        await house.quiet()
        assert said(peer.frames()) == ["十元"]
        assert not house.core.asking


async def test_two_questions_in_one_read_are_asked_one_after_the_other(tmp_path: Path) -> None:
    gate = Gate("答：{}")
    async with AskHouse(tmp_path, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("一"), chat("二"), chat("三"))
        await house.until(lambda: gate.running)
        assert gate.texts == ["一"]
        gate.open()
        await house.rest()
        assert said(peer.frames()) == ["答：一", "答：二", "答：三"]
        assert gate.most == 1


async def test_what_is_no_question_does_not_wait_behind_one(tmp_path: Path) -> None:
    gate = Gate("答")
    async with AskHouse(tmp_path, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.until(lambda: gate.running)
        peer.say(
            {"type": "contact_request", "message": "call", "userAgent": "x",
             "timestamp": "2025-01-01T12:00:00"}
        )  # fmt: skip
        await house.quiet()
        assert kinds(peer.frames()) == ["chat_message_received", "contact_request_received"]
        done = house.rows("select kind from inbox where state = ?", InboxState.DONE)
        assert done == [(2,)]


async def test_a_takeover_while_asking_leaves_the_answer_unsaid(tmp_path: Path) -> None:
    gate = Gate("答")
    async with AskHouse(tmp_path, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.until(lambda: gate.running)
        (key,) = house.core.conversations._states
        state = house.core.conversations.get(key)
        assert state is not None
        taken = msgspec.structs.replace(state, taken_until_ms=house.clock.now_ms() + 60_000)
        house.core.conversations.put(key, taken)
        gate.open()
        await house.rest()
        assert said(peer.frames()) == []
        assert house.rows("select count(*) from outbox") == [(0,)]
        assert why(house)[0][-1].stage == "takeover"


async def test_a_restart_while_asking_answers_once(tmp_path: Path) -> None:
    hanging = Gate("答：{}")
    async with AskHouse(tmp_path, model=hanging, lines=MAIM) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("一", "m1"), maim("二", "m2"))
        await house.until(lambda: hanging.running)
        clock = house.clock
    gate = Gate("答：{}").open()
    async with AskHouse(tmp_path, model=gate, lines=MAIM, clock=clock) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("三", "m3"), maim("一", "m1"))  # one more, and one that is repeated
        await house.quiet()
        await house.keeper.step()
        await house.quiet()
        assert gate.asked == []  # not due yet
        house.advance(AGAIN_MS / 1000)
        await house.keeper.step()
        await house.rest()
        assert texts(qq.frames()) == ["答：一", "答：二", "答：三"]
        assert gate.texts == ["一", "二", "三"]
        await house.keeper.step()
        await house.rest()
        assert qq.frames() == []
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_a_message_that_ends_the_process_is_asked_three_times_only(tmp_path: Path) -> None:
    clock = None
    defaults = [DefaultSpec("默认")]
    for attempt in range(1, MAX_ATTEMPTS + 1):
        hanging = Gate("答")
        async with AskHouse(
            tmp_path, model=hanging, lines=MAIM, clock=clock, defaults=defaults
        ) as house:
            clock = house.clock
            qq = house.connect("core", headers={"platform": "qq"})
            if attempt == 1:
                qq.say(maim("一", "m1"))
            else:
                house.advance(AGAIN_MS / 1000)
                await house.keeper.step()
            await house.until(lambda gate=hanging: gate.running)
            assert house.rows("select attempts from turn") == [(attempt,)]
    gate = Gate("答").open()
    async with AskHouse(tmp_path, model=gate, lines=MAIM, clock=clock, defaults=defaults) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        house.advance(AGAIN_MS / 1000)
        await house.keeper.step()
        await house.rest()
        assert gate.asked == []
        assert texts(qq.frames()) == ["默认"]
        step = why(house)[0][0]
        assert (step.stage, step.detail[1]) == ("model", "attempts")
        qq.say(maim("二", "m2"))  # the next message is asked again
        await house.rest()
        assert gate.texts == ["二"]


async def test_above_the_bound_the_stage_fails_and_passes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MAX_WAITING", 2)
    gate = Gate("答：{}")
    defaults = [DefaultSpec("默认")]
    async with AskHouse(tmp_path, model=gate, lines=MAIM, defaults=defaults) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        people = MAX_RUNNING + 2
        qq.say(*(maim(f"问{n}", f"m{n}", user=f"u{n}") for n in range(people + 3)))
        await house.until(lambda: gate.running == MAX_RUNNING)
        assert texts(qq.frames()) == ["默认"] * 3  # at once, with the beat of their messages
        for trace in why(house)[people:]:
            assert (trace[0].stage, trace[0].detail[1]) == ("model", "ai_overload")
        gate.open()
        await house.rest()
        assert sorted(texts(qq.frames())) == sorted(f"答：问{n}" for n in range(people))


def test_the_bounds_are_those_of_the_contract() -> None:
    assert (MAX_RUNNING, MAX_WAITING, MAX_ATTEMPTS) == (16, 256, 3)  # reliability 1 and 2


async def test_a_model_that_fails_is_excused_once_on_a_site(tmp_path: Path) -> None:
    async with AskHouse(tmp_path, model=failing("throttled")) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.rest()
        assert said(peer.frames()) == [SORRY]
        step = why(house)[0][0]
        assert (step.stage, step.verdict, step.detail[1]) == ("model", "pass", "throttled")


async def test_a_later_stage_answers_before_the_excuse(tmp_path: Path) -> None:
    defaults = [DefaultSpec("默认")]
    async with AskHouse(tmp_path, model=failing(), defaults=defaults) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.rest()
        assert said(peer.frames()) == ["默认"]


async def test_off_a_site_a_model_that_fails_is_silent(tmp_path: Path) -> None:
    async with AskHouse(tmp_path, model=failing(), lines=MAIM) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("一"))
        await house.rest()
        assert qq.frames() == []
        assert house.rows("select state from inbox") == [(InboxState.DONE,)]


async def test_who_raises_when_asked_has_failed_and_nothing_else_happens(tmp_path: Path) -> None:
    def broken(_: object) -> Failed:
        raise ValueError("our own fault")

    async with AskHouse(tmp_path, model=Gate(broken).open()) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.rest()
        assert said(peer.frames()) == [SORRY]
        assert [action for action, _ in house.troubles] == ["ask model"]
        peer.say(chat("二"))  # the lane is free again
        await house.rest()
        assert said(peer.frames()) == [SORRY]


async def test_a_message_dropped_by_a_person_while_asking_is_not_answered(tmp_path: Path) -> None:
    gate = Gate("答：{}")
    async with AskHouse(tmp_path, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("一"), chat("二"))
        await house.until(lambda: gate.running)
        first = house.rows("select min(id) from inbox")[0][0]
        waiting = (InboxState.WAITING,)
        assert await house.store.move_message(InboxId(first), waiting, InboxState.DISCARDED)
        gate.open()
        await house.rest()
        assert said(peer.frames()) == ["答：二"]
        assert house.rows("select count(*) from turn") == [(0,)]


class FailingStore(SqliteStore):
    """The real store, away for the commits that the test wants to fail."""

    away = 0

    async def commit(self, beat: Beat) -> Committed:
        if beat.done and self.away:
            self.away -= 1
            raise StoreUnavailable
        return await super().commit(beat)


async def test_an_answer_that_cannot_be_stored_is_kept_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.exchange.intake._RETRY_S", (0.0,))
    gate = Gate("答：{}").open()
    clock = FakeClock()
    store = FailingStore(tmp_path, clock=clock)
    store.away = 2
    async with AskHouse(tmp_path, model=gate, store=store, clock=clock) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.rest()
        assert said(peer.frames()) == ["答：一"]
        assert gate.texts == ["一"]  # asked once: the answer was not thrown away


async def test_debounced_messages_are_asked_as_one_turn(tmp_path: Path) -> None:
    gate = Gate("答：{}")
    slow = {"core": {"dialect": "maim", "debounce_s": 1.0}}
    async with AskHouse(tmp_path, model=gate, lines=slow) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("一", "m1"), maim("二", "m2"))
        await house.quiet()
        house.advance(1.1)
        await house.keeper.step()
        await house.until(lambda: gate.running)
        assert gate.texts == ["一\n二"]
        qq.say(maim("三", "m3"))
        await house.quiet()
        house.advance(20)
        await house.keeper.step()
        await house.quiet()
        assert gate.texts == ["一\n二"]  # held, however long it takes
        gate.open()
        await house.rest()
        assert texts(qq.frames()) == ["答：一\n二", "答：三"]


async def test_an_answer_leaves_by_the_link_that_is_there(tmp_path: Path) -> None:
    gate = Gate("答")
    async with AskHouse(tmp_path, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.until(lambda: gate.running)
        peer.cut()
        gate.open()
        await house.rest()
        assert house.rows("select reason from outbox") == [("the visitor left",)]


async def test_a_row_that_cannot_be_read_is_dead_and_holds_nothing_up(tmp_path: Path) -> None:
    hanging = Gate("答：{}")
    async with AskHouse(tmp_path, model=hanging, lines=MAIM) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("一", "m1"), maim("二", "m2"), maim("其他", "m3", user="u2"))
        await house.until(lambda: hanging.running == 2)
        clock = house.clock
    with contextlib.closing(sqlite3.connect(tmp_path / "trunkline.db")) as database:
        database.execute("update inbox set body = x'00' where id = (select min(id) from inbox)")
        database.commit()
    gate = Gate("答：{}").open()
    async with AskHouse(tmp_path, model=gate, lines=MAIM, clock=clock) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        house.advance(AGAIN_MS / 1000)
        await house.keeper.step()
        await house.rest()
        assert sorted(texts(qq.frames())) == ["答：二", "答：其他"]
        states = house.rows("select state from inbox order by id")
        assert states == [(InboxState.DEAD,), (InboxState.DONE,), (InboxState.DONE,)]
        assert house.troubles == []
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_a_question_that_takes_long_is_not_asked_twice(tmp_path: Path) -> None:
    gate = Gate("答：{}")
    async with AskHouse(tmp_path, model=gate) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.until(lambda: gate.running)
        for _ in range(3):
            house.advance(AGAIN_MS / 1000)
            await house.keeper.step()
            await house.quiet()
        assert gate.texts == ["一"]
        gate.open()
        await house.rest()
        assert said(peer.frames()) == ["答：一"]


class TellingStore(SqliteStore):
    """The real store, with something that happens right after it was read."""

    then: Any = None

    async def waiting(self, conversation: Any) -> Any:
        found = await super().waiting(conversation)
        then, self.then = self.then, None
        if then is not None:
            then()
        return found


async def test_a_message_in_the_beat_of_the_answer_is_the_next_question(tmp_path: Path) -> None:
    clock = FakeClock()
    store = TellingStore(tmp_path, clock=clock)
    gate = Gate("答：{}")
    async with AskHouse(tmp_path, model=gate, store=store, clock=clock) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.until(lambda: gate.running)
        store.then = lambda: peer.say(chat("二"))
        gate.open()
        await house.rest()
        assert said(peer.frames()) == ["答：一", "答：二"]
        assert house.rows("select count(*) from turn") == [(0,)]


async def test_a_message_behind_a_turn_that_a_person_dropped_has_one_of_its_own(
    tmp_path: Path,
) -> None:
    hanging = Gate("答")
    async with AskHouse(tmp_path, model=hanging, lines=MAIM) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        qq.say(maim("一", "m1"))
        await house.until(lambda: hanging.running)
        clock = house.clock
    gate = Gate("答：{}").open()
    async with AskHouse(tmp_path, model=gate, lines=MAIM, clock=clock) as house:
        qq = house.connect("core", headers={"platform": "qq"})
        first = house.rows("select id from inbox")[0][0]
        waiting = (InboxState.WAITING,)
        assert await house.store.move_message(InboxId(first), waiting, InboxState.DISCARDED)
        assert house.rows("select count(*) from turn") == [(0,)]
        qq.say(maim("二", "m2"))
        await house.quiet()
        house.advance(AGAIN_MS / 1000)
        await house.keeper.step()
        await house.rest()
        assert texts(qq.frames()) == ["答：二"]


class RefusingStore(SqliteStore):
    """The real store, which cannot write the next end of a turn, whatever is tried."""

    is_refusing = True

    async def commit(self, beat: Beat) -> Committed:
        if beat.done and self.is_refusing:
            self.is_refusing = False
            raise ValueError("no such value")
        return await super().commit(beat)


async def test_an_answer_that_can_never_be_stored_is_asked_for_again(tmp_path: Path) -> None:
    clock = FakeClock()
    store = RefusingStore(tmp_path, clock=clock)
    gate = Gate("答：{}").open()
    async with AskHouse(tmp_path, model=gate, store=store, clock=clock) as house:
        peer = visitor(house)
        peer.say(chat("一"))
        await house.rest()
        assert [action for action, _ in house.troubles] == ["store outcome"]
        assert said(peer.frames()) == []
        house.advance(AGAIN_MS / 1000)
        await house.keeper.step()
        await house.rest()
        assert said(peer.frames()) == ["答：一"]
        assert gate.texts == ["一", "一"]
