"""`trunkline rules`: look for rules that never answer, and move keyword tables in and out.

Works on the file, offline. A running server takes the file up by itself within a second.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from trunkline.config import Config, load_config
from trunkline.configuration.importing import (
    Changes,
    apply_to_rules,
    apply_to_text,
    compare,
    to_rows,
)
from trunkline.configuration.sheets import read_sheet, write_sheet
from trunkline.configuration.source import MAX_FILE_BYTES
from trunkline.errors import ConfigError
from trunkline.pipeline.compiled import compile_rulebook
from trunkline.pipeline.rulebook import RulebookSpec, RuleSpec
from trunkline.pipeline.shadows import Shadow, find_shadows

from .client import ConfigOption, JsonOption
from .loading import load
from .output import ExitCode, fail, language, print_json, say, text
from .rows import clean

SHOWN: Final = 20
LineOption = Annotated[
    str, typer.Option("--line", help=text("属于哪条线路；不写 = 全局", "of which line; none = all"))
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.csv|FILE.xlsx")]


def register(app: typer.Typer) -> None:
    """Add the group `rules`."""
    group = typer.Typer(
        help=text("规则：检查、导入、导出", "Check, import and export rules."), no_args_is_help=True
    )
    group.command("lint", help=text("找出永远不会生效的规则", "Find rules that never answer."))(
        lint
    )
    group.command("import", help=text("导入关键词表", "Import a table of keywords."))(import_)
    group.command("export", help=text("导出关键词表", "Export a table of keywords."))(export)
    app.add_typer(group, name="rules")


def lint(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look for rules and keywords that a better rule always answers first; end with 1 then."""
    loaded = load(config)
    shadows = find_shadows(compile_rulebook(loaded.rulebook))
    if as_json:
        print_json({"shadows": [_to_json(one) for one in shadows], "warnings": loaded.warnings})
    else:
        say(*(f"  ! {warning}" for warning in loaded.warnings), *map(_describe, shadows))
        if not shadows:
            count = len(loaded.rules)
            say(text(f"规则 {count}，没有被遮住的", f"{count} rules, none is shadowed"))
    if shadows:
        raise typer.Exit(ExitCode.PROBLEM)


