"""Frames that leave late, and events as unusual peers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onebot11_lines import ACCOUNT, heard, message
from onebot11_lines import greeted as greeted_framework
from trunkline.dialects.contract import Changed, LinkState, Transmit
from trunkline.dialects.onebot11.mishaps import (
    LATE_S,
    ODD_CHATS,
    REORDER_S,
    Held,
    heartbeat,
    make_odd,
)
from trunkline.dialects.onebot11.pending import PATIENCE_S
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Raw

ONE, TWO = Transmit(b"1"), Transmit(b"2")


def test_a_late_frame_leaves_at_its_time() -> None:
    held = Held()
    assert held.wake_at is None
    held.delay(ONE, 10.0)
    held.delay(TWO, 11.0)
    assert held.wake_at == 10.0 + LATE_S > 10.0 + PATIENCE_S
    assert held.behind() == []
    assert held.due(10.0 + LATE_S - 0.01) == []
    assert held.due(10.0 + LATE_S) == [ONE]
    assert held.due(11.0 + LATE_S) == [TWO]
    assert held.wake_at is None


def test_a_frame_is_overtaken_once_or_leaves_by_itself() -> None:
    held = Held()
    held.let_pass(ONE, 10.0)
    assert held.wake_at == 10.0 + REORDER_S
    assert held.behind() == [ONE]
    assert held.behind() == []
    held.let_pass(TWO, 20.0)
    held.delay(ONE, 19.0)
    assert held.wake_at == 20.0 + REORDER_S
    assert held.due(20.0 + REORDER_S) == [TWO]
    held.let_pass(TWO, 30.0)
    held.drop()
    assert held.wake_at is None
    assert held.due(99.0) == []


def hear(event: dict[str, Any], form: int) -> MessageReceived:
    framework = greeted_framework()
    effects = framework.receive(make_odd(json.dumps(event).encode(), form), is_text=True)
    (found,) = heard(effects)
    assert isinstance(found, MessageReceived)
    return found


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("chat", [("private", "10001", ""), *ODD_CHATS])
def test_an_odd_event_is_the_same_message(form: int, chat: tuple[str, str, str]) -> None:
    kind, ident, _ = chat
    event = message()
    if kind == "group":
        event = message(message_type="group", sub_type="normal", group_id=int(ident))
    else:
        event["user_id"] = int(ident)
    assert make_odd(json.dumps(event).encode(), form) != json.dumps(event).encode()
    found = hear(event, form)
    assert found.chat == Chat(ACCOUNT, kind, ident, found.chat.name)
    words = [part for part in found.segments if not isinstance(part, Raw)]
    assert [part.text for part in words] == ["hi"]  # type: ignore[union-attr] - text only
    assert found.peer_id == ("-7" if form == 1 else "7")
    assert found.at_ms == 1_640_995_200_000
    assert not found.is_own


def test_a_heartbeat_says_whether_the_account_is_there() -> None:
    framework = greeted_framework()
    for is_online, state in ((False, LinkState.DEGRADED), (True, LinkState.READY)):
        frame = heartbeat(int(ACCOUNT), 1_640_995_200_000, is_online=is_online)
        effects = framework.receive(frame, is_text=True)
        assert [one.state for one in effects if type(one) is Changed] == [state]
