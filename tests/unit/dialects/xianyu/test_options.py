"""The keys of a 闲鱼 line."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trunkline.dialects.xianyu.options import XianyuOptions


def options(**keys: Any) -> XianyuOptions:
    return XianyuOptions(**{"dialect": "xianyu", "cookies": "unb=1; x=y", **keys})


def test_the_defaults_are_those_of_the_specification() -> None:
    told = options()
    assert (told.heartbeat_interval_s, told.heartbeat_timeout_s) == (30, 60)
    assert (told.token_refresh_s, told.token_retry_s, told.resume_limit_s) == (3600, 600, 86_400)
    assert (told.debounce_s, told.stale_after_s, told.max_failures) == (1, 300, 5)
    assert told.max_message_bytes == 8 << 20
    assert told.url == "wss://wss-goofish.dingtalk.com/"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cookies": "cookie2=x"}, "no unb"),
        ({"http_url": "ftp://x"}, "write http"),
        ({"picture_type": 3}, "less than or equal"),
    ],
)
def test_what_cannot_work_is_refused_and_no_cookie_is_shown(
    keys: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as error:
        options(**keys)
    assert words in str(error.value)
    assert "cookie2=x" not in str(error.value)


def test_cookies_are_secret_on_one_line_and_may_be_absent_where_nobody_logs_in() -> None:
    told = options(cookies=" Cookie: unb=1; a=b\r\n")
    assert told.cookie_text == "unb=1; a=b"
    assert "a=b" not in repr(told)
    assert options(cookies="").missing == ("cookies",)
    assert options(role="market", link="listen", cookies="").missing == ()
    assert options(enabled=False, cookies="").missing == ()
    assert told.missing == ()


def test_two_lines_in_one_are_refused_and_never_joined() -> None:
    with pytest.raises(ValidationError, match="line break"):
        options(cookies="unb=1;\r\n a=b")


def test_who_logs_in_is_known_by_the_id_and_the_platform() -> None:
    one = options(cookies="unb=1; a=b")
    assert one.owner == "1"
    assert one.login == options(cookies="unb=1; a=c").login
    assert one.login != options(cookies="unb=2; a=b").login
    assert one.login != options(cookies="unb=1", http_url="http://127.0.0.1:9").login
    market = options(role="market", link="listen")
    assert (market.login, market.owner) == ("", "")
    assert (options(cookies="").login, options(cookies="").owner) == ("", "")


def test_only_the_hosts_that_the_owner_wrote_may_be_private() -> None:
    told = options(http_url="http://127.0.0.1:9/", upload_url="https://u.invalid")
    assert told.own_hosts == {"127.0.0.1", "u.invalid"}
