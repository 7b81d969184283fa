"""The door: which command, in which module, and what an error looks like.

A new command is one line in `COMMANDS` and a module with `register(app)`, which adds a command or
a group of that name to the typer app it is given. The module is imported when it is called.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trunkline import __version__
from trunkline.cli.output import CommandFailed, ExitCode, complain, say, text, warn
from trunkline.errors import (
    ConfigError,
    DataDirInUse,
    LinkError,
    StoreDamaged,
    StoreError,
    StoreTooNew,
    TrunklineError,
    UnsafeConfig,
)

# name → (module, what it does in Chinese, in English); shown by --help in this order
COMMANDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "serve": ("trunkline.cli.serve", "运行（不写命令时就是它）", "run (what no command means)"),
    "init": ("trunkline.cli.init", "写出配置和示例规则", "write a configuration and example rules"),
    "cert": ("trunkline.cli.cert", "写出本机用的证书", "write a certificate for this machine"),
    "check": ("trunkline.cli.check", "检查配置，一次列出所有问题", "check the configuration"),
    "lines": ("trunkline.cli.lines", "线路：查看、暂停、恢复、重连", "see and steer lines"),
    "send": ("trunkline.cli.send", "发送一条消息", "send a message"),
    "broadcast": ("trunkline.cli.broadcast", "向所有在线访客说话", "say something to all visitors"),
    "tail": ("trunkline.cli.tail", "跟踪消息或帧", "follow messages or frames"),
    "why": ("trunkline.cli.why", "为什么这样回答", "why a message was answered so"),
    "try": ("trunkline.cli.try_", "会怎样回答？不发送", "what would it say? nothing is sent"),
    "takeover": ("trunkline.cli.takeover", "接管或交还会话", "take a chat over, or give it back"),
    "rules": ("trunkline.cli.rules", "检查、导入、导出规则", "check, import and export rules"),
    "outbox": ("trunkline.cli.outbox", "待发与存疑的消息", "deliveries"),
    "inbox": ("trunkline.cli.inbox", "收到的消息与请求", "what came in"),
    "emulate": ("trunkline.cli.emulate", "模拟对端", "play the other side of a dialect"),
    "proto": ("trunkline.cli.proto", "消息描述：导入、比较", "import a message schema"),
    "migrate": ("trunkline.cli.migrate", "升级数据文件", "bring the data up to date"),
    "backup": ("trunkline.cli.backup", "备份全部数据", "save everything in one file"),
    "restore": ("trunkline.cli.restore", "从备份恢复", "put a backup in place"),
    "dev": ("trunkline.cli.dev", "开发工具", "tools for developers"),
}

# design 3 names these; they come with later issues
NOT_BUILT: Final = frozenset({
    "sandbox", "doctor",
})  # fmt: skip


def main() -> None:
    """Run the command of `sys.argv` and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show Chinese gets question marks instead of a traceback.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command and return its exit code. Never raises for what a person can cause.

    Args:
        args: the words after `trunkline`; none, or options first, mean `serve`.
    """
    first = args[0] if args else ""
    if first in ("--version", "-V"):
        say(f"trunkline {__version__}")
        return ExitCode.GOOD
    if first in ("--help", "-h", "help"):
        say(*_help())
        return ExitCode.GOOD
    if not first or first.startswith("-"):
        args = ("serve", *args)
    try:
        code = _call(args)
    except CommandFailed as failure:
        complain(failure.message, failure.fix)
        code = failure.code
    except TrunklineError as error:
        code = _explain(error)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not complain at its end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until exit
        code = ExitCode.PROBLEM
    except OSError as error:
        complain(
            text(f"无法访问：{error}", f"cannot access: {error}"),
            text("检查路径和权限", "check the path and its permissions"),
        )
        code = ExitCode.PROBLEM
    return int(code)


def _call(args: Sequence[str]) -> int:
    name = args[0]
    if name not in COMMANDS:
        _unknown(name)
    import typer

    module = importlib.import_module(COMMANDS[name][0])
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
        no_args_is_help=True,
    )  # fmt: skip
    app.callback()(_group)
    module.register(app)
    try:
        app(list(args), prog_name="trunkline")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.GOOD
    return ExitCode.GOOD


def _group() -> None:
    """Keep the app a group, also with one command in it."""


def _unknown(name: str) -> None:
    if name in NOT_BUILT:
        raise CommandFailed(
            ExitCode.USAGE,
            text(f"{name}：尚未实现", f"{name}: not built yet"),
            text("trunkline --help 列出现有命令", "trunkline --help lists what is there"),
        )
    near = difflib.get_close_matches(name, COMMANDS, 1)
    raise CommandFailed(
        ExitCode.USAGE,
        text(f"没有命令 {name}", f"no command {name!r}"),
        text(f"是不是 {near[0]}？", f"did you mean {near[0]}?")
        if near
        else text("trunkline --help 列出命令", "trunkline --help lists the commands"),
    )


def _help() -> list[str]:
    size = max(map(len, COMMANDS))
    return [
        f"trunkline {__version__}",
        text(
            "用法：trunkline [命令] [选项]；trunkline 命令 --help 说明该命令",
            "usage: trunkline [COMMAND] [OPTIONS]; trunkline COMMAND --help tells more",
        ),
        "",
        *(f"  {name:<{size}}  {text(zh, en)}" for name, (_, zh, en) in COMMANDS.items()),
    ]


def _explain(error: TrunklineError) -> int:
    """Print an error of the house with its next step; return the exit code for it."""
    if isinstance(error, ConfigError):
        fix = text("改正后运行 trunkline check", "correct it, then run trunkline check")
        complain("\n".join(error.problems), fix)
        return ExitCode.USAGE
    if isinstance(error, UnsafeConfig):
        head = text("这份配置会让陌生人进来；缺少：", "strangers could come in; missing:")
        fix = text("补齐，或只监听 127.0.0.1", "add it, or bind 127.0.0.1")
        complain("\n".join([head, *error.missing]), fix)
        return ExitCode.UNSAFE
    if isinstance(error, DataDirInUse):
        complain(
            text(
                f"数据目录 {error.path} 正被 {error.owner} 使用",
                f"data folder {error.path} is in use by {error.owner}",
            ),
            text("停止那个进程，或换一个目录", "stop that process, or use another folder"),
        )
        return ExitCode.IN_USE
    complain(str(error))
    if isinstance(error, LinkError):
        return ExitCode.UNREACHABLE
    if isinstance(error, StoreError):
        warn(f"  {text('下一步', 'next')}: {_next_step(error)}")
    return ExitCode.PROBLEM


def _next_step(error: StoreError) -> str:
    if isinstance(error, StoreDamaged):
        return text(
            "trunkline restore 备份 --force；损坏的文件会保留在旁边",
            "trunkline restore BACKUP --force; the damaged file is kept beside",
        )
    if isinstance(error, StoreTooNew):
        return text("使用更新的 trunkline", "use a newer trunkline")
    return text("检查磁盘空间和权限", "check disk space and permissions")
