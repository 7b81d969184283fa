"""Second keys of messages, for platforms that know a message by two ids."""

from __future__ import annotations

from typing import Final

from alembic import op
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table

revision = "0004"
down_revision = "0003"

_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()
Table(
    "alias",
    metadata,
    Column("key", LargeBinary(), primary_key=True),
    Column("conversation", _BIG, primary_key=True, autoincrement=False),
    Column("row", _BIG, nullable=False),
    Index("alias_row", "row"),
    sqlite_with_rowid=False,
)


def upgrade() -> None:
    """Add the table."""
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Take it away again: a repeat under its second id is a new message then."""
    metadata.drop_all(op.get_bind(), checkfirst=False)
