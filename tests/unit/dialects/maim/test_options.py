"""The keys of a maim line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from maim_lines import options


def test_defaults() -> None:
    line = options()
    assert (line.path, line.platform, line.bot_id, line.bot_name) == (
        "/ws", "default", "trunkline", "trunkline",
    )  # fmt: skip
    assert line.max_message_bytes == 64 << 20
    assert (line.heartbeat_interval_s, line.heartbeat_timeout_s) == (20, 20)


@pytest.mark.parametrize("url", ["ws://h/ws", "wss://h:8090/ws", "http://h", "https://h", ""])
def test_urls(url: str) -> None:
    assert options(url=url).url == url


def test_a_tcp_url_says_what_it_is() -> None:
    with pytest.raises(ValidationError, match="not WebSocket"):
        options(url="tcp://127.0.0.1:8090")
    with pytest.raises(ValidationError, match="write ws://"):
        options(url="ftp://h")


@pytest.mark.parametrize("platform", ["", "a\r\nx: y", " a", "a" * 513])
def test_a_platform_is_a_header_value(platform: str) -> None:
    with pytest.raises(ValidationError):
        options(platform=platform)


def test_limits_have_limits() -> None:
    assert options(max_message_bytes=104_857_600).max_message_bytes == 104_857_600
    with pytest.raises(ValidationError):
        options(max_message_bytes=104_857_601)
    with pytest.raises(ValidationError):
        options(plattform="qq")


def test_an_api_key_is_for_a_dialled_api_line() -> None:
    dialled = {"role": "adapter", "link": "dial", "url": "ws://h"}
    assert options(**dialled).dialled_key == ""
    assert options(**dialled, api=True, token="T").dialled_key == "T"
    line = options(**dialled, api=True, token="T", api_key="K")
    assert line.dialled_key == "K"
    assert "K" not in repr(line.api_key)
    with pytest.raises(ValidationError, match="needs api = true"):
        options(**dialled, api_key="K")
    with pytest.raises(ValidationError, match="is only for link"):
        options(role="core", api=True)
