"""The platform of the crash harness (`dev/torture`): the product dials it, kill after kill.

Accounts with many people each. The gateway keeps what was not acknowledged and pushes it again over
the next link, with and without DUP. Half of the accounts are shown their own messages like what
people say, of the others only the history knows them: either way what arrived can be proven.
Acknowledgements have every form that was seen or feared, or do not come; links end before and after
them, and inside of a packet; every few links an account's password is good no more. Pure.
Source: boss 2.5, 10.4, 10.6
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from trunkline.dialects.boss.frames import ChatMessage
from trunkline.dialects.boss.gateway import LOGIN_COOKIE, Gateway, Peer, Stored
from trunkline.dialects.boss.options import BossOptions
from trunkline.dialects.boss.platform import GatewaySession
from trunkline.dialects.contract import (
    Actor,
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
from trunkline.dialects.scripted import Chance
from trunkline.errors import TrunklineError
from trunkline.ids import DeliveryId
from trunkline.model.address import Chat
from trunkline.wire.cookies import parse_cookies
from trunkline.wire.mqtt_packets import Publish

# Two machines that talk much are paused by the guard against loops (5 in 60 s), so an account has
# many people, and none of them says more than a few things a minute. Source: reliability 8
PEOPLE: Final = 240
FIRST: Final = 700_300_000
RATE: Final = 25.0
MOST_OPEN: Final = 12  # a slow machine answers them within the life of an answer
COPIES: Final = 14  # a platform was seen to deliver so often (reliability 7)
LINKS_OF_A_PASSWORD: Final = 5
# Three links that end right after the presence look like another login of the account, and are
# waited out for a minute: the platform ends no account's links more often than so. Source: boss 6.9
CUT_APART_S: Final = 31.0
CUT: Final = 0.05  # share of answers at which it does
# Of the acknowledgement of a message; the first is the usual one. Source: boss 2.5
FORMS: Final = (
    "ext", "ext", "ext", "standard", "one_extra", "two_extra", "ext_protobuf", "ext_nonminimal",
    "wrong_id", "duplicate", "late", "none",
)  # fmt: skip
SYNCS: Final[tuple[Literal["puback_first", "sync_first", "off"], ...]] = (
    "puback_first", "sync_first", "off",
)  # fmt: skip
CUTS: Final = ("before", "after", "half", "short")
_LINE: Final = """\
[lines.job{number}]
dialect = "boss"
cookies = "wt={login}; bst=call-token-0123456789"
url = "ws{at}/chatws"
http_url = "http{at}"
mode = "auto"
every_s = 0.0
daily = 0
send_gap_s = 0.0
jitter = 0.0
reconnect_interval_s = 0.2
accept_timeout_s = 2.0
"""


def _login(number: int) -> str:
    return f"login-of-account-{number}"


class Desk(GatewaySession):
    """One account's link.

    Args:
        has_copies: what is pushed again comes many times.
    """

    def __init__(
        self, options: BossOptions, opening: Opening, place: Agency, *, has_copies: bool
    ) -> None:
        super().__init__(options, opening, place.gateway)
        self._place = place
        self._has_copies = has_copies

    def linked(self, info: LinkInfo) -> Effects:
        """Let the account in; its people wait for proof over any number of links."""
        effects = super().linked(info)
        if self.state is LinkState.READY:
            self.unproven = self._place.unproven.setdefault(self.account.uid, {})
        return effects

    def lost(self, error: TrunklineError) -> Effects:
        """The link died; what is unproven stays so."""
        self.unproven = {}
        return super().lost(error)

    def _push_stored(self, missed: Iterable[Stored], *, is_offline: bool) -> list[Effect]:
        """Push; what was not acknowledged over an earlier link comes many times, in turn as the
        same packet marked DUP, as the same packet, and in a packet of its own.
        """
        waiting = list(missed)
        effects = super()._push_stored(waiting, is_offline=is_offline)
        if not (waiting and is_offline and self._has_copies):
            return effects
        for nth in range(COPIES - 1):
            if nth % 3 == 2:
                effects += super()._push_stored(waiting, is_offline=True)
                continue
            for ident in list(self._flow.in_flight):
                data = self._flow.redeliver(ident, self._flow_ms(), is_dup=nth % 3 == 0)
                effects.append(Transmit(data))
        return effects

    def _acknowledged(self, packet_id: int) -> list[Effect]:
        """Forget what the account has."""
        stored = self._pushes.messages_of(packet_id)
        effects = super()._acknowledged(packet_id)
        for one in stored:
            self.account.stored.pop(one.mid, None)
        return effects

    def _keep(self, packet: Publish, message: ChatMessage, peer: Peer) -> int:
        """Store what the account says; every other account is shown it."""
        self.gateway.rules.shows_own = self._place.shows_own(self.account.uid)
        return super()._keep(packet, message, peer)

    def accept(self, packet: Publish, cmid: int, mid: int) -> list[Effect]:
        """Answer in one of all forms, or end the link."""
        rules, draw = self.gateway.rules, self._place.draw
        if draw() < CUT and self._place.may_cut(self.account.uid):
            return self._cut(packet, cmid, mid, CUTS[int(draw() * len(CUTS))])
        rules.puback = FORMS[int(draw() * len(FORMS))]
        rules.sync = SYNCS[int(draw() * len(SYNCS))]
        return super().accept(packet, cmid, mid)

    def _cut(self, packet: Publish, cmid: int, mid: int, how: str) -> list[Effect]:
        """End the link at the acknowledgement. Source: boss 10.6"""
        rules = self.gateway.rules
        rules.puback = "too_short" if how == "short" else "ext"
        rules.sync = "off"
        if how == "before":
            return self.close(1006, "cut")
        receipt = self._receipt(packet, cmid, mid)
        if how == "after":
            return [*receipt, *self.close(1000, "Bye")]
        if how == "half":
            halves = [
                Transmit(one.data[: len(one.data) // 2]) for one in receipt if type(one) is Transmit
            ]
            return [*halves, *self.close(1006, "half")]
        return receipt  # the account must hang up


class Agency:
    """The platform of one run (`dev/torture/ways.py`)."""

    def __init__(self, opening: Opening, peers: int) -> None:
        self.gateway = Gateway(opening.clock, opening.ids)
        self.unproven: dict[int, dict[int, DeliveryId]] = {}
        self._clock = opening.clock
        self._options = BossOptions.model_validate(
            {"dialect": "boss", "role": "gateway", "link": "listen"}
        )
        self._numbers = {_login(number): number for number in range(peers)}
        self._shown = {
            account.uid
            for login, number in self._numbers.items()
            if number % 2 and (account := self.gateway.account(f"{LOGIN_COOKIE}={login}"))
        }
        self._links: Counter[str] = Counter()
        self._cut_s: dict[int, float] = {}
        self._chance = Chance({})

    @property
    def violations(self) -> Mapping[str, int]:
        """Rules of the platform that the product broke."""
        return self.gateway.violations

    def draw(self) -> float:
        """Draw the next number within 0 … 1; the same run draws the same ones."""
        return self._chance.draw()

    def shows_own(self, uid: int) -> bool:
        """Whether an account is shown what it says itself."""
        return uid in self._shown

    def may_cut(self, uid: int) -> bool:
        """Whether an account's link may be ended now; then it is."""
        now_s = self._clock.monotonic_s()
        if now_s - self._cut_s.get(uid, -CUT_APART_S) < CUT_APART_S:
            return False
        self._cut_s[uid] = now_s
        return True

    def lines(self, base: str) -> str:
        """Return one line for each account."""
        at = base.removeprefix("http")
        return "\n".join(
            _LINE.format(number=number, login=login, at=at)
            for login, number in self._numbers.items()
        )

    def actor(self, number: int) -> Actor:
        """Return an account with its people."""
        account = self.gateway.account(f"{LOGIN_COOKIE}={_login(number)}")
        me = str(account.uid) if account is not None else ""
        people = range(FIRST, FIRST + PEOPLE)
        chats = [(Chat(me, "user", str(one)), b"") for one in people]
        return Actor("gateway", {}, chats, remembers=True, rate=RATE, most_open=MOST_OPEN)

    def http(self, request: Fetch) -> Fetched:
        """Answer a side call."""
        return self.gateway.http(request)

    def admit(self, head: Head) -> tuple[int, str] | Refuse:
        """Let an account in by its cookies; now and then its password has become old."""
        cookies = head.headers.get("cookie", "")
        account = self.gateway.account(cookies)
        login = parse_cookies(cookies).get(LOGIN_COOKIE, "")
        if account is None or login not in self._numbers:
            return Refuse(403, "no login")
        self._links[login] += 1
        if self._links[login] % LINKS_OF_A_PASSWORD == 0:
            account.passwords.clear()
        return self._numbers[login], head.headers.get("sec-websocket-protocol", "")

    def session(self, number: int, opening: Opening, manners: frozenset[str]) -> Desk:
        """Make the session of an account's link."""
        del number  # the cookies say it again
        return Desk(self._options, opening, self, has_copies="redeliver-14" in manners)


class GatewayCast:
    """What the crash harness is told (`dev/torture/ways.py`)."""

    manners = frozenset({"redeliver-14", "stop-reading", "late"})
    proves = True

    def place(self, opening: Opening, peers: int) -> Agency:
        """Make the platform of a run."""
        return Agency(opening, peers)
