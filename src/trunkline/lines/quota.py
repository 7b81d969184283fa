"""How much one address may have: open links, new ones a second, failed log-ins.

The book is bounded: an address without open links is forgotten when nothing about it matters any
more, at the latest when the book is full. Loopback is not counted by whoever asks.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

import msgspec

from trunkline.clock import Clock

_MAX_ADDRESSES: Final = 20_000
_MINUTE_S: Final = 60.0


class QuotaRules(msgspec.Struct, frozen=True):
    """The bounds of one address. Source: reliability 8.

    Args:
        max_links: open links of the whole process.
        new_per_s: refill of the bucket of new links.
        new_burst: its size.
        failures_per_min: failed log-ins; one more locks the address out.
        lockout_s: for so long.
    """

    max_links: int = 10_000
    new_per_s: float = 20.0
    new_burst: int = 100
    failures_per_min: int = 10
    lockout_s: float = 300.0


class _Account:
    """What is known of one address."""

    __slots__ = ("failures", "failures_since_s", "links", "locked_until_s", "seen_s", "tokens")

    def __init__(self, now_s: float, tokens: float) -> None:
        self.links = 0
        self.tokens = tokens
        self.seen_s = now_s
        self.failures = 0
        self.failures_since_s = now_s
        self.locked_until_s = 0.0


class Quota:
    """Counts per address.

    Args:
        clock: monotonic time.
        rules: the bounds.
    """

    def __init__(self, clock: Clock, rules: QuotaRules) -> None:
        self._clock = clock
        self._rules = rules
        # Least recently seen first.
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self.links = 0

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._accounts)

    @property
    def is_full(self) -> bool:
        """Whether the process has as many links as it may."""
        return self.links >= self._rules.max_links

    def enter(self, address: str | None) -> None:
        """A link was opened; None = an address that is not counted."""
        self.links += 1
        if address is not None:
            self._account(address).links += 1

    def leave(self, address: str | None) -> None:
        """A link that entered is gone."""
        self.links -= 1
        if address is not None:
            account = self._accounts.get(_group(address))
            if account is not None:
                account.links -= 1

    def ask(self, address: str, max_links: int) -> str:
        """Take one from the bucket of new links; 0 = no limit of links. Returns why not, or ""."""
        account = self._account(address)
        now_s = self._clock.monotonic_s()
        if now_s < account.locked_until_s:
            return "too many failed log-ins; try again in a few minutes"
        if account.tokens < 1:
            return "too many new connections; slow down"
        account.tokens -= 1
        if max_links and account.links >= max_links:
            return f"more than {max_links} connections from one address"
        return ""

    def is_locked_out(self, address: str) -> bool:
        """Whether too many log-ins of an address failed."""
        return self._clock.monotonic_s() < self._account(address).locked_until_s

    def fail(self, address: str) -> None:
        """A log-in failed; one too many in a minute locks the address out."""
        account = self._account(address)
        now_s = self._clock.monotonic_s()
        if now_s - account.failures_since_s >= _MINUTE_S:
            account.failures = 0
            account.failures_since_s = now_s
        account.failures += 1
        if account.failures >= self._rules.failures_per_min:
            account.locked_until_s = now_s + self._rules.lockout_s

    def _account(self, address: str) -> _Account:
        address = _group(address)
        now_s = self._clock.monotonic_s()
        rules = self._rules
        account = self._accounts.get(address)
        if account is None:
            self._forget(now_s)
            account = self._accounts[address] = _Account(now_s, rules.new_burst)
            return account
        self._accounts.move_to_end(address)
        refill = (now_s - account.seen_s) * rules.new_per_s
        account.tokens = min(rules.new_burst, account.tokens + refill)
        account.seen_s = now_s
        return account

    def _forget(self, now_s: float) -> None:
        """Make room for a new address, a few steps each time."""
        for address in list(_first(self._accounts, 4)):
            account = self._accounts[address]
            is_full = len(self._accounts) >= _MAX_ADDRESSES
            is_stale = now_s - max(account.seen_s, account.locked_until_s) > _MINUTE_S
            if account.links == 0 and (is_stale or is_full):
                del self._accounts[address]
            else:
                # Open links keep it: at most `max_links` accounts are held for that reason.
                self._accounts.move_to_end(address)


def _first(accounts: OrderedDict[str, _Account], count: int) -> list[str]:
    found: list[str] = []
    for address in accounts:
        if len(found) == count:
            break
        found.append(address)
    return found


def _group(address: str) -> str:
    """Return what is counted together: one IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
