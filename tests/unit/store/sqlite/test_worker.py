"""The thread behind the store: order, errors, bounds, cancellation, the end."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from trunkline.errors import StoreUnavailable
from trunkline.store.sqlite.worker import MAX_CALLS, Worker


@pytest.fixture
async def worker():
    one = Worker("test")
    yield one
    await one.stop(lambda: None)


async def test_calls_are_done_in_order_on_one_thread(worker: Worker):
    done: list[int] = []
    names: set[str] = set()

    def work(n: int) -> int:
        names.add(threading.current_thread().name)
        done.append(n)
        return n * 2

    futures = [worker.call(lambda n=n: work(n)) for n in range(50)]
    assert await asyncio.gather(*futures) == [n * 2 for n in range(50)]
    assert done == list(range(50))
    assert names == {"test"}


async def test_errors_come_back_as_what_they_are(worker: Worker):
    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(ValueError, match="mine"):
        await worker.call(lambda: fail(ValueError("mine")))
    with pytest.raises(StoreUnavailable, match="Permission") as caught:
        await worker.call(lambda: fail(PermissionError(13, "Permission denied", "/x")))
    assert isinstance(caught.value.__cause__, PermissionError)
    with pytest.raises(sqlite3.IntegrityError):
        await worker.call(lambda: fail(sqlite3.IntegrityError("no")))
    assert await worker.call(lambda: 7) == 7


async def test_a_call_too_many_is_refused_and_room_comes_back(worker: Worker):
    gate = threading.Event()
    futures = [worker.call(gate.wait)]
    futures += [worker.call(lambda: True) for _ in range(MAX_CALLS - 1)]
    with pytest.raises(StoreUnavailable, match="too many"):
        worker.call(lambda: True)
    gate.set()
    await asyncio.gather(*futures)
    assert await worker.call(lambda: 1) == 1


async def test_a_cancelled_call_is_done_all_the_same_and_hurts_nobody(worker: Worker):
    trouble: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: trouble.append(what))
    gate, done = threading.Event(), list[int]()
    first = worker.call(gate.wait)
    second = worker.call(lambda: done.append(1))
    second.cancel()
    gate.set()
    await first
    await worker.call(lambda: None)
    assert done == [1]
    assert trouble == []


async def test_stopping_does_what_was_asked_before_then_the_last_thing():
    worker = Worker("test")
    done: list[str] = []
    before = worker.call(lambda: done.append("before"))
    await worker.stop(lambda: done.append("last"))
    assert done == ["before", "last"]
    assert before.done()
    with pytest.raises(StoreUnavailable, match="closed"):
        worker.call(lambda: None)
    await worker.stop(lambda: done.append("again"))
    assert done == ["before", "last"]


def test_a_loop_that_has_gone_does_not_kill_the_thread():
    worker = Worker("test")
    gate = threading.Event()

    async def leave() -> None:
        worker.call(gate.wait)

    asyncio.run(leave())
    gate.set()

    async def come_again() -> int:
        # What the first loop never heard of still counts as waiting; the thread goes on.
        value = await worker.call(lambda: 5)
        await worker.stop(lambda: None)
        return value

    assert asyncio.run(come_again()) == 5