def import_(
    file: FileArgument,
    line: LineOption = "",
    replace: Annotated[
        bool,
        typer.Option("--replace", help=text("表里没有的文字规则删除", "remove what is not in it")),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help=text("写入", "write it"))] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a table would change; with `--yes` write it into the configuration file."""
    loaded = load(config)
    _check_line(loaded, line)
    rows = _told(lambda: read_sheet(file))
    changes = _told(lambda: compare(loaded.rules, rows, line, is_replacing=replace))
    before = {(one.rule, one.word) for one in find_shadows(compile_rulebook(loaded.rulebook))}
    rules = apply_to_rules(loaded.rules, changes, line)
    shadows = [
        one
        for one in find_shadows(compile_rulebook(RulebookSpec(rules=rules)))
        if (one.rule, one.word) not in before
    ]
    is_written = yes and not changes.is_empty
    if not as_json:
        say(*_preview(changes), *map(_describe, shadows))
    if not changes.is_empty:
        # Also for a preview: what could not be written is said before anybody says --yes.
        _apply(loaded, changes, line, is_written=is_written)
    if as_json:
        print_json(_summary(changes, shadows, is_written=is_written))
        return
    if is_written:
        say(text(f"已写入 {loaded.path}", f"written to {loaded.path}"))
    elif not changes.is_empty:
        say(text("没有写入；加 --yes 写入", "nothing is written; add --yes to write it"))


def export(file: FileArgument, line: LineOption = "", config: ConfigOption = None) -> None:
    """Write the plain keyword rules of a line, or those for every line, as a table."""
    loaded = load(config)
    _check_line(loaded, line)
    rows = to_rows(loaded.rules, line)
    _told(lambda: write_sheet(file, rows))
    rest = sum(_is_of(rule, line) for rule in loaded.rules) - len(rows)
    say(text(f"{file}：{len(rows)} 条规则", f"{file}: {len(rows)} rules"))
    if rest:
        say(
            text(
                f"  另有 {rest} 条带图片、表达式、例外等，只能写在配置文件里",
                f"  {rest} more have pictures, patterns, exceptions …: these live in the file only",
            )
        )


def _is_of(rule: RuleSpec, line: str) -> bool:
    return line in rule.lines if line else not rule.lines


def _check_line(loaded: Config, line: str) -> None:
    if line and line not in loaded.lines:
        known = ", ".join(loaded.lines)
        fail(
            ExitCode.USAGE,
            text(f"没有线路 {line}", f"no line {line!r}"),
            text(f"现有：{known}", f"there are: {known}"),
        )


def _told(work: Any) -> Any:
    """Do something whose problems are written in both languages; keep one of them."""
    try:
        return work()
    except ConfigError as error:
        which = 0 if language() == "zh" else 1
        said = [_in_one(problem, which) for problem in error.problems]
        raise ConfigError(said) from error


def _in_one(problem: str, which: int) -> str:
    """Return `where: Chinese | English` in one language."""
    zh, mark, en = problem.partition(" | ")
    if not mark or which == 0:
        return zh
    where, colon, _ = zh.partition(": ")
    return f"{where}{colon}{en}" if colon else en


def _apply(loaded: Config, changes: Changes, line: str, *, is_written: bool) -> None:
    """Put the changes into the file, or only look whether it could be loaded afterwards."""
    path = loaded.path
    if path is None:
        fail(ExitCode.USAGE, text("没有配置文件", "there is no configuration file"))
    new = _told(lambda: apply_to_text(path.read_text("utf-8"), changes, line))
    size_bytes = len(new.encode())
    if size_bytes > MAX_FILE_BYTES:
        size = f"{size_bytes / MAX_FILE_BYTES:.1f} MiB"
        fail(
            ExitCode.USAGE,
            text(
                f"放不下：{path} 会有 {size}，至多 1 MiB；没有写入",
                f"it does not fit: {path} would have {size}, at most 1 MiB; nothing is written",
            ),
            text(
                "减少行数，或把回复相同的关键词并进一格（每行一个）",
                "leave rows out, or put keywords with the same reply into one cell, one on a line",
            ),
        )
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.touch(mode=0o600)
    except OSError:
        if is_written:
            raise
        return  # a folder that only others may write: a preview is good for something there too
    try:
        shutil.copymode(path, draft)
        draft.write_text(new, "utf-8")
        load_config(draft, os.environ)
        if is_written:
            shutil.copy2(path, path.with_name(f"{path.name}.bak"))
            draft.replace(path)
    except ConfigError as error:
        said = [problem.replace(draft.name, path.name) for problem in error.problems]
        raise ConfigError(said) from error
    finally:
        draft.unlink(missing_ok=True)


def _preview(changes: Changes) -> list[str]:
    lines = [
        text(
            f"新增 {len(changes.added)}，修改 {len(changes.changed)}，"
            f"删除 {len(changes.removed)}，不变 {changes.same}",
            f"{len(changes.added)} new, {len(changes.changed)} changed, "
            f"{len(changes.removed)} removed, {changes.same} the same",
        )
    ]
    lines += _cut([f"  + {_shown(row.keyword, row.item)} → {_said(row.reply, 60)}"
                   for row in changes.added])  # fmt: skip
    lines += _cut([
        f"  ~ {_shown(row.keyword, row.item)}: {_said(rule.reply, 40)} → {_said(row.reply, 40)}"
        for rule, row in changes.changed
    ])  # fmt: skip
    lines += _cut([f"  - {_shown(' '.join(rule.keywords), ''.join(rule.items))}"
                   for rule in changes.removed])  # fmt: skip
    return lines


def _cut(lines: list[str]) -> list[str]:
    rest = len(lines) - SHOWN
    return lines if rest <= 0 else [*lines[:SHOWN], f"    … {rest}"]


def _shown(keyword: str, item: str) -> str:
    return clean(keyword, 40) + (f" [{clean(item, 40)}]" if item else "")


def _said(reply: str, width: int) -> str:
    """Return a reply as the preview shows it; an empty one is deliberate silence."""
    return clean(reply, width) if reply.strip() else text("（不回复）", "(silence)")


def _describe(shadow: Shadow) -> str:
    rule, by = clean(shadow.rule, 40), clean(shadow.by, 40)
    word, other = clean(shadow.word, 40) or "*", clean(shadow.by_word, 40) or "*"
    never = text("（整条规则不会生效）", " (the whole rule never answers)")
    return text(
        f"  ! 规则 {rule} 的「{word}」总由规则 {by} 的「{other}」先答",
        f"  ! rule {rule}, “{word}”: rule {by} always answers first, by “{other}”",
    ) + (never if shadow.is_whole else "")


def _to_json(shadow: Shadow) -> dict[str, object]:
    return {
        "rule": shadow.rule, "word": shadow.word, "by": shadow.by, "by_word": shadow.by_word,
        "is_whole": shadow.is_whole,
    }  # fmt: skip


def _summary(changes: Changes, shadows: list[Shadow], *, is_written: bool) -> dict[str, object]:
    return {
        "is_written": is_written,
        "added": [_row(row.keyword, row.item, row.reply) for row in changes.added],
        "changed": [
            {**_row(row.keyword, row.item, row.reply), "before": rule.reply}
            for rule, row in changes.changed
        ],
        "removed": [
            _row("\n".join(rule.keywords), "".join(rule.items), rule.reply)
            for rule in changes.removed
        ],
        "same": changes.same,
        "shadows": [_to_json(one) for one in shadows],
    }


def _row(keyword: str, item: str, reply: str) -> dict[str, object]:
    return {"keyword": keyword, "item": item, "reply": reply}
