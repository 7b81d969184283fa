"""The loop of a command."""

from __future__ import annotations

import asyncio

from trunkline.process.loop import run_loop


def test_the_loop_is_uvloop_and_gives_the_exit_code() -> None:
    async def main() -> int:
        return int(type(asyncio.get_running_loop()).__module__.startswith("uvloop"))

    assert run_loop(main) == 1
