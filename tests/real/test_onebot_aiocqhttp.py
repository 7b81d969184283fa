"""aiocqhttp 1.4, the published package, as the framework on our lines, and as a client of them.

It runs in an environment of its own (`onebot_peers/aiocqhttp_bot.py`). Over WebSocket it only
listens; as a client it calls actions over HTTP (`api_root`) and is posted events.
Source: onebot11 1.4, 1.5, 7, 9, 11.2
"""

from __future__ import annotations

from pathlib import Path

import pytest

import product
from maim_peer import free_port
from onebot_real import (
    AIOCQHTTP,
    SELF_ID,
    TOKEN,
    delivery,
    dialling,
    framework,
    implementation,
    send,
    stored,
    texts,
    wait_line,
    words_of,
)

pytestmark = pytest.mark.real


def test_it_answers_in_private_and_in_groups_and_results_come_back(
    tmp_path: Path, aiocqhttp_python: str
) -> None:
    port = free_port()
    with (
        framework(aiocqhttp_python, AIOCQHTTP, port, token=TOKEN) as bot,
        product.serving(tmp_path, dialling(port, "/ws/", f'token = "{TOKEN}"')) as site,
    ):
        assert bot.until("connected")["self_id"] == int(SELF_ID)
        ident = send(site, "bot/private:67890", "在吗 [1,2]&")
        told = bot.until("message")
        assert (told["text"], told["chat"], told["user_id"]) == ("在吗 [1,2]&", "private", 67890)
        assert 0 < bot.until("sent")["data"]["message_id"] < 1 << 31
        assert delivery(site, ident)["state"] == "sent"
        assert stored(site, "cq:在吗 [1,2]&")["address"] == f"bot/private:67890@{SELF_ID}"
        send(site, "bot/group:20001", "大家好")
        assert bot.until("message")["group_id"] == 20001
        bot.until("sent")
        assert stored(site, "cq:大家好")["address"] == f"bot/group:20001@{SELF_ID}"

        bot.order("call", api="get_login_info")
        assert bot.until("called")["data"] == {"user_id": int(SELF_ID), "nickname": "trunkline"}
        bot.order("call", api="set_group_kick", params={"group_id": 1, "user_id": 2})
        assert bot.until("failed")["info"]["retcode"] == 1501
        bot.order("call", api="send_private_msg_async", params={"user_id": 5, "message": "soon"})
        assert bot.until("called")["data"] is None
        stored(site, "soon")


def test_a_quick_operation_answers_and_mentions_who_asked(
    tmp_path: Path, aiocqhttp_python: str
) -> None:
    port = free_port()
    with (
        framework(aiocqhttp_python, AIOCQHTTP, port) as bot,
        product.serving(tmp_path, dialling(port, "/ws/")) as site,
    ):
        bot.until("connected")
        send(site, "bot/private:67890", "quick")
        assert stored(site, "cq:quick")["address"] == f"bot/private:67890@{SELF_ID}"
        send(site, "bot/group:20001", "quick")
        user = [bot.until("message") for _ in range(2)][1]["user_id"]
        assert stored(site, f"@{user} cq:quick")["address"] == f"bot/group:20001@{SELF_ID}"


def test_a_pair_of_connections_is_one_account(tmp_path: Path, aiocqhttp_python: str) -> None:
    """Events over one, calls and their results over the other. Source: onebot11 1.3"""
    port = free_port()
    event = dialling(port, "/ws/event", 'client_role = "event"')
    api = dialling(port, "/ws/api", 'client_role = "api"').replace("[lines.bot]", "[lines.api]")
    with (
        framework(aiocqhttp_python, AIOCQHTTP, port) as bot,
        product.serving(tmp_path, event + api) as site,
    ):
        bot.until("connected")
        wait_line(site, "connected", line="api")
        send(site, "bot/private:67890", "hi")
        assert bot.until("message")["text"] == "hi"
        assert bot.until("sent")["data"]["message_id"]
        assert stored(site, "cq:hi")["address"] == f"api/private:67890@{SELF_ID}"


def test_a_missing_and_a_wrong_token_are_seen(tmp_path: Path, aiocqhttp_python: str) -> None:
    port = free_port()
    with framework(aiocqhttp_python, AIOCQHTTP, port, token=TOKEN):
        for folder, more, status in (("none", "", "401"), ("bad", 'token = "wrong"', "403")):
            with product.serving(tmp_path / folder, dialling(port, "/ws/", more)) as site:
                wait_line(site, "reconnecting", status)


def test_nothing_is_lost_while_it_restarts(tmp_path: Path, aiocqhttp_python: str) -> None:
    port = free_port()
    with product.serving(tmp_path, dialling(port, "/ws/")) as site:
        with framework(aiocqhttp_python, AIOCQHTTP, port) as bot:
            bot.until("connected")
            send(site, "bot/private:67890", "early")
            bot.until("sent")
            bot.kill()
        wait_line(site, "reconnecting")
        idents = [send(site, "bot/private:67890", f"n{nth}") for nth in range(5)]
        with framework(aiocqhttp_python, AIOCQHTTP, port) as bot:
            bot.until("connected")
            told = [bot.until("message") for _ in idents]
            assert sorted(words_of(told)) == [f"n{nth}" for nth in range(5)]
            assert {delivery(site, ident)["state"] for ident in idents} == {"sent"}
            for nth in range(5):
                stored(site, f"cq:n{nth}")
            assert sorted(texts(site)) == ["cq:early", *(f"cq:n{nth}" for nth in range(5))]


# -- as a client of ours -----------------------------------------------------------------------


def test_it_calls_our_actions_over_http(tmp_path: Path, aiocqhttp_python: str) -> None:
    ours = free_port()
    config = implementation(f'link = "listen"\nbind = "127.0.0.1:{ours}"\ntoken = "{TOKEN}"')
    root = f"http://127.0.0.1:{ours}"
    with product.serving(tmp_path, config) as site:
        with framework(aiocqhttp_python, AIOCQHTTP, free_port(), token=TOKEN, api_root=root) as bot:
            bot.order(
                "call", api="send_group_msg", params={"group_id": 20001, "message": "by http"}
            )
            assert 0 < bot.until("called")["data"]["message_id"] < 1 << 31
            assert stored(site, "by http")["address"] == f"bot/group:20001@{SELF_ID}"
            bot.order("call", api="get_version_info")
            assert bot.until("called")["data"]["app_name"] == "trunkline"
            bot.order("call", api="set_group_kick", params={"group_id": 1, "user_id": 2})
            assert bot.until("failed")["info"]["retcode"] == 1501
            bot.order("call", api="make_coffee")
            assert "404" in bot.until("error")["error"]
        with framework(aiocqhttp_python, AIOCQHTTP, free_port(), token="no", api_root=root) as bot:
            bot.order("call", api="get_status")
            assert "403" in bot.until("error")["error"]


def test_it_is_posted_events_and_answers_with_a_quick_operation(
    tmp_path: Path, aiocqhttp_python: str
) -> None:
    port, secret = free_port(), "secret-of-the-events"
    more = f'client_role = "post"\nsecret = "{secret}"'
    config = dialling(port, "/", more).replace("ws://", "http://")
    with (
        framework(aiocqhttp_python, AIOCQHTTP, port, secret=secret, answers=False) as bot,
        product.serving(tmp_path, config) as site,
    ):
        wait_line(site, "connected")
        ident = send(site, "bot/private:67890", "quick")
        assert bot.until("message")["text"] == "quick"
        assert delivery(site, ident)["state"] in ("sent", "confirmed")
        stored(site, "cq:quick")
