"""Numbers for what has other ids: chats, people and messages of lines that another line carries."""

from __future__ import annotations

from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text

revision = "0003"
down_revision = "0002"

_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()
Table(
    "number",
    metadata,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("line", Text(), nullable=False),
    Column("kind", Text(), nullable=False),
    Column("ident", Text(), nullable=False),
    Column("row", _BIG, nullable=True),
    Index("number_ident", "line", "kind", "ident", unique=True),
    Index("number_row", "row", sqlite_where=text("row IS NOT NULL")),
)


def upgrade() -> None:
    """Add the table."""
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Take it away again."""
    metadata.drop_all(op.get_bind(), checkfirst=False)
