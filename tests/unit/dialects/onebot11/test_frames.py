"""Frames: every golden case of events, calls, responses and bad input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onebot11_lines import read_ordinary
from onebot11_vectors import frame_of, load, normal_form
from trunkline.dialects.onebot11 import ordinary
from trunkline.dialects.onebot11.calls import (
    BadCall,
    Call,
    decode_call,
    encode_accepted,
    encode_call,
    encode_done,
    encode_failed,
)
from trunkline.dialects.onebot11.frames import decode, decode_response
from trunkline.dialects.onebot11.shapes import FLAGS, REJECTIONS, EventFrame, MessageFrame, Response
from trunkline.errors import WireMalformed

EVENTS, CALLS = load("events"), load("api_calls")
RESPONSES, MALFORMED = load("api_responses"), load("malformed")


def ids(cases: list[dict[str, Any]]) -> list[str]:
    return [case["id"] for case in cases]


def test_all_cases_are_here() -> None:
    assert [len(load(key)) for key in ("events", "api_calls", "api_responses", "malformed")] == [
        50, 12, 16, 42,
    ]  # fmt: skip


@pytest.mark.parametrize("case", EVENTS, ids=ids(EVENTS))
def test_event(case: dict[str, Any]) -> None:
    frame = decode(json.dumps(case["raw"]).encode())
    assert not isinstance(frame, Response)
    # A temporary chat names its group in `sender`: that is kept to answer by, and is no group_id.
    form = normal_form(frame)
    if "group_id" not in case["raw"] and isinstance(frame, MessageFrame):
        form.pop("group_id", None)
    assert form == case["normalized"]
    assert set(frame.flags) <= FLAGS
    assert json.loads(frame.data) == case["raw"]


@pytest.mark.parametrize("case", CALLS, ids=ids(CALLS))
def test_call(case: dict[str, Any]) -> None:
    call = decode_call(json.dumps(case["raw"]).encode())
    assert isinstance(call, Call)
    parsed = {
        "action": call.action, "mode": call.mode, "params": call.params,
        "echo_present": call.echo is not None,
    }  # fmt: skip
    if call.echo is not None:
        parsed["echo"] = json.loads(call.echo)
    assert parsed == case["parsed"]
    answer = json.loads(encode_done(b'{"x":1}', call.echo))
    assert answer == {"status": "ok", "retcode": 0, "data": {"x": 1}} | (
        {"echo": case["raw"]["echo"]} if "echo" in case["raw"] else {}
    )


@pytest.mark.parametrize("case", RESPONSES, ids=ids(RESPONSES))
def test_response(case: dict[str, Any]) -> None:
    data = json.dumps(case["raw"]).encode()
    for response in (decode(data), decode_response(data)):
        assert isinstance(response, Response)
        assert {
            "ok": response.is_ok, "async": response.is_async, "retcode": response.retcode,
            "data": json.loads(response.data), "error": response.error, "echo": response.echo,
        } == case["parsed"]  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED, ids=ids(MALFORMED))
def test_malformed(case: dict[str, Any]) -> None:
    data, context = frame_of(case), case["context"]
    if "accept" in case:
        frame = decode(data, case.get("connection_self_id", ""))
        assert not isinstance(frame, Response)
        assert normal_form(frame) == case["accept"]
        return
    assert case["reject"] in REJECTIONS
    if context == "call":
        call = decode_call(data)
        assert isinstance(call, BadCall)
        assert call.reason == case["reject"]
        answer = json.loads(encode_failed(1400, "bad", call.echo))
        assert answer["echo"] == case["answer_echo"]
        assert case["answer"].items() <= answer.items()
        assert answer["message"] == answer["wording"] == answer["msg"] == "bad"
        return
    account = case.get("connection_self_id", "")
    with pytest.raises(WireMalformed) as caught:
        decode_response(data) if context == "response" else decode(data, account)
    assert caught.value.reason == case["reject"]


def test_an_event_on_a_connection_for_responses() -> None:
    with pytest.raises(WireMalformed, match="is_event"):
        decode_response(b'{"post_type":"meta_event","retcode":0}')


@pytest.mark.parametrize("echo", [
    b"123456789012345678901234567890", b"-0.50", b'{"a":[1,{"b":null}],"c":9007199254740993}',
    b'""', b"0", b"false", b"null", b'"\\u4f60"', b"1e2",
])  # fmt: skip
def test_an_echo_returns_byte_for_byte(echo: bytes) -> None:
    call = decode_call(b'{"action":"get_status","echo":' + echo + b"}")
    assert isinstance(call, Call)
    for answer in (
        encode_done(b"null", call.echo), encode_failed(1400, "x", call.echo),
        encode_accepted(call.echo),
    ):  # fmt: skip
        assert answer.endswith(b'"echo":' + echo + b"}")


def test_an_echo_survives_the_repair_of_its_frame() -> None:
    call = decode_call('\ufeff{"action":"a","echo":[12345678901234567890123,"你"]}'.encode())
    assert isinstance(call, Call)
    assert json.loads(call.echo or b"") == [12345678901234567890123, "你"]


def test_calls_of_ours() -> None:
    assert json.loads(encode_call("get_status", {}, "e")) == {
        "action": "get_status", "params": {}, "echo": "e",
    }  # fmt: skip
    assert json.loads(encode_accepted(None)) == {"status": "async", "retcode": 1, "data": None}


def test_a_deep_call_is_answered() -> None:
    deep = b'{"action":"a","params":{"x":' + b"[" * 80 + b"]" * 80 + b'},"echo":1}'
    assert decode_call(deep) == BadCall("too_deep")


@pytest.mark.parametrize("raw", [{"time": "12.5"}, {"time": 0}, {"time": 10**15}, {"time": True}])
def test_odd_times(raw: dict[str, Any]) -> None:
    base = {"post_type": "notice", "notice_type": "x", "self_id": 1}
    frame = decode(json.dumps(base | raw).encode())
    assert isinstance(frame, EventFrame)
    expected = {"12.5": (12500, ("string_time",))}.get(str(raw["time"]), (None, ("no_time",)))
    assert (frame.at_ms, frame.flags) == expected


def test_ordinary_frames_are_read_without_the_rules() -> None:
    """The ordinary message and response take the short way."""
    by_id = {case["id"]: case["raw"] for case in EVENTS}
    for name in ("private-array", "group-array-at-reply", "private-string", "group-napcat"):
        wire = read_ordinary(json.dumps(by_id[name]).encode())
        assert wire is not None
        assert wire.post_type == "message"
        assert ordinary.to_message(wire, str(wire.self_id), has_key=True) is not None
    wire = read_ordinary(b'{"status":"ok","retcode":0,"data":null,"echo":"1"}')
    assert wire is not None
    assert ordinary.is_done(wire)
