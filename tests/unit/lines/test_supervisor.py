"""The restart policy of a dialled line: waits, counts, gives up, comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from scripted import DIAL, Sitting, Stand, settle
from trunkline.dialects.contract import (
    Again,
    Ask,
    Changed,
    Fetch,
    Hangup,
    Head,
    Keep,
    LinkInfo,
    LinkState,
    Now,
    Park,
    Seat,
)
from trunkline.errors import (
    ConfigError,
    CredentialsExpired,
    CredentialsRejected,
    LinkError,
    LinkRefused,
    LinkTimeout,
    StoreUnavailable,
)  # fmt: skip
from trunkline.lines.contract import LineState
from trunkline.lines.driver import Driver
from trunkline.lines.memory import make_pair
from trunkline.lines.supervisor import DIALS_PER_S, Pace, Supervisor


class Switchboard:
    """Dials in memory: what each attempt gives is in `answers`; when that is empty, a link.

    `answers` holds exceptions to raise, or futures to wait for first.
    """

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.answers: list[Any] = []
        self.at_s: list[float] = []
        self.sittings: list[Sitting] = []
        self.kept: Any = b"kept"

    async def dial(self, line: Any, target: Any, enter: Any) -> Any:
        self.at_s.append(round(self.stand.clock.monotonic_s() - 1000.0, 3))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        info = LinkInfo(Head("/ws"), is_dialled=True)
        near, far = make_pair(info, info)
        ear = enter(near)
        near.attach(ear)
        (driver,) = self.stand.line.drivers
        self.sittings.append(Sitting(driver, near, far, self.stand.sessions[-1]))
        return near

    async def read_kept(self, line: str, account: str) -> bytes | None:
        if isinstance(self.kept, BaseException):
            raise self.kept
        return self.kept

    @property
    def peer(self) -> Sitting:
        return self.sittings[-1]


class Run:
    """A supervisor under way."""

    def __init__(self, stand: Stand, *, has_sisters: bool = False, pace: Pace | None = None):
        self.stand = stand
        self.board = Switchboard(stand)
        self.supervisor = Supervisor(
            stand.line,
            dial=self.board.dial,
            kept=self.board.read_kept,
            pace=pace or Pace(stand.clock),
            has_sisters=has_sisters,
        )

    @property
    def state(self) -> LineState:
        return self.stand.line.state

    async def advance(self, seconds: float) -> None:
        self.stand.advance(seconds)
        await settle()

    async def fail(self, times: int) -> None:
        """Let the next dials fail, each as soon as it comes."""
        self.board.answers += [LinkError("no route")] * times


@contextlib.asynccontextmanager
async def running(
    script: dict[str, Any] | None = None,
    *,
    answers: list[Any] | None = None,
    has_sisters: bool = False,
    pace: Pace | None = None,
    **options: Any,
) -> AsyncIterator[Run]:
    stand = Stand({"begin": (DIAL,), **(script or {})}, link="dial", url="ws://x/ws", **options)
    run = Run(stand, has_sisters=has_sisters, pace=pace)
    run.board.answers += answers or []
    task = asyncio.create_task(run.supervisor.run())
    await settle()
    try:
        yield run
    finally:
        run.supervisor.stop()
        stand.line.close_links(1001, "end of the test")
        for sitting in run.board.sittings:
            sitting.pump()
        async with asyncio.timeout(5):
            await task
    assert stand.line.state is LineState.DISCONNECTED
    assert list(stand.line.drivers) == []  # none is left behind, whatever happened
    assert stand.armed() == []


async def test_it_dials_with_what_was_kept_and_is_connected_when_ready() -> None:
    async with running() as run:
        assert run.board.at_s == [0.0]
        assert run.state is LineState.CONNECTED
        assert run.board.peer.session.calls[0] == ("begin", b"kept")
        assert run.stand.actions() == ["peer ready"]  # told once


async def test_an_open_link_that_is_not_ready_is_not_connected() -> None:
    async with running({"linked": ()}) as run:
        assert run.state is LineState.CONNECTING


async def test_a_lost_link_is_dialled_again_by_the_table() -> None:
    async with running(answers=[None, *[LinkError("no route")] * 6]) as run:
        await run.advance(10)
        run.board.peer.cut()
        await settle()
        assert run.state is LineState.RECONNECTING
        assert run.stand.line.status().retry_in_s == 1.0
        for _ in range(100):
            await run.advance(1)
        gaps = [b - a for a, b in zip(run.board.at_s[1:], run.board.at_s[2:], strict=False)]
        assert run.board.at_s[1] == 11.0
        assert gaps == [2, 4, 8, 16, 30, 30]
        assert run.state is LineState.CONNECTED


async def test_a_stable_link_resets_the_count_and_a_flapping_one_does_not() -> None:
    async with running() as run:
        for lived_s, wait_s in ((59.0, 1.0), (59.0, 2.0), (60.0, 1.0), (5.0, 2.0)):
            await run.advance(lived_s)
            run.board.peer.cut()
            await settle()
            assert run.stand.line.status().retry_in_s == pytest.approx(wait_s)
            await run.advance(wait_s)
            assert run.state is LineState.CONNECTED


async def test_only_the_life_of_the_link_counts_not_how_long_it_took_to_open() -> None:
    """Waiting for a slow dial, or for our turn, counted as a stable link."""
    slow = asyncio.get_running_loop().create_future()
    async with running(answers=[LinkError("x"), slow]) as run:
        await run.advance(1)
        await run.advance(100)
        slow.set_result(None)
        await settle()
        run.board.peer.cut()
        await settle()
        assert run.stand.line.status().retry_in_s == pytest.approx(2.0)


async def test_max_failures_failures_in_a_row_are_failed_and_a_person_starts_anew() -> None:
    """The line dialled once more than it was told."""
    async with running(answers=[LinkError("no route")] * 3, max_failures=3) as run:
        for _ in range(30):
            await run.advance(1)
        assert len(run.board.at_s) == 3
        assert run.state is LineState.FAILED
        assert ("error", "line failed") in [line[:2] for line in run.stand.log.lines]
        status = run.stand.line.status()
        assert (status.error, status.retry_in_s) == ("no route", 0.0)
        await run.advance(3600)
        assert len(run.board.at_s) == 3
        await run.fail(1)
        run.supervisor.reconnect()
        await settle()
        assert len(run.board.at_s) == 4
        assert run.state is LineState.RECONNECTING  # one failure of three
        await run.advance(1)
        assert run.state is LineState.CONNECTED


async def test_a_link_that_was_ready_is_no_failed_attempt_however_short() -> None:
    """Two good links that were closed after 4 s ended a line with `max_failures = 2`."""
    async with running(max_failures=2) as run:
        for wait_s in (1.0, 2.0, 4.0, 8.0):  # it still backs off
            await run.advance(4)
            run.board.peer.cut()
            await settle()
            assert run.state is LineState.RECONNECTING
            assert run.stand.line.status().retry_in_s == pytest.approx(wait_s)
            await run.advance(wait_s)
            assert run.state is LineState.CONNECTED
        await run.fail(2)
        run.board.peer.cut()
        await settle()
        await run.advance(16)
        assert run.state is LineState.RECONNECTING  # one failure of two
        await run.advance(30)
        assert run.state is LineState.FAILED


async def test_a_ready_link_that_is_refused_is_a_failed_attempt() -> None:
    async with running({"receive": (Hangup(1000, "", Again("auth")),)}, max_failures=2) as run:
        for wait_s in (0, 10):
            await run.advance(wait_s)
            run.board.peer.say(b"x")
            await settle()
        assert run.state is LineState.FAILED
        assert len(run.board.at_s) == 2


async def test_a_parked_line_waits_for_a_person_however_long() -> None:
    async with running({"receive": (Hangup(1008, "", Park("scan the code")),)}) as run:
        run.board.peer.say(b"x")
        await settle()
        assert run.state is LineState.FAILED
        status = run.stand.line.status()
        assert "needs-you" in status.overlays
        assert status.error == "scan the code"
        await run.advance(86_400)
        assert len(run.board.at_s) == 1
        run.supervisor.reconnect()
        await settle()
        assert run.state is LineState.CONNECTED
        assert "needs-you" not in run.stand.line.status().overlays


@pytest.mark.parametrize("error", [CredentialsRejected(), ConfigError(["url: no"])])
async def test_what_cannot_heal_by_itself_is_not_dialled_again(error: Exception) -> None:
    """A wrong URL was dialled for ever."""
    async with running(answers=[error]) as run:
        assert run.state is LineState.FAILED
        assert "needs-you" in run.stand.line.status().overlays
        await run.advance(3600)
        assert len(run.board.at_s) == 1


async def test_a_renewed_credential_is_dialled_at_once() -> None:
    async with running(answers=[CredentialsExpired()]) as run:
        await run.advance(1 / DIALS_PER_S)
        assert run.board.at_s == [0.0, 0.05]
        assert run.state is LineState.CONNECTED


async def test_now_comes_back_without_the_table() -> None:
    async with running({"receive": (Hangup(4000, "", Now()),)}) as run:
        await run.advance(10)
        run.board.peer.say(b"x")
        await settle()
        assert run.board.at_s == [0.0, 10.0]


@pytest.mark.parametrize(
    ("error", "cause"),
    [(LinkRefused(503), "refused"), (LinkTimeout("x"), "unreachable"), (OSError(5), "unreachable")],
)
async def test_the_table_is_asked_for_the_cause_of_the_failure(
    error: Exception, cause: str
) -> None:
    asked: list[tuple[str, int]] = []
    async with running(answers=[error]) as run:
        # The supervisor reads it at each failure.
        run.stand.line.dialect = _with_table(run.stand, asked)
        await run.fail(1)
        run.board.answers.insert(0, error)
        await run.advance(1)
        assert asked[0] == (cause, 2)


def _with_table(stand: Stand, asked: list[tuple[str, int]]) -> Any:
    import msgspec

    def table(cause: str, nth: int) -> float:
        asked.append((cause, nth))
        return 1.0

    return msgspec.structs.replace(stand.line.dialect, delay_s=table)


async def test_the_session_names_the_cause_of_a_hangup() -> None:
    asked: list[tuple[str, int]] = []
    async with running({"receive": (Hangup(1008, "", Again("auth")),)}) as run:
        run.stand.line.dialect = _with_table(run.stand, asked)
        run.board.peer.say(b"x")
        await settle()
        assert asked == [("auth", 1)]


async def test_an_exception_of_ours_while_dialling_does_not_end_the_line() -> None:
    """It ended the supervisor's task, and with it the process."""
    async with running(answers=[ZeroDivisionError("ours")]) as run:
        assert ("error", "session failed") in [line[:2] for line in run.stand.log.lines]
        assert run.state is LineState.RECONNECTING
        await run.advance(1)
        assert run.state is LineState.CONNECTED


