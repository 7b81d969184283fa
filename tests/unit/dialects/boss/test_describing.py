"""What logs see of a frame: what it is, no contents and nothing that logs anybody in."""

from __future__ import annotations

import pytest

from boss_mqtt_vectors import CASES
from trunkline.dialects.boss.describing import describe

SEEN = {
    "publish_presence_retain": "(presence)", "publish_push_qos1": "(messages of kind 1)",
    "publish_message_sync": "(ids)", "publish_empty_payload": "(type 0)", "pingreq": "PINGREQ",
    "puback_ext_ids": "PUBACK id 2 +16 bytes", "puback_too_short": "not MQTT",
    "two_packets_one_ws_message": "PUBACK id 2 +16 bytes; PUBLISH",
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SEEN.items())
def test_packets(name: str, text: str) -> None:
    assert text in describe(bytes.fromhex(CASES[name]["hex"]))


def test_no_words_and_no_credentials() -> None:
    for name in ("connect_web", "connect_311"):
        text = describe(bytes.fromhex(CASES[name]["hex"]))
        assert "AbCdEf" not in text
        assert "0123" not in text
    assert "你好" not in describe(bytes.fromhex(CASES["publish_push_qos1"]["hex"]))


def test_parts_and_nothing() -> None:
    data = bytes.fromhex(CASES["publish_push_qos1"]["hex"])
    assert describe(data[:20]) == "20 bytes of a packet"
    assert describe(b"") == "nothing"
    assert describe(b"\x32\x0a\x00\x04chat\x00\x05\xff\xff").endswith("(no protobuf)")
