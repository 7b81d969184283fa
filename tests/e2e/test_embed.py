"""The embedded ends over real sockets: with each other and with peers that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

import peers
from certificates import make_certificate
from trunkline import (
    Chat,
    Image,
    MessageReceived,
    Outcome,
    RequestReceived,
    Text,
    connect,
    listen,
    plain_text,
)  # fmt: skip
from trunkline.errors import DeliveryRefused, DeliveryUncertain, LinkError, LinkTimeout

HERE = "127.0.0.1:0"
NOWHERE = "ws://127.0.0.1:1/ws"


def story(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded(), debug=True)


async def message(line: Any) -> MessageReceived:
    event = await line.receive()
    assert isinstance(event, MessageReceived)
    return event


def test_maim_adapter_and_core():
    async def work():
        async with listen("maim", bind=HERE, token="t") as server:
            async with connect("maim", url=server.url, platform="qq", token="t") as line:
                fate = await line.send("private:u1", [Text("看"), Image(b"x" * 40)])
                assert fate.outcome is Outcome.SENT
                assert fate.is_sent
                event = await message(server)
                assert event.chat == Chat("qq", "private", "u1", "u1")
                assert event.segments == (Text("看"), Image(b"x" * 40))
                await server.send(event, "answer")
                assert plain_text((await message(line)).segments) == "answer"
                await server.send("group:g@qq", "to a group")
                assert (await message(line)).chat.kind == "group"
                assert [peer.account for peer in server.peers] == ["qq"]
                with pytest.raises(ValueError, match="private or group"):
                    await line.send("visitor:x", "no")
                with pytest.raises(ValueError, match="empty"):
                    await line.send("private:u1", " ")
                with pytest.raises(DeliveryRefused):
                    await line.act("nonsense", {}, "private:u1")
            fate = await server.send("private:u1@qq", "gone", timeout_s=0.05)
            assert fate.outcome is Outcome.LATER

    story(work())


def test_a_core_that_dials_an_adapter_that_listens():
    async def work():
        async with (
            listen("maim", role="adapter", bind=HERE, platform="qq", token="t") as adapter,
            connect("maim", role="core", url=adapter.url, platform="qq", token="t") as core,
        ):
            await adapter.send("private:u1", "question")
            event = await message(core)
            assert event.chat.account == "qq"
            await core.send(event, "answer")
            assert plain_text((await message(adapter)).segments) == "answer"

    story(work())


@pytest.mark.parametrize("who_dials", ["implementation", "framework"])
def test_onebot_in_both_roles_and_directions(who_dials):
    async def work():
        keys = {"implementation": {"self_id": "12345"}, "framework": {}}
        listener = "framework" if who_dials == "implementation" else "implementation"
        async with (
            listen("onebot11", role=listener, bind=HERE, token="t", **keys[listener]) as server,
            connect(
                "onebot11", role=who_dials, url=server.url, token="t", **keys[who_dials]
            ) as line,
        ):
            bot, qq = (line, server) if who_dials == "framework" else (server, line)
            await qq.send("private:67890", "Hello, World!")
            while not isinstance(event := await bot.receive(), MessageReceived):
                pass
            assert event.chat == Chat("12345", "private", "67890", "67890")
            fate = await bot.send(event, "answer")
            assert fate.outcome is Outcome.CONFIRMED
            heard = await message(qq)
            assert (plain_text(heard.segments), heard.peer_id) == ("answer", fate.peer_id)
            # What a call returns, and how it fails. The two overtake each other as they like.
            info, status = await asyncio.gather(
                bot.call("get_login_info"), bot.call("get_status", account="12345")
            )
            assert info == {"user_id": 12345, "nickname": "trunkline"}
            assert status == {"online": True, "good": True}
            assert await bot.call("clean_cache") is None
            sent = await bot.call("send_group_msg", group_id=20001, message="all")
            assert (await message(qq)).peer_id == str(sent["message_id"])
            with pytest.raises(DeliveryRefused, match="retcode 1404"):
                await bot.call("nonsense", any=1)
            with pytest.raises(LinkTimeout):
                await bot.call("get_status", account="777", timeout_s=0.01)

    story(work())


def test_a_call_that_nobody_answers_is_uncertain():
    async def work():
        async with listen("onebot11", bind=HERE, path="/ws/") as server:  # noqa: SIM117 - the url is the server's
            async with peers.dial(server.url) as socket:
                event = {"time": 1, "self_id": 5, "post_type": "meta_event"}
                hello = event | {"meta_event_type": "lifecycle", "sub_type": "connect"}
                await socket.send(json.dumps(hello))
                with pytest.raises(DeliveryUncertain):
                    await server.call("get_status", timeout_s=0.05)
                down = event | {"meta_event_type": "heartbeat", "status": {"online": False}}
                await socket.send(json.dumps(down))
                while getattr(await server.receive(), "name", "") != "meta_event.heartbeat":
                    pass
                with pytest.raises(LinkTimeout):
                    await server.call("get_status", timeout_s=0.05)

    story(work())


def test_the_account_must_be_named_when_there_are_two():
    async def work():
        async with (
            listen("maim", bind=HERE) as server,
            connect("maim", url=server.url, platform="qq") as qq,
            connect("maim", url=server.url, platform="tg"),
        ):
            while len(server.peers) < 2:
                await asyncio.sleep(0)
            with pytest.raises(ValueError, match="qq, tg"):
                await server.send("private:1", "who?")
            await server.send("private:1@qq", "you")
            assert plain_text((await message(qq)).segments) == "you"

    story(work())


def test_a_contact_site_serves_visitors_that_are_not_ours():
    async def work():
        async with listen("contact", bind=HERE) as server:
            assert [url.rpartition("0/")[0] != url for url in server.urls]
            async with peers.dial(server.url) as socket:
                greeting = await peers.receive(socket)
                await socket.send(json.dumps(peers.chat("你好")))
                ack = await peers.receive(socket)
                assert ack["type"] == "chat_message_received"
                event = await message(server)
                assert event.chat.id == greeting["client_id"]
                await server.send(event, "您好")
                answer = await peers.receive(socket)
                assert (answer["type"], answer["message"]) == ("chat_message", "您好")
                assert answer["in_reply_to"] == ack["message_id"]
                request = {**peers.chat("call me"), "type": "contact_request", "userAgent": "x"}
                await socket.send(json.dumps(request))
                assert (await peers.receive(socket))["type"] == "contact_request_received"
                assert isinstance(await server.receive(), RequestReceived)
                assert (await server.broadcast("all")).delivered == 1
                assert (await peers.receive(socket))["broadcast"] is True

    story(work())


def test_a_contact_visitor_gets_proof():
    async def work():
        async with (
            listen("contact", bind=HERE) as server,
            connect("contact", url=server.url) as line,
        ):
            fate = await line.send("visitor:site", "hello")
            assert fate.outcome is Outcome.CONFIRMED
            assert (await message(server)).peer_id == fate.peer_id

    story(work())


def test_nothing_is_acknowledged_while_nobody_reads():
    async def work():
        async with listen("contact", bind=HERE, queue_events=2, chat_burst=0) as server:  # noqa: SIM117 - the url is the server's
            async with peers.dial(server.url) as socket:
                await peers.receive(socket)
                for n in range(200):
                    await socket.send(json.dumps(peers.chat(str(n))))
                acks = [(await peers.receive(socket))["type"] for _ in range(2)]
                assert acks == ["chat_message_received"] * 2
                third = asyncio.ensure_future(peers.receive(socket))
                for _ in range(200):
                    await asyncio.sleep(0)
                assert not third.done()
                said = [plain_text((await message(server)).segments) for _ in range(200)]
                assert said == [str(n) for n in range(200)]
                assert (await third)["type"] == "chat_message_received"

    story(work())


def test_it_gives_up_after_five_and_says_why():
    async def work():
        errors: list[BaseException] = []
        line = connect("maim", url=NOWHERE, reconnect_interval_s=0.001)
        line.on_error(errors.append)
        with pytest.raises(LinkError, match="gave up after 5 attempts"):
            await line.open()

    story(work())


def test_a_file_that_cannot_be_read_is_no_reason_to_dial_again(tmp_path):
    async def work():
        empty = tmp_path / "empty.crt"
        empty.write_text("no certificate")
        line = connect("maim", url="wss://127.0.0.1:1/ws", ca_file=empty)
        with pytest.raises(Exception, match="ca_file"):
            await line.open()

    story(work())


def test_a_lost_link_is_dialled_again_and_told_of():
    async def work():
        told: list[str] = []
        back = asyncio.Event()
        async with listen("maim", bind=HERE) as server:
            line = connect("maim", url=server.url, platform="qq", reconnect_interval_s=0.01)

            def connected(peer):
                told.append(f"connect {peer.key}")
                if len(told) == 3:
                    back.set()

            line.on_connect(connected)
            line.on_disconnect(lambda error: told.append(f"disconnect {error.code}"))
            async with line:
                assert line.is_connected
                while not server.peers:
                    await asyncio.sleep(0)
                server.line.close_links(1012, "again")
                await back.wait()
                await line.send("private:1", "still here")
                assert plain_text((await message(server)).segments) == "still here"
        assert told == ["connect qq", "disconnect 1012", "connect qq", "disconnect 1001"]

    story(work())


def test_callbacks_get_events_and_frames():
    async def work():
        heard: list[Any] = []
        done = asyncio.Event()
        server = listen("maim", bind=HERE)
        server.on_message(lambda event: heard.append(plain_text(event.segments)))

        @server.on_frame
        async def frame(data, event):
            heard.append(data["message_segment"])
            await server.send(event, "ok")
            done.set()

        async with server, connect("maim", url=server.url) as line:
            with pytest.raises(RuntimeError, match="callbacks"):
                await server.receive()
            await line.send("private:1", "x")
            await done.wait()
            assert plain_text((await message(line)).segments) == "ok"
        assert heard[0] == "x"
        assert heard[1]["data"] == [{"type": "text", "data": "x"}]

    story(work())


def test_shutdown_from_another_thread_ends_run_and_iteration():
    async def work():
        server = listen("maim", bind=HERE)
        async with server:
            thread = threading.Thread(target=server.shutdown)
            thread.start()
            assert [event async for event in server] == []
            thread.join()
        other = listen("maim", bind=HERE)
        running = asyncio.ensure_future(other.run())
        while not other.urls:
            await asyncio.sleep(0)
        await asyncio.to_thread(other.shutdown)
        await running
        with pytest.raises(RuntimeError, match="opened once"):
            await other.open()

    story(work())


def test_run_raises_what_ended_it():
    async def work():
        line = connect("maim", url=NOWHERE, reconnect_interval_s=0.001, max_failures=1)
        with pytest.raises(LinkError, match="gave up after 1"):
            await line.run()

    story(work())


def test_a_wrong_token_is_told_and_given_up():
    async def work():
        async with listen("maim", bind=HERE, token="right") as server:
            line = connect(
                "maim", url=server.url, token="wrong", max_failures=1, reconnect_interval_s=0.01
            )
            with contextlib.suppress(LinkError):
                await line.open()
            with pytest.raises(LinkError, match="1008"):
                await line.receive()
            await line.close()

    story(work())


def test_a_wrong_token_is_an_error_at_once_while_opening():
    async def work():
        async with listen("maim", bind=HERE, token="right") as server:
            # With the guides' delays the second attempt would be seconds away.
            with pytest.raises(LinkError, match="1008"):
                async with connect("maim", url=server.url, token="wrong"):
                    pass

    story(work())


def test_send_waits_for_a_slow_reader_and_close_loses_nothing():
    total = 120

    async def work():
        async with listen("maim", bind=HERE, queue_events=4) as server:
            line = await connect("maim", url=server.url, platform="p").open()
            sent: list[int] = []

            async def send_all() -> None:
                for number in range(total):
                    fate = await line.send("private:u", f"{number} " + "z" * 200_000)
                    assert fate.outcome is Outcome.SENT
                    sent.append(number)
                await line.close()

            sending = asyncio.create_task(send_all())
            while not sent or any(link.buffered_bytes < 262_144 for link in line.line.open_links):
                await asyncio.sleep(0)
            for _ in range(200):
                await asyncio.sleep(0)
            # Nobody reads: the sender stands still long before it is through.
            assert len(sent) < total
            got = [plain_text((await message(server)).segments).split()[0] for _ in range(total)]
            assert got == [str(number) for number in range(total)]
            await sending

    story(work())


def test_reconnect_works_after_it_has_given_up():
    async def work():
        server = listen("maim", bind=HERE)
        await server.open()
        port = server.url.split(":")[2].split("/")[0]
        line = connect("maim", url=server.url, max_failures=1, reconnect_interval_s=0.01)
        await line.open()
        await server.close()
        with pytest.raises(LinkError, match="gave up"):
            await line.receive()
        async with listen("maim", bind=f"127.0.0.1:{port}") as again:
            line.reconnect()
            fate = await line.send("private:1", "back")
            assert fate.is_sent
            assert plain_text((await message(again)).segments) == "back"
            await line.close()

    story(work())


def test_tls_with_a_certificate_of_ones_own(tmp_path):
    async def work():
        made = make_certificate(tmp_path)
        key = tmp_path / "localhost.key"
        key.chmod(0o600)
        async with listen("maim", bind=HERE, tls_cert=made.cert, tls_key=key) as server:
            assert server.url.startswith("wss://")
            async with connect("maim", url=server.url, ca_file=made.cert) as line:
                assert (await line.send("private:1", "secret")).is_sent
                assert plain_text((await message(server)).segments) == "secret"

    story(work())
