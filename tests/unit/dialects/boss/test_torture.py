"""The gateway of the crash harness: who is let in, what comes many times, every end and form."""

from __future__ import annotations

import tomllib
from collections import Counter

import pytest

from boss_house import packets
from trunkline.clock import FakeClock
from trunkline.dialects.boss import BOSS, frames
from trunkline.dialects.boss.frames import Sender
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.boss.torture import (
    COPIES,
    CUT_APART_S,
    FIRST,
    LINKS_OF_A_PASSWORD,
    Agency,
    Desk,
    GatewayCast,
)
from trunkline.dialects.contract import (
    Effects,
    Fetch,
    Hangup,
    Head,
    LinkInfo,
    Opening,
    Received,
    Refuse,
    Settled,
    Transmit,
)
from trunkline.errors import LinkLost
from trunkline.ids import CountingIds, DeliveryId
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.segment import Text
from trunkline.wire.mqtt_codec import encode
from trunkline.wire.mqtt_packets import Connect, Packet, PubAck, Publish
from trunkline.wire.mqtt_stream import Broken

COOKIES = "wt=login-of-account-1; bst=call-token-0123456789"
NOW_MS = 1_791_470_007_797


def sent(effects: Effects) -> list[Packet | Broken]:
    return packets([one.data for one in effects if isinstance(one, Transmit)])


def pushes(effects: Effects) -> list[Publish]:
    """Return the pushes of messages."""
    found = [one for one in sent(effects) if isinstance(one, Publish)]
    return [one for one in found if frames.decode(built_in(), one.payload).messages]


def settled(effects: Effects) -> list[Settled]:
    return [one for one in effects if isinstance(one, Settled)]


