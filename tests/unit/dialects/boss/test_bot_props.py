"""The account's session: whatever comes in, and in whatever order things happen.

Nothing is acknowledged before it is stored, nothing is written or settled twice, and nothing is
pending after the end of a link (`style 9`).
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from boss_house import PEER, Office
from boss_mqtt_vectors import CASES
from trunkline.dialects.boss.receipts import PUBACKS
from trunkline.dialects.contract import LinkState
from trunkline.errors import LinkLost
from trunkline.model.delivery import Outcome
from trunkline.model.event import MessageReceived

CHUNKS = [bytes.fromhex(part) for case in CASES.values() for part in case.get("hex_parts") or [
    case["hex"]]]  # fmt: skip


@given(st.lists(st.binary(max_size=60) | st.sampled_from(CHUNKS), max_size=8), st.booleans())
def test_any_bytes_end_in_effects(chunks: list[bytes], is_ready: bool) -> None:
    office = Office()
    office.begin()
    office.pump.link()
    if is_ready:
        office.pump.run()
    for chunk in chunks:
        if office.bot.is_linked:
            office.pump.inject(chunk, is_text=False)  # type: ignore[arg-type]
    office.pump.cut()
    assert not office.bot.pending


class Life(RuleBasedStateMachine):
    """An account and its gateway, with commits, cuts and odd answers at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.office = Office(commit="by_hand", history=False).start()
        self.office.pump.commit()
        assert self.office.peer.uid == PEER
        self.said = 0
        self.sent = 0

    @property
    def is_up(self) -> bool:
        return self.office.bot.is_linked and self.office.bot.state is LinkState.READY

    @precondition(lambda self: self.is_up)
    @rule(words=st.sampled_from(["hi", "在吗", "x" * 300]))
    def somebody_says(self, words: str) -> None:
        self.said += 1
        self.office.says(f"{words} #{self.said}")

    @rule()
    def somebody_says_it_while_we_are_away(self) -> None:
        self.said += 1
        self.office.gateway.say_text(self.office.account, self.office.peer, f"away #{self.said}")

    @precondition(lambda self: self.is_up)
    @rule(chats=st.integers(0, 2))
    def we_send(self, chats: int) -> None:
        self.sent += 1
        self.office.account.peer(PEER + chats)
        chat = type(self.office.chat)(self.office.chat.account, "user", str(PEER + chats))
        self.office.send(f"answer #{self.sent}", chat)

    @rule(count=st.integers(1, 30))
    def commit(self, count: int) -> None:
        self.office.pump.commit(count=count)
        self.office.pump.run()

    @rule(form=st.sampled_from(sorted(set(PUBACKS) - {"too_short"})), sync=st.sampled_from([
        "puback_first", "sync_first", "off"]), is_echoed=st.booleans())  # fmt: skip
    def the_gateway_answers_otherwise(self, form: Any, sync: Any, is_echoed: bool) -> None:
        rules = self.office.gateway.rules
        rules.puback, rules.sync, rules.is_echoed_here = form, sync, is_echoed

    @precondition(lambda self: self.office.bot.is_linked)
    @rule(code=st.sampled_from([1000, 1006]))
    def cut(self, code: int) -> None:
        self.office.pump.cut(LinkLost(code, "Bye"))

    @precondition(lambda self: not self.office.bot.is_linked)
    @rule(away_s=st.sampled_from([1, 40]))
    def come_back(self, away_s: int) -> None:
        # As the exchange does: what no link is there for is stored all the same.
        self.office.pump.commit()
        self.office.clock.advance(away_s)
        self.office.again()

    @rule(seconds=st.sampled_from([1, 9, 30]))
    def time_passes(self, seconds: int) -> None:
        self.office.live(seconds)

    @invariant()
    def nothing_is_acknowledged_before_it_is_stored(self) -> None:
        stored = {one.peer_id for one in self.office.bot.inbox if isinstance(one, MessageReceived)}
        for one in self.office.account.stored.values():
            assert not one.is_acked or str(one.mid) in stored

    @invariant()
    def nothing_is_written_twice_and_no_rule_is_broken(self) -> None:
        assert all(count == 1 for count in self.office.account.copies.values())
        assert self.office.gateway.violations == {}

    @invariant()
    def what_is_refused_or_waits_was_not_taken(self) -> None:
        later = [one for one in self.office.bot.settled.values() if one.outcome is Outcome.LATER]
        assert len(self.office.heard) + len(later) <= self.sent

    def teardown(self) -> None:
        """Everything that was said is there in the end, once."""
        if self.office.bot.is_linked:
            self.office.pump.cut()
        assert not self.office.bot.pending
        self.office.pump.commit()
        self.office.clock.advance(100)
        self.office.again()
        self.office.pump.commit()
        heard = [
            one.peer_id
            for one in self.office.bot.inbox
            if isinstance(one, MessageReceived) and not one.is_own
        ]
        assert len(heard) == len(set(heard)) == self.said


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
