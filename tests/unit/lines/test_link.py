"""The link against a fake transport: ordering, joined writes, bounds, ends."""

import asyncio

import pytest

from linkstand import Bench, Ear, echo
from rawsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    encode_frame,
)
from trunkline.errors import LinkLost
from trunkline.lines.contract import LinkLimits


def text(data: bytes, **how) -> bytes:
    return encode_frame(TEXT, data, **how)


def server_frame(opcode: int, payload: bytes = b"") -> bytes:
    return encode_frame(opcode, payload, is_masked=False)


async def test_messages_of_one_read_are_answered_in_one_write():
    bench = Bench(echo).open()
    bench.feed(text(b"a") + text(b"b") + text(b"c"))
    assert bench.ear.messages == [b"a", b"b", b"c"]
    assert bench.ear.calls == ["receive"] * 3 + ["read_done"]
    assert bench.transport.writes == [b"\x81\x01a\x81\x01b\x81\x01c"]


async def test_what_read_done_sends_leaves_with_it():
    bench = Bench(echo).open()
    bench.ear.read_done = lambda: bench.link.send(b"z")
    bench.feed(text(b"a"))
    assert bench.transport.writes == [b"\x81\x01a\x81\x01z"]


async def test_greeting_and_first_frames_leave_in_one_write():
    bench = Bench()

    def user(link):
        link.send(b"hello")
        return bench.ear

    bench.link.open_on(bench.transport, user, greeting=b"HTTP/1.1 101 ...", rest=b"")
    assert bench.transport.writes == [b"HTTP/1.1 101 ...\x81\x05hello"]


async def test_bytes_behind_the_upgrade_are_read_also_when_larger_than_the_buffer():
    bench = Bench()
    big = b"x" * 100_000
    bench.open(rest=text(b"first") + text(big) + text(b"la")[:3])
    assert bench.ear.messages == [b"first", big]
    bench.feed(text(b"la")[3:])
    assert bench.ear.messages[-1] == b"la"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
@pytest.mark.parametrize("is_dialled", [False, True])
async def test_frames_of_every_length_are_written_right(size, is_dialled):
    bench = Bench(is_dialled=is_dialled).open()
    data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    bench.link.send(data)
    bench.link.flush()
    # Fed to a link of the other role, it comes out again.
    other = Bench(is_dialled=not is_dialled, is_binary=True).open()
    frame = bytearray(bench.transport.written)
    frame[0] = 0x82
    other.feed(bytes(frame))
    assert other.ear.messages == [data]
    assert bool(bench.transport.written[1] & 0x80) is is_dialled


async def test_binary_lines_send_binary():
    bench = Bench(is_binary=True).open()
    bench.link.send(b"x")
    bench.link.flush()
    assert bench.transport.writes == [b"\x82\x01x"]


