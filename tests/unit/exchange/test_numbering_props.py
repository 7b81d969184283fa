"""Numbers are a bijection: one thing, one number, whatever its ids look like."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.exchange.conversations import Key
from trunkline.exchange.numbering import (
    CHAT,
    MAX_NUMBER,
    Numbers,
    chat_behind,
    chat_key,
    message_key,
    message_number,
    parse_number,
    peer_id_behind,
    person_key,
)
from trunkline.store.contract import Number

IDS = st.text(
    st.one_of(st.sampled_from('",[]\\#:/@0'), st.characters(exclude_categories=["Cs"])), max_size=8
)
KEYS: st.SearchStrategy[Key] = st.tuples(
    st.sampled_from(["a", "b"]), IDS, st.sampled_from(["private", "group", "visitor"]), IDS
)


@given(KEYS, KEYS)
def test_two_chats_share_a_key_only_when_they_are_the_same(one: Key, other: Key) -> None:
    assert (chat_key(one) == chat_key(other)) is (one == other)


@given(KEYS)
def test_a_number_leads_back_to_its_chat_on_its_own_line_only(key: Key) -> None:
    number = Number(1, *chat_key(key))
    assert chat_behind(number, key[0]) == key
    assert chat_behind(number, "another") is None
    assert peer_id_behind(number, key[0]) == ""


@given(KEYS, IDS)
def test_a_number_leads_back_to_its_messages_id(key: Key, peer_id: str) -> None:
    number = Number(1, *message_key(key, peer_id), 16)
    assert peer_id_behind(number, key[0]) == peer_id
    assert peer_id_behind(number, "another") == ""
    assert chat_behind(number, key[0]) is None
    assert peer_id_behind(message_number(1, key[0], 16), key[0]) == ""


@given(KEYS)
def test_a_person_is_the_private_chat(key: Key) -> None:
    line, account, _, ident = key
    assert person_key(line, account, ident) == chat_key((line, account, "private", ident))


@given(st.lists(KEYS, max_size=30), st.integers(1, 40))
def test_numbers_are_a_bijection_however_small_the_memory(keys: list[Key], capacity: int) -> None:
    """What memory forgets the store has: who asks again is told the number from there."""
    numbers = Numbers(capacity)
    stored: dict[tuple[str, str, str], Number] = {}
    given_out: dict[Key, int] = {}
    for key in keys:
        of_chat = chat_key(key)
        number = numbers.get(of_chat)
        if not number and of_chat in stored:
            numbers.written([stored[of_chat]])
            number = stored[of_chat].id
        number = number or numbers.promise(of_chat)
        if not numbers.is_written(of_chat):
            stored[of_chat] = Number(number, *of_chat)
            numbers.written([stored[of_chat]])
        assert given_out.setdefault(key, number) == number
    assert len(set(given_out.values())) == len(given_out)
    assert all(number.kind == CHAT for number in stored.values())


@given(st.integers(1, MAX_NUMBER))
def test_what_is_shown_is_read_back(number: int) -> None:
    assert parse_number(str(number)) == number


@given(st.one_of(st.text(max_size=12), st.integers(max_value=-1), st.integers(MAX_NUMBER + 1)))
def test_what_was_never_given_is_none(value: object) -> None:
    text = str(value)
    number = parse_number(text)
    assert 0 <= number <= MAX_NUMBER
    if number:
        assert int(text) == number
