"""What is fuzzed: one function a decoder, bytes in, an assertion when a promise is broken.

`tests/fuzz/test_targets.py` feeds them with examples, regressions and hypothesis in `make test`;
`tests/fuzz/harness.py` with atheris in `make fuzz`. A target fails by any exception. Promises: what
a peer sends raises documented errors only, what is said about it is bounded, and how the bytes were
cut into reads changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from linkstand import Bench, FakeTransport, NoSocket, StandDoor, echo
from maim_lines import api_core, core
from mqtt_pair import LENIENT, open_broker, open_client
from trunkline.clock import FakeClock
from trunkline.dialects.boss.importing import clean, explain
from trunkline.dialects.boss.schema import built_in, to_json
from trunkline.dialects.contact import frames as contact
from trunkline.dialects.contact.operator_frames import decode_operator
from trunkline.dialects.maim import envelope
from trunkline.dialects.maim import frames as maim
from trunkline.errors import LinkError, WireError
from trunkline.lines import dial
from trunkline.lines.caller import identify, is_host_allowed, is_origin_allowed, parse_networks
from trunkline.lines.listen import Answer, Call, Gate
from trunkline.web.problem import Problem
from trunkline.web.routes.events import _read_position
from trunkline.web.server import HeadLimits, HttpProtocol, ServerState, _make_config, not_found
from trunkline.wire import jsonwire
from trunkline.wire.mqtt_broker import BrokerFlow
from trunkline.wire.mqtt_flow import Flow, Oddity, State
from trunkline.wire.mqtt_packets import STRICT, Publish, Quirks, describe
from trunkline.wire.mqtt_stream import Broken

LINE_CHARS = 200
TURNS = 4  # of the loop, for what an input leaves to it
CONFIG = _make_config()
ANY = msgspec.json.Decoder(Any)


def in_loop(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Run a target inside an event loop, its callbacks included."""
    loop = asyncio.new_event_loop()

    async def run(data: bytes) -> None:
        target(data)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def fuzz(data: bytes) -> None:
        loop.run_until_complete(run(data))

    return fuzz


def contact_frames(data: bytes) -> None:
    """Frames of visitors and operators: taken or rejected, never raised."""
    for is_text in (True, False):
        contact.decode_client(data, is_text=is_text)
    contact.decode_extension(data)
    decode_operator(data)
    with contextlib.suppress(WireError):
        contact.decode_server(data)
    assert len(contact.describe(data)) <= LINE_CHARS


def maim_frames(data: bytes) -> None:
    """Frames of the classic line: read, or a documented reason."""
    with contextlib.suppress(WireError):
        maim.decode(data)
    assert len(maim.describe(data)) <= LINE_CHARS
    assert len(maim.fingerprint(data)) <= LINE_CHARS
    core().receive(data, is_text=True)


def maim_envelope(data: bytes) -> None:
    """Frames of the API-Server line."""
    with contextlib.suppress(WireError):
        envelope.to_classic_custom(envelope.decode(data), "qq")
    assert len(envelope.describe(data)) <= LINE_CHARS
    api_core().receive(data, is_text=True)


def json_values(data: bytes) -> None:
    """Strict and tolerant JSON agree, and what they give can be stored."""
    for allow_nan in (False, True):
        try:
            value = jsonwire.decode(ANY, data, allow_nan=allow_nan)
        except WireError:
            continue
        assert jsonwire.decode(ANY, jsonwire.encode(value)) == value


def _cuts(data: bytes) -> tuple[bytes, list[bytes]]:
    """Take the first byte as the length of a read; return the rest, whole and in such reads."""
    step = (data[0] if data else 0) + 1
    rest = data[1:]
    return rest, [rest[at : at + step] for at in range(0, len(rest), step)]