class Run:
    """The platform of a run with two accounts."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW_MS)
        self.opening = Opening("gateway", "gateway", self.clock, CountingIds())
        self.place: Agency = GatewayCast().place(self.opening, 2)
        self.schema = built_in()
        account = self.place.gateway.account(COOKIES)
        assert account is not None
        self.account = account
        self._ids = 100

    def link(self, *manners: str, last: int = 0) -> tuple[Desk, list[Publish]]:
        """Link the second account; return its session and what was pushed to it."""
        password = self.place.gateway.new_password(self.account)
        headers = {"cookie": COOKIES, "sec-websocket-protocol": password}
        admitted = self.place.admit(Head("/chatws", headers=headers))
        assert admitted == (1, password)
        desk = self.place.session(1, self.opening, frozenset(manners))
        desk.linked(LinkInfo(Head("/chatws", headers=headers)))
        name = f"{self.account.token}|0"
        hello = Connect("ws-0123456789ABCDEF", 25, name, password.encode())
        desk.receive(encode(hello), is_text=False)
        fields = {"type": 1, "uid": 0, "userId": self.account.uid, "lastMessageId": last}
        presence = self.schema.encode(self.schema.chat(type=frames.PRESENCE, presence=fields))
        effects = desk.receive(encode(Publish(frames.TOPIC, presence, 1, 1)), is_text=False)
        found = pushes(effects)
        for one in sent(effects):
            if isinstance(one, Publish) and one not in found:  # the call that comes first
                desk.receive(encode(PubAck(one.packet_id)), is_text=False)
        return desk, found

    def talk(self, desk: Desk, ident: int, words: str) -> list[Publish]:
        chat, _ = self.place.actor(1).chats[0]
        return pushes(desk.send(Delivery(DeliveryId(ident), chat, Say((Text(words),)))))

    def answer(self, desk: Desk, words: str) -> Effects:
        """Let the account write to the first of its people."""
        self._ids += 1
        sender = Sender(self.account.uid, FIRST, self.account.peer(FIRST).key)
        payload = frames.encode_text(self.schema, sender, words, 10**15 + self._ids, NOW_MS, 0)
        packet = Publish(frames.TOPIC, payload, 1, self._ids)
        return desk.receive(encode(packet), is_text=False)


def test_the_lines_are_good_and_dial_the_place() -> None:
    lines = tomllib.loads(Run().place.lines("http://127.0.0.1:5"))["lines"]
    assert len(lines) == 2
    for fields in lines.values():
        options = BOSS.options(**fields)
        assert (options.url, options.http_url) == ("ws://127.0.0.1:5/chatws", "http://127.0.0.1:5")
        assert (options.mode, options.every_s, options.daily) == ("auto", 0, 0)
    assert len({fields["cookies"] for fields in lines.values()}) == 2


@pytest.mark.parametrize("cookies", ["", "wt=login-of-account-5", "a=b"])
def test_a_stranger_is_not_let_in(cookies: str) -> None:
    assert isinstance(Run().place.admit(Head("/", headers={"cookie": cookies})), Refuse)


def test_people_wait_for_proof_over_any_number_of_links() -> None:
    run = Run()
    desk, _ = run.link()
    run.talk(desk, 4, "a")
    assert settled(desk.lost(LinkLost(1006))) == []
    again, (push,) = run.link()
    effects = again.receive(encode(PubAck(push.packet_id)), is_text=False)
    assert settled(effects) == [Settled(DeliveryId(4), Outcome.CONFIRMED)]
    assert run.account.stored == {}


def test_what_comes_again_comes_fourteen_times_in_all_ways() -> None:
    run = Run()
    desk, _ = run.link()
    (first,) = run.talk(desk, 4, "a")
    again, found = run.link("redeliver-14")
    assert len(found) >= COPIES
    assert {one.is_dup for one in found} == {True, False}
    assert len({one.packet_id for one in found}) > 1
    for push in found:
        assert frames.decode(run.schema, push.payload).messages[0].body.text == "a"
        again.receive(encode(PubAck(push.packet_id)), is_text=False)
    assert first.packet_id
    assert run.place.violations == {}


def test_what_the_account_says_is_shown_to_it_so_that_it_can_be_proven() -> None:
    run = Run()
    desk, _ = run.link()
    run.talk(desk, 4, "a")
    last = max(run.account.stored)
    run.place.draw = lambda: 0.01  # type: ignore[method-assign]  # the link ends "before"
    effects = run.answer(desk, "re:a")
    assert [type(one) for one in effects if isinstance(one, Received | Hangup)] == [
        Received, Hangup,
    ]  # fmt: skip
    assert sent(effects) == []
    _, found = run.link(last=last)
    told = [frames.decode(run.schema, one.payload).messages for one in found]
    assert "re:a" in [message.body.text for batch in told for message in batch]


def test_of_every_other_account_only_the_history_knows_what_it_says() -> None:
    run = Run()
    desk, _ = run.link()
    run.talk(desk, 4, "a")
    run.place.shows_own = lambda _uid: False  # type: ignore[method-assign]
    assert pushes(run.answer(desk, "re:a")) == []
    assert run.account.peer(FIRST).messages[-1]["body"]["text"] == "re:a"
    uids = [int(run.place.actor(number).chats[0][0].account) for number in range(2)]
    assert [Run().place.shows_own(uid) for uid in uids] == [False, True]


@pytest.mark.parametrize(
    ("draw", "written", "code"), [(0.0, 0, 1006), (0.3, 20, 1000), (0.5, 10, 1006), (0.9, 3, None)]
)
def test_a_link_ends_at_an_answer_in_every_way(draw: float, written: int, code: int | None) -> None:
    run = Run()
    desk, _ = run.link()
    run.talk(desk, 4, "a")
    draws = iter((0.01, draw))
    run.place.draw = lambda: next(draws)  # type: ignore[method-assign]
    effects = run.answer(desk, "re:a")
    assert sum(len(one.data) for one in effects if isinstance(one, Transmit)) == written
    assert [one.code for one in effects if isinstance(one, Hangup)] == ([code] if code else [])


def test_links_of_an_account_are_not_ended_so_often_that_it_looks_like_another_login() -> None:
    run = Run()
    assert run.place.may_cut(5)
    assert not run.place.may_cut(5)
    assert run.place.may_cut(6)
    run.clock.advance(CUT_APART_S)
    assert run.place.may_cut(5)


def test_answers_have_many_forms_and_the_account_is_always_told() -> None:
    run = Run()
    desk, _ = run.link()
    run.talk(desk, 4, "a")
    run.place.may_cut = lambda _uid: False  # type: ignore[method-assign]
    shapes: Counter[int] = Counter()
    for nth in range(120):
        effects = run.answer(desk, f"re:{nth}")
        # Whatever the acknowledgement is, our own words come back in a push.
        assert [frames.decode(run.schema, one.payload).messages[0].body.text
                for one in pushes(effects)] == [f"re:{nth}"]  # fmt: skip
        shapes.update(len(one.data) for one in effects if isinstance(one, Transmit))
    assert {4, 5, 6, 20} <= set(shapes)


def test_every_few_links_a_password_is_good_no_more() -> None:
    run = Run()
    head = Head("/chatws", headers={"cookie": COOKIES})
    for _ in range(LINKS_OF_A_PASSWORD - 1):
        run.place.gateway.new_password(run.account)
        run.place.admit(head)
    assert run.account.passwords
    run.place.admit(head)
    assert not run.account.passwords
    assert run.place.http(Fetch("GET", "http://h/wapi/zppassport/get/wt")).status == 200


def test_an_account_has_more_people_than_the_guard_against_loops_minds() -> None:
    actor = Run().place.actor(1)
    chats = [chat for chat, _ in actor.chats]
    assert len(set(chats)) == len(chats) > 100
    assert chats[0] == Chat(str(Run().account.uid), "user", str(FIRST))
