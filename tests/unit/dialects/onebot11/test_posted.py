"""One posted event: committed before it is answered, by a quick operation when there is one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onebot11_lines import (
    ANN,
    CLUB,
    CONNECT,
    act,
    closed,
    feed,
    heard,
    heartbeat,
    message,
    noticed,
    opening,
    options,
    say,
    written,
)  # fmt: skip
from trunkline.clock import FakeClock
from trunkline.dialects.contract import (
    Changed,
    Head,
    LinkInfo,
    LinkState,
    Received,
    Settled,
    Sharing,
    Transmit,
)  # fmt: skip
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.errors import LinkLost, LocalProtocolError
from trunkline.model.delivery import Outcome
from trunkline.model.segment import Text

GROUP = {
    "message_type": "group", "sub_type": "normal", "group_id": 20001, "anonymous": None,
}  # fmt: skip
REQUEST = {
    "time": 1640995200, "self_id": 12345, "post_type": "request", "request_type": "friend",
    "user_id": 10001, "comment": "me", "flag": "f1",
}  # fmt: skip


def posted(clock: FakeClock | None = None, account: str = "12345", **keys: Any) -> Any:
    session = ONEBOT11.open(options(**keys), opening("framework", clock or FakeClock(), "posted"))
    assert session.begin(None) == ()
    head = Head("/ws/", {}, {"x-self-id": account})
    assert session.linked(LinkInfo(head, is_request=True)) == ()
    return session


def outcomes(effects: Any) -> list[Outcome]:
    return [one.outcome for one in effects if isinstance(one, Settled)]


def answers(effects: Any) -> list[bytes]:
    return [one.data for one in effects if isinstance(one, Transmit)]


def test_a_message_is_answered_with_what_is_decided_at_once():
    session = posted()
    effects = feed(session, message())
    seat = next(one.seat for one in effects if isinstance(one, Changed))
    assert (seat.key, seat.can_send, seat.sharing) == ("12345", True, Sharing.EACH)
    (received,) = [one for one in effects if isinstance(one, Received)]
    assert received.event.chat.id == "10001"
    assert answers(effects) == []
    assert answers(session.stored(received.receipt)) == []
    effects = session.send(say("hello"))
    assert written(effects) == [
        {"reply": [{"type": "text", "data": {"text": "hello"}}], "at_sender": False}
    ]
    assert outcomes(effects) == [Outcome.SENT]
    assert session.wake_at is None


def test_without_an_answer_the_request_ends_in_time():
    clock = FakeClock()
    session = posted(clock)
    feed(session, message())
    assert session.wake_at is None, "before the commit nothing is promised"
    session.stored(1)
    assert session.wake_at == clock.monotonic_s() + 1.0
    clock.advance(0.5)
    assert session.tick() == ()
    clock.advance(0.5)
    assert answers(session.tick()) == [b""]
    assert session.wake_at is None


def test_what_was_due_before_waits_for_the_commit():
    session = posted()
    feed(session, message())
    assert session.send(say("old", ident=1)) == ()
    assert outcomes(session.send(say("new", ident=2))) == [Outcome.LATER]
    effects = session.stored(1)
    assert written(effects)[0]["reply"][0]["data"]["text"] == "old"
    assert outcomes(effects) == [Outcome.SENT]
    assert outcomes(session.lost(LinkLost(1000))) == []


def test_what_was_held_and_never_written_may_go_again():
    session = posted()
    feed(session, message())
    session.send(say("old"))
    effects = session.lost(LinkLost(1006))
    assert outcomes(effects) == [Outcome.LATER]
    assert effects[-1] == Changed(LinkState.CLOSED)


def test_another_chat_waits():
    session = posted()
    feed(session, message())
    session.stored(1)
    (settled,) = session.send(say("x", CLUB))
    assert (settled.outcome, settled.wait_s) == (Outcome.LATER, 1.0)
    assert outcomes(session.send(act("approve"))) == [Outcome.LATER]
    assert outcomes(session.send(say(()))) == [Outcome.REFUSED]


def test_in_a_group_and_as_text():
    session = posted(message_format="string")
    feed(session, message(**GROUP))
    session.stored(1)
    assert written(session.send(say((Text("a[b"),), CLUB)))[0] == {
        "reply": "a&#91;b", "at_sender": False,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "is_approved"), [("approve", True), ("reject", False)])
def test_a_request_is_decided(name, is_approved):
    session = posted()
    feed(session, REQUEST)
    session.stored(1)
    assert outcomes(session.send(say("not now"))) == [Outcome.LATER]
    assert outcomes(session.send(act("other"))) == [Outcome.LATER]
    effects = session.send(act(name, {"remark": "r"}))
    assert written(effects) == [{"remark": "r", "approve": is_approved}]


@pytest.mark.parametrize(
    "event",
    [
        message(user_id=12345),
        message(post_type="message_sent"),
        {
            "time": 1, "self_id": 12345, "post_type": "notice", "notice_type": "friend_add",
            "user_id": 5,
        },
    ],
)  # fmt: skip
def test_what_nobody_answers_is_over_with_the_commit(event):
    session = posted()
    effects = feed(session, event)
    (received,) = [one for one in effects if isinstance(one, Received)]
    assert answers(effects) == []
    assert answers(session.stored(received.receipt)) == [b""]
    assert not next(one.seat for one in effects if isinstance(one, Changed)).can_send


def test_the_form_of_the_guide_is_a_message_of_somebody_else():
    minimal = message(user_id=12345)
    for key in ("sub_type", "sender", "font"):
        del minimal[key]
    assert heard(feed(posted(), minimal))[0].is_own is False
    assert heard(feed(posted(ignore_self=True), minimal))[0].is_own is True


@pytest.mark.parametrize("event", [json.loads(CONNECT), heartbeat()])
def test_a_fleeting_event_is_over_at_once(event):
    assert answers(feed(posted(), event)) == [b""]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (message(self_id=777), "self_id_mismatch"),
        ({"status": "ok", "retcode": 0, "data": None}, "no_post_type"),
        (message(user_id=None), "missing_user_id"),
    ],
)
def test_what_cannot_be_taken_is_told(frame, reason):
    effects = feed(posted(), frame)
    assert noticed(effects) == [f"rejected:{reason}"]
    assert closed(effects) == (1007, f"the event cannot be read: {reason}")
    assert heard(effects) == []


def test_an_unknown_account_is_the_event_s():
    assert heard(feed(posted(account="*"), message()))[0].chat == ANN.__class__(
        "12345", "private", "10001", "Ann"
    )


def test_misuse():
    session = posted()
    with pytest.raises(LocalProtocolError):
        session.send(say("x"))
    with pytest.raises(LocalProtocolError):
        session.answered(1, None)
    feed(session, message())
    assert feed(session, message()) == []
    assert session.lost(LinkLost(1000))[-1] == Changed(LinkState.CLOSED)
    assert session.lost(LinkLost(1000)) == []
