import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import WireMalformed
from trunkline.model.message import storable
from trunkline.wire import jsonwire

ANY = msgspec.json.Decoder(Any)
# Lone surrogates only: escaped alone, two neighbours would become one character.
TEXTS = st.text(max_size=8) | st.sampled_from(["\ud800", "a\udfff", "\udfff\ud800"])
PLAIN = st.text(max_size=8)


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=20,
    )


@given(values(PLAIN))
def test_decode_undoes_encode(value):
    data = jsonwire.encode(value)
    assert jsonwire.decode(ANY, data) == value
    assert jsonwire.tolerant(data) == value


@given(values(TEXTS), st.booleans())
def test_both_paths_agree_and_give_what_can_be_stored(value, escape):
    data = json.dumps(value, ensure_ascii=True).encode()
    if escape:
        data = b"\xef\xbb\xbf" + data
    decoded = jsonwire.decode(ANY, data)
    assert decoded == jsonwire.tolerant(data)
    assert json.dumps(decoded, ensure_ascii=False).encode()


@given(values(TEXTS))
def test_lone_surrogates_become_replacement_characters(value):
    def stored(value: Any) -> Any:
        if isinstance(value, str):
            return storable(value)
        if isinstance(value, dict):
            return {stored(key): stored(item) for key, item in value.items()}
        return [stored(item) for item in value] if isinstance(value, list) else value

    assert jsonwire.tolerant(json.dumps(value).encode()) == stored(value)


BYTES = st.binary(max_size=60) | st.lists(
    st.sampled_from(list(b'{}[]":,\\u0d8ntfaN1e-. \xef\xbb\xbf\xff')), max_size=60
).map(bytes)


@given(BYTES, st.booleans())
def test_any_bytes_are_a_value_or_malformed(data, allow_nan):
    try:
        value = jsonwire.decode(ANY, data, allow_nan=allow_nan)
    except (WireMalformed, msgspec.ValidationError):
        return
    assert jsonwire.encode(value)


@given(values(PLAIN), st.data())
def test_every_truncation_is_malformed(value, data):
    whole = jsonwire.encode([value])
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        jsonwire.decode(ANY, whole[:cut])
    except WireMalformed as error:
        reason = error.reason
    assert reason == "not_json"


@given(st.text(st.sampled_from('[]{}"\\a'), max_size=200), st.integers(1, 8))
def test_depth_equals_a_naive_count(text, limit):
    depth = deepest = 0
    is_inside = is_escaped = False
    for at, sign in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif sign == "\\" and not is_inside:  # no JSON: it takes a mark behind it away
            is_escaped = text[at + 1 : at + 2] in ("\\", '"')
        elif is_inside:
            is_escaped = sign == "\\"
            is_inside = sign != '"'
        elif sign == '"':
            is_inside = True
        elif sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    try:
        jsonwire.check_depth(text, limit)
    except WireMalformed:
        assert deepest > limit
    else:
        assert deepest <= limit
