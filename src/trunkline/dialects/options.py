"""The keys that every line has, whatever it speaks. Each dialect adds its own in a subclass.

Values arrive resolved: `config.py` has replaced `{ env = … }` and `{ file = … }` before.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, SecretStr


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Tokens = Annotated[tuple[SecretStr, ...], BeforeValidator(_listed), Field(max_length=2)]


class LineOptions(BaseModel):
    """One `[lines.NAME]` table.

    Attributes:
        dialect: which dialect; chooses the subclass.
        role: who we are on this line; "" = the dialect's first role.
        link: who dials.
        enabled: false = no connection, nothing served.
        alias: what people call the line.
        every_s: seconds between two deliveries of the line, whatever they are; 0 = any.
        daily: deliveries of the line on one day of `[site] utc_offset_h`; more wait for the next
            day, or expire; 0 = any number.
        mode: `auto` answers, `draft` asks a person first, `off` only stores.
        bind: `HOST:PORT` of further sockets that serve only this line's paths.
        tls_cert, tls_key: for those sockets.
        path, aliases: exact paths that the line serves.
        origins: browsers' origins that are let in; for machine lines none, for visitors any.
        token: one or two that are valid at once (rotation); empty = open on loopback only.
        url: what to dial.
        ca_file, pin_sha256, tls_insecure: whom to trust when dialling.
        headers, user_agent, subprotocol: sent when dialling.
        dedupe: false = a repeated message counts as a new one.
        debounce_s: how long to wait for more of the same turn.
        debounce_mode: what rules read of a turn: `merge` all its texts, `last` only the last one.
        max_in_work: turns of one account that are worked on at once; more wait as rows; 0 = any
            number. Visitors have no account and are bounded by the assistant alone.
        takeover_for_s: how long automatic answers are silent in a chat after our own account said
            something that no delivery explains; 0 = not at all.
        stale_after_s: older messages get no automatic answer; 0 = any age does.
        probe_s: how often a line that has FAILED for network reasons alone tries once more; 0 =
            only when somebody asks (`guides 5`).
        reconnect_interval_s, reconnect_backoff, max_failures, jitter: retry (`guides 5`); None =
            the dialect's table.
        heartbeat_interval_s, heartbeat_timeout_s: protocol pings of the link.
        max_message_bytes: of one WebSocket message.
        connections_per_address: open links of one address; more get HTTP 429; 0 = no limit.
        retention_days: how long bodies are kept; None = the dialect's default.
        carries: the line that this one presents to who is on it; only for a role that plays a
            platform (onebot11 implementation).
        replay_s: how long what was said on the carried line waits for a framework that is away;
            0 = not at all, less than 10 counts as 10; None = until more than 1,000 messages wait.
        loop_guard: on lines of platforms with accounts (boss, onebot11, xianyu): more than 5
            automatic answers to one chat within a minute look like two machines that talk to each
            other, and the chat gets none for 10 minutes; false = answer whatever comes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    # Which key holds what the account logs in with, so that it can be given anew; "" = none does.
    credential_key: ClassVar[str] = ""
    # Which key names a picture in the configuration's folder that sessions need; "" = none does.
    picture_key: ClassVar[str] = ""

    _picture: bytes = PrivateAttr(b"")

    dialect: str
    role: str = ""
    link: Literal["listen", "dial"] = "listen"
    enabled: bool = True
    alias: str = ""
    mode: Literal["auto", "draft", "off"] = "auto"
    every_s: float = Field(0.0, ge=0, le=3600)
    daily: int = Field(0, ge=0, le=1_000_000)
    bind: Names = ()
    tls_cert: str = ""
    tls_key: SecretStr | None = None
    path: str = ""
    aliases: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: Tokens = ()
    url: str = ""
    ca_file: str = ""
    pin_sha256: str = ""
    tls_insecure: bool = False
    headers: dict[str, SecretStr] = {}
    user_agent: str = ""
    subprotocol: str = ""
    dedupe: bool = True
    debounce_s: float = Field(0.0, ge=0, le=60)
    debounce_mode: Literal["merge", "last"] = "merge"
    max_in_work: int = Field(100, ge=0, le=10_000)
    takeover_for_s: float = Field(600.0, ge=0, le=86_400)
    stale_after_s: float = Field(0.0, ge=0)
    probe_s: float = Field(0.0, ge=0, le=86_400)
    reconnect_interval_s: float | None = Field(None, gt=0, le=3600)
    reconnect_backoff: bool = False
    max_failures: int = Field(0, ge=0)
    jitter: float | None = Field(None, ge=0, le=1)
    heartbeat_interval_s: float = Field(20.0, ge=1, le=3600)
    heartbeat_timeout_s: float = Field(20.0, ge=1, le=3600)
    max_message_bytes: int = Field(1 << 20, ge=1024, le=104_857_600)
    connections_per_address: int = Field(50, ge=0)
    retention_days: float | None = Field(None, gt=0)
    carries: str = ""
    replay_s: float | None = Field(None, ge=0)
    loop_guard: bool = True

    @property
    def tokens(self) -> tuple[str, ...]:
        """The valid tokens in clear, for constant-time comparison."""
        return tuple(token.get_secret_value() for token in self.token)

    @property
    def picture(self) -> bytes:
        """The picture that `picture_key` names, b"" when there is none."""
        return self._picture

    def with_picture(self, data: bytes) -> Self:
        """Return a copy that has this picture; whoever read the file calls it."""
        copy = self.model_copy()
        copy._picture = data  # noqa: SLF001 - our own copy
        return copy

    @property
    def ping_s(self) -> float:
        """Seconds between two protocol pings of a link."""
        return self.heartbeat_interval_s

    @property
    def door_tokens(self) -> dict[str, tuple[str, ...]]:
        """What opens a door of this line to a stranger, by key: each must be strong there."""
        return {"token": self.tokens}

    @property
    def paced_s(self) -> float | None:
        """Seconds between two deliveries of an account that leave singly; None = as they come."""
        return None

    @property
    def reports_own(self) -> bool:
        """Whether a line that carries another shows what we say there to who is on it."""
        return False

    @property
    def own_hosts(self) -> frozenset[str]:
        """Hosts that a `Fetch` of this line may reach though their address is private."""
        return frozenset()

    @property
    def login(self) -> str:
        """Equal for two lines of one dialect that log in as the same account; "" = unknown.

        Never the credential itself.
        """
        return ""

    @property
    def owner(self) -> str:
        """The account's id, where the credential tells it, also a renewed one; "" = it does not."""
        return ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys that are empty and without which this line cannot work."""
        return ()
