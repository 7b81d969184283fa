"""Requests of the HTTP transports: who may, what they say, and what is wrong with them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from onebot11_lines import CONNECT, options
from onebot11_vectors import load
from trunkline.dialects.contract import Head, HttpAnswer, HttpEntry, HttpRequest
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.http import MAX_BODY_BYTES, POSTED, sign

SIDE = ONEBOT11.http
assert SIDE is not None
PLATFORM = {"role": "implementation", "self_id": "12345"}


def ask(
    method: str = "GET",
    action: str = "get_status",
    body: bytes = b"",
    *,
    query: Any = None,
    headers: Any = None,
    **keys: Any,
) -> Any:
    """Return what becomes of a request to an implementation: an answer, or the call."""
    line = options(**PLATFORM, **keys)
    head = Head(f"/onebot/v11/{action}", query or {}, headers or {}, is_loopback=True)
    said = SIDE.admit(line, method, head)
    if isinstance(said, HttpAnswer):
        return said
    taken = SIDE.take(line, HttpRequest(method, head, body))
    if isinstance(taken, HttpAnswer):
        return taken
    assert taken.kind == "api"
    return json.loads(taken.data)


def post(body: bytes = CONNECT, headers: Any = None, **keys: Any) -> Any:
    """Return what becomes of an event that is posted to a framework."""
    line = options(**keys)
    given = {"x-self-id": "12345"} | (headers or {})
    head = Head("/ws/", {}, {name: value for name, value in given.items() if value is not None})
    said = SIDE.admit(line, "POST", head)
    return (
        said if isinstance(said, HttpAnswer) else SIDE.take(line, HttpRequest("POST", head, body))
    )


@pytest.mark.parametrize("case", load("http_post_signature"), ids=lambda case: case["secret"])
def test_signatures(case):
    """Source: onebot11 1.5"""
    body = base64.b64decode(case["body_base64"])
    assert sign(case["secret"], body) == case["x_signature"]


def test_where_requests_are_taken():
    assert SIDE.paths(options(**PLATFORM)) == ("/onebot/v11/*",)
    assert SIDE.paths(options(**PLATFORM, bind="127.0.0.1:1")) == ("/*",)
    assert SIDE.paths(options(**PLATFORM, path="/mine/")) == ("/mine/*",)
    assert SIDE.paths(options(path="/ws/"))[:2] == ("/ws/", "/ws/api")
    assert SIDE.paths(options(http=False)) == ()


@pytest.mark.parametrize(
    ("request_", "params"),
    [
        ({"query": {"a": "1", "access_token": "t"}}, {"a": "1"}),
        ({"method": "POST"}, {}),
        (
            {
                "method": "POST",
                "query": {"a": "1", "b": "2"},
                "body": b'{"b": 3, "c": 9223372036854775808}',
                "headers": {"content-type": "application/json; charset=utf-8"},
            },
            {"a": "1", "b": 3, "c": 9223372036854775808},
        ),
        (
            {
                "method": "POST",
                "body": b"message=%E4%BD%A0%26&x=",
                "headers": {"content-type": "Application/x-www-form-urlencoded"},
            },
            {"message": "你&", "x": ""},
        ),
    ],
)
def test_parameters(request_, params):
    """Source: onebot11 1.4"""
    assert ask(**request_) == {"action": "get_status", "params": params}


@pytest.mark.parametrize("action", ["send_msg", "send_msg_async/", ".handle_quick_operation"])
def test_actions_of_a_path(action):
    assert ask(action=action)["action"] == action.rstrip("/")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"token": "t"}, 401),
        ({"token": "t", "query": {"access_token": "x"}}, 403),
        ({"token": "t", "headers": {"authorization": "Bearer x"}}, 403),
        ({"action": "nonsense"}, 404),
        ({"action": "nonsense", "token": "t"}, 401),
        ({"method": "PUT"}, 405),
        ({"method": "POST", "body": b"x"}, 406),
        ({"method": "POST", "body": b"x", "headers": {"content-type": "text/plain"}}, 406),
        ({"method": "POST", "body": b"[]", "headers": {"content-type": "application/json"}}, 400),
        ({"method": "POST", "body": b"{", "headers": {"content-type": "application/json"}}, 400),
        (
            {
                "method": "POST",
                "body": b"novalue",
                "headers": {"content-type": "application/x-www-form-urlencoded"},
            },
            400,
        ),
        (
            {
                "method": "POST",
                "body": b"a=\xff",
                "headers": {"content-type": "application/x-www-form-urlencoded"},
            },
            400,
        ),
    ],
)
def test_calls_that_are_refused(request_, status):
    """Source: onebot11 1.4"""
    answer = ask(**request_)
    assert answer.status == status
    assert json.loads(answer.body)["retcode"] == 1000 + status
    assert ("WWW-Authenticate" in dict(answer.headers)) == (status == 401)


def test_a_token_lets_in():
    assert ask(token="t", query={"access_token": "t"})["params"] == {}
    assert ask(token="t", headers={"authorization": "Bearer t"})["params"] == {}
    line = options(**PLATFORM, max_message_bytes=2048)
    head = Head("/onebot/v11/get_status")
    assert SIDE.admit(line, "GET", head) == 2048
    assert SIDE.admit(options(**PLATFORM), "GET", head) == MAX_BODY_BYTES


def test_posted_events():
    """Source: onebot11 1.5"""
    assert post() == HttpEntry(POSTED, CONNECT)
    assert post(headers={"x-self-id": None}).status == 400
    assert post(b"[1]").status == 400
    assert post(b"{").status == 400
    for wrong in (post(headers={"x-self-id": "9"}), post(b'{"retcode":0}')):
        assert isinstance(wrong, HttpAnswer)
        assert (wrong.status, json.loads(wrong.body)["retcode"]) == (400, 1400)
    assert post(token="t").status == 401
    assert post(token="t", headers={"authorization": "Bearer x"}).status == 403
    assert post(token="t", headers={"authorization": "Bearer t"}) == HttpEntry(POSTED, CONNECT)


def test_signed_events_are_checked_over_the_exact_bytes():
    def signed(body: bytes, by: str = "key", over: bytes | None = None) -> Any:
        headers = {"x-signature": sign(by, body if over is None else over)}
        return post(body, headers, secret="key", token="t")

    assert signed(CONNECT) == HttpEntry(POSTED, CONNECT), "the signature is the credential"
    assert signed(CONNECT, by="other").status == 403
    assert signed(CONNECT + b" ", over=CONNECT).status == 403
    assert post(secret="key").status == 401
    assert post(secret="key", headers={"x-signature": "sha1=é"}).status == 403
    assert post(secret="key", headers={"authorization": "Bearer t"}, token="t").status == 401
