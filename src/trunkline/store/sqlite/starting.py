"""What a start does before the first beat: check the file, migrate it, mark what was under way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from trunkline.clock import Clock
from trunkline.errors import StoreDamaged, StoreTooNew, StoreUnavailable
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import MAX_LIFE_MS
from trunkline.store.migrations import HEAD, REVISIONS

from .connection import Connection
from .statements import SQL
from .stream import OUTBOX, Stream

FENCE_REASON: Final = "restart"
TELL_AFTER_S: Final = 2.0
TELL_EVERY_S: Final = 5.0
CHECK_STEPS: Final = 100_000  # of SQLite's machine, between two looks at the clock: milliseconds


def check(
    connection: Connection,
    clock: Clock,
    on_checking: Callable[[float], None] | None = None,
) -> None:
    """Refuse a damaged file.

    Args:
        on_checking: told how many seconds the check has taken, from `TELL_AFTER_S` on. A file of
            gigabytes takes a minute, and who waits must see that something happens.

    Raises:
        StoreDamaged: with the first thing that is wrong.
    """
    if on_checking is not None:
        tell = _telling(clock, on_checking)
        connection.set_progress_handler(tell, CHECK_STEPS)
    try:
        found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        if on_checking is not None:
            connection.set_progress_handler(None, 0)
    if found != "ok":
        raise StoreDamaged(f"the database is damaged: {found}")


def _telling(clock: Clock, on_checking: Callable[[float], None]) -> Callable[[], int]:
    """Return what SQLite calls while it checks; 0 lets it go on."""
    start_s = clock.monotonic_s()
    next_s = start_s + TELL_AFTER_S

    def tell() -> int:
        nonlocal next_s
        now_s = clock.monotonic_s()
        if now_s >= next_s:
            next_s = now_s + TELL_EVERY_S
            on_checking(now_s - start_s)
        return 0

    return tell


def revision(connection: Connection) -> str:
    """Return the revision of the tables, "" for a new file.

    Raises:
        StoreUnavailable: the file holds tables of another program.
        StoreTooNew: a newer trunkline wrote it.
    """
    has_versions, others = connection.execute(SQL["has_versions"]).fetchone()
    found: Sequence[tuple[str]] = ()
    if has_versions:
        found = connection.execute(SQL["revision"]).fetchall()
    if not found:
        # A first migration that was killed leaves at most Alembic's own table and its index.
        if others > 2 * has_versions:
            raise StoreUnavailable("the file is a database of another program")
        return ""
    if len(found) > 1 or found[0][0] not in REVISIONS:
        known = f"this trunkline knows revisions up to {HEAD}"
        raise StoreTooNew(f"the data has revision {found[0][0]}, {known}; use a newer trunkline")
    return found[0][0]


def migrate(
    connection: Connection, connect: Callable[[], Connection], scripts: Sequence[Path]
) -> None:
    """Bring the tables to the newest revision, which is nearly always where they are."""
    if revision(connection) == HEAD and not scripts:
        return
    from .migrating import upgrade

    upgrade(connect, scripts)


def restart(
    connection: Connection, stream: Stream, now_ms: int, requeue_lines: Collection[str]
) -> int:
    """Settle what the last stop left open; return the highest row id.

    What was SENDING is UNCERTAIN now, in one group `restart <n>`: nobody can know whether the peer
    has it. A peer that drops second copies gets it again instead, under the same id.

    Args:
        requeue_lines: lines with such peers (trait `peer_dedupes`).
    """
    with stream.transaction(connection) as marks:
        fence: int = connection.execute(SQL["next_fence"]).fetchone()[0]
        reason = f"{FENCE_REASON} {fence}"
        values: list[tuple[int, int, int, str]] = []
        for ident, line in connection.execute(SQL["left_sending"]).fetchall():
            if line in requeue_lines:
                values.append((ident, int(DeliveryState.QUEUED), 0, reason))
            else:
                values.append((ident, int(DeliveryState.UNCERTAIN), now_ms, reason))
        places = marks.change(OUTBOX, [value[0] for value in values])
        connection.executemany(
            SQL["mark_restarted"],
            [(*value, seq) for value, seq in zip(values, places, strict=True)],
        )
        connection.execute(SQL["clamp_turns"], (now_ms,))
        connection.execute(SQL["clamp_queue"], (now_ms + MAX_LIFE_MS,))
    last: int = connection.execute(SQL["last_id"]).fetchone()[0]
    return last
