"""One path, lines of two dialects, real sockets: the head decides, then the first message."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from linkstand import Stand, StandDoor, cut, standing
from rawsocket import BINARY, CLOSE, TEXT, RawSocket
from trunkline.dialects.contract import Admit, Refuse
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import ConfigError
from trunkline.lines.choosing import Patience
from trunkline.lines.listen import GateRules
from trunkline.lines.quota import QuotaRules

MAIM = DIALECTS["maim"]
CONTACT = DIALECTS["contact"]
CHAT = json.dumps({"type": "chat_message", "message": "hi", "timestamp": "x"}).encode()
SAID = json.dumps({
    "message_info": {"platform": "qq"}, "message_segment": {"type": "seglist", "data": []},
}).encode()  # fmt: skip
NEVER = Patience(greeting_s=3600, silence_s=3600)


def door(name: str, **changes: Any) -> StandDoor:
    """A door that says who it is and speaks first, with a dialect's own marks."""
    dialect = DIALECTS[name]
    marks = {"claims": dialect.claims, "recognises": dialect.recognises}
    return StandDoor(dialect_name=name, greet=[name.encode()], **{**marks, **changes})


@asynccontextmanager
async def shared(*doors: StandDoor, **rules: Any):
    rules.setdefault("patience", NEVER)
    async with standing(rules=GateRules(**rules)) as stand:
        for each in doors:
            stand.gate.add("", "/ws", each)
        try:
            yield stand
        finally:
            for each in doors:
                for ear in each.ears:
                    if ear.link is not None:
                        await cut(ear.link)


async def who(stand: Stand, headers: dict[str, str] | None = None, query: str = "") -> str:
    """Connect, and return who greets before anything was said."""
    peer = await RawSocket.open(stand.port, "/ws" + query, headers or {})
    said = await peer.read_message()
    await peer.close()
    return said.decode()


@pytest.mark.parametrize("order", [("contact", "maim"), ("maim", "contact")])
async def test_the_head_decides(order):
    async with shared(*(door(name) for name in order)) as stand:
        assert await who(stand, {"platform": "qq"}) == "maim"
        assert await who(stand, {"authorization": "bare-token"}) == "maim"
        assert await who(stand, {"authorization": "Bearer token"}) == "maim"  # no visitor's
        assert await who(stand, query="?platform=qq") == "maim"
        assert await who(stand, query="?api_key=k") == "maim"
        assert await who(stand, query="?v=2") == "contact"
        assert await who(stand, query="?session=t") == "contact"


@pytest.mark.parametrize("order", [("contact", "maim"), ("maim", "contact")])
async def test_the_first_message_decides_and_is_not_lost(order):
    doors = {name: door(name) for name in order}
    async with shared(*doors.values()) as stand:
        for data, owner in ((CHAT, "contact"), (SAID, "maim")):
            peer = await RawSocket.open(stand.port, "/ws")
            await peer.send(TEXT, data)
            assert await peer.read_message() == owner.encode()
            assert await peer.read_message() == data  # echoed by the door's ear
            await peer.send(TEXT, b"more")
            assert await peer.read_message() == b"more"
            assert doors[owner].ear.messages == [data, b"more"]
            assert doors[owner].ear.calls[:2] == ["receive", "read_done"]
            await peer.close()
        assert [len(each.ears) for each in doors.values()] == [1, 1]


async def test_a_first_message_waits_with_a_link_that_its_line_holds():
    """A line that waits for a seat pauses its link: the message that chose it went past that."""
    chosen = door("contact")
    enter = chosen.enter

    def hold(admitted: Any, link: Any) -> Any:
        ear = enter(admitted, link)
        link.pause()
        return ear

    chosen.enter = hold  # type: ignore[method-assign]  # a door that holds
    async with shared(chosen, door("maim")) as stand:
        peer = await RawSocket.open(stand.port, "/ws")
        await peer.send(TEXT, CHAT)
        await peer.send(TEXT, b"more")
        assert await peer.read_message() == b"contact"
        assert chosen.ear.messages == []
        assert chosen.ear.link is not None
        chosen.ear.link.resume()
        assert await peer.read_message() == CHAT
        assert await peer.read_message() == b"more"
        await peer.close()


async def test_what_nobody_knows_goes_to_the_first_line():
    async with shared(door("maim"), door("contact")) as stand:
        for data in (b"not JSON", b"[1]", b'{"type": 1}', b'{"post_type": "meta_event"}'):
            peer = await RawSocket.open(stand.port, "/ws")
            await peer.send(TEXT, data)
            assert await peer.read_message() == b"maim"
            await peer.close()


