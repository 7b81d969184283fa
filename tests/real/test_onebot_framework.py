"""Our framework lines against emulated accounts (`trunkline emulate onebot11`), over real sockets.

Both are processes of their own. Source: onebot11 2, 3, 11; reliability 1
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

import product
from maim_peer import free_port
from onebot_real import deliveries, emulate, emulated, texts, wait_line, wait_until
from peers import closing, dial, maim_message, maim_text, receive

pytestmark = pytest.mark.real

LINE = """\
[lines.qq]
dialect = "onebot11"
{more}

[[rules]]
name = "any"
match = "any"
reply = "re:{{send_message}}"
"""
PATH = "/onebot/v11/ws"
ACCOUNT = 12345
CONNECT = {
    "time": 1_764_000_000, "self_id": ACCOUNT, "post_type": "meta_event",
    "meta_event_type": "lifecycle", "sub_type": "connect",
}  # fmt: skip


def config(more: str = "") -> str:
    """Return a configuration with one framework line that answers everything."""
    return LINE.format(more=more)


def message(words: str, nth: int, user: int = 10001) -> str:
    """Return a private message."""
    return json.dumps({
        "time": 1_764_000_000, "self_id": ACCOUNT, "post_type": "message",
        "message_type": "private", "sub_type": "friend", "message_id": 1000 + nth,
        "user_id": user, "message": [{"type": "text", "data": {"text": words}}],
        "raw_message": words, "font": 0, "sender": {"user_id": user, "nickname": "Ann"},
    })  # fmt: skip


def done(call: dict[str, Any], nth: int = 1) -> str:
    """Return the response to a call."""
    return json.dumps({
        "status": "ok", "retcode": 0, "data": {"message_id": nth}, "echo": call["echo"],
    })  # fmt: skip


# -- emulated accounts -------------------------------------------------------------------------


def test_emulated_accounts_are_answered_once_and_in_order(tmp_path: Path) -> None:
    with product.serving(tmp_path, config()) as site:
        tally = emulate(
            "--dial", site.socket(PATH), "--people", "5", "--messages", "4", "--pace", "0.2",
            "--fault", "double=0.3", "--fault", "malformed=0.2", "--fault", "odd=0.5",
            "--fault", "reorder=0.2",
        )  # fmt: skip
        assert tally == {
            "sent": 20, "answered": 20, "doubled": 0, "misordered": 0, "errors": 0, "refused": 0,
        }  # fmt: skip
        assert {one["state"] for one in deliveries(site)} == {"confirmed"}


def test_we_dial_an_account_that_listens_and_a_restart_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    line = config(f'link = "dial"\nurl = "ws://127.0.0.1:{port}"\nreconnect_interval_s = 0.3')
    more = ("--port", str(port), "--messages", "3", "--pace", "0.2")
    with product.serving(tmp_path, line) as site:
        wait_line(site, "reconnecting", line="qq")
        answered = 0
        for nth in (1, 2):
            # It leaves when everything is answered, and we dial it again: it goes on.
            with emulated(*more) as (_, end):
                due = 3 * nth
                wait_until(lambda due=due: len(deliveries(site, state="confirmed")) >= due, "none")
                tally = end()
            assert (tally["doubled"], tally["misordered"], tally["errors"]) == (0, 0, 0)
            answered += tally["answered"]
        assert answered >= 6


def test_a_kicked_account_gets_what_was_held_when_it_is_back(tmp_path: Path) -> None:
    with product.serving(tmp_path, config()) as site:
        tally = emulate(
            "--dial", site.socket(PATH), "--people", "2", "--messages", "3", "--pace", "1",
            "--fault", "kick=0.4", "--seed", "3",
        )  # fmt: skip
        assert tally["sent"] == 6
        assert tally["answered"] + tally["refused"] == 6
        assert (tally["doubled"], tally["misordered"]) == (0, 0)
        assert "account-offline" in site.log()


# -- the door ----------------------------------------------------------------------------------


async def test_without_the_connect_event_it_is_closed_after_one_second(tmp_path: Path) -> None:
    with product.serving(tmp_path, config()) as site:
        started = time.monotonic()
        async with dial(site.socket(PATH), {"X-Self-ID": str(ACCOUNT)}) as silent:
            assert await closing(silent) == (1008, "handshake timeout")
        assert 1.0 <= time.monotonic() - started < 1.5
        async with dial(site.socket(PATH)) as hasty:
            await hasty.send(message("too early", 1))
            assert (await closing(hasty))[0] == 1008
        async with dial(site.socket(PATH)) as good:
            await good.send(json.dumps(CONNECT))
            await good.send(message("hi", 2))
            assert (await receive(good))["params"]["message"][0]["data"]["text"] == "re:hi"
        assert texts(site) == ["hi"]


async def test_a_wrong_token_is_refused_before_the_upgrade(tmp_path: Path) -> None:
    with product.serving(tmp_path, config('token = "right-right-right-right"')) as site:
        for headers, query, status in (
            ({}, "", 401),
            ({"Authorization": "Bearer wrong"}, "", 403),
            ({}, "?access_token=wrong", 403),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with dial(site.socket(PATH + query), headers):
                    pass
            assert refused.value.response.status_code == status
        right: tuple[tuple[dict[str, str], str], ...] = (
            ({"Authorization": "Bearer right-right-right-right"}, ""),
            ({"Authorization": "Token right-right-right-right"}, ""),
            ({}, "?access_token=right-right-right-right"),
        )
        for nth, (headers, query) in enumerate(right):
            async with dial(site.socket(PATH + query), headers) as socket:
                await socket.send(json.dumps(CONNECT))
                await socket.send(message("in", nth))
                assert (await receive(socket))["action"] == "send_private_msg"


async def test_two_lines_on_one_port_and_path_are_told_apart(tmp_path: Path) -> None:
    both = config('path = "/ws"').replace("[[rules]]", CORE + "[[rules]]")
    with product.serving(tmp_path, both) as site:
        url = site.socket("/ws")
        async with dial(url, {"platform": "qq"}) as adapter, dial(url) as account:
            await account.send(
                json.dumps(CONNECT)
            )  # no header says who it is: its first frame does
            await account.send(message("from the account", 1))
            assert (await receive(account))["params"]["user_id"] == 10001
            await adapter.send(json.dumps(maim_message("from the adapter")))
            assert maim_text(await receive(adapter)) == "re:from the adapter"
        lines = {one["line"] for one in site.get("/api/v1/messages")["messages"]}
        assert lines == {"qq", "core"}


CORE = """\
[lines.core]
dialect = "maim"
path = "/ws"

