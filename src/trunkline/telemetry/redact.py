"""Taking secrets and control characters out of text. Imports nothing of the house."""

from __future__ import annotations

import base64
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "•••"
MAX_SECRETS: Final = 10_000
_SHORT_CHARS: Final = 4
_GENERATIONS: Final = 3  # of renewed secrets: lines that are still under way may hold the last ones

# C0, DEL, C1, line and paragraph separators, and what turns text around in a terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Redactor:
    """Replaces registered secrets by `•••`: raw, URL-encoded and base64 forms.

    A secret shorter than four characters (loopback only) is replaced where it stands alone, or
    nothing would be readable. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._words: set[str] = set()
        self._renewed: dict[str, deque[frozenset[str]]] = {}
        self._pattern: re.Pattern[str] | None = None
        self._is_stale = False
        self._lock = threading.Lock()

    def register(self, secrets: Iterable[str]) -> None:
        """Take secrets for good; empty ones are skipped.

        Raises:
            ValueError: there would be more than `MAX_SECRETS`.
        """
        with self._lock:
            for secret in secrets:
                if len(secret) < _SHORT_CHARS:
                    self._words.add(secret)
                else:
                    self._forms.update(_forms(secret))
            self._words.discard("")
            if len(self._forms) + len(self._words) > 10 * MAX_SECRETS:
                raise ValueError(f"more than {MAX_SECRETS} secrets")
            self._is_stale = True

    def renew(self, owner: str, secrets: Iterable[str]) -> None:
        """Take what an owner logs in with now; what it had three renewals ago is forgotten."""
        fresh = frozenset(secret for secret in secrets if len(secret) >= _SHORT_CHARS)
        with self._lock:
            known = self._renewed.setdefault(owner, deque(maxlen=_GENERATIONS))
            if not fresh or any(fresh == older for older in known):
                return
            known.append(fresh)
            self._is_stale = True

    def _compile(self) -> re.Pattern[str] | None:
        """Compile at the first line that is written after a change, not at each change."""
        with self._lock:
            if self._is_stale:
                renewed = {
                    form
                    for known in self._renewed.values()
                    for generation in known
                    for secret in generation
                    for form in _forms(secret)
                }
                # The longest first: a form must not be cut by a shorter one inside it.
                longest = sorted(self._forms | renewed, key=len, reverse=True)
                parts = [re.escape(form) for form in longest]
                parts += [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(self._words)]
                self._pattern = re.compile("|".join(parts)) if parts else None
                self._is_stale = False
            return self._pattern

    def clean(self, text: str) -> str:
        """Return `text` without secrets and with control characters escaped."""
        return escape(self.mask(text))

    def mask(self, text: str) -> str:
        """Return `text` without secrets."""
        pattern = self._compile() if self._is_stale else self._pattern
        return text if pattern is None else pattern.sub(MASK, text)


def escape(text: str) -> str:
    r"""Escape control characters as `\n`, `\x1b` …, and lone surrogates, which no file takes."""
    if text.isascii() and text.isprintable():
        return text
    escaped = _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)
    return _LONE_SURROGATE.sub("\ufffd", escaped)


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may look inside other text."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield escape(secret)
    data = secret.encode("utf-8", "replace")
    for offset in range(3):
        # Inside longer base64 (`user:secret`) a text has three alignments; the characters at the
        # edges depend on the neighbours and are left out.
        head = (offset * 4 + 2) // 3
        tail = (offset + len(data)) * 4 // 3
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(b"\0" * offset + data).decode()[head:tail]
            if len(core) >= _SHORT_CHARS:
                yield core
