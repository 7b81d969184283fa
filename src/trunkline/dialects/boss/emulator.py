"""A scripted platform on top of `platform`: people say lines, the account's answers are counted.

Pure: sessions and `http(request) → response`. A shell that opens sockets gives each link that comes
in a session of the world, and each HTTP request to `http`. Chance is derived from the seed, so a
run can be repeated. Source: boss 10
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, Unpack

from trunkline.dialects.boss import frames, http
from trunkline.dialects.boss.content import MEMBERS, UNKNOWN_KIND, make_body
from trunkline.dialects.boss.frames import ChatMessage
from trunkline.dialects.boss.gateway import Gateway, Peer, own_party, peer_party
from trunkline.dialects.boss.http import Fields
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.platform import GatewaySession
from trunkline.dialects.boss.torture import GatewayCast
from trunkline.dialects.boss.translate import parse_chat_id
from trunkline.dialects.contract import (
    Admit,
    Effect,
    Effects,
    Fetch,
    Fetched,
    Head,
    LinkInfo,
    LinkState,
    Opening,
    Refuse,
    Transmit,
)
from trunkline.dialects.scripted import Cue, PeopledWorld, Script
from trunkline.errors import TrunklineError
from trunkline.model.delivery import Delivery
from trunkline.wire.mqtt_packets import Publish

SCRIPT: Final = (
    "你好，方便聊聊吗？",
    "请问您目前在职吗？",
    "期望薪资是多少？",
    "什么时候方便面试？",
    "我们在招后端工程师，感兴趣吗",
    "好的，谢谢👍",
)
PEOPLE: Final = 8
OTHER_KINDS: Final = (*MEMBERS, UNKNOWN_KIND)
ASK_RESUME: Final = "我想要一份您的附件简历，您是否同意"
# What may go wrong at each line that is said:
# double: a push twice · again: the same message in a push of its own · malformed: a payload that
# is none · unknown: a payload of an unknown type · half: the link is cut inside a packet · close:
# closed 1000 "Bye" · cut: the stream ends · silent: nothing leaves any more · owner: the owner
# writes on the phone · dialog: the resume is asked for · card: a card · expired: the password of
# the next link is refused · refused-call: the next call for a password fails · demand, login: the
# next question who is logged in ends with a demand for verification, or with the login being over ·
# pieces, joined: how bytes are cut · kinds: a body of any kind · empty: a message of no bytes
# … and at each answer that is sent to it:
# standard, one-extra, two-extra, protobuf, nonminimal, wrong-id, late, unclear, twice, short: forms
# of the acknowledgement · refuse: the platform does not take it · no-sync: no pair of ids · echo:
# it comes back to the same link · read: the other side reads it · cut-before, cut-after: the link
# ends at the acknowledgement
LINE_FAULTS: Final = frozenset({
    "again", "card", "close", "cut", "demand", "dialog", "double", "empty", "expired", "half",
    "joined", "kinds", "login", "malformed", "owner", "pieces", "refused-call", "silent", "unknown",
})  # fmt: skip
ANSWER_FAULTS: Final[Mapping[str, str]] = {
    "standard": "standard", "one-extra": "one_extra", "two-extra": "two_extra",
    "protobuf": "ext_protobuf", "nonminimal": "ext_nonminimal", "wrong-id": "wrong_id",
    "late": "late", "unclear": "none", "twice": "duplicate", "short": "too_short",
}  # fmt: skip
FAULTS: Final = (
    LINE_FAULTS
    | ANSWER_FAULTS.keys()
    | {"cut-after", "cut-before", "echo", "no-sync", "read", "refuse"}
)


class World(PeopledWorld[int]):
    """A platform with people and a script.

    Args:
        options: of the account's line, as far as a gateway needs them.
        opening: clock and ids.
        is_scripted: False = people say nothing by themselves, somebody lets them (`Desk.send`) and
            is shown what the account says.
        how: the script of this run; its faults happen at each line or answer (`FAULTS`).
    """

    def __init__(
        self,
        options: BossOptions,
        opening: Opening,
        *,
        is_scripted: bool = True,
        **how: Unpack[Script],
    ) -> None:
        super().__init__(SCRIPT, FAULTS, how, is_scripted=is_scripted)
        self.options = options
        self.people = PEOPLE  # how many talk with an account
        self.expired: set[int] = set()  # accounts whose next password is good no more
        self.gateway = Gateway(opening.clock, opening.ids)
        self.open: dict[int, int] = {}  # by account: links at once
        self.desks: dict[int, Desk] = {}  # by account: the newest link

    def session(self, opening: Opening) -> Desk:
        """Make the session of a link that came in."""
        return Desk(self, opening)

    def admit(self, options: BossOptions, head: Head) -> Admit | Refuse:
        """Let an account in that is logged in; its upgrade is refused else. Source: boss 10.3"""
        if self.gateway.account(head.headers.get("cookie", "")) is None:
            return Refuse(403, "no login")
        offered = head.headers.get("sec-websocket-protocol", "").partition(",")[0].strip()
        answer = {"echo": offered, "mqtt": "mqtt", "none": ""}[self.gateway.rules.subprotocol]
        return Admit("gateway", options.max_message_bytes, answer or None)

    def http(self, request: Fetch) -> Fetched:
        """Answer an HTTP request."""
        return self.gateway.http(request)

    def calm(self) -> None:
        """Let nothing go wrong any more; what a person must see to stays so."""
        super().calm()
        self.expired.clear()

    def verify(self) -> None:
        """Let a person do what the platform demanded."""
        self.gateway.faults.pop(http.USER_INFO, None)


class Desk(GatewaySession):
    """Where one account is served: a gateway session with a script.

    Args:
        world: whose script, faults and tally.
        opening: clock and ids.
    """

    def __init__(self, world: World, opening: Opening) -> None:
        super().__init__(world.options, opening, world.gateway)
        self.wake_at: float | None = None
        self._world = world
        self._cue = Cue(world, opening.clock)
        self._is_counted = False

    # -- verbs -------------------------------------------------------------------------------

    def linked(self, info: LinkInfo) -> Effects:
        """Let the account in; the first line comes at its time."""
        effects = super().linked(info)
        if self.state is LinkState.READY:
            world, uid = self._world, self.account.uid
            world.open[uid] = world.open.get(uid, 0) + 1
            if uid in world.expired:
                world.expired.discard(uid)
                self.account.passwords.clear()
            self._is_counted = True
            if world.open[uid] > 1:
                world.gateway.violations["two-links"] += 1
            earlier, world.desks[uid] = world.desks.get(uid), self
            if earlier is not None and world.gateway.rules.kicks_second:
                earlier.kick()
            self._cue.plan(uid)
            self._plan()
        return self._cue.watch(self.account.uid, effects)

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Serve the account."""
        return self._cue.watch(self.account.uid, super().receive(data, is_text=is_text))

    def send(self, delivery: Delivery) -> Effects:
        """Let somebody say what somebody else wants (a sandbox, the simulation)."""
        effects = list(super().send(delivery))
        uid, source = parse_chat_id(delivery.chat.id)
        if uid and self.can_push:
            effects += self._out(self._misbehave(self.account.peer(uid, source=source)))
        return effects

    def tick(self) -> Effects:
        """Say the next line when its time has come, and do what else is due."""
        effects = list(super().tick())
        if self._cue.take():
            effects += self._out(self._say_line())
            self._cue.plan(self.account.uid)
            self._plan()
        return self._cue.watch(self.account.uid, effects)

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; what people wait for waits on."""
        self._cue.drop()
        self._leave()
        return super().lost(error)

    def close(self, code: int, reason: str) -> list[Effect]:
        """Hang up on the account."""
        self._leave()
        return super().close(code, reason)

    def kick(self) -> None:
        """End this link at its next moment: another login has taken its place. Source: boss 10.6"""
        if self.state is LinkState.READY:
            self.later(0.0, lambda: self.close(1000, "Bye"))

    def _leave(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._world.open[self.account.uid] -= 1

    # -- saying ------------------------------------------------------------------------------

    def _say_line(self) -> list[Effect]:
        if self.state is not LinkState.READY or not self.can_push:
            return []
        world, me = self._world, self.account.uid
        if world.is_through(me):
            return []
        words = world.next_line(me)
        peer = self.account.peer(700_000_000 + int(world.draw() * world.people))
        world.gateway.say_text(self.account, peer, words)
        world.note_line(me, str(peer.uid), words)
        if world.happens("owner"):
            self._owner_says(peer, "我是本人，稍后回复")
        effects = [*self.push_new(), *self._misbehave(peer)]
        if world.happens("joined"):
            return _joined(effects)
        return effects

    def _owner_says(self, peer: Peer, words: str) -> None:
        body: Fields = {"type": frames.TEXT, "templateId": 1, "text": words}
        cmid = (1 << 62) + self._clock.now_ms()  # as the apps make them. Source: boss 3
        sides = (own_party(self.account), peer_party(peer))
        self._world.gateway.store(self.account, peer, *sides, body, cmid=cmid)

    def _misbehave(self, peer: Peer) -> list[Effect]:
        world = self._world
        if world.happens("cut"):
            return self.close(1006, "cut")
        if world.happens("close"):
            return self.close(1000, "Bye")
        last = next(reversed(self.account.stored.values()), None)
        if world.happens("half") and last is not None:
            return self._half()
        more: list[Effect] = []
        if world.happens("double"):
            newest = list(self._flow.in_flight)[-1:]
            more += [Transmit(self._flow.redeliver(one, self._flow_ms())) for one in newest]
        if world.happens("again") and last is not None:
            more += self.push_stored(last)
        if world.happens("malformed"):
            more += self.push_payload(b"\x08\x01\x1a\x7f\x18\x04")
        if world.happens("unknown"):
            more += self.push_fields(type=99)
        return more + self._more(peer)

    def _more(self, peer: Peer) -> list[Effect]:
        world = self._world
        if world.happens("dialog"):
            world.gateway.say(self.account, peer, ask_for(ASK_RESUME))
        if world.happens("card"):
            world.gateway.say(self.account, peer, job_card(), type=frames.SYSTEM, uncount=1)
        if world.happens("kinds"):
            kind = OTHER_KINDS[int(world.draw() * len(OTHER_KINDS))]
            body = make_body(self._schema, kind, is_lean=world.draw() < 0.5)
            world.gateway.say(self.account, peer, body, type=frames.SYSTEM, uncount=1)
        self._doubt_login()
        if world.happens("pieces"):
            self.piece_bytes = 0 if self.piece_bytes else 3
        more = self.push_new()
        if world.happens("empty"):
            more = [Transmit(b""), *more]
        if world.happens("silent"):
            self.is_silent = True
        return more

    def _doubt_login(self) -> None:
        world = self._world
        if world.happens("expired"):
            world.expired.add(self.account.uid)
        if world.happens("refused-call"):
            world.gateway.faults[http.GET_WT] = deque(["500"])
        for fault, code in _LOGIN_FAULTS.items():
            if world.happens(fault):
                world.gateway.faults[http.USER_INFO] = deque([code])

    def _half(self) -> list[Effect]:
        """Cut the link inside a packet. Source: boss 10.6 (mid_packet)"""
        effects = self.push_fields(type=99)
        (push,) = (one for one in effects if type(one) is Transmit)
        return [Transmit(push.data[: len(push.data) // 2]), *self.close(1006, "half")]

    # -- answering ---------------------------------------------------------------------------

    def accept(self, packet: Publish, cmid: int, mid: int) -> list[Effect]:
        """Answer an accepted message, in one of all the forms that were seen or feared."""
        world, rules = self._world, self._world.gateway.rules
        before = (rules.puback, rules.sync)
        for name, form in ANSWER_FAULTS.items():
            if world.happens(name):
                rules.puback = form
                break
        if world.happens("no-sync"):
            rules.sync = "off"
        effects = super().accept(packet, cmid, mid)
        rules.puback, rules.sync = before
        if world.happens("echo"):
            effects += self.echo(packet, mid)
        peer = self.account.heard[-1][0]
        if world.happens("read"):
            mark = {"userId": peer, "messageId": mid, "readTime": self._clock.now_ms()}
            effects += self.push_fields(type=frames.READ, messageRead=[mark], domain=1)
        if world.happens("cut-before"):
            return self.close(1006, "cut")
        if world.happens("cut-after"):
            return [*effects, *self.close(1000, "Bye")]
        return effects

    def refuse(self, message: ChatMessage) -> bool:
        """Whether the platform takes no such message; nobody waits for it any more then."""
        is_refused = super().refuse(message) or self._world.happens("refuse")
        if is_refused:
            waiting = self._world.asked.get((self.account.uid, str(message.receiver.uid)), deque())
            for words in [words for words in waiting if words in message.body.text]:
                waiting.remove(words)
        return is_refused

    def _plan(self) -> None:
        """Say when to be woken: for the next line too."""
        super()._plan()
        self.wake_at = self._cue.before(self.wake_at)


def ask_for(text: str, *, is_operated: bool = False) -> Fields:
    """Return a question with two buttons. Source: boss 5.3 (7)"""
    buttons = [{"text": "拒绝", "templateId": 1}, {"text": "同意", "templateId": 2}]
    dialog = {"text": text, "buttons": buttons, "operated": is_operated, "type": 2}
    return {"type": frames.DIALOG, "templateId": 1, "dialog": dialog, "headTitle": ""}


def job_card() -> Fields:
    """Return the card of a job. Source: boss 5.3 (8)"""
    job = {
        "title": "后端工程师", "company": "示例公司", "salary": "20-30K",
        "url": "https://www.example.invalid/job_detail/abc.html", "jobId": 123_456_789,
    }  # fmt: skip
    return {"type": 8, "templateId": 1, "jobDesc": job, "headTitle": "您正在沟通如下职位"}


def _joined(effects: list[Effect]) -> list[Effect]:
    """Put several packets into one message. Source: boss 10.7 (coalesce)"""
    data = b"".join(one.data for one in effects if type(one) is Transmit)
    rest = [one for one in effects if type(one) is not Transmit]
    return [Transmit(data), *rest] if data else rest


_LOGIN_FAULTS: Final = {"demand": "37", "login": "7"}

CAST: Final = GatewayCast()
