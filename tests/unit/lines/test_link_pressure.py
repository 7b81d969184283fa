"""The link under pressure, on a fake clock: pings, pongs, slow readers, the memory budget."""

import asyncio

import pytest

from linkstand import Bench, echo
from rawsocket import CONTINUATION, PING, PONG, TEXT, close_payload, encode_frame
from trunkline.clock import FakeClock
from trunkline.lines.contract import LinkLimits
from trunkline.lines.sweep import Budget, Commons, PingSweep

READ_BUFFER_BYTES = 131_072  # at most, of a link without large frames
LIMITS = LinkLimits(heartbeat_interval_s=20, heartbeat_timeout_s=10)


def pings(bench: Bench) -> list[bytes]:
    return [write for write in bench.transport.writes if write[0] == 0x89]


async def test_pings_go_out_every_interval_and_pongs_keep_the_link():
    bench = Bench(limits=LIMITS).open()
    bench.seconds(19)
    assert pings(bench) == []
    bench.seconds(1)
    assert len(pings(bench)) == 1
    bench.feed(encode_frame(PONG, pings(bench)[0][2:]))
    bench.seconds(19)
    assert len(pings(bench)) == 1
    bench.seconds(1)
    assert len(pings(bench)) == 2
    assert bench.link.is_open


async def test_without_a_pong_the_link_closes_1011():
    bench = Bench(limits=LIMITS).open()
    bench.seconds(29)
    assert bench.link.is_open
    bench.seconds(1)
    assert bench.ear.end == (1011, "no pong")
    assert (
        encode_frame(8, close_payload(1011, b"no pong"), is_masked=False) in bench.transport.writes
    )


async def test_a_pong_that_nobody_asked_for_does_not_count():
    bench = Bench(limits=LIMITS).open()
    bench.feed(encode_frame(PONG, b"early"))
    bench.seconds(20)
    bench.feed(encode_frame(PONG, b"wrong") + encode_frame(TEXT, b"hello"))
    bench.seconds(10)
    assert bench.ear.end == (1011, "no pong")


async def test_no_pong_is_expected_while_it_is_us_who_do_not_read():
    bench = Bench(limits=LIMITS).open()
    bench.seconds(20)
    bench.link.pause()
    bench.seconds(100)
    assert bench.link.is_open
    bench.link.resume()
    bench.feed(encode_frame(PONG, pings(bench)[-1][2:]))
    bench.seconds(5)
    assert bench.link.is_open


async def test_a_dialled_link_pings_masked():
    bench = Bench(limits=LIMITS, is_dialled=True).open()
    bench.seconds(20)
    assert pings(bench)[0][1] & 0x80


async def test_every_ping_of_one_read_is_answered_in_order():
    bench = Bench().open()
    bench.feed(b"".join(encode_frame(PING, b"%d" % number) for number in range(10)))
    assert bench.transport.writes == [
        b"".join(encode_frame(PONG, b"%d" % number, is_masked=False) for number in range(10))
    ]
    assert bench.ear.calls == []


async def test_only_the_newest_ping_is_answered_when_the_peer_does_not_read():
    bench = Bench().open()
    bench.transport.buffered = 300_000
    bench.feed(b"".join(encode_frame(PING, b"%d" % number) for number in range(10)))
    assert bench.transport.writes == []
    bench.transport.buffered = 0
    bench.link.resume_writing()
    assert bench.transport.writes == [encode_frame(PONG, b"9", is_masked=False)]


def choke(bench: Bench, buffered: int = 300_000) -> None:
    bench.transport.buffered = buffered
    bench.link.pause_writing()


async def test_a_link_stops_reading_above_high_water_and_says_drained():
    bench = Bench(echo).open()
    assert bench.transport.limits == (262_144, 65_536)
    choke(bench)
    assert not bench.transport.is_reading
    bench.transport.buffered = 1000
    bench.link.resume_writing()
    assert bench.transport.is_reading
    assert bench.ear.calls == ["drained"]


async def test_pause_outlives_a_drained_buffer_and_the_other_way_round():
    bench = Bench().open()
    bench.link.pause()
    choke(bench)
    bench.link.resume_writing()
    assert not bench.transport.is_reading
    bench.link.resume()
    assert bench.transport.is_reading
    choke(bench)
    bench.link.pause()
    bench.link.resume()
    assert not bench.transport.is_reading


async def test_a_peer_that_reads_nothing_is_dropped_1013_after_10_s():
    bench = Bench().open()
    choke(bench)
    bench.seconds(10)
    assert bench.link.is_open
    bench.seconds(1)
    assert bench.ear.end == (1013, "the peer does not read")
    assert bench.transport.state == "aborted"


async def test_a_peer_that_reads_slowly_is_not_dropped():
    bench = Bench(limits=LinkLimits(heartbeat_interval_s=3600)).open()
    choke(bench, 5_000_000)
    for _ in range(10):
        bench.transport.buffered -= 1
        bench.seconds(9)
    assert bench.link.is_open


async def test_our_close_to_a_peer_that_does_not_read_ends():
    bench = Bench(limits=LinkLimits(close_wait_s=0.001)).open()
    choke(bench)
    bench.link.close(1001)
    await bench.ear.ended.wait()
    assert bench.transport.state == "aborted"


