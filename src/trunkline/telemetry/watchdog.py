"""Notices when the event loop is blocked, for how long, and by what.

A timer of the loop ticks; a thread looks whether it did. When it is late, the thread takes a look
at the stack of the loop's thread, names only: values may be bodies and credentials. At the next
tick the loop says how late it was. A process that got no processor (a busy machine, a stopped
process) is late too, without any fault of its own; that is counted apart.

Source: reliability 2 (the event loop never blocks longer than 50 ms)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

TICK_S: Final = 0.02
BLOCKED_S: Final = 0.05
TELL_EVERY_S: Final = 1.0
MAX_FRAMES: Final = 12


class Stall(msgspec.Struct, frozen=True):
    """One time in which the loop did not come round.

    Args:
        seconds: how late it was.
        is_ours: the loop's thread worked or waited in a call; False = it was given no processor.
        stack: what ran, innermost first, `file:line function`; "" when nobody saw it.
    """

    seconds: float
    is_ours: bool
    stack: str


class Watchdog:
    """Watches the running loop, from `start` to `stop`.

    Args:
        on_stall: told on the loop's thread of each stall longer than `BLOCKED_S`.
        on_lag: told of the lateness of every tick, also when it is small.
        blocked_s: what is too long.
    """

    def __init__(
        self,
        on_stall: Callable[[Stall], None],
        on_lag: Callable[[float], None],
        blocked_s: float = BLOCKED_S,
    ) -> None:
        self._on_stall = on_stall
        self._on_lag = on_lag
        self._blocked_s = blocked_s
        self._timer: asyncio.TimerHandle | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._ident = 0
        self._due_s = 0.0
        self._cpu_s = 0.0
        self._waited_s = 0.0
        self._stack = ""
        self._looks = 0
        self._queue = RunQueue()

    def start(self) -> None:
        """Begin; on the loop's own thread."""
        self._ident = threading.get_ident()
        self._queue.open()
        self._arm()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. Twice does no harm."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._queue.close()

    def _arm(self) -> None:
        self._cpu_s = time.thread_time()
        self._waited_s = self._queue.read_s()
        self._due_s = time.monotonic() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        late_s = max(0.0, time.monotonic() - self._due_s)
        self._on_lag(late_s)
        if late_s > self._blocked_s:
            self._on_stall(Stall(late_s, self._is_ours(late_s), self._stack))
        self._stack = ""
        self._looks = 0
        if not self._stopped.is_set():
            self._arm()

    def _is_ours(self, late_s: float) -> bool:
        """Whether the loop was blocked, rather than left without a processor.

        The time that its thread was ready and not run is the machine's. Of the rest it must have
        worked half, or our thread must have been awake: else the whole process was stopped.
        """
        own_s = late_s - (self._queue.read_s() - self._waited_s)
        if own_s <= self._blocked_s:
            return False
        worked_s = time.thread_time() - self._cpu_s
        return worked_s >= own_s / 2 or (self._looks + 1) * TICK_S >= late_s / 2

    # -- the thread --------------------------------------------------------------------------

    def _look(self) -> None:
        seen_s = 0.0
        while not self._stopped.wait(TICK_S):
            due_s = self._due_s
            if time.monotonic() - due_s < self._blocked_s / 2:
                continue
            self._looks += 1
            if due_s != seen_s:
                # The only way to see another thread's stack.
                frame = sys._current_frames().get(self._ident)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                stack = describe_stack(frame)
                if due_s == self._due_s:  # else it went on meanwhile: this is what came after
                    seen_s = due_s
                    self._stack = stack


class RunQueue:
    """How long the calling thread was ready to run and was not run, as Linux counts it."""

    def __init__(self) -> None:
        self._file = -1

    def open(self) -> None:
        """Begin to count for the calling thread."""
        path = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        with contextlib.suppress(OSError):
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_s(self) -> float:
        """Return the seconds so far; 0 where the system does not tell."""
        if self._file < 0:
            return 0.0
        try:
            return int(os.pread(self._file, 100, 0).split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0

    def close(self) -> None:
        """End. Twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def describe_stack(frame: FrameType | None) -> str:
    """Return what runs, innermost first, without any value."""
    names: list[str] = []
    while frame is not None and len(names) < MAX_FRAMES:
        code = frame.f_code
        names.append(
            f"{'/'.join(Path(code.co_filename).parts[-2:])}:{frame.f_lineno} {code.co_name}"
        )
        frame = frame.f_back
    return " < ".join(names)
