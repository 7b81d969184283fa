"""RFC 6455 over real sockets, in the client's role: what a server that breaks a rule gets to see.

The mirror of `test_rfc6455_rules.py`; in the suite of `make conformance` these are the cases of the
fuzzing server.
"""

import pytest

from linkstand import Bench, Ear, cut, echo, until
from rawsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    close_payload,
    encode_frame,
    raw_server,
)
from trunkline.dialects.contract import Dial
from trunkline.lines.contract import LinkLimits
from trunkline.lines.dial import Trust, dial
from trunkline.lines.reader import accept_key


def frame(opcode: int, payload: bytes = b"", **how) -> bytes:
    return encode_frame(opcode, payload, **{"is_masked": False, **how})


RULES = {
    "reserved bit": (frame(TEXT, b"x", rsv=2), 1002),
    "unknown opcode": (frame(5, b"x"), 1002),
    "unknown control opcode": (frame(11, b"x"), 1002),
    "a mask": (frame(TEXT, b"x", is_masked=True), 1002),
    "fragmented control frame": (frame(PING, b"x", fin=False), 1002),
    "long control frame": (frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "interleaved messages": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close code 1006": (frame(CLOSE, close_payload(1006)), 1002),
    "close code 2999": (frame(CLOSE, close_payload(2999)), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "a character cut by fragments": (
        frame(TEXT, b"\xce", fin=False) + frame(CONTINUATION, b"x", fin=False), 1007),
    "1,025 fragments": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"a", fin=False) * 1024, 1009),
    "a large frame": (frame(BINARY, b"x" * 70_000), 1009),
    "a frame of 2^62 bytes": (b"\x82\x7f" + (1 << 62).to_bytes(8, "big"), 1009),
    "large fragments": (
        frame(TEXT, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000), 1009),
}  # fmt: skip


class Served:
    """A server's end: the raw socket of the one client, once it has come."""

    def __init__(self) -> None:
        self.peer: RawSocket | None = None

    async def __call__(self, reader, writer) -> None:
        peer = RawSocket(reader, writer)
        head = await reader.readuntil(b"\r\n\r\n")
        (key,) = [
            line.partition(b": ")[2]
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        ]
        writer.write(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
        )
        self.peer = peer
        await writer.wait_closed()


async def dialled(port: int, served: Served):
    """Our link and the raw server's end of it."""
    bench, ear = Bench(), Ear(echo)

    def enter(link):
        ear.link = link
        return ear

    target = Dial(f"ws://127.0.0.1:{port}/", max_message_bytes=65_536)
    await dial(target, enter, bench.commons, trust=Trust(), limits=LinkLimits())
    await until(lambda: served.peer is not None)
    return ear, served.peer


@pytest.mark.parametrize("name", RULES)
async def test_a_broken_rule_gets_its_code_and_what_came_before_is_answered(name):
    data, code = RULES[name]
    served = Served()
    async with raw_server(served) as port:
        ear, peer = await dialled(port, served)
        # One write: picows has seen the broken frame before the good one is delivered.
        peer.write(frame(TEXT, b"fine") + data)
        answer = await peer.read_frame()
        assert (answer.opcode, answer.payload, answer.is_masked) == (TEXT, b"fine", True)
        close = await peer.read_close()
        assert close.code == code
        assert close.reason
        assert close.is_masked
        await ear.ended.wait()
        assert ear.end[0] == code
        assert ear.messages == [b"fine"]
        await cut(ear.link)


async def test_fragments_with_pings_between_and_an_orderly_end():
    served = Served()
    async with raw_server(served) as port:
        ear, peer = await dialled(port, served)
        peer.write(
            frame(TEXT, "é".encode()[:1], fin=False) + frame(PING, b"in between")
            + frame(CONTINUATION, "é".encode()[1:] + b"!")
        )  # fmt: skip
        pong = await peer.read_frame()
        assert (pong.opcode, pong.payload, pong.is_masked) == (PONG, b"in between", True)
        assert await peer.read_message() == "é!".encode()
        peer.write(frame(CLOSE, close_payload(3000, b"bye")))
        close = await peer.read_close()
        assert (close.code, close.is_masked) == (3000, True)
        await ear.ended.wait()
        assert ear.end == (3000, "bye")
        await cut(ear.link)


async def test_masks_differ_from_frame_to_frame():
    served = Served()
    async with raw_server(served) as port:
        ear, peer = await dialled(port, served)
        for _ in range(8):
            ear.link.send(b"same")
        ear.link.flush()
        seen = set()
        for _ in range(8):
            data = await peer.reader.readexactly(10)
            assert data[:2] == b"\x81\x84"
            seen.add(data[2:6])
        assert len(seen) == 8
        await cut(ear.link)
