import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.pipeline.debounce import cap_ms, due_ms


@pytest.mark.parametrize(
    ("since_ms", "last_ms", "debounce_s", "cap_s", "expected"),
    [
        (1000, 1000, 1.0, None, 2000),
        (1000, 1800, 1.0, None, 2800),
        (1000, 10_900, 1.0, None, 11_000),  # the cap: ten times the pause
        (0, 59_000, 8.0, None, 60_000),  # … at most 60 s
        (0, 0, 60.0, None, 60_000),
        (0, 0, 0.0, None, 0),
        (0, 5000, 2.0, 3.0, 3000),
        (0, 1, 0.0005, None, 1),
    ],
)
def test_due(since_ms, last_ms, debounce_s, cap_s, expected):
    assert due_ms(since_ms, last_ms, debounce_s, cap_s) == expected


@given(st.integers(0, 10**13), st.lists(st.integers(0, 10_000), max_size=50), st.floats(0, 60))
def test_a_talker_without_pauses_is_answered_within_the_cap(since_ms, gaps_ms, debounce_s):
    last_ms, due = since_ms, due_ms(since_ms, since_ms, debounce_s)
    for gap in gaps_ms:
        last_ms += gap
        later = due_ms(since_ms, last_ms, debounce_s)
        assert due <= later <= since_ms + 60_000
        due = later


@pytest.mark.parametrize(("debounce_s", "expected"), [(0.0, 0), (1.0, 10_000), (60.0, 60_000)])
def test_the_cap(debounce_s, expected):
    assert cap_ms(debounce_s) == expected
