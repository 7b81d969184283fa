"""`trunkline check`: is the configuration good, and safe to listen with? Opens nothing."""

from __future__ import annotations

import typer

from trunkline.config import Config, check_listening, schemas_of
from trunkline.errors import ConfigError, UnsafeConfig

from .client import ConfigOption, JsonOption
from .loading import load
from .output import ExitCode, format_table, print_json, say, text


def register(app: typer.Typer) -> None:
    """Add the command `check`."""
    summary = text("检查配置，一次列出所有问题。", "Check the configuration, all problems at once.")
    app.command("check", help=summary)(check)


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check, and end with 0, 2 (problems) or 78 (would let strangers in)."""
    try:
        loaded = load(config)
        schemas_of(loaded)
    except ConfigError as error:
        if not as_json:
            raise
        _print_json(problems=error.problems)
        raise typer.Exit(ExitCode.USAGE) from error
    missing = check_listening(loaded)
    if as_json:
        _print_json(config=loaded, missing=missing)
        raise typer.Exit(ExitCode.UNSAFE if missing else ExitCode.GOOD)
    if missing:
        raise UnsafeConfig(missing)
    say(*_describe(loaded))


def _print_json(
    *,
    config: Config | None = None,
    problems: list[str] | None = None,
    missing: list[str] | None = None,
) -> None:
    print_json({
        "is_good": not problems and not missing,
        "file": str(config.path) if config else None,
        "problems": problems or [],
        "missing": missing or [],
        "warnings": list(config.warnings) if config else [],
        "lines": _lines(config) if config else [],
        "rules": len(config.rules) if config else 0,
        "default_replies": len(config.default_replies) if config else 0,
    })  # fmt: skip


def _lines(config: Config) -> list[dict[str, object]]:
    is_open = set(config.open_lines)
    return [
        {
            "name": name,
            "dialect": options.dialect,
            "role": options.role,
            "link": options.link,
            "is_enabled": options.enabled,
            "is_open": name in is_open,
            "where": _where(config, name),
        }
        for name, options in config.lines.items()
    ]


def _where(config: Config, name: str) -> str:
    options = config.lines[name]
    if options.link == "dial":
        return options.url
    main = f"{config.server.host}:{config.server.port}"
    return ", ".join(f"{bind}{options.path}" for bind in options.bind or (main,))


def _describe(config: Config) -> list[str]:
    rows: list[list[str]] = []
    for line in _lines(config):
        notes = [text("开放，无令牌", "open, no token")] if line["is_open"] else []
        if not line["is_enabled"]:
            notes.append(text("停用", "disabled"))
        rows.append([
            str(line["name"]), str(line["dialect"]), str(line["role"]), str(line["link"]),
            str(line["where"]), ", ".join(notes),
        ])  # fmt: skip
    header = ["LINE", "DIALECT", "ROLE", "LINK", text("地址", "WHERE"), ""]
    counts = text(
        f"线路 {len(config.lines)}，规则 {len(config.rules)}，"
        f"默认回复 {len(config.default_replies)}",
        f"lines {len(config.lines)}, rules {len(config.rules)}, "
        f"default replies {len(config.default_replies)}",
    )
    return [
        *(f"  {row}" for row in (format_table(header, rows) if rows else [])),
        *(f"  ! {warning}" for warning in config.warnings),
        f"{config.path}: {text('没有问题', 'good')} · {counts}",
    ]
