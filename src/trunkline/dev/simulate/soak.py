"""One long seed: as many messages as are asked for, with everything going wrong all the time.

A seed of the usual kind leaves faults out, so that one does not hide another, and is over within
minutes. This one is the proof in numbers: hours of virtual time, every fault on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .weather import Weather
from .world import Report, Stage

STORM: Final = Weather(
    calm_after_s=float("inf"), latency_s=0.02, cut_every_s=20.0, half_open=0.1, stall_every_s=120.0,
    refuse=0.05, die_every_s=120.0, die_at_statement=0.00005, die_at_write=0.0001,
    stop_every_s=600.0, store_error=0.0005, store_slow=0.001, disk_every_s=900.0, poison=0.001,
    repeat=0.02, burst=0.002, pause_every_s=300.0, reconnect_every_s=300.0, post_every_s=60.0,
    late_ack=0.01, debounce=False, asks=False, high_water_bytes=65_536, pace_s=0.8, misbehaves=1.0,
)  # fmt: skip


def soak(
    messages: int, dialects: Sequence[str], seed: int, progress: Callable[[int], None]
) -> Report:
    """Play on until people have said so many messages, then check everything.

    Args:
        dialects: who takes part; empty = everybody.
        progress: told now and then how many they have said.
    """
    stage = Stage()
    try:
        return stage.play(
            seed, dialects=dialects, weather=STORM, messages=messages, progress=progress
        )
    finally:
        stage.close()
