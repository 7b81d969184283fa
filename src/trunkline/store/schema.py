"""The tables, once, for both back-ends. Imported by migrations and tests only: a start that needs
no migration never loads SQLAlchemy (`measurements.md`: 0.35 s and 19 MB).

Rules of the hot tables, `inbox` and `outbox` (`measurements.md`, "Index locality decides"):

- No index is led by the conversation, but for rows in rare states.
- What a row is looked up by while it needs attention is in `mark`, which is NULL in the states
  that nearly all rows are in. The partial indexes over `mark` therefore cost a beat nothing: no
  entry is written, and an update that leaves `mark` alone does not even look at them. (Measured:
  eight partial indexes over `state` cost 2.5 µs a message, one over SENDING rows 1.5 µs, these
  none that shows.)
- Ids contain the time (`ids.py`), so `id < bound` is what retention and lists page by.
- Bodies come last, so that what stands before them is read without them; what a later migration
  added stands behind them, since a column can only be added there.
- What people look up by conversation, and the order of changes, are in tables beside these, which
  cost a beat a row or nothing at all (`history`, `active`, `stream`).

Every index says which rule it enforces or which look-up it serves.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

# 63-bit ids; SQLite's row id is spelt INTEGER and holds 64 bits.
_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()


def _key(name: str) -> Column[Any]:
    return Column(name, _BIG, primary_key=True, autoincrement=False)


def _number(name: str, *, is_optional: bool = False) -> Column[Any]:
    return Column(name, _BIG, nullable=is_optional)


def _text(name: str, *, is_optional: bool = False) -> Column[Any]:
    return Column(name, Text(), nullable=is_optional)


def _bytes(name: str, *, is_optional: bool = True) -> Column[Any]:
    return Column(name, LargeBinary(), nullable=is_optional)


def _conversation() -> Column[Any]:
    return Column("conversation", _BIG, ForeignKey("conversation.id"), nullable=False)


conversation = Table(
    "conversation",
    metadata,
    _key("id"),
    _text("line"),
    _text("account"),
    _text("peer"),
    _text("kind"),
    _text("name"),
    _bytes("context", is_optional=False),
    _bytes("state"),
    # A chat has one row, whoever writes first; and a seat finds its chats by (line, account, peer).
    Index("conversation_chat", "line", "account", "peer", "kind", unique=True),
)

inbox = Table(
    "inbox",
    metadata,
    _key("id"),
    _conversation(),
    _bytes("key"),
    _number("kind"),
    _number("state"),
    _number("at_ms"),
    _number("attempts"),
    _text("reason"),
    _number("mark", is_optional=True),
    _bytes("media"),
    _bytes("why"),
    _bytes("body"),
    # Where the row stands in the stream of changes; NULL = where its id stands (`stream`).
    _number("seq", is_optional=True),
    # An event is stored once: this index is the de-duplication (reliability 1). The key leads and
    # begins with the peer's time, so that new keys share a page.
    Index("inbox_key", "key", "conversation", unique=True),
    # A turn finds its WAITING rows; lists find dead and discarded rows, requests, and who waits for
    # a person.
    Index("inbox_mark", "mark", "conversation", sqlite_where=text("mark IS NOT NULL")),
    # A media file is deleted only when no row names it.
    Index("inbox_media", "media", sqlite_where=text("media IS NOT NULL")),
)

outbox = Table(
    "outbox",
    metadata,
    # The key of an answer is made from its question's: that alone forbids a second one.
    _key("id"),
    _conversation(),
    _number("state"),
    _number("at_ms"),
    _text("source"),
    _number("attempt"),
    _number("due_ms"),
    _number("expires_ms"),
    _number("settled_ms"),
    _text("reason"),
    _text("peer_id"),
    _text("dedupe", is_optional=True),
    _number("mark", is_optional=True),
    _bytes("media"),
    _bytes("body"),
    _number("seq", is_optional=True),  # as in `inbox`
    _bytes("context"),  # what a delivery that answers nothing is addressed by
    # An account's queue leaves oldest first; lists find what waits for a person or has failed.
    Index("outbox_mark", "mark", sqlite_where=text("mark IS NOT NULL")),
    # A visitor's queue is found among those of all others (1 = QUEUED).
    Index("outbox_queued", "conversation", sqlite_where=text("mark = 1")),
    # Of the drafts of one conversation only the newest wait for a person (0 = DRAFT).
    Index("outbox_drafts", "conversation", sqlite_where=text("mark = 0")),
    # An `Idempotency-Key` sends once.
    Index("outbox_dedupe", "dedupe", unique=True, sqlite_where=text("dedupe IS NOT NULL")),
    # A media file is deleted only when no row names it.
    Index("outbox_media", "media", sqlite_where=text("media IS NOT NULL")),
)

kept = Table(
    "kept",
    metadata,
    Column("line", Text(), primary_key=True),
    Column("account", Text(), primary_key=True),
    _bytes("state", is_optional=False),
)

turn = Table(
    "turn",
    metadata,
    Column(
        "conversation",
        _BIG,
        ForeignKey("conversation.id"),
        primary_key=True,
        autoincrement=False,
    ),
    _number("due_ms"),
    _number("since_ms"),
    _text("kind"),
    _number("attempts"),
    # Due rows are taken up in the order of their time, four times a second.
    Index("turn_due", "due_ms"),
)

# What was said in a conversation, by row id. Filled in batches behind the beats, up to the id in
# `meta` named `history`; what is newer is read from the tables themselves (`sqlite/history.py`).
history = Table(
    "history",
    metadata,
    Column("conversation", _BIG, primary_key=True, autoincrement=False),
    Column("id", _BIG, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# The newest row of each conversation, filled with `history`.
active = Table(
    "active",
    metadata,
    Column("conversation", _BIG, primary_key=True, autoincrement=False),
    _text("line"),
    _number("id"),
    # The conversations of a line, and of all lines, last active first.
    Index("active_line", "line", "id"),
    Index("active_id", "id"),
)

# The order of changes: one row for each run of rows that one commit wrote (`sqlite/stream.py`).
stream = Table(
    "stream",
    metadata,
    _key("seq"),
    _number("side"),
    _number("first"),
    _number("last"),
)

# Positive int32 numbers for peers that know no other ids (a line that carries another): of chats,
# of messages, and of messages that were only heard of. Counted up, never given twice.
number = Table(
    "number",
    metadata,
    _key("id"),
    _text("line"),
    _text("kind"),
    _text("ident"),
    # The inbox or outbox row that it is forgotten with; NULL = never.
    _number("row", is_optional=True),
    # What has a number keeps it.
    Index("number_ident", "line", "kind", "ident", unique=True),
    # Retention forgets the numbers of a row with it.
    Index("number_row", "row", sqlite_where=text("row IS NOT NULL")),
)

# What each line with a pace has used up of it: a restart must not begin the day anew.
pace = Table(
    "pace",
    metadata,
    Column("line", Text(), primary_key=True),
    _number("day"),
    _number("sent"),
    _number("last_ms"),
)

# The second key of a message, where a platform has two ids for it: it repeats whoever has either.
alias = Table(
    "alias",
    metadata,
    Column("key", LargeBinary(), primary_key=True),
    Column("conversation", _BIG, primary_key=True, autoincrement=False),
    _number("row"),
    # Retention forgets the second key of a row with it.
    Index("alias_row", "row"),
    sqlite_with_rowid=False,
)

# Small facts about the database itself: `fence` counts its starts, `history` is how far it goes.
meta = Table("meta", metadata, Column("name", Text(), primary_key=True), _number("value"))
