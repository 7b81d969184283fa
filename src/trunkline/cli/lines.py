"""`trunkline lines`: how every line is, and steering one of them."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, Final

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect, in_path, see_help
from .output import CommandFailed, ExitCode, fail, format_table, print_json, say, text, warn
from .rows import MODES, ago, clean, line_state, pace_line, pace_word, word

NameArgument = Annotated[str, typer.Argument(help=text("线路名", "the line's name"))]

MAX_CHARS: Final = 65_536
PATIENCE_S: Final = 30.0
LOOK_S: Final = 0.25
SHOWN_ODDITIES: Final = 10


def register(app: typer.Typer) -> None:
    """Add the group `lines`."""
    group = typer.Typer(
        help=text("线路：查看与控制", "See and steer lines."), invoke_without_command=True
    )
    group.callback()(list_lines)
    group.command("show", help=text("一条线路的详情", "Everything about one line."))(show)
    group.command("pause", help=text("保持连接，不发送", "Stay connected, send nothing."))(pause)
    group.command("resume", help=text("结束暂停", "End a pause."))(resume)
    group.command("reconnect", help=text("立即重连", "Dial now."))(reconnect)
    group.command("mode", help=text("自动、草稿或关闭", "auto, draft or off."))(mode)
    group.command(
        "credential",
        help=text("换新凭证（从标准输入读）", "Give new credentials (read from stdin)."),
    )(credential)
    app.add_typer(group, name="lines")


def list_lines(
    context: typer.Context,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print the table of lines, unless a subcommand follows."""
    if context.invoked_subcommand is not None:
        return
    with connect(config, url) as client:
        document = client.get("/api/v1/lines")
    if as_json:
        print_json(document)
        return
    lines: list[dict[str, Any]] = document["lines"]
    if not lines:
        say(text("没有线路；见 trunkline init", "There are no lines; see trunkline init."))
        return
    header = (
        ("线路", "方言", "连接", "状态", "模式", "今日", "收/发", "最近")
        if text("zh", "en") == "zh"
        else ("LINE", "DIALECT", "LINK", "STATE", "MODE", "TODAY", "IN/OUT", "LAST")
    )
    rows = [
        (
            line["name"],
            line["dialect"],
            line["link"],
            line_state(line),
            word(MODES, line["mode"]),
            pace_word(line),
            f"{line['received']}/{line['sent']}",
            ago(line["last"]),
        )
        for line in lines
    ]
    say(*format_table(header, rows))
    waiting = [line["name"] for line in lines if "needs-you" in line["overlays"]]
    if waiting:
        names = ", ".join(waiting)
        say(text(f"{len(waiting)} 条线路需要你：{names}", f"{len(waiting)} need you: {names}"))
    for line in lines:
        _say_waiting(line)


def show(
    name: NameArgument,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print one line with its links."""
    with connect(config, url) as client:
        line = client.get(f"/api/v1/lines/{in_path(name)}")
    if as_json:
        print_json(line)
        return
    _say_line(line)
    for address in line["where"]:
        say(f"  {text('地址', 'address')}  {address}")
    for seat in line["seats"]:
        who = clean(seat["account"] or seat["key"], 60)
        say(f"  {text('连接', 'link')}  {who}  {clean(seat['peer'], 60)}  {ago(seat['since'])}")
    if line["links"] > len(line["seats"]):
        say(f"  … {line['links']}")
    oddities: list[dict[str, Any]] = line.get("oddities", [])  # an older server does not say
    for one in oddities[:SHOWN_ODDITIES]:
        times = f" ×{one['times']}" if one["times"] > 1 else ""
        what = f"{clean(one['kind'], 60)}{times}"
        say(f"  {text('异常', 'oddity')}  {what}  {clean(one['detail'], 120)}  {ago(one['last'])}")
    if len(oddities) > SHOWN_ODDITIES:
        say(f"  … {len(oddities)}  --json")


def pause(name: NameArgument, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Pause one line."""
    _steer(name, "pause", None, config, url)


def resume(name: NameArgument, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Resume one line."""
    _steer(name, "resume", None, config, url)


def reconnect(name: NameArgument, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Reconnect one line."""
    _steer(name, "reconnect", None, config, url)


def mode(
    name: NameArgument,
    wanted: Annotated[str, typer.Argument(metavar="auto|draft|off")],
    config: ConfigOption = None,
    url: UrlOption = "",
) -> None:
    """Set one line's mode until the next start."""
    _steer(name, "mode", {"mode": wanted}, config, url)


def credential(name: NameArgument, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Give a line new credentials, and wait until they work or do not."""
    if sys.stdin.isatty():
        warn(
            text(
                "粘贴凭证（闲鱼：整段 Cookie），回车后按 Ctrl-D",
                "paste them (闲鱼: the whole Cookie header), then Enter and Ctrl-D",
            )
        )
    given = sys.stdin.read(MAX_CHARS + 1).strip()
    if not given:
        fail(ExitCode.USAGE, text("标准输入是空的", "there is nothing on stdin"))
    path = f"/api/v1/lines/{in_path(name)}"
    with connect(config, url) as client:
        try:
            line = client.put(f"{path}/credential", {"credential": given})
        except CommandFailed as refused:
            if refused.fix == see_help():
                refused.fix = f"trunkline lines credential {name} < FILE"
            raise
        deadline_s = time.monotonic() + PATIENCE_S
        while line["state"] not in ("CONNECTED", "FAILED") and time.monotonic() < deadline_s:
            time.sleep(LOOK_S)
            line = client.get(path)
    _say_line(line)
    if line["state"] != "CONNECTED":
        code = ExitCode.WAITS_FOR_PERSON if "needs-you" in line["overlays"] else ExitCode.PROBLEM
        fail(code, text("还没有连上", "it is not connected"), f"trunkline lines show {name}")


def _steer(name: str, verb: str, body: Any, config: ConfigOption, url: str) -> None:
    with connect(config, url) as client:
        _say_line(client.post(f"/api/v1/lines/{in_path(name)}/{verb}", body))


def _say_line(line: dict[str, Any]) -> None:
    say(f"{line['name']}  {line['dialect']}  {line_state(line)}  {word(MODES, line['mode'])}")
    if pace := pace_line(line):
        say(f"  {pace}")
    _say_waiting(line)


def _say_waiting(line: dict[str, Any]) -> None:
    """Say where to look for what waits for a person, whatever the mode: messages, then drafts."""
    name = line["name"]
    if count := line.get("for_person", 0):  # an older server does not say
        look = f"trunkline inbox list --for-person --line {name}"
        say(
            text(f"{name}：{count} 条消息等你回复：{look}", f"{name}: {count} wait for you: {look}")
        )
    if count := line.get("drafts", 0):
        look = f"trunkline outbox list --state draft --line {name}"
        say(text(f"{name}：{count} 条草稿等你批准：{look}", f"{name}: {count} in draft: {look}"))
