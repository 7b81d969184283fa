"""The side calls over HTTP: access token, user, upload. Builds requests and reads answers.

Nothing here decides when to call: that is `tokens.py`. Cookie and token values never leave this
folder in a text for people. Source: xianyu 1 (cookies), 3, 8 (upload)
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final
from urllib.parse import quote, unquote, urlencode

import msgspec

from trunkline.dialects.contract import Fetch, Fetched
from trunkline.dialects.xianyu.frames import APP_KEY, Fields, fields_of, items_of, to_int
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire
from trunkline.wire.cookies import format_cookies, parse_cookies

MTOP_KEY: Final = "34839810"  # Source: xianyu 3
LOGIN_API: Final = "mtop.taobao.idlemessage.pc.login.token"
USER_API: Final = "mtop.taobao.idlemessage.pc.loginuser.get"
ORIGIN: Final = "https://www.goofish.com"
CALL_TIMEOUT_S: Final = 30.0  # Source: xianyu 3
SIGN_COOKIE: Final = "_m_h5_tk"
_decoder = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


# -- cookies -----------------------------------------------------------------------------------


def set_cookies_of(answer: Fetched) -> list[str]:
    """Return the `Set-Cookie` lines of an answer."""
    return [value for name, value in answer.headers if name == "set-cookie"]


def signing_token(cookies: str) -> str:
    """Return what calls are signed with: the cookie up to its first underscore, or ""."""
    return parse_cookies(cookies).get(SIGN_COOKIE, "").partition("_")[0]


def digest(text: str) -> str:
    """Return what tells one cookie string from another without keeping it."""
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()[:32]


# -- signed calls ------------------------------------------------------------------------------


def sign(token: str, at_ms: str, app_key: str, data: str) -> str:
    """Sign a call. MD5 is what the platform checks; it protects nothing here. Source: xianyu 3"""
    text = f"{token}&{at_ms}&{app_key}&{data}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def build_call(
    base_url: str, api: str, data: str, cookies: str, user_agent: str, now_ms: int
) -> Fetch:
    """Build a signed call. Source: xianyu 3

    Args:
        base_url: scheme and host.
        data: compact JSON; exactly these characters are signed and sent.
    """
    at_ms = str(now_ms)
    query = {
        "jsv": "2.7.2",
        "appKey": MTOP_KEY,
        "t": at_ms,
        "sign": sign(signing_token(cookies), at_ms, MTOP_KEY, data),
        "v": "1.0",
        "type": "originaljson",
        "accountSite": "xianyu",
        "dataType": "json",
        "timeout": "20000",
        "api": api,
        "sessionOption": "AutoLoginOnly",
        "spm_cnt": "a21ybx.im.0.0",
    }
    return Fetch(
        "POST",
        f"{base_url.rstrip('/')}/h5/{api}/1.0/?{urlencode(query)}",
        {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "origin": ORIGIN,
            "referer": f"{ORIGIN}/",
            "user-agent": user_agent,
            "cookie": format_cookies(parse_cookies(cookies)),
        },
        f"data={quote(data, safe='')}".encode(),
        CALL_TIMEOUT_S,
    )


def token_data(device_id: str) -> str:
    """Return the argument of the token call; the order of the keys counts. Source: xianyu 3"""
    return _encode({"appKey": APP_KEY, "deviceId": device_id}).decode()


class TokenFate(Enum):
    """What an answer to the token call means, and so what comes next. Source: xianyu 3"""

    OK = "ok"
    RESIGN = "resign_once"
    NETWORK = "retry_network"
    NEEDS_COOKIES = "needs_new_cookies"
    NEEDS_PERSON = "needs_person"


class TokenAnswer(msgspec.Struct, frozen=True):
    """A token call's answer.

    Args:
        token: decoded, as `/reg` wants it.
        ttl_ms: how long it is good for, 0 = not said.
        detail: for people; holds no secret.
    """

    fate: TokenFate
    token: str = ""
    ttl_ms: int = 0
    detail: str = ""


_RESIGN: Final = (
    "FAIL_SYS_TOKEN_EMPTY", "FAIL_SYS_TOKEN_EXOIRED", "FAIL_SYS_TOKEN_EXPIRED",
    "FAIL_SYS_TOKEN_ILLEGAL", "令牌过期",
)  # fmt: skip
_DEAD: Final = ("FAIL_SYS_SESSION_EXPIRED", "Session过期")
_PERSON: Final = ("FAIL_SYS_USER_VALIDATE", "RGV587_ERROR", "被挤爆", "FAIL_SYS_ILLEGAL_ACCESS")
_VERIFY: Final = ("verify", "captcha", "punish", "x5sec", "identity")


def parse_token_answer(answer: Fetched) -> TokenAnswer:
    """Classify the answer to a token call; the first class that fits wins. Source: xianyu 3"""
    if answer.status >= 500:
        return TokenAnswer(TokenFate.NETWORK, detail=f"HTTP {answer.status}")
    try:
        value = fields_of(jsonwire.decode(_decoder, answer.body))
    except WireMalformed:
        return TokenAnswer(TokenFate.NETWORK, detail="the answer is not JSON")
    return _classify(value, answer.status)


def _classify(value: Fields, status: int) -> TokenAnswer:
    told = " ".join(text for text in items_of(value.get("ret")) if isinstance(text, str))[:300]
    data = fields_of(value.get("data"))
    url = data.get("url")
    if any(word in told for word in _PERSON) or (
        isinstance(url, str) and any(word in url.lower() for word in _VERIFY)
    ):
        return TokenAnswer(TokenFate.NEEDS_PERSON, detail=told)
    if any(word in told for word in _DEAD):
        return TokenAnswer(TokenFate.NEEDS_COOKIES, detail=told)
    if any(word in told for word in _RESIGN):
        return TokenAnswer(TokenFate.RESIGN, detail=told)
    token = data.get("accessToken")
    if "SUCCESS::" in told and isinstance(token, str) and token:
        ttl_ms = to_int(data.get("accessTokenExpiredTime")) or 0
        return TokenAnswer(TokenFate.OK, unquote(token), max(0, ttl_ms))
    return TokenAnswer(TokenFate.NETWORK, detail=told or f"HTTP {status} without a token")


# -- pictures ----------------------------------------------------------------------------------


class Uploaded(msgspec.Struct, frozen=True):
    """A picture that the platform has."""

    url: str
    width: int
    height: int


def build_upload(
    base_url: str, data: bytes, name: str, boundary: str, cookies: str, user_agent: str
) -> Fetch:
    """Build the upload of a picture. The misspelt name is the platform's. Source: xianyu 8"""
    kind = picture_type(data) or "image/jpeg"
    safe = "".join(each for each in name if each.isalnum() or each in "._-")[:64] or "picture"
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{safe}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return Fetch(
        "POST",
        f"{base_url.rstrip('/')}/api/upload.api?floderId=0&appkey=xy_chat&_input_charset=utf-8",
        {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "accept": "application/json",
            "origin": ORIGIN,
            "referer": f"{ORIGIN}/",
            "user-agent": user_agent,
            "cookie": format_cookies(parse_cookies(cookies)),
        },
        head.encode() + data + f"\r\n--{boundary}--\r\n".encode(),
        CALL_TIMEOUT_S,
    )


def parse_upload(answer: Fetched) -> Uploaded | None:
    """Return the picture, or None when it was not taken (HTML: the cookies are dead)."""
    if answer.status != 200:
        return None
    try:
        picture = fields_of(fields_of(jsonwire.decode(_decoder, answer.body)).get("object"))
    except WireMalformed:
        return None
    url, pix = picture.get("url"), picture.get("pix")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    width, _, height = pix.partition("x") if isinstance(pix, str) else ("", "", "")
    return Uploaded(url, to_int(width) or 800, to_int(height) or 600)


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


def parse_user(answer: Fetched) -> Fields:
    """Return what the user call says of the account, {} when it failed. Source: xianyu 3"""
    try:
        return fields_of(fields_of(jsonwire.decode(_decoder, answer.body)).get("data"))
    except WireMalformed:
        return {}
