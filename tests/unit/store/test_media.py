"""Files of large bodies: whole or absent, once each, private."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from trunkline.store.media import Media

NOW_MS = 1_767_225_600_000
BODY = b"picture" * 10_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def media(folder: Path) -> Media:
    one = Media(folder)
    one.open()
    return one


def test_a_body_comes_back_by_its_digest(media: Media, folder: Path):
    digest = media.put(BODY, NOW_MS)
    assert digest == hashlib.sha256(BODY).digest()
    assert media.get(digest) == BODY
    assert media.get(b"\0" * 32) is None
    path = folder / digest.hex()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert path.stat().st_mtime == NOW_MS / 1000


def test_the_same_body_is_written_once_and_becomes_young_again(media: Media, folder: Path):
    digest = media.put(BODY, NOW_MS)
    inode = (folder / digest.hex()).stat().st_ino
    assert media.put(BODY, NOW_MS + 5000) == digest
    facts = (folder / digest.hex()).stat()
    assert (facts.st_ino, facts.st_mtime) == (inode, NOW_MS / 1000 + 5)
    assert len(list(folder.iterdir())) == 1


def test_the_order_is_write_flush_rename_flush(
    media: Media, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """A name must never be durable before its content, nor a commit before the name."""
    said: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def see_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        size = os.fstat(descriptor).st_size
        said.append("flush folder" if is_folder else f"flush {size == len(BODY)}")
        fsync(descriptor)

    def see_rename(path: Path, target: Path) -> Path:
        said.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", see_fsync)
    monkeypatch.setattr(Path, "rename", see_rename)
    media.put(BODY, NOW_MS)
    media.flush()
    assert said == ["flush True", "rename", "flush folder"]
    media.flush()
    assert len(said) == 3  # nothing new, nothing to flush
    media.put(BODY, NOW_MS)
    media.flush()
    # The file may be there by the grace of a process that was killed before it flushed the folder.
    assert said[3:] == ["flush folder"]


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_full_disk_leaves_no_file(
    media: Media, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            patch.setattr("trunkline.store.media.memoryview", fail, raising=False)
        with pytest.raises(OSError, match="No space"):
            media.put(BODY, NOW_MS)
    assert list(folder.iterdir()) == []
    assert media.get(media.put(BODY, NOW_MS)) == BODY


def test_opening_removes_what_a_killed_process_left_half_written(media: Media, folder: Path):
    digest = media.put(BODY, NOW_MS)
    (folder / ("0" * 64 + ".part")).write_bytes(b"half")
    Media(folder).open()
    assert [path.name for path in folder.iterdir()] == [digest.hex()]


def test_the_sweep_goes_round_in_batches(media: Media, folder: Path):
    digests = [media.put(b"%d" % n, NOW_MS + n) for n in range(5)]
    named = {digests[0]}
    looked: list[bytes] = []

    def is_named(digest: bytes) -> bool:
        looked.append(digest)
        return digest in named

    steps: list[int] = []
    while (step := media.sweep(NOW_MS + 3, is_named, 2)) is not None:
        steps.append(step)
    assert len(steps) == 3
    assert sum(steps) == 2
    assert set(looked) == set(digests[:3])  # young files are not asked for
    assert {path.name for path in folder.iterdir()} == {
        digest.hex() for digest in (digests[0], digests[3], digests[4])
    }
    assert media.sweep(NOW_MS + 99, is_named, 9) == 2  # the next round sees what has aged
