"""New credentials while a line runs: checked, written 0600, used; a bad text changes nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.config import load_config
from trunkline.credentials import Credentials
from trunkline.lines.contract import CredentialRefused

OLD = "unb=2200000000001; cookie2=old-old-old-old"
NEW = "unb=2200000000001; cookie2=new-new-new-new"
CONFIG = """\
[lines.shop]
dialect = "xianyu"
cookies = { file = "shop.cookies" }

[lines.other]
dialect = "xianyu"
cookies = "unb=2"

[lines.blog]
dialect = "contact"

[lines.job]
dialect = "boss"
cookies = { file = "job.cookies" }

[lines.job2]
dialect = "boss"
cookies = "wt=two; bst=two"
"""


class World:
    """A configuration, its cookie file, and what the lines are told."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "shop.cookies"
        self._tick = 0
        self.write(OLD)
        self.job = folder / "job.cookies"
        self.job.write_text("wt=one; bst=one")
        self.job.chmod(0o600)
        config = folder / "trunkline.toml"
        config.write_text(CONFIG)
        loaded = load_config(config, {})
        self.lines: dict[str, Any] = {
            name: SimpleNamespace(options=options) for name, options in loaded.lines.items()
        }
        self.learnt: list[str] = []
        self.renewed: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.credentials = Credentials(
            loaded,
            self.lines,
            learn=lambda _line, secrets: self.learnt.extend(secrets),
            renew=self._renew,
            tell=lambda line, why: self.told.append((line, why)),
        )

    def _renew(self, line: str) -> None:
        self.renewed.append(line)
        if line != "shop":
            return
        # Whoever dials now logs what it likes: the secrets must be known before.
        assert self.cookies in self.learnt

    @property
    def cookies(self) -> str:
        return self.lines["shop"].options.cookie_text

    def write(self, text: str) -> None:
        """Edit the file, at a time of its own."""
        self.file.write_text(text)
        self.file.chmod(0o600)
        self._tick += 1
        os.utime(self.file, ns=(self._tick, self._tick))

    async def look(self, times: int = 2) -> None:
        for _ in range(times):
            await self.credentials.look()


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    await world.look()
    assert (world.renewed, world.told) == ([], [])
    return world


async def test_what_is_given_is_written_for_its_owner_alone_and_used(world: World) -> None:
    world.file.chmod(0o644)
    await world.credentials.give("shop", f"  {NEW}\n")
    assert world.file.read_text() == f"{NEW}\n"
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert (world.cookies, world.renewed) == (NEW, ["shop"])
    await world.look(4)  # its own write is no edit
    assert (world.renewed, world.told) == (["shop"], [])
    assert [path.name for path in world.file.parent.iterdir() if ".shop" in path.name] == []


async def test_a_link_stays_one_and_what_it_leads_to_is_written(world: World) -> None:
    target = world.file.parent / "secrets" / "shop"
    target.parent.mkdir()
    world.file.rename(target)
    world.file.symlink_to("secrets/shop")
    await world.look()
    await world.credentials.give("shop", NEW)
    assert world.file.is_symlink()
    assert target.read_text() == f"{NEW}\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    await world.look(4)
    assert (world.renewed, world.told) == (["shop"], [])
    target.write_text(OLD)
    await world.look(4)
    assert world.cookies == OLD


@pytest.mark.parametrize(
    "text", ["", "   \n", "cookie2=without-an-account", "unb=1;" + "x" * 65_536]
)
async def test_what_cannot_be_used_changes_nothing(world: World, text: str) -> None:
    with pytest.raises(CredentialRefused) as caught:
        await world.credentials.give("shop", text)
    assert "without-an-account" not in str(caught.value)
    assert (world.file.read_text(), world.cookies, world.renewed) == (OLD, OLD, [])


@pytest.mark.parametrize(("line", "why"), [("other", "file"), ("blog", "nothing")])
async def test_only_a_line_with_a_file_can_be_given_one(world: World, line: str, why: str) -> None:
    with pytest.raises(CredentialRefused, match=why):
        await world.credentials.give(line, NEW)
    assert world.renewed == []


async def test_an_edited_file_is_taken_up_once_it_rests(world: World) -> None:
    world.write(NEW)
    await world.look(1)
    assert world.renewed == []  # somebody may still be writing it
    await world.look(1)
    assert (world.cookies, world.renewed, world.told) == (NEW, ["shop"], [("shop", "")])
    world.write(NEW)
    await world.look()
    assert world.renewed == ["shop"]  # touched, but the same


async def test_a_broken_edit_is_told_once_and_changes_nothing(world: World) -> None:
    world.write("cookie2=no-account")
    await world.look(4)
    ((line, why),) = world.told
    assert (line, world.cookies, world.renewed) == ("shop", OLD, [])
    assert "unb" in why
    assert "no-account" not in why
    world.write(NEW)
    await world.look()
    assert world.renewed == ["shop"]


async def test_credentials_of_another_account_are_refused_with_the_way_out(world: World) -> None:
    with pytest.raises(CredentialRefused, match=r"another account.*line of its own") as caught:
        await world.credentials.give("shop", "unb=2200000000009; cookie2=new")
    assert "2200000000009" not in str(caught.value)
    assert (world.file.read_text(), world.cookies, world.renewed) == (OLD, OLD, [])


async def test_an_edit_to_another_account_is_told_and_not_used(world: World) -> None:
    world.write("unb=2200000000009; cookie2=new")
    await world.look(4)
    ((line, why),) = world.told
    assert (line, world.cookies, world.renewed) == ("shop", OLD, [])
    assert "another account" in why


async def test_the_cookies_of_another_line_are_refused_by_both_names(world: World) -> None:
    with pytest.raises(CredentialRefused, match="lines job and job2 log in as the same account"):
        await world.credentials.give("job", "bst=two; wt=two")
    assert world.job.read_text() == "wt=one; bst=one"
    await world.credentials.give("job", "wt=three; bst=three")
    assert world.renewed == ["job"]
