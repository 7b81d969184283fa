"""NoneBot2 2.5 with adapter-onebot 2.4, the published packages, as the framework on our lines.

It runs in an environment of its own (`onebot_peers/nonebot_bot.py`); each side dials in turn.
Source: onebot11 3, 5, 7, 8, 11.2
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

import product
from maim_peer import free_port
from onebot_real import (
    NONEBOT,
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
from peers import chat, visiting

pytestmark = pytest.mark.real


# -- we dial -----------------------------------------------------------------------------------


def test_it_answers_in_private_and_in_groups_and_results_come_back(
    tmp_path: Path, nonebot_python: str
) -> None:
    port = free_port()
    with (
        framework(nonebot_python, NONEBOT, port, token=TOKEN) as bot,
        product.serving(tmp_path, dialling(port, more=f'token = "{TOKEN}"')) as site,
    ):
        assert bot.until("connected")["self_id"] == SELF_ID
        ident = send(site, "bot/private:67890", "在吗 [1,2]&")
        told = bot.until("message")
        assert (told["text"], told["chat"], told["user_id"]) == ("在吗 [1,2]&", "private", 67890)
        assert told["to_me"] is True
        assert abs(told["time"] - time.time()) < 30
        result = bot.until("sent")["data"]["message_id"]
        assert 0 < result < 1 << 31
        assert delivery(site, ident)["state"] == "sent"
        answer = stored(site, "nb:在吗 [1,2]&")
        assert answer["address"] == f"bot/private:67890@{SELF_ID}"

        send(site, "bot/group:20001", "大家好")
        told = bot.until("message")
        assert (told["text"], told["chat"], told["group_id"]) == ("大家好", "group", 20001)
        assert told["to_me"] is False
        assert bot.until("sent")["data"]["message_id"] != result
        assert stored(site, "nb:大家好")["address"] == f"bot/group:20001@{SELF_ID}"

        mention = [{"type": "mention", "user": SELF_ID}, {"type": "text", "text": "你呢"}]
        send(site, "bot/group:20001", mention)
        assert bot.until("message")["to_me"] is True

        bot.order("call", api="get_login_info")
        assert bot.until("called")["data"] == {"user_id": int(SELF_ID), "nickname": "trunkline"}
        bot.order("call", api="get_group_list")
        assert [one["group_id"] for one in bot.until("called")["data"]] == [20001]


def test_what_is_quoted_can_be_read_and_quotes_come_back(
    tmp_path: Path, nonebot_python: str
) -> None:
    """NoneBot asks `get_msg` for every message with a reply segment. Source: onebot11 7.5"""
    port = free_port()
    with (
        framework(nonebot_python, NONEBOT, port) as bot,
        product.serving(tmp_path, dialling(port)) as site,
    ):
        bot.until("connected")
        send(site, "bot/private:67890", "first")
        number = bot.until("message")["message_id"]
        quoting = [{"type": "quote", "message": str(number)}, {"type": "text", "text": "second"}]
        send(site, "bot/private:67890", quoting)
        reply = bot.until("message")["reply"]
        assert reply is not None
        assert (reply["message_id"], reply["message_type"]) == (number, "private")
        assert reply["message"][0]["data"]["text"] == "first"
        assert reply["sender"]["user_id"] == 67890
        send(site, "bot/private:67890", "quote")
        bot.until("message")
        assert bot.until("sent")["data"]["message_id"]
        assert "nb:quote" in stored(site, "nb:quote")["text"]


def test_an_action_that_fails_raises_with_our_code_and_words(
    tmp_path: Path, nonebot_python: str
) -> None:
    port = free_port()
    with (
        framework(nonebot_python, NONEBOT, port) as bot,
        product.serving(tmp_path, dialling(port)),
    ):
        bot.until("connected")
        for api, params, retcode, words in (
            ("set_group_kick", {"group_id": 1, "user_id": 2}, 1501, "not possible"),
            ("make_coffee", {}, 1404, "no such action"),
            ("send_private_msg", {"message": "hi"}, 1400, "user_id is required"),
            ("get_msg", {"message_id": 77}, 100, "no such message"),
        ):
            bot.order("call", api=api, params=params)
            info = bot.until("failed")["info"]
            assert (info["status"], info["retcode"]) == ("failed", retcode)
            assert words in info["wording"]
        bot.order("call", api="get_status")
        assert bot.until("called")["data"] == {"online": True, "good": True}


def test_fifty_sends_at_once_get_fifty_results_in_order(
    tmp_path: Path, nonebot_python: str
) -> None:
    port = free_port()
    with (
        framework(nonebot_python, NONEBOT, port) as bot,
        product.serving(tmp_path, dialling(port)) as site,
    ):
        bot.until("connected")
        bot.order("burst", user_id=67890, count=50)
        results = bot.until("burst")["results"]
        assert len({one["message_id"] for one in results}) == 50
        stored(site, "n49")
        assert texts(site) == [f"n{nth}" for nth in range(50)]


def test_a_message_format_of_strings_is_understood(tmp_path: Path, nonebot_python: str) -> None:
    port = free_port()
    with (
        framework(nonebot_python, NONEBOT, port) as bot,
        product.serving(tmp_path, dialling(port, more='message_format = "string"')) as site,
    ):
        bot.until("connected")
        parts = [{"type": "text", "text": "a,b&c [x]"}, {"type": "mention", "user": "10001"}]
        send(site, "bot/group:20001", parts)
        told = bot.until("message")
        assert told["text"] == "a,b&c [x]"
        assert "[CQ:at,qq=10001]" in told["raw"]
        stored(site, "nb:a,b&c [x]")


def test_a_wrong_token_is_seen_and_tried_again(tmp_path: Path, nonebot_python: str) -> None:
    port = free_port()
    with (
        framework(nonebot_python, NONEBOT, port, token=TOKEN),
        product.serving(tmp_path, dialling(port, more='token = "wrong"')) as site,
    ):
        wait_line(site, "reconnecting", "403")


def test_nothing_is_lost_while_it_restarts(tmp_path: Path, nonebot_python: str) -> None:
    """What nobody could be told waits and comes in order; what it had said is kept."""
    port = free_port()
    with product.serving(tmp_path, dialling(port)) as site:
        early = send(site, "bot/private:67890", "before it was there")
        with framework(nonebot_python, NONEBOT, port) as bot:
            bot.until("connected")
            assert bot.until("message")["text"] == "before it was there"
            assert delivery(site, early)["state"] == "sent"
            stored(site, "nb:before it was there")
            bot.kill()
        wait_line(site, "reconnecting")
        idents = [send(site, "bot/private:67890", f"n{nth}") for nth in range(5)]
        with framework(nonebot_python, NONEBOT, port, answers=False) as bot:
            bot.until("connected")
            told = [bot.until("message") for _ in idents]
            assert sorted(words_of(told)) == [f"n{nth}" for nth in range(5)]
            assert {delivery(site, ident)["state"] for ident in idents} == {"sent"}
            send(site, "bot/private:67890", "last")
            assert bot.until("message")["text"] == "last"  # and none of the five again


def test_we_restart_and_it_sees_the_account_come_back(tmp_path: Path, nonebot_python: str) -> None:
    port = free_port()
    with framework(nonebot_python, NONEBOT, port) as bot:
        with product.serving(tmp_path, dialling(port)) as site:
            bot.until("connected")
            send(site, "bot/private:67890", "one")
            bot.until("message")
            stored(site, "nb:one")
        bot.until("disconnected")
        site = product.start(tmp_path, dialling(port))
        bot.until("connected")
        site.kill()  # -9: the framework still holds the old connection for a moment
        bot.until("disconnected")
        with product.serving(tmp_path, dialling(port)) as site:
            bot.until("connected")
            send(site, "bot/private:67890", "two")
            assert bot.until("message")["text"] == "two"
            stored(site, "nb:two")
            assert texts(site) == ["nb:one", "nb:two"]


# -- it dials ----------------------------------------------------------------------------------


def test_it_dials_us_and_comes_back(tmp_path: Path, nonebot_python: str) -> None:
    """`ONEBOT_WS_URLS`: we listen. It tries again every 3 s. Source: onebot11 11.2"""
    ours = free_port()
    config = implementation(f'link = "listen"\nbind = "127.0.0.1:{ours}"\ntoken = "{TOKEN}"')
    urls = [f"ws://127.0.0.1:{ours}"]
    with framework(nonebot_python, NONEBOT, free_port(), token=TOKEN, urls=urls) as bot:
        with product.serving(tmp_path, config) as site:
            assert bot.until("connected")["self_id"] == SELF_ID
            send(site, "bot/group:20001", "hi")
            assert bot.until("message")["group_id"] == 20001
            assert bot.until("sent")["data"]["message_id"]
            stored(site, "nb:hi")
            bot.order("call", api="get_version_info")
            assert bot.until("called")["data"]["protocol_version"] == "v11"
        bot.until("disconnected")
        with product.serving(tmp_path, config) as site:
            waiting = send(site, "bot/private:67890", "while it was away")
            bot.until("connected")
            assert bot.until("message")["text"] == "while it was away"
            assert delivery(site, waiting)["state"] == "sent"
            stored(site, "nb:while it was away")


def test_it_dials_us_with_a_wrong_token_and_is_not_let_in(
    tmp_path: Path, nonebot_python: str
) -> None:
    ours = free_port()
    config = implementation(f'link = "listen"\nbind = "127.0.0.1:{ours}"\ntoken = "{TOKEN}"')
    urls = [f"ws://127.0.0.1:{ours}/"]
    with (
        product.serving(tmp_path, config) as site,
        framework(nonebot_python, NONEBOT, free_port(), token="wrong", urls=urls) as bot,
    ):
        wait_line(site, "disconnected")
        deadline = time.monotonic() + 10
        while "403" not in "".join(bot.said):
            assert time.monotonic() < deadline, bot.said
            time.sleep(0.05)
        assert bot.events.empty()


# -- carrying ----------------------------------------------------------------------------------


def carrying(port: int) -> str:
    """Return a configuration in which the framework sees the visitors of a page."""
    return f"""\