async def test_client_frames_are_joined_and_masked_differently():
    bench = Bench(is_dialled=True).open()
    bench.link.send(b"same text")
    bench.link.send(b"same text")
    bench.link.flush()
    (write,) = bench.transport.writes
    first, second = write[: len(write) // 2], write[len(write) // 2 :]
    assert len(first) == 2 + 4 + 9
    assert first[2:6] != second[2:6]


async def test_a_large_queue_leaves_without_flush():
    bench = Bench().open()
    for _ in range(5):
        bench.link.send(b"x" * 60_000)
    assert bench.transport.writes
    assert bench.link.buffered_bytes < 262_144


async def test_text_and_binary_are_told_apart():
    bench = Bench().open()
    bench.feed(text("你好".encode()) + encode_frame(BINARY, b"\xff\xfe"))
    assert bench.ear.messages == ["你好".encode(), b"\xff\xfe"]
    assert bench.ear.kinds == [True, False]


async def test_fragments_are_joined_around_a_ping():
    bench = Bench().open()
    bench.feed(
        text(b"ab", fin=False)
        + encode_frame(PING, b"p")
        + encode_frame(CONTINUATION, b"c", fin=False)
        + encode_frame(CONTINUATION, b"d")
    )
    assert bench.ear.messages == [b"abcd"]
    assert bench.transport.written == server_frame(PONG, b"p")


BROKEN = {
    "rsv1": (text(b"x", rsv=4), 1002),
    "rsv2": (text(b"x", rsv=2), 1002),
    "rsv3": (text(b"x", rsv=1), 1002),
    "rsv on a ping": (encode_frame(PING, b"x", rsv=4), 1002),
    "opcode 3": (encode_frame(3, b"x"), 1002),
    "opcode 15": (encode_frame(15, b"x"), 1002),
    "unmasked": (text(b"x", is_masked=False), 1002),
    "fragmented ping": (encode_frame(PING, b"x", fin=False), 1002),
    "long ping": (encode_frame(PING, b"x" * 126), 1002),
    "16-bit length of 3": (text(b"abc", length=b"\x7e\x00\x03"), 1002),
    "64-bit length of 3": (text(b"abc", length=b"\x7f" + bytes(7) + b"\x03"), 1002),
    "length with the highest bit": (text(b"", length=b"\x7f\x80" + bytes(7)), 1002),
    "continuation first": (encode_frame(CONTINUATION, b"x"), 1002),
    "message inside a message": (text(b"a", fin=False) + text(b"b"), 1002),
    "binary inside a text": (text(b"a", fin=False) + encode_frame(BINARY, b"b"), 1002),
    "bad utf-8": (text(b"\xff"), 1007),
    "surrogate": (text(b"\xed\xa0\x80"), 1007),
    "overlong": (text(b"\xc0\xaf"), 1007),
    "cut character": (text(b"\xe4\xbd"), 1007),
    "bad utf-8 in the first fragment": (text(b"\xff", fin=False), 1007),
    "cut character at the end of fragments": (
        text(b"\xe4", fin=False) + encode_frame(CONTINUATION, b"\xbd"), 1007),
    "one fragment too many": (
        text(b"", fin=False) + encode_frame(CONTINUATION, b"", fin=False) * 1024, 1009),
    "too large": (text(b"x" * 1001), 1009),
    "too large by its header alone": (text(b"", length=b"\x7f" + (1 << 40).to_bytes(8, "big")),
                                      1009),
    "too large in fragments": (
        text(b"x" * 600, fin=False) + encode_frame(CONTINUATION, b"x" * 600, fin=False), 1009),
    "close of one byte": (encode_frame(CLOSE, b"\x03"), 1002),
    **{
        f"close code {code}": (encode_frame(CLOSE, close_payload(code)), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
    },
    "bad utf-8 in a close reason": (encode_frame(CLOSE, close_payload(1000, b"\xff")), 1007),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_rules_fail_the_link(name):
    data, code = BROKEN[name]
    bench = Bench(echo, max_message_bytes=1000).open()
    bench.feed(text(b"before") + data + text(b"after") * 3)
    assert bench.ear.messages == [b"before"]
    assert bench.ear.end[0] == code
    written = bench.transport.written
    assert written.startswith(b"\x81\x06before\x88"), written
    close = written[8:]
    assert int.from_bytes(close[2:4], "big") == code
    assert len(close) == close[1] + 2, "nothing follows the close frame"
    assert bench.transport.protocol is not bench.link, "picows and its buffer are let go"
    # The peer shall be able to read it: we end our side and wait for the other.
    assert bench.transport.has_eof
    assert bench.transport.state == "open"
    bench.transport.lose()
    assert bench.gone == 1
    assert bench.ear.calls.count("closed") == 1


CLIENT_BROKEN = {
    "masked": (text(b"x"), 1002),
    "rsv": (encode_frame(TEXT, b"x", rsv=4, is_masked=False), 1002),
    "bad utf-8": (server_frame(TEXT, b"\xff"), 1007),
    "too large": (server_frame(TEXT, b"x" * 1001), 1009),
}


@pytest.mark.parametrize("name", CLIENT_BROKEN)
async def test_a_dialled_link_fails_the_server_with_a_masked_close(name):
    data, code = CLIENT_BROKEN[name]
    bench = Bench(is_dialled=True, max_message_bytes=1000).open()
    bench.feed(data)
    assert bench.ear.end[0] == code
    written = bench.transport.written
    assert written[0] == 0x88
    key = written[2:6]
    assert bytes(b ^ key[i % 4] for i, b in enumerate(written[6:8])) == code.to_bytes(2, "big")


async def test_1024_fragments_are_allowed():
    bench = Bench().open()
    bench.feed(
        text(b"a", fin=False)
        + encode_frame(CONTINUATION, b"a", fin=False) * 1022
        + encode_frame(CONTINUATION, b"a")
    )
    assert bench.ear.messages == [b"a" * 1024]


# -- pause and resume -------------------------------------------------------------------------


def pause_at(count: int):
    def on_receive(ear: Ear, data: bytes) -> None:
        ear.link.send(data)
        if len(ear.messages) % count == 0:
            ear.link.pause()

    return on_receive


async def test_paused_messages_are_kept_in_order_and_delivered_by_resume():
    bench = Bench(pause_at(2)).open()
    bench.feed(b"".join(text(b"%d" % number) for number in range(7)))
    assert bench.ear.messages == [b"0", b"1"]
    assert not bench.transport.is_reading
    assert bench.ear.calls == ["receive", "receive", "read_done"]
    bench.link.resume()
    assert bench.ear.messages == [b"0", b"1", b"2", b"3"]
    assert not bench.transport.is_reading
    bench.link.resume()
    bench.link.resume()
    assert bench.ear.messages == [b"%d" % number for number in range(7)]
    assert bench.transport.is_reading
    assert [write.count(b"\x81") for write in bench.transport.writes] == [2, 2, 2, 1]


async def test_a_read_that_still_comes_after_pause_is_kept_too():
    bench = Bench(pause_at(1)).open()
    bench.feed(text(b"a") + text("é".encode()))
    bench.feed(encode_frame(BINARY, b"c"))
    bench.ear.on_receive = None
    bench.link.resume()
    assert bench.ear.messages == [b"a", "é".encode(), b"c"]
    assert bench.ear.kinds == [True, True, False]


async def test_resume_inside_receive_does_not_turn_the_order():
    def on_receive(ear: Ear, data: bytes) -> None:
        ear.link.pause()
        if data != b"0":
            ear.link.resume()

    bench = Bench(on_receive).open()
    bench.feed(b"".join(text(b"%d" % number) for number in range(5)))
    assert bench.ear.messages == [b"0"]
    bench.link.resume()
    assert bench.ear.messages == [b"0", b"1", b"2", b"3", b"4"]


async def test_thousands_of_kept_messages_do_not_pile_up_on_the_stack():
    def on_receive(ear: Ear, data: bytes) -> None:
        ear.link.pause()
        if len(ear.messages) > 1:
            ear.link.resume()

    bench = Bench(on_receive).open()
    bench.feed(text(b"x") * 3000)
    bench.link.resume()
    assert len(bench.ear.messages) == 3000


async def test_a_paused_link_that_closes_reads_on_to_see_the_peers_close():
    bench = Bench().open()
    bench.link.pause()
    assert not bench.transport.is_reading
    bench.link.close(1001)
    assert bench.transport.is_reading
    bench.feed(encode_frame(CLOSE, close_payload(1001)))
    assert bench.ear.end == (1001, "")
    assert bench.link._close_timer is None


async def test_messages_before_the_peers_close_are_delivered_before_closed():
    bench = Bench(pause_at(1)).open()
    bench.feed(text(b"a") + text(b"b") + encode_frame(CLOSE, close_payload(1001, b"bye")))
    assert not bench.link.is_open
    assert not bench.ear.errors
    bench.link.resume()
    bench.link.resume()
    await asyncio.sleep(0)
    assert bench.ear.messages == [b"a", b"b"]
    assert bench.ear.calls[-2:] == ["read_done", "closed"]
    assert bench.ear.end == (1001, "bye")


async def test_what_was_kept_is_thrown_away_by_our_own_close():
    bench = Bench(pause_at(1)).open()
    bench.feed(text(b"a") + text(b"b"))
    bench.link.close(1000)
    bench.link.resume()
    bench.feed(text(b"c") + encode_frame(CLOSE, close_payload(1000)))
    assert bench.ear.messages == [b"a"]
    assert bench.ear.end == (1000, "")


async def test_abort_after_the_peers_close_still_tells():
    bench = Bench(pause_at(1)).open()
    bench.feed(text(b"a") + text(b"b") + encode_frame(CLOSE, b""))
    bench.link.abort()
    await asyncio.sleep(0)
    assert bench.ear.end == (1005, "")
    assert bench.ear.messages == [b"a"]


# -- closing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
async def test_the_peers_close_is_answered_with_its_code(code):
    bench = Bench(echo).open()
    bench.feed(text(b"a") + encode_frame(CLOSE, close_payload(code, "grüß".encode())) + text(b"b"))
    assert bench.ear.messages == [b"a"]
    assert bench.ear.end == (code, "grüß")
    assert bench.transport.written == b"\x81\x01a" + server_frame(CLOSE, close_payload(code))
    assert bench.transport.state == "closing", "the server closes TCP first"
    bench.transport.lose()
    assert bench.gone == 1


async def test_an_empty_close_is_1005():
    bench = Bench().open()
    bench.feed(encode_frame(CLOSE))
    assert bench.ear.end == (1005, "")
    assert bench.transport.written == b"\x88\x00"


async def test_a_dialled_link_waits_for_the_server_to_close_tcp():
    bench = Bench(is_dialled=True).open()
    bench.feed(server_frame(CLOSE, close_payload(1001)))
    assert bench.ear.end == (1001, "")
    assert bench.transport.state == "open"
    assert bench.transport.has_eof


async def test_our_close_waits_for_the_peers():
    bench = Bench(echo).open()
    bench.link.send(b"last")
    bench.link.close(1001, "server stops")
    bench.link.send(b"too late")
    bench.link.flush()
    bench.link.close(1000)
    assert bench.transport.written == b"\x81\x04last" + server_frame(
        CLOSE, close_payload(1001, b"server stops")
    )
    assert not bench.ear.errors
    bench.feed(text(b"ignored") + encode_frame(CLOSE, close_payload(1001)))
    assert bench.ear.messages == []
    assert bench.ear.end == (1001, "")
    assert bench.transport.state == "closing"


async def test_a_peer_that_does_not_answer_our_close_is_cut():
    bench = Bench(limits=LinkLimits(close_wait_s=0.001)).open()
    bench.link.close(1000)
    await bench.ear.ended.wait()
    assert bench.ear.end[0] == 1006
    assert bench.transport.state == "aborted"


async def test_a_long_reason_is_cut_at_a_character():
    bench = Bench().open()
    bench.link.close(1000, "好" * 60)
    assert bench.transport.written == server_frame(CLOSE, close_payload(1000, "好".encode() * 41))


async def test_a_cut_is_1006_and_told_once():
    bench = Bench().open()
    bench.transport.lose(ConnectionResetError())
    assert bench.ear.end == (1006, "ConnectionResetError")
    assert bench.gone == 1
    assert len(bench.commons.sweep) == 0
    bench.link.close(1000)
    bench.link.abort()
    bench.link.send(b"x")
    bench.link.flush()
    bench.link.resume()
    await asyncio.sleep(0)
    assert bench.ear.calls == ["closed"]


async def test_a_link_whose_transport_closes_takes_nothing_more_before_it_is_told():
    """Torture, maim seed 3: an answer between the peer's end of TCP and the link's was SENT.

    The transport drops what it is given from then on; the row must wait instead.
    """
    bench = Bench().open()
    assert bench.link.is_open
    bench.transport.state = "closing"  # what a transport does once `eof_received` said False
    assert not bench.link.is_open
    assert bench.ear.errors == []


async def test_abort_tells_from_the_loop_not_from_inside():
    bench = Bench().open()
    bench.link.send(b"x")
    bench.link.abort()
    assert not bench.link.is_open
    assert bench.transport.state == "aborted"
    assert not bench.ear.errors
    bench.transport.lose()
    assert isinstance(bench.ear.errors[0], LinkLost)
    assert bench.ear.end[0] == 1006


async def test_close_from_inside_receive():
    def on_receive(ear: Ear, data: bytes) -> None:
        ear.link.send(b"bye")
        ear.link.close(1008, "no")

    bench = Bench(on_receive).open()
    bench.feed(text(b"a") + text(b"b"))
    assert bench.ear.messages == [b"a"]
    assert bench.transport.written == b"\x81\x03bye" + server_frame(
        CLOSE, close_payload(1008, b"no")
    )


async def test_what_follows_the_end_is_read_and_forgotten():
    bench = Bench(echo).open()
    bench.feed(text(b"\xff"))
    before = bench.transport.written
    bench.feed(text(b"a") * 50_000)
    assert bench.transport.written == before
    assert bench.ear.calls == ["closed"]


# -- our own bugs -----------------------------------------------------------------------------


def explode(*_: object) -> None:
    raise RuntimeError("bug")


@pytest.mark.parametrize("where", ["receive", "read_done"])
async def test_an_exception_of_the_user_closes_1011(where):
    bench = Bench().open()
    if where == "receive":
        bench.ear.on_receive = explode
    else:
        bench.ear.read_done = explode
    bench.feed(text(b"a") + text(b"b"))
    assert bench.troubles[0][0] == where
    assert bench.ear.end[0] == 1011
    assert server_frame(CLOSE, close_payload(1011, b"internal error")) in bench.transport.written


async def test_an_exception_while_entering_closes_1011():
    bench = Bench()
    bench.link.open_on(bench.transport, explode, greeting=b"HTTP")
    assert bench.troubles[0][0] == "enter"
    assert bench.transport.written.startswith(b"HTTP\x88")


async def test_an_exception_in_replay_closes_1011_and_delivers_nothing_more():
    bench = Bench(pause_at(1)).open()
    bench.feed(text(b"a") + text(b"b") + text(b"c"))
    bench.ear.on_receive = explode
    bench.link.resume()
    assert bench.ear.messages == [b"a", b"b"]
    assert bench.ear.end[0] == 1011


async def test_an_exception_in_closed_is_told():
    bench = Bench().open()
    bench.ear.closed = explode
    bench.transport.lose()
    assert [name for name, _ in bench.troubles] == ["closed"]
    assert bench.gone == 1


# -- asked whether the peer is there -------------------------------------------------------------


def asked(bench: Bench) -> list[str]:
    heard: list[str] = []
    bench.link.ping(lambda: heard.append("heard"))
    return heard


@pytest.mark.parametrize(
    "sign",
    [
        encode_frame(PONG, b"anything"), text(b"words"), encode_frame(PING),
        text(b"the beginning of a large message")[:3], text(b"a", fin=False),
    ],
)  # fmt: skip
async def test_anything_that_comes_after_a_ping_is_a_sign_of_life_once(sign):
    bench = Bench().open()
    bench.feed(text(b"before"))
    heard = asked(bench)
    (ping,) = bench.transport.writes
    assert ping[0] == 0x80 | PING
    assert heard == []
    bench.feed(sign)
    assert heard == ["heard"]
    again = asked(bench)
    bench.feed(encode_frame(PONG) * 2)
    bench.feed(encode_frame(PONG))
    assert (heard, again) == (["heard"], ["heard"])


async def test_messages_of_the_read_are_delivered_before_the_sign_is_told():
    bench = Bench().open()
    bench.link.ping(lambda: bench.ear.calls.append("heard"))
    bench.feed(text(b"a") + text(b"b"))
    bench.feed(text(b"c"))
    assert bench.ear.calls == ["receive"] * 2 + ["heard", "read_done", "receive", "read_done"]


@pytest.mark.parametrize(
    "end",
    [
        encode_frame(CLOSE, close_payload(1000)), text(b"a") + encode_frame(CLOSE),
        encode_frame(TEXT, b"\xff"), text(b"a", rsv=4), text(b"a") + text(b"b", rsv=4),
    ],
)  # fmt: skip
async def test_a_read_that_ends_the_link_is_no_sign_of_life(end):
    bench = Bench().open()
    heard = asked(bench)
    bench.feed(end)
    assert heard == []
    assert bench.ear.calls[-1] == "closed"


async def test_a_link_that_is_closing_is_not_asked_and_says_nothing():
    bench = Bench().open()
    heard = asked(bench)
    bench.link.close(1000)
    written = list(bench.transport.writes)
    heard += asked(bench)
    bench.feed(text(b"late"))
    assert heard == []
    assert bench.transport.writes == written


async def test_where_it_is_us_who_do_not_read_nobody_is_taken_for_dead():
    bench = Bench(pause_at(1)).open()
    bench.feed(text(b"a"))
    assert not bench.transport.is_reading
    assert asked(bench) == ["heard"]


async def test_of_two_questions_before_an_answer_the_later_one_is_answered():
    bench = Bench().open()
    first, second = asked(bench), asked(bench)
    bench.feed(encode_frame(PONG))
    bench.feed(encode_frame(PONG))
    assert (first, second) == ([], ["heard"])


async def test_a_heartbeat_goes_on_beside_the_question():
    limits = LinkLimits(heartbeat_interval_s=5, heartbeat_timeout_s=3)
    bench = Bench(limits=limits).open()
    asked(bench)
    bench.seconds(9)
    assert bench.ear.end == (1011, "no pong")