async def test_a_session_that_fails_before_it_dials_is_tried_again_and_leaves_nothing() -> None:
    """Its driver stayed in the line for ever: one more at every attempt."""
    async with running({"begin": ZeroDivisionError("ours")}) as run:
        for wait_s in (1, 2, 4):
            await run.advance(wait_s)
        assert run.board.at_s == []
        assert len(run.stand.sessions) == 4
        assert list(run.stand.line.drivers) == []


async def test_a_session_may_park_before_it_dials() -> None:
    async with running({"begin": (Hangup(1000, "", Park("no cookies yet")),)}) as run:
        assert run.state is LineState.FAILED
        assert run.stand.line.status().error == "no cookies yet"


@pytest.mark.parametrize(
    ("hangup", "told"),
    [
        (Hangup(1000, "bye", Park("no cookies yet")), "no cookies yet"),
        (Hangup(1011, "the token call failed", Again("token")), "the token call failed"),
        (Hangup(1000), "there is nothing to dial"),
    ],
)
async def test_what_keeps_a_session_from_dialling_is_told_as_it_said_it(
    hangup: Hangup, told: str
) -> None:
    """The first word of a parked line was "there is nothing to dial", whatever the reason."""
    ended: list[str] = []
    stand = Stand({"begin": (hangup,)}, link="dial", url="ws://x/ws")
    gone = stand.line.gone

    def listen(driver: Driver, error: LinkError) -> None:
        ended.append(str(error))
        gone(driver, error)

    stand.line.gone = listen
    run = Run(stand)
    task = asyncio.create_task(run.supervisor.run())
    await settle()
    run.supervisor.stop()
    async with asyncio.timeout(5):
        await task
    assert ended == [told]


