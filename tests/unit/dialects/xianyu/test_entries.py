"""Every push package of the vectors, entry by entry."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.xianyu.entries import read, read_history
from trunkline.dialects.xianyu.frames import parse_history
from trunkline.dialects.xianyu.pushes import decode_entry, parse_package
from trunkline.errors import WireMalformed
from xianyu_vectors import ME, frame_case, load, meaning_of, meanings, to_frame

CASES = load("push_packages")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vectors(case: dict[str, Any]) -> None:
    assert meanings(to_frame(case), case["my_user_id"]) == case["expect_events"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_entries_decode_as_the_vectors_say(case: dict[str, Any]) -> None:
    for entry, wanted in zip(parse_package(to_frame(case)).entries, case["decoded"], strict=False):
        if wanted is None:
            continue
        assert decode_entry(entry) == wanted


def test_history_reads_as_if_it_had_been_pushed() -> None:
    case = frame_case("list_history_ok")
    (message,) = parse_history(to_frame(case).body).items
    told = meaning_of(read_history(message, ME))
    wanted = case["expect"]["messages"][0]
    assert (told["pnm_id"], told["sender_id"]) == (wanted["pnm_id"], wanted["sender_id"])
    assert told["content"]["text"] == wanted["text"]
    assert told["auto_reply_eligible"]


def test_typed_words_never_make_an_order() -> None:
    words = "[我已付款，等待你发货]"
    meta = {"senderUserId": "2", "reminderContent": words, "redReminder": "等待卖家发货"}
    inner = {"2": "9", "3": "1.PNM", "6": {"3": {"5": '{"contentType":1,"text":{"text":"x"}}'}}}
    assert meaning_of(read({"1": {**inner, "10": meta}}, ME))["kind"] == "chat"


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"1": None}, {"1": {}}, {"1": []}])
def test_odd_shapes_are_named_and_raise_nothing(value: Any) -> None:
    assert meaning_of(read(value, ME))["kind"] in ("unknown", "system")


def test_an_entry_without_data() -> None:
    for entry in (None, {}, {"data": ""}, {"data": 5}):
        with pytest.raises(WireMalformed, match="no_data"):
            decode_entry(entry)
