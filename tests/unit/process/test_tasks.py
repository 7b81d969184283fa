"""Owned tasks: by name, kept until they end, and who is told when one dies."""

from __future__ import annotations

import asyncio

import pytest

from trunkline.process.tasks import Tasks


@pytest.fixture
def died() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def tasks(died: list[tuple[str, str]]) -> Tasks:
    return Tasks(lambda name, error: died.append((name, repr(error))))


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_raises_is_told_by_its_name(
    tasks: Tasks, died: list[tuple[str, str]]
) -> None:
    async def broken() -> None:
        raise ZeroDivisionError("ours")

    tasks.spawn(broken(), "beat")
    await tasks.ended("beat")
    await asyncio.sleep(0)
    assert died == [("beat", "ZeroDivisionError('ours')")]
    assert len(tasks) == 0


async def test_the_end_cancels_all_and_that_is_no_death(
    tasks: Tasks, died: list[tuple[str, str]]
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    kept = [tasks.spawn(forever(), "keeper"), tasks.spawn(forever())]
    await asyncio.sleep(0)
    assert len(tasks) == 2
    await tasks.cancel()
    assert all(task.cancelled() for task in kept)
    assert (len(tasks), died, faults) == (0, [], [])


async def test_only_the_task_of_a_name_is_waited_for(tasks: Tasks) -> None:
    gate = asyncio.Event()

    async def beat() -> None:
        await gate.wait()

    tasks.spawn(forever(), "keeper")
    tasks.spawn(beat(), "beat")
    waiting = asyncio.ensure_future(tasks.ended("beat"))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    async with asyncio.timeout(5):
        await waiting
        await tasks.ended("nobody")
    await tasks.cancel()
