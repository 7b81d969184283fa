"""MessagePack as peers send it: the vectors, and what must be refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from trunkline.errors import WireMalformed
from trunkline.wire import msgpack
from xianyu_vectors import load

CASES = load("msgpack")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_vectors(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    if case.get("error"):
        with pytest.raises(WireMalformed):
            msgpack.decode(data)
    else:
        assert msgpack.decode(data) == case["json"]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01\x02", b"\x81\xc0\x01", b"\x81\x91\x01\x01", b"\xc7\x01\x01\x00",
     b"\xdf\xff\xff\xff\xff"],
)  # fmt: skip
def test_what_json_cannot_stand_for_is_refused(data: bytes) -> None:
    with pytest.raises(WireMalformed):
        msgpack.decode(data)


def test_sixty_four_levels_are_the_limit() -> None:
    assert msgpack.decode(b"\x91" * 64 + b"\x01")
    with pytest.raises(WireMalformed, match="too_deep"):
        msgpack.decode(b"\x91" * 65 + b"\x01")


def test_a_lie_about_the_size_allocates_nothing() -> None:
    with pytest.raises(WireMalformed):
        msgpack.decode(b"\xdd" + struct.pack(">I", 2**31) + b"\x01" * 10)


@pytest.mark.parametrize(("size", "head"), [(31, b"\xbf"), (32, b"\xda"), (70_000, b"\xdb")])
def test_old_strings_have_no_short_header(size: int, head: bytes) -> None:
    data = msgpack.encode("x" * size, has_old_strings=True)
    assert data.startswith(head)
    assert msgpack.decode(data) == "x" * size


def test_keys_that_are_digits_are_packed_as_integers() -> None:
    assert msgpack.encode({"1": "a", "01": "b"}) == b"\x82\x01\xa1a\xa201\xa1b"


def test_a_key_of_many_digits_stays_text() -> None:
    key = "9" * 25
    assert msgpack.decode(msgpack.encode({key: 1})) == {key: 1}


def test_an_integer_has_at_most_64_bits() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        msgpack.encode(2**64)
