"""The HTTP side of the port: bounded heads, binds, start and stop."""

import asyncio
import socket

import pytest

from linkstand import Bench, StandDoor, cut, standing, until
from rawsocket import TEXT, RawSocket, encode_frame
from trunkline.clock import SystemClock
from trunkline.errors import ConfigError
from trunkline.lines.listen import Gate, GateRules
from trunkline.lines.quota import QuotaRules
from trunkline.web.server import HeadLimits, Server, Socket, not_found


async def hello(scope, receive, send):
    body = f"{scope['method']} {scope['path']}".encode()
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def ask(port: int, data: bytes):
    peer = await RawSocket.connect(port)
    peer.write(data)
    response = await peer.read_response()
    await peer.close()
    return response


def head(*lines: str, path: str = "/x") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


async def test_the_app_answers_what_is_no_door():
    async with standing(app=hello) as stand:
        response = await ask(stand.port, head())
        assert (response.status, response.text) == (200, "GET /x")
        assert response.headers["date"].endswith("GMT")
        assert "server" not in response.headers


async def test_an_upgrade_to_a_path_without_door_is_the_app_s():
    async with standing(app=hello) as stand:
        peer = await RawSocket.open(stand.port, "/nowhere", rest=encode_frame(TEXT, b"junk"))
        assert (peer.response.status, peer.response.text) == (200, "GET /nowhere")
        assert peer.response.headers.get("connection") == "close"
        assert await peer.read_eof()
        await peer.close()


async def test_keep_alive_and_pipelining_still_work():
    async with standing(app=hello) as stand:
        peer = await RawSocket.connect(stand.port)
        for number in range(3):
            peer.write(head(path=f"/{number}"))
            assert (await peer.read_response()).text == f"GET /{number}"
        peer.write(head(path="/a") + head(path="/b"))
        assert (await peer.read_response()).text == "GET /a"
        assert (await peer.read_response()).text == "GET /b"
        await peer.close()


