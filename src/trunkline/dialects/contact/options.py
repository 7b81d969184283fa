"""The keys of a contact line: paths, language, greeting and the limits of `contact 8`.

A limit of 0 is off. What the peer and the wire fix (types, codes, ids) is no option.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from trunkline.dialects.options import LineOptions

# Source: guides 6: the proxy sample of the guide forwards `/websocket/…` unchanged (contact 2).
PATH = "/contact"
ALIASES = ("/websocket/", "/websocket/contact")


class ContactOptions(LineOptions):
    """One `[lines.NAME]` table with `dialect = "contact"`.

    Attributes:
        language: of the human texts in frames; programs read only `type` and the code fields.
        greeting: text of the first frame; "" = the language's own.
        message_chars: longest `message` that is accepted, in characters.
        chat_burst, chat_refill_per_s: token bucket of chat messages per connection; either
            0 = off.
        requests_per_connection, requests_connection_window_s: contact requests of one connection.
        requests_per_address, requests_address_window_s: contact requests of one address; peers on
            loopback are not counted.
        pings_per_s: application pings answered; more are ignored.
        rejected_frames, rejected_window_s: so many rejected frames within the window close the
            connection with 1008.
        idle_timeout_s: a connection without an application frame for so long closes with 1000.
        connections_per_address: open connections from one address; more get HTTP 429.
        ping_interval_s: how often a visitor of ours sends an application ping.
        operator_token: opens `<path>/operator` to who knows it; None = there is no such path.
        session: a visitor of ours keeps its session over reconnects, when the site grants one.
    """

    path: str = PATH
    aliases: tuple[str, ...] = ALIASES
    heartbeat_timeout_s: float = Field(10.0, ge=1, le=3600)  # Source: contact 7
    retention_days: float | None = Field(180.0, gt=0)  # Source: contact 9.4
    language: Literal["zh", "en"] = "zh"
    greeting: str = Field("", max_length=1000)
    message_chars: int = Field(10_000, ge=0)
    chat_burst: int = Field(20, ge=0, le=100_000)
    chat_refill_per_s: float = Field(1.0, ge=0)
    requests_per_connection: int = Field(10, ge=0, le=10_000)
    requests_connection_window_s: float = Field(600.0, gt=0)
    requests_per_address: int = Field(200, ge=0)
    requests_address_window_s: float = Field(3600.0, gt=0)
    pings_per_s: int = Field(10, ge=0)
    rejected_frames: int = Field(20, ge=0, le=10_000)
    rejected_window_s: float = Field(60.0, gt=0)
    idle_timeout_s: float = Field(0.0, ge=0)
    connections_per_address: int = Field(1000, ge=0)
    ping_interval_s: float = Field(25.0, ge=0)  # Source: contact 7
    operator_token: SecretStr | None = Field(None, min_length=1)
    session: bool = False

    @property
    def operator_path(self) -> str:
        """The exact path of operators, "" while they are not let in. Source: contact 9.3"""
        return f"{self.path.rstrip('/')}/operator" if self.operator_token is not None else ""

    @property
    def door_tokens(self) -> dict[str, tuple[str, ...]]:
        """What opens a door to a stranger: visitors need nothing, operators their token."""
        if self.operator_token is None:
            return {}
        return {"operator_token": (self.operator_token.get_secret_value(),)}

    @model_validator(mode="after")
    def _visitors_have_no_token(self) -> ContactOptions:
        if self.token and self.role != "visitor":
            raise ValueError("visitors carry no token; remove `token` from this contact line")
        return self
