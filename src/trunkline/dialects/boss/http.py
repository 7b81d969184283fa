"""The side calls over HTTP: user, chat password, contacts, history, pictures, answered requests.

Builds requests and reads answers; nothing here decides when to call. Values of cookies, tokens and
security ids never leave this folder in a text for people. Source: boss 7
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlencode

import msgspec

from trunkline.dialects.contract import Fetch, Fetched
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire
from trunkline.wire.cookies import parse_cookies

USER_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/133.0.0.0 Safari/537.36"
)
USER_INFO: Final = "/wapi/zpuser/wap/getUserInfo.json"
GET_WT: Final = "/wapi/zppassport/get/wt"
CONFIG_WS: Final = "/wapi/zpchat/config/ws"
CONTACT_IDS: Final = "/wapi/zprelation/friend/geekFilterByLabel"
CONTACTS: Final = "/wapi/zprelation/friend/getGeekFriendList.json"
LAST_MESSAGES: Final = "/wapi/zpchat/geek/userLastMsg"
PEER: Final = "/wapi/zpchat/geek/getBossData"
HISTORY: Final = "/wapi/zpchat/geek/historyMsg"
ACCEPT: Final = "/wapi/zpchat/exchange/accept"
REQUEST: Final = "/wapi/zpchat/exchange/request"
REFRESH: Final = "/wapi/zpchat/message/refresh"
RESUMES: Final = "/wapi/zpgeek/resume/attachment/checkbox.json"
QUICK_UPLOAD: Final = "/wapi/zpupload/quicklyUpload"
UPLOAD: Final = "/wapi/zpupload/image/uploadSingle"

CALL_TIMEOUT_S: Final = 15.0
UPLOAD_TIMEOUT_S: Final = 60.0
HISTORY_PAGE: Final = 20  # Source: boss 6.8
FRIENDS_AT_ONCE: Final = 199  # Source: boss 6.8
LAST_AT_ONCE: Final = 20  # Source: boss 7
MAX_COOKIE_CHARS: Final = 16_384  # what is kept of a line has at most 64 KiB
TINY_WIDTH: Final = 200  # Source: boss 6.4
_FORM: Final = "application/x-www-form-urlencoded"
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")  # the 19 digits of 2^63 and a sign
_decoder = msgspec.json.Decoder()

Fields: TypeAlias = dict[str, Any]


# -- reading -----------------------------------------------------------------------------------


def fields_of(value: Any) -> Fields:
    """Return an object's members; anything else has none."""
    # decoded JSON: the keys of an object are texts
    return cast("Fields", value) if isinstance(value, dict) else {}


def items_of(value: Any) -> list[Any]:
    """Return an array's items; anything else has none."""
    return cast("list[Any]", value) if isinstance(value, list) else []  # decoded JSON


def to_int(value: Any) -> int:
    """Return a 64-bit id that JSON has as a number or as text; 0 when it is neither."""
    if type(value) is int:
        number = value
    elif isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)
    else:
        return 0
    return number if -(1 << 63) <= number < 1 << 63 else 0


def is_number(value: Any) -> bool:
    """Whether `to_int` reads it as what it says; 0 is then a zero and not "neither"."""
    return type(value) is int or (isinstance(value, str) and bool(_INTEGER.fullmatch(value)))


def to_text(value: Any) -> str:
    """Return a text; anything else is empty."""
    return value if isinstance(value, str) else ""


# -- cookies -----------------------------------------------------------------------------------


def set_cookies_of(answer: Fetched) -> list[str]:
    """Return the `Set-Cookie` lines of an answer."""
    return [value for name, value in answer.headers if name == "set-cookie"]


def digest(text: str) -> str:
    """Return what tells one text from another without keeping it: 32 hexadecimal digits."""
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()[:32]


