"""A child process that commits one beat and may be killed on the way: `python storecrash.py`.

Arguments: folder · when: `statement:N` (SIGKILL as the Nth sentence begins), a failpoint's name,
or `never`. It prints `committed` when `commit` has returned, which is when a peer is told.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

from storekit import (
    CONFIRMED,
    NOW_MS,
    QUEUED,
    SENDING,
    WAITING,
    answer,
    chat,
    delivery_id,
    message,
    message_id,
    put,
)
from trunkline import failpoints
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId
from trunkline.store.contract import Beat, KeptState, Outcome, TurnRow
from trunkline.store.sqlite import SqliteStore


def beat() -> Beat:
    """Return a beat that uses every sentence there is."""
    return Beat(
        now_ms=NOW_MS + 1,
        conversations=[chat(1), chat(3)],
        inbox=[message(n, body=b"x" * (40_000 if n == 15 else 30)) for n in range(10, 50)],
        outbox=[answer(n) for n in range(10, 50)],
        sent_ranges=[(delivery_id(0), delivery_id(1))],
        outcomes=[
            Outcome(delivery_id(2), CONFIRMED, NOW_MS, "p"),
            Outcome(delivery_id(3), QUEUED, NOW_MS, "", "later", NOW_MS + 5),
        ],
        claims=[delivery_id(4), delivery_id(5)],
        done=[(message_id(6), b"why"), (message_id(7), b"why")],
        kept=[KeptState("mai", "bot", b"new")],
        turns=[TurnRow(ConversationId(1), NOW_MS + 9, NOW_MS)],
        turns_done=[ConversationId(2)],
    )


async def prepare(folder: Path) -> None:
    """Fill a store with what `beat` changes; what is SENDING must not go through a restart."""
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    await put(
        store,
        conversations=[chat(1), chat(2)],
        inbox=[message(n, 2, state=WAITING) for n in (6, 7)],
        outbox=[answer(n, state=QUEUED if n in (4, 5) else SENDING) for n in range(6)],
        kept=[KeptState("mai", "bot", b"old")],
        turns=[TurnRow(ConversationId(2), NOW_MS, NOW_MS)],
    )
    await store.close()


async def main(folder: Path, when: str) -> None:
    store = SqliteStore(folder, clock=FakeClock())
    await store.open(requeue_lines=[])
    connection = store._writing
    assert connection is not None
    # `open` made them UNCERTAIN; put them back to where a running process has them.
    connection.execute("UPDATE outbox SET state = 2, mark = NULL WHERE mark = 5")
    (folder / "started").touch()
    kind, _, nth = when.partition(":")
    if kind == "statement":
        count = itertools.count(1)

        def trace(_: str) -> None:
            if next(count) == int(nth):
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(trace)
    elif kind != "never":
        failpoints.arm({kind: ("kill", 1.0)})
    await store.commit(beat())
    sys.stdout.write("committed\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
