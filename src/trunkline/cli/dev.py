"""`trunkline dev`: tools for developers. Nothing here meets a user's data."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Annotated

import typer

from .output import print_ready, text, warn


def register(app: typer.Typer) -> None:
    """Add the group `dev`."""
    group = typer.Typer(help=text("开发工具", "Tools for developers."), no_args_is_help=True)
    group.callback()(_group)
    group.command("echo", help=text("原样送回的监听端", "the production listener, echoing"))(echo)
    app.add_typer(group, name="dev")


def _group() -> None:
    """Keep `dev` a group, also with one command in it."""


def echo(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help=text("端口；0 自动选择", "0 picks one"))
    ] = 0,
) -> None:
    """Serve until SIGTERM or Ctrl-C; every message comes back, nothing is stored."""
    from trunkline.app import run_loop
    from trunkline.dev.echo import serve_echo

    def on_trouble(where: str, error: BaseException) -> None:
        warn(f"{where}: {type(error).__name__}: {error}")

    async def main() -> int:
        serving = asyncio.ensure_future(
            serve_echo(port, lambda facts: print_ready(**facts), on_trouble)
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, serving.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        return 0

    raise SystemExit(run_loop(main))
