"""Lists for people: pages by cursor on the id, never a scan without an end.

A list of rows in rare states goes by an index. Any other looks through windows of the newest rows;
after `WINDOWS` of them it returns what it has, and a cursor to go on from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from trunkline.store.contract import BadCursor

FIRST: Final = 0
LAST: Final = (1 << 63) - 1
WINDOW: Final = 1000  # rows
WINDOWS: Final = 50


def mask(numbers: Iterable[int]) -> int:
    """Return the numbers as bits, for `(? >> state) & 1`."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits


def read_cursor(cursor: str, default: int) -> int:
    """Return the id of a cursor.

    Raises:
        BadCursor: it is none of ours.
    """
    if not cursor:
        return default
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19):
        raise BadCursor(f"{cursor[:40]!r} is not a cursor of this list")
    return min(int(cursor), LAST)


def page_of(ids: Sequence[int], limit: int) -> tuple[list[int], str]:
    """Cut a page from the ids of a list, read at least one further than the page."""
    page = list(ids[:limit])
    return page, str(page[-1]) if len(ids) > limit and page else ""
