"""`trunkline migrate`: bring the data file up to date without serving.

`serve` does the same at its start; this command is for who wants to know beforehand. It takes the
data folder's lock, so a running server is never migrated under.
"""

from __future__ import annotations

import asyncio

import typer

from trunkline.clock import SystemClock

from .client import ConfigOption
from .loading import load
from .output import say, text


def register(app: typer.Typer) -> None:
    """Add the command `migrate`."""
    summary = text("升级数据文件，不启动服务。", "Bring the data up to date without serving.")
    app.command("migrate", help=summary)(migrate)


def migrate(config: ConfigOption = None) -> None:
    """Migrate the data folder of a configuration."""
    loaded = load(config)
    path = loaded.folder / loaded.store.filename
    if not path.is_file():
        say(text(f"{path} 还不存在，无需升级", f"{path} does not exist yet: nothing to migrate"))
        return
    from trunkline.store.sqlite import SqliteStore

    store = SqliteStore(
        loaded.folder,
        clock=SystemClock(),
        synchronous="NORMAL" if loaded.store.synchronous == "normal" else "FULL",
        filename=loaded.store.filename,
    )

    async def migrate_store() -> None:
        await store.open()
        await store.close()

    asyncio.run(migrate_store())
    say(text(f"{path} 已是最新", f"{path} is up to date"))
