"""The keys of a line: defaults as the specification has them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trunkline.dialects.boss.options import BossOptions


def make(**keys: Any) -> BossOptions:
    return BossOptions.model_validate({"dialect": "boss", "cookies": "wt=a", **keys})


def test_defaults() -> None:
    options = make()
    assert (options.mode, options.every_s, options.daily) == ("draft", 6.0, 150)
    assert (options.side, options.subprotocol, options.mqtt_level) == ("geek", "wt2", 3)
    assert (options.heartbeat_interval_s, options.subscribe, options.retain) == (25, "none", False)
    assert (options.mid, options.resend, options.send_resume_image) == ("above", "never", False)
    assert options.url == "wss://ws6.zhipin.com/chatws"
    assert options.own_hosts == {"www.zhipin.com"}
    assert options.ping_s >= 86_400  # MQTT's own ping keeps the link alive
    assert options.missing == ()


@pytest.mark.parametrize(
    "keys",
    [
        {"cookies": "no cookies at all"},
        {"cookies": "a=" + "x" * 20_000},
        {"side": "both"},
        {"subprotocol": "two words"},
        {"subprotocol": ""},
        {"mqtt_level": 5},
        {"subscribe": 2},
        {"heartbeat_interval_s": 61},
        {"http_url": "ftp://a"},
        {"mid": "random"},
        {"resend": "always"},
        {"dayly": 5},
    ],
)
def test_what_cannot_work_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(**keys)


@pytest.mark.parametrize("subscribe", ["none", 0, 1])
def test_subscribing_is_free(subscribe: Any) -> None:
    assert make(subscribe=subscribe).subscribe == subscribe


def test_what_is_missing() -> None:
    assert make(cookies="").missing == ("cookies",)
    assert make(cookies="", enabled=False).missing == ()
    assert make(send_resume_image=True).missing == ("resume_image",)
    assert make(cookies="", role="gateway", link="listen").missing == ()


def test_cookies_are_one_line_and_never_shown() -> None:
    options = make(cookies=" wt=a; bst=b\r\n")
    assert options.cookie_text == "wt=a; bst=b"
    assert "wt=a" not in repr(options)
    with pytest.raises(ValidationError, match="line break"):
        make(cookies="wt=a;\r\n bst=b")


def test_the_same_cookies_are_the_same_login_and_never_shown_by_it() -> None:
    one = make(cookies="wt=a; bst=b")
    assert one.login == make(cookies=" bst=b; wt=a\n").login
    assert one.login != make(cookies="wt=a; bst=c").login
    assert one.login != make(cookies="wt=a; bst=b", http_url="http://127.0.0.1:9").login
    assert "bst" not in one.login
    assert one.owner == ""  # cookies do not tell the account
    assert make(cookies="").login == ""
    assert make(role="gateway", link="listen").login == ""


def test_deliveries_of_an_account_leave_singly() -> None:
    assert make().paced_s == 0
    assert make(role="gateway", link="listen", cookies="").paced_s is None


def test_a_picture_goes_with_its_options() -> None:
    options = make(resume_image="cv.png")
    assert options.picture == b""
    with_one = options.with_picture(b"png")
    assert with_one.model_copy(update={"enabled": True}).picture == b"png"
    assert options.picture == b""
