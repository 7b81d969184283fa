"""`trunkline serve`: run. The first time it also makes a folder; `--demo` needs no account.

`--guides` is in `tour.py`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from .output import ExitCode, fail, is_terminal, print_ready, text, warn

if TYPE_CHECKING:
    from trunkline.app import App
    from trunkline.config import Config
    from trunkline.process.doors import Ready

    from .tour import Tour


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", help=text("运行", "Run."))(serve)


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help=text("配置文件", "configuration file"))
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help=text("端口；0 自动选择", "port; 0 picks a free one")
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help=text("演示：模拟访客，无需账号", "simulated people; no account needed")
        ),
    ] = False,
    guides: Annotated[
        bool,
        typer.Option(
            "--guides",
            help=text("指南自己的端口和路径", "the guides' own ports and paths"),
        ),
    ] = False,
    plain: Annotated[
        bool,
        typer.Option("--plain", help=text("--guides 不用 TLS", "with --guides: without TLS")),
    ] = False,
) -> None:
    """Run until SIGTERM or Ctrl-C."""
    if guides and (demo or config is not None):
        fail(
            ExitCode.USAGE,
            text(
                "--guides 自带配置，不能与 --demo 或 -c 同用",
                "--guides has its own configuration: not together with --demo or -c",
            ),
            text(
                "trunkline init --template guides 可写出这份配置",
                "trunkline init --template guides writes that configuration",
            ),
        )
    if plain and not guides:
        fail(ExitCode.USAGE, text("--plain 只用于 --guides", "--plain is only for --guides"))
    tour = _plan_tour(port, is_plain=plain) if guides else None
    with _folder(config, tour, is_demo=demo) as path:
        raise SystemExit(_run(path, port, tour, is_demo=demo))


def _plan_tour(port: int | None, *, is_plain: bool) -> Tour:
    from .tour import plan

    return plan(port, is_plain=is_plain)


@contextlib.contextmanager
def _folder(config: Path | None, tour: Tour | None, *, is_demo: bool) -> Generator[Path]:
    """Find the configuration, or make one: in a temporary folder for the demo and the guides."""
    from trunkline.config import ensure_folder, find_config

    if tour is not None:
        with tempfile.TemporaryDirectory(prefix="trunkline-guides-") as folder:
            yield tour.write(Path(folder))
    elif config is not None:
        yield config
    elif is_demo:
        from trunkline.dev.demo import write_demo

        with tempfile.TemporaryDirectory(prefix="trunkline-demo-") as folder:
            yield write_demo(Path(folder))
    else:
        found = find_config(Path.cwd())
        if found is None:
            folder = Path.cwd() / "trunkline"
            found = ensure_folder(folder)
            warn(text(f"已创建 {found}", f"made {found}"))
        yield found


def _load(path: Path, port: int | None, extra: Mapping[str, str]) -> Config:
    from trunkline.config import load_config

    env = {**os.environ, **extra}
    if port is not None:
        env["TRUNKLINE__SERVER__PORT"] = str(port)
    loaded = load_config(path, env)
    for warning in loaded.warnings:
        warn(text(f"注意：{warning}", f"note: {warning}"))
    return loaded


def _run(path: Path, port: int | None, tour: Tour | None, *, is_demo: bool) -> int:
    from trunkline.app import App
    from trunkline.process.loop import run_loop

    async def main() -> int:
        async with contextlib.AsyncExitStack() as stack:
            extra: Mapping[str, str] = {}
            if is_demo or tour is not None:
                from trunkline.clock import SystemClock
                from trunkline.dev.demo import open_platforms

                opening = tour.open_platforms if tour is not None else open_platforms
                platforms, extra = await opening(SystemClock())
                for platform in platforms:
                    stack.push_async_callback(platform.stop)
            return await live(App(_load(path, port, extra)))

    async def live(app: App) -> int:
        ready = await app.start()
        people = None
        if is_demo:
            from trunkline.dev.demo import Demo

            people = Demo(app.dial, app.clock, ready.url)
            people.start()
        platforms = tour.platforms if tour is not None else {}
        print_ready(url=ready.url, **ready.sockets, **platforms)
        _greet(app, ready, tour)
        # What a start has made stays: the collector need not look through it again, which held up
        # everybody for a tenth of a second each time.
        gc.freeze()
        try:
            await app.run()
        finally:
            if people is not None:
                await people.stop()
        return 0

    return run_loop(main)


def _addresses(name: str, where: Sequence[str]) -> list[str]:
    """Return one row a port: its main address, and how many paths more answer there."""
    ports: dict[str, list[str]] = {}
    for address in where:
        ports.setdefault(urlsplit(address).netloc, []).append(address)
    return [f"{name:<11} {main}{_more(len(others))}" for main, *others in ports.values()]


def _more(others: int) -> str:
    if not others:
        return ""
    return text(f"（另有 {others} 个路径）", f" (and {others} more paths)")


def _greet(app: App, ready: Ready, tour: Tour | None) -> None:
    """Say where things are, on stderr: stdout has the `ready` line alone."""
    lines = [
        text(
            f"trunkline 在 {ready.url} 运行，数据在 {app.config.folder}",
            f"trunkline runs at {ready.url}, data in {app.config.folder}",
        )
    ]
    if ready.demo_url:
        lines.append(text(f"聊天页面    {ready.demo_url}", f"chat page   {ready.demo_url}"))
    lines.append(text(f"API 令牌    {ready.token_file}", f"API token   {ready.token_file}"))
    if tour is None:
        for line in app.lines.values():
            lines.extend(_addresses(line.name, line.where))
    else:
        lines.extend(tour.tell(app.lines, ready.url))
    if app.config.open_lines:
        names = ", ".join(app.config.open_lines)
        lines.append(
            text(
                f"开放线路（仅本机，无令牌）：{names}",
                f"open lines (this machine only, no token): {names}",
            )
        )
    if is_terminal():
        lines.append(text("Ctrl-C 结束", "Ctrl-C stops it"))
    warn(*lines)
