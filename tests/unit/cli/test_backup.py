"""`backup` and `restore` as commands: real files, no server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.cli.backup import Progress, format_bytes
from trunkline.cli.main import run
from trunkline.clock import SystemClock
from trunkline.store.migrations import HEAD
from trunkline.store.sqlite import SqliteStore

CONFIG = '[lines.core]\ndialect = "maim"\ntoken = { file = "core.token" }\n'
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "plugins").mkdir(parents=True)
    (home / "plugin-data").mkdir()
    (home / "trunkline.toml").write_text(CONFIG)
    (home / "core.token").write_text("0123456789abcdef0123456789abcdef")
    (home / "plugins" / "a.py").write_text("")
    (home / "plugin-data" / "a.json").write_text("{}")
    (home / "schemas" / "boss").mkdir(parents=True)
    (home / "schemas" / "boss" / "current").write_text("0" * 64)
    (home / "schemas" / "boss" / ".current.x").write_text("half written")
    (home / "api.token").write_text("tl_x")
    for path in home.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.chdir(home)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    touch(home)
    return home


def touch(folder: Path) -> None:
    async def open_and_close() -> None:
        store = SqliteStore(folder, clock=SystemClock())
        await store.open()
        await store.close()

    asyncio.run(open_and_close())


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*args: str) -> tuple[int, str, str]:
        code = run(list(args))
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return call


def fence(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "trunkline.db")) as one:
        return int(one.execute("SELECT value FROM meta WHERE name = 'fence'").fetchone()[0])


def set_revision(folder: Path, revision: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "trunkline.db")) as one:
        one.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        one.commit()


def test_there_and_back_again(call: Call, here: Path, tmp_path: Path):
    code, out, err = call("backup", str(tmp_path / "b.zip"), "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["rows"]["meta"] >= 1
    assert facts["files"] == 7
    assert stat.S_IMODE((tmp_path / "b.zip").stat().st_mode) == 0o600
    code, out, _ = call("restore", str(tmp_path / "b.zip"), "--to", str(tmp_path / "new"))
    assert code == 0
    new = tmp_path / "new"
    assert "restored to" in out
    assert fence(new) == fence(here)
    for name in (
        "trunkline.toml", "core.token", "api.token", "plugins/a.py", "plugin-data/a.json",
        "schemas/boss/current",
    ):  # fmt: skip
        assert (new / name).read_bytes() == (here / name).read_bytes()
        assert stat.S_IMODE((new / name).stat().st_mode) == 0o600
    touch(new)  # it starts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "home", "new"]


def test_a_backup_says_what_is_in_it_and_that_it_is_a_secret(call: Call, tmp_path: Path):
    code, out, err = call("backup", str(tmp_path))
    assert code == 0
    assert "verified" in out
    assert "keep it like a password" in err
    (made,) = tmp_path.glob("trunkline-backup-*.zip")
    assert str(made) in out


def test_without_data_there_is_nothing_to_back_up(call: Call, here: Path):
    (here / "trunkline.db").unlink()
    code, _, err = call("backup")
    assert code == 1
    assert "no data" in err
    assert not list(here.glob("*.zip"))


def test_a_folder_that_is_not_there_is_a_usage_error(call: Call, tmp_path: Path):
    code, _, err = call("backup", str(tmp_path / "gone" / "b.zip"))
    assert code == 2
    assert "there is no folder" in err


def test_damaged_data_makes_no_backup(call: Call, here: Path, tmp_path: Path):
    with (here / "trunkline.db").open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096)
    code, _, err = call("backup", str(tmp_path / "b.zip"))
    assert code == 1
    assert "damaged" in err
    assert "trunkline restore" in err
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_nothing_is_replaced_without_force_and_the_old_is_kept(
    call: Call, here: Path, tmp_path: Path
):
    call("backup", str(tmp_path / "b.zip"))
    before = fence(here)
    touch(here)
    assert fence(here) == before + 1
    code, _, err = call("restore", str(tmp_path / "b.zip"))
    assert code == 1
    assert str(here / "trunkline.db") in err
    assert "--force" in err
    assert fence(here) == before + 1
    code, out, _ = call("restore", str(tmp_path / "b.zip"), "--force")
    assert code == 0
    assert fence(here) == before
    (kept,) = here.glob("trunkline.before-restore-*")
    assert str(kept) in out
    assert fence(kept / "data") == before + 1


def test_a_dry_run_changes_nothing(call: Call, here: Path, tmp_path: Path):
    call("backup", str(tmp_path / "b.zip"))
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    code, out, _ = call("restore", str(tmp_path / "b.zip"), "--dry-run", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["dry_run"] is True
    assert str(here / "trunkline.db") in facts["replaced"]
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


def test_data_of_a_newer_trunkline_is_refused(call: Call, here: Path, tmp_path: Path):
    call("backup", str(tmp_path / "b.zip"))
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["manifest.json"] = members["manifest.json"].replace(f'"{HEAD}"'.encode(), b'"9999"')
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    code, _, err = call("restore", str(tmp_path / "b.zip"), "--force")
    assert code == 1
    assert "9999" in err
    assert "newer trunkline" in err
    assert not list(here.glob("trunkline.before-restore-*"))


def test_older_data_is_restored_and_said_to_be_migrated(
    call: Call, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    set_revision(here, "0001")
    call("backup", str(tmp_path / "b.zip"))
    code, out, err = call("restore", str(tmp_path / "b.zip"), "--to", str(tmp_path / "new"))
    assert code == 0, err
    assert "the next start migrates it" in out


def test_a_damaged_backup_changes_nothing(call: Call, here: Path, tmp_path: Path):
    call("backup", str(tmp_path / "b.zip"))
    body = bytearray((tmp_path / "b.zip").read_bytes())
    body[300] ^= 1  # inside the first file
    (tmp_path / "b.zip").write_bytes(body)
    before = fence(here)
    code, _, err = call("restore", str(tmp_path / "b.zip"), "--force")
    assert code == 1
    assert "nothing was changed" in err
    assert fence(here) == before


def test_a_folder_in_use_is_left_alone(call: Call, here: Path, tmp_path: Path):
    call("backup", str(tmp_path / "b.zip"))

    async def hold() -> tuple[int, str, str]:
        store = SqliteStore(here, clock=SystemClock())
        await store.open()
        try:
            return await asyncio.to_thread(call, "restore", str(tmp_path / "b.zip"), "--force")
        finally:
            await store.close()

    code, _, err = asyncio.run(hold())
    assert code == 73
    assert "is in use by" in err


def test_a_file_that_is_not_there(call: Call):
    code, _, err = call("restore", "nothing.zip")
    assert code == 2
    assert "there is no file" in err


def test_a_data_folder_inside_the_configurations_goes_where_it_was(
    call: Call, here: Path, tmp_path: Path
):
    (here / "trunkline.toml").write_text(CONFIG + '[store]\ndir = "data"\n')
    touch(here / "data")
    call("backup", str(tmp_path / "b.zip"))
    code, _, err = call("restore", str(tmp_path / "b.zip"), "--to", str(tmp_path / "new"))
    assert code == 0, err
    assert (tmp_path / "new" / "data" / "trunkline.db").is_file()
    assert not (tmp_path / "new" / "trunkline.db").exists()


def test_long_work_says_how_far_it_is(capsys: pytest.CaptureFixture[str]):
    now_s = 0.0
    progress = Progress("copying", lambda: now_s)
    progress.total = 400
    for _ in range(4):
        now_s += 1.0
        progress.more(100)
    assert capsys.readouterr().err.splitlines() == ["copying … 50 %", "copying … 100 %"]


@pytest.mark.parametrize(
    ("size", "shown"), [(5, "5 B"), (2048, "2.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
)
def test_sizes_for_people(size: int, shown: str):
    assert format_bytes(size) == shown


def test_a_file_that_is_there_is_not_replaced_unless_forced(call: Call, here: Path, tmp_path: Path):
    precious = tmp_path / "notes.txt"
    precious.write_text("mine", encoding="utf-8")
    code, _, err = call("backup", str(precious))
    assert code == 1
    assert "--force" in err
    assert precious.read_text(encoding="utf-8") == "mine"
    assert call("backup", str(precious), "--force")[0] == 0
