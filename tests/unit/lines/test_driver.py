"""One session over one link: effects in order, bounds, faults of ours, the end."""

from __future__ import annotations

from typing import Any

import pytest

from scripted import ALICE, BOB, Stand, deliver, delivery, message
from trunkline.dialects.contract import (
    Allowance,
    Ask,
    Changed,
    Fetch,
    FindChats,
    Hangup,
    Keep,
    LinkState,
    Noticed,
    Received,
    Seat,
    Settled,
    Sharing,
    Transmit,
)  # fmt: skip
from trunkline.lines.driver import CHOKED_BYTES, PENDING_BYTES, PENDING_EVENTS
from trunkline.model.delivery import Outcome
from trunkline.model.event import Fleeting

RECEIVED = {"receive": lambda data: (Received(message(data.decode()), data),)}


def written(one: Any) -> Any:
    return (Transmit(b"x"), Settled(one.id, Outcome.SENT))


# -- in ------------------------------------------------------------------------------------------


async def test_what_a_session_says_in_a_read_leaves_in_one_write() -> None:
    stand = Stand({"receive": lambda data: (Transmit(b"1" + data), Transmit(b"2" + data))})
    peer = stand.enter()
    peer.say(b"a", b"b")
    assert peer.heard == [b"1a", b"2a", b"1b", b"2b"]
    assert peer.near.flushes == 1


async def test_events_are_offered_with_their_size_once_per_frame() -> None:
    stand = Stand({"receive": lambda data: (Received(message()), Received(message()))})
    stand.enter().say(b"12345")
    assert [size for _, _, size in stand.exchange.offered] == [5, 0]


async def test_a_receipt_of_several_events_comes_back_once_after_the_last() -> None:
    both, own = object(), object()
    effects = (Received(message("1"), both), Received(message("2"), own), Received(message(), both))
    stand = Stand({"receive": effects})
    peer = stand.enter()
    peer.say(b"x")
    receipts = [receipt for _, receipt, _ in stand.exchange.offered]
    assert receipts == [None, own, both]
    peer.driver.committed([own, both], 3, 1)
    assert [arg for verb, arg in peer.session.calls if verb == "stored"] == [own, both]


