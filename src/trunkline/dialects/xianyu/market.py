"""The state of a played marketplace: accounts, chats, what was pushed, tokens, and its HTTP side.

Pure and bounded: no socket, no clock of its own. Every rule that a client could break is checked,
and what was broken is counted in `violations`. Source: xianyu 20
"""

from __future__ import annotations

import base64
from collections import Counter, deque
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Fetch, Fetched
from trunkline.dialects.xianyu.frames import Fields, suffixed
from trunkline.dialects.xianyu.http import (
    LOGIN_API,
    MTOP_KEY,
    SIGN_COOKIE,
    USER_API,
    sign,
    signing_token,
)
from trunkline.ids import Ids
from trunkline.wire import msgpack
from trunkline.wire.cookies import parse_cookies

STORED: Final = 10_000  # entries of one account that can be replayed
PACKAGE: Final = 32  # entries of one push. Source: xianyu 20 (4)
TOKEN_TTL_MS: Final = 86_400_000
_encode = msgspec.json.Encoder().encode

# How the token route answers instead of doing its work. Source: xianyu 20 (HTTP)
TOKEN_FAULTS: Final[dict[str, Fetched]] = {
    "dead": Fetched(
        200, (), b'{"ret":["FAIL_SYS_SESSION_EXPIRED::Session\xe8\xbf\x87\xe6\x9c\x9f"]}'
    ),
    "person": Fetched(
        200,
        (),
        b'{"ret":["FAIL_SYS_USER_VALIDATE"],"data":{"url":"https://example.invalid/verify"}}',
    ),
    "502": Fetched(502, (), b"bad gateway"),
    "html": Fetched(200, (("content-type", "text/html"),), b"<html></html>"),
}


class Talk:
    """A chat between an account and one buyer about an item."""

    __slots__ = ("buyer", "ident", "item", "last_ms", "messages", "name")

    def __init__(self, ident: str, buyer: str, name: str, item: str) -> None:
        self.ident = ident
        self.buyer = buyer
        self.name = name
        self.item = item
        self.last_ms = 0
        self.messages: deque[Fields] = deque(maxlen=500)


class Seller:
    """An account of the marketplace."""

    def __init__(self, ident: str) -> None:
        self.ident = ident
        self.talks: dict[str, Talk] = {}
        self.pairs: dict[tuple[str, str], Talk] = {}  # (buyer, item)
        self.stored: deque[tuple[int, Fields]] = deque(maxlen=STORED)
        # Pushed and not acknowledged: pushed again over the next link. Bound: `STORED`.
        self.unacked: dict[int, Fields] = {}
        self.pts = 0
        self.uuids: dict[str, None] = {}
        self.heard: deque[tuple[str, Fields]] = deque(maxlen=STORED)


