"""`trunkline restore`: put a backup in place, whole or not at all.

It verifies first, refuses data of a newer trunkline and a folder in use, and replaces nothing
without `--force`; what was there is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.clock import SystemClock
from trunkline.errors import StoreDamaged, StoreTooNew

from .backup import Progress, format_bytes
from .client import ConfigOption, JsonOption
from .output import ExitCode, fail, print_json, say, text, warn

if TYPE_CHECKING:
    from trunkline.store.archive import Manifest
    from trunkline.store.restoring import Places


def register(app: typer.Typer) -> None:
    """Add the command `restore`."""
    app.command("restore", help=text("从备份恢复", "Put a backup in place."))(restore)


def restore(
    file: Annotated[Path, typer.Argument(help=text("备份文件", "the backup"), show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option("--to", help=text("配置所在目录", "folder of the configuration")),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help=text("替换已有文件（旧的保留）", "replace; the old is kept")),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=text("只检查并说明", "only check and tell"))
    ] = False,
    config: ConfigOption = None,
    is_json: JsonOption = False,
) -> None:
    """Verify a backup, then replace what is there by it. The server must be stopped."""
    from trunkline.store.archive import read_archive
    from trunkline.store.restoring import Places, is_unfinished, plan_moves, replaced

    if not file.is_file():
        fail(ExitCode.USAGE, text(f"没有文件 {file}", f"there is no file {file}"))
    reading = Progress(text("检查备份", "checking the backup"))
    reading.total = file.stat().st_size
    manifest = _checked(file, lambda: read_archive(file, reading.more))
    _require_known(manifest)
    places = Places.of(manifest, _folder(to, config))
    is_half = is_unfinished(places.data)
    going = replaced(plan_moves(manifest, places))
    if not is_json:
        _describe(manifest, places)
    if dry_run:
        _report(manifest, places, going, None, is_json=is_json, is_dry=True)
        return
    if going and not force and not is_half:
        fail(
            ExitCode.PROBLEM,
            "\n".join([
                text("这些会被替换：", "these would be replaced:"), *map(str, going[:20]),
            ]),
            text("加 --force；旧文件会保留在旁边", "add --force; the old files are kept beside"),
        )  # fmt: skip
    kept = _put(file, places)
    _report(manifest, places, going, kept, is_json=is_json, is_dry=False)


def _checked(file: Path, act: Callable[[], Manifest]) -> Manifest:
    try:
        return act()
    except StoreDamaged as error:
        fail(
            ExitCode.PROBLEM,
            text(f"{file} 已损坏：{error}", f"{file}: {error}"),
            text("没有任何改动；请用另一份备份", "nothing was changed; use another backup"),
        )


def _require_known(manifest: Manifest) -> None:
    from trunkline.store.migrations import HEAD, REVISIONS

    if manifest.revision not in REVISIONS:
        raise StoreTooNew(
            f"the backup has revision {manifest.revision} (trunkline {manifest.trunkline}), "
            f"this trunkline knows revisions up to {HEAD}; use a newer trunkline"
        )


def _folder(to: Path | None, config: Path | None) -> Path:
    from trunkline.config import find_config

    if to is not None:
        return to
    found = config or find_config(Path.cwd())
    return found.parent if found is not None else Path.cwd() / "trunkline"


def _put(file: Path, places: Places) -> Path | None:
    """Do it, under the lock of the data folder."""
    from trunkline.store.archive import CONFIG, DATA
    from trunkline.store.lock import lock_folder, prepare_folder
    from trunkline.store.restoring import commit, finish, is_unfinished, plan_moves, stage
    from trunkline.store.sqlite.snapshot import inspect

    def check(folder: Path, manifest: Manifest) -> None:
        found = inspect(folder / DATA / manifest.database)
        if (found.revision, dict(found.rows)) != (manifest.revision, dict(manifest.rows)):
            raise StoreDamaged("the backup's database has other rows than its manifest says")
        (folder / CONFIG).mkdir(mode=0o700, exist_ok=True)

    prepare_folder(places.data)
    now_ms = SystemClock().now_ms()
    lock = lock_folder(places.data, since_ms=now_ms)
    try:
        if is_unfinished(places.data):
            warn(text("先完成上次中断的恢复", "finishing a restore that was interrupted"))
            finish(places.data)
        unpacking = Progress(text("解开备份", "unpacking the backup"))
        unpacking.total = file.stat().st_size
        manifest = _checked(file, lambda: stage(file, places, check, unpacking.more))
        stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%d-%H%M%S")
        return commit(places, plan_moves(manifest, places), stamp)
    finally:
        lock.release()


def _describe(manifest: Manifest, places: Places) -> None:
    size, rows = format_bytes(manifest.size_bytes), sum(manifest.rows.values())
    warn(
        text(
            f"备份于 {manifest.made_at}，trunkline {manifest.trunkline}，{rows} 行，{size}",
            f"made {manifest.made_at} by trunkline {manifest.trunkline}: {rows} rows, {size}",
        ),
        text(f"配置 → {places.config}", f"configuration → {places.config}"),
        text(f"数据 → {places.data}", f"data → {places.data}"),
    )


def _report(
    manifest: Manifest,
    places: Places,
    going: list[Path],
    kept: Path | None,
    *,
    is_json: bool,
    is_dry: bool,
) -> None:
    from trunkline.store.migrations import HEAD

    will_migrate = manifest.revision != HEAD
    if is_json:
        print_json({
            "made_at": manifest.made_at, "revision": manifest.revision, "rows": manifest.rows,
            "config": str(places.config), "data": str(places.data),
            "replaced": [str(path) for path in going], "kept": str(kept) if kept else "",
            "will_migrate": will_migrate, "dry_run": is_dry,
        })  # fmt: skip
        return
    if is_dry:
        for path in going:
            say(text(f"会替换 {path}", f"would replace {path}"))
        say(text("备份完好；没有任何改动", "the backup is whole; nothing was changed"))
    else:
        say(text(f"已恢复到 {places.config}", f"restored to {places.config}"))
    if kept is not None:
        say(text(f"原有文件保留在 {kept}", f"what was there is kept in {kept}"))
    if will_migrate:
        say(text("数据较旧：下次启动时升级", "the data is older: the next start migrates it"))
    if not is_dry:
        warn(
            text(
                "备份之后收到的消息不在其中；启动前可用 trunkline outbox 查看待发",
                "what came in after the backup is not there; deliveries that were queued then "
                "leave again: see trunkline outbox",
            )
        )