def _link(data: bytes, *, is_dialled: bool) -> None:
    whole, parts = _cuts(data)
    ends: list[tuple[Any, ...]] = []
    for reads in ([whole], parts):
        bench = Bench(echo, is_dialled=is_dialled, max_message_bytes=1000).open()
        for read in reads:
            if bench.transport.state == "open" and not bench.transport.has_eof:
                bench.feed(read)
        assert not bench.troubles, bench.troubles
        assert len(bench.ear.errors) <= 1
        assert all(len(message) <= 1000 for message in bench.ear.messages)
        ends.append((bench.ear.messages, bench.ear.kinds, [e.code for e in bench.ear.errors]))
        bench.link.abort()
        if bench.transport.protocol is bench.link:
            bench.transport.lose()
        else:
            bench.transport.protocol.connection_lost(None)
    assert ends[0] == ends[1]


def link_server(data: bytes) -> None:
    """A link that was accepted: any bytes, cut anyhow, give the same messages and the same end."""
    _link(data, is_dialled=False)


def link_client(data: bytes) -> None:
    """The same for a link that was dialled."""
    _link(data, is_dialled=True)


class _HttpStand:
    """Our HTTP protocol on a fake transport, without a socket."""

    def __init__(self) -> None:
        self.door = StandDoor()
        self.gate = Gate(Bench().commons, FakeClock())
        self.gate.add("", "/ws", self.door)

    def connect(self) -> _HttpTransport:
        transport = _HttpTransport()
        protocol = HttpProtocol(
            CONFIG, ServerState(), app=not_found, gate=self.gate, bind="", limits=HeadLimits()
        )
        transport.protocol = protocol
        protocol.connection_made(transport)
        return transport


class _HttpSocket(NoSocket):
    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 4000)

    getsockname = getpeername


