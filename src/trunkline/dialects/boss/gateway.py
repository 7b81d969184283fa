"""The state of a played platform: accounts, contacts, conversations, passwords, and its HTTP side.

Pure and bounded: no socket, no clock of its own. Every rule that a client could break is checked,
and what was broken is counted in `violations`. Source: boss 10
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final, Literal
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.boss import http
from trunkline.dialects.boss.frames import TEXT
from trunkline.dialects.boss.http import Fields, md5, picture_type, to_int
from trunkline.dialects.contract import Fetch, Fetched
from trunkline.ids import Ids
from trunkline.wire.cookies import parse_cookies

STORED: Final = 10_000  # messages of one account that can be delivered again or asked for
EPOCH_MS: Final = 1_695_139_200_000  # of the server's ids. Source: boss 3
LOGIN_COOKIE: Final = "wt"
CALL_COOKIE: Final = "bst"
PASSWORD_CHARS: Final = 89  # Source: boss 1
BATCH: Final = 20  # Source: boss 10.4 (9)
HISTORY_PAGE: Final = 20
_encode = msgspec.json.Encoder().encode

# How a call answers instead of doing its work. Source: boss 10.2 (4)
HTTP_FAULTS: Final[dict[str, Fetched]] = {
    "1": Fetched(200, (), '{"code":1,"message":"今日沟通人数已达上限"}'.encode()),
    "7": Fetched(200, (), '{"code":7,"message":"当前登录状态已失效"}'.encode()),
    "36": Fetched(200, (), '{"code":36,"message":"您的账户存在异常行为"}'.encode()),
    "37": Fetched(200, (), '{"code":37,"message":"您的环境存在异常"}'.encode()),
    "121": Fetched(200, (), '{"code":121,"message":"请求不合法"}'.encode()),
    "403": Fetched(403, (), b"forbidden"),
    "302": Fetched(302, (("location", "/web/user/safe/verify"),), b""),
    "500": Fetched(500, (), b"oops"),
    "malformed": Fetched(200, (), b'{"code":0,'),
    "null": Fetched(200, (), b'{"code":null,"zpData":{}}'),
}


class Rules(msgspec.Struct):
    """How strict the platform is, and how it answers. Source: boss 10.2 … 10.7

    Args:
        bad_wt2: what becomes of a login with a password that is none.
        wt2_ttl_ms, is_single_use: how long a password is good.
        is_wt2_offered: the subprotocol must be the password.
        subprotocol: what the upgrade answers: the offered one, `mqtt`, or none.
        puback: the form of the acknowledgement of messages.
        late_ms: of the form `late`.
        sync: when the pair of ids is pushed.
        is_echoed_here: the own message comes back to the connection that sent it, too.
        shows_own: what the account sends is delivered to it like what people say.
        suback: its form.
        on_violation: what becomes of a message that breaks a rule.
        needs_source, needs_mid_above, allows_minimal, rejects_empty, rejects_self: the rules.
        max_per_minute: messages of an account, 0 = any number.
        dedupes_cmid: a second copy of a message is not stored.
        push_qos: of what is pushed.
        is_push_early: pushes do not wait for the presence.
        marks_dup: what is pushed again says so.
        cuts_after: the stream ends at this packet of a connection, 0 = at none.
        kicks_second: a second login of an account ends the first connection.
    """

    bad_wt2: Literal["connack4", "connack5", "close", "silent"] = "connack5"
    wt2_ttl_ms: int = 0
    is_single_use: bool = False
    is_wt2_offered: bool = True
    subprotocol: Literal["echo", "mqtt", "none"] = "echo"
    puback: str = "ext"
    late_ms: int = 200
    sync: Literal["puback_first", "sync_first", "off"] = "puback_first"
    is_echoed_here: bool = False
    shows_own: bool = False
    suback: Literal["standard", "no_codes", "none"] = "standard"
    on_violation: Literal["ext_zero_mid", "none", "bye"] = "ext_zero_mid"
    needs_source: bool = True
    needs_mid_above: bool = False
    allows_minimal: bool = True
    rejects_empty: bool = True
    rejects_self: bool = True
    max_per_minute: int = 0
    dedupes_cmid: bool = False
    push_qos: Literal[0, 1] = 1
    is_push_early: bool = False
    marks_dup: bool = True
    cuts_after: int = 0
    kicks_second: bool = False


class Peer:
    """Somebody on the other side of an account's conversations."""

    __slots__ = ("key", "messages", "name", "security_id", "source", "uid", "upload_id")

    def __init__(self, uid: int, name: str, source: int, secret: str) -> None:
        self.uid = uid
        self.name = name
        self.source = source
        self.key = f"{_spread(secret, 'key', uid)[:24]}~_-0"
        self.security_id = _spread(secret, "chat", uid)[:32] * 6 + "~"
        self.upload_id = _spread(secret, "upload", uid)[:31] * 4
        self.messages: deque[Fields] = deque(maxlen=500)


