"""What both roles share: keys, notices, custom messages, echoes, sizes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from maim_lines import adapter, core, delivery, group, kinds, message, receive
from trunkline.clock import FakeClock
from trunkline.dialects.contract import Received, Settled, Transmit
from trunkline.dialects.maim.session import MAX_FRAME_BYTES, SENT_IDS, TRANSITIONS
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Part
from trunkline.model.event import MessageReceived, NoticeReceived
from trunkline.model.segment import Image, Quote, Text

BAN = {"type": "notify", "data": {"sub_type": "ban", "duration": 60}}
LIFT = {"type": "notify", "data": {"sub_type": "lift_ban"}}
ECHO = "message_id_echo"
QQ_LINE = Chat("qq", "platform", "qq")


def custom(name: str, content: Any) -> bytes:
    return json.dumps(
        {"platform": "qq", "message_type_name": name, "content": content, "is_custom_message": True}
    ).encode()


# -- keys ----------------------------------------------------------------------------------


def test_the_key_begins_with_the_time() -> None:
    key = receive(core(), message()).key
    assert key == (1703123456500).to_bytes(8, "big") + b":m1"


def test_a_repeat_has_the_same_key_and_another_time_another() -> None:
    session = core()
    first = receive(session, message()).key
    assert receive(session, message()).key == first
    assert receive(session, message(time=1703123457)).key != first
    assert receive(session, message(message_id="m2")).key != first


def test_without_a_time_the_minute_of_receipt_counts() -> None:
    clock = FakeClock()
    session = core(clock=clock)
    first = receive(session, message(time=...)).key
    clock.advance(59)
    assert receive(session, message(time=...)).key == first
    clock.advance(1)
    assert receive(session, message(time=...)).key != first
    minute_s = clock.now_ms() // 60_000 * 60
    assert receive(session, message(time=minute_s)).key != receive(session, message(time=...)).key


@pytest.mark.parametrize("ident", ["notice", "", None, ...])
def test_no_id_no_key(ident: Any) -> None:
    assert receive(core(), message(message_id=ident)).key is None


def test_dedupe_false_means_no_key() -> None:
    assert receive(core(dedupe=False), message()).key is None


# -- warnings ------------------------------------------------------------------------------


def test_each_word_is_told_once_a_connection() -> None:
    session = core()
    odd = message({"type": "text", "data": 1}, {"type": "text", "data": 2}, time=...)
    assert kinds(session.receive(odd, is_text=True)) == [
        "warned:time_from_receipt", "warned:text_coerced",
    ]  # fmt: skip
    assert kinds(session.receive(odd, is_text=True)) == []


def test_a_refused_frame_is_told_without_its_body() -> None:
    session = core()
    [noticed] = session.receive(b"{secret words", is_text=True)
    assert getattr(noticed, "kind", "") == "rejected:not_json"
    assert "secret" not in repr(noticed)
    assert "13 bytes" in repr(noticed)


# -- notices -------------------------------------------------------------------------------


def test_a_lone_notify_is_a_notice_of_its_chat() -> None:
    event = receive(core(), message(BAN, message_id="notice", group_info=group()))
    assert isinstance(event, NoticeReceived)
    assert (event.name, json.loads(event.data), event.key) == ("ban", BAN["data"], None)
    assert event.chat == Chat("qq", "group", "42", "群")
    assert event.sender is not None
    assert event.sender.id == "10001"


def test_several_notifies_are_several_notices_with_keys_of_their_own() -> None:
    effects = core().receive(message(BAN, LIFT), is_text=True)
    events = [effect.event for effect in effects if isinstance(effect, Received)]
    assert [getattr(event, "name", "") for event in events] == ["ban", "lift_ban"]
    assert len({getattr(event, "key", None) for event in events}) == 2


@pytest.mark.parametrize("data", [None, 5, {}, {"sub_type": 5}, []])
def test_a_notify_without_a_name_is_notify(data: Any) -> None:
    event = receive(core(), message({"type": "notify", "data": data}))
    assert isinstance(event, NoticeReceived)
    assert event.name == "notify"


def test_a_notify_beside_words_is_a_message() -> None:
    for parts in ((BAN, {"type": "text", "data": "a"}), ({"type": "text", "data": "a"}, BAN)):
        event = receive(core(), message(*parts))
        assert isinstance(event, MessageReceived)
        assert len(event.segments) == 2


# -- custom messages -----------------------------------------------------------------------


@pytest.mark.parametrize("make", [core, adapter])
def test_a_custom_message_is_a_named_event_of_the_connection(make: Any) -> None:
    event = receive(make(), custom("command_response", {"success": True}))
    assert event == NoticeReceived(
        Chat("qq", "platform", "qq"), "custom:command_response", data=b'{"success":true}'
    )


@pytest.mark.parametrize("make", [core, adapter])
def test_scripts_send_custom_messages(make: Any) -> None:
    session = make()
    act = Delivery(DeliveryId(1), Chat("qq", "platform", "qq"), Act("custom:wave", b'{"a": 1}'))
    transmit, settled = session.send(act)
    frame = json.loads(transmit.data)
    assert frame["message_type_name"] == "wave"
    assert frame["content"] == {"a": 1}
    assert frame["is_custom_message"] is True
    assert settled == Settled(DeliveryId(1), Outcome.SENT)


@pytest.mark.parametrize(
    "what",
    [
        Act("custom:wave", b"not json"), Act("custom:", b"{}"), Act("dance"), Act(ECHO, b"[]"),
        Part("a"),
    ],
)  # fmt: skip
def test_what_maim_cannot_do_is_refused(what: Any) -> None:
    [settled] = core().send(Delivery(DeliveryId(1), Chat("qq", "private", "1"), what))
    assert isinstance(settled, Settled)
    assert settled.outcome is Outcome.REFUSED
    assert settled.detail


# -- echoes --------------------------------------------------------------------------------


def sent_name(session: Any, ident: int) -> str:
    transmit, _ = session.send(delivery("a", ident=ident))
    return json.loads(transmit.data)["message_info"]["message_id"]


def test_an_echo_confirms_a_delivery_once() -> None:
    session = core()
    name = sent_name(session, 17)
    echo = custom(ECHO, {"type": "echo", "echo": name, "actual_id": 998})
    assert session.receive(echo, is_text=True) == (
        Settled(DeliveryId(17), Outcome.CONFIRMED, peer_id="998"),
    )
    assert receive(session, echo).name == f"custom:{ECHO}"


@pytest.mark.parametrize(
    "content",
    [
        {"echo": "tl63"}, {"echo": "tlzz"}, {"echo": "tl"}, {"echo": "m1"}, {"echo": 17}, {}, [],
        {"echo": None}, {"echo": "tl" + "1" * 500}, {"echo": "tl1_1"}, {"echo": "tl-11"},
    ],
)  # fmt: skip
def test_an_echo_of_nothing_we_sent_is_a_notice(content: Any) -> None:
    session = core()
    sent_name(session, 17)
    assert receive(session, custom(ECHO, content)).name == f"custom:{ECHO}"


def test_no_session_confirms_what_another_sent() -> None:
    one, other = core(), core()
    name = sent_name(one, 17)
    assert receive(other, custom(ECHO, {"echo": name, "actual_id": "1"})).name == f"custom:{ECHO}"


def test_only_the_last_256_are_remembered() -> None:
    session = core()
    names = [sent_name(session, ident) for ident in range(1, SENT_IDS + 2)]
    [first] = session.receive(custom(ECHO, {"echo": names[0], "actual_id": 1}), is_text=True)
    assert isinstance(first, Received)
    [second] = session.receive(custom(ECHO, {"echo": names[1], "actual_id": 1}), is_text=True)
    assert isinstance(second, Settled)


def test_the_adapter_sends_an_echo_that_the_core_understands() -> None:
    bot, platform = core(), adapter()
    name = sent_name(bot, 17)
    data = json.dumps({"echo": name, "actual_id": "998"}).encode()
    act = Delivery(DeliveryId(3), Chat("qq", "private", "1"), Act(ECHO, data))
    transmit = platform.send(act)[0]
    assert isinstance(transmit, Transmit)
    assert json.loads(transmit.data)["content"] == {
        "echo": name, "actual_id": "998", "type": "echo",
    }  # fmt: skip
    assert bot.receive(transmit.data, is_text=True) == (
        Settled(DeliveryId(17), Outcome.CONFIRMED, peer_id="998"),
    )


# -- sending -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [core, adapter])
def test_a_message_is_sent_when_it_is_written(make: Any) -> None:
    transmit, settled = make().send(delivery("a"))
    assert isinstance(transmit, Transmit)
    assert settled == Settled(DeliveryId(17), Outcome.SENT)


def test_a_large_frame_is_told_of_and_a_huge_one_refused() -> None:
    session = core()
    *_, noticed = session.send(delivery((Image(bytes(1 << 20)),)))
    assert getattr(noticed, "kind", "") == "large-frame"
    [settled] = session.send(delivery((Image(bytes(MAX_FRAME_BYTES * 3 // 4)),), ident=18))
    assert isinstance(settled, Settled)
    assert settled.outcome is Outcome.REFUSED


def test_a_message_of_which_nothing_is_left_is_refused() -> None:
    session = core()
    receive(session, message(format_info={"accept_format": ["text"]}))
    [settled] = session.send(delivery((Quote("1"),)))
    assert isinstance(settled, Settled)
    assert settled.outcome is Outcome.REFUSED
    assert len(session.send(delivery((Quote("1"), Text("a")), ident=18))) == 2


def test_a_chat_that_is_no_chat_is_refused() -> None:
    [settled] = core().send(delivery("a", Chat("qq", "platform", "qq")))
    assert isinstance(settled, Settled)
    assert settled.outcome is Outcome.REFUSED


def test_the_table_of_moves_is_closed() -> None:
    assert {state for moves in TRANSITIONS.values() for state in moves} <= set(TRANSITIONS)


def test_a_whole_frame_leaves_as_it_was_made() -> None:
    data = b'{"message_info": {"platform":"qq"}, "message_segment": {"type":"text","data":"x"}}'
    written = core().send(Delivery(DeliveryId(16), QQ_LINE, Act("frame", data)))
    assert written == [Transmit(data), Settled(DeliveryId(16), Outcome.SENT)]
    (refused,) = core().send(Delivery(DeliveryId(16), QQ_LINE, Act("frame", b"{}")))
    assert isinstance(refused, Settled)
    assert refused.outcome is Outcome.REFUSED
    assert "no maim frame" in refused.detail