async def test_our_close_waits_longer_for_a_peer_that_has_not_read_all(monkeypatch):
    """What lay in our buffer was thrown away after 2 s, though the peer read on, slowly."""
    waits: list[tuple[object, tuple[object, ...]]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda _, call, *args: waits.append((call, args)))
    bench = Bench().open()
    choke(bench)
    waits.clear()
    bench.link.close(1001)
    for _ in range(4):
        call, args = waits.pop()
        call(*args)
        assert bench.transport.state == "open"
    call, args = waits.pop()
    call(*args)  # the fifth time is the last, whatever is left
    assert bench.transport.state == "aborted"


async def test_an_exception_in_drained_closes_1011():
    bench = Bench().open()

    def explode() -> None:
        raise RuntimeError("bug")

    bench.ear.drained = explode
    choke(bench)
    bench.transport.buffered = 0
    bench.link.resume_writing()
    assert bench.ear.end[0] == 1011
    assert bench.troubles[0][0] == "drained"


# -- the memory budget ------------------------------------------------------------------------


async def test_a_link_counts_twice_its_largest_frame_for_ever():
    bench = Bench().open()
    bench.feed(encode_frame(TEXT, b"x" * 50_000))
    bench.feed(encode_frame(TEXT, b"x"))
    assert bench.commons.budget.total_bytes >= 100_000
    bench.transport.lose()
    assert bench.commons.budget.total_bytes == 0


@pytest.mark.parametrize("how", ["half a frame", "fragments", "kept", "written"])
async def test_everything_a_link_holds_is_counted(how):
    bench = Bench().open()
    if how == "half a frame":
        bench.feed(encode_frame(TEXT, b"x" * 400_000)[:300_000])
    elif how == "fragments":
        bench.feed(encode_frame(TEXT, b"x" * 1000, fin=False))
        bench.feed(encode_frame(CONTINUATION, b"x" * 1000, fin=False) * 299)
    elif how == "kept":
        bench.link.pause()
        bench.feed(encode_frame(TEXT, b"x" * 1000) * 300)
    else:
        choke(bench)
    # The read buffer, which never shrinks, counts as twice the largest read.
    assert 290_000 <= bench.commons.budget.total_bytes <= 340_000 + READ_BUFFER_BYTES


async def test_the_count_goes_down_when_it_is_over():
    bench = Bench().open()
    choke(bench)
    assert bench.commons.budget.total_bytes > 200_000
    bench.transport.buffered = 0
    bench.link.resume_writing()
    assert bench.commons.budget.total_bytes < 10_000


async def test_a_finished_message_is_counted_off_at_the_next_visit():
    bench = Bench().open()
    bench.feed(encode_frame(TEXT, b"x" * 1000, fin=False))
    bench.feed(encode_frame(CONTINUATION, b"x" * 1000, fin=False) * 299)
    bench.feed(encode_frame(CONTINUATION, b"x"))
    assert bench.commons.budget.total_bytes > 290_000
    bench.seconds(1)
    assert bench.commons.budget.total_bytes < 10_000 + READ_BUFFER_BYTES


async def test_over_the_budget_the_idlest_large_link_is_closed_1013():
    clock = FakeClock()
    sweep = PingSweep(clock, is_driven=False)
    commons = Commons(sweep, Budget(1_000_000), lambda *_: None)
    idle, small, busy = (Bench(commons=commons).open() for _ in range(3))
    small.feed(encode_frame(TEXT, b"x" * 1000))
    idle.feed(encode_frame(TEXT, b"x" * 200_000))
    for _ in range(3):
        clock.advance(1)
        busy.feed(encode_frame(TEXT, b"x"))
        sweep.visit()
    busy.feed(encode_frame(TEXT, b"x" * 400_000))
    assert idle.link.is_open, "not in the middle of another link's read"
    await asyncio.sleep(0)
    assert idle.ear.end == (1013, "out of memory")
    assert busy.link.is_open
    assert small.link.is_open
    assert commons.budget.total_bytes <= 1_000_000


@pytest.mark.parametrize("is_dialled", [False, True])
async def test_a_flood_of_small_frames_does_not_make_the_read_buffer_grow(is_dialled):
    # picows doubles its buffer whenever a read fills it: 33 MB of a link that only pinged.
    bench = Bench(is_dialled=is_dialled).open()
    ping = encode_frame(PING, b"x" * 125, is_masked=not is_dialled)
    flood = ping * (8_000_000 // len(ping))
    at, largest = 0, 0
    while at < len(flood):
        room = bench.transport.protocol.get_buffer(-1)
        largest = max(largest, len(room))
        part = flood[at : at + len(room)]
        room[: len(part)] = part
        room.release()
        at += len(part)
        bench.transport.protocol.buffer_updated(len(part))
    assert largest <= READ_BUFFER_BYTES
    # What it has grown to counts against the budget of the process.
    assert bench.commons.budget.total_bytes >= READ_BUFFER_BYTES // 2
    bench.feed(encode_frame(TEXT, b"y" * 900_000, key=bytes(4), is_masked=not is_dialled))
    assert bench.ear.messages == [b"y" * 900_000]
