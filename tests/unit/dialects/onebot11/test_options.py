"""The keys of a OneBot line."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from onebot11_lines import options


def test_defaults() -> None:
    line = options()
    assert (line.handshake, line.handshake_timeout_s, line.ignore_self) == ("strict", 1.0, "auto")
    assert (line.heartbeat_interval_s, line.ping_s, line.heartbeat_timeout_s) == (30, 20, 20)
    assert (line.reconnect_interval_s, line.max_failures, line.api_timeout_s) == (5, 0, 30)


def test_other_names() -> None:
    line = options(access_token="t", max_reconnect_attempts=3, heartbeat_interval_ms=1500)
    assert (line.tokens, line.max_failures, line.heartbeat_interval_s) == (("t",), 3, 1.5)


@pytest.mark.parametrize(
    "keys",
    [
        {"access_token": "a", "token": "b"}, {"max_reconnect_attempts": 1, "max_failures": 2},
        {"heartbeat_interval_ms": 1, "heartbeat_interval_s": 2}, {"self_id": "x"},
        {"self_id": "0"}, {"self_id": "-1"}, {"role": "implementation"}, {"url": "tcp://h"},
        {"client_role": "api"}, {"handshake": "none"}, {"ignore_self": "never"},
        {"duplicate": "ping"}, {"report_self_message": "all"},
        {"heartbeat_interval_s": -1},
    ],
)  # fmt: skip
def test_what_is_wrong(keys: Any) -> None:
    with pytest.raises(ValidationError):
        options(**keys)


@pytest.mark.parametrize("value", ["auto", True, False])
def test_ignore_self(value: Any) -> None:
    assert options(ignore_self=value).ignore_self is value or value == "auto"


def test_pings_are_apart_from_heartbeats() -> None:
    line = options(heartbeat_interval_s=0, ping_interval_s=7)
    assert (line.heartbeat_interval_s, line.ping_s) == (0, 7)


def test_the_bound_of_a_message_by_role_and_direction() -> None:
    ours: dict[str, Any] = {"role": "implementation", "self_id": "1"}
    assert options().limit_bytes == 16 << 20
    assert options(link="dial", url="ws://h").limit_bytes == 64 << 20
    assert options(**ours).limit_bytes == 64 << 20
    assert options(max_message_bytes=5000).limit_bytes == 5000
