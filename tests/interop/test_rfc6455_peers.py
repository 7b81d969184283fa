"""Real sockets against the `websockets` library, as client and as server."""

import re

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from linkstand import Bench, Ear, StandDoor, cut, echo, standing, until
from rawsocket import raw_server
from trunkline.dialects.contract import Admit, Dial
from trunkline.errors import ConfigError, LinkError, LinkLost, LinkRefused, LinkTimeout
from trunkline.lines.contract import LinkLimits
from trunkline.lines.dial import Trust, dial
from trunkline.lines.reader import accept_key

BIG = "大" * 1_700_000  # 5.1 MB of UTF-8


opened = []


@pytest.fixture(autouse=True)
async def tidy():
    yield
    while opened:
        await cut(opened.pop())


async def open_link(url: str, ear: Ear, **target):
    limits = target.pop("limits", LinkLimits())
    is_binary = target.pop("is_binary", False)
    bench = Bench()

    def enter(link):
        ear.link = link
        opened.append(link)
        return ear

    link = await dial(
        Dial(url, **target), enter, bench.commons, trust=Trust(), limits=limits, is_binary=is_binary
    )
    assert link is ear.link
    return link


def accept_of(head: bytes) -> bytes:
    (key,) = re.findall(rb"(?i)sec-websocket-key: (.*)\r", head)
    return accept_key(key)


def local(port: int) -> str:
    return f"ws://127.0.0.1:{port}/ws"


def url_of(server) -> str:
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws?a=1"


# -- their client, our server -------------------------------------------------------------------


async def test_their_client_is_echoed():
    async with standing(StandDoor(answer=Admit("", 1 << 24))) as stand:
        url = stand.url.replace("http", "ws")
        async with connect(url, max_size=1 << 24, compression="deflate") as client:
            assert client.response.headers.get("Sec-WebSocket-Extensions") is None
            for data in ("a", "你好", "", BIG):
                await client.send(data)
                assert await client.recv() == data
            await client.send(iter(["in ", "", "frag", "ments"]))
            assert await client.recv() == "in fragments"
            await (await client.ping(b"x"))
            await client.close(4001, "done")
        await stand.door.ear.ended.wait()
        assert stand.door.ear.end == (4001, "done")


async def test_their_client_answers_our_pings_and_our_close():
    async with standing() as stand, connect(stand.url.replace("http", "ws")) as client:
        link = stand.door.ear.link
        link.visit(stand.sweep.now_s + 20)
        await client.send("x")
        assert await client.recv() == "x"
        link.close(1001, "server stops")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (1001, "server stops")
        await stand.door.ear.ended.wait()
        assert stand.door.ear.end[0] == 1001


async def test_the_subprotocol_of_admit_is_named_and_none_otherwise():
    async with standing(StandDoor(answer=Admit("", 1 << 20, "mqtt"))) as stand:
        url = stand.url.replace("http", "ws")
        async with connect(url, subprotocols=["chat", "mqtt"]) as client:
            assert client.subprotocol == "mqtt"
            assert stand.door.ear.link.info.subprotocol == "mqtt"
        async with connect(url) as client:
            assert client.subprotocol is None
        stand.door.answer = Admit("", 1 << 20)
        async with connect(url, subprotocols=["chat"]) as client:
            assert client.subprotocol is None


# -- our client, their server -------------------------------------------------------------------


async def test_our_link_against_their_server():
    seen = {}

    async def handler(connection):
        seen["path"] = connection.request.path
        seen["headers"] = connection.request.headers
        async for message in connection:
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0, max_size=1 << 24, subprotocols=["mqtt"]) as server:
        ear = Ear()
        link = await open_link(
            url_of(server).replace("ws://", "http://"),
            ear,
            headers={"platform": "平台", "Authorization": "tok", "Connection": "close"},
            subprotocol="mqtt",
            max_message_bytes=1 << 24,
        )
        assert seen["path"] == "/ws?a=1"
        assert seen["headers"]["Connection"] == "Upgrade"
        assert seen["headers"]["Authorization"] == "tok"
        assert "Sec-WebSocket-Extensions" not in seen["headers"]
        assert link.info.is_dialled
        assert link.info.subprotocol == "mqtt"
        assert link.info.head.path == "/ws"
        assert link.info.head.is_loopback
        assert "server" in link.info.head.headers
        for data in (b"a", BIG.encode()):
            link.send(data)
            link.flush()
            await until(lambda data=data: bool(ear.messages) and ear.messages[-1] == data)
        assert all(ear.kinds)
        link.close(1000, "enough")
        await ear.ended.wait()
        assert ear.end[0] == 1000


async def test_their_fragments_binary_and_close_code_arrive():
    async def handler(connection):
        await connection.send(iter(["ä", "b", "c"]))
        await connection.send(b"\xff")
        await connection.close(4321, "tschüß")

    async with serve(handler, "127.0.0.1", 0) as server:
        ear = Ear()
        await open_link(url_of(server), ear)
        await ear.ended.wait()
        assert ear.messages == ["äbc".encode(), b"\xff"]
        assert ear.kinds == [True, False]
        assert ear.end == (4321, "tschüß")


async def test_what_follows_their_101_at_once_is_not_lost():
    async def server(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n"
            b"connection: keep-alive, Upgrade\r\nsec-websocket-accept: "
            + accept_of(head)
            + b"\r\n\r\n\x81\x02hi\x88\x02\x03\xe8"
        )
        await writer.drain()
        await reader.read()

    async with raw_server(server) as port:
        ear = Ear()
        await open_link(local(port), ear)
        await ear.ended.wait()
        assert ear.messages == [b"hi"]
        assert ear.end[0] == 1000


