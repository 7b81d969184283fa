"""The drafts of a conversation are found at once; what lines have used up of their paces."""

from __future__ import annotations

from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, text

revision = "0005"
down_revision = "0004"

_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()
Table(
    "pace",
    metadata,
    Column("line", Text(), primary_key=True),
    Column("day", _BIG, nullable=False),
    Column("sent", _BIG, nullable=False),
    Column("last_ms", _BIG, nullable=False),
)


def upgrade() -> None:
    """Add the table and the index."""
    metadata.create_all(op.get_bind(), checkfirst=False)
    op.create_index("outbox_drafts", "outbox", ["conversation"], sqlite_where=text("mark = 0"))


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("outbox_drafts", "outbox")
    metadata.drop_all(op.get_bind(), checkfirst=False)
