"""`trunkline init`: write a configuration and example rules. Never overwrites."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.configuration.templates import TEMPLATES, write_template

from .output import ExitCode, fail, say, text


def register(app: typer.Typer) -> None:
    """Add the command `init`."""
    summary = text("写出配置和示例规则。", "Write a configuration and example rules.")
    app.command("init", help=summary)(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR")] = Path(),
    template: Annotated[str, typer.Option(help=" | ".join(TEMPLATES))] = "blog",
) -> None:
    """Write the files of a template into a folder."""
    there = ", ".join(TEMPLATES)
    if template not in TEMPLATES:
        fail(
            ExitCode.USAGE,
            text(f"没有模板 {template}", f"no template {template!r}"),
            text(f"现有：{there}", f"there are: {there}"),
        )
    try:
        written = _write(folder, template)
    except FileExistsError as error:
        fail(
            ExitCode.PROBLEM,
            text(f"{error} 已存在，未改动任何文件", f"{error} exists; nothing was changed"),
            text("换一个目录", "choose another folder"),
        )
    for path in written:
        say(f"  {text('已写', 'created')}  {path}")
    here = "" if folder == Path() else f"cd {folder} && "
    if template == "shop":
        first = text(
            "把账号的 Cookie 写进 shop.cookies", "put the account's cookies into shop.cookies"
        )
        say(f"  {text('下一步', 'next')}  {first}, chmod 600")
    if template == "job":
        first = text(
            "把账号的 Cookie 写进 job.cookies，再把 trunkline.toml 里的 enabled 改为 true",
            "put the account's cookies into job.cookies, then set enabled = true in trunkline.toml",
        )
        say(f"  {text('下一步', 'next')}  {first}")
    say(f"  {text('下一步', 'next')}  {here}trunkline serve")


def _write(folder: Path, template: str) -> list[Path]:
    """Write the files; the one with TLS gets its certificate too, or nothing is written."""
    if template != "guides":
        return write_template(folder, template)
    from .cert import CERT_NAME, FOLDER, KEY_NAME, make_certificate

    pair = [folder / FOLDER / name for name in (CERT_NAME, KEY_NAME)]
    for path in pair:
        if path.exists():
            raise FileExistsError(str(path))
    written = write_template(folder, template)
    make_certificate(folder / FOLDER)
    return [*written, *pair]
