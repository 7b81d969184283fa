"""CQ codes against hostile text: nothing is lost and nothing becomes a code that was none."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from onebot11_vectors import plain_segs
from trunkline.dialects.onebot11.cq import escape_text, format_cq, parse_cq
from trunkline.dialects.onebot11.segments import Seg, clean

NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=6)
HOSTILE = st.one_of(
    st.text(max_size=20),
    st.text("[]CQ:,=&;#amp914453 \n\0", max_size=30),
    st.sampled_from(["[CQ:face,id=1]", "&#91;", "&amp;#44;", "[CQ:", "]", ",", "&amp;amp;", "😀"]),
)
TEXT = HOSTILE.map(lambda text: {"type": "text", "data": {"text": text}})
CODE = st.tuples(
    NAMES.filter(lambda name: name != "text"), st.dictionaries(NAMES, HOSTILE, max_size=4)
).map(lambda pair: {"type": pair[0], "data": pair[1]})


@given(st.lists(st.one_of(TEXT, CODE), max_size=6))
def test_round_trip(items: list[dict[str, object]]) -> None:
    segments = clean(items, [])
    found = parse_cq(format_cq(segments))
    named = [{"type": one.type, "data": one.data} for one in segments]
    assert plain_segs(found) == named


@given(HOSTILE)
def test_any_text_survives_as_text(text: str) -> None:
    found = parse_cq(escape_text(text))
    assert "".join(one.data["text"] for one in found) == text
    assert all(one.type == "text" for one in found)


@given(st.lists(HOSTILE, max_size=5).map("".join))
def test_any_string_is_a_message_and_stays_the_same(text: str) -> None:
    segments = parse_cq(text)
    assert parse_cq(format_cq(segments)) == segments
    assert all(one.type != "text" or one.data["text"] for one in segments)
    assert segments or not text or "[CQ:text" in text


@given(st.lists(st.one_of(TEXT, CODE, st.none(), st.integers()), max_size=6))
def test_cleaning_twice_changes_nothing(items: list[object]) -> None:
    once = clean(items, [])
    flags: list[str] = []
    assert clean(once, flags) == once
    assert flags == []
    assert all(type(one) is Seg for one in once)


CODES = re.compile(
    r"\[CQ:([A-Za-z0-9_.\-]+)((?:,[A-Za-z0-9_.\-]+=[^,\]]*)*),?\]", re.DOTALL
)  # the grammar of onebot11 6.3 as it stands there


@given(
    st.lists(
        st.sampled_from(["[CQ:", "a", "=", ",", "]", " ", "[", "k=v", ",k=", "&amp;"]), max_size=14
    ).map("".join)
)
def test_the_leftmost_codes_of_the_grammar_are_found(text: str) -> None:
    expected = [match[1] for match in CODES.finditer(text) if match[1] != "text"]
    assert [one.type for one in parse_cq(text) if one.type != "text"] == expected
