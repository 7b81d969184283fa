"""Backups: whole or refused, whatever happened to the file."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import StoreDamaged, StoreError, StoreTooNew, StoreUnavailable
from trunkline.store.archive import FORMAT, MANIFEST, Entry, Manifest, read_archive, write_archive

FACTS = Manifest(
    format=FORMAT, trunkline="1", made_at="2026-01-01T00:00:00Z", revision="0002",
    database="trunkline.db", rows={"inbox": 1}, config="trunkline.toml", data_dir=".",
    left_out=(), files=(),
)  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    (source / "db").write_bytes(bytes(range(256)) * 4096)
    (source / "toml").write_text("[server]\n")
    members = [("data/trunkline.db", source / "db"), ("config/trunkline.toml", source / "toml")]
    write_archive(tmp_path / "b.zip", FACTS, members, lambda _: None)
    return tmp_path / "b.zip"


def test_a_backup_is_private_and_gives_back_every_byte(made: Path, tmp_path: Path):
    into = tmp_path / "into"
    into.mkdir()
    told: list[int] = []
    manifest = read_archive(made, told.append, into)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (into / "data/trunkline.db").read_bytes() == bytes(range(256)) * 4096
    assert stat.S_IMODE((into / "data/trunkline.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((into / "data").stat().st_mode) == 0o700
    assert [entry.name for entry in manifest.files] == [
        "data/trunkline.db",
        "config/trunkline.toml",
    ]
    assert sum(told) == manifest.size_bytes == 256 * 4096 + 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "into", "source"]


def test_what_is_forgotten_while_it_is_copied_is_left_out(made: Path, tmp_path: Path):
    members = [("data/trunkline.db", tmp_path / "source/db"), ("data/media/x", tmp_path / "gone")]
    manifest = write_archive(made, FACTS, members, lambda _: None)
    assert [entry.name for entry in manifest.files] == ["data/trunkline.db"]


def test_a_backup_that_cannot_be_written_leaves_the_old_one(made: Path, tmp_path: Path):
    before = made.read_bytes()

    def burst(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreUnavailable, match="No space left"):
        write_archive(made, FACTS, [("data/trunkline.db", tmp_path / "source/db")], burst)
    assert made.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "source"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_byte_that_changed_is_found(data: st.DataObject):
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "db").write_bytes(b"row " * 300)
        target = folder / "b.zip"
        write_archive(target, FACTS, [("data/trunkline.db", folder / "db")], lambda _: None)
        whole = bytearray(target.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        cut = data.draw(st.booleans())
        if cut:
            del whole[at:]
        else:
            whole[at] ^= data.draw(st.integers(1, 255))
        target.write_bytes(whole)
        try:
            manifest = read_archive(target, lambda _: None, None)
        except StoreError:
            return
        # A byte that says nothing (a date, a comment): what counts is that all content is there.
        assert not cut
        assert manifest.files == (
            Entry("data/trunkline.db", 1200, hashlib.sha256(b"row " * 300).hexdigest()),
        )


def forge(path: Path, files: dict[str, bytes], **changes: Any) -> Path:
    """Write a backup whose manifest fits its files, whatever their names."""
    entries = [
        {"name": name, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for name, body in files.items()
    ]
    facts = msgspec.to_builtins(FACTS) | {"files": entries} | changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
        archive.writestr(MANIFEST, json.dumps(facts))
    return path


@pytest.mark.parametrize(
    "name",
    ["data/../../x", "/data/x", "data//x", "etc/x", "data/./x", "data", "config/a\\b", "data/\n"],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str):
    path = forge(tmp_path / "b.zip", {"data/trunkline.db": b"", name: b"x"})
    (tmp_path / "into").mkdir()
    with pytest.raises(StoreDamaged):
        read_archive(path, lambda _: None, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize("key", ["database", "config"])
def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path: Path, key: str):
    path = forge(tmp_path / "b.zip", {"data/trunkline.db": b""}, **{key: "../x"})
    with pytest.raises(StoreDamaged, match="leads elsewhere"):
        read_archive(path, lambda _: None)


def test_a_backup_without_a_database_is_refused(tmp_path: Path):
    path = forge(tmp_path / "b.zip", {"data/x": b""})
    with pytest.raises(StoreDamaged, match="no database"):
        read_archive(path, lambda _: None)


def test_a_file_that_the_manifest_does_not_know_is_refused(made: Path):
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("config/extra.py", "")
    with pytest.raises(StoreDamaged, match="other files"):
        read_archive(made, lambda _: None)


def test_a_file_longer_than_its_manifest_is_not_unpacked_to_its_end(tmp_path: Path):
    body = b"\0" * (8 << 20)
    path = forge(tmp_path / "b.zip", {"data/trunkline.db": body})
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read(MANIFEST))
    facts["files"][0]["size"] = 10
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/trunkline.db", body)
        archive.writestr(MANIFEST, json.dumps(facts))
    told: list[int] = []
    with pytest.raises(StoreDamaged):
        read_archive(path, told.append)
    assert sum(told) == 0


def test_a_newer_format_is_refused_as_such(tmp_path: Path):
    path = forge(tmp_path / "b.zip", {"data/trunkline.db": b""}, format=FORMAT + 1)
    with pytest.raises(StoreTooNew, match="newer"):
        read_archive(path, lambda _: None)


def test_what_is_no_backup_at_all(tmp_path: Path):
    (tmp_path / "x").write_text("hello")
    with pytest.raises(StoreDamaged):
        read_archive(tmp_path / "x", lambda _: None)
    with pytest.raises(StoreUnavailable):
        read_archive(tmp_path / "nothing", lambda _: None)


def test_a_flag_that_says_encrypted_is_damage(tmp_path: Path):
    (tmp_path / "db").write_bytes(b"row " * 300)
    target = tmp_path / "b.zip"
    write_archive(target, FACTS, [("data/trunkline.db", tmp_path / "db")], lambda _: None)
    whole = bytearray(target.read_bytes())
    whole[whole.index(b"PK\x01\x02") + 8] ^= 1  # of the first entry, in the directory at the end
    target.write_bytes(whole)
    with pytest.raises(StoreError, match="damaged"):
        read_archive(target, lambda _: None, None)
