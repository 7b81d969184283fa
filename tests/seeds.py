"""Seeds of the simulation for tests: one stage for all of them, and calm weather to begin with."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from trunkline.dev.simulate.weather import Weather
from trunkline.dev.simulate.world import Report, Stage

CALM = Weather(
    calm_after_s=12.0, latency_s=0.01, cut_every_s=0.0, half_open=0.0, stall_every_s=0.0,
    refuse=0.0, die_every_s=0.0, die_at_statement=0.0, die_at_write=0.0, stop_every_s=0.0,
    store_error=0.0, store_slow=0.0, disk_every_s=0.0, poison=0.0, repeat=0.0, burst=0.0,
    pause_every_s=0.0, reconnect_every_s=0.0, post_every_s=0.0, late_ack=0.0, debounce=False,
    asks=False, high_water_bytes=262_144, pace_s=0.5,
)  # fmt: skip


@functools.cache
def stage() -> Stage:
    return Stage()


def weather(**changes: Any) -> Weather:
    """Nothing goes wrong but what is named."""
    return msgspec.structs.replace(CALM, **changes)


def play(seed: int, *dialects: str, on: Stage | None = None, **changes: Any) -> Report:
    """Play a seed in weather that only this goes wrong in; without any, in the seed's own."""
    chosen = weather(**changes) if changes else None
    return (on or stage()).play(seed, dialects=dialects, weather=chosen)


def broken(seed: int, *dialects: str, on: Stage | None = None, **changes: Any) -> str:
    """Return which promises a seed broke, as one text."""
    return "\n".join(play(seed, *dialects, on=on, **changes).broken)
