"""`trunkline dev simulate`: the whole house under one virtual clock, seed after seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .output import ExitCode, fail, print_json, say, text, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.dev.simulate import Report

SHOW_EVERY = 25


def simulate(
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help=text("几个种子", "how many seeds"))
    ] = 100,
    start: Annotated[int, typer.Option("--from", help=text("第一个种子", "the first of them"))] = 1,
    dialect: Annotated[
        list[str] | None,
        typer.Option("--dialect", help=text("方言，可多次给出；默认全部", "may be given again")),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=64, help=text("同时几个进程", "processes"))
    ] = 1,
    messages: Annotated[
        int,
        typer.Option(
            "--messages",
            min=0,
            help=text("一个很长的种子：说满这么多条为止", "one long seed with so many of them"),
        ),
    ] = 0,
    show_trace: Annotated[
        bool, typer.Option("--trace", help=text("打印第一个种子的经过", "print what happens"))
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help=text("输出 JSON", "print JSON"))] = False,
) -> None:
    """Play seeds; each that broke a promise is printed with the command that replays it."""
    from trunkline.dev.simulate.cast import CASTS
    from trunkline.dev.simulate.many import add_up, play_many, replay

    chosen = dialect or []
    if unknown := [name for name in chosen if name not in CASTS]:
        known = ", ".join(CASTS)
        fail(ExitCode.USAGE, text(f"没有方言 {unknown[0]}", f"no dialect {unknown[0]!r}"), known)
    reports: list[Report] = []
    if messages:
        from trunkline.dev.simulate.soak import soak

        def tell(said: int) -> None:
            warn(text(f"消息 {said}/{messages}", f"message {said} of {messages}"))

        reports.append(soak(messages, chosen, start, tell))
        _tell(reports[0], chosen)
    elif show_trace:
        reports.append(replay(start, chosen, say))
        _tell(reports[0], chosen)
    else:
        for report in play_many(range(start, start + seeds), chosen, jobs):
            reports.append(report)
            _tell(report, chosen)
            if len(reports) % SHOW_EVERY == 0:
                warn(text(f"种子 {len(reports)}/{seeds}", f"seed {len(reports)} of {seeds}"))
    sums = add_up(reports)
    if as_json:
        print_json(sums | {"traces": {str(one.seed): one.digest for one in reports}})
    else:
        say(", ".join(f"{name} {value}" for name, value in sums.items()))
        if len(reports) == 1:
            say(f"trace {reports[0].digest}")
    raise SystemExit(ExitCode.PROBLEM if sums["broken"] else ExitCode.GOOD)


def _tell(report: Report, dialects: Sequence[str]) -> None:
    """Say which promises a seed broke, and how to see it again."""
    if not report.broken:
        return
    chosen = "".join(f" --dialect {name}" for name in dialects)
    warn(f"seed {report.seed}: {report.broken[0]}")
    for rule in report.broken[1:]:
        warn(f"    {rule}")
    warn(f"    trunkline dev simulate --seeds 1 --from {report.seed}{chosen} --trace")
