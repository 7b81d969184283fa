"""The keys of a 闲鱼 line besides those that every line has."""

from __future__ import annotations

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from trunkline.dialects.options import LineOptions
from trunkline.wire.cookies import one_line, parse_cookies

USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/133.0.0.0 Safari/537.36"
)


class XianyuOptions(LineOptions):
    """One `[lines.NAME]` table with `dialect = "xianyu"`.

    Attributes:
        link: an account dials, an emulated marketplace listens.
        cookies: of the account, as a browser has them; `unb` must be among them. Never logged.
            Source: xianyu 1
        url: where the platform listens; an emulator in tests. Source: xianyu 1
        http_url, upload_url: for the token and for pictures. Source: xianyu 3, 8
        user_agent: what requests and the registration say they come from.
        bearer: sent as `Authorization: Bearer …` when dialling; off by default. Source: xianyu 1
        heartbeat_interval_s, heartbeat_timeout_s: of the dialect's own heartbeat, and of protocol
            pings. Source: xianyu 5
        register_timeout_s, request_timeout_s: how long an answer may take. Source: xianyu 4, 5
        token_refresh_s: a token older than this is renewed; never later than 90 % of its life.
            Source: xianyu 3
        token_retry_s: after a renewal that failed. Source: xianyu 3
        resume_limit_s: how old a stored position may be to resume from it. Source: xianyu 4
        quiet_check_s: without any push, the newest conversations are looked at after this long;
            0 = never. A link that delivers nothing any more is found so.
        echo_wait_s: how long an unclear send waits for its own echo. Source: xianyu 8
        send_gap_s: between two sends of the account. Source: xianyu 8 (pace)
        picture_type: what `custom.type` says of a picture: clients differ. Source: xianyu 8
        max_failures: then the line is FAILED; 0 = it tries for ever. Source: xianyu 9
        probe_s: how often a line that has FAILED for network reasons alone tries once more.
            Source: guides 5
        debounce_s, debounce_mode: how long to wait for more of the same turn, and that the last
            message of it decides. Source: xianyu 10.3
        stale_after_s: older messages get no automatic answer. Source: xianyu 10.4
        max_message_bytes: 8 MiB. Source: xianyu 1
    """

    credential_key: ClassVar[str] = "cookies"

    role: str = "account"
    link: Literal["listen", "dial"] = "dial"
    path: str = "/"
    cookies: SecretStr = SecretStr("")
    url: str = "wss://wss-goofish.dingtalk.com/"
    http_url: str = "https://h5api.m.goofish.com"
    upload_url: str = "https://stream-upload.goofish.com"
    user_agent: str = Field(USER_AGENT, min_length=1, max_length=512)
    bearer: SecretStr | None = None
    heartbeat_interval_s: float = Field(30.0, ge=1, le=3600)
    heartbeat_timeout_s: float = Field(60.0, ge=1, le=3600)
    register_timeout_s: float = Field(10.0, ge=1, le=120)
    request_timeout_s: float = Field(20.0, ge=1, le=120)
    token_refresh_s: float = Field(3600.0, ge=60)
    token_retry_s: float = Field(600.0, ge=10)
    resume_limit_s: float = Field(86_400.0, ge=0)
    quiet_check_s: float = Field(600.0, ge=0)
    echo_wait_s: float = Field(60.0, ge=0, le=600)
    send_gap_s: float = Field(0.3, ge=0, le=60)
    picture_type: int = Field(1, ge=1, le=2)
    max_failures: int = Field(5, ge=0)
    probe_s: float = Field(300.0, ge=0, le=86_400)
    debounce_s: float = Field(1.0, ge=0, le=60)
    debounce_mode: Literal["merge", "last"] = "last"
    stale_after_s: float = Field(300.0, ge=0)
    max_message_bytes: int = Field(8 << 20, ge=1024, le=104_857_600)

    @field_validator("cookies")
    @classmethod
    def _of_an_account(cls, value: SecretStr) -> SecretStr:
        text = one_line(value.get_secret_value())
        if text and not parse_cookies(text).get("unb"):
            raise ValueError("no unb is among them; copy the whole string from the browser")
        return value

    @field_validator("http_url", "upload_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("write http:// or https://")
        return value

    @property
    def cookie_text(self) -> str:
        """The cookies in clear, on one line."""
        return one_line(self.cookies.get_secret_value())

    @property
    def login(self) -> str:
        """The account at its platform: an emulator's accounts are its own. Source: xianyu 1"""
        host = urlsplit(self.http_url).netloc
        return f"{self.owner}@{host}" if self.owner else ""

    @property
    def owner(self) -> str:
        """`unb` is the account's id. Source: xianyu 1"""
        is_account = self.role == "account"
        return parse_cookies(self.cookie_text).get("unb", "") if is_account else ""

    @property
    def paced_s(self) -> float | None:
        """An account sends one message at a time, a gap apart. Source: xianyu 8 (pace)"""
        return self.send_gap_s if self.role == "account" else None

    @property
    def own_hosts(self) -> frozenset[str]:
        """An emulator runs on this machine: the hosts that the line's owner wrote are meant."""
        return frozenset(urlsplit(url).hostname or "" for url in (self.http_url, self.upload_url))

    @property
    def missing(self) -> tuple[str, ...]:
        """An account cannot log in without cookies; a marketplace needs none."""
        is_needed = self.role == "account" and self.enabled and not self.cookie_text
        return ("cookies",) if is_needed else ()
