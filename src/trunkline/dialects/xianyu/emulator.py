"""A scripted marketplace on top of `platform`: buyers say lines, the seller's answers are counted.

Pure: sessions and `http(request) → response`. A shell that opens sockets gives each link that comes
in a session of the world, and each HTTP request to `http`. Chance is derived from the seed, so a
run can be repeated. Source: xianyu 20
"""

from __future__ import annotations

from typing import Final, Unpack

import msgspec

from trunkline.dialects.contract import (
    Effect,
    Effects,
    Fetch,
    Fetched,
    LinkInfo,
    LinkState,
    Opening,
    Transmit,
)
from trunkline.dialects.scripted import Cue, PeopledWorld, Script
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.frames import Fields, Frame
from trunkline.dialects.xianyu.market import Market, Talk
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.platform import MarketSession
from trunkline.dialects.xianyu.torture import MarketCast
from trunkline.errors import TrunklineError
from trunkline.model.delivery import Delivery

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


class World(PeopledWorld[str]):
    """A marketplace with buyers and a script.

    Args:
        options: of the account's line, as far as a marketplace needs them.
        opening: clock and ids.
        is_scripted: False = buyers say nothing by themselves, somebody lets them (`Counter.send`)
            and is shown what the account says.
        how: the script of this run; its faults happen at each line (`FAULTS`).
    """

    def __init__(
        self,
        options: XianyuOptions,
        opening: Opening,
        *,
        is_scripted: bool = True,
        **how: Unpack[Script],
    ) -> None:
        super().__init__(SCRIPT, FAULTS, how, is_scripted=is_scripted)
        self.options = options
        self.market = Market(opening.clock, opening.ids)
        # (account, chat) with an order → it may still be answered; repeats of one are the same.
        self.ordered: dict[tuple[str, str], bool] = {}

    def session(self, opening: Opening) -> Counter:
        """Make the session of a link that came in."""
        return Counter(self, opening)

    def http(self, request: Fetch) -> Fetched:
        """Answer an HTTP request."""
        return self.market.http(request)

    def verify(self) -> None:
        """Let a person do what the platform demanded."""
        self.market.fault = ""

    def hear_more(self, account: str, chat: str) -> None:
        """Count what is said where nothing is left to answer.

        To a paid order a rule may say something; which answer is which, nobody can tell.
        """
        if self.ordered.get((account, chat), False):
            self.ordered[account, chat] = False
        else:
            super().hear_more(account, chat)


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
        self._cue = Cue(world, opening.clock)

    # -- verbs -------------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Let the account in; the first line comes at its time."""
        effects = super().linked(info)
        self._cue.plan(self.seller.ident)
        self._plan()
        return self._cue.watch(self.seller.ident, effects)

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Serve the account."""
        return self._cue.watch(self.seller.ident, super().receive(data, is_text=is_text))

    def send(self, delivery: Delivery) -> Effects:
        """Let a buyer say what somebody else wants (a sandbox, the simulation)."""
        effects = list(super().send(delivery))
        if self.seller.talks:
            newest = max(self.seller.talks.values(), key=lambda talk: talk.last_ms)
            effects += self._send_all(self._misbehave(effects, newest))
        return effects

    def tick(self) -> Effects:
        """Say the next line when its time has come, and push again what was not acknowledged."""
        effects = list(super().tick())
        if self._cue.take():
            effects += self._send_all(self._say_line())
            self._cue.plan(self.seller.ident)
            self._plan()
        return self._cue.watch(self.seller.ident, effects)

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; what the buyers wait for waits on."""
        self._cue.drop()
        return super().lost(error)

    # -- saying ------------------------------------------------------------------------------

    def _say_line(self) -> list[Effect]:
        if self.state is not LinkState.READY:
            return []
        world = self._world
        me = self.seller.ident
        said, words = world.said.get(me, 0), world.next_line(me)
        buyer = str(2_200_000_100_000 + int(world.draw() * BUYERS))
        talk = world.market.open_talk(self.seller, buyer, f"9000000{said % 3}")
        world.market.say(self.seller, talk, frames.text_payload(words), words, is_own=False)
        world.note_line(me, talk.ident, words)
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

    def _plan(self) -> None:
        """Say when to be woken: for the next line too."""
        super()._plan()
        self.wake_at = self._cue.before(self.wake_at)


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


CAST: Final = MarketCast()
