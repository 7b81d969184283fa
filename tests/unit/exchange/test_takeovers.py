"""Own messages: our echoes are ours, and what nothing explains is the owner in the app.

Source: reliability 1 "Echo rule", xianyu 11; issue 8 "Seen to work".
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from house import ECHO, House
from origins import Endpoint
from trunkline.dialects.contract import Settled
from trunkline.model.address import Address, Chat
from trunkline.model.delivery import Delivery, DeliveryState, Outcome
from trunkline.model.event import MessageReceived, Person
from trunkline.model.message import parse_message
from trunkline.model.segment import Image, Text
from trunkline.pipeline.rulebook import RuleSpec
from trunkline.pipeline.trace import decode_trace

LINES = {"core": {"dialect": "maim"}}
SLOW = {"core": {"dialect": "maim", "debounce_s": 1.0}}


def own(
    end: Endpoint, words: str, peer_id: str = "", *, user: str = "alice", at_ms: int | None = None
) -> None:
    """Offer what our own account said in a chat."""
    key = peer_id.encode() or None
    event = MessageReceived(
        Chat(end.account, "private", user), Person("me"), (Text(words),), key, peer_id, at_ms,
        is_own=True,
    )  # fmt: skip
    end.house.core.offer(end, event, words, len(words))  # type: ignore[arg-type]  # an Origin


def proven(delivery: Delivery) -> Settled:
    return Settled(delivery.id, Outcome.CONFIRMED, peer_id=f"p{delivery.id}")


def taken(house: House, user: str = "alice") -> int:
    """How long the chat is taken still, in seconds."""
    state = house.core.conversations.get(("core", "qq", "private", user))
    assert state is not None
    return max(0, state.taken_until_ms - house.clock.now_ms()) // 1000


def stages(house: House) -> list[str]:
    rows = house.rows("select why from inbox where why != x'' order by id")
    return [decode_trace(why)[-1].stage for (why,) in rows]


async def test_the_owner_in_the_app_takes_the_chat_for_ten_minutes(tmp_path: Path) -> None:
    """Vector `owner_takes_over`: also while messages wait nobody gives it back after 120 s."""
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        own(end, "我来处理", "o1")
        await house.quiet()
        assert [(who, told.is_taken) for who, told in end.told] == [("alice", True)]
        house.advance(1)
        end.say("好")
        await house.quiet()
        for nth in range(10):
            house.advance(59)
            await house.keeper.step()
            end.say(f"还在吗 {nth}")
            await house.quiet()
        assert end.heard == []
        house.advance(9.001)
        end.say("在吗")
        await house.quiet()
        assert end.heard == ["收到：在吗"]
        assert stages(house) == ["guard", *["takeover"] * 11, "rules"]
        assert house.troubles == []


async def test_each_word_of_the_owner_begins_the_time_anew(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        own(end, "一", "o1")
        await house.quiet()
        house.advance(300)
        own(end, "二", "o2")
        await house.quiet()
        assert taken(house) == 600
        house.advance(100)
        own(end, "二", "o2")  # pushed again
        await house.quiet()
        assert taken(house) == 500


async def test_another_chat_is_not_taken(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        own(end, "我来处理", "o1")
        end.say("在吗", user="bob")
        await house.quiet()
        assert end.heard == ["收到：在吗"]


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        own(Endpoint(house), "我来处理", "o1")
        await house.quiet()
        clock = house.clock
    async with House(tmp_path, rules=[ECHO], lines=LINES, clock=clock) as house:
        end = Endpoint(house)
        end.say("在吗")
        await house.quiet()
        assert end.heard == []
        assert stages(house) == ["guard", "takeover"]


async def test_a_thousand_own_echoes_take_nothing(tmp_path: Path) -> None:
    """By id, whatever the order, and none of them becomes a message of its own."""
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house, fate=proven)
        for nth in range(1000):
            end.say(f"m{nth}", user=f"u{nth % 100}")
            if nth % 250 == 249:
                await house.quiet()
        assert len(end.heard) == 1000
        for words, ident in list(end.open.items()):
            nth = int(words.removeprefix("收到：m"))
            own(end, words, f"p{ident}", user=f"u{nth % 100}")
        await house.quiet()
        assert [taken(house, f"u{n}") for n in range(100)] == [0] * 100
        assert house.rows("select count(*) from inbox") == [(1000,)]
        end.say("还在吗", user="u7")
        await house.quiet()
        assert end.heard[-1] == "收到：还在吗"


async def test_the_echo_of_a_send_without_an_id_is_known_by_its_words_once(tmp_path: Path) -> None:
    """Vectors `echo_matching`: the same words typed by the owner are a person."""
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("A")
        await house.quiet()
        own(end, "收到：A", "9.PNM")
        await house.quiet()
        assert taken(house) == 0
        assert house.rows("select state, peer_id from outbox") == [
            (DeliveryState.CONFIRMED, "9.PNM")
        ]
        own(end, "收到：A", "9.PNM")
        await house.quiet()
        assert taken(house) == 0
        own(end, "收到：A", "10.PNM")
        await house.quiet()
        assert taken(house) == 600


async def test_two_echoes_of_two_equal_sends_in_one_beat_are_both_ours(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("A", key=b"1")
        end.say("A", key=b"2")
        await house.quiet()
        own(end, "收到：A", "1.PNM")
        own(end, "收到：A", "2.PNM")
        await house.quiet()
        assert taken(house) == 0
        assert house.rows("select peer_id from outbox order by id") == [("1.PNM",), ("2.PNM",)]


async def test_the_same_words_in_another_chat_or_much_later_are_a_person(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("A")
        await house.quiet()
        own(end, "收到：A", "9.PNM", user="bob")
        await house.quiet()
        assert taken(house, "bob") == 600
        house.advance(130)
        own(end, "收到：A", "10.PNM")
        await house.quiet()
        assert taken(house) == 600


async def test_an_echo_after_a_restart_proves_what_was_uncertain(tmp_path: Path) -> None:
    """A kill between the write and the answer: the echo comes on the next link."""
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house, fate=None)
        end.say("A")
        await house.quiet()
        clock = house.clock
    clock.advance(3600)
    async with House(tmp_path, rules=[ECHO], lines=LINES, clock=clock) as house:
        assert house.rows("select state from outbox") == [(DeliveryState.UNCERTAIN,)]
        end = Endpoint(house)
        own(end, "收到：A", "9.PNM", at_ms=clock.now_ms() - 3_600_000)
        await house.quiet()
        assert taken(house) == 0
        rows = house.rows("select state, mark, peer_id, reason from outbox")
        assert rows == [(DeliveryState.CONFIRMED, None, "9.PNM", "")]


async def test_a_piece_of_a_reply_with_a_picture_is_ours(tmp_path: Path) -> None:
    both = RuleSpec("p", match="any", reply="看图", image=Image(url="https://img.example/a.jpg"))
    async with House(tmp_path, rules=[both], lines=LINES) as house:
        end = Endpoint(house, fate=proven)
        end.say("A")
        await house.quiet()
        own(end, "看图", "first.PNM")
        await house.quiet()
        assert taken(house) == 0


async def test_old_words_that_are_told_again_take_nothing(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        facts = house.lines["core"].facts
        facts.traits = msgspec.structs.replace(facts.traits, age_from_peer=True)
        end = Endpoint(house)
        own(end, "昨天的话", "o1", at_ms=house.clock.now_ms() - 601_000)
        await house.quiet()
        assert taken(house) == 0
        own(end, "刚才的话", "o2", at_ms=house.clock.now_ms() - 100_000)
        await house.quiet()
        assert taken(house) == 500


async def test_a_longer_takeover_keeps_its_time_and_its_person(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.say("A")
        await house.quiet()
        at = Address("core", "private", "alice", "qq")
        await house.desk.take_over(at, name="Mei", for_s=3600)
        own(end, "我来", "o1")
        await house.quiet()
        assert taken(house) == 3600
        state = house.core.conversations.get(("core", "qq", "private", "alice"))
        assert state is not None
        assert state.taken_by == "Mei"


async def test_switched_off_nothing_is_taken(tmp_path: Path) -> None:
    lines = {"core": {"dialect": "maim", "takeover_for_s": 0}}
    async with House(tmp_path, rules=[ECHO], lines=lines) as house:
        end = Endpoint(house)
        own(end, "我来处理", "o1")
        end.say("在吗")
        await house.quiet()
        assert end.heard == ["收到：在吗"]


# -- while something is under way -------------------------------------------------------------


async def test_the_owner_within_the_debounce_is_the_only_one_who_answers(tmp_path: Path) -> None:
    """Vector `takeover_during_debounce`."""
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        end = Endpoint(house)
        end.say("在吗")
        await house.quiet()
        house.advance(0.7)
        own(end, "在的", "o1")
        await house.quiet()
        house.advance(0.4)
        await house.turns.look()
        await house.quiet()
        assert end.heard == []
        assert stages(house) == ["takeover", "guard"]
        assert house.rows("select count(*) from outbox") == [(0,)]


async def test_the_check_is_in_the_transaction_that_would_queue_the_answer(tmp_path: Path) -> None:
    """Both come in one beat: the turn that is due, and the owner's word before it."""
    async with House(tmp_path, rules=[ECHO], lines=SLOW) as house:
        end = Endpoint(house)
        end.say("在吗")
        await house.quiet()
        house.advance(2)
        await house.turns.look()  # handed over, not decided yet
        own(end, "在的", "o1")
        await house.quiet()
        assert end.heard == []
        assert house.rows("select count(*) from outbox") == [(0,)]


