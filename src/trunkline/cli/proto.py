"""`trunkline proto`: take over the message schema that a web page shows, or look what it changes.

Works on the data folder, offline. Lines use what was imported from their next start on; a text that
cannot be used changes nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from trunkline.config import Config
from trunkline.configuration.schemas import (
    MAX_BYTES,
    Made,
    Schemas,
    decode_text,
    make_schema,
    word_fault,
    word_field,
)
from trunkline.dialects.registry import DIALECTS
from trunkline.dialects.schemas import SchemaChanges, SchemaSide

from .client import ConfigOption, JsonOption
from .loading import load
from .output import ExitCode, fail, language, print_json, say, text, warn
from .rows import clean

STDIN: Final = "-"
SHOWN: Final = 40
SHA_CHARS: Final = 12
FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help=text(
            "控制台输出 window.__PROTO_FILE_VAR__ 的文件，- 为标准输入",
            "what the console prints for window.__PROTO_FILE_VAR__; - reads stdin",
        ),
    ),
]


class _Report(msgspec.Struct, frozen=True):
    """What `--json` prints.

    Args:
        in_use: sha256 of the text that lines use now, "" = the built-in one.
        is_usable: lines can use this one.
        is_written: they will, from their next start on.
        changes: against the one in use.
    """

    dialect: str
    sha256: str
    in_use: str
    is_usable: bool
    is_written: bool
    changes: SchemaChanges
    faults: tuple[dict[str, object], ...]


def register(app: typer.Typer) -> None:
    """Add the group `proto`."""
    group = typer.Typer(
        help=text("消息描述：导入、比较", "Import and compare message schemas."),
        no_args_is_help=True,
    )
    group.command("import", help=text("导入，重启后使用", "Import; used after a restart."))(import_)
    group.command("diff", help=text("与使用中的比较", "Compare with the one in use."))(diff)
    app.add_typer(group, name="proto")


def import_(
    file: FileArgument = "",
    built_in: Annotated[
        bool,
        typer.Option("--built-in", help=text("改回内置的", "go back to the built-in one")),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a schema over, or end with 1 and change nothing."""
    if bool(file) == built_in:
        fail(ExitCode.USAGE, text("写一个文件，或 --built-in", "give a FILE, or --built-in"))
    loaded = load(config)
    dialect, side = _dialect()
    kept = Schemas(loaded.folder, dialect)
    if built_in:
        kept.forget()
        if as_json:
            print_json({"dialect": dialect, "in_use": "", "is_written": True})
        else:
            say(text("重启后使用内置的描述", "lines use the built-in schema after a restart"))
        return
    made, report = _look(file, dialect, side, kept)
    if made.data:
        kept.keep(made)
        report = msgspec.structs.replace(report, is_written=True)
    _show(report, made, as_json=as_json)
    if made.data and not as_json:
        name = made.sha256[:SHA_CHARS]
        say(text(f"已保存 {name}；重启后使用", f"kept as {name}; lines use it after a restart"))
        _warn_of_named(loaded, side)


def diff(file: FileArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what an import would change; ends with 1 when it would be refused."""
    loaded = load(config)
    dialect, side = _dialect()
    made, report = _look(file, dialect, side, Schemas(loaded.folder, dialect))
    _show(report, made, as_json=as_json)


def _dialect() -> tuple[str, SchemaSide]:
    """The dialect whose schema can be imported; there is one."""
    found = [(name, one.schema) for name, one in DIALECTS.items() if one.schema is not None]
    return found[0]


def _look(file: str, dialect: str, side: SchemaSide, kept: Schemas) -> tuple[Made, _Report]:
    made = make_schema(side, _read(file))
    current = kept.current()
    if current is None or (current and side.check(current)):
        current = b""
        warn(
            text(
                f"  ! {kept.folder} 里导入的描述文件已损坏或丢失，与内置的比较；"
                "线路要等重新导入（或 --built-in）才能启动",
                f"  ! the schema that was imported into {kept.folder} is damaged or gone: compared "
                "with the built-in one; no line starts before another import (or --built-in)",
            )
        )
    in_use = current or side.built_in()
    return made, _Report(
        dialect=dialect,
        sha256=made.sha256 if made.data else "",
        in_use=kept.current_name(),
        is_usable=bool(made.data),
        is_written=False,
        changes=side.compare(in_use, made.data) if made.data else SchemaChanges(),
        faults=tuple(
            {**msgspec.to_builtins(fault), "text": word_fault(fault)[_spoken()]}
            for fault in made.faults
        ),
    )


def _read(file: str) -> str:
    try:
        if file == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fail(ExitCode.USAGE, text(f"无法读取 {file}：{reason}", f"cannot read {file}: {reason}"))
    if len(data) > MAX_BYTES:
        fail(ExitCode.PROBLEM, text(f"{file} 太大", f"{file} is too large"))
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        fail(ExitCode.PROBLEM, text(f"{file} 不是 UTF-8", f"{file} is not UTF-8"))


def _show(report: _Report, made: Made, *, as_json: bool) -> None:
    """Print what was found; ends the command when the text cannot be used."""
    if as_json:
        print_json(report)
    elif made.data:
        say(*_describe(report.changes))
    if made.data:
        return
    if as_json:
        raise typer.Exit(ExitCode.PROBLEM)
    said = [clean(word_fault(fault)[_spoken()], 400) for fault in made.faults]
    fail(
        ExitCode.PROBLEM,
        "\n".join(
            [text("不能使用，没有任何改动：", "cannot be used, nothing was changed:"), *said]
        ),
    )


def _describe(changes: SchemaChanges) -> list[str]:
    added, gone, changed = changes.added, changes.gone, changes.changed
    if not (added or gone or changed):
        return [text("与使用中的相同", "the same as the one in use")]
    rows = [
        *(f"+ {word_field(one)}" for one in added),
        *(f"- {word_field(one)}" for one in gone),
        *(f"~ {word_field(before)} → {word_field(after)}" for before, after in changed),
    ]
    rest = len(rows) - SHOWN
    if rest > 0:
        rows[SHOWN:] = [f"… {rest}"]
    return [
        text(
            f"新增 {len(added)}，消失 {len(gone)}，修改 {len(changed)}",
            f"{len(added)} new, {len(gone)} gone, {len(changed)} changed",
        ),
        *(f"  {clean(row, 200)}" for row in rows),
    ]


def _warn_of_named(loaded: Config, side: SchemaSide) -> None:
    for name, options in loaded.lines.items():
        if DIALECTS[options.dialect].schema is side and side.file_of(options):
            warn(
                text(
                    f"  ! 线路 {name} 的 schema 指定了自己的文件，仍用那个",
                    f"  ! line {name} names a file of its own (schema) and goes on with that",
                )
            )


def _spoken() -> int:
    return 0 if language() == "zh" else 1
