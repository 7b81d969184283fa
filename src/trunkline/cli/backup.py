"""`trunkline backup`: one verified file with everything a restore needs, while the server runs.

It reads the data folder itself and asks no server, so it works beside a running one and without.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trunkline.clock import SystemClock

from .client import ConfigOption, JsonOption
from .loading import load
from .output import ExitCode, fail, print_json, say, text, warn

if TYPE_CHECKING:
    from trunkline.config import Config
    from trunkline.store.archive import Manifest

TELL_EVERY_S: Final = 2.0


def register(app: typer.Typer) -> None:
    """Add the command `backup`."""
    summary = text("备份全部数据，服务可照常运行", "Save everything; the server may run.")
    app.command("backup", help=summary)(backup)


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(
            help=text("写到哪个文件或目录", "file or folder to write; a name by date without it"),
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    force: Annotated[bool, typer.Option("--force", help=text("覆盖", "overwrite"))] = False,
    is_json: JsonOption = False,
) -> None:
    """Copy the database, large bodies, token, configuration and plugins into one file."""
    loaded = load(config)
    if not (loaded.folder / loaded.store.filename).is_file():
        fail(
            ExitCode.PROBLEM,
            text(f"{loaded.folder} 里还没有数据", f"there is no data in {loaded.folder} yet"),
            text("先运行 trunkline serve", "run trunkline serve first"),
        )
    made_ms = SystemClock().now_ms()
    target = _target(file, made_ms, is_forced=force)
    manifest = _write(loaded, target, made_ms)
    size = target.stat().st_size
    if is_json:
        print_json({
            "file": str(target), "bytes": size, "made_at": manifest.made_at,
            "revision": manifest.revision, "rows": manifest.rows, "files": len(manifest.files),
            "left_out": manifest.left_out, "holds_secrets": True,
        })  # fmt: skip
        return
    rows = sum(manifest.rows.values())
    say(
        text(
            f"{target}：{format_bytes(size)}，{rows} 行，{len(manifest.files)} 个文件，已校验",
            f"{target}: {format_bytes(size)}, {rows} rows, {len(manifest.files)} files, verified",
        )
    )
    warn(
        text(
            "其中有 API 令牌、配置和配置引用的口令文件：像密码一样保管（权限 0600）",
            "it holds the API token, the configuration and the credentials that it names: "
            "keep it like a password (mode 0600)",
        )
    )
    for name in manifest.left_out:
        warn(
            text(
                f"未备份（在配置目录之外）：{name}",
                f"not in it, since it is outside the configuration's folder: {name}",
            )
        )


def _target(file: Path | None, made_ms: int, *, is_forced: bool) -> Path:
    stamp = datetime.fromtimestamp(made_ms / 1000, UTC).strftime("%Y%m%d-%H%M%S")
    name = f"trunkline-backup-{stamp}.zip"
    target = Path(name) if file is None else file / name if file.is_dir() else file
    target = target.absolute()
    if not target.parent.is_dir():
        fail(
            ExitCode.USAGE,
            text(f"没有目录 {target.parent}", f"there is no folder {target.parent}"),
        )
    if target.exists() and not is_forced:
        fail(
            ExitCode.PROBLEM,
            text(f"{target} 已存在，未改动", f"{target} exists; nothing was changed"),
            text("换一个名字，或加 --force 覆盖", "choose another name, or overwrite by --force"),
        )
    return target


def _write(loaded: Config, target: Path, made_ms: int) -> Manifest:
    from trunkline import __version__
    from trunkline.configuration.belongings import find_files
    from trunkline.store.archive import CONFIG, DATA, FORMAT, Manifest, write_archive
    from trunkline.store.restoring import require_whole
    from trunkline.store.sqlite.snapshot import copy_database, inspect

    require_whole(loaded.folder)
    source, folder = loaded.source, loaded.folder
    named, left_out = find_files(source, loaded.plugins.paths)
    home = source.folder.absolute()
    copy = target.with_name(f".{target.name}.db.part")
    copying = Progress(text("复制数据库", "copying the database"))
    packing = Progress(text("写入备份", "writing the backup"))
    try:
        copy_database(folder / loaded.store.filename, copy, copying.of_pages)
        inspected = inspect(copy)
        own = {(folder / name).absolute() for name in _own_files(loaded)}
        files = [path for path in named if home / path not in own]
        members = [
            (f"{DATA}/{loaded.store.filename}", copy),
            *((f"{DATA}/{name.as_posix()}", folder / name) for name in _data_files(folder)),
            *((f"{CONFIG}/{path.as_posix()}", home / path) for path in files),
        ]
        packing.total = sum(_size(path) for _, path in members)
        made_at = datetime.fromtimestamp(made_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return write_archive(
            target,
            Manifest(
                format=FORMAT,
                trunkline=__version__,
                made_at=made_at,
                revision=inspected.revision,
                database=loaded.store.filename,
                rows=inspected.rows,
                config=source.path.name if source.path else "",
                data_dir=_data_dir(folder, home),
                left_out=tuple(left_out),
                files=(),
            ),
            members,
            packing.more,
        )
    finally:
        copy.unlink(missing_ok=True)


def _data_dir(folder: Path, home: Path) -> str:
    relative = Path(os.path.relpath(folder, home))
    return str(folder) if ".." in relative.parts else relative.as_posix()


def _own_files(loaded: Config) -> Iterator[str]:
    """Yield files of the data folder that the configuration may name but a backup has or skips."""
    yield from (loaded.store.filename, "api.token", "trunkline.lock")
    if loaded.log.file:
        yield loaded.log.file


def _data_files(folder: Path) -> Iterator[Path]:
    """Yield what the data folder has besides the database, after the database was copied."""
    if (folder / "api.token").is_file():
        yield Path("api.token")
    for entry in os.scandir(folder / "media") if (folder / "media").is_dir() else ():
        if len(entry.name) == 64 and entry.is_file():
            yield Path("media", entry.name)
    for path in sorted((folder / "plugin-data").glob("*")):
        if path.is_file() and path.suffix != ".new":
            yield path.relative_to(folder)
    for path in sorted((folder / "schemas").glob("*/*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Progress:
    """Says on stderr how far long work is, every two seconds.

    Args:
        name: of the work.
        tick: seconds, monotonic.
    """

    def __init__(self, name: str, tick: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self._name = name
        self._tick = tick
        self._next_s = tick() + TELL_EVERY_S
        self._done = 0

    def more(self, count: int) -> None:
        """Count what was done since the last call."""
        self._done += count
        self._tell(self._done, self.total)

    def of_pages(self, done: int, total: int) -> None:
        """Take how far a copy of the database is."""
        self._tell(done, total)

    def _tell(self, done: int, total: int) -> None:
        if (now_s := self._tick()) >= self._next_s:
            self._next_s = now_s + TELL_EVERY_S
            warn(f"{self._name} … {min(100, 100 * done // max(1, total))} %")


def format_bytes(size: int) -> str:
    """Format a size for people."""
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
