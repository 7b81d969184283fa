"""TLS both ways: what is trusted, what is not, and that a link over TLS is the same link."""

import asyncio
import ssl
import warnings

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from certificates import make_certificate
from linkstand import Bench, Ear, StandDoor, cut, standing, until
from rawsocket import TEXT, RawSocket, encode_frame, upgrade_request
from trunkline.dialects.contract import Dial
from trunkline.errors import ConfigError, LinkError, LinkTimeout
from trunkline.lines.contract import LinkLimits
from trunkline.lines.dial import Trust, dial


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"), "elsewhere.example")


async def open_link(port: int, trust: Trust, host: str = "localhost", scheme: str = "wss", **how):
    ear = Ear()
    bench = Bench()

    def enter(link):
        ear.link = link
        return ear

    target = Dial(f"{scheme}://{host}:{port}/", max_message_bytes=1 << 24)
    await dial(target, enter, bench.commons, trust=trust, limits=LinkLimits(**how))
    return ear


@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_our_link_to_our_door_over_tls(certificate, scheme):
    door = StandDoor(greet=[b"hello"])
    async with standing(door, tls=(certificate.cert, certificate.key)) as stand:
        assert stand.url.startswith("https://")
        ear = await open_link(stand.port, Trust(ca_file=certificate.cert), scheme=scheme)
        await until(lambda: ear.messages == [b"hello"])
        for number in range(100):
            ear.link.send(b"%d" % number * 1000)
        ear.link.flush()
        await until(lambda: len(ear.messages) == 101)
        ear.link.close(1000, "enough")
        await ear.ended.wait()
        await door.ear.ended.wait()
        assert door.ear.end == (1000, "enough")
        await cut(ear.link)


async def test_pause_over_tls_keeps_what_the_layer_still_delivers(certificate):
    def on_receive(ear, data):
        ear.link.pause()

    door = StandDoor(on_receive=on_receive)
    async with standing(door, tls=(certificate.cert, certificate.key)) as stand:
        ear = await open_link(stand.port, Trust(ca_file=certificate.cert))
        for number in range(500):
            ear.link.send(b"%03d" % number + b"x" * 500)
        ear.link.flush()
        await door.ear.heard.wait()
        await asyncio.sleep(0)
        assert len(door.ear.messages) == 1
        door.ear.on_receive = None
        door.ear.link.resume()
        await until(lambda: len(door.ear.messages) == 500)
        assert [int(data[:3]) for data in door.ear.messages] == list(range(500))
        await cut(ear.link)


async def test_upgrade_and_following_bytes_over_tls(certificate):
    context = ssl.create_default_context(cafile=certificate.cert)
    async with standing(tls=(certificate.cert, certificate.key)) as stand:
        peer = await RawSocket.connect(stand.port, tls=context)
        peer.write(upgrade_request() + encode_frame(TEXT, b"at once"))
        assert (await peer.read_response()).status == 101
        assert await peer.read_message() == b"at once"
        peer.write(encode_frame(TEXT, b"\xff"))
        assert (await peer.read_close()).code == 1007
        await peer.close()


async def test_their_client_over_tls(certificate):
    context = ssl.create_default_context(cafile=certificate.cert)
    async with (
        standing(tls=(certificate.cert, certificate.key)) as stand,
        connect(f"wss://localhost:{stand.port}/", ssl=context) as client,
    ):
        await client.send("x" * 300_000)
        assert await client.recv() == "x" * 300_000


async def test_our_link_to_their_server_over_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)

    async def handler(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(handler, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        ear = await open_link(port, Trust(ca_file=certificate.cert), host="127.0.0.1")
        ear.link.send("你好".encode())
        ear.link.flush()
        await until(lambda: ear.messages == ["你好".encode()])
        ear.link.close(1000)
        await ear.ended.wait()
        await cut(ear.link)


@pytest.mark.parametrize("name", ["system store", "other root", "wrong host", "wrong pin",
                                  "wrong pin with the right root"])  # fmt: skip
async def test_who_is_not_trusted_is_sent_nothing(certificate, other, name):
    served = other if name == "wrong host" else certificate
    trust = {
        "system store": Trust(),
        "other root": Trust(ca_file=other.cert),
        "wrong host": Trust(ca_file=other.cert),
        "wrong pin": Trust(pin_sha256=other.sha256),
        "wrong pin with the right root": Trust(ca_file=certificate.cert, pin_sha256=other.sha256),
    }[name]
    door = StandDoor()
    async with standing(door, tls=(served.cert, served.key)) as stand:
        with pytest.raises(LinkError, match="certificate"):
            await open_link(stand.port, trust)
        assert door.heads == []


async def test_a_pin_lets_in_exactly_one_certificate_whatever_its_name(other):
    pin = ":".join(other.sha256[at : at + 2].upper() for at in range(0, 64, 2))
    async with standing(tls=(other.cert, other.key)) as stand:
        ear = await open_link(stand.port, Trust(pin_sha256=pin), host="127.0.0.1")
        await cut(ear.link)


async def test_insecure_is_for_loopback_only(certificate):
    async with standing(tls=(certificate.cert, certificate.key)) as stand:
        ear = await open_link(stand.port, Trust(is_insecure=True))
        await cut(ear.link)
        with pytest.raises(ConfigError, match="loopback only"):
            await open_link(stand.port, Trust(is_insecure=True), host="chat.example")


async def test_tls_1_1_is_refused_by_our_door(certificate):
    context = ssl.create_default_context(cafile=certificate.cert)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with standing(tls=(certificate.cert, certificate.key)) as stand:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await RawSocket.connect(stand.port, tls=context)


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        (Trust(ca_file="/nowhere/ca.pem"), "ca_file"),
        (Trust(pin_sha256="abc"), "pin_sha256"),
        (Trust(pin_sha256="zz" * 32), "pin_sha256"),
    ],
)
async def test_a_trust_that_cannot_work_is_configuration(trust, words):
    with pytest.raises(ConfigError, match=words):
        await open_link(1, trust)


async def test_a_server_that_never_finishes_tls_times_out():
    async def handler(reader, writer):
        await reader.read()

    from rawsocket import raw_server

    async with raw_server(handler) as port:
        with pytest.raises(LinkTimeout, match="no connection"):
            await open_link(port, Trust(is_insecure=True), connect_s=0.05)


async def test_plain_http_on_a_tls_port_is_an_error_with_a_sentence(certificate):
    async with standing(tls=(certificate.cert, certificate.key)) as stand:
        with pytest.raises(LinkError, match=r"lost|no connection"):
            await open_link(stand.port, Trust(), scheme="ws")


async def test_tls_to_a_plain_port_is_an_error_with_a_sentence():
    async with standing() as stand:
        with pytest.raises(LinkError, match=r"TLS with|no connection"):
            await open_link(stand.port, Trust(is_insecure=True))