"""


# -- an outage ---------------------------------------------------------------------------------

REPLIES = 50
OUTAGE_S = 3.0


async def test_fifty_replies_that_are_due_in_an_outage_arrive_once_and_in_order(
    tmp_path: Path,
) -> None:
    """The account's events come over one half of a pair whose other half is away.

    So fifty replies are due and cannot leave; then nothing is connected at all, until the account
    comes back as one universal connection.
    """
    with product.serving(tmp_path, config()) as site:
        event = {"X-Self-ID": str(ACCOUNT), "X-Client-Role": "Event"}
        async with dial(site.socket(PATH), event) as half:
            await half.send(json.dumps(CONNECT))
            for nth in range(REPLIES):
                await half.send(message(f"n{nth}", nth, 10001 + nth % 10))
            await _until(lambda: len(deliveries(site)) == REPLIES)
        waiting = deliveries(site)
        assert {one["state"] for one in waiting} == {"queued"}
        await asyncio.sleep(OUTAGE_S)
        assert deliveries(site) == waiting
        async with dial(site.socket(PATH), {"X-Self-ID": str(ACCOUNT)}) as whole:
            await whole.send(json.dumps(CONNECT))
            said: dict[int, list[str]] = {}
            for nth in range(REPLIES):
                call = await receive(whole)
                words = call["params"]["message"][0]["data"]["text"]
                said.setdefault(call["params"]["user_id"], []).append(words)
                await whole.send(done(call, nth))
            for user, words in said.items():
                first = user - 10001
                assert words == [f"re:n{nth}" for nth in range(first, REPLIES, 10)]
            await _until(lambda: len(deliveries(site, state="confirmed")) == REPLIES)
            for one in deliveries(site):
                assert one["attempt"] == 1
                waited_s = _instant(one["settled"]) - _instant(one["at"])
                assert waited_s >= OUTAGE_S  # how late it was can be seen
        async with dial(site.socket(PATH), {"X-Self-ID": str(ACCOUNT)}) as again:
            await again.send(json.dumps(CONNECT))
            await again.send(message("last", 999, 20001))
            assert (await receive(again))["params"]["user_id"] == 20001  # and none of the fifty


async def _until(found: Any) -> None:
    await asyncio.get_running_loop().run_in_executor(None, wait_until, found, "it never came")


def _instant(at: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(at).timestamp()
