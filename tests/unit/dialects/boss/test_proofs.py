"""What is proven late is told once, and as what the exchange can know the row by."""

from __future__ import annotations

from typing import Any

from boss_house import NOW_MS, make_options
from trunkline.clock import FakeClock
from trunkline.dialects.boss.account import Account
from trunkline.dialects.boss.proofs import REMEMBERED, Proofs
from trunkline.dialects.boss.session import decode_kept
from trunkline.dialects.contract import Noticed, Received, Settled
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text

CHAT = Chat("1", "user", "2")
WORDS = (Text("hello"),)


def proofs() -> Proofs:
    clock = FakeClock(NOW_MS)
    return Proofs(Account(make_options(), decode_kept(None), clock, CountingIds()))


def test_an_id_of_another_device_proves_nothing() -> None:
    assert proofs().prove(5, 50) == []


def test_what_was_told_as_sent_is_confirmed_once() -> None:
    one = proofs()
    one.note(5, 0)
    one.note_sent(5, Delivery(DeliveryId(9), CHAT, Say(WORDS)))
    assert one.prove(5, 50) == [Settled(DeliveryId(9), Outcome.CONFIRMED, peer_id="50")]
    assert one.prove(5, 50) == []
    assert [type(told) for told in one.prove(5, 51)] == [Noticed]


def test_a_second_server_id_is_an_oddity() -> None:
    one = proofs()
    one.note(5, 50)
    assert one.prove(5, 50) == []
    (told,) = one.prove(5, 51)
    assert isinstance(told, Noticed)
    assert told.kind == "second-server-id"


def test_what_was_unclear_is_proven_as_its_own_echo_at_the_time_of_its_row() -> None:
    one = proofs()
    one.note(5, 0)
    one.note_unclear(5, CHAT, WORDS, 1234)
    (told,) = one.prove(5, 50)
    assert isinstance(told, Received)
    event: Any = told.event
    assert isinstance(event, MessageReceived)
    assert (event.chat, event.segments, event.at_ms, event.is_own) == (CHAT, WORDS, 1234, True)
    assert (event.key, event.peer_id) == (b"m50", "50")
    assert one.prove(5, 50) == []


def test_an_echo_proves_what_was_unclear_by_itself() -> None:
    one = proofs()
    one.note(5, 0)
    one.note_unclear(5, CHAT, WORDS, 1234)
    assert one.forget_unclear(5, 50)
    assert not one.forget_unclear(5, 50)
    assert one.prove(5, 50) == []


def test_only_so_many_ids_are_remembered() -> None:
    one = proofs()
    for cmid in range(1, REMEMBERED + 2):
        one.note(cmid, 0)
    assert 1 not in one
    assert 2 in one
    assert REMEMBERED + 1 in one
