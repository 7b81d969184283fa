"""The values that are stored: their numbers and tags never change, and they survive msgpack."""

from typing import get_args

import msgspec
import pytest

from trunkline.ids import ConversationId
from trunkline.model.address import Address, Chat
from trunkline.model.capability import Traits
from trunkline.model.conversation import ConversationState
from trunkline.model.delivery import HELD, Act, DeliveryState, Outcome, Part, Say, Tell, What
from trunkline.model.event import (
    DurableEvent,
    Event,
    Fleeting,
    MessageReceived,
    NoticeReceived,
    Person,
    RequestReceived,
)
from trunkline.model.history import TakeoverChanged
from trunkline.model.segment import Image, Raw, Segment, Text

CHAT = Chat("12345", "group", "20001", "群")
MESSAGE = MessageReceived(
    CHAT, Person("1", "小明", "卡"), (Text("好"), Image(data=b"\x00\xff"), Raw("qq", "x", b"{}")),
    key=b"k", peer_id="5", at_ms=7, item="9", context=b"c", is_own=True,
)  # fmt: skip


def test_numbers_of_states_are_stored():
    assert {state.name: state.value for state in DeliveryState} == {
        "DRAFT": 0, "QUEUED": 1, "SENDING": 2, "SENT": 3, "CONFIRMED": 4, "UNCERTAIN": 5,
        "REFUSED": 6, "EXPIRED": 7, "DEAD": 8, "DISCARDED": 9,
    }  # fmt: skip
    assert set(HELD) == {DeliveryState.DRAFT, DeliveryState.UNCERTAIN}
    assert {outcome.name.lower() for outcome in Outcome} == {outcome.value for outcome in Outcome}


def test_tags_are_stored():
    tags = {kind.__struct_config__.tag for kind in get_args(Segment)}
    assert tags == {
        "text", "image", "sticker", "face", "voice", "video", "file", "mention", "quote", "raw",
    }  # fmt: skip
    assert {kind.__struct_config__.tag for kind in get_args(Event)} == {
        "message", "notice", "request", "fleeting",
    }  # fmt: skip
    assert {kind.__struct_config__.tag for kind in get_args(What)} == {"say", "tell", "act", "part"}
    assert set(get_args(DurableEvent)) == {MessageReceived, NoticeReceived, RequestReceived}


@pytest.mark.parametrize(
    "event",
    [
        MESSAGE, MessageReceived(CHAT, None, ()), NoticeReceived(CHAT, "ban", data=b'{"a":1}'),
        RequestReceived(CHAT, "contact", "call me", Person("1"), key=b""), Fleeting(CHAT, "typing"),
    ],
)  # fmt: skip
def test_events_survive_msgpack(event):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event


@pytest.mark.parametrize(
    "what", [Say((Text("a"),)), Tell(CHAT, TakeoverChanged(CHAT, "Bo")), Act("poke"), Part("x")]
)
def test_deliveries_survive_msgpack(what):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(what), type=What) == what


def test_values_are_frozen():
    for value, name in (
        (MESSAGE, "item"),
        (CHAT, "id"),
        (Text("a"), "text"),
        (Traits(), "is_site"),
    ):
        with pytest.raises(AttributeError):
            setattr(value, name, "x")


def test_a_person_is_shown_by_card_name_or_id():
    assert Person("1", "小明", "卡").shown == "卡"
    assert Person("1", "小明").shown == "小明"
    assert Person("1").shown == "1"


def test_a_conversation_knows_its_chat_and_address():
    state = ConversationState(ConversationId(1), "qq", "12345", "group", "20001", "群")
    assert state.chat == CHAT
    assert state.address == Address("qq", "group", "20001", "12345")


def test_two_conversations_do_not_share_counters():
    first, second = (ConversationState(ConversationId(n), "a", "", "b", "c") for n in (1, 2))
    assert first.counters == {}
    assert first.counters is not second.counters


def test_unknown_facts_of_a_dialect_are_false():
    traits = Traits()
    true = [name for name in traits.__struct_fields__ if getattr(traits, name)]
    assert true == ["has_reply_expiry"]  # the cautious side: a late automatic reply is dropped
