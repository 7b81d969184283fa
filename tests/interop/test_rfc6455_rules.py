"""RFC 6455 over real sockets, byte by byte: what the peer of a broken rule gets to see."""

import asyncio

import pytest

from linkstand import Bench, StandDoor, standing, until
from rawsocket import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawSocket,
    close_payload,
    encode_frame,
)
from trunkline.dialects.contract import Admit
from trunkline.lines.contract import LinkLimits

RULES = {
    "reserved bit": (encode_frame(TEXT, b"x", rsv=4), 1002),
    "unknown opcode": (encode_frame(5, b"x"), 1002),
    "unknown control opcode": (encode_frame(11, b"x"), 1002),
    "no mask": (encode_frame(TEXT, b"x", is_masked=False), 1002),
    "fragmented control frame": (encode_frame(PING, b"x", fin=False), 1002),
    "long control frame": (encode_frame(PING, b"x" * 126), 1002),
    "length not minimal": (encode_frame(TEXT, b"abc", length=b"\x7e\x00\x03"), 1002),
    "continuation of nothing": (encode_frame(CONTINUATION, b"x"), 1002),
    "interleaved messages": (encode_frame(TEXT, b"a", fin=False) + encode_frame(TEXT, b"b"), 1002),
    "close code 1005": (encode_frame(CLOSE, close_payload(1005)), 1002),
    "text that is not UTF-8": (encode_frame(TEXT, b"\xf0\x90\x80"), 1007),
    "a character cut by fragments": (
        encode_frame(TEXT, b"\xce", fin=False) + encode_frame(CONTINUATION, b"x", fin=False), 1007),
    "1,025 fragments": (
        encode_frame(TEXT, b"a", fin=False) + encode_frame(CONTINUATION, b"a", fin=False) * 1024,
        1009),
    "a large frame": (encode_frame(TEXT, b"x" * 70_000), 1009),
    "large fragments": (
        encode_frame(TEXT, b"x" * 40_000, fin=False) + encode_frame(CONTINUATION, b"x" * 40_000),
        1009),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
async def test_a_broken_rule_gets_its_code_and_an_orderly_end(name):
    data, code = RULES[name]
    async with standing(StandDoor(answer=Admit("", 65_536))) as stand:
        peer = await RawSocket.open(stand.port)
        peer.write(encode_frame(TEXT, b"fine") + data)
        assert await peer.read_message() == b"fine"
        close = await peer.read_close()
        assert close.code == code
        assert close.reason
        assert not close.is_masked
        # More bytes of ours must not turn the end into a reset.
        peer.write(encode_frame(TEXT, b"x" * 5000))
        assert await peer.read_eof()
        await peer.close()
        await until(lambda: stand.gate.links == 0)
        assert stand.door.ear.end[0] == code
        assert stand.door.ear.messages == [b"fine"]


async def test_a_flood_after_the_limit_still_sees_1009():
    async with standing(StandDoor(answer=Admit("", 1000))) as stand:
        peer = await RawSocket.open(stand.port)
        peer.write(encode_frame(BINARY, b"x" * 8_000_000))
        assert (await peer.read_close()).code == 1009
        await peer.close()


async def test_upgrade_and_following_frames_in_one_segment():
    async with standing(StandDoor(greet=[b"welcome"])) as stand:
        frames = encode_frame(TEXT, b"one") + encode_frame(TEXT, b"y" * 50_000)
        peer = await RawSocket.open(stand.port, rest=frames + encode_frame(TEXT, b"cut")[:4])
        assert peer.response.status == 101
        assert peer.response.headers["sec-websocket-accept"] == ACCEPT
        assert "sec-websocket-extensions" not in peer.response.headers
        assert [await peer.read_message() for _ in range(3)] == [b"welcome", b"one", b"y" * 50_000]
        peer.write(encode_frame(TEXT, b"cut")[4:])
        assert await peer.read_message() == b"cut"
        await peer.close()


async def test_a_byte_at_a_time():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        data = encode_frame(TEXT, "é".encode(), fin=False) + encode_frame(CONTINUATION, b"x" * 200)
        for byte in data:
            peer.write(bytes((byte,)))
            await peer.writer.drain()
        assert await peer.read_message() == "é".encode() + b"x" * 200
        await peer.close()


async def test_replies_of_one_read_come_in_one_segment():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        peer.write(b"".join(encode_frame(TEXT, b"%d" % number) for number in range(20)))
        first = await peer.reader.read(1 << 20)
        assert first.count(b"\x81") == 20
        await peer.close()


async def test_closing_handshake_from_the_peer():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        await peer.send(CLOSE, close_payload(4000, b"done"))
        close = await peer.read_frame()
        assert (close.opcode, close.code, close.reason) == (CLOSE, 4000, "")
        assert await peer.read_eof()
        await stand.door.ear.ended.wait()
        assert stand.door.ear.end == (4000, "done")
        await peer.close()


async def test_closing_handshake_from_us():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        stand.door.ear.link.close(1001, "server stops")
        close = await peer.read_frame()
        assert (close.opcode, close.code, close.reason) == (CLOSE, 1001, "server stops")
        assert not stand.door.ear.errors
        await peer.send(CLOSE, close_payload(1001))
        assert await peer.read_eof()
        assert stand.door.ear.end == (1001, "")
        await peer.close()


async def test_a_peer_that_never_answers_our_close_is_cut():
    async with standing(StandDoor(limits=LinkLimits(close_wait_s=0.01))) as stand:
        peer = await RawSocket.open(stand.port)
        stand.door.ear.link.close(1000)
        await peer.read_close()
        await stand.door.ear.ended.wait()
        assert stand.door.ear.end[0] == 1006
        await peer.read_eof()
        await until(lambda: stand.gate.links == 0)
        await peer.close()


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_a_lost_connection_is_1006(how):
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        if how == "eof":
            peer.writer.write_eof()
        else:
            await peer.close()
        await stand.door.ear.ended.wait()
        assert stand.door.ear.end[0] == 1006
        await until(lambda: stand.gate.links == 0)
        await peer.close()


async def test_a_slow_reader_stops_our_reading_and_nobody_else_s():
    async with standing() as stand:
        slow = await RawSocket.open(stand.port)
        slow.writer.transport.pause_reading()
        slow_ear = stand.door.ear
        other = await RawSocket.open(stand.port)
        part = encode_frame(TEXT, b"x" * 60_000)
        # It sends and never reads: once its replies fill the kernel's buffers we stop reading,
        # so its own writes get stuck too.
        for _ in range(2000):
            slow.write(part)
            await asyncio.sleep(0)
            if slow_ear.link.buffered_bytes > 262_144:
                break
        await until(lambda: slow_ear.link.buffered_bytes > 262_144)
        heard = len(slow_ear.messages)
        for number in range(5):
            await other.send(TEXT, b"%d" % number)
            assert await other.read_message() == b"%d" % number
            slow.write(part)
        assert len(slow_ear.messages) <= heard + 1
        slow.writer.transport.resume_reading()
        for _ in range(heard + 5):
            assert len(await slow.read_message()) == 60_000
        assert "drained" in slow_ear.calls
        await slow.close()
        await other.close()


async def test_pings_are_answered_between_fragments():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        await peer.send(TEXT, b"a", fin=False)
        await peer.send(PING, b"still there?")
        frame = await peer.read_frame()
        assert (frame.opcode, frame.payload) == (PONG, b"still there?")
        await peer.send(CONTINUATION, b"b")
        assert await peer.read_message() == b"ab"
        await peer.close()


async def test_the_sweep_pings_a_real_peer():
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        link = stand.door.ear.link
        link.visit(stand.sweep.now_s + 20)
        ping = await peer.read_frame()
        assert ping.opcode == PING
        link.visit(stand.sweep.now_s + 41)
        assert (await peer.read_close()).code == 1011
        await peer.close()


async def test_a_fake_and_a_real_transport_are_used_alike():
    # The fake transport of the unit tests must not allow what real ones forbid.
    bench = Bench().open()
    bench.link.pause()
    bench.link.pause()
    bench.link.resume()
    bench.link.resume()
    async with standing() as stand:
        peer = await RawSocket.open(stand.port)
        link = stand.door.ear.link
        link.pause()
        link.pause()
        await peer.send(TEXT, b"a")
        link.resume()
        link.resume()
        assert await peer.read_message() == b"a"
        await peer.close()
