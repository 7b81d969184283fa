"""Bodies too large for a row: files `media/<sha256>`, flushed before the commit that names them.

A file is named by its content, so the same body is kept once, and a file that is there is whole:
it is written under another name, flushed, and renamed. One that no row names (its commit failed,
or its rows are gone) is found by the sweep. The writer thread alone writes and deletes here, so
nothing is deleted between being written and being named.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

MAX_ROW_BYTES: Final = 32 << 10  # design 5: bodies over 32 KiB go to files
_PART: Final = ".part"


class Media:
    """The folder of large bodies.

    Args:
        folder: made with mode 0700 when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_dirty = False
        self._names: Iterator[str] | None = None

    def open(self) -> None:
        """Make the folder, and remove what a killed process left half written."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
        for path in self._folder.glob(f"*{_PART}"):
            path.unlink()

    def put(self, body: bytes, now_ms: int) -> bytes:
        """Write a body and return its digest. `flush` must follow before the commit.

        Args:
            now_ms: becomes the file's time, also of one that is there already.
        """
        digest = hashlib.sha256(body).digest()
        path = self._folder / digest.hex()
        self._is_dirty = True
        try:
            os.utime(path, (now_ms / 1000, now_ms / 1000))
        except FileNotFoundError:
            self._write(path, body, now_ms)
        return digest

    def _write(self, path: Path, body: bytes, now_ms: int) -> None:
        part = path.with_name(path.name + _PART)
        descriptor = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                view = memoryview(body)
                while view:
                    view = view[file.write(view) :]
                os.fsync(descriptor)
            os.utime(part, (now_ms / 1000, now_ms / 1000))
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def flush(self) -> None:
        """Make the names written since the last call durable."""
        if not self._is_dirty:
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._is_dirty = False

    def get(self, digest: bytes) -> bytes | None:
        """Return a body, or None when its file is gone."""
        try:
            return (self._folder / digest.hex()).read_bytes()
        except FileNotFoundError:
            return None

    def sweep(self, before_ms: int, is_named: Callable[[bytes], bool], batch: int) -> int | None:
        """Look at the next `batch` files; delete those older than `before_ms` that no row names.

        Returns:
            How many were deleted, or None at the end of a round; the next call begins another.
        """
        if self._names is None:
            self._names = _digests(self._folder)
        names = list(islice(self._names, batch))
        if not names:
            self._names = None
            return None
        deleted = 0
        for name in names:
            path = self._folder / name
            with suppress(FileNotFoundError):
                if path.stat().st_mtime * 1000 < before_ms and not is_named(bytes.fromhex(name)):
                    path.unlink()
                    deleted += 1
        return deleted


def _digests(folder: Path) -> Iterator[str]:
    """Yield the names of whole files; anything else in the folder is not ours to touch."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(entry.name) == 64 and not entry.name.strip("0123456789abcdef"):
                yield entry.name
