import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.clock import FakeClock
from trunkline.ids import (
    EPOCH_MS,
    MAX_ANSWERS,
    CountingIds,
    DeliveryId,
    InboxId,
    SystemIds,
    answer_id,
    format_id,
    id_at,
    parse_id,
    question_id,
)


def test_ids_grow_leave_four_bits_and_fit_63():
    clock = FakeClock()
    ids = SystemIds(clock, node=255)
    found = []
    for _ in range(5000):
        found.append(ids.next())
        clock.advance(0.0004)
    assert found == sorted(set(found))
    assert all(ident & 15 == 0 and ident >> 14 & 255 == 255 for ident in found)
    assert SystemIds(FakeClock(EPOCH_MS + (1 << 41) - 1)).next() < 1 << 63


def test_more_than_1024_in_one_millisecond_borrow_from_the_next():
    ids = SystemIds(FakeClock(), node=3)
    found = [ids.next() for _ in range(5000)]
    assert found == sorted(set(found))
    assert found[-1] >> 22 == (found[0] >> 22) + 4


@pytest.mark.parametrize("counts", [(1, 3), (1000, 30, 5), (2000, 1), (0, 1024, 1)])
def test_ids_taken_together_are_those_taken_one_by_one(counts: tuple[int, ...]) -> None:
    together, alone = SystemIds(FakeClock(), node=3), SystemIds(FakeClock(), node=3)
    for count in counts:
        assert list(together.take(count)) == [alone.next() for _ in range(count)]
    assert together.next() == alone.next()
    assert list(CountingIds().take(2)) == [16, 32]


def test_nodes_do_not_collide():
    clock = FakeClock()
    first, second = SystemIds(clock, node=1), SystemIds(clock, node=2)
    assert not {first.next() for _ in range(3000)} & {second.next() for _ in range(3000)}


def test_ids_never_go_back_behind_what_is_stored():
    before = SystemIds(FakeClock(EPOCH_MS + 10_000_000))
    last = max(before.next() for _ in range(500)) | 15
    clock = FakeClock(EPOCH_MS)  # the clock went back hours
    ids = SystemIds(clock, last=last)
    assert ids.next() > last
    second = ids.next()
    clock.advance(20_000)
    assert ids.next() > second
    assert ids.next() >> 22 == 20_000_000


def test_a_clock_before_the_epoch_still_counts():
    ids = SystemIds(FakeClock(0))
    assert 0 < ids.next() < ids.next()


def test_answers_are_derived_from_their_question():
    inbox = InboxId(SystemIds(FakeClock()).next())
    answers = [answer_id(inbox, nth) for nth in range(MAX_ANSWERS)]
    assert len(set(answers)) == 15
    assert {question_id(answer) for answer in answers} == {inbox}
    assert question_id(DeliveryId(inbox)) is None
    for nth in (-1, MAX_ANSWERS):
        with pytest.raises(ValueError, match="at most 15"):
            answer_id(inbox, nth)


@pytest.mark.parametrize("ids", [SystemIds(FakeClock()), CountingIds()])
def test_uuids_and_tokens(ids):
    uuids = [ids.uuid() for _ in range(100)]
    assert len(set(uuids)) == 100
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in uuids)
    tokens = [ids.token() for _ in range(100)]
    assert len(set(tokens)) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", token) for token in tokens)


def test_counting_ids_can_be_predicted():
    ids = CountingIds(160)
    assert [ids.next(), ids.next()] == [176, 192]


@given(st.integers(0, (1 << 63) - 1), st.sampled_from(["m", "d"]))
def test_an_id_is_read_back_however_it_is_typed(ident, kind):
    text = format_id(kind, ident)
    assert parse_id(kind, text) == ident
    assert parse_id(kind, f" {text.upper()} ") == ident
    digits = text[2:].replace("1", "l").replace("0", "o")
    assert parse_id(kind, f"{kind}-{digits}") == ident


@given(st.text(max_size=20) | st.from_regex(r"m-[0-9a-z]{0,16}", fullmatch=True))
def test_any_text_is_an_id_or_a_value_error(text):
    try:
        ident = parse_id("m", text)
    except ValueError:
        return
    assert 0 <= ident < 1 << 63


@pytest.mark.parametrize("text", ["", "m", "m-", "d-1", "m-u", "m-1-2", "m-zzzzzzzzzzzzz", "1"])
def test_what_is_no_id(text):
    with pytest.raises(ValueError, match="is not an id like m-"):
        parse_id("m", text)


def test_the_lowest_id_of_a_time():
    clock = FakeClock()
    before = SystemIds(clock).next()
    clock.advance(1)
    floor = id_at(clock.now_ms())
    assert before < floor <= SystemIds(clock).next()
    assert id_at(0) == 0


@given(st.integers(0, 2**63 - 1), st.sampled_from("dm"))
def test_ids_come_back_in_any_case(ident: int, kind: str) -> None:
    text = format_id(kind, ident)
    assert parse_id(kind, text) == parse_id(kind, text.upper()) == ident
    assert len(text) <= 15
    with pytest.raises(ValueError, match="is not an id"):
        parse_id("m" if kind == "d" else "d", text)


@given(st.text(max_size=20))
def test_anything_else_is_no_id(text: str) -> None:
    try:
        ident = parse_id("d", text)
    except ValueError:
        return
    assert 0 <= ident < 2**63


def test_look_alikes_are_read_as_meant() -> None:
    assert parse_id("m", "m-iLo1") == parse_id("m", "m-1101")
    for wrong in ("m-", "m", "", "m-u", "m-1 2", "m-z" + "z" * 12, "m-" + "0" * 14):
        with pytest.raises(ValueError, match="is not an id"):
            parse_id("m", wrong)


def test_ids_of_an_instant_are_not_below_its_bound() -> None:
    clock = FakeClock()
    bound = id_at(clock.now_ms())
    assert SystemIds(clock).next() >= bound
    clock.advance(0.001)
    assert id_at(clock.now_ms()) > bound
    assert id_at(0) == 0
