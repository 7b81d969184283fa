"""`trunkline emulate`: play the other side of a dialect, for tests and trials on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from .output import ExitCode, fail, print_json, print_ready, say, text, warn

if TYPE_CHECKING:
    from trunkline.dev.demo import Script
    from trunkline.dev.market import MarketScript
    from trunkline.dev.people import People

PROGRESS_S = 2.0
PATIENCE_S = 10.0  # without anything new: nobody answers there
PLATFORMS = frozenset({"boss", "xianyu"})  # a line dials them, and calls them over HTTP
LISTENING_PEOPLE = frozenset({"implementation"})  # roles whose people may also be dialled


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("emulate", help=text("模拟对端", "Play the other side."))(emulate)


def emulate(
    dialect: Annotated[str, typer.Argument(help="boss | contact | maim | onebot11 | xianyu")],
    dial: Annotated[
        str, typer.Option("--dial", help=text("连接的地址", "the address to dial"))
    ] = "",
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help=text("监听端口", "listen here"))
    ] = None,
    role: Annotated[str, typer.Option("--role", help=text("角色", "which role to play"))] = "",
    people: Annotated[
        int, typer.Option("--people", min=1, max=1000, help=text("几个人", "how many"))
    ] = 3,
    messages: Annotated[
        int,
        typer.Option("--messages", min=0, help=text("每人几句；0 不停", "lines each; 0 = no end")),
    ] = 3,
    pace: Annotated[
        float, typer.Option("--pace", min=0.001, help=text("两句之间的秒数", "seconds between"))
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help=text("随机种子", "seed"))] = 1,
    script: Annotated[
        Path | None, typer.Option("--script", help=text("每行一句", "a file, one line each"))
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            help=text(
                "NAME=概率，可写多次；emulate 方言 --fault help 列出全部。"
                "demand 之后由人验证：curl -X POST 就绪行里的 verify_url",
                "NAME=P, may be repeated; emulate DIALECT --fault help lists them all. After a "
                "demand a person verifies: curl -X POST the verify_url of the ready line",
            ),
        ),
    ] = None,
    token: Annotated[
        Path | None, typer.Option("--token-file", help=text("令牌文件", "file with the token"))
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=text("输出 JSON", "print JSON"))] = False,
) -> None:
    """Let simulated people dial an address, or play the other side on a port."""
    _check_dialect(dialect)
    if fault and "help" in fault:
        say(*_faults_of(dialect))
        return
    _check(dialect, dial, port, role)
    lines = _read_script(script, is_json=dialect == "onebot11")
    faults = _read_faults(fault or [])
    secret = token.read_text(encoding="utf-8").strip() if token is not None else ""
    if port is not None and dialect in PLATFORMS:
        from trunkline.dev.market import MarketScript

        people_of = MarketScript(pace, messages, seed, lines, faults, secret, people)
        raise SystemExit(_serve_market(dialect, port, people_of, as_json=as_json))
    if port is not None and role not in LISTENING_PEOPLE:
        from trunkline.dev.site import run_echo_site

        run_echo_site(dialect, port, print_ready)
        return
    if port is not None:
        from trunkline.dev.demo import Script

        _listen(dialect, port, Script(pace, messages, seed, lines, faults, secret), as_json=as_json)
        return

    async def main() -> int:
        from trunkline.clock import SystemClock
        from trunkline.dev.demo import Script, make_people
        from trunkline.dev.dialling import open_dialler

        clock = SystemClock()
        try:
            script_of = Script(pace, messages, seed, lines, faults, secret)
            group = make_people(dialect, dial, people, open_dialler(clock), clock, script_of)
        except ValueError as error:
            fail(ExitCode.USAGE, str(error))
        patience_s = max(PATIENCE_S, 3 * pace)
        await _live(group, is_endless=messages == 0, is_quiet=as_json, patience_s=patience_s)
        code = _report(group.tally, as_json=as_json)
        if not group.has_met_anybody:
            why = group.error or text("没有应答", "no answer")
            fail(
                ExitCode.PROBLEM,
                text(f"从未连上 {dial}：{why}", f"never connected to {dial}: {why}"),
                text("需要令牌时用 --token-file FILE", "a token goes in --token-file FILE"),
            )
        return code

    from trunkline.process.loop import run_loop

    raise SystemExit(run_loop(main))


def _listen(dialect: str, port: int, script: Script, *, as_json: bool) -> None:
    """Let simulated people wait on a port; when it ends, say what they saw."""
    from trunkline.dev.demo import make_options, make_world
    from trunkline.dev.site import run_people_site

    options = make_options(dialect, script, link="listen", bind=(f"127.0.0.1:{port}",))
    try:
        world = make_world(dialect, options, script)
    except ValueError as error:
        fail(ExitCode.USAGE, str(error))
    run_people_site(dialect, options, world, port, print_ready)
    raise SystemExit(_report(msgspec.structs.asdict(world.tally), as_json=as_json))


def _faults_of(dialect: str) -> list[str]:
    """Return the names of everything that an emulator can do wrong."""
    world = importlib.import_module(f"trunkline.dialects.{dialect}.emulator")
    return sorted(world.FAULTS)


def _check_dialect(dialect: str) -> None:
    from trunkline.dialects.registry import DIALECTS

    if dialect not in DIALECTS:
        known = ", ".join(DIALECTS)
        fail(ExitCode.USAGE, text(f"没有方言 {dialect}", f"no dialect {dialect!r}"), known)


def _check(dialect: str, dial: str, port: int | None, role: str) -> None:
    from trunkline.dialects.registry import DIALECTS

    if (port is None) == (not dial):
        fail(
            ExitCode.USAGE,
            text("--dial 与 --port 二选一", "give --dial URL or --port N, one of them"),
        )
    found = DIALECTS[dialect]
    # On a port the first role that listens; over there the last one, if it dials at all.
    played = found.roles[-1:] if port is None else found.roles
    allowed = found.dials if port is None else found.listens
    expected = next((one for one in played if one in allowed), "")
    if not expected:
        fail(
            ExitCode.USAGE,
            text(
                f"{dialect} 只能用 --port 模拟：线路拨出到它",
                f"{dialect} is emulated with --port: a line dials it",
            ),
        )
    listens = port is not None and role in LISTENING_PEOPLE and role in found.roles
    if role and role != expected and not listens:
        fail(
            ExitCode.USAGE,
            text(f"此处的角色是 {expected}", f"the role here is {expected}"),
        )
    if dial:
        host = urlsplit(dial).hostname or ""
        if host not in ("127.0.0.1", "::1", "localhost"):
            # House rule: simulated people never meet a real platform.
            fail(
                ExitCode.USAGE,
                text("模拟只连接本机", "simulated people dial this machine only"),
            )


def _serve_market(dialect: str, port: int, script: MarketScript, *, as_json: bool) -> int:
    from trunkline.dev.market import serve_market
    from trunkline.process.loop import run_loop

    async def main() -> int:
        try:
            tally = await serve_market(port, script, print_ready, dialect)
        except ValueError as error:
            fail(ExitCode.USAGE, str(error))
        return _report(tally, as_json=as_json)

    return run_loop(main)


def _read_script(path: Path | None, *, is_json: bool) -> tuple[str, ...]:
    """Read the lines of a script.

    Args:
        is_json: a line that begins with `{` is an event, and must be one.
    """
    if path is None:
        return ()
    found: list[str] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if is_json and line.startswith("{"):
            try:
                msgspec.json.decode(line, type=dict[str, object])
            except msgspec.DecodeError as error:
                fail(
                    ExitCode.USAGE,
                    text(
                        f"{path}:{number}：不是 JSON 对象：{error}",
                        f"{path}:{number}: no JSON object: {error}",
                    ),
                )
        found.append(line)
    if not found:
        fail(ExitCode.USAGE, text(f"{path}：没有一句话", f"{path}: there is no line in it"))
    return tuple(found)


def _read_faults(faults: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for fault in faults:
        name, _, chance = fault.partition("=")
        try:
            found[name] = float(chance or "0.1")
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] <= 1:
            fail(
                ExitCode.USAGE,
                text(f"{fault}：写成 NAME=0…1", f"{fault}: write NAME=P, P within 0 … 1"),
            )
    return found


async def _live(group: People, *, is_endless: bool, is_quiet: bool, patience_s: float) -> None:
    """Run until everybody has left, or Ctrl-C; say now and then how far they are."""
    task = asyncio.ensure_future(group.run())
    quiet_s = 0.0
    try:
        while not task.done():
            before = dict(group.tally)
            await asyncio.wait({task}, timeout=PROGRESS_S)
            if group.is_over and not is_endless:
                break
            quiet_s = quiet_s + PROGRESS_S if group.tally == before else 0.0
            if not is_endless and quiet_s >= patience_s:
                warn(text("对端不再回应，结束", "nothing happens any more, giving up"))
                break
            if not is_quiet and not quiet_s:
                warn(", ".join(f"{name} {count}" for name, count in group.tally.items()))
    except asyncio.CancelledError:
        warn(text("结束", "stopping"))
    finally:
        group.stop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _report(counts: Mapping[str, int], *, as_json: bool) -> int:
    if as_json:
        print_json(dict(counts))
    else:
        say(", ".join(f"{name} {count}" for name, count in counts.items()))
    is_clean = not counts.get("doubled") and not counts.get("misordered")
    return int(ExitCode.GOOD if is_clean else ExitCode.PROBLEM)
