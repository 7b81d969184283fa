"""The envelope: what is read, what is written, what logs say of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maim_lines import core, delivery, envelope, message
from trunkline.dialects.contract import Transmit
from trunkline.dialects.maim.envelope import (
    Envelope,
    Us,
    check_message,
    decode,
    describe,
    encode_ack,
    to_classic_custom,
    wrap,
)
from trunkline.errors import WireMalformed

SERVER = Us("server", "qq", "K1", "c1")
CLIENT = Us("client", "qq", "K1", "c1")


def data(frame: object) -> bytes:
    return json.dumps(frame).encode()


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"type": "a", "msg_id": "m", "payload": {"x": 1}}, Envelope("a", "m", b'{"x": 1}', "")),
        ({"type": "a", "msg_id": 5}, Envelope("a", "5", b"", "")),
        ({"type": "sys_ack", "meta": {"acked_msg_id": "m"}}, Envelope("sys_ack", "", b"", "m")),
        ({"type": "sys_ack", "meta": {"acked_msg_id": 5}}, Envelope("sys_ack", "", b"", "5")),
        ({"type": "sys_ack", "meta": "?"}, Envelope("sys_ack", "", b"", "")),
        ({"type": None, "msg_id": None, "meta": None}, Envelope("", "", b"", "")),
        ({"type": 1, "msg_id": {}, "payload": None}, Envelope("", "", b"", "")),
        ({}, Envelope("", "", b"", "")),
    ],
)
def test_every_object_is_an_envelope(frame: Any, expected: Envelope) -> None:
    assert decode(data(frame)) == expected


def test_a_byte_order_mark_and_half_characters_are_repaired() -> None:
    found = decode(b'\xef\xbb\xbf{"type":"a","msg_id":"m\\ud800"}')
    assert found == Envelope("a", "m\ufffd", b"", "")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"", "not_json"), (b"[]", "not_an_object"), (b"1", "not_an_object"),
     (b'{"meta":' * 140 + b"NaN" + b"}" * 140, "too_deep")],
)  # fmt: skip
def test_nothing_else_is(raw: bytes, reason: str) -> None:
    with pytest.raises(WireMalformed) as caught:
        decode(raw)
    assert caught.value.reason == reason


def test_a_nested_list_as_deep_as_the_classic_line_allows_passes() -> None:
    inner: dict[str, Any] = {"type": "text", "data": "x"}
    for _ in range(32):
        inner = {"type": "seglist", "data": [inner]}
    # Written with a NaN, so that the tolerant path has to read it.
    text = json.dumps(envelope() | {"ver": float("nan")})
    text = text.replace('[{"type": "text", "data": "\\u4f60\\u597d"}]', json.dumps([inner]))
    found = decode(text.encode())
    assert found.type == "sys_std"
    check_message(found.payload)


@pytest.mark.parametrize("missing", ["platform", "message_id", "time"])
@pytest.mark.parametrize("value", [..., None, ""])
def test_required_fields(missing: str, value: Any) -> None:
    payload = envelope()["payload"]
    check_message(data(payload))
    if value is ...:
        del payload["message_info"][missing]
    else:
        payload["message_info"][missing] = value
    if missing == "time" and value == "":
        check_message(data(payload))  # of no use, but there: the classic reader drops it
        return
    with pytest.raises(WireMalformed) as caught:
        check_message(data(payload))
    assert caught.value.reason == "incomplete_message"


@pytest.mark.parametrize("missing", ["platform", "api_key"])
def test_the_account_is_required(missing: str) -> None:
    payload = envelope()["payload"]
    del payload["message_dim"][missing]
    with pytest.raises(WireMalformed):
        check_message(data(payload))


def test_deployed_quirks_are_no_errors() -> None:
    payload = envelope()["payload"]
    info = payload["message_info"]
    info |= {"message_id": 7, "time": 1703123456, "sender_info": None, "extra": [1]}
    check_message(data(payload))
    info["sender_info"] = {"user_info": {"platform": "qq", "user_id": 5}, "group_info": None}
    check_message(data(payload))


def test_a_custom_message_becomes_a_classic_one() -> None:
    frame = Envelope("custom_wave", "m", b'{"a":1}', "")
    assert json.loads(to_classic_custom(frame, "qq")) == {
        "platform": "qq", "message_type_name": "wave", "content": {"a": 1}, "timestamp": 0.0,
        "is_custom_message": True,
    }  # fmt: skip
    empty = json.loads(to_classic_custom(Envelope("custom_wave", "", b"", ""), "qq"))
    assert empty["content"] == {}
    with pytest.raises(WireMalformed):
        to_classic_custom(Envelope("custom_", "m", b"{}", ""), "qq")


def test_everything_but_the_parties_is_carried_through() -> None:
    session = core()
    [transmit, *_] = session.send(delivery("好"))
    assert isinstance(transmit, Transmit)
    classic = json.loads(transmit.data)
    payload = json.loads(wrap(transmit.data, SERVER, "m", 5.5))["payload"]
    info = classic["message_info"]
    parties = {"user_info": info.pop("user_info")}
    assert payload["message_segment"] == classic["message_segment"]
    assert payload["message_info"] == info
    assert info["receiver_info"] == parties


def test_a_private_message_of_a_client_names_no_group() -> None:
    frame = json.loads(wrap(message(), CLIENT, "m", 5.5))
    assert frame["meta"] == {"sender_user": "K1", "platform": "qq", "timestamp": 5.5}
    assert set(frame["payload"]["message_info"]["sender_info"]) == {"user_info"}


@pytest.mark.parametrize("us", [SERVER, CLIENT])
def test_an_acknowledgement(us: Us) -> None:
    assert json.loads(encode_ack(us, "a", "m", 5.5)) == {
        "ver": 1, "msg_id": "a", "type": "sys_ack",
        "meta": {"uuid": "c1", "acked_msg_id": "m", "timestamp": 5.5},
        "payload": {"status": "received", f"{us.side}_timestamp": 5.5},
    }  # fmt: skip


def test_logs_say_what_it_is_and_never_the_key() -> None:
    frame = envelope() | {"meta": {"sender_user": "SECRET"}}
    frame["payload"]["message_dim"]["api_key"] = "SECRET"
    said = describe(data(frame))
    assert said.startswith("sys_std m1 qq/")
    assert "你好" in said
    assert "SECRET" not in said
    assert describe(encode_ack(SERVER, "a", "m", 5.5)) == "sys_ack of m"
    assert describe(data(envelope(type="custom_x", payload={"a": 1}))) == "custom_x m1 8 bytes"
    assert describe(message()).startswith("qq/private 10001")  # the classic line as before
    assert describe(b"nope").startswith("! not_json")
