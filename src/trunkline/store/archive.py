"""A backup: one ZIP file of mode 0600 with a manifest that knows every file's size and SHA-256.

`data/…` is what the data folder holds, `config/…` what the configuration's folder holds. A backup
appears under its name only when it was written, flushed, and read again to its last byte. It holds
credentials (the API token, the configuration and the files it names), so it is a secret itself.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final

import msgspec

from trunkline.errors import StoreDamaged, StoreTooNew, StoreUnavailable

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 256 << 20  # a million large bodies have 150 MB of names and digests
DATA: Final = "data"
CONFIG: Final = "config"
_PIECE_BYTES: Final = 1 << 20
_NOW_DOS: Final = (1980, 1, 1, 0, 0, 0)  # files have no time of their own: the manifest has one

OnBytes = Callable[[int], None]


class Entry(msgspec.Struct, frozen=True):
    """One file of a backup.

    Args:
        name: `data/…` or `config/…`, with forward slashes.
    """

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.

    Args:
        format: of the file itself; a newer one is refused.
        trunkline: the version that wrote it.
        made_at: ISO 8601 in UTC, the moment of the database.
        revision: of the database's tables.
        database: its file name.
        rows: by table.
        config: the configuration's file name, "" when there was none.
        data_dir: the data folder: relative to the configuration's folder, else absolute.
        left_out: files that the configuration names outside its own folder.
        files: all of them.
    """

    format: int
    trunkline: str
    made_at: str
    revision: str
    database: str
    rows: Mapping[str, int]
    config: str
    data_dir: str
    left_out: tuple[str, ...]
    files: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        """All files together, unpacked."""
        return sum(entry.size for entry in self.files)


def write_archive(
    target: Path, facts: Manifest, members: Iterable[tuple[str, Path]], on_bytes: OnBytes
) -> Manifest:
    """Write a backup, read it again, then give it its name.

    Args:
        facts: everything but `files`.
        members: names in the archive and where the files are now. One that is gone is left out:
            retention forgets large bodies while it is copied.
        on_bytes: told how many bytes were written since the last call.

    Raises:
        StoreUnavailable: it cannot be written; nothing is left behind.
        StoreDamaged: the disk gave back other bytes than it was given.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            os.fchmod(file.fileno(), 0o600)
            manifest = _write(file, facts, members, on_bytes)
            file.flush()
            os.fsync(file.fileno())
        read_archive(part, lambda _: None)
        part.rename(target)
        sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise StoreUnavailable(f"cannot write {target}: {error.strerror or error}") from error
        raise
    return manifest


def _write(
    file: IO[bytes], facts: Manifest, members: Iterable[tuple[str, Path]], on_bytes: OnBytes
) -> Manifest:
    entries: list[Entry] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in members:
            with suppress(FileNotFoundError), path.open("rb") as source:
                entries.append(_add(archive, name, source, on_bytes))
        manifest = msgspec.structs.replace(facts, files=tuple(entries))
        archive.writestr(zipfile.ZipInfo(MANIFEST, _NOW_DOS), msgspec.json.encode(manifest))
    return manifest


def _add(archive: zipfile.ZipFile, name: str, source: IO[bytes], on_bytes: OnBytes) -> Entry:
    info = zipfile.ZipInfo(name, _NOW_DOS)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as into:
        while piece := source.read(_PIECE_BYTES):
            into.write(piece)
            digest.update(piece)
            size += len(piece)
            on_bytes(len(piece))
    return Entry(name, size, digest.hexdigest())


def read_archive(path: Path, on_bytes: OnBytes, into: Path | None = None) -> Manifest:
    """Read a backup to its last byte and return its manifest.

    Args:
        into: an empty folder to unpack to, files 0600 and flushed; None = only look.

    Raises:
        StoreDamaged: a byte is not what it was, or something is missing or too much.
        StoreTooNew: a newer trunkline wrote it.
        StoreUnavailable: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = read_manifest(archive)
            for entry in manifest.files:
                with archive.open(entry.name) as source:
                    _check(entry, source, into, on_bytes)
    # `zipfile` has RuntimeError for a flipped flag: "encrypted", or a method it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError) as error:
        raise StoreDamaged(f"the backup {path} is damaged: {error}") from error
    except OSError as error:
        raise StoreUnavailable(f"{error.strerror or error}: {error.filename or path}") from error
    return manifest


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """Return what a backup says of itself, names checked."""
    info = archive.getinfo(MANIFEST)
    if info.file_size > MAX_MANIFEST_BYTES:
        raise StoreDamaged("the backup's manifest is too large")
    data = archive.read(info)
    try:
        found = msgspec.json.decode(data)["format"]
        if found != FORMAT:
            raise StoreTooNew(
                f"the backup has format {found}, this trunkline knows {FORMAT}; use a newer one"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, TypeError, LookupError) as error:
        raise StoreDamaged(f"the backup's manifest is damaged: {error}") from error
    names = [entry.name for entry in manifest.files]
    if sorted([*names, MANIFEST]) != sorted(archive.namelist()):
        raise StoreDamaged("the backup holds other files than its manifest says")
    for name in [*names, f"{DATA}/{manifest.database}", f"{CONFIG}/{manifest.config or 'x'}"]:
        if not _is_safe(name):
            raise StoreDamaged(f"the backup holds a file that leads elsewhere: {name!r}")
    if f"{DATA}/{manifest.database}" not in names:
        raise StoreDamaged("the backup has no database")
    return manifest


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return (
        len(parts) >= 2
        and parts[0] in (DATA, CONFIG)
        and ".." not in parts
        and str(PurePosixPath(name)) == name
        and "\\" not in name
        and name.isprintable()
    )


def _check(entry: Entry, source: IO[bytes], into: Path | None, on_bytes: OnBytes) -> None:
    digest, size = hashlib.sha256(), 0
    target: IO[bytes] | None = None
    if into is not None:
        path = into / entry.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        target = os.fdopen(descriptor, "wb")
    try:
        while piece := source.read(_PIECE_BYTES):
            size += len(piece)
            if size > entry.size:
                break
            digest.update(piece)
            if target is not None:
                target.write(piece)
            on_bytes(len(piece))
        if target is not None:
            target.flush()
            os.fsync(target.fileno())
    finally:
        if target is not None:
            target.close()
    if size != entry.size or digest.hexdigest() != entry.sha256:
        raise StoreDamaged(f"the backup is damaged: {entry.name} is not what it was")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
