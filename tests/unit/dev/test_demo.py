"""The demo's configuration is one that `check` would pass, and it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.clock import SystemClock
from trunkline.config import load_config, require_safe
from trunkline.dev.demo import Script, make_people, write_demo


def test_the_demo_configuration_is_valid_and_safe(tmp_path: Path) -> None:
    config = load_config(write_demo(tmp_path), {})
    require_safe(config)
    assert list(config.lines) == ["blog", "core", "qq", "shop", "job"]
    assert {rule.name for rule in config.rulebook.rules} == {
        "build", "price", "salary", "hello", "person", "echo",
    }  # fmt: skip
    assert config.warnings == ()


async def test_people_follow_their_script() -> None:
    script = Script(pace_s=2.0, messages=3, seed=9, lines=("one",), token="t" * 32)
    for dialect in ("contact", "maim", "onebot11"):
        crowd = make_people(dialect, "ws://127.0.0.1:1/x", 2, _dial, SystemClock(), script)
        world = crowd.world
        assert (world.pace_s, world.messages, world.seed, world.script) == (2.0, 3, 9, ("one",))
        urls = [one.line.options.url for one in crowd._supervisors]
        assert urls == ["ws://127.0.0.1:1/x"] * 2
    assert crowd._supervisors[0].line.options.tokens == ("t" * 32,)


async def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="explode"):
        make_people(
            "contact", "ws://127.0.0.1:1/x", 1, _dial, SystemClock(), Script(faults={"explode": 1})
        )


async def _dial(*_: object) -> object:
    raise AssertionError("nobody dials here")