[lines.blog]
dialect = "contact"
mode = "off"

{dialling(port, more='carries = "blog"')}
"""


async def test_a_visitor_talks_to_the_bot(tmp_path: Path, nonebot_python: str) -> None:
    port = free_port()
    loop = asyncio.get_running_loop()

    def ask(event: str) -> dict:
        return bot.until(event)

    with (
        framework(nonebot_python, NONEBOT, port) as bot,
        product.serving(tmp_path, carrying(port)) as site,
    ):
        await loop.run_in_executor(None, ask, "connected")
        async with (
            visiting(site.socket("/contact")) as visitor,
            visiting(site.socket("/contact")) as other,
        ):
            await visitor.send(chat("在吗？"))
            told = await loop.run_in_executor(None, ask, "message")
            assert (told["text"], told["chat"]) == ("在吗？", "private")
            sent = await loop.run_in_executor(None, ask, "sent")
            assert 0 < sent["data"]["message_id"] < 1 << 31
            (answer,) = await visitor.until("chat_message")
            assert answer["message"] == "nb:在吗？"

            await other.send(chat("me too"))
            again = await loop.run_in_executor(None, ask, "message")
            assert again["user_id"] != told["user_id"]
            (answer,) = await other.until("chat_message")
            assert answer["message"] == "nb:me too"

            bot.order("call", api="get_msg", params={"message_id": told["message_id"]})
            found = (await loop.run_in_executor(None, ask, "called"))["data"]
            assert found["sender"]["user_id"] == told["user_id"]
            assert found["message"][0]["data"]["text"] == "在吗？"
            bot.order("call", api="get_friend_list")
            friends = (await loop.run_in_executor(None, ask, "called"))["data"]
            assert {one["user_id"] for one in friends} == {told["user_id"], again["user_id"]}
            params = {"user_id": 999999, "message": "nobody"}
            bot.order("call", api="send_private_msg", params=params)
            failed = await loop.run_in_executor(None, ask, "failed")
            assert failed["info"]["retcode"] == 100


async def test_what_visitors_said_waits_for_a_bot_that_is_away(
    tmp_path: Path, nonebot_python: str
) -> None:
    port = free_port()
    loop = asyncio.get_running_loop()
    with product.serving(tmp_path, carrying(port)) as site:
        async with visiting(site.socket("/contact")) as visitor:
            at_s = time.time()
            for nth in range(3):
                await visitor.send(chat(f"n{nth}"))
            await visitor.until("chat_message_received", 3)
            with framework(nonebot_python, NONEBOT, port) as bot:
                told = [await loop.run_in_executor(None, bot.until, "message") for _ in range(3)]
                assert sorted(words_of(told)) == ["n0", "n1", "n2"]
                assert all(abs(one["time"] - at_s) < 10 for one in told)
                answers = await visitor.until("chat_message", 3)
                said = sorted(str(one["message"]) for one in answers)
                assert said == ["nb:n0", "nb:n1", "nb:n2"]