async def test_a_store_that_is_away_is_waited_for() -> None:
    async with running(answers=[]) as run:
        run.board.kept = StoreUnavailable()
        run.board.peer.cut()
        await run.advance(1)
        assert run.state is LineState.RECONNECTING
        run.board.kept = None
        await run.advance(2)
        assert run.state is LineState.CONNECTED


# -- a person ------------------------------------------------------------------------------------


async def test_reconnect_on_a_connected_line_dials_now_and_not_by_the_table() -> None:
    """It waited like after a loss: `reconnect` means now."""
    async with running() as run:
        await run.advance(10)
        run.supervisor.reconnect()
        run.board.peer.pump()
        await settle()
        assert run.board.at_s == [0.0, 10.0]
        assert run.state is LineState.CONNECTED


async def test_reconnect_during_a_wait_dials_now_and_counts_anew() -> None:
    async with running(answers=[LinkError("x")] * 5) as run:
        await run.advance(1)
        await run.advance(2)
        await run.advance(1)
        run.supervisor.reconnect()
        await settle()
        assert run.board.at_s == [0, 1, 3, 4]
        assert run.stand.line.status().retry_in_s == pytest.approx(1.0)


async def test_reconnect_during_a_dial_that_fails_is_not_forgotten() -> None:
    slow = asyncio.get_running_loop().create_future()
    async with running(answers=[slow]) as run:
        await run.advance(5)
        run.supervisor.reconnect()
        slow.set_result(CredentialsRejected())
        await settle()
        assert run.board.at_s == [0.0, 5.0]
        assert run.state is LineState.CONNECTED


