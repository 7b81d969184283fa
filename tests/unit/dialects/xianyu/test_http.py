"""Signed calls, cookies, token answers and uploads against the vectors."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from trunkline.dialects.contract import Fetched
from trunkline.dialects.xianyu import http
from trunkline.wire.cookies import merge_set_cookies, parse_cookies
from xianyu_vectors import load

VECTORS = load("mtop_sign")
COOKIES = "unb=1; _m_h5_tk=abc_1\r\n; x=y"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=[case["name"] for case in VECTORS["cases"]])
def test_signatures(case: dict[str, str]) -> None:
    assert http.sign(case["token"], case["t"], case["app_key"], case["data"]) == case["sign"]


@pytest.mark.parametrize("case", VECTORS["cookie_token"], ids=str)
def test_the_signing_token(case: dict[str, Any]) -> None:
    assert http.signing_token(case["cookie"]) == case["token"]
    if "parsed" in case:
        assert parse_cookies(case["cookie"]) == case["parsed"]


def test_set_cookies_are_merged_in_place() -> None:
    case = VECTORS["set_cookie_merge"]
    assert merge_set_cookies(case["before"], case["set_cookie"]) == case["after"]


@pytest.mark.parametrize("case", VECTORS["answers"], ids=str)
def test_token_answers(case: dict[str, Any]) -> None:
    status = case.get("http_status", 200)
    body = b"<html>" if case.get("not_json") else json.dumps(case).encode()
    told = http.parse_token_answer(Fetched(status, (), body))
    assert told.fate.value == case["expect"]
    if "reg_token" in case:
        assert told.token == case["reg_token"]
        assert told.ttl_ms == 86_400_000


def test_a_verification_page_needs_a_person_whatever_else_is_said() -> None:
    body = b'{"ret":["FAIL_BIZ"],"data":{"url":"https://x.invalid/punish?x5secdata=1"}}'
    assert http.parse_token_answer(Fetched(200, (), body)).fate is http.TokenFate.NEEDS_PERSON


def test_the_token_call() -> None:
    data = http.token_data("D-1")
    call = http.build_call("https://h.invalid/", http.LOGIN_API, data, COOKIES, "UA", 1767225600000)
    url = urlsplit(call.url)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.path == f"/h5/{http.LOGIN_API}/1.0/"
    assert query["sign"] == http.sign("abc", "1767225600000", http.MTOP_KEY, data)
    assert query["t"] == "1767225600000"
    assert data == '{"appKey":"444e9908a51d1cb236a27862abc769c9","deviceId":"D-1"}'
    assert parse_qs(call.body.decode())["data"] == [data]
    assert call.headers["cookie"] == "unb=1; _m_h5_tk=abc_1; x=y"
    assert call.timeout_s == 30.0


def test_an_upload_and_its_answers() -> None:
    call = http.build_upload("https://u.invalid", b"\xff\xd8\xff!", '"x".jpg', "b0", COOKIES, "UA")
    assert call.url.endswith("/api/upload.api?floderId=0&appkey=xy_chat&_input_charset=utf-8")
    assert (
        b'name="file"; filename="x.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff!'
        in call.body
    )
    good = b'{"object":{"url":"https://img.alicdn.com/1.jpg","pix":"640x480"}}'
    assert http.parse_upload(Fetched(200, (), good)) == http.Uploaded(
        "https://img.alicdn.com/1.jpg", 640, 480
    )
    for bad in (b"<html>", b"{}", b'{"object":{"url":"javascript:1"}}'):
        assert http.parse_upload(Fetched(200, (), bad)) is None
    assert http.parse_upload(Fetched(302, (), good)) is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"RIFF0000WEBP", "image/webp"),
        (b"<svg", ""),
    ],
)
def test_pictures_are_known_by_their_first_bytes(data: bytes, kind: str) -> None:
    assert http.picture_type(data) == kind


def test_the_user() -> None:
    assert http.parse_user(Fetched(200, (), b'{"data":{"userId":"1"}}')) == {"userId": "1"}
    assert http.parse_user(Fetched(200, (), b"<html>")) == {}
