"""What is kept, what of it is secret, and how long a line waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.boss.session import (
    TRANSITIONS,
    Kept,
    decode_kept,
    delay_s,
    encode_kept,
    secrets_of,
)
from trunkline.dialects.contract import LinkState


def test_what_is_kept_survives() -> None:
    kept = Kept("a=1", "d", 5, (1 << 63) - 1, 7, 8, 2, (1, 2), {"16": 99})
    assert decode_kept(encode_kept(kept)) == kept


@given(st.binary(max_size=50))
def test_what_cannot_be_read_is_nothing(data: bytes) -> None:
    assert isinstance(decode_kept(data), Kept)


def test_cookies_are_secret_whole_and_singly_but_not_their_settings() -> None:
    kept = encode_kept(Kept(cookies="wt=long-enough-secret; lang=zh"))
    assert secrets_of(kept) == ["wt=long-enough-secret; lang=zh", "long-enough-secret"]
    assert secrets_of(encode_kept(Kept())) == []


def test_waits_double_up_to_a_minute() -> None:
    assert [delay_s("lost", nth) for nth in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]
    assert delay_s("replaced", 1) == 60
    assert delay_s("network", 10_000) == 60


def test_a_link_that_is_closed_stays_so() -> None:
    assert TRANSITIONS[LinkState.CLOSED] == frozenset()
    assert all(LinkState.CLOSED in after for state, after in TRANSITIONS.items() if after)