BODY = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HEADS = {
    "one long header": (head("X: " + "y" * 16_400), 431),
    "many headers": (head(*(f"X{n}: 1" for n in range(64))), 431),
    "a long target": (head(path="/" + "y" * 16_400), 431),
    "a head that never ends": (head()[:-2] + b"X: y\r\n" * 5000, 431),
    "a header that never ends": (head()[:-2] + b"X: " + b"y" * 20_000, 431),
    "just below": (head("X: " + "y" * 16_000), 200),
    "64 headers": (head(*(f"X{n}: 1" for n in range(63))), 200),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01", 400),
    "HTTP/9": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "a name with a space": (head("X Y: 1"), 400),
    "two lengths": (head("Content-Length: 1", "Content-Length: 2"), 400),
    "length and chunks": (head("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
}


@pytest.mark.parametrize("name", HEADS)
async def test_heads_are_bounded(name):
    data, status = HEADS[name]
    async with standing(app=hello) as stand:
        response = await ask(stand.port, data)
        assert response.status == status


async def test_a_head_is_counted_over_many_reads():
    async with standing(app=hello) as stand:
        peer = await RawSocket.connect(stand.port)
        peer.write(head()[:-2])
        for _ in range(40):
            peer.write(b"X: " + b"y" * 500 + b"\r\n")
            await peer.writer.drain()
        assert (await peer.read_response()).status == 431
        await peer.close()


async def test_a_large_body_is_not_a_head():
    async with standing(app=hello) as stand:
        data = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
        peer = await RawSocket.connect(stand.port)
        peer.write(data + head(path="/next")[:10])
        assert (await peer.read_response()).status == 200
        peer.write(head(path="/next")[10:])
        assert (await peer.read_response()).text == "GET /next"
        await peer.close()


async def test_a_head_that_trickles_is_408_and_silence_is_closed():
    async with standing(app=hello, limits=HeadLimits(arrive_s=0.05)) as stand:
        slow = await RawSocket.connect(stand.port)
        silent = await RawSocket.connect(stand.port)
        slow.write(b"GET / HT")
        assert (await slow.read_response()).status == 408
        assert await silent.reader.read() == b""
        for peer in (slow, silent):
            await peer.close()


async def test_a_second_head_must_arrive_too():
    async with standing(app=hello, limits=HeadLimits(arrive_s=0.05, keep_alive_s=60)) as stand:
        peer = await RawSocket.connect(stand.port)
        peer.write(head())
        await peer.read_response()
        peer.write(b"GET / HT")
        assert (await peer.read_response()).status == 408
        await peer.close()


async def test_an_idle_connection_is_closed():
    async with standing(app=hello, limits=HeadLimits(keep_alive_s=0.01)) as stand:
        peer = await RawSocket.connect(stand.port)
        peer.write(head())
        await peer.read_response()
        assert await peer.reader.read() == b""
        await peer.close()


async def test_a_link_is_not_closed_by_the_clocks_of_http():
    limits = HeadLimits(arrive_s=0.01, keep_alive_s=0.01)
    async with standing(limits=limits) as stand:
        peer = await RawSocket.open(stand.port)
        other = await RawSocket.connect(stand.port)
        assert await other.reader.read() == b"", "the clocks have rung"
        await peer.send(TEXT, b"still here")
        assert await peer.read_message() == b"still here"
        await peer.close()
        await other.close()


async def test_too_many_connections_are_503():
    rules = GateRules(quota=QuotaRules(max_links=2))
    async with standing(app=hello, rules=rules) as stand:
        link = await RawSocket.open(stand.port)
        waiting = await RawSocket.connect(stand.port)
        third = await RawSocket.connect(stand.port)
        assert (await third.read_response()).status == 503
        for peer in (link, waiting, third):
            await peer.close()


# -- sockets -----------------------------------------------------------------------------------


def make(*sockets: Socket, app=hello) -> tuple[Server, Gate]:
    gate = Gate(Bench().commons, SystemClock())
    return Server(app, gate, sockets), gate


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def test_each_bind_has_its_own_doors_and_only_the_main_one_the_app():
    server, gate = make(Socket("", "127.0.0.1", 0), Socket("maim", "127.0.0.1", 0))
    main, own = StandDoor(greet=[b"main"]), StandDoor(greet=[b"own"])
    gate.add("", "/ws", main)
    gate.add("maim", "/ws", own)
    bound = await server.start()
    assert set(bound) == {"", "maim"}
    for bind, greeting in (("", b"main"), ("maim", b"own")):
        peer = await RawSocket.open(port_of(bound[bind]), "/ws")
        assert await peer.read_message() == greeting
        await peer.close()
    assert (await ask(port_of(bound[""]), head())).status == 200
    assert (await ask(port_of(bound["maim"]), head())).status == 404
    await server.stop(1)
    for door in (main, own):
        await cut(door.ear.link)


async def test_a_taken_port_is_named_and_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        port = taken.getsockname()[1]
        free.bind(("127.0.0.1", 0))
        free_port = free.getsockname()[1]
        free.close()
        server, _ = make(
            Socket("", "127.0.0.1", free_port),
            Socket("a", "127.0.0.1", port),
            Socket("b", "192.0.2.1", 0),
        )
        with pytest.raises(ConfigError) as caught:
            await server.start()
        assert len(caught.value.problems) == 2
        assert f"port {port} of 127.0.0.1 is already in use" in caught.value.problems[0]
        with pytest.raises(OSError, match="Connect"):
            await RawSocket.connect(free_port)


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    server, _ = make(Socket("", "127.0.0.1", 0, str(tmp_path / "no.crt"), str(tmp_path / "no.key")))
    with pytest.raises(ConfigError, match=r"no\.crt"):
        await server.start()


async def test_localhost_has_one_port_for_both_families():
    server, _ = make(Socket("", "localhost", 0))
    bound = await server.start()
    assert (await ask(port_of(bound[""]), head())).status == 200
    await server.stop(0)


async def test_stop_waits_for_a_running_request_and_cuts_the_rest(caplog):
    begun, go = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        if scope["path"] == "/forever":
            await asyncio.Event().wait()
        await go.wait()
        await hello(scope, receive, send)

    server, gate = make(Socket("", "127.0.0.1", 0), app=app)
    door = StandDoor()
    gate.add("", "/ws", door)
    port = port_of((await server.start())[""])
    link = await RawSocket.open(port, "/ws")
    idle = await RawSocket.connect(port)
    busy, endless = await RawSocket.connect(port), await RawSocket.connect(port)
    busy.write(head())
    await begun.wait()
    begun.clear()
    endless.write(head(path="/forever"))
    await begun.wait()
    await server.stop_accepting()
    with pytest.raises(OSError, match="Connect"):
        await RawSocket.connect(port)
    stopping = asyncio.create_task(server.stop(0.2))
    assert await idle.reader.read() == b""
    go.set()
    assert (await busy.read_response()).status == 200
    assert not await endless.reader.read(), "cut, without an answer"
    await stopping
    assert caplog.records == []
    # Links are the caller's.
    await link.send(TEXT, b"x")
    assert await link.read_message() == b"x"
    for peer in (link, idle, busy, endless):
        await peer.close()
    await until(lambda: gate.links == 0)


async def test_the_app_of_other_binds_ignores_what_is_not_http():
    await not_found({"type": "lifespan"}, None, None)
