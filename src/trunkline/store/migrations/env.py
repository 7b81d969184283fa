"""Run by Alembic for each upgrade, on the connection that the caller made.

Source: `measurements.md`, SQLite with Alembic so that a killed migration can be rerun.
"""

from __future__ import annotations

from typing import Any

from alembic import context

from trunkline import failpoints
from trunkline.store.schema import metadata


def _applied(*_: Any, **__: Any) -> None:
    """Stand between the statements of a migration and its commit."""
    failpoints.hit("migrate.mid")


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=True,
    on_version_apply=_applied,
)
with context.begin_transaction():
    context.run_migrations()