class Stored(msgspec.Struct):
    """A message in an account's delivery store."""

    mid: int
    fields: Fields
    is_acked: bool = False
    was_pushed: bool = False


class Account:
    """An account of the platform.

    Args:
        uid: made from its login, so the same login is the same account.
    """

    def __init__(self, uid: int, secret: str) -> None:
        self.uid = uid
        self.name = f"用户{uid % 10_000}"
        self.token = _spread(secret, "token", uid)[:16]
        self.peers: dict[tuple[int, int], Peer] = {}
        self.stored: OrderedDict[int, Stored] = OrderedDict()
        self.cmids: OrderedDict[int, int] = OrderedDict()  # of sent messages → the server's id
        self.copies: Counter[int] = Counter()  # how often a cmid was stored
        self.sent_at_ms: deque[int] = deque(maxlen=1000)
        self.heard: deque[tuple[int, str]] = deque(maxlen=STORED)  # (peer, words or URL)
        self.exchanged: deque[Fields] = deque(maxlen=100)  # accepted and asked for, over HTTP
        self.reads: deque[tuple[int, int]] = deque(maxlen=1000)  # (peer, mid)
        self.passwords: OrderedDict[str, int] = OrderedDict()  # → when it was given

    def peer(self, uid: int, name: str = "", source: int = 0) -> Peer:
        """Return somebody; the conversation exists as soon as it is asked for."""
        place = (uid, source)
        if place not in self.peers:
            shown = name or f"招聘者{uid % 1000}"
            self.peers[place] = Peer(uid, shown, source, f"{self.uid}")
        return self.peers[place]

    def find_key(self, key: str) -> Peer | None:
        """Return whom an encrypted id means."""
        return next((peer for peer in self.peers.values() if peer.key == key), None)


