"""Numbers: promised before they are written, counted on, and at their end."""

from __future__ import annotations

from trunkline.exchange.numbering import MAX_NUMBER, Numbers, chat_key, has_ids, with_ids
from trunkline.model.segment import Mention, Quote, Text
from trunkline.store.contract import Number

ANN = chat_key(("core", "qq", "private", "ann"))
BO = chat_key(("core", "qq", "private", "bo"))


def test_a_promise_is_kept_until_it_is_written() -> None:
    numbers = Numbers()
    numbers.start_at(7)
    assert numbers.get(ANN) == 0
    assert numbers.promise(ANN) == 7
    assert (numbers.promise(ANN), numbers.get(ANN)) == (7, 7)
    assert not numbers.is_written(ANN)
    numbers.written([Number(7, *ANN)])
    assert numbers.is_written(ANN)
    assert numbers.promise(BO) == 8


def test_the_least_recently_used_is_forgotten() -> None:
    numbers = Numbers(2)
    numbers.written([Number(1, *ANN), Number(2, *BO)])
    assert numbers.get(ANN) == 1
    numbers.promise(chat_key(("core", "qq", "group", "r")))
    assert (numbers.get(ANN), numbers.get(BO)) == (1, 0)


def test_messages_are_not_remembered() -> None:
    numbers = Numbers()
    numbers.written([Number(1, "core", "message", "#16", 16)])
    assert numbers.get(("core", "message", "#16")) == 0


def test_the_last_number_is_given_and_none_after_it() -> None:
    numbers = Numbers()
    numbers.start_at(MAX_NUMBER)
    assert (numbers.promise(ANN), numbers.is_used_up) == (MAX_NUMBER, True)
    assert (numbers.new(), numbers.promise(BO), numbers.get(BO)) == (0, 0, 0)
    assert numbers.get(ANN) == MAX_NUMBER


def test_a_message_without_ids_is_the_very_same() -> None:
    plain = (Text("a"), Text("b"))
    assert with_ids(plain, lambda part: None, lambda part: None) is plain
    assert not has_ids(plain)


def test_pieces_are_replaced_or_left_out_in_their_places() -> None:
    parts = (Text("a"), Mention("x"), Quote("y"), Text("b"))
    assert with_ids(parts, lambda part: Text(part.user), lambda part: None) == (
        Text("a"), Text("x"), Text("b"),
    )  # fmt: skip
