"""One process per data folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.errors import DataDirInUse, StoreUnavailable
from trunkline.store.lock import lock_folder, prepare_folder, read_owner

SINCE_MS = 1_767_225_600_000
HOLDER = """
import sys
from pathlib import Path
from trunkline.store.lock import lock_folder
lock = lock_folder(Path(sys.argv[1]), since_ms=1_767_225_600_000)
lock.write_owner("http://127.0.0.1:8080")
print("held", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_process_is_told_who_has_the_folder(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataDirInUse) as caught:
            lock_folder(tmp_path, since_ms=SINCE_MS)
        assert caught.value.path == str(tmp_path)
        assert caught.value.owner == (
            f"pid {holder.pid}, since 2026-01-01T00:00:00Z, http://127.0.0.1:8080"
        )
        holder.kill()
        holder.wait()
    # The kernel lets go of what a killed process held; its file is no obstacle.
    lock = lock_folder(tmp_path, since_ms=SINCE_MS)
    lock.release()


def test_the_file_tells_commands_where_the_server_is(tmp_path: Path):
    lock = lock_folder(tmp_path, since_ms=SINCE_MS)
    path = tmp_path / "trunkline.lock"
    lock.write_owner("http://127.0.0.1:12345/a-longer-one")
    lock.write_owner("http://127.0.0.1:1")
    assert json.loads(path.read_bytes()) == {
        "pid": os.getpid(), "since": "2026-01-01T00:00:00Z", "url": "http://127.0.0.1:1",
    }  # fmt: skip
    assert mode(path) == 0o600
    lock.release()
    lock.release()
    owner = read_owner(tmp_path)
    assert owner is not None
    assert owner.url == ""  # nobody listens there any more
    lock_folder(tmp_path, since_ms=SINCE_MS).release()


def test_a_folder_that_is_locked_before_its_owner_has_signed(tmp_path: Path):
    lock = lock_folder(tmp_path, since_ms=SINCE_MS)
    (tmp_path / "trunkline.lock").write_bytes(b"")
    with pytest.raises(DataDirInUse, match="another process"):
        lock_folder(tmp_path, since_ms=SINCE_MS)
    lock.release()
    assert read_owner(tmp_path / "nowhere") is None


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path):
    (tmp_path / "other").write_text("precious")
    (tmp_path / "trunkline.lock").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic"):
        lock_folder(tmp_path, since_ms=SINCE_MS)
    assert (tmp_path / "other").read_text() == "precious"


def test_a_new_folder_is_closed_to_others(tmp_path: Path):
    folder = tmp_path / "a" / "b"
    prepare_folder(folder)
    assert mode(folder) == 0o700


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], 0o700),
        (["trunkline.toml", "trunkline.db", "api.token", "media"], 0o700),
        (["trunkline.toml", "passwd"], 0o755),  # /etc, or somebody's home: not ours to close
    ],
)
def test_a_folder_is_tightened_when_all_in_it_is_ours(
    tmp_path: Path, names: list[str], expected: int
):
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    for name in names:
        (folder / name).touch()
    prepare_folder(folder)
    assert mode(folder) == expected


def test_a_file_in_the_place_of_the_folder(tmp_path: Path):
    (tmp_path / "data").touch()
    with pytest.raises(StoreUnavailable, match="not a folder"):
        prepare_folder(tmp_path / "data")