class Market:
    """Everything that outlives a link.

    Args:
        sign_key: the value of the cookie that calls are signed with.
    """

    def __init__(self, clock: Clock, ids: Ids, sign_key: str = "0123456789abcdef_1") -> None:
        self.sellers: dict[str, Seller] = {}
        self.tokens: dict[str, tuple[str, str, int]] = {}  # token → account, device, good until
        self.calls: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.fault = ""
        self.login = ""  # the `cookie2` of whoever may log in, "" = everybody may
        self.sign_key = sign_key
        self._clock = clock
        self._ids = ids
        self._next = 1000

    def seller(self, ident: str) -> Seller:
        """Return an account; it exists as soon as it is asked for."""
        return self.sellers.setdefault(ident, Seller(ident))

    def number(self) -> int:
        """Return a number that nobody had."""
        self._next += 1
        return self._next

    # -- chats -------------------------------------------------------------------------------

    def open_talk(self, seller: Seller, buyer: str, item: str, name: str = "") -> Talk:
        """Return the chat of a pair about an item; the same one every time."""
        known = seller.pairs.get((buyer, item))
        if known is not None:
            return known
        talk = seller.pairs[buyer, item] = Talk(
            str(50_000_000_000 + self.number()), buyer, name or f"买家{buyer[-4:]}", item
        )
        seller.talks[talk.ident] = talk
        return talk

    def say(
        self, seller: Seller, talk: Talk, payload: Fields, summary: str, *, is_own: bool
    ) -> str:
        """Put a message into a chat, ready to be pushed; return its PNM id."""
        now_ms = self._clock.now_ms()
        pnm = f"{4_000_000_000_000 + self.number()}.PNM"
        who = seller.ident if is_own else talk.buyer
        message_id = self._ids.token()
        meta: Fields = {
            "bizTag": _encode({"sourceId": "S:1", "messageId": message_id}).decode(),
            "extJson": _encode({"quickReply": "1", "messageId": message_id}).decode(),
            "reminderContent": summary,
            "reminderTitle": "卖家" if is_own else talk.name,
            "senderUserId": who,
            "sessionType": "1",
            "reminderUrl": f"fleamarket://message_chat?itemId={talk.item}"
            f"&peerUserId={talk.buyer}&sid={talk.ident}&messageId={message_id}",
        }
        content = _encode(payload).decode()
        kind = payload.get("contentType", 1)
        entry: Fields = {
            "1": {
                "1": {"1": suffixed(who)},
                "2": suffixed(talk.ident),
                "3": pnm,
                "4": 0,
                "5": now_ms,
                "6": {"1": 101, "3": {"1": "", "2": summary, "3": "", "4": kind, "5": content}},
                "7": 1,
                "10": meta,
            },
            "3": {"needPush": "true"},
        }
        data = base64.b64encode(content.encode()).decode()
        talk.messages.append(
            {
                "messageId": pnm,
                "cid": suffixed(talk.ident),
                "createAt": now_ms,
                "sender": {"uid": suffixed(who)},
                "extension": meta,
                "content": {"contentType": 101, "custom": {"type": 1, "data": data}},
            }
        )
        talk.last_ms = now_ms
        self.store(seller, entry)
        return pnm

    def use_uuid(self, seller: Seller, uuid: str) -> None:
        """Remember the client id of a send: none may come twice."""
        seller.uuids[uuid] = None
        if len(seller.uuids) > STORED:
            del seller.uuids[next(iter(seller.uuids))]

    def store(self, seller: Seller, entry: Fields) -> int:
        """Store an entry for pushing and replay; return its position."""
        seller.pts = max(seller.pts + 1, self._clock.now_ms() * 1000)
        seller.stored.append((seller.pts, entry))
        return seller.pts

    # -- HTTP --------------------------------------------------------------------------------

    def http(self, request: Fetch) -> Fetched:
        """Answer a side call. Source: xianyu 3, 8, 20"""
        url = urlsplit(request.url)
        if url.path == "/api/upload.api":
            return self._upload(request)
        api = url.path.removeprefix("/h5/").partition("/")[0]
        self.calls[api] += 1
        if api == LOGIN_API and self.fault in TOKEN_FAULTS:
            return TOKEN_FAULTS[self.fault]
        cookies = request.headers.get("cookie", "")
        me = parse_cookies(cookies).get("unb", "")
        data = parse_qs(request.body.decode("utf-8", "replace")).get("data", [""])[0]
        if (refused := self._check(url.query, cookies, data)) is not None:
            return refused
        if api == LOGIN_API:
            return self._give_token(me, data)
        if api == USER_API:
            return _answer("SUCCESS::调用成功", {"userId": me})
        return _answer("FAIL_BIZ_UNKNOWN::x", {})

    def _check(self, query: str, cookies: str, data: str) -> Fetched | None:
        if self.login and parse_cookies(cookies).get("cookie2") != self.login:
            return TOKEN_FAULTS["dead"]
        asked = dict(parse_qsl(query))
        held = signing_token(cookies)
        told = "" if held else "FAIL_SYS_TOKEN_EMPTY::令牌为空"
        if self.fault == "expired":
            self.fault = ""
            self.sign_key = f"{self._ids.token()}_{self._clock.now_ms()}"
        if held and held != self.sign_key.partition("_")[0]:
            told = "FAIL_SYS_TOKEN_EXOIRED::令牌过期"
        if told:
            lines = (f"{SIGN_COOKIE}={self.sign_key}; Path=/", f"{SIGN_COOKIE}_enc=e; Path=/")
            return _answer(told, {}, *lines)
        wanted = sign(self.sign_key.partition("_")[0], asked.get("t", ""), MTOP_KEY, data)
        if asked.get("sign") != wanted or asked.get("appKey") != MTOP_KEY:
            self.violations["signature"] += 1
            return _answer("FAIL_SYS_ILLEGAL_ACCESS::非法请求", {})
        return None

    def _give_token(self, me: str, data: str) -> Fetched:
        try:
            device = str(msgspec.json.decode(data, type=dict[str, Any]).get("deviceId", ""))
        except msgspec.DecodeError:
            return _answer("FAIL_BIZ_PARAMETER::x", {})
        if not me or not device.endswith(f"-{me}"):
            self.violations["device"] += 1
            return _answer("FAIL_BIZ_PARAMETER::x", {})
        token = f"oauth_k1:{self._ids.token()}"
        self.tokens[token] = (me, device, self._clock.now_ms() + TOKEN_TTL_MS)
        good = {
            "accessToken": token.replace(":", "%3A"),
            "accessTokenExpiredTime": str(TOKEN_TTL_MS),
            "refreshToken": "r",
        }
        return _answer("SUCCESS::调用成功", good)

    def _upload(self, request: Fetch) -> Fetched:
        self.calls["upload"] += 1
        if "unb" not in parse_cookies(request.headers.get("cookie", "")):
            return Fetched(200, (("content-type", "text/html"),), b"<html>login</html>")
        url = f"https://img.alicdn.com/imgextra/O1CN{self.number()}.jpg"
        return Fetched(
            200, (), _encode({"success": True, "object": {"url": url, "pix": "640x480"}})
        )

    def forget_tokens(self, ident: str) -> None:
        """Let no token of an account be good any more."""
        for token in [one for one, held in self.tokens.items() if held[0] == ident]:
            del self.tokens[token]

    def refuse_token(self, token: str, device: str) -> str:
        """Return why a registration is refused, "" when it is good. Source: xianyu 4"""
        found = self.tokens.get(token)
        if found is None or found[2] <= self._clock.now_ms():
            return "invalid token"
        return "" if found[1] == device else "device id or appkey is not equal"


def pack(entry: Fields, *, nth: int) -> Fields:
    """Pack an entry as the platform does, in turn in every form that it has. Source: xianyu 6"""
    text = _encode(entry)
    forms = nth % 4
    if forms == 3:
        data = text.decode()
    elif forms == 2:
        data = base64.b64encode(text).decode()
    else:
        data = base64.b64encode(msgpack.encode(entry, has_old_strings=forms == 1)).decode()
    return {"bizType": 40, "objectType": 40006, "streamId": "s", "data": data}


def _answer(told: str, data: Fields, *set_cookies: str) -> Fetched:
    headers = tuple(("set-cookie", line) for line in set_cookies)
    return Fetched(200, headers, _encode({"ret": [told], "data": data}))
