"""One process per data folder: `flock` on `trunkline.lock`, which tells who has it.

The kernel drops the lock when its holder dies, whatever way; the file stays, since deleting it
would let two processes hold locks on two files of one name.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from trunkline.errors import DataDirInUse, StoreUnavailable

LOCK_NAME: Final = "trunkline.lock"


class Owner(msgspec.Struct, frozen=True):
    """What the lock file holds, as JSON.

    Args:
        since: when it took the folder, ISO 8601 in UTC.
        url: where its port is; "" before it listens and after it has stopped.
    """

    pid: int
    since: str
    url: str = ""

    def __str__(self) -> str:
        parts = [f"pid {self.pid}", f"since {self.since}"]
        return ", ".join([*parts, self.url] if self.url else parts)


class FolderLock:
    """The right to a data folder, held until `release` or the end of the process."""

    def __init__(self, descriptor: int, owner: Owner) -> None:
        self._descriptor = descriptor
        self._owner = owner
        self.write_owner("")

    def write_owner(self, url: str) -> None:
        """Say where this process listens, for commands that look for it."""
        self._owner = msgspec.structs.replace(self._owner, url=url)
        data = msgspec.json.encode(self._owner) + b"\n"
        # One write, then the cut: a reader never sees an empty file.
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))

    def release(self) -> None:
        """Let another process have the folder. Twice does no harm."""
        if self._descriptor < 0:
            return
        with suppress(OSError):  # a full disk must not keep the lock
            self.write_owner("")
        os.close(self._descriptor)
        self._descriptor = -1


def prepare_folder(folder: Path) -> None:
    """Make the data folder with mode 0700, and tighten one that holds nothing but ours.

    A folder that holds other things too may be somebody's home, or `/etc`: closing it to others is
    not ours to decide. Every file of ours in it has mode 0600 in any case.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StoreUnavailable(f"{folder} is not a folder") from error
    facts = folder.stat()
    is_open = bool(stat.S_IMODE(facts.st_mode) & 0o077)
    if is_open and facts.st_uid == os.geteuid() and all(map(_is_ours, folder.iterdir())):
        folder.chmod(0o700)


def _is_ours(path: Path) -> bool:
    ours = ("api.token", "media", "plugins", "schemas")
    return path.name.startswith("trunkline.") or path.name in ours


def lock_folder(folder: Path, *, since_ms: int) -> FolderLock:
    """Take the folder.

    Raises:
        DataDirInUse: another process has it; the error names it.
    """
    path = folder / LOCK_NAME
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = read_owner(folder)
        os.close(descriptor)
        raise DataDirInUse(str(folder), str(owner or "another process")) from error
    except BaseException:
        os.close(descriptor)
        raise
    os.fchmod(descriptor, 0o600)
    since = datetime.fromtimestamp(since_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return FolderLock(descriptor, Owner(os.getpid(), since))


def read_owner(folder: Path) -> Owner | None:
    """Return who took the folder last, or None when nobody did. It may have died since."""
    try:
        return msgspec.json.decode((folder / LOCK_NAME).read_bytes(), type=Owner)
    except (OSError, msgspec.DecodeError):
        return None