async def test_a_reconnect_that_was_served_does_not_hurry_the_next_loss() -> None:
    slow = asyncio.get_running_loop().create_future()
    async with running(answers=[slow]) as run:
        run.supervisor.reconnect()
        slow.set_result(None)
        await settle()
        run.board.peer.cut()
        await settle()
        assert run.stand.line.status().retry_in_s == 1.0


# -- all lines together --------------------------------------------------------------------------


async def test_all_lines_together_dial_at_most_20_times_a_second() -> None:
    stand = Stand({"begin": (DIAL,)}, link="dial", url="ws://x/ws")
    pace = Pace(stand.clock)
    taken = [pace.take_turn() for _ in range(41)]
    assert taken[0] == 1000.0
    assert taken[20] - taken[0] == pytest.approx(1.0)
    assert taken[40] - taken[20] == pytest.approx(1.0)
    stand.clock.advance(10)
    assert pace.take_turn() == 1010.0
    # … and a line waits for its turn, also when a person asks.
    late = Pace(stand.clock)
    for _ in range(20):
        late.take_turn()
    async with running(pace=late) as run:
        run.supervisor.reconnect()
        await settle()
        assert run.board.at_s == []
        await run.advance(11)
        assert run.state is LineState.CONNECTED


@pytest.mark.parametrize(
    ("has_sisters", "options", "longest_s"),
    [(False, {}, 1.0), (True, {}, 1.2), (True, {"jitter": 0.0}, 1.0), (False, {"jitter": 1.0}, 2)],
)
async def test_jitter_comes_by_itself_when_several_lines_dial(
    has_sisters: bool, options: dict[str, Any], longest_s: float
) -> None:
    waits: list[float] = []
    async with running(has_sisters=has_sisters, **options) as run:
        for _ in range(30):
            await run.advance(61)
            run.board.peer.cut()
            await settle()
            waits.append(run.stand.line.status().retry_in_s)
            await run.advance(waits[-1] + 0.001)
    assert min(waits) >= 1.0
    assert max(waits) <= longest_s + 0.001
    if longest_s > 1.0:
        assert max(waits) > 1.0
        assert len(set(waits)) > 10
    else:
        assert waits == pytest.approx([1.0] * 30)


