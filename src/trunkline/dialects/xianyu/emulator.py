"""A scripted marketplace on top of `platform`: buyers say lines, the seller's answers are counted.

Pure: sessions and `http(request) → response`. A shell that opens sockets gives each link that comes
in a session of the world, and each HTTP request to `http`. Chance is derived from the seed, so a
run can be repeated. Source: xianyu 20
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from trunkline.dialects.contract import (
    Changed,
    Effect,
    Effects,
    Fetch,
    Fetched,
    Hangup,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Received,
    Settled,
    Transmit,
)
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.frames import Fields, Frame
from trunkline.dialects.xianyu.market import Market, Talk
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.dialects.xianyu.torture import MarketCast
from trunkline.errors import TrunklineError
from trunkline.model.delivery import Delivery
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text

SCRIPT: Final = (
    "在吗",
    "这个多少钱？",
    "可以便宜一点吗",
    "什么时候发货？",
    "包邮吗 [微笑]",
    "好的，谢谢👍",
)
BUYERS: Final = 8
# close: closed 1000 · cut: closed 1006, by the shell · demand: the next token call ends with a
# demand for verification, until a person sees to it · double: a push twice · early: the echo comes
# before the answer · expired: the next token call finds the signature expired · malformed: a broken
# entry · order: a paid notice is pushed · owner: the owner writes from the phone · revoke: no token
# is good any more, as of the next link · silent: nothing leaves any more · split: the same message
# again in a push of its own · unclear: a send is taken and not answered
FAULTS: Final = frozenset({
    "close", "cut", "demand", "double", "early", "expired", "malformed", "order", "owner", "revoke",
    "silent", "split", "unclear",
})  # fmt: skip
REMEMBERED: Final = 256


class Tally(msgspec.Struct):
    """What the buyers of a world have seen, all together.

    Args:
        sent: messages said; repeats by faults are not counted.
        answered: messages with an answer.
        doubled: answers that came although nothing was left to answer, orders aside: one answer
            to each is expected.
        misordered: answers to a line while an earlier one of the same chat had none.
        errors: frames of the account that could not be read, and rules that it broke.
    """

    sent: int = 0
    answered: int = 0
    doubled: int = 0
    misordered: int = 0
    errors: int = 0


class World:
    """A marketplace with buyers and a script.

    Args:
        options: of the account's line, as far as a marketplace needs them.
        opening: clock and ids.
        seed: the same seed gives the same buyers.
        pace_s: mean seconds between two lines of one account's buyers (> 0).
        messages: lines for each account; 0 = no end.
        script: the lines, said in turn.
        faults: probability by name, at each line (`FAULTS`).
        is_scripted: False = buyers say nothing by themselves, somebody lets them (`Counter.send`)
            and is shown what the account says.
    """

    def __init__(
        self,
        options: XianyuOptions,
        opening: Opening,
        *,
        seed: int,
        pace_s: float,
        messages: int = 0,
        script: tuple[str, ...] = SCRIPT,
        faults: Mapping[str, float] | None = None,
        is_scripted: bool = True,
    ) -> None:
        unknown = sorted(set(faults or ()) - FAULTS)
        if unknown:
            raise ValueError(f"unknown faults {unknown}; there are {sorted(FAULTS)}")
        if pace_s <= 0 or not script:
            raise ValueError("a world needs a pace above 0 and at least one line")
        self.options = options
        self.seed = seed
        self.pace_s = pace_s
        self.messages = messages
        self.script = script
        self.faults = dict(faults or {})
        self.is_scripted = is_scripted
        self.tally = Tally()
        self.market = Market(opening.clock, opening.ids)
        self.said: dict[str, int] = {}  # by account: lines of its buyers
        self.asked: dict[tuple[str, str], deque[str]] = {}  # (account, chat) → without an answer
        # (account, chat) with an order → it may still be answered; repeats of one are the same.
        self.ordered: dict[tuple[str, str], bool] = {}
        self._draws = 0

    def session(self, opening: Opening) -> Counter:
        """Make the session of a link that came in."""
        return Counter(self, opening)

    def http(self, request: Fetch) -> Fetched:
        """Answer an HTTP request."""
        return self.market.http(request)

    def calm(self) -> None:
        """Let nothing go wrong any more; what a person must see to stays so."""
        self.faults.clear()

    def verify(self) -> None:
        """Let a person do what the platform demanded."""
        self.market.fault = ""

    def happens(self, fault: str) -> bool:
        """Decide whether a fault happens now."""
        chance = self.faults.get(fault, 0.0)
        return chance > 0.0 and self.draw() < chance

    def draw(self) -> float:
        """Draw the next number within 0 … 1."""
        self._draws += 1
        digest = blake2b(f"{self.seed}:{self._draws}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def is_over(self, account: str) -> bool:
        """Whether the script of an account is over and everything is answered."""
        limit = self.messages
        waits = any(lines for (who, _), lines in self.asked.items() if who == account)
        return bool(limit) and self.said.get(account, 0) >= limit and not waits


class Counter(MarketSession):
    """The counter at which one account is served: a market session with a script.

    Args:
        world: whose script, faults and tally.
        opening: clock and ids.
    """

    def __init__(self, world: World, opening: Opening) -> None:
        super().__init__(world.options, opening, world.market)
        self.wake_at: float | None = None
        self._world = world
        self._line_at_s: float | None = None

    # -- verbs -------------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Let the account in; the first line comes at its time."""
        effects = super().linked(info)
        self._next_line()
        return self._watch(effects)

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Serve the account."""
        effects = self._watch(super().receive(data, is_text=is_text))
        self._join_times()
        return effects

    def send(self, delivery: Delivery) -> Effects:
        """Let a buyer say what somebody else wants (a sandbox, the simulation)."""
        effects = list(super().send(delivery))
        if self.seller.talks:
            newest = max(self.seller.talks.values(), key=lambda talk: talk.last_ms)
            effects += self._send_all(self._misbehave(effects, newest))
        self._join_times()
        return effects

    def tick(self) -> Effects:
        """Say the next line when its time has come, and push again what was not acknowledged."""
        effects = list(super().tick())
        now_s = self._clock.monotonic_s()
        if self._line_at_s is not None and self._line_at_s <= now_s:
            self._line_at_s = None
            effects += self._send_all(self._say_line())
            self._next_line()
        self._join_times()
        return self._watch(effects)

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; what the buyers wait for waits on."""
        self._line_at_s = None
        return super().lost(error)

    # -- saying ------------------------------------------------------------------------------

    def _say_line(self) -> list[Effect]:
        if self.state is not LinkState.READY:
            return []
        world = self._world
        me = self.seller.ident
        said = world.said.get(me, 0)
        words = f"{world.script[said % len(world.script)]} #{said}"
        buyer = str(2_200_000_100_000 + int(world.draw() * BUYERS))
        talk = world.market.open_talk(self.seller, buyer, f"9000000{said % 3}")
        world.market.say(self.seller, talk, frames.text_payload(words), words, is_own=False)
        world.said[me] = said + 1
        world.tally.sent += 1
        waiting = world.asked.setdefault((me, talk.ident), deque(maxlen=REMEMBERED))
        waiting.append(words)
        if world.happens("owner"):
            owner = "我是店主本人"
            world.market.say(self.seller, talk, frames.text_payload(owner), owner, is_own=True)
        effects = self.push_new()
        return [*effects, *self._misbehave(effects, talk)]

    def _misbehave(self, pushed: list[Effect], talk: Talk) -> list[Effect]:
        world = self._world
        if world.happens("cut"):
            return list(self.close(1006, "cut"))
        if world.happens("close"):
            return list(self.close(1000, "see you"))
        more: list[Effect] = []
        if world.happens("double"):
            more += [one for one in pushed if type(one) is Transmit]
        if world.happens("split") and self.seller.stored:
            more.append(self.push([self.seller.stored[-1][1]], self.position))
        if world.happens("malformed"):
            bad: Fields = {"bizType": 40, "objectType": 40006, "data": "%%%not-base64%%%"}
            more.append(self.push_body({"syncPushPackage": {"maxPts": 0, "data": [bad, {}]}}))
        if world.happens("order"):
            more.append(self.push([_paid(talk, self._clock.now_ms())], self.position))
            world.ordered.setdefault((self.seller.ident, talk.ident), True)
        self._doubt_login()
        if world.happens("silent"):
            self.is_silent = True
        return more

    def _doubt_login(self) -> None:
        world = self._world
        if world.happens("revoke"):
            world.market.forget_tokens(self.seller.ident)
        if world.happens("demand"):
            world.market.fault = "person"
        elif world.market.fault != "person" and world.happens("expired"):
            world.market.fault = "expired"

    def accept(self, frame: Frame, body: Fields) -> list[Effect]:
        """Answer a send, or do not; the echo may be faster."""
        answer = [] if self._world.happens("unclear") else super().accept(frame, body)
        if self._world.happens("early"):
            return [*self.push_new(), *answer]
        return answer

    def _next_line(self) -> None:
        world = self._world
        limit = world.messages
        if not world.is_scripted:
            return
        if limit and world.said.get(self.seller.ident, 0) >= limit:
            return
        wait_s = world.pace_s * (0.5 + world.draw())
        self._line_at_s = self._clock.monotonic_s() + wait_s
        self._join_times()

    def _join_times(self) -> None:
        self._plan()
        line_at_s = self._line_at_s
        if line_at_s is not None and (self.wake_at is None or line_at_s < self.wake_at):
            self.wake_at = line_at_s

    # -- hearing -----------------------------------------------------------------------------

    def _watch(self, effects: Effects) -> list[Effect]:
        if not self._world.is_scripted:
            return list(effects)
        kept: list[Effect] = []
        for effect in effects:
            if type(effect) is Received and type(effect.event) is MessageReceived:
                self._hear(effect.event)
            elif type(effect) in _PASSED:
                kept.append(effect)
                self._world.tally.errors += type(effect) is Noticed
        return kept

    def _hear(self, event: MessageReceived) -> None:
        tally = self._world.tally
        where = (self.seller.ident, event.chat.id)
        waiting = self._world.asked.get(where)
        if not waiting:
            # To a paid order a rule may say something; which answer is which, nobody can tell.
            tally.doubled += not self._world.ordered.get(where, False)
            if where in self._world.ordered:
                self._world.ordered[where] = False
            return
        said = plain_text(event.segments)
        nth = next((nth for nth, words in enumerate(waiting) if words in said), 0)
        tally.answered += 1
        tally.misordered += nth > 0
        del waiting[nth]


def _paid(talk: Talk, now_ms: int) -> Fields:
    """Return a card that says an order is paid. Source: xianyu 7.2"""
    order = "3000000000000000001"
    key = msgspec.json.encode(
        {"updateKey": f"{talk.ident}:{order}:2_paid_seller", "contentType": "26"}
    )
    return {
        "1": "idlefish-card-1",
        "2": frames.suffixed(talk.ident),
        "3": f"{4_900_000_000_000 + int(talk.ident)}.PNM",
        "4": {
            "reminderContent": "[我已付款，等待你发货]",
            "senderUserId": talk.buyer,
            "reminderUrl": f"fleamarket://message_chat?itemId={talk.item}&sid={talk.ident}",
            "extJson": key.decode(),
        },
        "5": now_ms,
    }


_PASSED = frozenset({Changed, Hangup, Noticed, Settled, Transmit})

CAST: Final = MarketCast()
