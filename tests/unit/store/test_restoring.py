"""Restoring: whole or not at all, killed between any two steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.errors import StoreDamaged, StoreUnavailable
from trunkline.store import restoring
from trunkline.store.archive import FORMAT, Manifest, write_archive
from trunkline.store.restoring import (
    STAGE,
    Places,
    commit,
    finish,
    is_unfinished,
    plan_moves,
    replaced,
    require_whole,
    stage,
)

NEW = {
    "data/trunkline.db": "new db", "data/api.token": "new token", "data/media/aa": "new body",
    "config/trunkline.toml": "new config", "config/plugins/a.py": "new plugin",
}  # fmt: skip
OLD = {
    "trunkline.db": "old db", "trunkline.db-wal": "old wal", "api.token": "old token",
    "media/bb": "old body", "plugin-data/p.json": "old notes", "trunkline.toml": "old config",
    "mine.txt": "mine", "schemas/boss/current": "old schema",
}  # fmt: skip
AFTER = {
    "trunkline.db": "new db", "api.token": "new token", "media/aa": "new body",
    "trunkline.toml": "new config", "plugins/a.py": "new plugin", "mine.txt": "mine",
}  # fmt: skip
KEPT = "trunkline.before-restore-now"


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    fill(source, NEW)
    facts = Manifest(
        format=FORMAT, trunkline="1", made_at="", revision="0002", database="trunkline.db", rows={},
        config="trunkline.toml", data_dir=".", left_out=(), files=(),
    )  # fmt: skip
    write_archive(
        tmp_path / "b.zip", facts, [(name, source / name) for name in NEW], lambda _: None
    )
    return tmp_path / "b.zip"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "house", OLD)
    return tmp_path / "house"


def fine(_folder: Path, _manifest: Manifest) -> None:
    """Let it pass."""


def put(backup: Path, folder: Path) -> Path | None:
    places = Places(folder, folder)
    manifest = stage(backup, places, fine, lambda _: None)
    return commit(places, plan_moves(manifest, places), "now")


def test_everything_gets_its_place_and_the_old_is_kept(backup: Path, folder: Path):
    kept = put(backup, folder)
    assert kept == folder / KEPT
    found = tree(folder)
    old = {name: text for name, text in found.items() if name.startswith(KEPT)}
    assert {name: text for name, text in found.items() if name not in old} == AFTER
    assert sorted(old.values()) == sorted(text for text in OLD.values() if text != "mine")


def test_into_an_empty_folder_nothing_is_kept(backup: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert put(backup, tmp_path / "empty") is None
    assert tree(tmp_path / "empty") == {k: v for k, v in AFTER.items() if k != "mine.txt"}


def test_the_preview_names_what_would_go(backup: Path, folder: Path):
    places = Places(folder, folder)
    manifest = stage(backup, places, fine, lambda _: None)
    going = {path.relative_to(folder).as_posix() for path in replaced(plan_moves(manifest, places))}
    assert going == {
        "trunkline.db", "trunkline.db-wal", "api.token", "media", "plugin-data", "trunkline.toml",
        "schemas",
    }  # fmt: skip


def test_a_backup_that_does_not_pass_changes_nothing(backup: Path, folder: Path):
    def refuse(_folder: Path, _manifest: Manifest) -> None:
        raise StoreDamaged("no")

    with pytest.raises(StoreDamaged):
        stage(backup, Places(folder, folder), refuse, lambda _: None)
    assert tree(folder) == OLD


def test_a_damaged_backup_changes_nothing(backup: Path, folder: Path):
    backup.write_bytes(backup.read_bytes()[:-40])
    with pytest.raises(StoreDamaged):
        stage(backup, Places(folder, folder), fine, lambda _: None)
    assert tree(folder) == OLD


class Killed(BaseException):
    """The process died here."""


def killing(after: int, act: Callable[..., None]) -> Callable[..., None]:
    left = after

    def call(*args: Path) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        act(*args)

    return call


@pytest.mark.parametrize("after", range(14))
def test_killed_between_any_two_renames_it_goes_on_to_the_end(
    backup: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
):
    rename = restoring._rename
    monkeypatch.setattr(restoring, "_rename", killing(after, rename))
    try:
        put(backup, folder)
        assert after >= 11  # six things go away, five come
    except Killed:
        assert is_unfinished(folder)
        with pytest.raises(StoreUnavailable, match="interrupted"):
            require_whole(folder)
        monkeypatch.setattr(restoring, "_rename", rename)
        assert finish(folder) == folder / KEPT
    require_whole(folder)
    found = tree(folder)
    assert {k: v for k, v in found.items() if not k.startswith(KEPT)} == AFTER
    assert len(found) == len(AFTER) + len(OLD) - 1


def test_killed_before_it_was_decided_everything_is_as_it_was(backup: Path, folder: Path):
    stage(backup, Places(folder, folder), fine, lambda _: None)  # and no commit
    require_whole(folder)
    assert {k: v for k, v in tree(folder).items() if not k.startswith(STAGE)} == OLD
    put(backup, folder)
    assert tree(folder)["trunkline.db"] == "new db"


def test_a_data_folder_elsewhere_gets_its_own(backup: Path, tmp_path: Path):
    (tmp_path / "data").mkdir()
    places = Places(tmp_path / "conf", tmp_path / "data")
    manifest = stage(backup, places, fine, lambda _: None)
    commit(places, plan_moves(manifest, places), "now")
    assert set(tree(tmp_path / "conf")) == {"trunkline.toml", "plugins/a.py"}
    assert set(tree(tmp_path / "data")) == {"trunkline.db", "api.token", "media/aa"}


def test_another_file_system_gets_a_whole_copy(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if ("conf" in self.parts) != ("conf" in Path(target).parts):
            raise OSError(18, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    (tmp_path / "data").mkdir()
    fill(tmp_path / "conf", {"trunkline.toml": "old config"})
    places = Places(tmp_path / "conf", tmp_path / "data")
    manifest = stage(backup, places, fine, lambda _: None)
    kept = commit(places, plan_moves(manifest, places), "now")
    assert tree(tmp_path / "conf")["trunkline.toml"] == "new config"
    assert kept is not None
    assert tree(kept) == {"config/trunkline.toml": "old config"}
