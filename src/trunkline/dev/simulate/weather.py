"""Chance, and what goes wrong in one seed.

Each seed leaves out about half of all faults: bugs hide behind faults that are always there (a run
in which everything is cut every second never finds what needs a quiet minute).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from trunkline.clock import Clock
from trunkline.ids import SystemIds

T = TypeVar("T")


class Chance:
    """Numbers drawn from a seed and a name: each user has its own, so one more draw somewhere does
    not change what all the others draw.
    """

    def __init__(self, seed: int, name: str) -> None:
        # Seeded by text: `random` hashes it with SHA-512, never with `hash`.
        self._random = random.Random(f"{seed}:{name}")  # noqa: S311 - repeatable, keeps no secret

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens now."""
        return probability > 0 and self._random.random() < probability

    def share(self) -> float:
        """Return a number within 0 … 1."""
        return self._random.random()

    def between(self, low: float, high: float) -> float:
        """Return a number within the bounds."""
        return low + (high - low) * self._random.random()

    def spread(self, low: float, high: float) -> float:
        """Return a number within the bounds, as likely in each magnitude (both > 0)."""
        return low * math.exp(self._random.random() * math.log(high / low))

    def count(self, low: int, high: int) -> int:
        """Return a whole number within the bounds, both included."""
        return self._random.randint(low, high)

    def pick(self, values: Sequence[T]) -> T:
        """Return one of these."""
        return values[int(self._random.random() * len(values))]

    def wait_s(self, mean_s: float) -> float:
        """Return the seconds until something happens that happens every `mean_s`."""
        return min(self._random.expovariate(1.0 / mean_s), 8 * mean_s)

    def bits(self, count: int) -> int:
        """Return so many random bits."""
        return self._random.getrandbits(count)


class SeededIds(SystemIds):
    """Row ids by the clock as in production, everything random from the seed."""

    def __init__(self, clock: Clock, chance: Chance, node: int = 0, last: int = 0) -> None:
        super().__init__(clock, node, last)
        self._chance = chance

    def uuid(self) -> str:
        """Return a well-formed version 4 UUID."""
        digits = f"{self._chance.bits(128):032x}"
        digits = f"{digits[:12]}4{digits[13:16]}a{digits[17:]}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def token(self) -> str:
        """Return 32 hexadecimal digits."""
        return f"{self._chance.bits(128):032x}"


LONG_S: Final = 120.0


class Weather(msgspec.Struct, frozen=True):
    """What goes wrong, and how often. 0 = never.

    Args:
        calm_after_s: seconds of trouble; then everything heals and must come to rest.
        latency_s: the longest way of one flight over the network.
        cut_every_s: mean seconds between two links that are cut.
        half_open: share of cuts that one end learns of only after up to 40 s.
        stall_every_s: … between two peers that stop reading for up to 15 s.
        refuse: share of dials that find nobody.
        die_every_s: … between two ends of the process, at any moment.
        die_at_statement, die_at_write: at one of a store call's statements; around a write.
        stop_every_s: … between two restarts in order.
        store_error: share of store calls that fail at one of their statements, half of them
            because the disk is full.
        store_slow: share of store calls that take up to 2 s.
        disk_every_s: … between two times without space on the disk.
        poison: share of messages that cannot be stored.
        repeat: share of messages that a peer sends again, at once or over a later link.
        burst: share of times to talk at which somebody says 70 to 200 things in one breath.
        pause_every_s, reconnect_every_s: … between two acts of a person on a line.
        post_every_s: … between two sends of a program.
        late_ack: share of acknowledgements of a peer that come after up to 40 s.
        debounce: whether lines wait for more words.
        asks: whether answers are asked for outside of the house, late or in vain.
        high_water_bytes: of each link's write buffer.
        pace_s: mean seconds between two lines of one person.
        misbehaves: share of what may go wrong with a platform that does.
    """

    calm_after_s: float
    latency_s: float
    cut_every_s: float
    half_open: float
    stall_every_s: float
    refuse: float
    die_every_s: float
    die_at_statement: float
    die_at_write: float
    stop_every_s: float
    store_error: float
    store_slow: float
    disk_every_s: float
    poison: float
    repeat: float
    burst: float
    pause_every_s: float
    reconnect_every_s: float
    post_every_s: float
    late_ack: float
    debounce: bool
    asks: bool
    high_water_bytes: int
    pace_s: float
    misbehaves: float = 0.0

    @property
    def is_long(self) -> bool:
        """Whether trouble may last longer than a reply is of use (120 s)."""
        return self.calm_after_s > LONG_S

    @property
    def loses_links(self) -> bool:
        """Whether a link can end before what was written to it is read."""
        return bool(
            self.cut_every_s
            or self.stall_every_s
            or self.reconnect_every_s
            or self.misbehaves
            or self.dies
        )

    @property
    def dies(self) -> bool:
        """Whether the process can end before it knows what became of its writes."""
        return bool(
            self.die_every_s or self.die_at_statement or self.die_at_write or self.stop_every_s
        )


_OFTEN: Final = 0.55
_SOMETIMES: Final = 0.35
_SELDOM: Final = 0.2


def forecast(chance: Chance) -> Weather:
    """Draw what goes wrong."""

    def every_s(likely: float, low: float, high: float) -> float:
        value = chance.spread(low, high)
        return value if chance.happens(likely) else 0.0

    asks = chance.happens(_SELDOM)
    burst = every_s(_SOMETIMES, 0.01, 0.05)
    return Weather(
        calm_after_s=chance.between(15.0, 45.0),
        latency_s=chance.spread(0.001, 0.5),
        cut_every_s=every_s(_OFTEN, 0.7, 15.0),
        half_open=chance.pick((0.0, 0.0, 0.2, 0.5)),
        stall_every_s=every_s(_SOMETIMES, 2.0, 20.0),
        refuse=every_s(_SOMETIMES, 0.05, 0.5),
        die_every_s=every_s(_SOMETIMES, 4.0, 30.0),
        die_at_statement=every_s(_SOMETIMES, 0.0005, 0.005),
        die_at_write=every_s(_SOMETIMES, 0.001, 0.02),
        stop_every_s=every_s(_SELDOM, 6.0, 30.0),
        store_error=every_s(_SOMETIMES, 0.001, 0.1),
        store_slow=every_s(_OFTEN, 0.001, 0.05),
        disk_every_s=every_s(_SELDOM, 5.0, 30.0),
        poison=every_s(_SELDOM, 0.005, 0.05),
        repeat=every_s(_OFTEN, 0.02, 0.4),
        burst=0.0 if asks else burst,  # each is asked for after the other: for minutes
        pause_every_s=every_s(_SELDOM, 2.0, 15.0),
        reconnect_every_s=every_s(_SELDOM, 4.0, 30.0),
        post_every_s=every_s(_OFTEN, 0.3, 5.0),
        late_ack=every_s(_SOMETIMES, 0.01, 0.2),
        debounce=chance.happens(_SELDOM),
        asks=asks,
        high_water_bytes=chance.pick((262_144, 262_144, 16_384, 4096)),
        pace_s=chance.spread(0.3, 3.0),
        misbehaves=chance.pick((0.0, 0.3, 0.6)),
    )
