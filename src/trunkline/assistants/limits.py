"""What a model may say, and how often it is asked.

Source: reliability 8, "Model replies"
"""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from trunkline.clock import Clock
from trunkline.model.message import storable

MAX_ANSWER_CHARS: Final = 1_000
MAX_CONVERSATIONS: Final = 10_000
ECHO_CHARS: Final = 32
MIN_ECHO_CHARS: Final = 12
MIN_SECRET_CHARS: Final = 6
MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0

# Everything is searched on the loop: what an answer cannot need is cut before, and a scheme begins
# at a word's beginning and is short, so that a long word is not searched from each of its letters.
MAX_SEARCHED_CHARS: Final = 8_000
_LINK = re.compile(
    r"(?:(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,15}://|www\.)[^\s<>\"'，。！？、；：）】》」]+",
    re.IGNORECASE,
)
_KEY = re.compile(r"\b(?:sk|pk|tl|ghp|xox[abp])[-_][A-Za-z0-9_-]{16,}")
_ENDS: Final = "。！？.!?\n"
_KEPT_CONTROLS: Final = frozenset("\n\t")


class Blocked(Exception):
    """A text that must not be said; the reason is one word, the detail is for people."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Censor:
    """Looks over what a model said.

    Args:
        prompt: must not be told.
        secrets: must not be told, whoever told them to the model.
        links: hosts that may be named; their subdomains too.
        denied: words that must not be said.
    """

    def __init__(
        self,
        *,
        prompt: str,
        secrets: Iterable[str],
        links: Iterable[str],
        denied: Iterable[str],
    ) -> None:
        self._echoes = _echoes(_squeezed(prompt))
        self._secrets = tuple(one for one in secrets if len(one) >= MIN_SECRET_CHARS)
        self._links = tuple(_host(link) for link in links)
        self._denied = tuple(word.casefold() for word in denied if word.strip())

    def pass_on(self, text: str) -> str:
        """Return the text as it may be said: cleaned, and at most 1,000 characters.

        Raises:
            Blocked: it tells a secret or the prompt, names a link or word that is not allowed, or
                there is nothing to say.
        """
        said = _clean(text[:MAX_SEARCHED_CHARS]).strip()
        if not said:
            raise Blocked("nothing")
        if any(one in said for one in self._secrets) or _KEY.search(said):
            raise Blocked("secret")
        squeezed = _squeezed(said)
        if any(echo in squeezed for echo in self._echoes):
            raise Blocked("prompt")
        folded = unicodedata.normalize("NFKC", said).casefold()
        for word in self._denied:
            if word in folded:
                raise Blocked("denied", word)
        for link in _LINK.findall(said):
            host = _host(link)
            if not any(host == known or host.endswith(f".{known}") for known in self._links):
                raise Blocked("link", host[:80])
        return _cut(said)


class Quota:
    """How often each conversation may ask, and each account on one day.

    Args:
        per_minute, per_day: of one conversation; its last hours are remembered for at most 10,000
            conversations, the longest silent are forgotten first.
        daily: of one account; 0 = no limit.
    """

    def __init__(self, clock: Clock, *, per_minute: int, per_day: int, daily: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._per_day = per_day
        self._daily = daily
        self._asked: OrderedDict[int, deque[float]] = OrderedDict()
        self._accounts: dict[tuple[str, str], deque[float]] = {}

    def take(self, conversation: int, account: tuple[str, str]) -> bool:
        """Count one question; False when it is one too many."""
        now_s = self._clock.monotonic_s()
        asked = self._asked.pop(conversation, None) or deque(maxlen=max(1, self._per_day))
        self._asked[conversation] = asked
        if len(self._asked) > MAX_CONVERSATIONS:
            self._asked.popitem(last=False)
        spent = self._accounts.setdefault(account, deque(maxlen=max(1, self._daily)))
        if len(self._accounts) > MAX_CONVERSATIONS:
            del self._accounts[next(iter(self._accounts))]
        for times in (asked, spent):
            while times and times[0] <= now_s - DAY_S:
                times.popleft()
        lately = sum(at_s > now_s - MINUTE_S for at_s in asked)
        if lately >= self._per_minute or len(asked) >= self._per_day:
            return False
        if self._daily and len(spent) >= self._daily:
            return False
        asked.append(now_s)
        spent.append(now_s)
        return True


def _clean(text: str) -> str:
    """Strip control and format characters (a hidden direction mark turns a link around)."""
    kept = (
        sign
        for sign in storable(text).replace("\r\n", "\n")
        if sign in _KEPT_CONTROLS or unicodedata.category(sign) not in ("Cc", "Cf", "Co", "Cn")
    )
    return "".join(kept)


def _cut(text: str) -> str:
    """Cut at the last sentence that fits."""
    if len(text) <= MAX_ANSWER_CHARS:
        return text
    head = text[: MAX_ANSWER_CHARS - 1]
    end = max(head.rfind(sign) for sign in _ENDS)
    return head[: end + 1].rstrip() if end >= MAX_ANSWER_CHARS // 2 else head + "…"


def _squeezed(text: str) -> str:
    """Return the text without what does not carry it: blanks, punctuation, case, width."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(sign for sign in folded if sign.isalnum())


def _echoes(prompt: str) -> frozenset[str]:
    """Return the pieces of a prompt that give it away."""
    if len(prompt) < MIN_ECHO_CHARS:
        return frozenset()
    size = min(ECHO_CHARS, len(prompt))
    return frozenset(prompt[at : at + size] for at in range(len(prompt) - size + 1))


def _host(link: str) -> str:
    try:
        host = urlsplit(link if "://" in link else f"//{link}").hostname
    except ValueError:
        host = None
    return (host or link).casefold().removeprefix("www.")
