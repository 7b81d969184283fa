"""`trunkline dev`: tools for developers. Nothing here meets a user's data."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Annotated, Final

import msgspec
import typer

from .output import ExitCode, fail, print_ready, say, text, warn
from .simulate import simulate

_SHOW_EVERY: Final = 25


def register(app: typer.Typer) -> None:
    """Add the group `dev`."""
    group = typer.Typer(help=text("开发工具", "Tools for developers."), no_args_is_help=True)
    group.callback()(_group)
    group.command("echo", help=text("原样送回的监听端", "the production listener, echoing"))(echo)
    group.command(
        "testee-client",
        help=text("接受 WebSocket 一致性测试的客户端", "the production client, to be examined"),
    )(examine_client)
    group.command(
        "torture",
        help=text("反复 kill -9，检查无丢失无重复", "kill -9 again and again, then check"),
    )(torture)
    group.command(
        "soak", help=text("长时间混合负载，不得增长", "mixed load with faults; nothing may grow")
    )(soak)
    group.command(
        "simulate", help=text("确定性模拟，逐个种子", "deterministic simulation, seed by seed")
    )(simulate)
    app.add_typer(group, name="dev")


def _group() -> None:
    """Keep `dev` a group, also with one command in it."""


def echo(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help=text("端口；0 自动选择", "0 picks one"))
    ] = 0,
) -> None:
    """Serve until SIGTERM or Ctrl-C; every message comes back, nothing is stored."""
    from trunkline.dev.echo import serve_echo
    from trunkline.process.loop import run_loop

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


def examine_client(
    url: Annotated[
        str, typer.Option("--url", help=text("测试服务器地址", "of the examining server"))
    ],
    agent: Annotated[
        str, typer.Option("--agent", help=text("报告中的名字", "the name in its report"))
    ] = "trunkline",
) -> None:
    """Run every case of a WebSocket conformance server; prints one JSON line at the end."""
    from trunkline.dev.testee import Examinee
    from trunkline.process.loop import run_loop

    troubles: list[str] = []

    def on_trouble(where: str, error: BaseException) -> None:
        troubles.append(f"{where}: {type(error).__name__}: {error}")
        warn(troubles[-1])

    async def main() -> int:
        examined = await Examinee(url, agent, on_trouble).run(_show_case)
        for line in examined.unopened:
            warn(line)
        facts = {"cases": examined.cases, "unopened": len(examined.unopened)}
        say(msgspec.json.encode(facts | {"troubles": len(troubles)}).decode())
        return ExitCode.PROBLEM if examined.unopened or troubles else ExitCode.GOOD

    raise SystemExit(run_loop(main))


def _show_case(number: int, count: int) -> None:
    if number == count or number % _SHOW_EVERY == 0:
        warn(text(f"测试用例 {number}/{count}", f"case {number} of {count}"))


def torture(
    dialect: Annotated[
        list[str], typer.Option("--dialect", help=text("方言，可多次给出", "may be given again"))
    ],
    kills: Annotated[int, typer.Option("--kills", min=1, help=text("次数", "how many"))] = 40,
    messages: Annotated[
        int, typer.Option("--messages", min=0, help=text("消息上限；0 不限", "at most; 0 = any"))
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help=text("随机种子", "of all chance"))] = 1,
    names: Annotated[
        str,
        typer.Option("--failpoints", help=text("all、none 或逗号分隔", "all, none, or NAME,NAME")),
    ] = "all",
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=8, help=text("同时运行几个", "runs at once"))
    ] = 1,
) -> None:
    """Torture the product once per dialect; one JSON line each, exit 0 only when all are clean."""
    from trunkline.dev.torture.bench import Unknown, run_all

    try:
        verdicts = run_all(dialect, kills, messages, seed, names, jobs, warn)
    except Unknown as error:
        fail(ExitCode.USAGE, str(error))
    is_clean = True
    for line, verdict in verdicts:
        say(line)
        for problem in verdict.problems:
            warn(problem)
        is_clean = is_clean and verdict.is_clean
    raise SystemExit(ExitCode.GOOD if is_clean else ExitCode.PROBLEM)


def soak(
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help=text("多久", "how long"))
    ] = 30.0,
    clock_scale: Annotated[
        float,
        typer.Option(
            "--clock-scale",
            min=0,
            max=100_000,
            help=text(
                "墙上时钟快多少倍；0 自动", "how much faster its wall clock runs; 0 = by itself"
            ),
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help=text("随机种子", "of all chance"))] = 1,
    is_json: Annotated[
        bool, typer.Option("--json", help=text("附上全部采样", "with every sample"))
    ] = False,
) -> None:
    """Load the product for some time; prints one JSON line, exit 0 only when nothing grew."""
    from trunkline.dev.soak.runner import run_soak
    from trunkline.process.loop import run_loop

    async def main() -> int:
        result = await run_soak(minutes, clock_scale, seed, warn)
        say(result.to_json(has_samples=is_json).decode())
        for problem in result.verdict.problems:
            warn(problem)
        return ExitCode.GOOD if result.is_clean else ExitCode.PROBLEM

    raise SystemExit(run_loop(main))
