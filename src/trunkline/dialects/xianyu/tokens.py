"""When a token is asked for, what its answer changes, and how the account then dials.

It knows time and state, no link.

A token survives reconnects: the call that gives it is the one that makes the platform ask for a
person. So it is made only when there is none, when it is too old, when `/reg` refused it, or when
the owner gave other cookies. Source: xianyu 3
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Dial, Fetch, Fetched
from trunkline.dialects.xianyu.frames import make_device_id
from trunkline.dialects.xianyu.http import (
    LOGIN_API,
    ORIGIN,
    SIGN_COOKIE,
    TokenAnswer,
    TokenFate,
    build_call,
    digest,
    parse_token_answer,
    set_cookies_of,
    token_data,
)
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.dialects.xianyu.session import Kept
from trunkline.ids import Ids
from trunkline.wire.cookies import merge_set_cookies, parse_cookies

REFUSALS: Final = 3  # reliability 3: then a person must look
KICKS: Final = 3  # Source: xianyu 6
KICKS_WITHIN_MS: Final = 600_000
SAFE_SHARE: Final = 0.9  # of a token's life. Source: xianyu 3
NEEDS_COOKIES: Final = "needs_new_cookies: the login is over; give the account's cookies again"
NEEDS_PERSON: Final = (
    "needs_person: the platform asks for verification; do it in a browser, then give the cookies"
)

change = msgspec.structs.replace


class Account:
    """An account and what is kept of it.

    Args:
        options: of the line, with the owner's cookies.
        kept: what was kept; of another account it counts as nothing.
    """

    def __init__(self, options: XianyuOptions, kept: Kept, clock: Clock, ids: Ids) -> None:
        self._options = options
        self._clock = clock
        self._is_resigned = False
        given = options.cookie_text
        me = parse_cookies(given).get("unb", "")
        if kept.me != me:
            kept = Kept(me=me)
        if kept.given != digest(given):
            # The owner's newer cookies win over what the platform renewed. Source: xianyu 3
            kept = change(kept, cookies=given, given=digest(given), token="", refusals=0, kicked=())
        if not kept.device and me:
            kept = change(kept, device=make_device_id(ids, me))
        self.kept = kept

    @property
    def me(self) -> str:
        """The account's own id, "" when the cookies do not say it."""
        return self.kept.me

    def note(self, **changes: Any) -> None:
        """Change what is kept."""
        self.kept = change(self.kept, **changes)

    def is_token_old(self) -> bool:
        """Whether there is no token, or it must be renewed."""
        kept = self.kept
        if not kept.token:
            return True
        age_ms = self._clock.now_ms() - kept.token_ms
        limit_ms = self._options.token_refresh_s * 1000
        if kept.token_ttl_ms:
            limit_ms = min(limit_ms, kept.token_ttl_ms * SAFE_SHARE)
        # A clock that was set back says nothing about the token.
        return age_ms >= limit_ms or age_ms < -60_000

    def build_token_call(self) -> Fetch:
        """Build the call that gives a token."""
        kept = self.kept
        return build_call(
            self._options.http_url,
            LOGIN_API,
            token_data(kept.device),
            kept.cookies,
            self._options.user_agent,
            self._clock.now_ms(),
        )

    def take_token_answer(self, answer: Fetched) -> TokenAnswer:
        """Keep what the answer brought. RESIGN means: call once more, with what is kept now."""
        kept = self.kept
        before = parse_cookies(kept.cookies).get(SIGN_COOKIE)
        self.note(cookies=merge_set_cookies(kept.cookies, set_cookies_of(answer)))
        told = parse_token_answer(answer)
        if told.fate is TokenFate.OK:
            self._is_resigned = False
            now_ms = self._clock.now_ms()
            self.note(token=told.token, token_ms=now_ms, token_ttl_ms=told.ttl_ms)
        elif told.fate is TokenFate.RESIGN:
            is_new = parse_cookies(self.kept.cookies).get(SIGN_COOKIE) != before
            if self._is_resigned or not is_new:
                self._is_resigned = False
                return TokenAnswer(TokenFate.NETWORK, detail=told.detail)
            self._is_resigned = True
        else:
            self._is_resigned = False
        return told

    def dial(self) -> Dial:
        """Return where to dial, as the browser would. Source: xianyu 1"""
        options = self._options
        headers = {
            "Cookie": self.kept.cookies,
            "Origin": ORIGIN,
            "User-Agent": options.user_agent,
            "Pragma": "no-cache",
            "Cache-Control": "no-cache",
            "Accept-Language": "zh-CN,zh;q=0.9",
            "Accept-Encoding": "gzip, deflate, br, zstd",
        }
        if options.bearer is not None:
            headers["Authorization"] = f"Bearer {options.bearer.get_secret_value()}"
        headers |= {name: value.get_secret_value() for name, value in options.headers.items()}
        return Dial(options.url, headers, None, options.max_message_bytes)

    def refused(self) -> bool:
        """Note that `/reg` refused the token; return whether a person must look now."""
        self.note(token="", refusals=self.kept.refusals + 1)
        return self.kept.refusals >= REFUSALS

    def kicked(self) -> bool:
        """Note that another login threw us out; return whether a person must look now."""
        now_ms = self._clock.now_ms()
        recent = [at for at in self.kept.kicked if 0 <= now_ms - at < KICKS_WITHIN_MS]
        self.note(token="", kicked=(*recent, now_ms)[-KICKS:])
        return len(self.kept.kicked) >= KICKS
