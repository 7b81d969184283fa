"""An account and its login: what is asked before every connection, and what the answers change.

Before every connection the site is asked who is logged in and for a new chat password, with the
owner's newest cookies: neither of the two is kept. A login that is over or a verification that the
site demands needs the owner; nothing here solves or avoids one. Source: boss 2.1, 6.1, 6.9
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss import http
from trunkline.dialects.boss.frames import Device
from trunkline.dialects.boss.http import Caller, Fate, User
from trunkline.dialects.boss.options import TOKEN, BossOptions
from trunkline.dialects.boss.session import Kept
from trunkline.dialects.contract import Dial, Fetch, Fetched
from trunkline.errors import TrunklineError
from trunkline.ids import Ids
from trunkline.model.address import Chat
from trunkline.wire.cookies import merge_set_cookies
from trunkline.wire.mqtt_packets import Connect

REFUSALS: Final = 3  # reliability 3: then a person must look
FLAPS: Final = 3  # Source: boss 6.9 (7)
FLAPS_WITHIN_MS: Final = 60_000
ANSWERED_SUBPROTOCOL: Final = "mqtt"  # the server may say so though it was not offered
NEEDS_COOKIES: Final = "needs_new_cookies: the login is over; give the account's cookies again"
NEEDS_PERSON: Final = (
    "needs_person: the site asks for verification; do it in a browser, then give the cookies"
)
REFUSED_OFTEN: Final = (
    "needs_new_cookies: the chat gateway refused the login three times; give the cookies again"
)

# Server ids are (milliseconds since 2023-09-19T16:00Z) * 4096 + n; one from a day ahead is not
# believed, and none above what leaves room for our own arithmetic in 64 bits. Source: boss 3
MID_EPOCH_MS: Final = 1_695_139_200_000
AHEAD_MS: Final = 86_400_000
MAX_MID: Final = 1 << 62

change = msgspec.structs.replace


class Step(Enum):
    """What is being asked before a connection."""

    USER = "user"
    WT2 = "wt2"
    HOST = "host"
    DIAL = "dial"  # everything is known


class Told(msgspec.Struct, frozen=True):
    """What an answer to a login call means.

    Args:
        park: a person must act first, "" = nobody must.
        why: it failed and is tried again later, "" = it did not.
    """

    park: str = ""
    why: str = ""


class Account:
    """An account and what is kept of it.

    Args:
        options: of the line, with the owner's cookies.
        kept: what was kept; what belongs to other cookies counts as far as it is no login.
    """

    def __init__(self, options: BossOptions, kept: Kept, clock: Clock, ids: Ids) -> None:
        self._options = options
        self._clock = clock
        self._ids = ids
        given = options.cookie_text
        if kept.given != http.digest(given):
            # The owner's newer cookies win over what the platform renewed. Source: boss 6.9 (2)
            kept = change(kept, cookies=given, given=http.digest(given), refusals=0, flaps=())
        self.kept = kept
        self.user = User(kept.uid, "")
        if not self.is_believable(kept.mid):
            self.kept = change(kept, mid=0)  # an earlier version believed every number
        self.seen_mid = self.kept.mid
        self._password = ""
        self._host = ""
        self._step = Step.USER
        self._calls: dict[Step, Callable[[], Fetch]] = {
            Step.USER: lambda: self.caller.get(http.USER_INFO),
            Step.WT2: lambda: self.caller.get(http.GET_WT),
            Step.HOST: lambda: self.caller.get(http.CONFIG_WS),
        }

    @property
    def me(self) -> int:
        """The account's number, 0 before it is known."""
        return self.user.uid

    @property
    def own_chat(self) -> Chat:
        """Where notices about the account itself are."""
        me = str(self.me)
        return Chat(me, "account", me)

    @property
    def caller(self) -> Caller:
        """Who makes side calls, with the cookies as they are now."""
        options = self._options
        own = {name: value.get_secret_value() for name, value in options.headers.items()}
        return Caller(options.http_url, self.kept.cookies, options.user_agent, own)

    def note(self, **changes: Any) -> None:
        """Change what is kept."""
        self.kept = change(self.kept, **changes)

    # -- login -------------------------------------------------------------------------------

    def next_call(self) -> Fetch | None:
        """Return the next call of the login, None when everything is known."""
        call = self._calls.get(self._step)
        return call() if call is not None else None

    def take(self, answer: Fetched | TrunklineError) -> Told:
        """Take the answer to the call of the login."""
        if isinstance(answer, Fetched):
            self.renew(answer)
        told = http.parse_answer(answer)
        if told.fate is Fate.LOGIN_OVER:
            return Told(park=NEEDS_COOKIES)
        if self._step is Step.HOST:
            # Only a wish: without an answer the configured gateway is used.
            self._host = http.parse_host(told) if told.fate is Fate.OK else ""
            self._step = Step.DIAL
            return Told()
        if told.fate is Fate.RISK:
            return Told(park=NEEDS_PERSON)
        if told.fate is not Fate.OK:
            return Told(why=told.detail or "the login call failed")
        return self._take_user(told) if self._step is Step.USER else self._take_password(told)

    def renew(self, answer: Fetched) -> None:
        """Keep the cookies that an answer sets."""
        lines = http.set_cookies_of(answer)
        cookies = merge_set_cookies(self.kept.cookies, lines) if lines else ""
        if 0 < len(cookies) <= http.MAX_COOKIE_CHARS:
            self.note(cookies=cookies)

    def _take_user(self, told: http.Answer) -> Told:
        user = http.parse_user(told)
        if user is None:
            return Told(park=NEEDS_COOKIES)  # code 0 and nobody: the site takes us for a guest
        if self.kept.uid not in (0, user.uid):
            self.kept = Kept(self.kept.cookies, self.kept.given)  # somebody else's login
            self.seen_mid = 0
        self.user = user
        self.note(uid=user.uid)
        self._step = Step.WT2
        return Told()

    def _take_password(self, told: http.Answer) -> Told:
        password = http.to_text(told.fields.get("wt2"))
        if not password or len(password) > 1024:
            return Told(park=NEEDS_COOKIES)  # Source: boss 6.9 (3)
        self._password = password
        self._step = Step.HOST if self._options.resolve_host else Step.DIAL
        return Told()

    # -- connecting --------------------------------------------------------------------------

    def dial(self) -> Dial:
        """Return where to dial, as the browser would. Source: boss 1"""
        options = self._options
        url = options.url
        if self._host:
            url = urlsplit(url)._replace(netloc=self._host).geturl()
        headers = {
            "Cookie": self.kept.cookies,
            "Origin": options.origin,
            "User-Agent": options.user_agent,
            "Pragma": "no-cache",
            "Cache-Control": "no-cache",
            "Accept-Language": "zh-CN,zh;q=0.9",
        }
        headers |= {name: value.get_secret_value() for name, value in options.headers.items()}
        offered = self._password if options.subprotocol == "wt2" else options.subprotocol
        if not TOKEN.fullmatch(offered):
            offered = "mqtt"  # a password that no header can carry; the packet has it anyway
        return Dial(
            url,
            headers,
            offered,
            options.max_message_bytes,
            lenient_subprotocols=(ANSWERED_SUBPROTOCOL,),
        )

    def connect(self) -> Connect:
        """Return the first packet; its client id is new every time. Source: boss 2.1"""
        options = self._options
        is_old = options.mqtt_level == 3
        return Connect(
            f"ws-{self._ids.token()[-16:].upper()}",
            round(options.heartbeat_interval_s),
            f"{self.user.token}|0",
            self._password.encode(),
            protocol="MQIsdp" if is_old else "MQTT",
            level=options.mqtt_level,
        )

    def device(self) -> Device:
        """Return what the presence says of the browser. Source: boss 6.1"""
        ident = self._options.device_id or http.digest(f"trunkline boss device {self.me}")
        return Device(ident, self.user.address, self._options.client_version)

    # -- ids ---------------------------------------------------------------------------------

    def saw(self, mid: int) -> None:
        """Note a server id; ours must be above the highest. Source: boss 3"""
        if self.is_believable(mid):
            self.seen_mid = max(self.seen_mid, mid)

    def is_believable(self, mid: int) -> bool:
        """Whether we count from a server id; one wrong number would be the highest for ever.

        Only our own arithmetic asks: a message with another id is received as every other. A clock
        that stands before the first of all ids cannot tell.
        """
        latest = (self._clock.now_ms() + AHEAD_MS - MID_EPOCH_MS) * 4096
        return mid <= (min(latest, MAX_MID) if latest > 0 else MAX_MID)

    def next_mid(self) -> int:
        """Return the id of the next message that we send, above every earlier one."""
        now_ms = self._clock.now_ms()
        floor = self.seen_mid if self._options.mid == "above" else 0
        sent = self.kept.sent_mid if self.kept.sent_mid <= MAX_MID else 0
        mid = max(floor + now_ms, sent + 1)
        self.note(sent_mid=mid)
        return mid

    # -- refusals ----------------------------------------------------------------------------

    def refused(self) -> bool:
        """Note a refused login; return whether a person must look now. Source: boss 2.2"""
        self.note(refusals=self.kept.refusals + 1)
        return self.is_refused_often()

    def is_refused_often(self) -> bool:
        """Whether a person must look before the next attempt."""
        return self.kept.refusals >= REFUSALS

    def flapped(self) -> None:
        """Note a link that ended right after the presence. Source: boss 6.9 (7)"""
        now_ms = self._clock.now_ms()
        recent = [at for at in self.kept.flaps if 0 <= now_ms - at < FLAPS_WITHIN_MS]
        self.note(flaps=(*recent, now_ms)[-FLAPS:])
