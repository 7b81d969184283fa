"""The keys of a OneBot 11 line besides those that every line has."""

from __future__ import annotations

from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from trunkline.dialects.options import LineOptions, Tokens

FRAMEWORK: Final = "framework"
IMPLEMENTATION: Final = "implementation"
POST: Final = "post"  # what `client_role` calls events over HTTP
SERVER_BYTES: Final = 16 << 20  # of a framework that listens. Source: onebot11 12
_SCHEMES: Final = ("ws", "wss", "http", "https")
_MAX_DIGITS: Final = 19


class OneBotOptions(LineOptions):
    """One `[lines.NAME]` table with `dialect = "onebot11"`.

    Attributes:
        path: where peers connect; "" = the paths that every tutorial names. `…/api` and `…/event`
            behind it are served too. Source: onebot11 1
        access_token: another name of `token`. Source: onebot11 12
        self_id: as an implementation: the account that we play. Source: onebot11 3.1
        nickname: as an implementation: what that account is called.
        client_role: when dialling, what the connection carries. Source: onebot11 1.3 `post`: none
            is kept, each event is posted to `url` (implementation). Source: onebot11 1.5
        handshake: as a framework that listens: which first frame is let in; `strict` = the connect
            event, `lenient` = any event, `off` = also none. Source: onebot11 3.1
        handshake_timeout_s: how soon it must come; 0 = whenever it likes.
        ignore_self: as a framework, which messages of the account itself are its own and never
            answered; `auto` = the complete ones. Source: guides 4
        report_self_message: as an implementation, tell the connected frameworks as `message_sent`
            what the account says: what they have said themselves, once it is stored; with `carries`
            also what rules and people say in the carried chats, once it has left.
            Source: onebot11 5.2
        duplicate: as a framework that listens, when an account connects that is connected already:
            `replace` = the newer connection wins, `reject` = it is closed with 1008, `probe` = the
            older one is pinged: the newer is closed with 1008 when anything comes from it within
            1 s, and has its place otherwise. An API and an Event connection are a pair and no
            duplicate. Source: onebot11 3.5
        message_format: how messages are written. Source: onebot11 6.1
        api_timeout_s: how long a call may go unanswered. Source: onebot11 7.1
        rate_limit_interval_s: between two `…_rate_limited` calls. Source: onebot11 7.3
        heartbeat_interval_s: as an implementation, between two heartbeat events; 0 = none.
            Source: onebot11 3.2
        heartbeat_interval_ms: the same in milliseconds.
        ping_interval_s: between two protocol pings of the link. Source: onebot11 3.3
        reconnect_interval_s: wait between two attempts. Source: onebot11 3.4
        max_reconnect_attempts: another name of `max_failures`.
        http: when listening, take calls (implementation: `PREFIX/<action>`) and posted events
            (framework: a POST to any of its paths) over plain HTTP too. Source: onebot11 1.4, 1.5
        secret: of posted events: what `X-Signature` is made with, when we post them too. A
            framework that has one takes no event without the right signature. Source: onebot11 1.5
        quick_wait_s: how long a posted message waits for an answer to take back with it.
            Source: onebot11 9
        max_message_bytes: 64 MiB; 16 MiB for a framework that listens. Source: onebot11 12
    """

    path: str = ""
    access_token: Tokens = ()
    self_id: str = ""
    nickname: str = Field("trunkline", min_length=1, max_length=128)
    client_role: Literal["universal", "api", "event", "post"] = "universal"
    handshake: Literal["strict", "lenient", "off"] = "strict"
    handshake_timeout_s: float = Field(1.0, ge=0, le=60)
    ignore_self: Literal["auto"] | bool = "auto"
    report_self_message: bool = False
    duplicate: Literal["replace", "reject", "probe"] = "replace"
    message_format: Literal["array", "string"] = "array"
    api_timeout_s: float = Field(30.0, ge=1, le=600)
    rate_limit_interval_s: float = Field(0.5, ge=0.05, le=60)
    heartbeat_interval_s: float = Field(30.0, ge=0, le=3600)
    heartbeat_interval_ms: int | None = Field(None, ge=0, le=3_600_000)
    ping_interval_s: float = Field(20.0, ge=1, le=3600)
    reconnect_interval_s: float | None = Field(5.0, gt=0, le=3600)
    max_reconnect_attempts: int | None = Field(None, ge=0)
    http: bool = True
    secret: SecretStr | None = Field(None, min_length=1)
    quick_wait_s: float = Field(1.0, ge=0, le=4)
    max_message_bytes: int = Field(64 << 20, ge=1024, le=104_857_600)

    @model_validator(mode="before")
    @classmethod
    def _other_names(cls, values: Any) -> Any:
        """Take the names that users of other programs know."""
        if not isinstance(values, dict):
            return values
        given = dict(cast("dict[str, Any]", values))  # keyword arguments
        for other, name in (("access_token", "token"), ("max_reconnect_attempts", "max_failures")):
            if given.get(other) in (None, (), "", []):
                continue
            if name in given:
                raise ValueError(f"{other} is another name of {name}: write one of them")
            given[name] = given[other]
        interval_ms = given.get("heartbeat_interval_ms")
        if type(interval_ms) is int:
            if "heartbeat_interval_s" in given:
                raise ValueError("write heartbeat_interval_s or heartbeat_interval_ms, not both")
            given["heartbeat_interval_s"] = interval_ms / 1000
        return given

    @field_validator("self_id")
    @classmethod
    def _account(cls, value: str) -> str:
        """Check it: frameworks want an integer greater than 0. Source: onebot11 3.1"""
        is_number = value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS
        if value and not (is_number and int(value) > 0):
            raise ValueError("must be a number above 0, written as text")
        return value

    @field_validator("url")
    @classmethod
    def _websocket(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in _SCHEMES:
            raise ValueError("write ws:// or wss://")
        return value

    @model_validator(mode="after")
    def _whole(self) -> OneBotOptions:
        if self.role == IMPLEMENTATION and not self.self_id:
            raise ValueError('role = "implementation" needs self_id, the account that it plays')
        if self.link == "listen" and self.client_role != "universal":
            raise ValueError('client_role is only for link = "dial": the path chooses otherwise')
        if self.client_role == POST:
            if self.role != IMPLEMENTATION:
                raise ValueError('client_role = "post" is for role = "implementation"')
            if urlsplit(self.url).scheme not in ("http", "https"):
                raise ValueError('client_role = "post" needs a url with http:// or https://')
        return self

    @property
    def door_tokens(self) -> dict[str, tuple[str, ...]]:
        """What lets a stranger in: where posted events are taken, their secret too."""
        if self.secret is None:
            return super().door_tokens
        return super().door_tokens | {"secret": (self.secret.get_secret_value(),)}

    @property
    def reports_own(self) -> bool:
        """Whether frameworks are shown what is said in the chats of the carried line."""
        return self.report_self_message

    @property
    def own_hosts(self) -> frozenset[str]:
        """The host that events are posted to; people wrote it, so it may be a private one."""
        host = urlsplit(self.url).hostname if self.client_role == POST else None
        return frozenset({host}) if host else frozenset()

    @property
    def ping_s(self) -> float:
        """Seconds between two protocol pings: heartbeats are events here."""
        return self.ping_interval_s

    @property
    def is_implementation(self) -> bool:
        """Whether we play the platform."""
        return self.role == IMPLEMENTATION

    @property
    def limit_bytes(self) -> int:
        """The bound of one message, by role and direction. Source: onebot11 12"""
        if "max_message_bytes" in self.model_fields_set or self.link == "dial":
            return self.max_message_bytes
        return self.max_message_bytes if self.is_implementation else SERVER_BYTES
