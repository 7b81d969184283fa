"""The store contract over one SQLite file.

Two threads: the *writer* owns the writing connection and does beats, changes and the look-ups of
the exchange, which are short and must see the last commit; the *reader* does lists for people, so
that a long one never stands before a beat.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from trunkline.clock import Clock
from trunkline.errors import StoreDamaged, StoreUnavailable
from trunkline.ids import ConversationId, DeliveryId, InboxId
from trunkline.model.address import Chat
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import DeliveryState
from trunkline.store.contract import (
    Beat,
    Changes,
    Committed,
    Edit,
    EventKind,
    InboxRow,
    InboxState,
    Number,
    NumberKey,
    OutboxRow,
    PaceRow,
    Page,
    Queue,
    Queued,
    Retention,
    TurnRow,
)  # fmt: skip
from trunkline.store.lock import FolderLock, lock_folder, prepare_folder
from trunkline.store.media import Media
from trunkline.store.restoring import require_whole

from . import beat as beats
from . import conversations, history, inbox, numbers, outbox, starting, stream, turns
from .connection import (
    Connection,
    OperationalError,
    connect,
    connect_reader,
    create_file,
    file_id,
    transaction,
)
from .flight import Flight
from .history import Indexer
from .retention import Forgetting
from .statements import SQL
from .stream import Stream
from .worker import Caller, Worker

T = TypeVar("T")

COUNTED: Final = 100_000  # `counts` stops there: a number for people, not worth a long scan


class SqliteStore:
    """`contract.Store` in a data folder of its own.

    Args:
        folder: made when it is missing; locked from `open` to `close`.
        synchronous: NORMAL may lose commits at power loss (reliability 4).
        scripts: further folders with migrations; tests add some.
        on_checking: told, on the writer thread, for how many seconds a large file is checked.
        worker: makes who does the calls, by name; the simulation has no threads.
        connector: opens the file for writing; the simulation fails between statements.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        filename: str = "trunkline.db",
        scripts: Sequence[Path] = (),
        on_checking: Callable[[float], None] | None = None,
        worker: Callable[[str], Caller] = Worker,
        connector: Callable[[Path, str], Connection] = connect,
    ) -> None:
        self._folder = folder
        self._path = folder / filename
        self._file_id: tuple[int, int] | None = None
        self._clock = clock
        self._synchronous = synchronous
        self._scripts = scripts
        self._on_checking = on_checking
        self._make_worker = worker
        self._connect = connector
        self._media = Media(folder / "media")
        self._flight = Flight()
        self._stream = Stream()
        self._indexer = Indexer()
        self._lock: FolderLock | None = None
        self._writer: Caller | None = None
        self._reader: Caller | None = None
        self._writing: Connection | None = None
        self._reading: Connection | None = None
        self._forgetting: Forgetting | None = None

    # -- life ------------------------------------------------------------------------------------

    async def open(self, *, requeue_lines: Collection[str] = ()) -> int:
        """Lock, check, migrate, mark what was SENDING; return the highest row id.

        Args:
            requeue_lines: lines whose peers drop second copies: there it is QUEUED again.

        Raises:
            DataDirInUse: another process has the folder.
            StoreTooNew: the data was written by a newer trunkline.
            StoreUnavailable: the file cannot be read or is damaged.
        """
        self._writer = self._make_worker("store-writer")
        self._reader = self._make_worker("store-reader")
        try:
            return await self._writer.call(lambda: self._open(requeue_lines))
        except OperationalError as error:
            await self.close()
            if "no such" not in str(error):
                raise
            # Whole by its pages, but not what this program wrote: a table or column is gone.
            raise StoreDamaged(f"{self._path} is damaged: {error}") from error
        except BaseException:
            await self.close()
            raise

    def _open(self, requeue_lines: Collection[str]) -> int:
        prepare_folder(self._folder)
        now_ms = self._clock.now_ms()
        self._lock = lock_folder(self._folder, since_ms=now_ms)
        require_whole(self._folder)
        create_file(self._path)
        self._file_id = file_id(self._path)
        self._media.open()

        def connect_writer() -> Connection:
            return self._connect(self._path, self._synchronous)

        self._writing = connection = connect_writer()
        starting.check(connection, self._clock, self._on_checking)
        starting.migrate(connection, connect_writer, self._scripts)
        self._stream = Stream.load(connection)
        last = starting.restart(connection, self._stream, now_ms, requeue_lines)
        self._flight = Flight()
        self._indexer = Indexer.load(connection)
        self._forgetting = Forgetting(connection, self._media)
        self._reading = connect_reader(self._path)
        return last

    async def close(self) -> None:
        """Finish what was asked, checkpoint, close, and let the folder go. Twice does no harm."""
        try:
            if self._reader is not None:
                await self._reader.stop(self._close_reading)
        finally:
            if self._writer is not None:
                await self._writer.stop(self._close_writing)

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _close_writing(self) -> None:
        try:
            if self._writing is not None:
                connection, self._writing = self._writing, None
                try:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    connection.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def write_owner(self, url: str) -> None:
        """Say in `trunkline.lock` where this process listens."""
        if self._lock is not None:
            self._lock.write_owner(url)

    def free_bytes(self) -> int:
        """Return the free space of the data folder's disk; 0 when it cannot be told."""
        try:
            facts = os.statvfs(self._folder)
        except OSError:
            return 0  # the folder is away: nothing may be acknowledged until it is back
        return facts.f_bavail * facts.f_frsize

    # -- the exchange: on the writer thread ------------------------------------------------------

    async def commit(self, beat: Beat) -> Committed:
        """Write one beat durably, or report duplicates and write nothing."""
        return await self._write(lambda db: self._commit(db, beat))

    def _commit(self, db: Connection, beat: Beat) -> Committed:
        """Commit on the writer thread, unless the file is not the one that was opened any more.

        A file that was deleted or replaced under us takes rows without complaint, and all of them
        are gone at the next start: nothing may be acknowledged into it.
        """
        if file_id(self._path) != self._file_id:
            raise StoreUnavailable(f"{self._path} was deleted or replaced; restart trunkline")
        followers = (self._flight, self._stream, self._indexer)
        return beats.commit(db, self._media, followers, beat)

    async def find_conversations(
        self, keys: Sequence[tuple[str, str, str, str]]
    ) -> list[ConversationState | None]:
        """Look up (line, account, kind, peer)."""
        return await self._write(lambda db: conversations.find(db, keys))

    async def next_conversation_id(self) -> int:
        """Return the first id that no conversation has."""
        return await self._write(conversations.next_id)

    async def find_numbers(self, keys: Sequence[NumberKey]) -> list[Number | None]:
        """Look up (line, kind, ident)."""
        return await self._write(lambda db: numbers.find(db, keys))

    async def numbers(self, idents: Sequence[int]) -> list[Number | None]:
        """Look up numbers."""
        return await self._write(lambda db: numbers.get(db, idents))

    async def next_number(self) -> int:
        """Return the first number that was never given."""
        return await self._write(numbers.next_id)

    async def put_numbers(self, numbers: Sequence[Number]) -> None:
        """Write numbers beside a beat."""
        await self._write(lambda db: _put_numbers(db, numbers))

    async def queued(self, line: str, account: str, peer: str, limit: int, now_ms: int) -> Queue:
        """Return the queue of a seat."""
        seat = (line, account, peer)
        followers = (self._flight, self._stream)
        return await self._write(
            lambda db: outbox.queued(
                db, self._media, followers, seat=seat, limit=limit, now_ms=now_ms
            )
        )

    async def queued_chats(self, limit: int) -> list[tuple[str, Chat, bool]]:
        """Return conversations that have QUEUED rows."""
        return await self._write(lambda db: outbox.queued_chats(db, limit))

    async def expire(self, now_ms: int, limit: int) -> list[DeliveryId]:
        """QUEUED rows that are too late → EXPIRED."""
        return await self._write(lambda db: outbox.expire(db, self._stream, now_ms, limit))

    async def expire_drafts(
        self, before_ms: int, reason: str, now_ms: int, limit: int
    ) -> list[DeliveryId]:
        """DRAFT rows made before `before_ms` → EXPIRED."""
        which, why = (before_ms, limit), (now_ms, reason)
        return await self._write(lambda db: outbox.expire_drafts(db, self._stream, which, why))

    async def expire_carried(
        self, line: str, keep: int, reason: str, now_ms: int, limit: int
    ) -> list[DeliveryId]:
        """QUEUED rows carried to a line, but the newest `keep` → EXPIRED."""
        which, why = (line, keep, limit), (now_ms, reason)
        return await self._write(lambda db: outbox.expire_carried(db, self._stream, which, why))

    async def expire_seat(
        self, line: str, account: str, peer: str, reason: str
    ) -> list[DeliveryId]:
        """QUEUED rows of a seat that never comes back → EXPIRED."""
        now_ms, seat = self._clock.now_ms(), (line, account, peer)
        return await self._write(
            lambda db: outbox.expire_seat(db, self._stream, seat, reason, now_ms)
        )

    async def paces(self) -> list[PaceRow]:
        """Return what lines have used up of their paces."""
        return await self._write(outbox.paces)

    async def due_turns(
        self, now_ms: int, limit: int, *, besides: Sequence[tuple[str, str]] = ()
    ) -> list[TurnRow]:
        """Return turns whose time has come, earliest first."""
        return await self._write(lambda db: turns.due(db, now_ms, limit, besides))

    async def waiting(
        self, conversation: ConversationId
    ) -> tuple[ConversationState | None, list[InboxRow]]:
        """Return a conversation and its WAITING rows, oldest first."""
        return await self._write(
            lambda db: (
                conversations.get(db, conversation),
                inbox.waiting(db, self._media, conversation),
            )
        )

    async def waiting_of(
        self, idents: Sequence[ConversationId]
    ) -> list[tuple[ConversationState | None, list[InboxRow]]]:
        """Return the same for several conversations, in their order, in one look-up."""
        return await self._write(
            lambda db: [
                (conversations.get(db, one), inbox.waiting(db, self._media, one)) for one in idents
            ]
        )

    async def kept(self, line: str, account: str) -> bytes | None:
        """Return the state a session last kept."""
        return await self._write(lambda db: conversations.kept(db, line, account))

    async def retain(self, now_ms: int, policy: Retention) -> int:
        """Forget at most one batch of what is too old; 0 = all done."""

        def step(_: Connection) -> int:
            return self._forgetting.step(now_ms, policy) if self._forgetting is not None else 0

        return await self._write(step)

    # -- people: lists on the reader thread, changes on the writer's -----------------------------

    async def delivery(self, ident: DeliveryId) -> Queued | None:
        """Return one delivery with its conversation."""
        return await self._read(lambda db: outbox.get(db, self._media, ident))

    async def delivery_by_dedupe(self, dedupe: str) -> DeliveryId | None:
        """Return the delivery of an `Idempotency-Key`."""
        return await self._read(lambda db: outbox.by_dedupe(db, dedupe))

    async def deliveries(
        self, *, states: Sequence[DeliveryState], line: str, cursor: str, limit: int
    ) -> Page:
        """List `Queued`, newest first; a page may be short while its cursor is not ""."""
        return await self._read(
            lambda db: outbox.list_page(
                db, self._media, line=line, states=states, cursor=cursor, limit=limit
            )
        )

    async def move_delivery(
        self,
        ident: DeliveryId,
        sources: Sequence[DeliveryState],
        to: DeliveryState,
        reason: str,
        edit: Edit | None = None,
    ) -> bool:
        """Move a row for a person; False when it is not in `sources`, or has no body to send."""
        now_ms = self._clock.now_ms()

        def move(db: Connection) -> bool:
            new = None if edit is None else outbox.to_edit(edit, self._media, now_ms)
            is_moved = outbox.move(db, self._stream, ident, sources, to, reason, now_ms, new)
            if is_moved:
                self._flight.remove((ident,))
            return is_moved

        return await self._write(move)

    async def move_group(self, reason: str, to: DeliveryState, why: str) -> int:
        """Move every UNCERTAIN row with this reason; return how many."""
        now_ms = self._clock.now_ms()
        moved = await self._write(
            lambda db: outbox.move_group(db, self._stream, reason, to, why, now_ms)
        )
        return len(moved)

    async def message(self, ident: InboxId) -> tuple[InboxRow, ConversationState] | None:
        """Return one inbox row, with its body."""
        return await self._read(lambda db: inbox.get_with_conversation(db, self._media, ident))

    async def answers(self, ident: InboxId) -> list[OutboxRow]:
        """Return the deliveries that answer an inbox row."""
        return await self._read(lambda db: outbox.answers(db, self._media, ident))

    async def messages(
        self, *, line: str, states: Sequence[InboxState], kinds: Sequence[EventKind],
        after: int, cursor: str, limit: int, is_for_person: bool = False,
    ) -> Page:  # fmt: skip
        """List (InboxRow, ConversationState); a page may be short while its cursor is not ""."""
        return await self._read(
            lambda db: inbox.list_page(
                db, self._media, line=line, states=states, kinds=kinds,
                after=after, cursor=cursor, limit=limit, is_for_person=is_for_person,
            )
        )  # fmt: skip

    async def move_message(
        self, ident: InboxId, sources: Sequence[InboxState], to: InboxState
    ) -> bool:
        """Move an inbox row for a person; a row without a body cannot be requeued."""
        now_ms = self._clock.now_ms()
        return await self._write(
            lambda db: inbox.move(db, self._stream, ident, sources, to, now_ms)
        )

    # -- history, conversations, changes ---------------------------------------------------------

    async def index_history(self, limit: int = history.BATCH, *, at_least: int = 1) -> int:
        """Index what was said since the last time; return how many rows, 0 when all is done.

        Args:
            limit: rows of each table in one transaction.
            at_least: when about fewer rows wait, nothing is done: small batches cost more each.
        """
        if self._indexer.tail < at_least:
            return 0
        return await self._write(lambda db: self._indexer.step(db, limit))

    async def _shorten_tail(self) -> None:
        """Index so much that a read finds a short tail."""
        while self._indexer.tail > history.TAIL and await self.index_history():
            pass

    async def history(
        self, conversation: ConversationId, before: int, limit: int
    ) -> list[InboxRow | OutboxRow]:
        """Return what was said in a conversation, newest first, row ids below `before`."""
        await self._shorten_tail()
        return await self._read(
            lambda db: history.said(db, self._media, conversation, before, limit)
        )

    async def conversations(self, *, line: str, cursor: str, limit: int) -> Page:
        """List (ConversationState, last row or None), last active first."""
        await self._shorten_tail()
        return await self._read(
            lambda db: history.active(db, self._media, line=line, cursor=cursor, limit=limit)
        )

    async def changes(self, after: int, limit: int) -> Changes:
        """Return rows that are new or changed since `seq` `after`."""
        return await self._read(lambda db: _changes(db, self._media, after, limit))

    async def last_change(self) -> int:
        """Return the `seq` of the newest change, 0 when there is none."""
        return await self._read(stream.end)

    async def erase(self, conversation: ConversationId) -> int:
        """Forget what was said in a conversation, and by whom; return how many rows."""

        def erase(db: Connection) -> int:
            while self._indexer.step(db):
                pass
            return history.erase(db, conversation, self._indexer.end)

        return await self._write(erase)

    async def drafts(self, limit: int) -> dict[str, int]:
        """Return how many drafts wait by line, counting at most `limit` of all."""
        return await self._read(lambda db: outbox.drafts(db, limit))

    async def for_person(self, limit: int) -> dict[str, int]:
        """Return how many messages wait for a person by line, counting at most `limit` of all."""
        return await self._read(lambda db: inbox.for_person(db, limit))

    async def counts(self) -> dict[str, int]:
        """Return rows by state, each counted up to 100,000; `outbox.sending` from memory."""
        found = await self._read(_count)
        return found | {"outbox.sending": len(self._flight)}

    # -- handing over ----------------------------------------------------------------------------

    async def _write(self, work: Callable[[Connection], T]) -> T:
        worker, connection = self._writer, self._writing
        if worker is None or connection is None:
            raise StoreUnavailable("the store is closed")
        return await worker.call(lambda: work(connection))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        worker, connection = self._reader, self._reading
        if worker is None or connection is None:
            raise StoreUnavailable("the store is closed")
        return await worker.call(lambda: work(connection))


def _put_numbers(connection: Connection, new: Sequence[Number]) -> None:
    with transaction(connection):
        numbers.put(connection, new)


def _count(connection: Connection) -> dict[str, int]:
    def count(name: str, mark: int) -> int:
        return connection.execute(SQL[name], (mark, COUNTED)).fetchone()[0]

    found = {
        f"outbox.{state.name.lower()}": count("count_outbox", state)
        for state in DeliveryState
        if state not in outbox.UNMARKED
    }
    for state in InboxState:
        if state is not InboxState.DONE:
            found[f"inbox.{state.name.lower()}"] = count("count_inbox", state)
    return found


def _changes(connection: Connection, media: Media, after: int, limit: int) -> Changes:
    with history.snapshot(connection):
        places, seq, is_gap = stream.read(connection, after, limit)
        rows: list[tuple[int, InboxRow | OutboxRow, ConversationState]] = []
        for place, side, ident in places:
            if side == stream.INBOX:
                row = inbox.get(connection, media, ident)
            else:
                row = outbox.get_row(connection, media, ident)
            state = None if row is None else conversations.get(connection, row.conversation)
            if row is not None and state is not None:
                rows.append((place, row, state))
        return Changes(rows, seq, is_gap)
