"""Keywords: folding, and one automaton over all of them.

`ahocorasick_rs` lives in this file only. *LeftmostFirst* would give the earliest position and not
the best rule, so all overlapping hits are taken and the caller keeps the best of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from unicodedata import normalize

from ahocorasick_rs import AhoCorasick, MatchKind

from trunkline.model.message import storable

# Nested keywords on equal characters give hits by the square (Source: measurements, "msgspec
# refuses NaN …": 199 keywords on 10,000 characters cost 1.1 s), so only the beginning is read.
MAX_CHARS: Final = 2_000

# What Chinese keyboards write in nearly every message. Replaced before normalising, which is then
# a mere check (0.1 µs) instead of a rewrite (2.7 µs); the result is the same, since both have one
# compatibility decomposition.
_WIDE: Final = tuple((chr(ord(sign) + 0xFEE0), sign) for sign in "?,!:;()~")


def fold(text: str) -> str:
    """Return the first 2,000 characters of `text` as keywords see them: NFKC, case-folded.

    The result is cut to 2,000 characters again, since folding may lengthen. Whatever `text` is,
    the result can be encoded.
    """
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS]
    if text.isascii():
        return text.lower()
    for wide, sign in _WIDE:
        text = text.replace(wide, sign)
    text = normalize("NFKC", text).casefold()
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS]


class Automaton:
    """Finds which of many folded words occur in a folded text.

    Args:
        words: distinct and not empty; their positions are what `hits` returns.
    """

    __slots__ = ("_find",)

    def __init__(self, words: Sequence[str]) -> None:
        automaton = AhoCorasick(words, MatchKind.Standard, store_patterns=False)
        self._find = automaton.find_matches_as_indexes

    def hits(self, folded: str) -> Iterable[int]:
        """Return the positions of all words that occur in `folded`, ascending, each once."""
        try:
            found = self._find(folded, True)  # noqa: FBT003 - the library takes it by position
        except UnicodeEncodeError:
            # Texts are made storable at the door; what comes another way must not raise either.
            found = self._find(storable(folded), True)  # noqa: FBT003 - as above
        if len(found) < 2:
            return (found[0][0],) if found else ()
        return sorted({hit[0] for hit in found})
