"""The watchdog on a real loop: what blocks is named, what the machine does is not ours.

Blocking is what these tests are about, so here alone the loop's thread sleeps on purpose.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trunkline.telemetry import watchdog
from trunkline.telemetry.watchdog import RunQueue, Stall, Watchdog, describe_stack

SECRET = "hunter2-body"


class Seen:
    def __init__(self) -> None:
        self.stalls: list[Stall] = []
        self.lags: list[float] = []
        self.came = asyncio.Event()

    def stall(self, stall: Stall) -> None:
        self.stalls.append(stall)
        self.came.set()

    def lag(self, seconds: float) -> None:
        self.lags.append(seconds)
        self.came.set()


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    found = Seen()
    dog = Watchdog(found.stall, found.lag)
    dog.start()
    try:
        yield found
    finally:
        dog.stop()


def hold_up(seconds: float, body: str) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        len(body)


async def until_stalled(found: Seen) -> Stall:
    async with asyncio.timeout(5):
        while not found.stalls:
            found.came.clear()
            await found.came.wait()
    return found.stalls[0]


async def test_work_that_blocks_the_loop_is_counted_and_named_without_its_values(seen: Seen):
    found = seen
    await found.came.wait()
    hold_up(0.4, SECRET)
    stall = await until_stalled(found)
    assert stall.is_ours
    assert 0.3 < stall.seconds < 4
    assert "hold_up" in stall.stack
    assert "test_watchdog.py:" in stall.stack
    assert SECRET not in stall.stack


async def test_a_call_that_waits_is_a_block_too(seen: Seen):
    found = seen
    await found.came.wait()
    time.sleep(0.4)
    stall = await until_stalled(found)
    assert stall.is_ours
    assert "test_a_call_that_waits" in stall.stack


async def test_a_loop_that_comes_round_is_not_blocked(seen: Seen):
    found = seen
    while len(found.lags) < 5:
        found.came.clear()
        await found.came.wait()
    assert [stall for stall in found.stalls if stall.is_ours] == []


STOPPED = """
import asyncio, sys
from trunkline.telemetry.watchdog import Watchdog
async def main():
    come = asyncio.Event()
    def stalled(stall):
        if stall.seconds > 0.3:
            print("ours" if stall.is_ours else "machine", flush=True)
            come.set()
    dog = Watchdog(stalled, lambda _: None)
    dog.start()
    await asyncio.sleep(0.1)
    print("up", flush=True)
    await come.wait()
    dog.stop()
asyncio.run(main())
"""


def test_a_process_that_was_stopped_did_not_block_itself():
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.8)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=20)
    assert (out, err) == ("machine\n", "")


async def test_time_in_the_queue_of_the_processor_is_not_ours(monkeypatch: pytest.MonkeyPatch):
    found = Seen()
    dog = Watchdog(found.stall, found.lag)
    dog.start()
    try:
        await found.came.wait()
        begun = dog._waited_s
        monkeypatch.setattr(RunQueue, "read_s", lambda _: begun + 0.4)
        hold_up(0.4, "")
        assert not (await until_stalled(found)).is_ours
    finally:
        dog.stop()


async def test_stop_ends_the_thread_and_the_timer():
    before = set(Path("/proc/self/task").iterdir())
    dog = Watchdog(lambda _: None, lambda _: None)
    dog.start()
    assert len(set(Path("/proc/self/task").iterdir()) - before) == 1
    dog.stop()
    dog.stop()
    assert not set(Path("/proc/self/task").iterdir()) - before
    assert dog._timer is None


def test_where_the_system_tells_nothing_nothing_is_assumed(monkeypatch: pytest.MonkeyPatch):
    queue = RunQueue()
    monkeypatch.setattr(watchdog.os, "open", lambda *_: (_ for _ in ()).throw(FileNotFoundError))
    queue.open()
    assert queue.read_s() == 0.0
    queue.close()


def test_a_stack_is_bounded_and_has_no_path():
    def deep(left: int) -> str:
        return deep(left - 1) if left else describe_stack(sys._getframe())

    found = deep(50).split(" < ")
    assert len(found) == watchdog.MAX_FRAMES
    assert str(Path(__file__).parent) not in found[0]
    assert describe_stack(None) == ""
