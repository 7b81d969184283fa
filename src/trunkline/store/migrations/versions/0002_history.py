"""History, the list of conversations, and the stream of changes.

Rows that are there already are indexed here, in one sorted pass each; in the stream they stand
where their ids stand, so none of them is written again.
"""

from __future__ import annotations

from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

revision = "0002"
down_revision = "0001"

_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()
Table(
    "history",
    metadata,
    Column("conversation", _BIG, primary_key=True, autoincrement=False),
    Column("id", _BIG, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Table(
    "active",
    metadata,
    Column("conversation", _BIG, primary_key=True, autoincrement=False),
    Column("line", Text(), nullable=False),
    Column("id", _BIG, nullable=False),
    Index("active_line", "line", "id"),
    Index("active_id", "id"),
)
Table(
    "stream",
    metadata,
    Column("seq", _BIG, primary_key=True, autoincrement=False),
    Column("side", _BIG, nullable=False),
    Column("first", _BIG, nullable=False),
    Column("last", _BIG, nullable=False),
)

_FILL: Final = (
    """
    INSERT INTO history (conversation, id)
    SELECT conversation, id FROM (
        SELECT conversation, id FROM inbox
        UNION ALL SELECT conversation, id FROM outbox
    ) AS rows ORDER BY conversation, id
    """,
    # 1 = NOTICE: nobody said it.
    """
    INSERT INTO active (conversation, line, id)
    SELECT n.conversation, c.line, max(n.id)
    FROM (SELECT conversation, id FROM inbox WHERE kind <> 1
          UNION ALL SELECT conversation, id FROM outbox) AS n
    JOIN conversation c ON c.id = n.conversation
    GROUP BY n.conversation, c.line
    """,
    """
    INSERT INTO meta (name, value)
    SELECT 'history', coalesce(max(id), 0)
    FROM (SELECT max(id) AS id FROM inbox UNION ALL SELECT max(id) FROM outbox) AS ends
    """,
    # Sides 0 and 1: rows of the inbox and of the outbox as they were inserted.
    """
    INSERT INTO stream (seq, side, first, last)
    SELECT 1, 0, low, high FROM (SELECT min(id) AS low, max(id) AS high FROM inbox) AS ends
    WHERE low IS NOT NULL
    """,
    """
    INSERT INTO stream (seq, side, first, last)
    SELECT (SELECT coalesce(max(seq + last - first) + 1, 1) FROM stream), 1, low, high
    FROM (SELECT min(id) AS low, max(id) AS high FROM outbox) AS ends
    WHERE low IS NOT NULL
    """,
)


def upgrade() -> None:
    """Add what is new and fill it from what is there."""
    op.add_column("inbox", Column("seq", _BIG, nullable=True))
    op.add_column("outbox", Column("seq", _BIG, nullable=True))
    op.add_column("outbox", Column("context", LargeBinary(), nullable=True))
    metadata.create_all(op.get_bind(), checkfirst=False)
    for sentence in _FILL:
        op.execute(sentence)


def downgrade() -> None:
    """Take it away again."""
    metadata.drop_all(op.get_bind(), checkfirst=False)
    op.execute("DELETE FROM meta WHERE name = 'history'")
    op.drop_column("outbox", "context")
    op.drop_column("outbox", "seq")
    op.drop_column("inbox", "seq")
