"""The HTTP transports of OneBot over real sockets, through the whole product."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import product
from onebot11_lines import message
from trunkline import MessageReceived, Outcome, connect, listen, plain_text
from trunkline.dialects.onebot11.http import sign

LINES = """\
[lines.qq]
dialect = "onebot11"
path = "/ws/"
secret = "key"
dedupe = false

[lines.bot]
dialect = "onebot11"
role = "implementation"
link = "listen"
self_id = "777"
token = "tok"

[[rules]]
name = "echo"
lines = ["qq"]
match = "any"
except = ["hush"]
reply = "收到：{send_message}"
"""
TOKEN = {"Authorization": "Bearer tok"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[product.Product]:
    with product.serving(tmp_path_factory.mktemp("http"), LINES) as site:
        yield site


def ask(
    site: product.Product, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, Any]:
    """Return the status and the decoded body, None when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(site.url).port or 0, timeout=20)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body or None, names)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text[:1] == b"{" else None
    finally:
        connection.close()


def post(site: product.Product, event: dict[str, Any], secret: str = "key") -> tuple[int, Any]:
    body = json.dumps(event).encode()
    return ask(
        site, "POST", "/ws/", body, Content_Type="application/json", X_Self_ID="12345",
        X_Signature=sign(secret, body),
    )  # fmt: skip


def test_a_posted_message_is_answered_by_a_quick_operation(running: product.Product) -> None:
    said = {"reply": [{"type": "text", "data": {"text": "收到：hi"}}], "at_sender": False}
    assert post(running, message()) == (200, said)
    assert post(running, message()) == (200, said), "dedupe is off"
    group = {"message_type": "group", "sub_type": "normal", "group_id": 20001}
    assert post(running, message(**group)) == (200, said)
    sent = running.get("/api/v1/deliveries?line=qq")["deliveries"]
    assert len(sent) == 3
    assert running.get(f"/api/v1/deliveries/{sent[-1]['id']}?wait=5")["state"] == "sent"


def test_what_is_not_answered_and_what_is_refused(running: product.Product) -> None:
    silent = message(message=[{"type": "text", "data": {"text": "hush"}}])
    assert post(running, silent) == (204, None)
    assert post(running, message(user_id=12345)) == (204, None)
    assert post(running, message(), "other")[0] == 403
    assert ask(running, "POST", "/ws/", b"{}")[0] == 401
    assert post(running, message(user_id=None))[0] == 400
    assert ask(running, "GET", "/ws/")[0] == 426


def test_actions(running: product.Product) -> None:
    base = "/onebot/v11"
    assert ask(running, "GET", f"{base}/get_login_info?access_token=tok") == (
        200,
        {"status": "ok", "retcode": 0, "data": {"user_id": 777, "nickname": "trunkline"}},
    )
    form = b"user_id=5&message=%E4%BD%A0%E5%A5%BD"
    kind = "application/x-www-form-urlencoded"
    status, sent = ask(
        running, "POST", f"{base}/send_private_msg/", form, Content_Type=kind, **TOKEN
    )
    assert (status, sent["status"]) == (200, "ok")
    stored = running.get("/api/v1/messages?line=bot")["messages"]
    assert [one["text"] for one in stored] == ["你好"], "it is stored before it is answered"
    assert stored[0]["address"].startswith("bot/private:5")
    wrong = ask(running, "POST", f"{base}/send_private_msg", b'{"message":"x"}',
                Content_Type="application/json", **TOKEN)  # fmt: skip
    assert (wrong[0], wrong[1]["retcode"]) == (200, 1400)
    assert ask(running, "GET", f"{base}/nonsense", **TOKEN)[0] == 404
    assert ask(running, "GET", f"{base}/get_login_info")[0] == 401
    assert ask(running, "GET", f"{base}/get_login_info?access_token=x")[0] == 403
    assert ask(running, "POST", f"{base}/send_msg", b"x", **TOKEN)[0] == 406
    many = [ask(running, "GET", f"{base}/get_status", **TOKEN)[0] for _ in range(60)]
    assert many == [200] * 60
    bot = running.get("/api/v1/lines")
    (line,) = [one for one in bot["lines"] if one["name"] == "bot"]
    assert line["links"] == 0, "a request leaves nothing behind"


def test_events_are_posted_and_quick_operations_come_back() -> None:
    async def work() -> None:
        async with asyncio.timeout(30):
            server = listen("onebot11", bind="127.0.0.1:0", path="/ws/", secret="key")
            async with server:
                url = server.url.replace("ws", "http", 1)
                line = connect(
                    "onebot11", role="implementation", client_role="post", url=url,
                    self_id="12345", secret="key",
                )  # fmt: skip
                async with line:
                    sending = asyncio.ensure_future(line.send("private:10001", "question"))
                    while not isinstance(event := await server.receive(), MessageReceived):
                        pass
                    assert plain_text(event.segments) == "question"
                    fate = await server.send(event, "answer")
                    assert fate.outcome is Outcome.SENT
                    assert (await sending).outcome is Outcome.CONFIRMED
                    heard = await line.receive()
                    assert isinstance(heard, MessageReceived)
                    assert plain_text(heard.segments) == "answer"
                    assert heard.chat.id == "10001"

    asyncio.run(work(), debug=True)


def test_a_wrong_secret_posts_nothing_and_loses_nothing() -> None:
    async def work() -> None:
        async with asyncio.timeout(30):
            server = listen("onebot11", bind="127.0.0.1:0", path="/ws/", secret="key")
            async with server:
                line = connect(
                    "onebot11", role="implementation", client_role="post", self_id="12345",
                    url=server.url.replace("ws", "http", 1), secret="other",
                )  # fmt: skip
                async with line:
                    fate = await line.send("private:10001", "x", timeout_s=0.5)
                    assert fate.outcome is Outcome.LATER
                    assert not line.is_connected

    asyncio.run(work(), debug=True)
