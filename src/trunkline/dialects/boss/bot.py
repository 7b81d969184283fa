"""An account: we dial the gateway as the account's browser does, log in, and keep the link alive.

Here is the life of the link: login, presence, readiness, and why it ends. The packets are those of
`connection`; what is pushed is taken in `receiving`, what was missed is looked for in `lookback`,
what leaves is in `outgoing` and `asking`. What is open is settled when the link ends, and how it
ended is kept for the next one. Source: boss 2, 6
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trunkline.dialects.boss import frames, http
from trunkline.dialects.boss.account import (
    FLAPS,
    NEEDS_COOKIES,
    NEEDS_PERSON,
    REFUSED_OFTEN,
    Account,
)
from trunkline.dialects.boss.asking import Asking
from trunkline.dialects.boss.catchup import TAG as CATCH_UP
from trunkline.dialects.boss.connection import EXPECTED, Connection
from trunkline.dialects.boss.contacts import Contacts
from trunkline.dialects.boss.http import Fate
from trunkline.dialects.boss.lookback import UNCLEAR, LookBack
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.outgoing import Outgoing, refused
from trunkline.dialects.boss.receiving import ANSWER, Receiving
from trunkline.dialects.boss.schema import built_in, load
from trunkline.dialects.boss.session import REPLACED, STABLE_S, decode_kept, encode_kept
from trunkline.dialects.boss.translate import to_act
from trunkline.dialects.contract import (
    Again,
    Ask,
    Changed,
    Effect,
    Effects,
    Fetched,
    Hangup,
    Keep,
    LinkInfo,
    LinkState,
    Noticed,
    Opening,
    Park,
    Seat,
    Sharing,
    Tag,
    Transmit,
)
from trunkline.errors import (
    LinkRefused,
    LinkTimeout,
    LocalProtocolError,
    TrunklineError,
)
from trunkline.model.delivery import Act, Delivery, Say
from trunkline.wire.mqtt_flow import Accepted, Acknowledged, Granted, Oddity, Refused, Write
from trunkline.wire.mqtt_packets import Publish
from trunkline.wire.mqtt_stream import Broken

FLAP_S: Final = 5.0  # Source: boss 6.9 (7)
BAD_LOGIN: Final = frozenset({4, 5})  # CONNACK. Source: boss 2.2
LOGIN_REPLACED: Final = "another login may have taken the place (login-replaced)"
# Answers to side calls after which every further one would be worse. Source: boss 7 (codes)
PARKED_BY: Final = {Fate.LOGIN_OVER: NEEDS_COOKIES, Fate.RISK: NEEDS_PERSON}
_LOGIN: Final = "login"
_PICTURE: Final = "picture"  # from anywhere, not the site's
_JOB: Final = frozenset({"contact", _PICTURE, "peer", "quick", "upload"})
_READY: Final = LinkState.READY


class AccountSession:
    """Our connection to the gateway.

    Args:
        options: of the line.
        opening: clock, ids and an imported schema.
    """

    def __init__(self, options: BossOptions, opening: Opening) -> None:
        self.wake_at: float | None = None
        self._options = options
        self._clock = opening.clock
        self._ids = opening.ids
        self._schema = load(opening.schema) if opening.schema else built_in()
        self._state = LinkState.OPENING
        self._is_linked = False
        self._is_leaving = False
        self._contacts = Contacts()
        self._presence_id = 0
        self._presence_s: float | None = None
        self._ready_at_s: float | None = None
        self._stable_at_s: float | None = None
        self._happened: dict[type, Callable[[Any], list[Effect]]] = {
            Publish: self._pushed,
            Acknowledged: lambda one: self._acknowledged(one.packet_id, one.extra),
            Write: lambda one: [Transmit(one.data)],
            Accepted: lambda _one: self._accepted(),
            Refused: lambda one: self._refused(one.code),
            Oddity: self._odd,
            Broken: lambda one: self._broken(one.error),
            Granted: lambda _one: [],
        }
        self._begin(None)

    def _begin(self, kept: bytes | None) -> None:
        options, clock = self._options, self._clock
        self._account = Account(options, decode_kept(kept), clock, self._ids)
        self._connection = connection = Connection(options, self._account, clock)
        self._outgoing = Outgoing(
            options, self._schema, self._account, self._contacts, clock, self._ids,
            connection.publish,
        )  # fmt: skip
        self._asking = Asking(
            options, self._schema, self._account, self._contacts, clock, connection.request
        )
        self._receiving = Receiving(
            options=options,
            schema=self._schema,
            account=self._account,
            contacts=self._contacts,
            outgoing=self._outgoing,
            asking=self._asking,
            clock=clock,
            acknowledge=connection.acknowledge,
        )
        self._lookback = LookBack(options, self._account, self._contacts, self._receiving, clock)

    # -- the nine verbs ----------------------------------------------------------------------

    def begin(self, kept: bytes | None) -> Effects:
        """Ask the site who we are and for the chat password; then dial. Source: boss 6.9 (2)"""
        self._begin(kept)
        account = self._account
        if not account.kept.cookies:
            return (Hangup(1000, "no cookies", Park(NEEDS_COOKIES)),)
        if account.is_refused_often():
            account.note(refusals=0)  # a person who reconnects is tried again
            return (self._keep(), Hangup(1000, "refused too often", Park(REFUSED_OFTEN)))
        return self._login()

    def linked(self, info: LinkInfo) -> Effects:
        """Send CONNECT. Source: boss 2.1"""
        if self._is_linked or self._state is not LinkState.OPENING:
            raise LocalProtocolError("the session has had its link")
        self._is_linked = True
        connect = self._connection.open()
        self._plan()
        return (connect,)

    def receive(self, data: bytes, *, is_text: bool) -> Effects:
        """Take the next bytes of the stream. Source: boss 2.8"""
        if not self._is_linked or self._is_leaving:
            return ()
        if is_text:
            return (Noticed("rejected:unsupported_frame", "a text message"),)
        effects: list[Effect] = []
        for happening in self._connection.receive(data):
            effects += self._happened[type(happening)](happening)
            if self._is_leaving:
                break
        self._plan()
        return effects

    def answered(self, tag: Tag, answer: Any | TrunklineError) -> Effects:
        """Take the answer to a call."""
        what, about = tag
        if isinstance(answer, Fetched):
            self._account.renew(answer)
        effects: list[Effect] = []
        if what == ANSWER:
            effects = self._receiving.said(about, answer) if not self._is_leaving else []
        elif what in _JOB:
            effects = self._outgoing.fetched(what, about, answer)
        elif self._is_leaving or self._state is LinkState.CLOSED:
            pass
        elif what == _LOGIN:
            effects = self._on_login(answer)
        elif what == CATCH_UP:
            effects = self._lookback.take(answer)
        elif what == UNCLEAR:
            effects = self._lookback.take_unclear(about, answer)
        else:
            effects = self._asking.fetched(what, about, answer)
        if isinstance(answer, Fetched) and what not in (_LOGIN, _PICTURE):
            effects = [*effects, *self._park_by(answer)]
        self._plan()
        return effects

    def stored(self, receipt: Any) -> Effects:
        """Acknowledge a push: everything in it is committed. Source: reliability 1"""
        return self._receiving.stored(receipt) if not self._is_leaving else ()

    def send(self, delivery: Delivery) -> Effects:
        """Send, or put it behind what is being sent in its chat."""
        if self._state is not _READY or self._is_leaving:
            raise LocalProtocolError(f"the session is {self._state.value}, it cannot send")
        what = delivery.what
        act = what if type(what) is Act else None
        if type(what) is Say:
            act = to_act(what.segments)
        if act is not None:
            effects = self._asking.act(delivery, act)
        elif type(what) is Say:
            effects = self._outgoing.say(delivery, what)
        else:
            effects = [refused(delivery, "Boss直聘 cannot carry this")]
        self._plan()
        return effects

    def tick(self) -> Effects:
        """Do what is due: give up waiting, ping, look back."""
        now_s = self._clock.monotonic_s()
        effects: list[Effect] = []
        if self._is_linked and not self._is_leaving:
            effects += self._tick_link(now_s)
        if self._state is _READY and not self._is_leaving:
            effects += self._outgoing.work()
            effects += self._asking.work()
            effects += self._lookback.work()
        self._plan()
        return effects

    def finish(self) -> Effects:
        """Say good-bye. Source: boss 2.6"""
        return self._leave("going away", Again(), code=1001)

    def lost(self, error: TrunklineError) -> Effects:
        """Settle what is open, and note how the link ended."""
        effects: list[Effect] = []
        if not self._is_leaving:
            flaps = self._account.kept.flaps
            effects += self._settle(is_cut=True)
            is_flap = self._account.kept.flaps is not flaps  # earlier ones say nothing of this link
            if is_flap and len(self._account.kept.flaps) >= FLAPS:
                # It looks like a plain close: another login has taken our place, again and again.
                effects.append(Noticed("login-replaced"))
                effects.append(Hangup(1000, LOGIN_REPLACED, Again(REPLACED)))
        self._is_leaving = True
        self._state = LinkState.CLOSED
        self.wake_at = None
        if isinstance(error, LinkRefused) and error.status in (401, 403):
            # The cookies or the password did not do; the third time a person must look.
            self._account.refused()
            effects += [Noticed("register-refused", f"HTTP {error.status}"), self._keep()]
        return effects

    # -- login -------------------------------------------------------------------------------

    def _login(self) -> list[Effect]:
        call = self._account.next_call()
        if call is not None:
            return [Ask((_LOGIN, None), call)]
        return [self._keep(), self._account.dial()]

    def _on_login(self, answer: Fetched | TrunklineError) -> list[Effect]:
        told = self._account.take(answer)
        if told.park:
            return [self._keep(), *self._leave("login needs a person", Park(told.park))]
        if told.why:
            why = told.why[:200]
            notice = Noticed("token-unavailable", why)
            return [self._keep(), notice, *self._leave(f"no login: {why}", Again("network"))]
        return self._login()

    def _park_by(self, answer: Fetched) -> list[Effect]:
        """Stop and ask the owner when the site refuses a side call because of the login."""
        park = PARKED_BY.get(http.parse_answer(answer).fate, "")
        if not park or self._state is LinkState.CLOSED:
            return []
        notice = Noticed("token-refused", "a side call")
        return [notice, *self._leave("a side call needs a person", Park(park)), self._keep()]

    # -- packets -----------------------------------------------------------------------------

    def _pushed(self, packet: Publish) -> list[Effect]:
        return self._receiving.push(packet)

    def _odd(self, oddity: Oddity) -> list[Effect]:
        if oddity.kind in EXPECTED:
            return []
        return [Noticed("odd-packet", f"{oddity.kind} {oddity.detail}".strip()[:120])]

    def _broken(self, error: TrunklineError) -> list[Effect]:
        """The gateway is silent, or what it says cannot be read. Source: boss 2.2, 2.5, 2.6"""
        why = str(error)[:120]
        if isinstance(error, LinkTimeout):
            return self._leave(why, Again("network"), 1006)
        return [Noticed("broken-stream", why), *self._leave("broken stream", Again(), 1002)]

    def _accepted(self) -> list[Effect]:
        """Say that we are there; that starts the delivery. Source: boss 2.3, 6.1"""
        account = self._account
        payload = frames.encode_presence(
            self._schema, account.me, account.device(), account.kept.mid
        )
        self._presence_id, presence = self._connection.announce(payload)
        self._presence_s = self._clock.monotonic_s()
        self._ready_at_s = self._presence_s + self._options.ready_after_s
        return [presence]

    def _refused(self, code: int) -> list[Effect]:
        """Tell a refused login from a full house. Source: boss 2.2"""
        notice = Noticed("register-refused", f"CONNACK {code}")
        if code not in BAD_LOGIN:
            return [notice, *self._leave("not accepted", Again("refused"))]
        must_park = self._account.refused()
        if must_park:
            self._account.note(refusals=0)
        then = Park(REFUSED_OFTEN) if must_park else Again("refused")
        return [notice, self._keep(), *self._leave("login refused", then)]

    def _acknowledged(self, packet_id: int, extra: bytes) -> list[Effect]:
        if packet_id == self._presence_id:
            return self._ready() if self._state is LinkState.OPENING else []
        return self._outgoing.acknowledged(packet_id, extra)

    def _ready(self) -> list[Effect]:
        """Be connected: accepted, and the presence is there. Source: boss 6.1"""
        account, now_ms = self._account, self._clock.now_ms()
        account.note(refusals=0)
        self._state = _READY
        self._ready_at_s = None
        self._stable_at_s = self._clock.monotonic_s() + STABLE_S
        asks = self._lookback.begin(now_ms)
        me = str(account.me)
        seat = Seat(me, me, sharing=Sharing.REPLACE)
        more: list[Effect] = [Noticed("account-flagged")] if account.user.is_flagged else []
        return [Changed(_READY, seat), self._keep_alive(), *more, *asks]

    # -- inside ------------------------------------------------------------------------------

    def _tick_link(self, now_s: float) -> list[Effect]:
        if self._ready_at_s is not None and now_s >= self._ready_at_s:
            return self._ready()
        effects: list[Effect] = []
        if self._stable_at_s is not None and now_s >= self._stable_at_s:
            self._stable_at_s = None
            self._account.note(flaps=())
            effects.append(self._keep_alive())
        for happening in self._connection.tick():
            effects += self._happened[type(happening)](happening)
        return effects

    def _keep(self) -> Keep:
        return Keep(encode_kept(self._account.kept))

    def _keep_alive(self) -> Keep:
        self._account.note(alive_ms=self._clock.now_ms())
        return self._keep()

    def _settle(self, *, is_cut: bool = False) -> list[Effect]:
        """Settle what is open, and keep what the next link needs; our own leaving is no flap."""
        effects = [*self._outgoing.lost(), *self._asking.lost()]
        if self._state is not _READY:
            return effects
        now_s = self._clock.monotonic_s()
        if is_cut and self._presence_s is not None and now_s - self._presence_s < FLAP_S:
            self._account.flapped()
        return [*effects, self._keep_alive(), Changed(LinkState.CLOSED)]

    def _leave(self, reason: str, then: Again | Park, code: int = 1000) -> list[Effect]:
        """Close; what is open is settled now."""
        if self._is_leaving:
            return []
        effects = self._settle()
        self._is_leaving = True
        self.wake_at = None
        self._state = LinkState.CLOSED
        if self._is_linked and code in (1000, 1001) and (data := self._connection.disconnect()):
            effects.append(Transmit(data))
        return [*effects, Hangup(code, reason, then)]

    def _plan(self) -> None:
        """Say when to be woken."""
        if self._is_leaving or self._state is LinkState.CLOSED:
            self.wake_at = None
            return
        times = [self._ready_at_s, self._stable_at_s]
        if self._is_linked:
            times.append(self._connection.wake_at)
        if self._state is _READY:
            times += [self._outgoing.wake_at, self._asking.wake_at, self._lookback.wake_at]
        self.wake_at = min((at for at in times if at is not None), default=None)
