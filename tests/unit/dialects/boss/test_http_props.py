"""Ids and codes in JSON: whatever stands there is a number or none, and never an error."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.dialects.boss.http import is_number, to_int

DIGITS = st.text(alphabet="-+0123456789 _.e٣²", max_size=24)
ANY = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.text(), DIGITS, st.lists(st.integers())
)


@given(ANY)
@example("--5")
@example("-")
@example("²")
@example("٣")
@example("5\n")
@example(str(1 << 63))
def test_whatever_stands_there_is_a_number_or_none(value: object) -> None:
    found = to_int(value)
    assert type(found) is int
    assert -(1 << 63) <= found < 1 << 63
    if found:
        assert is_number(value)
        assert str(value).lstrip("-0") == str(abs(found))
    if type(value) is bool:
        assert (found, is_number(value)) == (0, False)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_number_and_its_text_are_the_same(number: int) -> None:
    assert to_int(number) == to_int(str(number)) == number
    assert is_number(number)
    assert is_number(str(number))