ANSWERS = {
    "refused": (
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nwrong token\n",
        LinkRefused, "403: wrong token"),
    "refused without a body": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", LinkRefused, "502"),
    "refused with a body until the end": (
        b"HTTP/1.1 503 X\r\nContent-Length: 900\r\n\r\nbusy", LinkRefused, "503: busy"),
    "redirect": (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        LinkRefused, "302"),
    "wrong accept": (
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: x\r\n\r\n", LinkError, "Sec-WebSocket-Accept"),
    "no upgrade": (b"HTTP/1.1 101 X\r\n\r\n", LinkError, "Upgrade"),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", LinkError, "not HTTP"),
    "an endless head": (b"HTTP/1.1 101 X\r\n" + b"a: b\r\n" * 4000, LinkError, "16 KiB"),
    "an end": (b"HTTP/1.1 101", LinkError, "lost"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_that_are_no_link(name):
    data, kind, words = ANSWERS[name]

    async def server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)

    async with raw_server(server) as port:
        with pytest.raises(kind, match=words) as caught:
            await open_link(local(port), Ear())
    assert type(caught.value) is kind


@pytest.mark.parametrize("extra", ["Sec-WebSocket-Extensions: permessage-deflate",
                                   "Sec-WebSocket-Protocol: other"])  # fmt: skip
async def test_what_was_not_offered_may_not_be_chosen(extra):
    async def server(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(head) + b"\r\n"
            + extra.encode() + b"\r\n\r\n"
        )  # fmt: skip
        await reader.read()

    async with raw_server(server) as port:
        with pytest.raises(LinkError, match="offered"):
            await open_link(local(port), Ear())


@pytest.mark.parametrize("answer", ["", "wt2~value", "mqtt"])
async def test_a_lenient_target_takes_these_answers_and_offers_once(answer):
    heads = []

    async def server(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        named = f"Sec-WebSocket-Protocol: {answer}\r\n".encode() if answer else b""
        writer.write(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(head) + b"\r\n" + named + b"\r\n"
        )
        await reader.read()

    async with raw_server(server) as port:
        link = await open_link(
            local(port), Ear(), subprotocol="wt2~value", lenient_subprotocols=("mqtt",),
            headers={"Sec-WebSocket-Protocol": "mine", "Origin": "https://www.zhipin.com"},
        )  # fmt: skip
        assert link.info.subprotocol == (answer or None)
        link.abort()
    (head,) = heads
    assert head.lower().count(b"sec-websocket-protocol:") == 1
    assert b"Sec-WebSocket-Protocol: wt2~value\r\n" in head
    assert b"Origin: https://www.zhipin.com\r\n" in head


async def test_a_lenient_target_takes_no_others():
    async def server(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(head)
            + b"\r\nSec-WebSocket-Protocol: other\r\n\r\n"
        )  # fmt: skip
        await reader.read()

    async with raw_server(server) as port:
        with pytest.raises(LinkError, match="offered"):
            await open_link(
                local(port), Ear(), subprotocol="wt2~value", lenient_subprotocols=("mqtt",)
            )


async def test_a_server_that_says_nothing_times_out():
    async def server(reader, writer):
        await reader.read()

    async with raw_server(server) as port:
        with pytest.raises(LinkTimeout, match=r"did not answer within 0\.05 s"):
            await open_link(local(port), Ear(), limits=LinkLimits(handshake_s=0.05))


async def test_nobody_listens():
    async with raw_server(echo) as port:
        url = local(port)
    with pytest.raises(LinkError, match="no connection to 127"):
        await open_link(url, Ear())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("tcp://127.0.0.1:1", "only ws:// and wss://"),
        ("ws://", "host is missing"),
        ("ws://h:99999/", "url"),
        ("127.0.0.1:8080", "only ws://"),
        ("ws://h/\r\nX: y", None),
    ],
)
async def test_urls_that_cannot_work_are_configuration(url, words):
    if words is None:  # urlsplit drops line breaks, so nothing is injected: it is a plain failure
        with pytest.raises(LinkError):
            await open_link("ws://127.0.0.1:1/\r\nX: y", Ear())
        return
    with pytest.raises(ConfigError, match=words):
        await open_link(url, Ear())


async def test_headers_with_line_breaks_are_refused():
    with pytest.raises(ConfigError, match="line break"):
        await open_link("ws://127.0.0.1:1/", Ear(), headers={"x": "a\r\nb: c"})


async def test_both_ends_are_ours():
    async with standing(StandDoor(greet=[b"hello"])) as stand:
        ear = Ear()
        link = await open_link(stand.url, ear)
        await until(lambda: bool(ear.messages))
        for number in range(1000):
            link.send(b"%d" % number)
        link.flush()
        await until(lambda: len(ear.messages) == 1001)
        assert ear.messages[1:] == [b"%d" % number for number in range(1000)]
        stand.door.ear.link.close(1012, "restart")
        await ear.ended.wait()
        assert ear.end == (1012, "restart")
        await until(lambda: stand.gate.links == 0)
        assert isinstance(stand.door.ear.errors[0], LinkLost)


async def test_a_dialled_user_that_fails_on_entering_ends_the_link():
    async with standing(StandDoor(on_receive=echo)) as stand:
        bench = Bench()

        def explode(link):
            opened.append(link)
            raise RuntimeError("bug")

        link = await dial(
            Dial(stand.url), explode, bench.commons, trust=Trust(), limits=LinkLimits()
        )
        assert not link.is_open
        assert bench.troubles[0][0] == "enter"
        await stand.door.ear.ended.wait()
        assert stand.door.ear.end[0] == 1011
