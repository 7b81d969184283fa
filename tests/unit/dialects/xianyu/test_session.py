"""Kept state, open requests and the three retry tables."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.xianyu import XIANYU
from trunkline.dialects.xianyu.session import (
    Kept,
    Requests,
    cause_of,
    cause_of_text,
    decode_kept,
    delay_s,
    encode_kept,
    secrets_of,
)
from trunkline.errors import LinkError, LinkLost, LinkRefused, LinkTimeout
from trunkline.ids import CountingIds
from xianyu_vectors import load

RETRY = load("retry_delay")


@pytest.mark.parametrize("case", RETRY["cases"], ids=[case["error"] for case in RETRY["cases"]])
def test_the_retry_tables(case: dict[str, Any]) -> None:
    assert cause_of_text(case["error"]) == case["class"]
    assert [delay_s(case["class"], nth) for nth in range(1, 8)] == case["delays"]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (LinkLost(1006), "abrupt"), (LinkLost(1000), "other"),
        (LinkLost(1011, "no pong"), "network"),
        (LinkLost(1011), "other"), (LinkTimeout("x"), "network"), (LinkRefused(403), "other"),
        (LinkError("no connection to x: Connection refused"), "network"), (LinkError("x"), "other"),
    ],
)  # fmt: skip
def test_the_class_of_an_end(error: LinkError, cause: str) -> None:
    assert cause_of(error) == cause


def test_what_the_supervisor_says_has_a_class() -> None:
    assert [XIANYU.delay_s(cause, 2) for cause in ("unreachable", "refused", "lost")] == [20, 10, 6]


def test_kept_state_survives_and_rubbish_is_nothing() -> None:
    kept = Kept("1", "D", "c", "g", "t", 1, 2, 3, 4, 5, 1, (6,))
    assert decode_kept(encode_kept(kept)) == kept
    for data in (None, b"", b"{", b"[]", b'{"pts":"x"}'):
        assert decode_kept(data) == Kept()


def test_requests_are_matched_once_and_given_up_in_time() -> None:
    clock = FakeClock()
    requests = Requests(clock, CountingIds())
    first = requests.begin("a", 5).partition(" ")[0]
    requests.begin("b", 10, "more")
    found = requests.end(first)
    assert found is not None
    assert found.purpose == "a"
    assert requests.end(first) is None
    assert requests.end("") is None
    clock.advance(9.9)
    assert requests.overdue() == []
    clock.advance(0.1)
    assert [one.about for one in requests.overdue()] == ["more"]
    assert requests.next_due_s() is None


def test_the_secrets_of_a_kept_state_are_what_logs_anybody_in() -> None:
    cookies = "unb=2200000000001; cookie2=0123456789abcdef; lang=zh"
    state = encode_kept(Kept(me="2200000000001", cookies=cookies, token="oauth-token-1"))
    # The account's id and short settings are no secrets: masking them would hide words.
    assert secrets_of(state) == ["oauth-token-1", cookies, "0123456789abcdef"]
    assert secrets_of(b"not a state") == []
