"""A log file that is private and never grows without bound. Used by the writer thread alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO


class RotatingFile:
    """Appends lines; a full file becomes `NAME.1`, the older ones move up, the oldest goes.

    Args:
        path: made with mode 0600 in an existing folder.
        max_bytes: a line that would exceed it starts a new file.
        keep: how many old files stay; 0 = the full file is emptied.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._file: TextIO | None = None
        self._size = 0
        self._open()

    def write(self, line: str) -> None:
        """Write one line at once: after a crash it is there.

        Raises:
            OSError: the disk is full or the folder is gone; the next line tries again.
        """
        size = len(line.encode("utf-8", "replace"))
        if self._file is None or (self._size and self._size + size > self._max_bytes):
            self._rotate()
        if self._file is not None:
            self._file.write(line)
            self._file.flush()
            self._size += size

    def close(self) -> None:
        """Close the file. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # A file of an older version may have been made with the usual mask.
        os.fchmod(descriptor, 0o600)
        self._size = os.fstat(descriptor).st_size
        self._file = os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")

    def _rotate(self) -> None:
        self.close()
        if self._size and self._keep:
            for number in range(self._keep - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.replace(self._numbered(number + 1))
            if self._path.exists():
                self._path.replace(self._numbered(1))
        elif self._size:
            self._path.unlink(missing_ok=True)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
