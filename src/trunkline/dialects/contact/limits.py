"""Counts of what one connection may still do (`contact 8`). Time comes in as monotonic seconds."""

from __future__ import annotations

from collections import deque

from trunkline.dialects.contact.options import ContactOptions


class Limits:
    """The limits of one connection and how much of them is used.

    Args:
        options: the limits; 0 = off.
    """

    def __init__(self, options: ContactOptions) -> None:
        self._burst = float(options.chat_burst)
        self._refill_per_s = options.chat_refill_per_s if options.chat_burst else 0.0
        self._tokens = self._burst
        self._filled_s = 0.0
        self._requests = deque[float](maxlen=options.requests_per_connection)
        self._requests_window_s = options.requests_connection_window_s
        self._pings_per_s = options.pings_per_s
        self._pings = 0
        self._pings_since_s = 0.0
        self._rejects = deque[float](maxlen=options.rejected_frames)
        self._rejects_window_s = options.rejected_window_s

    def chat_wait_s(self, now_s: float) -> float:
        """Take a token; without one return how long until there is one, else 0."""
        refill = self._refill_per_s
        if not refill:
            return 0.0
        tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * refill)
        self._filled_s = now_s
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            return 0.0
        self._tokens = tokens
        return (1.0 - tokens) / refill

    def request_wait_s(self, now_s: float) -> float:
        """Count a contact request; return how long until one is allowed, else 0."""
        times = self._requests
        if times.maxlen and len(times) == times.maxlen:
            wait_s = times[0] + self._requests_window_s - now_s
            if wait_s > 0:
                return wait_s
        times.append(now_s)
        return 0.0

    def may_pong(self, now_s: float) -> bool:
        """Count a ping; whether it is answered."""
        if now_s - self._pings_since_s >= 1.0:
            self._pings_since_s = now_s
            self._pings = 0
        self._pings += 1
        return not self._pings_per_s or self._pings <= self._pings_per_s

    def is_too_much(self, now_s: float) -> bool:
        """Count a rejected frame; whether these are too many of them."""
        times = self._rejects
        times.append(now_s)
        full = times.maxlen and len(times) == times.maxlen
        return bool(full) and now_s - times[0] <= self._rejects_window_s