class Gateway:
    """Everything that outlives a link.

    Args:
        rules: how strict it is; a world or a test changes them while it runs.
    """

    def __init__(self, clock: Clock, ids: Ids, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.accounts: dict[str, Account] = {}  # by login
        self.calls: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.faults: dict[str, deque[str]] = {}  # by path: what the next calls answer, "" = work
        self.login = ""  # the cookie of whoever may log in, "" = everybody may
        self.host = ""  # what `config/ws` names
        self.pictures: dict[str, Fields] = {}  # by MD5
        self.upgrades: deque[dict[str, str]] = deque(maxlen=100)  # heads of connections
        self._clock = clock
        self._ids = ids
        self._last_mid = 0
        self._routes: dict[str, Callable[[Account, Fetch, dict[str, str]], Any]] = {
            http.USER_INFO: self._user,
            http.GET_WT: lambda account, _call, _asked: {"wt2": self.new_password(account)},
            http.CONFIG_WS: lambda _account, _call, _asked: {"result": [self.host]},
            http.CONTACT_IDS: self._contact_ids,
            http.CONTACTS: self._contacts,
            http.LAST_MESSAGES: self._last_messages,
            http.PEER: self._peer_details,
            http.HISTORY: self._history,
            http.ACCEPT: self._exchange,
            http.REQUEST: self._exchange,
            http.REFRESH: lambda _account, _call, _asked: {},
            http.RESUMES: lambda _account, _call, _asked: {"resumeList": [{"resumeId": "cv-1"}]},
            http.QUICK_UPLOAD: lambda _account, _call, asked: self.pictures.get(
                asked.get("fileMd5", ""), {}
            ),
            http.UPLOAD: self._upload,
        }

    # -- accounts and ids --------------------------------------------------------------------

    def account(self, cookies: str) -> Account | None:
        """Return who is logged in by these cookies, None when nobody is."""
        login = parse_cookies(cookies).get(LOGIN_COOKIE, "")
        if not login or (self.login and login != self.login):
            return None
        if login not in self.accounts:
            uid = 600_000_000 + int(_spread(login, "uid", 0)[:7], 16)
            self.accounts[login] = Account(uid, login)
        return self.accounts[login]

    def new_password(self, account: Account) -> str:
        """Give a new password for the chat. Source: boss 10.2 (2)"""
        text = "".join(self._ids.token() for _ in range(3))[: PASSWORD_CHARS - 1] + "~"
        account.passwords[text] = self._clock.now_ms()
        if len(account.passwords) > 100:
            account.passwords.popitem(last=False)
        return text

    def refuse_password(self, account: Account, text: str) -> bool:
        """Whether a password does not do. One for a single use is used up by this."""
        given_ms = account.passwords.get(text)
        if given_ms is None:
            return True
        if self.rules.is_single_use:
            del account.passwords[text]
        ttl_ms = self.rules.wt2_ttl_ms
        return bool(ttl_ms) and self._clock.now_ms() - given_ms > ttl_ms

    def new_mid(self) -> int:
        """Return the next id of the server's. Source: boss 3"""
        mid = (self._clock.now_ms() - EPOCH_MS) * 4096 + 256
        self._last_mid = max(mid, self._last_mid + 1)
        return self._last_mid

    # -- messages ----------------------------------------------------------------------------

    def say(self, account: Account, peer: Peer, body: Fields, **more: Any) -> int:
        """Let a peer say something; it waits in the account's store. Return its server id."""
        sender = _party(peer.uid, peer.name, peer.source)
        return self.store(account, peer, sender, _party(account.uid, account.name), body, **more)

    def say_text(self, account: Account, peer: Peer, words: str) -> int:
        """Let a peer say words."""
        return self.say(account, peer, {"type": TEXT, "templateId": 1, "text": words})

    def store(
        self,
        account: Account,
        peer: Peer,
        sender: Fields,
        receiver: Fields,
        body: Fields,
        *,
        is_delivered: bool = True,
        **more: Any,
    ) -> int:
        """Put a message into a conversation, written as the gateway does. Source: boss 10.8"""
        mid = more.pop("mid", 0) or self.new_mid()
        fields: Fields = {
            "from": sender, "to": receiver, "type": 1, "mid": mid, "time": self._clock.now_ms(),
            "body": body, "offline": False, "received": False, "taskId": 0, "cmid": 0, "status": 0,
            "uncount": 0, "pushSound": 0, "flag": 65536, **more,
        }  # fmt: skip
        peer.messages.append(fields)
        if is_delivered:
            account.stored[mid] = Stored(mid, fields)
            if len(account.stored) > STORED:
                account.stored.popitem(last=False)
        return mid

    # -- HTTP --------------------------------------------------------------------------------

    def http(self, request: Fetch) -> Fetched:
        """Answer a side call. Source: boss 7, 10.2"""
        url = urlsplit(request.url)
        self.calls[url.path] += 1
        fault = self.faults.get(url.path)
        if fault and (name := fault.popleft()):
            return HTTP_FAULTS[name]
        route = self._routes.get(url.path)
        if route is None:
            return Fetched(404, (), b"not found")
        headers = {name.lower(): value for name, value in request.headers.items()}
        cookies = headers.get("cookie", "")
        account = self.account(cookies)
        if account is None:
            return HTTP_FAULTS["7"]
        if request.method == "POST":
            wanted = parse_cookies(cookies).get(CALL_COOKIE)
            if not wanted or headers.get("zp_token") != wanted:
                self.violations["zp-token"] += 1
                return HTTP_FAULTS["121"]
        asked = dict(parse_qsl(url.query))
        if headers.get("content-type", "").startswith("application/x-www-form"):
            form = parse_qs(request.body.decode("utf-8", "replace"))
            asked |= {name: values[-1] for name, values in form.items()}
        found = route(account, request, asked)
        if isinstance(found, Fetched):
            return found
        return Fetched(200, (), _encode({"code": 0, "message": "Success", "zpData": found}))

    def _user(self, account: Account, _call: Fetch, _asked: dict[str, str]) -> Fields:
        return {
            "userId": account.uid,
            "token": account.token,
            "name": account.name,
            "trueMan": True,
            "clientIP": "198.51.100.7",
        }

    def _contact_ids(self, account: Account, _call: Fetch, _asked: dict[str, str]) -> Fields:
        return {"friendList": [{"friendId": peer.uid} for peer in account.peers.values()]}

    def _asked_peers(self, account: Account, asked: dict[str, str]) -> list[Peer]:
        wanted = {to_int(text) for text in asked.get("friendIds", "").split(",")} - {0}
        if len(wanted) > http.FRIENDS_AT_ONCE:
            self.violations["too-many-ids"] += 1
        return [peer for peer in account.peers.values() if not wanted or peer.uid in wanted]

    def _contacts(self, account: Account, _call: Fetch, asked: dict[str, str]) -> Fields:
        return {
            "result": [
                {
                    "uid": peer.uid, "encryptUid": peer.key, "encryptBossId": peer.key,
                    "securityId": peer.security_id, "friendSource": peer.source,
                    "encryptJobId": "job~1", "name": peer.name, "lastMsg": "",
                }
                for peer in self._asked_peers(account, asked)
            ]
        }  # fmt: skip

    def _last_messages(self, account: Account, _call: Fetch, asked: dict[str, str]) -> Any:
        peers = self._asked_peers(account, asked)
        if len(peers) > http.LAST_AT_ONCE:
            self.violations["too-many-ids"] += 1
        return [
            {"uid": peer.uid, "lastMsgInfo": {"msgId": peer.messages[-1]["mid"]}}
            for peer in peers
            if peer.messages
        ]

    def _peer_details(self, account: Account, _call: Fetch, asked: dict[str, str]) -> Any:
        peer = account.find_key(asked.get("bossId", ""))
        if peer is None or asked.get("securityId") != peer.security_id:
            self.violations["security-id"] += 1
            return HTTP_FAULTS["1"]
        details = {
            "bossId": peer.uid, "encryptBossId": peer.key, "name": peer.name,
            "companyName": "示例公司", "securityId": peer.upload_id, "bossSource": peer.source,
        }  # fmt: skip
        return {"data": details, "job": {"jobName": "后端工程师"}}

    def _history(self, account: Account, _call: Fetch, asked: dict[str, str]) -> Any:
        peer = account.find_key(asked.get("bossId", ""))
        if peer is None or asked.get("securityId") != peer.security_id:
            self.violations["security-id"] += 1
            return HTTP_FAULTS["1"]
        before = to_int(asked.get("maxMsgId")) or 1 << 62
        older = [one for one in peer.messages if one["mid"] < before]
        page = older[-HISTORY_PAGE:]
        # Ids of the apps are beyond what JSON numbers hold: some answers have them as text.
        messages = [one | {"cmid": str(one["cmid"])} for one in page]
        return {"messages": messages, "minMsgId": page[0]["mid"] if page else 0}

    def _exchange(self, account: Account, call: Fetch, asked: dict[str, str]) -> Any:
        """Take an accepted request, or a new one. Source: boss 6.6"""
        secret = asked.get("securityId", "")
        peer = next((one for one in account.peers.values() if one.security_id == secret), None)
        kind = to_int(asked.get("type"))
        is_accept = urlsplit(call.url).path == http.ACCEPT
        if peer is None or kind not in (1, 2, 3, 4) or (is_accept and not to_int(asked.get("mid"))):
            self.violations["exchange"] += 1
            return HTTP_FAULTS["121"]
        account.exchanged.append({**asked, "peer": peer.uid, "is_accept": is_accept})
        return {"type": kind, "status": 0}

    def _upload(self, account: Account, call: Fetch, _asked: dict[str, str]) -> Any:
        """Take a picture. Source: boss 10.2 (3)"""
        headers = {name.lower(): value for name, value in call.headers.items()}
        boundary = headers.get("content-type", "").partition("boundary=")[2]
        fields: dict[str, bytes] = {}
        for part in call.body.split(b"--" + boundary.encode())[1:-1] if boundary else ():
            head, _, value = part.partition(b"\r\n\r\n")
            name = head.partition(b'name="')[2].partition(b'"')[0].decode("ascii", "replace")
            fields[name] = value.removesuffix(b"\r\n")
        data = fields.get("file", b"")
        secrets = {peer.upload_id for peer in account.peers.values()}
        secrets |= {peer.security_id for peer in account.peers.values()}
        is_known = fields.get("securityId", b"").decode("ascii", "replace") in secrets
        if not is_known or fields.get("source") != b"chat_file" or not picture_type(data):
            self.violations["upload"] += 1
            return HTTP_FAULTS["121"]
        number = len(self.pictures) + 1
        width, height = picture_size(data)
        told: Fields = {
            "url": f"https://img.example.invalid/o{number}.png.webp?auth_key=1-0-x",
            "tinyUrl": f"https://img.example.invalid/o{number}_s.png.webp?auth_key=1-0-x",
            "source": "chat_file",
            "metadata": {"width": width, "height": height, "fileSize": len(data)},
        }
        self.pictures[md5(data)] = told
        if len(self.pictures) > 1000:
            del self.pictures[next(iter(self.pictures))]
        return told


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG; of another picture a fixed size."""
    if picture_type(data) == "image/png" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return 800, 600


def _party(uid: int, name: str, source: int = 0) -> Fields:
    return {
        "uid": uid, "name": name, "avatar": "https://img.example.invalid/a.png", "company": "",
        "headImg": 0, "certification": 3, "source": source,
    }  # fmt: skip


def own_party(account: Account) -> Fields:
    """Return an account as a side of a message."""
    return _party(account.uid, account.name)


def peer_party(peer: Peer) -> Fields:
    """Return a peer as a side of a message."""
    return _party(peer.uid, peer.name, peer.source)


def _spread(secret: str, what: str, number: int) -> str:
    """Return text that looks like chance and is always the same."""
    return hashlib.sha256(f"{secret}:{what}:{number}".encode()).hexdigest()
