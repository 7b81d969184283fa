"""What a beat spares: look-ups of chats that are new, rows of chats that were only answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gated import GatedStore
from house import ECHO, House
from origins import Endpoint
from trunkline.exchange import intake
from trunkline.model.address import parse_address
from trunkline.pipeline.guard import MAX_REPLIES

QQ = {"qq": {"dialect": "onebot11", "role": "framework", "link": "listen", "path": "/ws"}}
CORE = {"core": {"dialect": "maim"}}


class Watched(GatedStore):
    """Notes which chats were looked up."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.looked: list[str] = []

    async def find_conversations(self, keys: Sequence[tuple[str, str, str, str]]) -> Any:
        self.looked += [key[3] for key in keys]
        return await super().find_conversations(keys)


async def tell(house: House, end: Endpoint, words: str, user: str) -> list[str]:
    end.heard.clear()
    end.say(words, user)
    await house.quiet()
    return list(end.heard)


async def test_while_all_chats_are_new_only_the_first_is_looked_up(tmp_path: Path) -> None:
    store = Watched(tmp_path)
    async with House(tmp_path, rules=[ECHO], lines=CORE, store=store) as house:
        end = Endpoint(house)
        for user in ("a", "b", "c"):
            assert await tell(house, end, f"hi {user}", user) == [f"收到：hi {user}"]
        assert store.looked == ["a"]
        assert house.rows("select peer from conversation order by id") == [("a",), ("b",), ("c",)]


async def test_a_known_chat_that_was_taken_for_new_is_decided_on_by_what_is_known(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, rules=[ECHO], lines=CORE) as house:
        await tell(house, Endpoint(house), "hi", "alice")
        await house.desk.take_over(parse_address("core/private:alice@qq"), name="Mei", for_s=3600)
        await house.quiet()
    store = Watched(tmp_path)
    async with House(tmp_path, rules=[ECHO], lines=CORE, store=store) as house:
        end = Endpoint(house)
        assert await tell(house, end, "first", "new") == ["收到：first"]
        end.say("second", "newer")
        assert await tell(house, end, "are you there", "alice") == ["收到：second"]
        assert store.looked == ["new", "newer"]  # the guess was wrong: the others are looked up
        assert house.rows("select count(*) from conversation") == [(3,)]
        assert house.rows(
            "select count(*) from inbox i join conversation c on c.id = i.conversation"
            " where c.peer = 'alice'"
        ) == [(2,)]
        # … and so it is until a look finds none that is known.
        assert await tell(house, end, "third", "newest") == ["收到：third"]
        assert await tell(house, end, "fourth", "last") == ["收到：fourth"]
        assert store.looked == ["new", "newer"]
        assert house.troubles == []


async def test_an_answer_below_the_limit_of_the_loop_guard_writes_no_chat(tmp_path: Path) -> None:
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], lines=QQ, store=store) as house:
        end = Endpoint(house, "10001", line="qq")
        for nth in range(MAX_REPLIES + 2):
            await tell(house, end, f"m{nth}", "alice")
        written = [len(beat.conversations) for beat in store.beats if beat.inbox]
        # New, then nothing; the fifth answer is the limit, the sixth begins the pause.
        assert written == [1, 0, 0, 0, 1, 1, 0]
        assert end.heard == []


async def test_a_restart_at_the_limit_of_the_loop_guard_forgets_nothing(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=QQ) as house:
        end = Endpoint(house, "10001", line="qq")
        for nth in range(MAX_REPLIES):
            assert await tell(house, end, f"m{nth}", "alice")
        clock = house.clock
    async with House(tmp_path, rules=[ECHO], lines=QQ, clock=clock) as house:
        end = Endpoint(house, "10001", line="qq")
        assert await tell(house, end, "sixth", "alice") == ["收到：sixth"]
        assert await tell(house, end, "seventh", "alice") == []


@pytest.mark.parametrize(("busy", "waits"), [(intake._MANY - 1, 0), (intake._MANY, 1)])
async def test_the_rest_of_a_busy_group_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int, waits: int
) -> None:
    slept: list[float] = []
    store = GatedStore(tmp_path)
    async with House(tmp_path, rules=[ECHO], lines=CORE, store=store) as house:
        end = Endpoint(house)

        async def rest(delay_s: float) -> None:
            if delay_s:
                slept.append(delay_s)
                end.say("late", "late")

        for nth in range(busy):
            end.say(f"m{nth}", f"u{nth}")
        await house.quiet()
        monkeypatch.setattr(intake.asyncio, "sleep", rest)
        end.say("early", "early")
        await house.quiet()
        monkeypatch.undo()
        assert slept == [intake._REST_S] * waits
        assert [len(beat.inbox) for beat in store.beats if beat.inbox] == [busy, 1 + waits]
