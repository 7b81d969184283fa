"""Properties of the MessagePack codec."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import WireMalformed
from trunkline.wire import msgpack

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXTS, inner, max_size=20),
    max_leaves=30,
)


@given(VALUES, st.booleans())
def test_what_is_encoded_is_decoded(value: Any, is_old: bool) -> None:  # drawn
    assert msgpack.decode(msgpack.encode(value, has_old_strings=is_old)) == value


@given(VALUES, st.integers(1, 50))
def test_every_truncation_is_refused(value: Any, cut: int) -> None:
    data = msgpack.encode(value)
    try:
        msgpack.decode(data[: -min(cut, len(data))])
    except WireMalformed:
        return
    raise AssertionError("a prefix was read as a whole value")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    with contextlib.suppress(WireMalformed):
        msgpack.decode(data)
