"""The keys of a Boss直聘 line besides those that every line has."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from trunkline.dialects.boss.http import MAX_COOKIE_CHARS, USER_AGENT
from trunkline.dialects.options import LineOptions
from trunkline.wire.cookies import format_cookies, one_line, parse_cookies

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # what a subprotocol may be
_NEVER_S = 86_400.0  # WebSocket pings are not reported from the gateway. Source: boss 1


class BossOptions(LineOptions):
    """One `[lines.NAME]` table with `dialect = "boss"`.

    Attributes:
        link: an account dials, an emulated gateway listens.
        side: who the account is: `geek` looks for a job, `boss` recruits.
        mode: automatic answers wait for a person unless it says otherwise (`guides 6`).
        every_s, daily: at most one message in six seconds and 150 a day; more wait. Source: boss
            6.2, 9 (I-9)
        cookies: the login of the account, as a browser has it: `name=value; …`. Read anew before
            every connection; never logged. Source: boss 1, 6.9
        url: where the chat gateway listens; an emulator in tests. Source: boss 1
        http_url: for user, password of the chat, contacts, history and pictures. Source: boss 7
        resolve_host: ask the site which gateway to use before every connection. Source: boss 1
        origin, user_agent: what requests and the upgrade say they come from; the same browser as
            the cookies. Source: boss 1
        subprotocol: offered at the upgrade: `wt2` = the chat password itself, as the web client
            does, `mqtt`, or any text. Source: boss 1
        mqtt_level: 3 = MQTT 3.1 as the browser, 4 = MQTT 3.1.1. Source: boss 2.1
        heartbeat_interval_s: MQTT's keep-alive. Source: boss 2.1, 2.6
        subscribe: `none`, or the QoS of a SUBSCRIBE to `chat` after connecting. Source: boss 2.3
        retain: set the retain flag on messages. Source: boss 2.4
        mid: how the ids of sent messages are made: `above` the highest one seen, or `plain`
            milliseconds. Source: boss 3
        resend: what becomes of a message that was written and has no answer when the connection
            ends: `never` = it is shown as uncertain; `dup` = it is sent once more with the same
            id, at the risk of a second copy. Source: boss 6.2
        accept_timeout_s: how long the gateway may take to say that it has a message.
            Source: boss 6.2
        ready_after_s: without an answer to the presence, the line counts as connected after this
            long. Source: boss 6.1
        client_version, device_id: what the presence says; the id is any stable text of 32
            characters, made from the account when empty. Source: boss 6.1
        send_gap_s: between two pieces of one message. Source: boss 6.2
        history: ask for what was said during an outage, besides what the gateway delivers by
            itself. Source: boss 6.8
        send_resume_image: answer a request for the resume at once with `resume_image`, whatever
            the mode.
        resume_image: that picture, a file beside the configuration.
        resume_id: which attachment resume is sent when a request is accepted; empty = the first.
            Source: boss 6.6
        schema: a `techwolf.proto` of the site; empty = the built-in one. Source: boss 8
        stale_after_s: older messages get no automatic answer.
        max_message_bytes: 1 MiB. Source: boss 2.8
    """

    credential_key: ClassVar[str] = "cookies"
    picture_key: ClassVar[str] = "resume_image"

    role: str = "account"
    link: Literal["listen", "dial"] = "dial"
    path: str = "/chatws"
    side: Literal["geek", "boss"] = "geek"
    mode: Literal["auto", "draft", "off"] = "draft"
    every_s: float = Field(6.0, ge=0, le=3600)
    daily: int = Field(150, ge=0, le=1_000_000)
    cookies: SecretStr = SecretStr("")
    url: str = "wss://ws6.zhipin.com/chatws"
    http_url: str = "https://www.zhipin.com"
    resolve_host: bool = False
    origin: str = Field("https://www.zhipin.com", min_length=1, max_length=512)
    user_agent: str = Field(USER_AGENT, min_length=1, max_length=512)
    subprotocol: str = "wt2"
    mqtt_level: Literal[3, 4] = 3
    heartbeat_interval_s: float = Field(25.0, ge=1, le=60)
    subscribe: Literal["none", 0, 1] = "none"
    retain: bool = False
    mid: Literal["above", "plain"] = "above"
    resend: Literal["never", "dup"] = "never"
    accept_timeout_s: float = Field(10.0, ge=1, le=120)
    ready_after_s: float = Field(2.0, ge=0, le=60)
    client_version: str = Field("4.92", max_length=32)
    device_id: str = Field("", max_length=64)
    send_gap_s: float = Field(1.0, ge=0, le=60)
    history: bool = True
    send_resume_image: bool = False
    resume_image: str = ""
    resume_id: str = Field("", max_length=256)
    schema_file: str = Field("", alias="schema")
    stale_after_s: float = Field(86_400.0, ge=0)
    max_message_bytes: int = Field(1 << 20, ge=1024, le=104_857_600)

    @field_validator("cookies")
    @classmethod
    def _of_an_account(cls, value: SecretStr) -> SecretStr:
        text = one_line(value.get_secret_value())
        if len(text) > MAX_COOKIE_CHARS:
            raise ValueError(f"more than {MAX_COOKIE_CHARS} characters")
        if text and not parse_cookies(text):
            raise ValueError("not a single name=value is among them; copy the whole string")
        return value

    @field_validator("http_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("write http:// or https://")
        return value

    @field_validator("subprotocol")
    @classmethod
    def _is_token(cls, value: str) -> str:
        if not TOKEN.fullmatch(value):
            raise ValueError("write wt2, mqtt, or a text without spaces and separators")
        return value

    @property
    def cookie_text(self) -> str:
        """The cookies in clear, on one line."""
        return one_line(self.cookies.get_secret_value())

    @property
    def login(self) -> str:
        """A digest of the cookies: they do not tell the account, so only equal ones are known."""
        cookies = sorted(parse_cookies(self.cookie_text).items())
        if self.role != "account" or not cookies:
            return ""
        text = f"{urlsplit(self.http_url).netloc} {format_cookies(dict(cookies))}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def ping_s(self) -> float:
        """Hardly ever: MQTT's own ping keeps the link alive."""
        return _NEVER_S

    @property
    def paced_s(self) -> float | None:
        """Deliveries leave singly: what a crash leaves unclear was written, and never waited."""
        return 0.0 if self.role == "account" else None

    @property
    def own_hosts(self) -> frozenset[str]:
        """An emulator runs on this machine: the host that the line's owner wrote is meant."""
        return frozenset((urlsplit(self.http_url).hostname or "",))

    @property
    def missing(self) -> tuple[str, ...]:
        """An account cannot log in without cookies; a gateway needs none."""
        wanted: list[str] = []
        if self.role == "account" and self.enabled:
            if not self.cookie_text:
                wanted.append("cookies")
            if self.send_resume_image and not self.resume_image:
                wanted.append("resume_image")
        return tuple(wanted)