class _HttpTransport(FakeTransport):
    """A transport that an HTTP connection can be made on."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = _HttpSocket()

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def http_heads(data: bytes) -> None:
    """Request heads: an answer, an upgrade or patience; never an exception."""
    _, parts = _cuts(data)
    stand = _HttpStand()
    transport = stand.connect()
    for part in parts:
        if transport.state != "open":
            break
        if hasattr(transport.protocol, "data_received"):
            transport.protocol.data_received(part)
        else:
            transport.feed(part)
    assert len(stand.door.ears) <= 1
    for ear in stand.door.ears:
        ear.link.abort()
    transport.state = "lost"
    transport.protocol.connection_lost(None)


def upgrade_requests(data: bytes) -> None:
    """Whatever an HTTP parser could hand to the gate: one answer, or one link."""
    target, *lines = data.split(b"\n")
    pairs = [line.partition(b":")[::2] for line in lines]
    good = [
        (b"host", b"127.0.0.1"), (b"upgrade", b"websocket"), (b"connection", b"Upgrade"),
        (b"sec-websocket-version", b"13"), (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]  # fmt: skip
    given = [(name.lower(), value) for name, value in pairs]
    named = {name for name, _ in given}
    headers = given + [pair for pair in good if pair[0] not in named]
    door = StandDoor()
    gate = Gate(Bench().commons, FakeClock())
    gate.add("", "/", door)
    transport = FakeTransport()
    answer = gate.knock(Call("", "GET", target or b"/", "1.1", headers, "192.0.2.1"), transport)
    assert (answer is None) is (len(door.ears) == 1)
    assert answer is None or isinstance(answer, Answer)
    if answer is None:
        door.ear.link.abort()
        transport.lose()
    assert gate.links == 0
    gate.turn_away("", target)


def proxy_headers(data: bytes) -> None:
    """`Forwarded`, `X-Forwarded-For`, `Host` and `Origin` as anybody may write them."""
    text = data.decode("latin-1")
    trusted = parse_networks(["127.0.0.1", "10.0.0.0/8"])
    for name in ("forwarded", "x-forwarded-for"):
        caller = identify("127.0.0.1", {name: text}, trusted)
        assert not caller.is_loopback
        identify("192.0.2.1", {name: text}, trusted)
    is_host_allowed(text, ("example.org",))
    is_origin_allowed(text, (), is_public=False, is_caller_loopback=True)


def upgrade_answers(data: bytes) -> None:
    """What a server answers to our upgrade: a link, or one `LinkError` with a short sentence."""
    _, parts = _cuts(data)
    request = dial._Request(*_ADDRESS)
    links: list[Bench] = []

    def open_with(_head: Any) -> Any:
        links.append(Bench(is_dialled=True))
        return links[-1].link

    opening = dial._Opening(request, dial.Trust(), open_with, lambda _: links[-1].ear)
    transport = _HttpTransport()
    opening.connection_made(transport)  # type: ignore[arg-type]  # enough of a transport
    # So that a link is within reach: what the request wanted to hear is known to any server.
    for part in parts:
        if not links:
            opening.data_received(part.replace(b"ACCEPT", request.accept.encode()))
    if not links:
        opening.connection_lost(None)
        assert opening._done.done()
        error = opening._done.exception()
        assert isinstance(error, LinkError)
        assert len(str(error)) <= 20_000
    else:
        links[-1].link.abort()
        transport.lose()


_ADDRESS = (dial._parse_url("ws://127.0.0.1/ws")[0], dial.Dial("ws://127.0.0.1/ws"))


def event_ids(data: bytes) -> None:
    """`Last-Event-ID`: a position that the store can hold, or a problem."""
    with contextlib.suppress(Problem):
        position = _read_position(data.decode("latin-1"))
        assert position is None or 0 <= position < 1 << 63


def _mqtt(data: bytes, make: Callable[[Quirks], Flow]) -> None:
    whole, parts = _cuts(data)
    for quirks in (STRICT, LENIENT):
        ends: list[list[str]] = []
        for reads in ([whole], parts):
            flow = make(quirks)
            happened = [
                it for number, read in enumerate(reads) for it in flow.receive(read, number)
            ]
            assert not any(isinstance(it, Broken) for it in happened[:-1])
            assert flow.unacknowledged <= len(happened)
            for it in happened:
                if isinstance(it, Publish):
                    assert len(describe(it)) <= LINE_CHARS
                    flow.acknowledge(it.packet_id, 0)
            assert flow.state is not State.OPEN or not flow.unacknowledged
            # Oddities stand in front of what one read has brought: cuts may move them.
            ends.append([repr(it) for it in happened if not isinstance(it, Oddity)])
        assert ends[0] == ends[1]


def mqtt_client(data: bytes) -> None:
    """What a broker may send: any bytes, cut anyhow, strict and with every quirk."""
    _mqtt(data, lambda quirks: open_client(quirks=quirks))


def mqtt_broker(data: bytes) -> None:
    """What a client may send, its CONNECT included."""
    _mqtt(data, lambda quirks: open_broker(quirks=quirks))
    _mqtt(data, lambda quirks: BrokerFlow(0, quirks=quirks))


def boss_payloads(data: bytes) -> None:
    """Payloads of a chat: a message that keeps what is unknown, or a documented reason."""
    with contextlib.suppress(WireError):
        found = built_in().decode(data).message
        msgspec.json.encode(to_json(found))
        assert built_in().decode(built_in().encode(found)).message == found


def boss_pasted(data: bytes) -> None:
    """Text that somebody pasted as a schema: something to compile, or what is wrong with it."""
    text = data.decode("utf-8", "replace")
    cleaned = clean(text)
    if isinstance(cleaned, str):
        cleaned.encode()
        for fault in explain(f"schema.proto:{len(data) % 5}:{len(data)}: x\n{text}", cleaned):
            assert len(fault.excerpt) <= LINE_CHARS


TARGETS: dict[str, Callable[[bytes], None]] = {
    "contact_frames": contact_frames,
    "maim_frames": maim_frames,
    "maim_envelope": maim_envelope,
    "json_values": json_values,
    "link_server": in_loop(link_server),
    "link_client": in_loop(link_client),
    "http_heads": in_loop(http_heads),
    "upgrade_requests": in_loop(upgrade_requests),
    "upgrade_answers": in_loop(upgrade_answers),
    "proxy_headers": proxy_headers,
    "event_ids": event_ids,
    "mqtt_client": mqtt_client,
    "mqtt_broker": mqtt_broker,
    "boss_payloads": boss_payloads,
    "boss_pasted": boss_pasted,
}