def md5(data: bytes) -> str:
    """Return what the quick upload knows a picture by; it protects nothing. Source: boss 6.4"""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# -- calls -------------------------------------------------------------------------------------


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the site, and what the browser of the account would send.

    Args:
        base_url: scheme and host of the site.
        cookies: as a header has them.
        headers: the line's own, which win.
    """

    base_url: str
    cookies: str
    user_agent: str
    headers: Mapping[str, str] = {}

    def get(self, path: str, **query: str | int) -> Fetch:
        """Build a call that changes nothing."""
        return self._build("GET", path, query, {}, b"", CALL_TIMEOUT_S)

    def post(self, path: str, form: Mapping[str, str | int], **query: str | int) -> Fetch:
        """Build a call with a form; it carries `zp_token`. Source: boss 7"""
        body = urlencode(form).encode()
        return self._build("POST", path, query, {"content-type": _FORM}, body, CALL_TIMEOUT_S)

    def upload(
        self, path: str, fields: Mapping[str, str], picture: Picture, boundary: str
    ) -> Fetch:
        """Build a call with a picture. Source: boss 6.4"""
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        safe = "".join(each for each in picture.name if each.isalnum() or each in "._-")[:64]
        kind = picture_type(picture.data) or "application/octet-stream"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file";'
            f' filename="{safe or "picture"}"\r\nContent-Type: {kind}\r\n\r\n'
        )
        body = "".join([*parts, head]).encode() + picture.data + f"\r\n--{boundary}--\r\n".encode()
        form = {"content-type": f"multipart/form-data; boundary={boundary}"}
        return self._build("POST", path, {}, form, body, UPLOAD_TIMEOUT_S)

    def _build(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        more: Mapping[str, str],
        body: bytes,
        timeout_s: float,
    ) -> Fetch:
        url = self.base_url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        headers = {
            "accept": "application/json, text/plain, */*",
            "cookie": self.cookies,
            "referer": f"{self.base_url.rstrip('/')}/web/geek/chat",
            "user-agent": self.user_agent,
            "x-requested-with": "XMLHttpRequest",
            **more,
        }
        if method == "POST" and (zp_token := parse_cookies(self.cookies).get("bst")):
            headers["zp_token"] = zp_token
        own = {name.lower(): value for name, value in self.headers.items()}
        return Fetch(method, url, headers | own, body, timeout_s)


class Picture(msgspec.Struct, frozen=True):
    """A picture that is to be sent."""

    data: bytes
    name: str = ""


def history_call(caller: Caller, key: str, security_id: str, before: int) -> Fetch:
    """Build the call for one page of a conversation, newest first. Source: boss 6.8

    Args:
        before: only messages with a lower mid; 0 = the newest.
    """
    return caller.get(
        HISTORY, bossId=key, securityId=security_id, maxMsgId=before, c=HISTORY_PAGE, page=1, src=0
    )


def peer_call(caller: Caller, contact: Contact) -> Fetch:
    """Build the call for the details of a contact. Source: boss 7 (getBossData)"""
    return caller.get(PEER, bossId=contact.key, securityId=contact.security_id, bossSource=0)


# -- answers -----------------------------------------------------------------------------------


class Fate(Enum):
    """What an answer means, and so what comes next. Source: boss 7 (codes)"""

    OK = "ok"
    REFUSED = "refused"  # a business answer; its text decides
    LOGIN_OVER = "login_over"
    RISK = "risk"  # the platform wants a person to look
    ILLEGAL = "illegal"  # the call itself: usually no zp_token
    NETWORK = "network"


class Answer(msgspec.Struct, frozen=True):
    """A side call's answer.

    Args:
        data: `zpData`, or the whole object where there is none.
        detail: for people; what the platform said, without values of ours.
    """

    fate: Fate
    data: Any = None
    detail: str = ""
    code: int = 0

    @property
    def fields(self) -> Fields:
        """The members of `data`."""
        return fields_of(self.data)


_LOGIN_WORDS: Final = ("登录", "login")
_FATES: Final = {0: Fate.OK, 7: Fate.LOGIN_OVER, 36: Fate.RISK, 37: Fate.RISK, 121: Fate.ILLEGAL}


_STATUSES: Final = {
    401: Fate.LOGIN_OVER, 403: Fate.RISK, 301: Fate.RISK, 302: Fate.RISK, 303: Fate.RISK,
    307: Fate.RISK,
}  # fmt: skip


def parse_answer(answer: object) -> Answer:
    """Classify the answer to a side call. Source: boss 7 (codes)"""
    if not isinstance(answer, Fetched):
        return Answer(Fate.NETWORK, detail=str(answer)[:200])
    if answer.status != 200:
        fate = _STATUSES.get(answer.status, Fate.NETWORK)
        return Answer(fate, detail=f"HTTP {answer.status}")
    try:
        value = fields_of(jsonwire.decode(_decoder, answer.body))
    except WireMalformed:
        value = {}
    if not is_number(value.get("code")):
        return Answer(Fate.NETWORK, detail="the answer is not the site's JSON")
    code = to_int(value["code"])
    said = to_text(value.get("message"))[:200]
    fate = _FATES.get(code, Fate.REFUSED)
    if fate is Fate.REFUSED and any(word in said.lower() for word in _LOGIN_WORDS):
        fate = Fate.LOGIN_OVER  # Source: boss 7: "7, and 1 with a login text"
    data = value.get("zpData", value)
    return Answer(fate, data, said if code == 0 else f"{code}: {said}", code)


class User(msgspec.Struct, frozen=True):
    """Who is logged in. Source: boss 7"""

    uid: int
    token: str
    name: str = ""
    address: str = ""
    is_flagged: bool = False


def parse_user(answer: Answer) -> User | None:
    """Return the user, or None when the answer does not say."""
    told = answer.fields
    uid, token = to_int(told.get("userId")), to_text(told.get("token"))
    if answer.fate is not Fate.OK or uid <= 0 or not token:
        return None
    return User(
        uid,
        token,
        to_text(told.get("name")),
        to_text(told.get("clientIP")),
        is_flagged=told.get("trueMan") is False,
    )


class Uploaded(msgspec.Struct, frozen=True):
    """A picture that the platform has. Source: boss 6.4"""

    url: str
    tiny_url: str
    width: int
    height: int

    @property
    def tiny_height(self) -> int:
        """The height of the small form, which is 200 wide."""
        return max(1, TINY_WIDTH * self.height // max(1, self.width))


def parse_upload(answer: Answer) -> Uploaded | None:
    """Return the picture, or None when the platform has none of it (yet)."""
    told = answer.fields
    url = to_text(told.get("url"))
    if answer.fate is not Fate.OK or not url.startswith(("http://", "https://")):
        return None
    metadata = fields_of(told.get("metadata"))
    width, height = to_int(metadata.get("width")), to_int(metadata.get("height"))
    tiny = to_text(told.get("tinyUrl")) or url
    return Uploaded(url, tiny, max(1, width or 800), max(1, height or 600))


class Contact(msgspec.Struct, frozen=True):
    """Somebody the account talks with. Source: boss 3, 7

    Args:
        key: the encrypted id, which addresses messages and calls.
        security_id: of the conversation, for calls.
    """

    uid: int
    key: str = ""
    security_id: str = ""
    source: int = 0
    name: str = ""


def parse_contacts(answer: Answer) -> list[Contact]:
    """Return the contacts of a list."""
    listed = items_of(answer.fields.get("result")) or items_of(answer.data)
    found: list[Contact] = []
    for one in listed[:1000]:
        told = fields_of(one)
        uid = to_int(told.get("uid")) or to_int(told.get("friendId"))
        if uid > 0:
            key = to_text(told.get("encryptUid")) or to_text(told.get("encryptBossId"))
            security_id = to_text(told.get("securityId"))
            source = to_int(told.get("friendSource"))
            found.append(Contact(uid, key, security_id, source, to_text(told.get("name"))))
    return found


def parse_upload_id(answer: Answer) -> str:
    """Return the security id that uploads to a contact carry, or "". Source: boss 3"""
    return to_text(fields_of(answer.fields.get("data")).get("securityId"))


def parse_contact_ids(answer: Answer) -> list[int]:
    """Return the ids of all contacts, in the order of the site."""
    listed = items_of(answer.fields.get("friendList"))
    ids = (to_int(fields_of(one).get("friendId")) for one in listed)
    return [ident for ident in ids if ident > 0]


def parse_last_messages(answer: Answer) -> dict[int, int]:
    """Return the highest mid of contacts; 0 where the answer does not say. Source: boss 7

    Which member holds the mid is not known for certain: those that are ids of messages are tried.
    """
    listed = items_of(answer.data) or items_of(answer.fields.get("result"))
    found: dict[int, int] = {}
    for one in listed[:200]:
        told = fields_of(one)
        uid = to_int(told.get("uid")) or to_int(told.get("friendId"))
        last = fields_of(told.get("lastMsgInfo")) or told
        mids = (to_int(last.get(name)) for name in ("msgId", "messageId", "mid"))
        if uid > 0:
            found[uid] = next((mid for mid in mids if mid > 0), 0)
    return found


class Page(msgspec.Struct, frozen=True):
    """One page of a conversation's history.

    Args:
        messages: in schema form, as they came.
        before: what to ask for next, 0 = nothing older.
    """

    messages: list[Fields]
    before: int


def parse_history(answer: Answer) -> Page:
    """Return a page of history. Source: boss 7 (historyMsg)"""
    told = answer.fields
    listed = items_of(told.get("messages")) or items_of(told.get("msgList"))
    messages = [fields_of(one) for one in listed[:200] if isinstance(one, dict)]
    return Page(messages, to_int(told.get("minMsgId")) if messages else 0)


def parse_host(answer: Answer) -> str:
    """Return the gateway that the site names, or "". Source: boss 1"""
    found = answer.fields.get("result", answer.data)
    first = items_of(found)[0] if items_of(found) else found
    if isinstance(first, dict):
        first = fields_of(first).get("host") or fields_of(first).get("domain")
    host = to_text(first)
    is_good = bool(host) and len(host) <= 253 and not any(each in host for each in "/ @?#\\\r\n")
    return host if is_good else ""


def parse_resume_id(answer: Answer) -> str:
    """Return the id of the first attachment resume, or "". Source: boss 6.6"""
    for one in items_of(answer.fields.get("resumeList")):
        ident = fields_of(one).get("resumeId")
        text = str(ident) if type(ident) is int else to_text(ident)
        if text:
            return text
    return ""


def picture_type(data: bytes) -> str:
    """Return the kind of a picture by its first bytes, "" when it is none. Source: reliability 8"""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/bmp" if data.startswith(b"BM") else ""
