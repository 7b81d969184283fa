"""The tables of the first answer, written out as they were then: frozen.

`schema.py` says how they are now; every later change has a number of its own.
"""

from __future__ import annotations

from typing import Any, Final

from alembic import op
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

revision = "0001"
down_revision = None

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


Table(
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
    Index("conversation_chat", "line", "account", "peer", "kind", unique=True),
)

Table(
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
    Index("inbox_key", "key", "conversation", unique=True),
    Index("inbox_mark", "mark", "conversation", sqlite_where=text("mark IS NOT NULL")),
    Index("inbox_media", "media", sqlite_where=text("media IS NOT NULL")),
)

Table(
    "outbox",
    metadata,
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
    Index("outbox_mark", "mark", sqlite_where=text("mark IS NOT NULL")),
    Index("outbox_queued", "conversation", sqlite_where=text("mark = 1")),
    Index("outbox_dedupe", "dedupe", unique=True, sqlite_where=text("dedupe IS NOT NULL")),
    Index("outbox_media", "media", sqlite_where=text("media IS NOT NULL")),
)

Table(
    "kept",
    metadata,
    Column("line", Text(), primary_key=True),
    Column("account", Text(), primary_key=True),
    _bytes("state", is_optional=False),
)

Table(
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
    Index("turn_due", "due_ms"),
)

Table("meta", metadata, Column("name", Text(), primary_key=True), _number("value"))


def upgrade() -> None:
    """Create everything."""
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Drop everything."""
    metadata.drop_all(op.get_bind(), checkfirst=False)
