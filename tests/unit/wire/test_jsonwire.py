import math
from typing import Any

import msgspec
import pytest

from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire


class Frame(msgspec.Struct):
    type: str
    value: float | None = None


FRAME = msgspec.json.Decoder(Frame)
ANY = msgspec.json.Decoder(Any)


def test_the_fast_path():
    assert jsonwire.decode(FRAME, b'{"type":"a","value":1,"more":[1]}') == Frame("a", 1.0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'\xef\xbb\xbf{"type":"a"}', Frame("a")),
        (b'{"type":"\\ud800"}', Frame("�")),
        (b'{"type":"a\\udfffb"}', Frame("a�b")),
        (b'{"type":"\\ud83d\\ude00"}', Frame("😀")),
        (b'{"\\ud800":1,"type":"a"}', Frame("a")),
    ],
)
def test_what_is_repaired(data, expected):
    assert jsonwire.decode(FRAME, data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_json"), (b"{", "not_json"), (b"{}x", "not_json"), (b"\xff", "not_json"),
        (b'"\xed\xa0\x80"', "not_json"), (b"[NaN]", "not_json"), (b"[-Infinity]", "not_json"),
        (b"\xef\xbb\xbf1e999", "not_json"), (b"[1,]", "not_json"), (b"'a'", "not_json"),
        (b"\xef\xbb\xbf" + b"1" * 5000, "not_json"),
        (b"[" * 100_000, "too_deep"), (b'{"a":' * 50_000, "too_deep"),
        (b"[" * 3000 + b"]" * 3000, "too_deep"),
    ],
)  # fmt: skip
def test_what_is_refused(data, reason):
    with pytest.raises(WireMalformed) as caught:
        jsonwire.decode(ANY, data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("data", [b'{"type":1}', b"[]", b"{}", b'\xef\xbb\xbf{"type":1}'])
def test_a_wrong_shape_is_a_validation_error_on_both_paths(data):
    with pytest.raises(msgspec.ValidationError):
        jsonwire.decode(FRAME, data)


def test_nan_is_none_where_it_is_allowed():
    data = b'{"type":"a","value":NaN}'
    assert jsonwire.decode(FRAME, data, allow_nan=True) == Frame("a")
    assert jsonwire.tolerant(b"[NaN,Infinity,-Infinity,1e999,-1e999,1.5]", allow_nan=True) == [
        None, None, None, None, None, 1.5,
    ]  # fmt: skip
    with pytest.raises(WireMalformed, match="NaN is not JSON"):
        jsonwire.tolerant(b"[NaN]")
    with pytest.raises(WireMalformed, match="out of range"):
        jsonwire.tolerant(b"[1e999]")


def test_depth_is_counted_outside_strings():
    limit = jsonwire.MAX_DEPTH
    jsonwire.check_depth("[" * limit + "]" * limit)
    jsonwire.check_depth("[]" * 1000)
    jsonwire.check_depth('["' + "[{" * 1000 + '"]')
    jsonwire.check_depth('["\\"' + "[" * 1000 + '"]')
    for text in ("[" * (limit + 1), '["\\\\"' + "[" * limit, '{"a":' * (limit + 1)):
        with pytest.raises(WireMalformed, match="too_deep"):
            jsonwire.check_depth(text)


def test_the_limit_of_depth_can_be_chosen():
    assert jsonwire.tolerant(b"[[1]]", max_depth=2) == [[1]]
    with pytest.raises(WireMalformed, match="too_deep"):
        jsonwire.tolerant(b"[[[1]]]", max_depth=2)
    assert jsonwire.tolerant(b"[" * 64 + b"]" * 64)
    with pytest.raises(WireMalformed, match="too_deep"):
        jsonwire.tolerant(b"[" * 65 + b"]" * 65)


def test_an_unterminated_string_takes_linear_time():
    # A quadratic or worse pattern would not come back from two megabytes of quotes and escapes.
    hostile = b'["' + b'\\"' * 1_000_000 + b"[" * 100
    with pytest.raises(WireMalformed, match="not_json"):
        jsonwire.tolerant(hostile)


def test_encode():
    assert jsonwire.encode({"a": ["好", 1.5, None]}) == '{"a":["好",1.5,null]}'.encode()
    assert jsonwire.encode([math.nan, math.inf]) == b"[null,null]"
    assert jsonwire.encode(Frame("x")) == b'{"type":"x","value":null}'


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"echo":"\\ud800"}', b'"\\ud800"'),
        (b'\xef\xbb\xbf { "a" : {"echo":1} , "echo" : [ 1.0 ] } ', b"[ 1.0 ]"),
        (b'{"echo":1,"echo":2}', b"2"),
        (b'{"a":"\\"echo\\":3"}', b""),
        (b"{}", b""),
    ],
)
def test_one_field_as_it_came(data, found):
    assert jsonwire.raw_field(data, "echo") == found
