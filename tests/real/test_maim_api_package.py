"""maim_message 0.6.8's API-Server client as an adapter of our core. Source: maim 9"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import product
from maim_peer import WAIT_S, Child, running
from peers import maim_text

pytestmark = pytest.mark.real

CLIENT = "maim_api_client.py"
KEY = "key-of-the-line-1"
CONFIG = f"""\
[lines.core]
dialect = "maim"
token = "{KEY}"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{{send_message}}"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[product.Product]:
    with product.serving(tmp_path_factory.mktemp("api"), CONFIG) as running_site:
        yield running_site


@pytest.fixture
def client(maim_python: str) -> Iterator[Child]:
    with running(maim_python, CLIENT) as child:
        yield child


def connect(child: Child, site: product.Product, platform: str, key: str = KEY) -> None:
    """Connect; it must say that it is."""
    child.order("connect", url=site.socket("/ws"), key=key, platform=platform)
    assert child.until("connected")["ok"] is True, "".join(child.said[-40:])


def said(text: str, platform: str, group: str = "") -> dict[str, Any]:
    """Return a message as an adapter says it. Source: maim 9.3"""
    sender: dict[str, Any] = {
        "user_info": {"platform": platform, "user_id": "10001", "user_nickname": "张三"}
    }
    if group:
        sender["group_info"] = {"platform": platform, "group_id": group, "group_name": "群"}
    return {
        "message_info": {
            "platform": platform, "message_id": f"{text}-{group}", "time": 1764000000.5,
            "sender_info": sender,
        },
        "message_segment": {"type": "seglist", "data": [{"type": "text", "data": text}]},
        "message_dim": {"api_key": KEY, "platform": platform},
    }  # fmt: skip


def wait_outbox(site: product.Product, platform: str, count: int) -> None:
    """Wait until so many answers to this platform are confirmed."""
    deadline = time.monotonic() + WAIT_S
    while True:
        rows = site.get("/api/v1/deliveries?limit=200")["deliveries"]
        mine = [row["state"] for row in rows if platform in row["to"]]
        if mine == ["confirmed"] * count:
            return
        assert time.monotonic() < deadline, mine
        time.sleep(0.05)


def test_messages_are_answered_in_order_and_the_answers_confirmed(
    site: product.Product, client: Child
) -> None:
    connect(client, site, "api-qq")
    for nth in range(10):
        client.order("send", message=said(f"n{nth}", "api-qq", "20001"))
    answers: list[dict[str, Any]] = []
    while len(answers) < 10:
        event = client.next()
        if event["event"] == "sent":
            assert event["ok"] is True
            continue
        assert event["event"] == "received", event
        answers.append(event["frame"])
    assert sorted(maim_text(frame) for frame in answers) == [f"收到：n{nth}" for nth in range(10)]
    for frame in answers:
        assert frame["message_dim"] == {"api_key": KEY, "platform": "api-qq"}
        receiver = frame["message_info"]["receiver_info"]
        assert receiver["group_info"]["group_id"] == "20001"
        assert receiver["user_info"]["user_id"] == "10001"
    wait_outbox(site, "api-qq", 10)


def test_two_platforms_see_only_their_own(
    site: product.Product, client: Child, maim_python: str
) -> None:
    with running(maim_python, CLIENT) as stranger:
        connect(client, site, "api-a")
        connect(stranger, site, "api-b")
        client.order("send", message=said("mine", "api-a"))
        stranger.order("send", message=said("yours", "api-b"))
        assert maim_text(client.until("received")["frame"]) == "收到：mine"
        assert maim_text(stranger.until("received")["frame"]) == "收到：yours"
        wait_outbox(site, "api-a", 1)
        assert client.events.empty()
        assert stranger.events.empty()


def test_custom_messages_are_kept(site: product.Product, client: Child) -> None:
    connect(client, site, "api-c")
    client.order("custom", name="wave", content={"n": 1})
    assert client.until("sent")["ok"] is True
    deadline = time.monotonic() + WAIT_S
    while not any(row["name"] == "custom:wave" for row in site.get("/api/v1/messages")["messages"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_wrong_key_never_becomes_a_seat(site: product.Product, client: Child) -> None:
    client.order("connect", url=site.socket("/ws"), key="wrong", platform="api-x")
    client.until("connected")
    deadline = time.monotonic() + WAIT_S
    while True:
        client.order("error")
        error = client.until("state")["error"] or ""
        if "1008" in error:
            break
        assert time.monotonic() < deadline, error
    [line] = site.get("/api/v1/lines")["lines"]
    assert all(seat["key"] != "api-x" for seat in line["seats"])


def test_nothing_is_lost_or_doubled_when_our_core_is_killed(
    tmp_path: Path, maim_python: str
) -> None:
    """The client comes back by itself, and its connection id replaces what was left of it."""
    first = product.start(tmp_path, CONFIG)
    with running(maim_python, CLIENT) as client:
        try:
            connect(client, first, "api-k")
            client.order("send", message=said("before", "api-k"))
            assert maim_text(client.until("received")["frame"]) == "收到：before"
            wait_outbox(first, "api-k", 1)
        finally:
            first.kill()
        with product.serving(tmp_path, CONFIG, port=first.port) as second:
            deadline = time.monotonic() + WAIT_S
            while not second.get("/api/v1/lines")["lines"][0]["seats"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            client.order("send", message=said("after", "api-k"))
            assert maim_text(client.until("received")["frame"]) == "收到：after"
            wait_outbox(second, "api-k", 2)
            rows = second.get("/api/v1/messages")["messages"]
            assert sorted(row["text"] for row in rows) == ["after", "before"]
