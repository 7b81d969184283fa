"""The receive pipeline, script by script: who is answered when, and once.

Source: xianyu 10 (vectors `pipeline_scripts`). The scripts are about no dialect's own frames, so a
link of the test's own plays them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from house import ECHO, House
from origins import Endpoint
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived, Person
from trunkline.model.segment import Text

VECTORS = Path(__file__).parents[2] / "vectors" / "xianyu" / "xianyu_vectors.json"
SCRIPTS = json.loads(VECTORS.read_text(encoding="utf-8"))["pipeline_scripts"]
LINES = {
    "core": {"dialect": "maim", "debounce_s": 1.0, "debounce_mode": "last", "stale_after_s": 300.0}
}


class Play:
    """One script on one house."""

    def __init__(self, house: House, script: dict[str, Any]) -> None:
        self.house = house
        self.script = script
        facts = house.lines["core"].facts
        facts.traits = msgspec.structs.replace(facts.traits, age_from_peer=True)
        self.end = Endpoint(house)
        self.start_ms = house.clock.now_ms()
        self.heard: list[tuple[int, str]] = []

    @property
    def now(self) -> int:
        return self.house.clock.now_ms() - self.start_ms

    async def run(self) -> list[tuple[int, str]]:
        """Let the script happen, and return when which words were answered."""
        steps = self.script["in"]
        times = {one["at"] for one in steps}
        for reply in self.script["replies"]:
            at = reply.get("at", reply.get("at_or_after", 0))
            times |= {at - 1, at}
        for at in sorted(times | {max(times) + 20_000}):
            self.house.advance((at - self.now) / 1000)
            await self._look()
            for step in (one for one in steps if one["at"] == at):
                self._do(step)
                await self._look()
        return self.heard

    def _do(self, step: dict[str, Any]) -> None:
        match step.get("event"):
            case "disable_account":
                self.house.lines["core"].facts.is_enabled = False
            case "connection_lost":
                self.end.leave()
            case "connected":
                self.end = Endpoint(self.house)
            case _:
                self._say(step)

    def _say(self, step: dict[str, Any]) -> None:
        words = self.heard[-1][1] if step.get("sent_by_bot") else step["text"]
        event = MessageReceived(
            Chat("qq", "private", step["chat"]),
            Person("me" if step.get("own") else "buyer"),
            (Text(words),),
            step["id"].encode(),
            step["id"],
            self.start_ms + step.get("created", step["at"]),
            is_own=step.get("own", False),
        )
        self.house.core.offer(self.end, event, None, len(words))  # type: ignore[arg-type]  # an Origin

    async def _look(self) -> None:
        await self.house.quiet()
        await self.house.turns.look()
        await self.house.quiet()
        self.heard += ((self.now, words) for words in self.end.heard)
        self.end.heard.clear()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script["name"])
async def test_script(tmp_path: Path, script: dict[str, Any]) -> None:
    texts = {(one["chat"], one["id"]): one["text"] for one in script["in"] if "id" in one}
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        heard = await Play(house, script).run()
        expected = [
            (
                reply.get("at", reply.get("at_or_after")),
                f"收到：{texts[reply['chat'], reply['to']]}",
            )
            for reply in script["replies"]
        ]
        assert heard == expected
        assert house.troubles == []
        assert house.rows("select count(*) from inbox where state = 0") == [(0,)]


def test_all_scripts_are_there() -> None:
    assert len(SCRIPTS) == 13
