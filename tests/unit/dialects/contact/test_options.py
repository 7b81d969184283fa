from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trunkline.dialects.contact.options import ContactOptions


def options(**keys: Any) -> ContactOptions:
    return ContactOptions(dialect="contact", **keys)


def test_defaults_are_those_of_the_specification() -> None:
    some = options()
    assert (some.path, some.aliases) == ("/contact", ("/websocket/", "/websocket/contact"))
    assert (some.chat_burst, some.chat_refill_per_s) == (20, 1.0)
    assert (some.requests_per_connection, some.requests_connection_window_s) == (10, 600)
    assert (some.requests_per_address, some.requests_address_window_s) == (200, 3600)
    assert (some.message_chars, some.pings_per_s) == (10_000, 10)
    assert (some.rejected_frames, some.rejected_window_s) == (20, 60)
    assert (some.max_message_bytes, some.connections_per_address) == (1 << 20, 1000)
    assert (some.heartbeat_interval_s, some.heartbeat_timeout_s) == (20, 10)
    assert (some.idle_timeout_s, some.retention_days, some.language) == (0, 180, "zh")


@pytest.mark.parametrize(
    "keys",
    [
        {"token": "secret"},
        {"language": "fr"},
        {"operator_token": ""},
        {"chat_burst": -1},
        {"greeting": "x" * 1001},
        {"requests_address_window_s": 0},
    ],
)
def test_what_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**keys)
    assert "secret" not in str(caught.value)


def test_a_visitor_of_ours_may_carry_a_token_of_a_proxy() -> None:
    assert options(role="visitor", link="dial", token="x").tokens == ("x",)


def test_operators_have_a_path_once_there_is_a_token() -> None:
    assert options().operator_path == ""
    assert options(operator_token="secret").operator_path == "/contact/operator"
    assert options(operator_token="secret", path="/chat/").operator_path == "/chat/operator"
    assert "secret" not in repr(options(operator_token="secret"))
