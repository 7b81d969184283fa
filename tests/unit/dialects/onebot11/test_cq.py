"""CQ codes: every golden case, both ways."""

from __future__ import annotations

import time
from typing import Any

import pytest

from onebot11_vectors import load, plain_segs, segs
from trunkline.dialects.onebot11.cq import format_cq, parse_cq
from trunkline.dialects.onebot11.segments import MAX_SEGMENTS, Seg, clean, to_wire

DECODE, ENCODE = load("cq_decode"), load("cq_encode")


def ids(cases: list[dict[str, Any]]) -> list[str]:
    return [case["id"] for case in cases]


@pytest.mark.parametrize("case", DECODE, ids=ids(DECODE))
def test_decode(case: dict[str, Any]) -> None:
    found = parse_cq(case["cq"])
    assert plain_segs(found) == case["segments"]
    assert format_cq(found) == case["reencoded"]


@pytest.mark.parametrize("case", ENCODE, ids=ids(ENCODE))
def test_encode(case: dict[str, Any]) -> None:
    text = format_cq(segs(case["segments"]))
    assert text == case["cq"]
    assert plain_segs(parse_cq(text)) == case["decodes_to"]


def test_all_cases_are_here() -> None:
    assert (len(DECODE), len(ENCODE)) == (48, 22)


def test_what_a_code_cannot_carry_is_left_out() -> None:
    assert format_cq([Seg("a b", {}), Seg("face", {"i d": "1", "id": "2"})]) == "[CQ:face,id=2]"


@pytest.mark.parametrize(
    "text",
    ["[CQ:a" * 40_000, "[CQ:a,b=" * 40_000, "[CQ:a,b=" * 40_000 + ", ]", "[CQ:" + "a" * 400_000],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    before = time.process_time()
    assert plain_segs(parse_cq(text)) == [{"type": "text", "data": {"text": text}}]
    assert time.process_time() - before < 2


def test_a_list_is_made_clean() -> None:
    flags: list[str] = []
    items = [
        "x",
        {"type": 5},
        {"type": "", "data": {}},
        {"type": "at", "data": {"qq": 5, "n": None}},
        {"type": "text", "data": {"text": 1.5}},
        {"type": "text", "data": {}},
        {"type": "f", "data": []},
    ]
    found = clean(items, flags)
    assert plain_segs(found) == [
        {"type": "at", "data": {"qq": "5"}},
        {"type": "text", "data": {"text": "1.5"}},
    ]
    assert flags == ["dropped_segment"] * 4


def test_what_leaves_is_text_except_the_content_of_a_node() -> None:
    node = Seg("node", {"user_id": 1, "content": [{"type": "text"}]})
    odd = Seg("x", {"a": True, "b": None, "c": {"d": [1]}, "e": 2.0})
    assert plain_segs(to_wire([node, odd])) == [
        {"type": "node", "data": {"user_id": "1", "content": [{"type": "text"}]}},
        {"type": "x", "data": {"a": "1", "c": '{"d":[1]}', "e": "2"}},
    ]


def test_behind_ten_thousand_segments_codes_are_text() -> None:
    """A million codes in one message held the event loop for five seconds."""
    found = parse_cq("[CQ:a]" * (MAX_SEGMENTS + 2))
    assert len(found) == MAX_SEGMENTS + 1
    assert found[-1] == Seg("text", {"text": "[CQ:a][CQ:a]"})
