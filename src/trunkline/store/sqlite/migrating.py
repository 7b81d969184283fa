"""Brings a SQLite file to the newest revision. Alembic and SQLAlchemy are imported here, on use.

Each migration is one transaction: a process killed in the middle leaves the revision before it,
and the next start goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trunkline.store import migrations

from .connection import Connection


def upgrade(
    connect: Callable[[], Connection], scripts: Sequence[Path] = (), to: str = "heads"
) -> None:
    """Run every migration that the database has not seen.

    Args:
        connect: opens the database with `isolation_level=None`.
        scripts: further folders with migrations; tests add some.
        to: the last revision to run; tests make older data.
    """
    from alembic import command

    _run(connect, scripts, lambda config: command.upgrade(config, to))


def downgrade(connect: Callable[[], Connection], to: str = "-1") -> None:
    """Take migrations back: for the crash harness, which then has one to run at the next start.

    Args:
        connect: as in `upgrade`.
        to: the revision to go back to, or how many steps.
    """
    from alembic import command

    _run(connect, (), lambda config: command.downgrade(config, to))


def _run(
    connect: Callable[[], Connection], scripts: Sequence[Path], change: Callable[[Any], None]
) -> None:
    from alembic.config import Config
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    here = Path(migrations.__file__).parent
    config = Config()
    config.set_main_option("script_location", str(here).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    folders = "\n".join(map(str, (here / "versions", *scripts)))
    config.set_main_option("version_locations", folders.replace("%", "%%"))
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    def begin(connection: Any) -> None:
        # The driver begins no transaction by itself before DDL; this one does, at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            change(config)
    finally:
        engine.dispose()
