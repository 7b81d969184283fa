"""Looking back: what is asked of the store, and the frame made of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pump import text
from trunkline.clock import FakeClock
from trunkline.dialects.contact.past import (
    FRAME_CHARS,
    REMEMBERED,
    Past,
    Piece,
    message_id_of,
    sequence_of,
    to_item,
)
from trunkline.dialects.contact.translate import derive_delivery_uuid, parse_delivery_uuid
from trunkline.dialects.contract import FindHistory
from trunkline.ids import DeliveryId, SystemIds, answer_id
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived, RequestReceived
from trunkline.model.history import History, HistoryItem
from trunkline.model.segment import Image

CHAT = Chat("", "visitor", "s")
NOW = "2026-01-01T00:00:00.000+00:00"


def past() -> Past:
    return Past(CHAT, "zh")


def user(row: int, words: str = "q") -> HistoryItem:
    return HistoryItem(row, row, "user", MessageReceived(CHAT, None, text(words), None, f"m{row}"))


def said(row: int, words: str = "a", state: str = "sent") -> HistoryItem:
    return HistoryItem(row, row, "assistant", segments=text(words), state=state)


def piece(found: Any) -> Piece:
    assert isinstance(found, Piece)
    return found


def ids(found: Any) -> list[str]:
    return [item.message_id for item in piece(found).frame.messages]


def uuid(row: int) -> str:
    return derive_delivery_uuid(DeliveryId(row))


def test_the_last_fifty() -> None:
    looking = past()
    assert looking.resume("") == FindHistory(CHAT, 0, 50)
    assert looking.is_busy
    found = looking.take(History((user(16), said(17)), has_more=True), NOW)
    assert ids(found) == ["m16", uuid(17)]
    assert piece(found).frame.has_more
    assert not looking.is_busy


def test_after_an_answer_its_id_tells_the_place() -> None:
    looking = past()
    assert looking.resume(uuid(17)) == FindHistory(CHAT, 0, 200)
    found = looking.take(History((said(17), user(32), said(33)), has_more=True), NOW)
    assert ids(found) == ["m32", uuid(33)]
    assert not piece(found).frame.has_more


def test_after_an_own_message_it_is_found_among_the_newest() -> None:
    looking = past()
    looking.resume("m16")
    found = looking.take(History((user(16), said(17)), has_more=True), NOW)
    assert ids(found) == [uuid(17)]
    assert not piece(found).frame.has_more


def test_when_more_was_said_than_one_look_shows() -> None:
    looking = past()
    looking.resume(uuid(1))
    found = looking.take(History((user(16), said(17)), has_more=True), NOW)
    assert ids(found) == ["m16", uuid(17)]
    assert piece(found).frame.has_more  # between the last message and these there is more


def test_after_a_message_that_nobody_knows_come_the_last_fifty() -> None:
    looking = past()
    looking.resume("no-such-id")
    found = looking.take(History(tuple(user(16 * nth) for nth in range(1, 61))), NOW)
    assert ids(found) == [f"m{16 * nth}" for nth in range(11, 61)]
    assert piece(found).frame.has_more


def test_a_page_before_what_was_shown() -> None:
    looking = past()
    looking.resume("")
    looking.take(History((user(160),)), NOW)
    assert looking.page("m160", 20) == FindHistory(CHAT, 160, 20)
    assert looking.page("", 20) == FindHistory(CHAT, 0, 20)
    assert looking.page(uuid(33), 0) == FindHistory(CHAT, 33, 1)
    assert looking.page(uuid(33), 101) == FindHistory(CHAT, 33, 100)


def test_what_was_never_shown_is_looked_for() -> None:
    looking = past()
    assert looking.page("m16", 2) == FindHistory(CHAT, 0, 200)
    rows = [user(16 * nth) for nth in range(2, 202)]
    assert looking.take(History(tuple(rows), has_more=True), NOW) == FindHistory(CHAT, 32, 200)
    older = History((said(1), said(2), said(3), user(16)))
    found = looking.take(older, NOW)
    assert ids(found) == [uuid(2), uuid(3)]
    assert piece(found).frame.before == "m16"
    assert piece(found).frame.has_more


def test_what_is_found_at_the_edge_takes_one_look_more() -> None:
    looking = past()
    looking.page("m32", 50)
    assert looking.take(History((said(17), user(32)), has_more=True), NOW) == FindHistory(
        CHAT, 32, 50
    )
    found = looking.take(History((said(1), said(17))), NOW)
    assert ids(found) == [uuid(1), uuid(17)]


def test_the_search_ends_after_five_hundred_items() -> None:
    looking = past()
    looking.page("m1", 50)
    limits: list[int] = []
    row = 1 << 30
    found: Any = FindHistory(CHAT, 0, 200)
    while isinstance(found, FindHistory):
        limits.append(found.limit)
        items = tuple(said(row - found.limit + nth) for nth in range(found.limit))
        row -= found.limit
        found = looking.take(History(items, has_more=True), NOW)
    assert limits == [200, 200, 100]
    assert found is None
    assert not looking.is_busy


def test_the_search_ends_where_the_chat_begins() -> None:
    looking = past()
    looking.page("m1", 50)
    assert looking.take(History((user(16),)), NOW) is None


def test_an_answer_that_nobody_waits_for() -> None:
    looking = past()
    looking.resume("")
    looking.drop()
    assert looking.take(History((user(16),)), NOW) is None


def test_a_frame_is_bounded_and_holds_the_newest() -> None:
    looking = past()
    looking.resume("")
    items = tuple(user(16 * nth, "x" * 100_000) for nth in range(1, 6))
    found = looking.take(History(items), NOW)
    assert ids(found) == ["m64", "m80"]
    assert piece(found).frame.has_more
    looking.resume("")
    huge = looking.take(History((user(16, "x" * (FRAME_CHARS + 1)),)), NOW)
    assert ids(huge) == ["m16"]  # one item always fits


def test_the_places_that_are_remembered_are_bounded() -> None:
    looking = past()
    for nth in range(1, 2 * REMEMBERED + 1):
        looking.page("", 1)
        looking.take(History((user(16 * nth),)), NOW)
    assert len(looking._rows) == REMEMBERED
    assert looking.page("m16", 1).limit == 200  # forgotten: looked for


def test_what_is_still_on_its_way_is_named() -> None:
    looking = past()
    looking.resume("")
    states = {17: "queued", 18: "sending", 19: "sent", 20: "uncertain"}
    items = tuple(said(row, state=state) for row, state in states.items())
    found = looking.take(History((*items, user(32))), NOW)
    assert piece(found).waiting == {17, 18}


def test_nothing_that_can_be_shown_is_left_out() -> None:
    looking = past()
    looking.resume("")
    nothing = HistoryItem(17, 0, "assistant", segments=(), state="queued")
    found = looking.take(History((nothing, said(33))), NOW)
    assert ids(found) == [uuid(33)]
    assert piece(found).waiting == frozenset()


def test_items() -> None:
    picture = HistoryItem(17, 0, "assistant", segments=(Image(url="http://x/p"),))
    assert to_item(picture, "en").message == "[picture] http://x/p"
    asked = RequestReceived(CHAT, "contact", "call me", peer_id="r-1")
    shown = to_item(HistoryItem(16, 0, "user", asked), "zh")
    assert (shown.message_id, shown.message, shown.kind) == ("r-1", "call me", "contact_request")
    question = b"\x92\xa3m-1\xa0"
    assert to_item(HistoryItem(17, 0, "assistant", context=question), "zh").in_reply_to == "m-1"
    nameless = HistoryItem(16, 0, "user", MessageReceived(CHAT, None, text("q")))
    assert message_id_of(nameless) == uuid(16)


@given(st.integers(0, (1 << 63) - 1))
def test_an_answers_id_is_read_back(row: int) -> None:
    assert parse_delivery_uuid(uuid(row)) == row


@given(st.text("0123456789abcdefABCDEF-_ ", max_size=40))
def test_no_other_id_is_taken_for_an_answers(text_: str) -> None:
    row = parse_delivery_uuid(text_)
    assert row is None or uuid(row) == text_


def test_seq_orders_and_is_exact_in_javascript() -> None:
    clock = FakeClock()
    source = SystemIds(clock, node=200)
    rows: list[int] = []
    for nth in range(3000):
        row = source.next()
        rows += [row, answer_id(row, 0), answer_id(row, 14)]  # type: ignore[arg-type]  # an inbox id
        if nth % 1500 == 0:
            clock.advance(3600)
    numbers = [sequence_of(row) for row in rows]
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 1 << 53
    assert sequence_of((17 * 366 * 86_400_000 << 22) - 1) < 1 << 53