# -- the end -------------------------------------------------------------------------------------


async def test_stop_ends_a_wait_at_once() -> None:
    async with running(answers=[LinkError("x")]) as run:
        assert run.state is LineState.RECONNECTING
    assert len(run.board.at_s) == 1


async def test_stop_ends_a_dial_at_once_without_a_word_of_trouble() -> None:
    """The dial went on for 15 s, and its link was handed to a session that had ended."""
    never = asyncio.get_running_loop().create_future()
    async with running(answers=[never]) as run:
        pass
    assert never.cancelled()
    assert run.stand.actions() == []


async def test_stop_ends_a_wait_for_our_turn_at_once() -> None:
    stand_clock = Pace(Stand().clock)
    for _ in range(200):
        stand_clock.take_turn()
    async with running(pace=stand_clock) as run:
        assert run.state is LineState.CONNECTING
    assert run.board.at_s == []


async def test_stop_leaves_an_open_link_to_its_line() -> None:
    """Dialled links were closed before what was read over them was acknowledged."""
    async with running() as run:
        run.supervisor.stop()
        await settle()
        assert run.board.peer.near.is_open
        assert run.state is LineState.CONNECTED


async def test_our_own_cancellation_is_not_swallowed() -> None:
    stand = Stand({"begin": (DIAL,)}, link="dial", url="ws://x/ws")
    run = Run(stand)
    never = asyncio.get_running_loop().create_future()
    run.board.answers = [never]
    task = asyncio.create_task(run.supervisor.run())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert never.cancelled()


async def test_a_session_that_asks_first_is_waited_for_and_then_dials() -> None:
    asking = (Ask("t", Fetch("GET", "http://h/")),)
    async with running({"begin": asking, "answered": (DIAL,)}) as run:
        # The stand answers each call at once: with an error, here.
        assert run.board.at_s == [0.0]
        assert run.state is LineState.CONNECTED


async def test_a_stop_while_a_session_asks_dials_nothing() -> None:
    waiting: list[Any] = []
    stand = Stand({"begin": (Ask("t", Fetch("GET", "http://h/")),)}, link="dial", url="ws://x/ws")
    stand.line.around = msgspec.structs.replace(
        stand.line.around, fetch=lambda *call: waiting.append(call)
    )
    run = Run(stand)
    task = asyncio.create_task(run.supervisor.run())
    await settle()
    assert run.state is LineState.CONNECTING
    assert len(waiting) == 1
    run.supervisor.stop()
    async with asyncio.timeout(5):
        await task
    assert run.board.at_s == []
    assert list(stand.line.drivers) == []


async def test_an_answer_that_parks_is_a_failed_line_that_needs_a_person() -> None:
    script: dict[str, Any] = {
        "begin": (Ask("t", Fetch("GET", "http://h/")),),
        "answered": (Hangup(1000, "no", Park("needs_person: look")),),
    }
    async with running(script) as run:
        assert run.state is LineState.FAILED
        assert "needs-you" in run.stand.line.status().overlays
        assert run.board.at_s == []


async def test_the_state_of_a_dialled_line_is_kept_for_the_line_and_not_its_account() -> None:
    def linked(_info: Any) -> Any:
        return (Changed(LinkState.READY, Seat("qq", "qq")), Keep(b"s"))

    async with running({"linked": linked}) as run:
        assert run.stand.exchange.kept == [("", b"s")]


async def test_a_renewed_login_is_no_failure_where_they_count_from_ready() -> None:
    async with running({"receive": (Hangup(1000, "renewed", Now()),)}) as run:
        run.stand.line.dialect = msgspec.structs.replace(
            run.stand.line.dialect, resets_at_ready=True
        )
        for _ in range(8):
            run.board.peer.say(b"x")
            run.board.peer.pump()
            await settle()
            await run.advance(0.1)
        assert len(run.board.at_s) == 9
        assert run.state is LineState.CONNECTED


