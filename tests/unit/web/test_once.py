from __future__ import annotations

import asyncio

import pytest

from trunkline.web.once import Once


class Work:
    """Counts its calls; each waits until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        number = self.calls
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return number


async def test_a_key_works_once_also_while_the_first_call_is_under_way() -> None:
    once, work = Once[int](), Work()
    calls = [asyncio.create_task(once.do("k", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.may_end.set()
    assert await asyncio.gather(*calls) == [1, 1, 1]
    assert await once.do("k", work) == 1
    assert await once.do("other", work) == 2


async def test_without_a_key_every_call_works() -> None:
    once, work = Once[int](), Work()
    work.may_end.set()
    assert [await once.do("", work), await once.do("", work)] == [1, 2]


async def test_a_call_that_failed_can_be_tried_again_also_by_who_waited_for_it() -> None:
    once, work = Once[int](), Work()
    work.error = ValueError("no")
    first = asyncio.create_task(once.do("k", work))
    await asyncio.sleep(0)
    second = asyncio.create_task(once.do("k", work))
    await asyncio.sleep(0)
    work.may_end.set()
    with pytest.raises(ValueError, match="no"):
        await first
    with pytest.raises(ValueError, match="no"):
        await second
    assert work.calls == 2
    work.error = None
    assert await once.do("k", work) == 3


async def test_a_caller_who_leaves_does_not_hold_up_the_next() -> None:
    once, work = Once[int](), Work()
    first = asyncio.create_task(once.do("k", work))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.may_end.set()
    assert await once.do("k", work) == 2


async def test_the_oldest_key_is_forgotten_first() -> None:
    once, work = Once[int](limit=2), Work()
    work.may_end.set()
    for key in "abc":
        await once.do(key, work)
    assert await once.do("c", work) == 3
    assert await once.do("b", work) == 2
    assert await once.do("a", work) == 4
