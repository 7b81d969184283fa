"""The tables of the first answer.

From the first release on this file is frozen: what changes in `schema.py` then gets a number of
its own, and the tables as they are here are written out.
"""

from __future__ import annotations

from alembic import op

from trunkline.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    metadata.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Drop everything."""
    metadata.drop_all(op.get_bind(), checkfirst=False)
