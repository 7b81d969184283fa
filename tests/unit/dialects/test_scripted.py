"""What all scripted worlds share: chance that can be repeated, whose turn it is, what counts."""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Keep, Noticed, Received, Transmit
from trunkline.dialects.scripted import (
    REMEMBERED,
    Chance,
    Cue,
    PeopledWorld,
    ScriptedWorld,
    Tally,
    count_answer,
)
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived, NoticeReceived, Person
from trunkline.model.segment import Text

ME = "me"
LINES = ("one", "two")


def make_world(*, is_scripted: bool = True, **how: object) -> PeopledWorld[str]:
    keys = {"seed": 7, "pace_s": 10.0, **how}
    return PeopledWorld(LINES, frozenset({"cut"}), keys, is_scripted=is_scripted)  # type: ignore[arg-type]  # keys by name


def said(words: str, chat: str = "c") -> MessageReceived:
    return MessageReceived(Chat(ME, "user", chat), Person(ME), (Text(words),), b"k", "p", 1)


def test_chance_depends_on_its_name_alone() -> None:
    first, second, other = Chance({}, 1, 2), Chance({}, 1, 2), Chance({}, 1, 3)
    drawn = [first.draw() for _ in range(50)]
    assert drawn == [second.draw() for _ in range(50)]
    assert drawn != [other.draw() for _ in range(50)]
    assert all(0 <= one < 1 for one in drawn)
    # Recorded runs and seeds of the simulation depend on this very rule.
    assert drawn[0] == int.from_bytes(blake2b(b"1:2:1", digest_size=8).digest(), "big") / 2**64


def test_what_cannot_happen_draws_nothing() -> None:
    faults = {"cut": 1.0}
    chance, reference = Chance(faults, 1), Chance({}, 1)
    assert not chance.happens("double")
    assert chance.draw() == reference.draw()
    assert chance.happens("cut")
    faults.clear()
    assert not chance.happens("cut")


def test_a_calm_world_has_no_faults() -> None:
    world = make_world(faults={"cut": 1.0})
    assert world.happens("cut")
    world.calm()
    assert not world.happens("cut")


@pytest.mark.parametrize(
    ("how", "words"),
    [({"faults": {"x": 1.0}}, "unknown faults"), ({"pace_s": 0}, "pace"), ({"script": ()}, "line")],
)
def test_a_world_names_what_it_cannot_do(how: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_world(**how)


def test_a_pause_is_half_to_one_and_a_half_times_the_pace() -> None:
    world = ScriptedWorld(LINES, frozenset(), {"seed": 1, "pace_s": 10.0})
    assert (world.pause_s(0.0), world.pause_s(1.0)) == (5.0, 15.0)


def test_lines_are_said_in_turn_and_numbered() -> None:
    world = make_world(messages=3)
    heard = []
    while not world.is_through(ME):
        heard.append(world.next_line(ME))
        world.note_line(ME, "c", heard[-1])
    assert heard == ["one #0", "two #1", "one #2"]
    assert world.tally.sent == 3
    assert not world.is_over(ME)
    for words in heard:
        world.hear(ME, said(f"to {words}"))
    assert world.is_over(ME)
    assert world.tally == Tally(sent=3, answered=3)


def test_a_script_without_an_end_is_never_over() -> None:
    world = make_world()
    world.note_line(ME, "c", "one #0")
    world.hear(ME, said("one #0"))
    assert not world.is_through(ME)
    assert not world.is_over(ME)


def test_only_so_many_lines_of_a_chat_are_remembered() -> None:
    world = make_world()
    for _ in range(REMEMBERED + 5):
        world.note_line(ME, "c", "x")
    assert len(world.asked[ME, "c"]) == REMEMBERED


def test_an_answer_that_nobody_waits_for_is_doubled() -> None:
    world = make_world()
    world.note_line(ME, "c", "one #0")
    world.hear(ME, said("one #0", "another"))
    assert (world.tally.answered, world.tally.doubled) == (0, 1)


def test_an_answer_is_to_the_line_whose_words_it_has_or_to_the_oldest() -> None:
    waiting, tally = deque(["", "b", "c"]), Tally()
    count_answer(waiting, "to c", tally)
    assert (list(waiting), tally.misordered) == (["", "b"], 1)
    count_answer(waiting, "to whom?", tally)
    assert (list(waiting), tally.misordered) == (["b"], 1)
    assert tally.answered == 2


def test_a_cue_comes_once_and_wakes_for_it() -> None:
    world, clock = make_world(messages=1), FakeClock()
    cue: Cue[str] = Cue(world, clock)
    assert cue.before(None) is None
    cue.plan(ME)
    at_s = cue.before(None)
    assert at_s is not None
    assert 5 <= at_s - clock.monotonic_s() <= 15
    assert cue.before(at_s - 1) == at_s - 1
    assert cue.before(at_s + 1) == at_s
    clock.advance(at_s - clock.monotonic_s() - 0.5)
    assert not cue.take()
    clock.advance(0.5)
    assert cue.take()
    assert not cue.take()
    world.note_line(ME, "c", "one #0")
    cue.plan(ME)
    assert cue.before(None) is None  # all is said


def test_a_dropped_cue_never_comes() -> None:
    clock = FakeClock()
    cue: Cue[str] = Cue(make_world(), clock)
    cue.plan(ME)
    cue.drop()
    clock.advance(60)
    assert not cue.take()


def test_people_who_are_let_speak_plan_nothing_and_hide_nothing() -> None:
    world = make_world(is_scripted=False)
    cue: Cue[str] = Cue(world, FakeClock())
    cue.plan(ME)
    assert cue.before(None) is None
    effects = (Received(said("x")), Noticed("odd"))
    assert cue.watch(ME, effects) == list(effects)
    assert world.tally == Tally()


def test_what_is_heard_stays_inside_and_what_is_for_the_link_goes_on() -> None:
    world = make_world()
    cue: Cue[str] = Cue(world, FakeClock())
    world.note_line(ME, "c", "one #0")
    notice = Received(NoticeReceived(Chat(ME, "user", "c"), "x"))
    effects = (Received(said("one #0")), Keep(b""), notice, Noticed("odd"), Transmit(b"x"))
    assert cue.watch(ME, effects) == [Noticed("odd"), Transmit(b"x")]
    assert world.tally == Tally(sent=1, answered=1, errors=1)
