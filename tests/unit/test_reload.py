from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from trunkline.clock import FakeClock
from trunkline.config import Config, load_config
from trunkline.errors import ConfigError
from trunkline.model.asking import HandlerSpec
from trunkline.model.segment import Text
from trunkline.pipeline.decide import Rulebook
from trunkline.pipeline.turn import VerdictKind
from trunkline.reload import Reload, Reloaded
from trunkline.web.trial import build_trial

GOOD = """\
[lines.blog]
dialect = "contact"

[[rules]]
name = "price"
keywords = ["多少钱"]
reply = "十元"
"""
EDITED = GOOD.replace("十元", "九元")
BROKEN = GOOD.replace("keywords", "keyword")


class World:
    """A configuration file and what follows it."""

    def __init__(self, folder: Path, text: str = GOOD) -> None:
        self.path = folder / "trunkline.toml"
        self.path.write_text(text)
        self.env: dict[str, str] = {}
        self.clock = FakeClock()
        self.used: list[Rulebook] = []
        self.told: list[tuple[Reloaded, Config | None]] = []
        self._tick = 0
        self.config = load_config(self.path, self.env)
        self.reload = Reload(
            self.config,
            clock=self.clock,
            use=self.used.append,
            tell=lambda done, config: self.told.append((done, config)),
        )

    async def start(self) -> None:
        """Let the first looks pass, which find nothing new."""
        await self.reload.look()
        await self.reload.look()
        assert (self.used, self.told) == ([], [])

    def write(self, text: str) -> None:
        """Write the file, at a time of its own."""
        self.path.write_text(text)
        self._tick += 1
        os.utime(self.path, ns=(self._tick, self._tick))

    async def edit(self, text: str) -> None:
        """Write the file and look until it has rested."""
        self.write(text)
        await self.reload.look()
        await self.reload.look()

    def answer(self) -> str:
        """What is said now to one who asks for the price."""
        state, turn = build_trial("多少钱", "", line="blog", now_ms=self.clock.now_ms())
        (reply,) = self.reload.try_on(state, turn).replies
        (segment,) = reply.segments
        assert isinstance(segment, Text)
        return segment.text


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    await world.start()
    return world


async def test_an_edit_is_used_from_then_on(world: World) -> None:
    assert world.answer() == "十元"
    world.clock.advance(10)
    await world.edit(EDITED)
    assert world.answer() == "九元"
    assert world.used == [world.reload.rulebook]
    ((done, config),) = world.told
    assert (done.problems, done.restart_needed, done.rules) == ((), (), 1)
    assert config is not None
    assert world.reload.loaded_ms == world.clock.now_ms()
    assert world.reload.notes() == ()


async def test_a_file_that_is_still_being_written_is_not_read(world: World) -> None:
    for text in ("[[ru", GOOD[:40], EDITED):
        world.write(text)
        await world.reload.look()
        assert (world.used, world.told) == ([], [])
    await world.reload.look()
    assert world.answer() == "九元"


async def test_a_broken_edit_changes_nothing_and_says_so_once(world: World) -> None:
    await world.edit(BROKEN)
    await world.reload.look()
    assert world.answer() == "十元"
    assert world.used == []
    ((done, config),) = world.told
    assert config is None
    assert any("keyword" in problem for problem in done.problems)
    assert list(world.reload.problems) == list(done.problems)
    (note,) = world.reload.notes()
    assert "keyword" in note
    assert "not in use" in note


async def test_a_broken_edit_that_is_taken_back_is_good_again(world: World) -> None:
    await world.edit(BROKEN)
    await world.edit(GOOD)
    assert world.reload.notes() == ()
    assert [bool(done.problems) for done, _ in world.told] == [True, False]
    assert world.used == []  # the same rules are not compiled again


@pytest.mark.parametrize(
    "text", ["not toml", "\x00", '[[rules]]\nmatch = "regex"\nkeywords = ["("]\nreply = "x"', ""]
)
async def test_any_broken_edit_leaves_the_rules_alone(world: World, text: str) -> None:
    await world.edit(text)
    if text:
        assert world.answer() == "十元"
        assert world.reload.problems
    else:
        assert world.used  # an empty file has no rules: that is what it says


