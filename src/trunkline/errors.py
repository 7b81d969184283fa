"""The error tree. Every class says what a loop may do next; loops read it and decide nothing.

    TrunklineError
    ├─ ConfigError                 all problems at once; never retried
    ├─ DataDirInUse                another process owns the data folder (exit 73)
    ├─ UnsafeConfig                a bind that would be open to strangers (exit 78)
    ├─ WireError                   WireMalformed · WireTooLarge · WireTruncated
    ├─ ProtocolError               LocalProtocolError (our fault) · RemoteProtocolError (peer's)
    ├─ LinkError                   LinkRefused(status) · LinkLost(code) · LinkTimeout
    ├─ CredentialError             CredentialsExpired · CredentialsRejected · ChallengeRequired
    ├─ DeliveryError               DeliveryRefused · DeliveryThrottled(wait_s) · DeliveryUncertain
    ├─ StoreError                  StoreUnavailable · StoreFull · StoreDamaged · StoreTooNew
    │                              · AlreadySeen · LeaseLost
    └─ StageError                  one stage failed; the turn goes on or is parked

The class docstring is the default text. Imports nothing of the house.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Retry(Enum):
    """What a loop does with an error."""

    NEVER = "never"
    NOW = "now"
    BACKOFF = "backoff"
    AFTER = "after"  # the error carries `wait_s`


class TrunklineError(Exception):
    """Something in trunkline went wrong."""

    retry: ClassVar[Retry] = Retry.NEVER

    def __str__(self) -> str:
        # A class without a docstring says its name rather than nothing.
        return super().__str__() or (self.__doc__ or type(self).__name__).strip().splitlines()[0]


class ConfigError(TrunklineError):
    """The configuration has problems.

    Args:
        problems: one sentence each, with table and key, in file order; never empty.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataDirInUse(TrunklineError):
    """Another trunkline process uses this data folder."""

    def __init__(self, path: str, owner: str) -> None:
        super().__init__(f"data folder {path} is in use by {owner}")
        self.path = path
        self.owner = owner


class UnsafeConfig(TrunklineError):
    """The configuration would let strangers in."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("\n".join(missing))
        self.missing = missing


class WireError(TrunklineError):
    """Bytes do not follow their format."""


class WireMalformed(WireError):
    """The bytes are not what the format allows.

    Args:
        reason: a short stable word (`not_json`, `bad_segment`), used as label and in answers.
        detail: which field or value, already safe to show to the peer.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class WireTooLarge(WireError):
    """A value is larger than its bound."""


class WireTruncated(WireError):
    """More bytes are needed. Internal to stream decoders."""

    retry = Retry.NOW


class ProtocolError(TrunklineError):
    """A rule of a protocol was broken."""


class LocalProtocolError(ProtocolError):
    """Our own code asked a session for something that its state does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer did something that its protocol does not allow."""

    retry = Retry.BACKOFF


class LinkError(TrunklineError):
    """A link could not be opened or did not last."""

    retry = Retry.BACKOFF


class LinkRefused(LinkError):
    """The peer answered the upgrade with an HTTP status other than 101."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(f"refused with HTTP {status}{': ' + text if text else ''}")
        self.status = status


class LinkLost(LinkError):
    """The link ended.

    Args:
        code: the WebSocket close code received, 1006 when none was.
        reason: the peer's text, at most 123 bytes.
    """

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(f"closed {code}{': ' + reason if reason else ''}")
        self.code = code
        self.reason = reason


class LinkTimeout(LinkError):
    """The peer did not answer in time."""


class CredentialError(TrunklineError):
    """A credential does not work."""


class CredentialsExpired(CredentialError):
    """The credential ran out and can be renewed."""

    retry = Retry.NOW


class CredentialsRejected(CredentialError):
    """The platform refuses the credential; a person must give a new one."""


class ChallengeRequired(CredentialError):
    """The platform asks for verification by a person."""


class DeliveryError(TrunklineError):
    """A delivery did not go as wanted."""


class DeliveryRefused(DeliveryError):
    """The peer refused the message."""


class DeliveryThrottled(DeliveryError):
    """The peer asks us to wait."""

    retry = Retry.AFTER

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"wait {wait_s:g} s")
        self.wait_s = wait_s


class DeliveryUncertain(DeliveryError):
    """Nobody can know whether the message arrived."""


class StoreError(TrunklineError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """The store does not answer now."""

    retry = Retry.BACKOFF


class StoreFull(StoreUnavailable):
    """The disk is full. Nothing is acknowledged until there is room again."""


class StoreDamaged(StoreUnavailable):
    """The data file is damaged; a backup must be restored."""


class AlreadySeen(StoreError):
    """The row exists already."""


class LeaseLost(StoreError):
    """Another instance owns this account now."""


class StoreTooNew(StoreError):
    """The data was written by a newer version of trunkline."""


class StageError(TrunklineError):
    """A pipeline stage failed."""
