"""Frames as we write them."""

import pytest

from trunkline.lines import framing


def test_the_example_of_the_rfc():
    # RFC 6455 5.7: a single-frame masked text message and an unmasked one.
    assert framing.encode_control(0x81, b"Hello") == b"\x81\x05Hello"
    assert framing.encode_control(0x81, b"Hello", b"\x37\xfa\x21\x3d") == bytes.fromhex(
        "818537fa213d7f9f4d5158"
    )


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65_535, "817effff"),
        (65_536, "817f0000000000010000"),
    ],
)
def test_headers(size, header):
    assert framing.encode_header(framing.TEXT, size).hex() == header
    if size < 126:
        assert framing.TEXT_HEADS[size].hex() == header


def test_close_payloads():
    assert framing.encode_close(1005, "x") == b""
    assert framing.encode_close(1000, "") == b"\x03\xe8"
    assert framing.decode_close(b"") == (1005, "")
    assert framing.decode_close(b"\x03\xe8ok") == (1000, "ok")
    assert framing.decode_close(b"\x03") is None


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_may_travel(code):
    assert framing.is_close_code(code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
def test_codes_that_may_not(code):
    assert not framing.is_close_code(code)