async def test_a_file_that_is_gone_is_a_broken_edit_and_may_come_back(world: World) -> None:
    world.path.unlink()
    await world.reload.look()
    assert world.told == []  # editors replace a file: it may be away for a moment
    await world.reload.look()
    assert world.reload.problems
    assert world.answer() == "十元"
    await world.edit(EDITED)
    assert world.answer() == "九元"
    assert world.reload.problems == ()


async def test_lines_and_sections_are_not_applied_but_named(world: World) -> None:
    more = '[server]\nport = 9999\n\n[lines.core]\ndialect = "maim"\n\n'
    await world.edit(more + EDITED.replace('"contact"', '"contact"\ndebounce_s = 2'))
    assert world.answer() == "九元"  # the rules are
    named = {"[server]", "[lines.blog]", "[lines.core]"}
    assert set(world.reload.restart_needed) == named
    assert all(name in world.reload.notes()[0] for name in named)
    await world.edit(EDITED)
    assert world.reload.restart_needed == ()
    assert world.reload.notes() == ()


async def test_a_comment_or_a_touch_is_silent(world: World) -> None:
    await world.edit(GOOD + "# a comment\n")
    await world.edit(GOOD)
    assert (world.used, world.told) == ([], [])


async def test_default_replies_and_texts_are_taken_up(world: World) -> None:
    texts = '[site]\noffline_notice = "不在"\n\n[[default_replies]]\nreply = "稍等"\n'
    await world.edit(GOOD + texts)
    spec = world.reload.spec
    assert [default.reply for default in spec.defaults] == ["稍等"]
    assert spec.offline_notice == "不在"
    assert world.reload.restart_needed == ()


async def test_an_edit_between_reading_and_starting_is_not_missed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.path.write_text(EDITED)
    late = Reload(
        world.config, clock=world.clock, use=world.used.append, tell=lambda _done, _config: None
    )
    await late.look()
    assert [rulebook.spec.rules[0].reply for rulebook in world.used] == ["九元"]


async def test_variables_of_the_start_still_count(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    path.write_text(GOOD)
    config = load_config(path, {"TRUNKLINE__SERVER__PORT": "9998"})
    world = World(tmp_path)
    reload = Reload(
        config, clock=world.clock, use=world.used.append, tell=lambda _done, _config: None
    )
    path.write_text(EDITED)
    await reload.look()
    await reload.look()
    assert len(world.used) == 1
    assert reload.restart_needed == ()


async def test_without_a_file_there_is_nothing_to_follow() -> None:
    config = load_config(None, {})
    reload = Reload(config, clock=FakeClock(), use=lambda _: None, tell=lambda _d, _c: None)
    async with asyncio.timeout(5):
        await reload.run()


async def test_an_assistant_that_comes_or_goes_needs_a_restart(world: World) -> None:
    assistant = '[assistant]\nbase_url = "http://127.0.0.1:1/v1"\nmodel = "m"\n'
    await world.edit(assistant + EDITED)
    assert world.answer() == "九元"
    assert world.reload.spec.model is None  # nobody could be asked before the restart
    assert world.reload.restart_needed == ("[assistant]",)


async def test_plugins_and_rules_are_taken_up_apart(world: World) -> None:
    world.reload.use_handlers([HandlerSpec("h1", "weather.py:forecast", "keyword", ("天气",))])
    await world.edit(EDITED)
    assert [len(rulebook.handlers) for rulebook in world.used] == [1, 1]
    assert world.used[-1].spec.rules[0].reply == "九元"
    state, turn = build_trial("天气", "", line="blog", now_ms=world.clock.now_ms())
    assert world.reload.try_on(state, turn).kind is VerdictKind.ASK
    assert world.answer() == "九元"


async def test_handlers_that_cannot_be_compiled_change_nothing(world: World) -> None:
    with pytest.raises(ConfigError):
        world.reload.use_handlers([HandlerSpec("h1", "bad.py:bad", "pattern", ("(",))])
    assert world.used == []
    await world.edit(EDITED)
    assert [len(rulebook.handlers) for rulebook in world.used] == [0]