async def test_silence_goes_to_the_line_that_speaks_first():
    quick = Patience(greeting_s=0.01, silence_s=3600)
    async with shared(door("maim"), door("contact"), patience=quick) as stand:
        assert await who(stand) == "contact"


async def test_silence_goes_to_the_first_line_where_nobody_speaks_first():
    quick = Patience(greeting_s=3600, silence_s=0.01)
    second = door("contact", recognises=lambda _: False)
    async with shared(door("maim"), second, patience=quick) as stand:
        assert await who(stand) == "maim"


async def test_a_peer_that_leaves_undecided_is_forgotten():
    doors = [door("maim"), door("contact")]
    async with shared(*doors) as stand:
        peer = await RawSocket.open(stand.port, "/ws")
        assert stand.gate.links == 1
        await peer.send(CLOSE, b"\x03\xe8")
        assert (await peer.read_frame()).opcode == CLOSE
        await peer.close()
        async with asyncio.timeout(10):
            while stand.gate.links:
                await asyncio.sleep(0)
        assert [each.ears for each in doors] == [[], []]


async def test_the_bounds_of_the_chosen_line_hold():
    small = door("contact", answer=Admit("", 2048))
    async with shared(small, door("maim", answer=Admit("", 1 << 20))) as stand:
        padded = CHAT[:-1] + b', "page": "' + b"x" * 3000 + b'"}'
        first = await RawSocket.open(stand.port, "/ws")
        await first.send(TEXT, padded)
        assert await first.read_message() == b"contact"
        frame = await first.read_frame()
        assert (frame.opcode, frame.code) == (CLOSE, 1009)
        assert small.ear.messages == []
        second = await RawSocket.open(stand.port, "/ws")
        await second.send(TEXT, CHAT)
        assert await second.read_message() == b"contact"
        assert await second.read_message() == CHAT
        await second.send(TEXT, b"x" * 2049)
        frame = await second.read_frame()
        assert (frame.opcode, frame.code) == (CLOSE, 1009)
        for peer in (first, second):
            await peer.close()


async def test_the_opcode_of_the_chosen_line_counts():
    async with shared(door("contact"), door("maim", is_binary=True)) as stand:
        peer = await RawSocket.open(stand.port, "/ws")
        await peer.send(TEXT, SAID)
        assert (await peer.read_frame()).opcode == BINARY
        await peer.close()


async def test_a_line_that_refuses_is_no_candidate():
    maim = door("maim", answer=Refuse(401, "no"))
    async with shared(maim, door("contact")) as stand:
        assert await who(stand) == "contact"
        refused = await RawSocket.open(stand.port, "/ws", {"platform": "qq"})
        assert refused.response.status == 401
        await refused.close()


async def test_a_door_s_own_rules_hold_on_a_shared_path():
    """A machine line lets no page in from elsewhere; a visitors' line does."""
    async with shared(door("maim"), door("contact", is_public=True)) as stand:
        assert await who(stand, {"Origin": "https://example.org", "Host": "site.example"}) == (
            "contact"
        )
        answer = await RawSocket.open(
            stand.port, "/ws", {"platform": "qq", "X-Forwarded-For": "203.0.113.9"}
        )
        assert answer.response.status == 403
        assert "trusted_proxies" in answer.response.text
        await answer.close()


async def test_a_full_gate_is_full_for_shared_paths_too():
    rules = {"quota": QuotaRules(max_links=1)}
    async with shared(door("maim"), door("contact"), **rules) as stand:
        one = await RawSocket.open(stand.port, "/ws", {"platform": "qq"})
        two = await RawSocket.connect(stand.port)
        assert (await two.read_response()).status == 503
        for peer in (one, two):
            await peer.close()


async def test_an_entrance_that_fails_ends_the_link():
    broken = door("contact")

    def enter(*_: object) -> None:
        raise RuntimeError("our fault")

    broken.enter = enter
    async with shared(broken, door("maim")) as stand:
        stand.door.on_receive = None  # troubles are expected
        peer = await RawSocket.open(stand.port, "/ws")
        await peer.send(TEXT, CHAT)
        frame = await peer.read_frame()
        assert (frame.opcode, frame.code) == (CLOSE, 1011)
        await peer.close()
        assert [where for where, _ in stand.troubles] == ["enter"]


async def test_one_dialect_or_one_without_marks_shares_nothing():
    async with shared(door("maim")) as stand:
        with pytest.raises(ConfigError, match="both want path '/ws'"):
            stand.gate.add("", "/ws", door("maim"))
        with pytest.raises(ConfigError, match="both want path '/ws'"):
            stand.gate.add("", "/ws", door("contact", recognises=None))
