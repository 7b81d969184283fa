"""Every golden case through the account's session: nothing ends the link that should not."""

from __future__ import annotations

import pytest

from boss_house import QUIRKS, Office, packets
from boss_mqtt_vectors import CASES as PACKETS
from boss_schema import CASES as PAYLOADS
from trunkline.dialects.contract import LinkState
from trunkline.wire.mqtt_packets import PubAck
from trunkline.wire.mqtt_stream import Broken, Reader


def chunks_of(name: str) -> list[bytes]:
    """Return the messages of a golden case."""
    case = PACKETS[name]
    return [bytes.fromhex(part) for part in case.get("hex_parts") or [case["hex"]]]


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_payload_of_any_kind_is_acknowledged_once_and_the_link_lives(name: str) -> None:
    office = Office().start()
    before = len([one for one in packets(office.bot.sent) if isinstance(one, PubAck)])
    payload = bytes.fromhex(PAYLOADS[name]["hex"])
    office.does(lambda desk: desk.push_payload(payload))
    after = [one for one in packets(office.bot.sent) if isinstance(one, PubAck)]
    assert len(after) == before + 1
    assert office.bot.hangup is None
    assert office.bot.state is LinkState.READY
    assert office.gateway.violations == {}


# What a client may hear while it is connected, and what ends its link.
ENDS = {"puback_too_short"}
LOGIN = {"connack_bad_credentials", "connack_not_authorized"}


@pytest.mark.parametrize("name", sorted(PACKETS.keys() - LOGIN))
def test_a_packet_of_any_kind_ends_the_link_only_where_it_must(name: str) -> None:
    office = Office().start()
    for chunk in chunks_of(name):
        office.pump.inject(chunk, is_text=False)  # type: ignore[arg-type]
    assert (office.bot.hangup is not None) == (name in ENDS)
    told = PACKETS[name]["decoded"]
    if told.get("qos") == 1 and not name.startswith("publish_text"):
        ids = [one.packet_id for one in packets(office.bot.sent) if isinstance(one, PubAck)]
        assert told["packet_id"] in ids


@pytest.mark.parametrize("name", sorted(LOGIN))
def test_a_refused_login_ends_the_link(name: str) -> None:
    office = Office()
    office.begin()
    office.pump.link()
    office.pump.take()
    office.pump.inject(chunks_of(name)[0], is_text=False)  # type: ignore[arg-type]
    assert office.bot.hangup is not None
    assert office.bot.kinds() == ["register-refused"]


def test_a_connect_has_the_layout_of_the_web_client() -> None:
    office = Office().start()
    (golden,) = Reader(QUIRKS).feed(chunks_of("connect_web")[0])
    (ours, *_) = packets(office.bot.sent)
    assert not isinstance(golden, Broken)
    assert (
        office.bot.sent[0][:14]
        == chunks_of("connect_web")[0][:1] + b"\x90\x01" + (chunks_of("connect_web")[0][3:14])
    )
    assert len(office.bot.sent[0]) == len(chunks_of("connect_web")[0])
    assert type(ours) is type(golden)
