"""The store without threads: the real SQLite back-end, with time and faults of the simulation.

A call to the store waits its turn, takes effect at one virtual instant and is told at a later one,
so a process may die between the two. At any statement of a call the disk may fail, be full, or the
process may end; what is lost then is what SQLite loses.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from trunkline.clock import Clock, FakeClock
from trunkline.errors import StoreUnavailable
from trunkline.store.contract import Beat, Committed
from trunkline.store.sqlite import SqliteStore
from trunkline.store.sqlite.connection import Connection, connect, guarded

from .trace import Trace
from .weather import Chance, Weather

T = TypeVar("T")

DISK_BYTES: Final = 100 << 30
LONGEST_CALL: Final = 24  # statements: where a fault may strike
POISON: Final = b"poison"  # a row with this word cannot be stored


class Died(BaseException):
    """The process ends at this statement. No `except Exception` may hold it up."""


class Disk:
    """What the store's calls meet: how long they take, and where they fail.

    Args:
        die: ends the process.
        chance: its own.
        weather: of the seed.
    """

    def __init__(
        self, die: Callable[[str], None], trace: Trace, chance: Chance, weather: Weather
    ) -> None:
        self.die = die
        self.is_calm = False
        self.is_full = False
        self._trace = trace
        self._chance = chance
        self._weather = weather
        self._left = 0
        self._fault: BaseException | None = None
        self._name = ""

    def begin(self) -> tuple[float, float]:
        """Plan one call; return the seconds before and after it takes effect."""
        chance, weather = self._chance, self._weather
        self._fault = None
        before_s, after_s = chance.between(0.0, 0.0005), chance.between(0.0, 0.0005)
        if self.is_calm:
            return before_s, after_s
        if chance.happens(weather.store_slow):
            before_s += chance.spread(0.01, 2.0)
        if chance.happens(weather.store_slow):
            after_s += chance.spread(0.01, 2.0)
        return before_s, after_s

    def plan(self) -> None:
        """Draw whether the call that begins now fails, and at which of its statements."""
        chance, weather = self._chance, self._weather
        self._fault = None
        if self.is_calm:
            return
        if chance.happens(weather.die_at_statement):
            self._fault, self._name = Died(), "die"
        elif chance.happens(weather.store_error):
            number, self._name = chance.pick(((errno.EIO, "io"), (errno.ENOSPC, "full")))
            self._fault = OSError(number, "simulated")
        self._left = chance.count(0, LONGEST_CALL) if self._fault is not None else 0

    def statement(self) -> None:
        """Pass one statement, or fail before it."""
        if self._fault is not None:
            self._left -= 1
            if self._left < 0:
                fault, self._fault = self._fault, None
                self._trace.note("disk", self._name)
                raise fault

    def done(self) -> None:
        """End a call that went well; the process may still end before anybody is told."""
        fault, self._fault = self._fault, None
        if isinstance(fault, Died) and self._left < LONGEST_CALL // 2:
            self._trace.note("disk", "die after")
            raise fault


class Statements:
    """A connection that passes each statement by the disk first."""

    def __init__(self, connection: Connection, disk: Disk) -> None:
        self._connection = connection
        self._disk = disk

    def execute(self, *arguments: Any) -> Any:
        """Do one statement; one that ends a failed transaction is SQLite's own."""
        if arguments[0] != "ROLLBACK":
            self._disk.statement()
        return self._connection.execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        """Do one statement for many rows."""
        self._disk.statement()
        return self._connection.executemany(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Inline:
    """One call after the other, as the store's thread does them, on the loop (`worker.Caller`).

    Args:
        name: of the thread that this stands for.
    """

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.is_dead = False
        self._disk = disk
        self._loop = asyncio.get_running_loop()
        self._free_s = 0.0
        self._is_open = True

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have `work` done in its turn."""
        if not self._is_open or self.is_dead:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        before_s, after_s = self._disk.begin()
        at_s = max(self._loop.time(), self._free_s) + before_s
        self._free_s = at_s + after_s
        told_s = self._free_s
        self._loop.call_at(at_s, lambda: self._do(work, future, told_s))
        return future

    def _do(self, work: Callable[[], T], future: asyncio.Future[T], told_s: float) -> None:
        if self.is_dead:
            return
        self._disk.plan()
        try:
            result: T = guarded(work)
            self._disk.done()
        except Died:
            self._disk.die("at a statement")
        except BaseException as error:  # noqa: BLE001 - carried to who awaits the future
            failure = error
            self._loop.call_at(told_s, lambda: self._fail(future, failure))
        else:
            self._loop.call_at(told_s, lambda: self._tell(future, result))

    def _tell(self, future: asyncio.Future[T], result: T) -> None:
        if not self.is_dead and not future.done():
            future.set_result(result)

    def _fail(self, future: asyncio.Future[T], failure: BaseException) -> None:
        if not self.is_dead and not future.done():
            future.set_exception(failure)

    async def stop(self, last: Callable[[], None]) -> None:
        """Do what was asked before, then `last`."""
        if self._is_open:
            done = self.call(last)
            self._is_open = False
            await done


class SimulatedStore(SqliteStore):
    """The product's store, in a folder that outlives the process.

    Args:
        committing: shown each beat before it is written.
        committed: shown each beat the moment it is durable.
        refused: told how many events a beat has that cannot be stored.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        disk: Disk,
        committing: Callable[[Beat], None],
        committed: Callable[[Beat], None],
        refused: Callable[[int], None],
    ) -> None:
        # Who dies here is a process, not a machine: NORMAL loses nothing then, and needs no flush.
        super().__init__(
            folder, clock=clock, synchronous="NORMAL", worker=self._inline, connector=self._open_on
        )
        self._disk = disk
        self._committing = committing
        self._committed = committed
        self._refused = refused
        self._workers: list[Inline] = []
        self._opened: list[Connection] = []

    def _inline(self, name: str) -> Inline:
        worker = Inline(name, self._disk)
        self._workers.append(worker)
        return worker

    def _open_on(self, path: Path, synchronous: str) -> Connection:
        connection = connect(path, synchronous)
        self._opened.append(connection)
        # A wrapper with the methods that the back-end uses: sqlite3's class cannot be told apart.
        return cast("Connection", Statements(connection, self._disk))

    def _commit(self, db: Connection, beat: Beat) -> Committed:
        self._committing(beat)
        if any(POISON in row.body for row in beat.inbox):
            self._refused(len(beat.inbox))
            raise ValueError("this row cannot be stored")
        done = super()._commit(db, beat)
        if done.is_whole:
            self._committed(beat)
        return done

    def free_bytes(self) -> int:
        """Return what is left of the disk."""
        return 0 if self._disk.is_full else DISK_BYTES

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read what is stored."""
        reading = self._reading
        if reading is None:
            raise StoreUnavailable("the store is closed")
        return reading.execute(sql, values).fetchall()

    def received(self) -> list[tuple[int, int, int, bytes]]:
        """Read (id, state, conversation, body) of all inbox rows, in order."""
        sql = "select id, state, conversation, body, media from inbox order by id"
        return [
            (ident, state, conversation, self._body(body, digest))
            for ident, state, conversation, body, digest in self.rows(sql)
        ]

    def sent(self) -> list[tuple[int, int, int, bytes, str, int]]:
        """Read (id, state, conversation, body, line and reason, attempt) of the outbox."""
        sql = (
            "select o.id, o.state, o.conversation, o.body, o.media, c.line || ' ' || o.reason,"
            " o.attempt"
            " from outbox o join conversation c on c.id = o.conversation order by o.id"
        )
        return [
            (ident, state, conversation, self._body(body, digest), why, attempt)
            for ident, state, conversation, body, digest, why, attempt in self.rows(sql)
        ]

    def _body(self, body: bytes | None, digest: Any) -> bytes:
        return (body if digest is None else self._media.get(digest)) or b""

    def drop(self) -> None:
        """The process is gone: what was not committed never was, and nothing runs any more."""
        for worker in self._workers:
            worker.is_dead = True
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._writing = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


async def make_template(folder: Path) -> None:
    """Make an empty store of the newest revision, for `copy_template`: migrating takes long."""
    store = SqliteStore(folder, clock=FakeClock())
    await store.open()
    await store.close()


def copy_template(template: Path, folder: Path) -> None:
    """Begin a run with a fresh store."""
    folder.mkdir(mode=0o700)
    shutil.copyfile(template / "trunkline.db", folder / "trunkline.db")
