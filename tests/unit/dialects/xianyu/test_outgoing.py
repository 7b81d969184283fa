"""Which own message is the echo of ours: the vectors, and what was sent around them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.contract import Settled, Transmit
from trunkline.dialects.xianyu.entries import ChatEntry, Content
from trunkline.dialects.xianyu.frames import decode
from trunkline.dialects.xianyu.outgoing import Outgoing
from trunkline.dialects.xianyu.session import Kept, Requests
from trunkline.dialects.xianyu.tokens import Account
from trunkline.dialects.xianyu.translate import Context, encode_context
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Act, Delivery, Outcome, Part, Say
from trunkline.model.segment import Text
from xianyu_house import ME, make_options
from xianyu_vectors import load

CASES = load("echo_matching")["cases"]
CONTEXT = encode_context(Context("2"))


class Sending:
    """An `Outgoing` with everything around it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        options = make_options(echo_wait_s=0.0)
        self.requests = Requests(self.clock, CountingIds())
        account = Account(options, Kept(), self.clock, CountingIds())
        self.outgoing = Outgoing(options, account, self.requests, self.clock, CountingIds())
        self.settled: list[Settled] = []

    def send(self, chat: str, text: str, ident: int = 16) -> list[Any]:
        delivery = Delivery(DeliveryId(ident), Chat(ME, "chat", chat), Say((Text(text),)), CONTEXT)
        effects = self.outgoing.take(delivery)
        self.settled += [one for one in effects if isinstance(one, Settled)]
        return effects

    def answer(self, pnm: str | None) -> None:
        """Answer what is open."""
        ((key, pending),) = self.requests.open.items()
        body = {} if pnm is None else {"body": {"messageId": pnm}}
        frame = decode(json.dumps({"code": 200, "headers": {"mid": f"{key} 0"}, **body}).encode())
        self.requests.end(key)
        job, nth = pending.about
        effects = self.outgoing.answered(job, nth, frame)
        self.settled += [one for one in effects if isinstance(one, Settled)]

    def hear(self, chat: str, text: str, pnm: str) -> bool:
        """Return whether an own message is ours."""
        entry = ChatEntry(chat, ME, "", Content("text", text), is_own=True, pnm=pnm)
        return self.outgoing.echo(entry) is not None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_vectors(case: dict[str, Any]) -> None:
    sending = Sending()
    for nth, sent in enumerate(case["sent"], 1):
        sending.send(sent["chat"], sent["text"], nth * 16)
        sending.answer(sent["pnm"])
    heard: list[str] = []
    for own in case["own"]:
        sending.clock.advance(own.get("at", 0) / 1000)
        heard.append("ours" if sending.hear(own["chat"], own["text"], own["pnm"]) else "person")
    # A duplicate of an echo is ours too: neither starts a takeover.
    assert heard == ["person" if word == "person" else "ours" for word in case["classes"]]


def test_an_echo_that_is_faster_than_the_answer_settles_once() -> None:
    sending = Sending()
    sending.send("c1", "A")
    entry = ChatEntry("c1", ME, "", Content("text", "A"), is_own=True, pnm="1.PNM")
    (settled,) = sending.outgoing.echo(entry) or ()
    assert isinstance(settled, Settled)
    assert (settled.outcome, settled.peer_id) == (Outcome.CONFIRMED, "1.PNM")
    sending.answer("1.PNM")
    assert sending.settled == []


def test_a_late_answer_to_the_first_piece_does_not_settle_the_second() -> None:
    sending = Sending()
    sending.send("c1", "字" * 1999 + "\n" + "b" * 10)
    entry = ChatEntry("c1", ME, "", Content("text", "字" * 1999), is_own=True, pnm="1.PNM")
    assert sending.outgoing.echo(entry) == []
    sending.clock.advance(0.3)
    (written,) = sending.outgoing.work()
    assert isinstance(written, Transmit)
    first = next(iter(sending.requests.open))
    pending = sending.requests.end(first)
    assert pending is not None
    job, nth = pending.about
    frame = decode(b'{"code":200,"headers":{"mid":"1 0"}}')
    assert sending.outgoing.answered(job, nth, frame) == []
    sending.answer("2.PNM")
    assert [one.outcome for one in sending.settled] == [Outcome.CONFIRMED]


def test_actions() -> None:
    sending = Sending()
    chat = Chat(ME, "chat", "c1")
    read = Delivery(DeliveryId(16), chat, Act("read", b'{"message":"1.PNM"}'))
    (written, settled) = sending.outgoing.take(read)
    assert isinstance(written, Transmit)
    assert json.loads(written.data)["body"] == [["1.PNM"]]
    assert isinstance(settled, Settled)
    assert settled.outcome is Outcome.SENT
    for act in (Act("read", b"{}"), Act("nothing", b'{"message":"1.PNM"}'), Act("recall", b"{")):
        (refused,) = sending.outgoing.take(Delivery(DeliveryId(32), chat, act))
        assert isinstance(refused, Settled)
        assert refused.outcome is Outcome.REFUSED


def test_what_cannot_be_said_is_refused() -> None:
    sending = Sending()
    for chat, what in (
        (Chat(ME, "group", "9"), Say((Text("x"),))),
        (Chat(ME, "chat", "9"), Say((Text(" "),))),
        (Chat(ME, "chat", "9"), Say((Text("nobody is known there"),))),
        (Chat(ME, "chat", "9"), Part("x")),
    ):
        (refused,) = sending.outgoing.take(Delivery(DeliveryId(16), chat, what))
        assert isinstance(refused, Settled)
        assert refused.outcome is Outcome.REFUSED


def test_a_partner_that_is_known_from_elsewhere_is_enough() -> None:
    sending = Sending()
    sending.outgoing.know("9", "2")
    delivery = Delivery(DeliveryId(16), Chat(ME, "chat", "9"), Say((Text("x"),)))
    (written,) = sending.outgoing.take(delivery)
    assert isinstance(written, Transmit)
    assert json.loads(written.data)["body"][1] == {
        "actualReceivers": ["2@goofish", f"{ME}@goofish"]
    }
