"""What emulated accounts count."""

from __future__ import annotations

from trunkline.dialects.onebot11.ledger import REMEMBERED, Book, Tally
from trunkline.model.address import Chat

ANN = Chat("1", "private", "10001")
CLUB = Chat("1", "group", "10001")


def counts(tally: Tally) -> tuple[int, int, int]:
    return tally.answered, tally.doubled, tally.misordered


def test_an_answer_belongs_to_the_line_whose_words_it_holds() -> None:
    book, tally = Book(), Tally()
    for words in ("一", "二", "三"):
        book.ask(ANN, 1, words)
    book.answer(ANN, "re:一", tally)
    assert counts(tally) == (1, 0, 0)
    book.answer(ANN, "re:三", tally)
    assert counts(tally) == (2, 0, 0)
    book.answer(ANN, "whatever", tally)
    assert counts(tally) == (3, 0, 1)
    assert book.is_clear(1)
    book.answer(ANN, "re:一", tally)
    assert counts(tally) == (3, 1, 1)


def test_a_line_that_a_rule_leaves_alone_is_no_disorder() -> None:
    """A rule with `then = "person"` made every later answer of the chat count as disorder."""
    book, tally = Book(), Tally()
    book.ask(ANN, 1, "转人工")
    for words in ("一", "二"):
        book.ask(ANN, 1, words)
        book.answer(ANN, f"re:{words}", tally)
    book.ask(ANN, 1, "三")
    book.answer(ANN, "in other words", tally)
    assert counts(tally) == (3, 0, 0)
    assert not book.is_clear(1)
    book.answer(ANN, "re:转人工", tally)  # it was not left alone, it was late
    assert counts(tally) == (4, 0, 1)


def test_chats_are_kept_apart() -> None:
    book, tally = Book(), Tally()
    book.ask(ANN, 1, "hi")
    book.answer(CLUB, "re:hi", tally)
    assert counts(tally) == (0, 1, 0)
    assert not book.is_clear(1)


def test_a_line_of_an_earlier_link_may_stay_without_an_answer() -> None:
    book, tally = Book(), Tally()
    book.ask(ANN, 1, "lost")
    book.ask(ANN, 2, "new")
    assert not book.is_clear(2)
    book.answer(ANN, "re:new", tally)
    assert counts(tally) == (1, 0, 0)
    assert book.is_clear(2)
    assert not book.is_clear(1)
    book.answer(ANN, "re:lost", tally)
    assert counts(tally) == (2, 0, 0)


def test_a_chat_that_nobody_answers_is_bounded() -> None:
    book, tally = Book(), Tally()
    for nth in range(REMEMBERED + 10):
        book.ask(ANN, 1, f"<{nth}>")
    for nth in range(REMEMBERED):
        book.answer(ANN, f"<{nth + 10}>", tally)
    assert counts(tally) == (REMEMBERED, 0, 0)
    assert book.is_clear(1)
