"""A OneBot account is away while replies are due: what arrives, what is late, what expires."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from house import ECHO, House, Peer
from onebot11_lines import ACCOUNT, CONNECT, message
from trunkline.model.delivery import DeliveryState
from trunkline.web.showing import to_queued

LINES = {"qq": {"dialect": "onebot11"}}
CHATS = 10
EVENT = {"x-self-id": ACCOUNT, "x-client-role": "Event"}


def account(house: House, headers: dict[str, str] | None = None) -> Peer:
    peer = house.connect("qq", headers=headers)
    peer.say(CONNECT)
    return peer


def ask(peer: Peer, first: int, count: int) -> None:
    """Say so many messages, in ten private chats by turns."""
    peer.say(*(
        message(
            message_id=nth, user_id=10001 + nth % CHATS,
            message=[{"type": "text", "data": {"text": f"n{nth}"}}],
        )
        for nth in range(first, first + count)
    ))  # fmt: skip


async def hear(house: House, peer: Peer) -> list[tuple[int, str]]:
    """Answer calls until none comes; return to whom what was said."""
    said: list[tuple[int, str]] = []
    while True:
        await house.quiet()
        calls = peer.frames()
        if not calls:
            return said
        for call in calls:
            text = call["params"]["message"][0]["data"]["text"]
            said.append((call["params"]["user_id"], text))
            done = {"status": "ok", "retcode": 0, "data": {"message_id": len(said)}}
            peer.say(json.dumps(done | {"echo": call["echo"]}).encode())


async def listed(house: House, state: DeliveryState) -> list[Any]:
    page = await house.store.deliveries(states=[state], line="qq", cursor="", limit=100)
    return [to_queued(one, None) for one in page.rows][::-1]


def in_order(said: list[tuple[int, str]], numbers: range) -> bool:
    """Whether every chat got exactly its answers, in the order of its questions."""
    return all(
        [words for to, words in said if to == user]
        == [f"收到：n{nth}" for nth in numbers if 10001 + nth % CHATS == user]
        for user in range(10001, 10001 + CHATS)
    )


async def test_fifty_replies_arrive_once_in_order_and_marked_late(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        peer = account(house)
        ask(peer, 0, 50)
        peer.cut()
        await house.quiet()
        assert len(await listed(house, DeliveryState.QUEUED)) == 50
        house.advance(20)
        await house.quiet()
        again = account(house)
        said = await hear(house, again)
        assert len(said) == 50
        assert in_order(said, range(50))
        done = await listed(house, DeliveryState.CONFIRMED)
        assert [one.late_s for one in done] == [20.0] * 50
        assert [one.attempt for one in done] == [1] * 50
        ask(again, 100, 1)
        assert len(await hear(house, again)) == 1
        (last,) = (await listed(house, DeliveryState.CONFIRMED))[50:]
        assert last.late_s == 0.0
        third = account(house)
        assert await hear(house, third) == []


async def test_replies_that_are_too_late_expire_and_the_others_arrive(tmp_path: Path) -> None:
    """Events come over one half of a pair, whose other half is away for 130 s."""
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        half = account(house, EVENT)
        ask(half, 0, 25)
        await house.quiet()
        house.advance(100)
        ask(half, 25, 25)
        await house.quiet()
        house.advance(30)
        await house.keeper.step()
        half.cut()
        whole = account(house)
        said = await hear(house, whole)
        assert len(said) == 25
        assert in_order(said, range(25, 50))
        gone = await listed(house, DeliveryState.EXPIRED)
        assert [one.text for one in gone] == [f"收到：n{nth}" for nth in range(25)]
        assert {one.late_s for one in gone} == {0.0}
        assert {one.late_s for one in await listed(house, DeliveryState.CONFIRMED)} == {30.0}


async def test_what_was_written_and_never_answered_is_uncertain_and_not_said_again(
    tmp_path: Path,
) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        peer = account(house)
        ask(peer, 0, 20)
        await house.quiet()
        assert len(peer.frames()) == CHATS  # one call a chat; the others wait for its response
        peer.cut()
        await house.quiet()
        assert len(await listed(house, DeliveryState.UNCERTAIN)) == CHATS
        again = account(house)
        assert in_order(await hear(house, again), range(10, 20))
        assert len(await listed(house, DeliveryState.UNCERTAIN)) == CHATS