async def test_a_link_is_paused_at_64_events_and_goes_on_below_half() -> None:
    stand = Stand(RECEIVED)
    peer = stand.enter()
    peer.say(*(b"%d" % n for n in range(100)))
    assert len(stand.exchange.offered) == PENDING_EVENTS
    peer.driver.committed([], PENDING_EVENTS // 2, 0)
    assert len(stand.exchange.offered) == PENDING_EVENTS  # still half of it: not yet
    peer.driver.committed([], 1, 0)
    peer.pump()
    assert len(stand.exchange.offered) == PENDING_EVENTS + 33


async def test_a_link_is_paused_at_a_mebibyte_or_one_larger_message() -> None:
    stand = Stand(RECEIVED)
    peer = stand.enter()
    peer.say(b"x" * (PENDING_BYTES + 1), b"y")
    assert len(stand.exchange.offered) == 1
    peer.driver.committed([], 1, PENDING_BYTES + 1)
    peer.pump()
    assert len(stand.exchange.offered) == 2


async def test_a_full_exchange_pauses_who_has_something_in_it() -> None:
    stand = Stand(RECEIVED)
    peer = stand.enter()
    stand.exchange.is_full = True
    peer.say(b"a", b"b")
    assert len(stand.exchange.offered) == 1
    stand.exchange.is_full = False
    peer.driver.committed([], 1, 1)
    peer.pump()
    assert len(stand.exchange.offered) == 2


async def test_the_rare_effects_go_where_they_belong() -> None:
    typing = Fleeting(ALICE, "typing")
    stand = Stand({"receive": (Received(typing), Keep(b"state"), Noticed("odd", "why"))})
    stand.enter().say(b"x")
    assert stand.exchange.passed == [typing]
    assert stand.exchange.offered == []
    assert stand.exchange.kept == [("qq", b"state")]
    assert stand.counts.oddities == ["odd"]


# -- out -----------------------------------------------------------------------------------------


async def test_deliveries_leave_in_order_and_in_one_write() -> None:
    stand = Stand({"send": lambda one: (Transmit(b"%d" % one.id), *written(one)[1:])})
    peer = stand.enter()
    deliver(peer, [delivery(n) for n in range(5)])
    peer.pump()
    assert peer.heard == [b"0", b"1", b"2", b"3", b"4"]
    assert peer.near.flushes == 1
    assert stand.line.sent == 5


@pytest.mark.parametrize("end", ["replaced", "closed", "cut"])
async def test_a_link_that_ends_settles_later_before_its_end_is_told(end: str) -> None:
    """A reply was SENT, and lost, over a link whose place a newer one had taken."""
    stand = Stand({"send": written})
    peer = stand.enter()
    {
        "replaced": peer.driver.replaced,
        "closed": lambda: peer.near.close(1012),
        "cut": peer.near.cut,
    }[end]()
    assert not peer.driver.can_send
    # A plan for this seat looks for the newer link at once.
    assert peer.driver.is_ready is (end != "replaced")
    deliver(peer, [delivery(1)])
    assert stand.exchange.outcomes() == [(1, "later")]
    assert "send" not in peer.session.verbs()


async def test_what_comes_while_a_peer_does_not_read_stays_a_row() -> None:
    """What lies in our own buffer when a link ends is lost, though it was settled SENT."""
    stand = Stand({"send": lambda one: (Transmit(b"x" * CHOKED_BYTES), *written(one)[1:])})
    peer = stand.enter()
    peer.near.is_stalled = True
    deliver(peer, [delivery(1)])
    assert peer.near.buffered_bytes >= CHOKED_BYTES
    deliver(peer, [delivery(2), delivery(3, BOB)])
    assert stand.exchange.outcomes() == [(1, "sent"), (2, "later"), (3, "later")]
    peer.near.is_stalled = False
    peer.pump()
    deliver(peer, [delivery(4)])
    assert stand.exchange.outcomes()[-1] == (4, "sent")


async def test_what_stands_behind_a_later_delivery_of_its_chat_waits_with_it() -> None:
    """A session that let one wait let the next of the same chat pass it."""

    def send(one: Any) -> Any:
        return (Settled(one.id, Outcome.LATER, wait_s=3.0),) if one.id == 1 else written(one)

    stand = Stand({"send": send})
    deliver(stand.enter(), [delivery(1), delivery(2, BOB), delivery(3), delivery(4, BOB)])
    assert stand.exchange.outcomes() == [(1, "later"), (2, "sent"), (3, "later"), (4, "sent")]
    assert stand.exchange.fates[2].wait_s == 3.0


async def test_a_session_that_forgets_a_delivery_leaves_it_uncertain_at_the_end() -> None:
    """Nobody settled it: it was SENDING until the next start of the process."""
    stand = Stand({"send": (Transmit(b"x"),), "lost": ZeroDivisionError("ours")})
    peer = stand.enter()
    deliver(peer, [delivery(1)])
    assert stand.exchange.outcomes() == []
    peer.cut()
    assert stand.exchange.outcomes() == [(1, "uncertain")]
    assert stand.exchange.seats[-2:] == ["settled at qq", "unseated qq"]


async def test_what_a_session_settles_itself_is_settled_once() -> None:
    stand = Stand({
        "send": (Transmit(b"x"),),
        "receive": lambda data: (Settled(int(data), Outcome.CONFIRMED, "p"),),
        "lost": lambda error: (Settled(2, Outcome.UNCERTAIN),),
    })  # fmt: skip
    peer = stand.enter()
    deliver(peer, [delivery(1), delivery(2)])
    peer.say(b"1")
    peer.cut()
    assert stand.exchange.outcomes() == [(1, "confirmed"), (2, "uncertain")]


async def test_what_a_session_has_still_pending_is_not_handed_in_again() -> None:
    """Found by the simulation (seed 18): another JOINed link lost it, and it went to both again."""
    stand = Stand({
        "send": (Transmit(b"x"),),
        "receive": lambda data: (Settled(int(data), Outcome.CONFIRMED, "p"),),
    })  # fmt: skip
    peer = stand.enter()
    deliver(peer, [delivery(1)])
    deliver(peer, [delivery(1), delivery(2)])
    assert [one.id for verb, one in peer.session.calls if verb == "send"] == [1, 2]
    peer.say(b"1")
    deliver(peer, [delivery(1)])
    assert [one.id for verb, one in peer.session.calls if verb == "send"] == [1, 2, 1]


async def test_a_large_frame_with_a_notice_behind_its_fate_is_settled_once() -> None:
    stand = Stand({"send": lambda one: (*written(one), Noticed("large-frame"))})
    peer = stand.enter()
    deliver(peer, [delivery(1)])
    peer.cut()
    assert stand.exchange.outcomes() == [(1, "sent")]


# -- faults of ours ------------------------------------------------------------------------------

BROKEN = ZeroDivisionError("our fault")


def provoke(verb: str, stand: Stand, peer: Any) -> None:
    match verb:
        case "receive":
            peer.say(b"x")
        case "stored":
            peer.driver.committed(["r"], 0, 0)
        case "send":
            deliver(peer, [delivery(1), delivery(2)])
        case "tick":
            stand.advance(10)
        case "answered":
            peer.driver.answer("t", "a")
        case "finish":
            peer.driver.finish()
        case "lost":
            peer.cut()


@pytest.mark.parametrize(
    "verb", ["begin", "linked", "receive", "stored", "send", "tick", "answered", "finish", "lost"]
)
async def test_a_session_that_raises_ends_its_link_and_is_told_of(verb: str) -> None:
    stand = Stand({"receive": lambda data: (Ask("t", Fetch("GET", "http://x")),)})
    stand.line.ask = lambda driver, tag, request: None  # type: ignore[method-assign]
    if verb in ("begin", "linked"):
        stand.script[verb] = BROKEN
    peer = stand.enter()
    if verb == "tick":
        peer.session.wake_at = stand.clock.monotonic_s() + 5
    peer.say(b"x")
    stand.script[verb] = BROKEN
    provoke(verb, stand, peer)
    peer.pump()
    assert stand.actions().count("session failed") >= 1
    assert "session-failed" in stand.counts.oddities
    assert peer.end is not None
    if verb != "lost":
        assert peer.near.close_code == 1011
    assert not peer.driver.can_send
    assert stand.armed() == []  # a session that raises in `tick` is not called for ever
    assert list(stand.line.drivers) == []
    assert stand.roster.seats("core") == []


async def test_a_send_that_raises_is_uncertain_and_what_follows_waits() -> None:
    stand = Stand({"send": BROKEN})
    deliver(stand.enter(), [delivery(1), delivery(2)])
    assert stand.exchange.outcomes() == [(1, "uncertain"), (2, "later")]


async def test_an_unknown_effect_is_our_fault_and_raises() -> None:
    stand = Stand()
    peer = stand.enter()
    stand.script["receive"] = ("not an effect",)
    with pytest.raises(Exception, match="unknown effect str"):
        peer.say(b"x")


# -- seats ---------------------------------------------------------------------------------------


async def test_ready_is_told_when_the_seat_can_be_sent_to() -> None:
    stand = Stand({"receive": lambda data: (Changed(LinkState[data.decode()]),)})
    peer = stand.enter()
    peer.say(b"DEGRADED")
    assert not peer.driver.can_send
    peer.say(b"READY")
    assert peer.driver.can_send
    assert stand.exchange.seats == ["seated qq sends=True"] * 2


async def test_another_seat_frees_the_one_before() -> None:
    stand = Stand({"receive": (Changed(LinkState.READY, Seat("tg", "tg")),)})
    peer = stand.enter()
    peer.say(b"x")
    assert stand.exchange.seats == ["seated qq sends=True", "unseated qq", "seated tg sends=True"]
    assert stand.roster.find("core", "qq") == ()
    assert stand.roster.find("core", "tg") == [peer.driver]


async def test_the_same_seat_under_other_conditions_is_not_left() -> None:
    """Who waited for a brief seat expired because its link took it again."""
    stand = Stand({
        "linked": (Changed(LinkState.READY, Seat("v", is_brief=True, sharing=Sharing.JOIN)),),
        "receive": (Changed(LinkState.READY, Seat("v", can_send=False, sharing=Sharing.JOIN)),),
    })  # fmt: skip
    peer = stand.enter()
    peer.say(b"x")
    assert stand.exchange.seats == ["seated v sends=True", "seated v sends=False"]
    assert stand.roster.find("core", "v") == ()
    peer.cut()
    assert stand.exchange.seats[-1] == "unseated v"
    assert stand.roster.seats("core") == []


# -- asking, time, watching, the end -------------------------------------------------------------


async def test_an_allowance_is_answered_at_once() -> None:
    stand = Stand({"receive": (Ask("t", Allowance("k", 1, 60.0)),)})
    peer = stand.enter()
    peer.say(b"x", b"x")
    answers = [arg for verb, arg in peer.session.calls if verb == "answered"]
    assert answers == [("t", True), ("t", 60.0)]


async def test_what_is_asked_when_the_link_dies_is_answered_once_with_its_error() -> None:
    stand = Stand({"receive": (Ask("t", Fetch("GET", "http://x")),)})
    stand.line.ask = lambda driver, tag, request: None  # type: ignore[method-assign]
    peer = stand.enter()
    peer.say(b"x")
    peer.cut()
    peer.driver.answer("t", "late")
    assert [verb for verb in peer.session.verbs() if verb in ("answered", "lost")] == [
        "answered", "lost",
    ]  # fmt: skip


async def test_a_timer_that_rings_early_is_set_again_and_ends_with_the_link() -> None:
    stand = Stand()
    peer = stand.enter()
    start_s = stand.clock.monotonic_s()
    peer.session.wake_at = start_s + 5
    peer.say(b"x")
    peer.session.wake_at = start_s + 20  # later: no new timer for every message
    peer.say(b"x")
    assert stand.armed() == [start_s + 5]
    stand.advance(6)
    assert "tick" not in peer.session.verbs()
    assert stand.armed() == [start_s + 20]
    peer.session.wake_at = start_s + 10  # earlier: at once
    peer.say(b"x")
    assert stand.armed() == [start_s + 10]
    peer.cut()
    assert stand.armed() == []


async def test_a_tick_is_flushed() -> None:
    stand = Stand({"tick": (Transmit(b"ping"),)})
    peer = stand.enter()
    peer.session.wake_at = stand.clock.monotonic_s() + 5

    def tick() -> Any:
        peer.session.wake_at = None
        return (Transmit(b"ping"),)

    stand.script["tick"] = tick
    peer.say(b"x")
    stand.advance(5)
    peer.pump()
    assert peer.heard == [b"ping"]


async def test_a_watcher_that_raises_is_removed_and_the_link_lives() -> None:
    stand = Stand({"receive": (Transmit(b"y"),)})
    peer = stand.enter()
    seen: list[tuple[str, str, bytes]] = []

    def broken(direction: str, seat: str, data: bytes) -> None:
        raise ZeroDivisionError

    stand.line.taps += [broken, lambda *told: seen.append(told)]
    peer.say(b"x")
    peer.say(b"x")
    assert seen == [("<", "qq", b"x"), (">", "qq", b"y")] * 2
    assert peer.heard == [b"y", b"y"]
    assert peer.end is None
    assert stand.actions().count("session failed") == 1


async def test_a_watcher_that_another_one_removed_is_not_called() -> None:
    stand = Stand()
    peer = stand.enter()
    seen: list[str] = []

    def second(*told: Any) -> None:
        seen.append("second")

    def first(*told: Any) -> None:
        seen.append("first")
        if second in stand.line.taps:
            stand.line.taps.remove(second)

    stand.line.taps += [first, second]
    peer.say(b"x", b"x")
    assert seen == ["first", "first"]


async def test_the_session_decides_how_its_link_ends_and_the_first_word_counts() -> None:
    stand = Stand({"receive": (Hangup(4000, "bye"), Hangup(4001, "again"))})
    peer = stand.enter()
    peer.say(b"x")
    assert peer.near.close_code == 4000
    assert peer.driver.hangup == Hangup(4000, "bye")
    assert peer.driver.is_closed


async def test_nothing_reaches_a_session_after_its_end() -> None:
    stand = Stand(RECEIVED)
    peer = stand.enter()
    peer.cut()
    calls = len(peer.session.calls)
    peer.driver.receive(b"x", is_text=True)
    peer.driver.committed(["r"], 1, 1)
    peer.driver.closed(peer.end)
    peer.driver.finish()
    deliver(peer, [delivery(1)])
    assert len(peer.session.calls) == calls
    assert stand.exchange.outcomes() == [(1, "later")]


async def test_a_line_that_said_goodbye_before_its_link_opened_closes_it() -> None:
    """A stop while dialling told a finished session that its link is open: a fault in the log."""
    stand = Stand({"finish": (Hangup(1001, "leaving"),)})
    driver = stand.line.new_driver("")
    driver.finish()
    peer = stand.enter()
    driver.attach(peer.near)
    driver.linked(peer.near.info)
    assert "linked" not in stand.sessions[0].verbs()
    assert peer.near.close_code == 1001
    assert stand.actions().count("session failed") == 0


# -- waiting for a seat ---------------------------------------------------------------------------

WANTED = Seat("qq", "qq", refusal="taken", probe_s=1.0)


def contested(**script: Any) -> tuple[Stand, Any, Any]:
    """Return a stand, the silent link on the seat, and the one that waits for it."""
    stand = Stand({"linked": (Ask("t", FindChats()), Changed(LinkState.READY, WANTED)), **script})
    stand.exchange.ask = lambda *_: None  # type: ignore[method-assign]  # no answer yet
    older = stand.enter()
    older.far.is_mute = True
    return stand, older, stand.enter()


async def test_what_a_session_says_while_it_waits_is_done_when_it_has_its_seat() -> None:
    stand, _, newer = contested(answered=(Transmit(b"late"), Noticed("odd")))
    newer.driver.answer("t", ())
    newer.pump()
    assert (newer.heard, stand.counts.oddities, newer.driver.state) == ([], [], LinkState.OPENING)
    stand.advance(1)
    newer.pump()
    assert (newer.heard, stand.counts.oddities) == ([b"late"], ["odd"])
    assert newer.driver.state is LinkState.READY


async def test_the_time_of_a_session_stands_still_while_it_waits() -> None:
    def linked(info: Any) -> Any:
        if len(stand.sessions) > 1:
            stand.sessions[-1].wake_at = stand.clock.monotonic_s() + 0.5
        return (Changed(LinkState.READY, WANTED),)

    def tick() -> Any:
        stand.sessions[-1].wake_at = None
        return (Transmit(b"tick"),)

    stand = Stand({"linked": linked, "tick": tick})
    stand.enter().far.is_mute = True
    newer = stand.enter()
    stand.advance(0.6)
    assert "tick" not in newer.session.verbs()
    stand.advance(0.4)
    stand.advance(0)
    newer.pump()
    assert newer.heard == [b"tick"]


async def test_a_commit_does_not_let_a_waiting_link_read() -> None:
    stand, _, newer = contested(receive=(Received(message()),))
    newer.say(b"x")
    newer.driver.committed([], 0, 0)
    newer.pump()
    assert stand.exchange.offered == []
    stand.advance(1)
    assert len(stand.exchange.offered) == 1


async def test_a_session_that_fails_while_it_waits_ends_the_wait() -> None:
    stand, older, newer = contested(answered=ZeroDivisionError("ours"))
    newer.driver.answer("t", ())
    newer.pump()
    assert newer.end is not None
    stand.advance(5)
    assert older.driver.can_send
    third = stand.enter()  # nobody waits any more
    stand.advance(1)
    assert third.driver.can_send
