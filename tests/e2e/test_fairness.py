"""Nobody waits for ever while others are served. Counts answers, measures no time."""

from __future__ import annotations

import asyncio

from peers import WAIT_S, maim_message, maim_text
from product import Product
from torture import Link

ADAPTERS = 60
LAPS = 100
LEAST = LAPS // 5


async def test_every_adapter_gets_its_share_under_load(site: Product) -> None:
    """Each adapter asks again as soon as it is answered: when one is through, all are far along.

    Guards a livelock: a seat whose first message came before its queue was looked at was served
    by claims from then on, one a second, while others got hundreds of answers.
    """
    answered = [0] * ADAPTERS
    through = asyncio.Event()

    async def ask(number: int) -> None:
        platform = f"fair-{number}"
        link = await Link.open(site.socket("/ws"), {"platform": platform})
        try:
            while True:
                words = f"{number}.{answered[number]}"
                await link.send(maim_message(words, platform=platform))
                assert maim_text(await link.receive()) == f"收到：{words}"
                answered[number] += 1
                if answered[number] == LAPS:
                    through.set()
        finally:
            link.close()

    asking = [asyncio.create_task(ask(number)) for number in range(ADAPTERS)]
    async with asyncio.timeout(4 * WAIT_S):
        await through.wait()
    for task in asking:
        task.cancel()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []
    assert min(answered) >= LEAST, sorted(answered)