async def test_an_answer_that_waits_for_a_link_is_withdrawn(tmp_path: Path) -> None:
    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        end = Endpoint(house)
        end.is_able = False
        end.say("在吗")
        end.say("多少钱", user="bob")
        await house.quiet()
        await house.desk.send(Address("core", "private", "alice", "qq"), (Text("by hand"),))
        own(end, "在的", "o1")
        await house.quiet()
        end.leave()
        again = Endpoint(house)
        await house.quiet()
        assert sorted(again.heard) == ["by hand", "收到：多少钱"]
        (row,) = house.rows(
            "select state, mark, reason from outbox where state = ?", DeliveryState.EXPIRED
        )
        assert row[1:] == (DeliveryState.EXPIRED, "a person has the conversation")
        assert house.rows("select count(*) from stream") != [(0,)]


async def test_the_echo_of_a_send_to_another_name_of_the_chat_is_ours(tmp_path: Path) -> None:
    """`shop/user:1?item=9` was written to; what comes back is a message of the chat `c1`."""

    def aliases(chat: Chat, context: bytes) -> tuple[Chat, ...]:
        assert context == b"who"
        return (Chat(chat.account, "private", "user-1"),) if chat.id == "c1" else ()

    async with House(tmp_path, rules=[ECHO], lines=LINES) as house:
        house.lines["core"].facts.aliases = aliases
        end = Endpoint(house)
        await house.desk.send(Address("core", "private", "user-1", "qq"), parse_message("hello"))
        await house.quiet()
        event = MessageReceived(
            Chat("qq", "private", "c1"), Person("me"), (Text("hello"),), b"k", "7.PNM",
            is_own=True, context=b"who",
        )  # fmt: skip
        house.core.offer(end, event, "hello", 5)  # type: ignore[arg-type]  # an Origin
        await house.quiet()
        assert house.rows("select state, peer_id from outbox") == [
            (DeliveryState.CONFIRMED, "7.PNM")
        ]
        assert taken(house, "c1") == 0
        own(end, "not ours", user="c1")  # the state of the chat knows who is in it
        await house.quiet()
        assert taken(house, "c1") == 600
