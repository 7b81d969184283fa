"""The scripted world: every fault alone and all together, with an account that answers.

Nothing that people said is lost or counted twice, nothing is sent twice, and no rule of the gateway
is broken. Source: boss 10.9
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from boss_house import LOGIN, NOW_MS, make_options
from pump import Pump, text
from trunkline.clock import FakeClock
from trunkline.dialects.boss.bot import AccountSession
from trunkline.dialects.boss.emulator import FAULTS, World
from trunkline.dialects.boss.gateway import CALL_COOKIE, LOGIN_COOKIE
from trunkline.dialects.contract import (
    DoAnswer,
    Fetch,
    FindUnclear,
    Head,
    LinkInfo,
    LinkState,
    Opening,
    Park,
    Refuse,
)
from trunkline.ids import CountingIds, DeliveryId, InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Outcome, Say
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text

LINES = 25


class Life:
    """An account that answers everything, in a world with faults."""

    def __init__(
        self, faults: dict[str, float], seed: int = 1, *, is_scripted: bool = True, **more: Any
    ) -> None:
        self.clock = FakeClock(NOW_MS)
        self.ids = CountingIds()
        self.options = make_options(**more)
        opening = Opening("gateway", "gateway", self.clock, self.ids)
        self.opening = opening
        self.world = World(
            self.options,
            opening,
            seed=seed,
            pace_s=2.0,
            messages=LINES,
            faults=faults,
            is_scripted=is_scripted,
        )
        self.pump = Pump(
            self.bot(), self.world.session(opening), clock=self.clock, find=self.find, is_text=False
        )
        self.links = 0
        self.seen = 0
        self.outbox: list[Delivery] = []
        self.made: dict[DeliveryId, Delivery] = {}

    def bot(self) -> AccountSession:
        return AccountSession(self.options, Opening("account", "", self.clock, self.ids))

    def find(self, request: Any) -> Any:
        if isinstance(request, DoAnswer):
            return DeliveryId(1)
        if isinstance(request, FindUnclear):
            return ()
        assert isinstance(request, Fetch)
        return self.world.http(request)

    def serve(self) -> None:
        """Answer what is new; what could not be written waits and goes first."""
        bot = self.pump.bot
        for ident, settled in list(bot.settled.items()):
            if settled.outcome is Outcome.LATER:
                del bot.settled[ident]
                self.outbox.append(self.made[ident])
        fresh, self.seen = bot.inbox[self.seen :], len(bot.inbox)
        for event in fresh:
            if isinstance(event, MessageReceived) and not event.is_own:
                words = text(f"re:{plain_text(event.segments)}")
                ident = answer_id(InboxId(self.pump.ids.next()), 0)
                self.made[ident] = Delivery(ident, event.chat, Say(words), event.context)
                self.outbox.append(self.made[ident])
        if bot.state is LinkState.READY and bot.is_linked:
            waiting, self.outbox = sorted(self.outbox, key=lambda one: one.id), []
            for nth, delivery in enumerate(waiting):
                if not bot.is_linked:
                    self.outbox += waiting[nth:]
                    break
                self.pump.deliver(bot, delivery)
            self.pump.run()

    def connect(self) -> None:
        """Come back, as a supervisor would."""
        pump = self.pump
        pump.bot.orphans = 0
        assert pump.platform is not None
        if self.links:
            pump.replace(pump.platform, self.world.session(self.opening))
            pump.replace(pump.bot, self.bot())
        else:
            for end in pump.ends:
                pump._do(end, end.session.begin(end.kept))
        self.links += 1
        if pump.bot.dial is not None and pump.bot.hangup is None:
            pump.link()
            pump.run()

    def live(self, seconds: int) -> None:
        """Let time pass; a link that ended comes back after three seconds."""
        for _ in range(seconds):
            if not self.pump.bot.is_linked:
                self.clock.advance(3)
                self.connect()
            self.serve()
            self.pump.advance(1)
            self.pump.run()
        self.serve()
        self.pump.run()


def assert_sound(life: Life) -> None:
    """Check what must hold whatever happened."""
    world = life.world
    (account,) = world.gateway.accounts.values()
    said = {f"{world.script[nth % len(world.script)]} #{nth}" for nth in range(LINES)}
    heard = [
        plain_text(one.segments)
        for one in life.pump.bot.inbox
        if isinstance(one, MessageReceived) and not one.is_own
    ]
    assert Counter(heard) == Counter(said)  # nothing lost, nothing twice
    assert all(count == 1 for count in account.copies.values())  # no message written twice
    words = [words for _, words in account.heard]
    assert len(words) == len(set(words))
    allowed = {"stream"} if "half" in world.faults else set()
    assert set(world.gateway.violations) <= allowed
    assert not life.pump.bot.pending


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("seed", [1, 2])
def test_one_fault(fault: str, seed: int) -> None:
    life = Life({fault: 0.3}, seed)
    life.live(220)
    assert_sound(life)
    tally = life.world.tally
    assert (tally.sent, tally.doubled, tally.misordered) == (LINES, 0, 0)
    assert life.world.said


def test_no_fault_is_answered_whole() -> None:
    life = Life({})
    life.live(80)
    assert_sound(life)
    assert life.links == 1
    assert life.world.tally.answered == LINES
    outcomes = Counter(one.outcome for one in life.pump.bot.settled.values())
    assert outcomes == {Outcome.CONFIRMED: LINES}
    (account,) = life.world.gateway.accounts
    assert life.world.is_over(life.world.gateway.accounts[account].uid)


@pytest.mark.parametrize("seed", range(6))
def test_all_faults_together(seed: int) -> None:
    life = Life(dict.fromkeys(FAULTS - {"silent"}, 0.06), seed)
    life.live(300)
    assert_sound(life)


def test_a_cut_before_the_acknowledgement_is_uncertain_after_it_confirmed() -> None:
    before, after = Life({"cut-before": 1.0}), Life({"cut-after": 1.0})
    for life in (before, after):
        life.live(200)
        assert_sound(life)
    assert Outcome.UNCERTAIN in {one.outcome for one in before.pump.bot.settled.values()}
    assert {one.outcome for one in after.pump.bot.settled.values()} == {Outcome.CONFIRMED}


def test_a_login_that_expires_is_renewed_without_a_person() -> None:
    life = Life({"refused-call": 0.5, "close": 0.2})
    life.live(250)
    assert not isinstance(getattr(life.pump.bot.hangup, "next", None), Park)
    assert_sound(life)


def test_the_same_seed_is_the_same_world() -> None:
    first, second = (Life({"double": 0.3, "close": 0.1}, seed=5) for _ in range(2))
    for life in (first, second):
        life.live(100)
    assert first.pump.bot.sent == second.pump.bot.sent


def test_two_links_of_one_account_are_a_violation() -> None:
    life = Life({})
    life.live(3)
    info = life.pump._head(life.pump.platform or life.pump.bot)
    life.world.session(life.opening).linked(LinkInfo(info))
    assert life.world.gateway.violations == {"two-links": 1}


def test_a_second_login_may_end_the_first() -> None:
    life = Life({})
    life.live(3)
    life.world.gateway.rules.kicks_second = True
    info = life.pump._head(life.pump.platform or life.pump.bot)
    life.world.session(life.opening).linked(LinkInfo(info))
    life.pump.advance(0.1)
    assert life.pump.platform is not None
    assert life.pump.platform.hangup is not None
    assert life.pump.platform.hangup.reason == "Bye"
    assert not life.pump.bot.is_linked


@pytest.mark.parametrize("count", range(1, 9))
def test_a_link_may_end_at_any_packet(count: int) -> None:
    life = Life({})
    life.world.gateway.rules.cuts_after = count
    life.live(30)
    life.world.gateway.rules.cuts_after = 0
    life.live(120)
    assert life.links > 1
    assert_sound(life)


def test_who_may_come_in() -> None:
    life = Life({})
    life.world.gateway.login = "login-of-a-test-account"
    head = Head("/chatws", headers={"cookie": LOGIN, "sec-websocket-protocol": "pass~"})
    admitted = life.world.admit(life.options, head)
    assert not isinstance(admitted, Refuse)
    assert admitted.subprotocol == "pass~"
    life.world.gateway.rules.subprotocol = "none"
    admitted = life.world.admit(life.options, head)
    assert not isinstance(admitted, Refuse)
    assert admitted.subprotocol is None
    other = Head("/chatws", headers={"cookie": "wt=other"})
    refused = life.world.admit(life.options, other)
    assert isinstance(refused, Refuse)
    assert refused.status == 403


def test_a_world_says_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown faults"):
        Life({"rain": 0.5})
    opening = Opening("gateway", "gateway", FakeClock(), CountingIds())
    with pytest.raises(ValueError, match="pace"):
        World(make_options(), opening, seed=1, pace_s=0)


def test_a_dead_link_is_left_and_what_was_said_meanwhile_comes_later() -> None:
    life = Life({"silent": 0.2}, seed=3)
    life.live(400)
    assert life.links > 1
    assert_sound(life)
    assert life.pump.bot.state in (LinkState.READY, LinkState.OPENING)


def test_people_without_a_script_say_what_somebody_lets_them_and_he_is_shown_the_answer() -> None:
    life = Life({}, is_scripted=False)
    life.live(3)
    pump, account = life.pump, next(iter(life.world.gateway.accounts.values()))
    assert pump.platform is not None
    life.live(60)
    assert life.pump.bot.inbox == []  # nobody says anything by himself
    ident = pump.say(pump.platform, Chat(str(account.uid), "user", "700300400"), "hi")
    life.live(20)
    assert pump.platform.settled[ident].outcome is Outcome.CONFIRMED
    heard = [one for one in pump.platform.inbox if isinstance(one, MessageReceived)]
    assert [plain_text(one.segments) for one in heard] == ["re:hi"]


def test_what_goes_wrong_when_somebody_is_let_say_something() -> None:
    life = Life({"double": 1.0}, is_scripted=False)
    life.live(3)
    pump, account = life.pump, next(iter(life.world.gateway.accounts.values()))
    assert pump.platform is not None
    before = len(pump.platform.sent)
    pump.say(pump.platform, Chat(str(account.uid), "user", "700300400"), "hi")
    assert len(pump.platform.sent) == before + 2
    life.world.calm()
    pump.say(pump.platform, Chat(str(account.uid), "user", "700300400"), "ho")
    assert len(pump.platform.sent) == before + 3


def test_the_password_of_the_next_link_is_refused_once() -> None:
    life = Life({})
    life.live(3)
    (account,) = life.world.gateway.accounts.values()
    life.world.expired.add(account.uid)
    life.pump.cut()
    life.connect()
    assert "register-refused" in life.pump.bot.kinds()
    assert life.world.expired == set()
    life.live(60)
    assert_sound(life)


@pytest.mark.parametrize(("fault", "why"), [("demand", "needs_person"), ("login", "needs_new")])
def test_a_login_that_needs_a_person_gets_one(fault: str, why: str) -> None:
    life = Life({fault: 1.0})
    life.live(6)
    life.pump.cut()
    life.connect()
    hangup = life.pump.bot.hangup
    assert hangup is not None
    assert isinstance(hangup.next, Park)
    assert hangup.next.why.startswith(why)
    life.world.calm()
    life.world.verify()
    life.live(120)
    assert_sound(life)


def test_a_calm_world_expires_no_more_passwords() -> None:
    world = Life({"expired": 1.0}).world
    world.expired.add(1)
    world.calm()
    assert not world.expired
    assert not world.happens("expired")


@pytest.mark.parametrize("people", [1, 2])
def test_as_many_talk_as_were_asked_for(people: int) -> None:
    life = Life({})
    life.world.people = people
    life.live(120)
    assert_sound(life)
    talked = {one.chat.id for one in life.pump.bot.inbox if isinstance(one, MessageReceived)}
    assert len(talked) == people


@pytest.mark.parametrize("page", ["boss.md", "boss.zh-CN.md"])
def test_the_pages_name_every_fault_and_the_cookies(page: str) -> None:
    text = (Path(__file__).parents[4] / "docs" / page).read_text("utf-8")
    assert {name for name in FAULTS if f"`{name}`" not in text} == set()
    assert f"`{LOGIN_COOKIE}=" in text
    assert f"{CALL_COOKIE}=" in text
