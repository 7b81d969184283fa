"""Puts a backup in place of what is there, whole or not at all.

Everything is unpacked and checked beside its place first. Then one small file says what goes where;
from there on a killed restore can only go forwards: `finish` does what is left, and no start opens
data before it is done. What was there is kept in a folder of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from trunkline.errors import StoreUnavailable

from .archive import CONFIG, DATA, Manifest, OnBytes, read_archive, sync_folder

STAGE: Final = "trunkline.restoring"
KEPT: Final = "trunkline.before-restore"
_PLAN: Final = "plan.json"
_WHOLE: Final = ("media", "plugin-data", "schemas")  # folders that are ours alone: replaced as one
_LOGS: Final = ("-wal", "-shm", "-journal")


class Move(msgspec.Struct, frozen=True):
    """One thing that gets its place.

    Args:
        source: inside the stage; "" = only what is there now goes away.
        target: absolute.
        kept: where what was there goes, inside the stage.
    """

    source: str
    target: str
    kept: str


class Places(msgspec.Struct, frozen=True):
    """Where a backup belongs.

    Args:
        config: folder of the configuration.
        data: the data folder; often the same.
    """

    config: Path
    data: Path

    @classmethod
    def of(cls, manifest: Manifest, folder: Path) -> Places:
        """Return the places of a backup that is restored to `folder`."""
        folder = folder.absolute()
        return cls(folder, folder / manifest.data_dir)


def plan_moves(manifest: Manifest, places: Places) -> list[Move]:
    """Return what goes where; the logs of an older database go first."""
    moves = [
        Move("", str(places.data / f"{manifest.database}{ending}"), f"{manifest.database}{ending}")
        for ending in _LOGS
    ]
    seen: set[str] = set()
    for entry in manifest.files:
        side, _, rest = entry.name.partition("/")
        first = rest.partition("/")[0]
        if side == DATA and first in _WHOLE:
            rest = first
        name = f"{side}/{rest}"
        if name not in seen:
            seen.add(name)
            root = places.data if side == DATA else places.config
            moves.append(Move(name, str(root / rest), name))
    # Bodies that no row of the backup names would lie there for ever.
    stale = [name for name in _WHOLE if f"{DATA}/{name}" not in seen]
    moves += [Move("", str(places.data / name), f"{DATA}/{name}") for name in stale]
    # The database last but for the configuration: with it the folder is the backup's.
    return sorted(moves, key=lambda one: one.source.startswith(CONFIG))


def replaced(moves: list[Move]) -> list[Path]:
    """Return what is there now and would go."""
    return [Path(one.target) for one in moves if os.path.lexists(one.target)]


def stage(
    archive: Path, places: Places, check: Callable[[Path, Manifest], None], on_bytes: OnBytes
) -> Manifest:
    """Unpack and check a backup beside its place. The data folder must be locked.

    Args:
        check: looks at the unpacked folder and raises when it must not get its place.
    """
    folder = places.data / STAGE
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
        manifest = read_archive(archive, on_bytes, folder)
        check(folder, manifest)
        for path in (folder, *(one for one in folder.rglob("*") if one.is_dir())):
            sync_folder(path)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StoreUnavailable(f"cannot unpack to {folder}: {error.strerror}") from error
        raise
    return manifest


def commit(places: Places, moves: list[Move], stamp: str) -> Path | None:
    """Decide: from here on it goes forwards only. Returns the folder of what was there, if any."""
    folder = places.data / STAGE
    fresh = folder / f".{_PLAN}"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode({"stamp": stamp, "moves": moves}))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(folder / _PLAN)
    sync_folder(folder)
    return finish(places.data)


class _Plan(msgspec.Struct, frozen=True):
    stamp: str
    moves: tuple[Move, ...]


def is_unfinished(data: Path) -> bool:
    """Whether a restore was killed after it had begun to replace files."""
    return (data / STAGE / _PLAN).exists()


def require_whole(data: Path) -> None:
    """Refuse a folder that is half old and half new.

    Raises:
        StoreUnavailable: with what to do.
    """
    if is_unfinished(data):
        raise StoreUnavailable(
            f"a restore of {data} was interrupted; run the same trunkline restore again"
        )


def finish(data: Path) -> Path | None:
    """Do what is left of a restore; any step may have been done before.

    Returns:
        The folder with what was there, None when nothing was.
    """
    folder = data / STAGE
    plan = msgspec.json.decode((folder / _PLAN).read_bytes(), type=_Plan)
    kept = folder / KEPT
    for move in plan.moves:
        _move(folder, kept, move)
    for parent in {Path(move.target).parent for move in plan.moves}:
        if parent.is_dir():
            sync_folder(parent)
    if kept.exists():
        result = data / f"{KEPT}-{plan.stamp}"
        kept.rename(result)
        sync_folder(data)
    else:
        result = data / f"{KEPT}-{plan.stamp}"  # a killed run may have moved it already
    (folder / _PLAN).unlink()
    sync_folder(folder)
    shutil.rmtree(folder)
    return result if result.exists() else None


def _move(folder: Path, kept: Path, move: Move) -> None:
    target, old = Path(move.target), kept / move.kept
    source = folder / move.source if move.source else None
    if source is not None and not source.exists():
        return  # it has its place already
    if os.path.lexists(target):
        old.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _rename(target, old)
    if source is not None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _rename(source, target)


def _rename(source: Path, target: Path) -> None:
    """Rename, also to another file system: there a whole copy is made first."""
    try:
        source.rename(target)
    except OSError:
        if not source.is_file():
            raise
        fresh = target.with_name(f".{target.name}.part")
        shutil.copy2(source, fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.rename(target)
        source.unlink()
