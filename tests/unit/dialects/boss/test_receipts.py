"""Every form of an acknowledgement has the bytes that were seen or feared. Source: boss 2.5"""

from __future__ import annotations

import pytest

from trunkline.dialects.boss.receipts import PUBACKS, extra_of, odd_packets, pack_pair

PAIR = pack_pair(0x0102, 0x0304)


def test_a_pair_is_both_ids_in_network_order() -> None:
    assert bytes([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4]) == PAIR


@pytest.mark.parametrize(
    ("how", "extra"),
    [
        ("ext", PAIR),
        ("standard", b""),
        ("one_extra", b"\x00"),
        ("two_extra", b"\x00\x00"),
        ("ext_protobuf", b"\x08" + PAIR[:6] + b"\x10" + PAIR[8:14]),
        ("ext_zero_mid", PAIR[:8] + bytes(8)),
    ],
)
def test_forms_that_a_flow_writes(how: str, extra: bytes) -> None:
    assert odd_packets(how, 7, PAIR) is None
    assert extra_of(how, PAIR) == extra


@pytest.mark.parametrize(
    ("how", "written"),
    [
        ("ext_nonminimal", (b"\x40\x92\x00\x00\x07" + PAIR,)),
        ("wrong_id", (b"\x40\x12\x00\x0e" + PAIR,)),
        ("duplicate", (b"\x40\x12\x00\x07" + PAIR,) * 2),
        ("too_short", (b"\x40\x01\x00",)),
    ],
)
def test_forms_that_no_flow_writes(how: str, written: tuple[bytes, ...]) -> None:
    assert odd_packets(how, 7, PAIR) == written


def test_a_wrong_id_is_a_packet_id_all_the_same() -> None:
    (packet,) = odd_packets("wrong_id", 65_535, PAIR) or ()
    assert packet[2:4] == b"\x00\x07"


def test_all_forms_are_named() -> None:
    known = {how for how in PUBACKS if odd_packets(how, 1, PAIR) or extra_of(how, PAIR) != PAIR}
    assert set(PUBACKS) - known == {"ext", "late", "none"}
