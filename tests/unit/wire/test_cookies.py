"""Cookie strings: pasted by people, renewed by platforms, sent as one header line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.wire import cookies


@pytest.mark.parametrize(
    "pasted", ["a=1; b=2", " a=1; b=2\r\n", "Cookie: a=1; b=2", "cookie:a=1; b=2\n"]
)
def test_a_pasted_string_may_have_the_name_of_its_header(pasted: str) -> None:
    assert cookies.one_line(pasted) == "a=1; b=2"


@pytest.mark.parametrize(
    "pasted", ["a=1\nb=2", "a=1\r\nX-Evil: 1", "a=1\x00", "Cookie: a=1;\n b=2"]
)
def test_what_is_more_than_a_line_is_refused_and_not_joined(pasted: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        cookies.one_line(pasted)


def test_parsing_and_merging() -> None:
    assert cookies.parse_cookies("a=1; b=2=3; ; c; a=4") == {"a": "4", "b": "2=3"}
    merged = cookies.merge_set_cookies("a=1; b=2", ["b=5; Path=/", "c=6", "broken"])
    assert merged == "a=1; b=5; c=6"


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_what_is_sent_is_one_line(found: dict[str, str]) -> None:
    assert not any(ord(char) < 32 or ord(char) == 127 for char in cookies.format_cookies(found))