async def test_a_line_that_failed_for_the_network_alone_probes() -> None:
    answers = [LinkError("no route")] * 5
    async with running(answers=answers, max_failures=3, probe_s=300.0) as run:
        await run.advance(1)
        await run.advance(2)
        assert run.state is LineState.FAILED
        assert run.stand.line.status().retry_in_s == 300.0
        failed_at_s = run.board.at_s[-1]
        for _ in range(2):
            await run.advance(299)
            assert run.state is LineState.FAILED
            await run.advance(1)
        assert run.board.at_s[3:] == [failed_at_s + 300, failed_at_s + 600]
        assert run.stand.actions().count("line failed") == 1  # not at every probe
        await run.advance(300)
        assert run.state is LineState.CONNECTED
        run.board.answers += [LinkError("no route")] * 3
        run.board.peer.cut()
        await settle()
        for wait_s in (4, 8, 16):  # the link was no failure, but it was short
            await run.advance(wait_s)
        assert run.stand.actions().count("line failed") == 2


@pytest.mark.parametrize("end", [Park("give new cookies"), Again("refused")])
async def test_a_line_that_failed_for_another_reason_does_not_probe(end: Any) -> None:
    script = {"begin": (Hangup(1000, "no", end),)}
    async with running(script, max_failures=1, probe_s=300.0) as run:
        assert run.state is LineState.FAILED
        await run.advance(1000)
        assert run.state is LineState.FAILED
        assert len(run.stand.sessions) == 1


async def test_without_probes_a_failed_line_waits_for_a_person() -> None:
    async with running(answers=[LinkError("no route")], max_failures=1) as run:
        await run.advance(10_000)
        assert (run.state, run.board.at_s) == (LineState.FAILED, [0.0])


async def test_few_lines_dial_at_once_and_the_next_takes_the_free_place() -> None:
    stand = Stand({"begin": (DIAL,)}, link="dial", url="ws://x/ws")
    pace = Pace(stand.clock, max_dials=1)
    held: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with running(answers=[held], pace=pace) as first, running(pace=pace) as second:
        await second.advance(1)
        assert (len(first.board.at_s), second.board.at_s) == (1, [])
        held.set_result(None)
        await settle()
        await second.advance(1)
        assert second.state is LineState.CONNECTED
    assert pace.enter(asyncio.Event())  # every place was given back


async def test_a_line_that_stops_while_it_waits_for_a_place_leaves_none_taken() -> None:
    stand = Stand({"begin": (DIAL,)}, link="dial", url="ws://x/ws")
    pace = Pace(stand.clock, max_dials=1)
    assert pace.enter(asyncio.Event())
    async with running(pace=pace) as run:
        assert run.board.at_s == []
    pace.leave()
    assert pace.enter(asyncio.Event())


async def test_new_credentials_give_up_what_is_prepared_with_the_old_ones() -> None:
    waiting: list[Any] = []
    stand = Stand({"begin": (Ask("t", Fetch("GET", "http://h/")),)}, link="dial", url="ws://x/ws")
    stand.line.around = msgspec.structs.replace(
        stand.line.around, fetch=lambda *call: waiting.append(call)
    )
    run = Run(stand)
    task = asyncio.create_task(run.supervisor.run())
    await settle()
    run.supervisor.reconnect()
    await settle()
    assert len(waiting) == 1  # a reconnect alone asks for nothing anew
    run.supervisor.renew()
    await settle()
    assert len(waiting) == 2
    run.supervisor.stop()
    async with asyncio.timeout(5):
        await task


async def test_a_line_that_is_told_to_come_back_does_not_look_connected_meanwhile() -> None:
    async with running() as run:
        run.supervisor.renew()
        assert run.state is LineState.RECONNECTING
        run.board.peer.pump()
        await settle()
        await run.advance(0.1)  # its turn in the pace
        assert run.state is LineState.CONNECTED
        assert len(run.board.at_s) == 2
