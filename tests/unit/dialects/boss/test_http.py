"""The side calls: what leaves with them, and what every kind of answer means."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from trunkline.dialects.boss import http
from trunkline.dialects.boss.http import Answer, Caller, Contact, Fate
from trunkline.dialects.contract import Fetched
from trunkline.errors import LinkTimeout
from trunkline.wire.cookies import format_cookies, merge_set_cookies, parse_cookies

CALLER = Caller("https://site.example.invalid/", "wt=a; bst=token", "Agent", {"X-Own": "1"})
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 30


def answer(value: Any, status: int = 200) -> Answer:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return http.parse_answer(Fetched(status, (), body))


def test_a_call_looks_like_the_pages_own() -> None:
    call = CALLER.get(http.CONTACTS, friendIds="1,2")
    assert call.url == f"https://site.example.invalid{http.CONTACTS}?friendIds=1%2C2"
    assert call.headers["cookie"] == "wt=a; bst=token"
    assert call.headers["x-requested-with"] == "XMLHttpRequest"
    assert call.headers["referer"].endswith("/web/geek/chat")
    assert (call.headers["user-agent"], call.headers["x-own"]) == ("Agent", "1")
    assert "zp_token" not in call.headers


def test_what_changes_something_carries_the_call_token() -> None:
    call = CALLER.post(http.ACCEPT, {"type": 4, "scene": ""})
    assert call.headers["zp_token"] == "token"
    assert parse_qs(call.body.decode(), keep_blank_values=True) == {"type": ["4"], "scene": [""]}
    without = Caller("https://a", "wt=a", "Agent").post(http.ACCEPT, {})
    assert "zp_token" not in without.headers


def test_an_upload_has_its_fields_and_the_picture_behind_them() -> None:
    call = CALLER.upload(http.UPLOAD, {"source": "chat_file"}, http.Picture(PNG, 'a"b/c.png'), "B")
    assert call.headers["content-type"] == "multipart/form-data; boundary=B"
    assert b'name="source"\r\n\r\nchat_file\r\n' in call.body
    assert b'filename="abc.png"\r\nContent-Type: image/png\r\n\r\n' + PNG in call.body
    assert call.body.endswith(b"\r\n--B--\r\n")


def test_history_is_asked_page_by_page() -> None:
    asked = parse_qs(urlsplit(http.history_call(CALLER, "key~", "sec", 7).url).query)
    assert asked["bossId"] == ["key~"]
    assert (asked["maxMsgId"], asked["c"], asked["securityId"]) == (["7"], ["20"], ["sec"])


@pytest.mark.parametrize(
    ("value", "status", "fate"),
    [
        ({"code": 0, "zpData": {}}, 200, Fate.OK),
        ({"code": 1, "message": "已达上限"}, 200, Fate.REFUSED),
        ({"code": 1, "message": "请重新登录"}, 200, Fate.LOGIN_OVER),
        ({"code": 7, "message": "当前登录状态已失效"}, 200, Fate.LOGIN_OVER),
        ({"code": 36}, 200, Fate.RISK),
        ({"code": 37}, 200, Fate.RISK),
        ({"code": 121}, 200, Fate.ILLEGAL),
        ({"code": 9999}, 200, Fate.REFUSED),
        ({}, 200, Fate.NETWORK),
        ({"code": None, "zpData": {}}, 200, Fate.NETWORK),
        ({"code": "x", "zpData": {}}, 200, Fate.NETWORK),
        ({"code": True, "zpData": {}}, 200, Fate.NETWORK),
        ({"code": False, "zpData": {}}, 200, Fate.NETWORK),
        ({"code": "--0", "zpData": {}}, 200, Fate.NETWORK),
        ({"code": "0", "zpData": {}}, 200, Fate.OK),
        (b"<html>", 200, Fate.NETWORK),
        (b"", 403, Fate.RISK),
        (b"", 302, Fate.RISK),
        (b"", 401, Fate.LOGIN_OVER),
        (b"", 500, Fate.NETWORK),
        (b"", 429, Fate.NETWORK),
    ],
)
def test_every_kind_of_answer(value: Any, status: int, fate: Fate) -> None:
    assert answer(value, status).fate is fate


def test_no_answer_is_a_fault_of_the_network() -> None:
    told = http.parse_answer(LinkTimeout("no answer within 15 s"))
    assert (told.fate, told.detail) == (Fate.NETWORK, "no answer within 15 s")


def ok(data: Any) -> Answer:
    return answer({"code": 0, "message": "Success", "zpData": data})


def test_users() -> None:
    told = {"userId": "5", "token": "t", "name": "n", "trueMan": False, "clientIP": "1.2.3.4"}
    user = http.parse_user(ok(told))
    assert user is not None
    assert (user.uid, user.token, user.address, user.is_flagged) == (5, "t", "1.2.3.4", True)
    assert http.parse_user(ok({"userId": 0, "token": "t"})) is None
    assert http.parse_user(ok({"userId": 5})) is None
    assert http.parse_user(answer({"code": 7})) is None


def test_uploads() -> None:
    told = {
        "url": "https://a/o.webp?auth_key=1", "tinyUrl": "https://a/s.webp",
        "metadata": {"width": 1700, "height": 2200},
    }  # fmt: skip
    found = http.parse_upload(ok(told))
    assert found is not None
    assert (found.url, found.width, found.tiny_height) == ("https://a/o.webp?auth_key=1", 1700, 258)
    assert http.Uploaded("u", "t", 100_000, 1).tiny_height == 1
    assert http.parse_upload(ok({})) is None
    assert http.parse_upload(ok({"url": "file:///x"})) is None
    bare = http.parse_upload(ok({"url": "https://a/o"}))
    assert bare is not None
    assert bare.tiny_url == "https://a/o"


def test_contacts() -> None:
    told = {"result": [
        {"uid": 5, "encryptUid": "key", "securityId": "sec", "friendSource": 2, "name": "n"},
        {"friendId": "6", "encryptBossId": "other"}, {"name": "nobody"}, 7,
    ]}  # fmt: skip
    assert http.parse_contacts(ok(told)) == [
        Contact(5, "key", "sec", 2, "n"), Contact(6, "other"),
    ]  # fmt: skip
    ids = ok({"friendList": [{"friendId": 5}, {"friendId": "6"}, {}]})
    assert http.parse_contact_ids(ids) == [5, 6]
    last = ok([{"uid": 5, "lastMsgInfo": {"msgId": "9"}}, {"friendId": 6, "mid": 8}, {"uid": 7}])
    assert http.parse_last_messages(last) == {5: 9, 6: 8, 7: 0}


def test_history_pages() -> None:
    page = http.parse_history(ok({"messages": [{"mid": 1}, 5], "minMsgId": "1"}))
    assert (page.messages, page.before) == ([{"mid": 1}], 1)
    assert http.parse_history(ok({"msgList": [{"mid": 1}]})).messages == [{"mid": 1}]
    assert http.parse_history(ok({"messages": [], "minMsgId": 5})).before == 0


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ({"result": ["ws9.zhipin.com"]}, "ws9.zhipin.com"),
        ({"result": "ws9.zhipin.com:443"}, "ws9.zhipin.com:443"),
        ({"result": [{"host": "ws9.zhipin.com"}]}, "ws9.zhipin.com"),
        ({"result": ["evil.example/path"]}, ""),
        ({"result": ["user@evil"]}, ""),
        ({}, ""),
    ],
)
def test_the_gateway_that_the_site_names(value: Any, host: str) -> None:
    assert http.parse_host(ok(value)) == host


def test_the_first_resume() -> None:
    assert http.parse_resume_id(ok({"resumeList": [{}, {"resumeId": 7}]})) == "7"
    assert http.parse_resume_id(ok({"resumeList": [{"resumeId": "cv~"}]})) == "cv~"
    assert http.parse_resume_id(ok({})) == ""


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5), ("5", 5), ("-5", -5), (True, 0), ("x", 0), ("", 0), (1 << 63, 0), (5.5, 0),
        ("9223372036854775807", (1 << 63) - 1), ("9" * 21, 0), (None, 0),
    ],
)  # fmt: skip
def test_wide_numbers_come_as_numbers_or_as_text(value: Any, number: int) -> None:
    assert http.to_int(value) == number


def test_cookies() -> None:
    assert parse_cookies("a=1; b=2=3; ; c; a=4") == {"a": "4", "b": "2=3"}
    merged = merge_set_cookies("a=1; b=2", ["b=5; Path=/", "c=6", "broken"])
    assert merged == "a=1; b=5; c=6"
    assert "\n" not in format_cookies({"a": "1\r\nX: y"})
    told = Fetched(200, (("set-cookie", "a=1"), ("other", "x"), ("set-cookie", "b=2")))
    assert http.set_cookies_of(told) == ["a=1", "b=2"]
