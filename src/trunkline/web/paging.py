"""Pages of lists: a cursor is the store's own, and one that is not says so.

Each list continues by the `cursor` of its last page. A cursor that this list never gave is the
caller's mistake (422), not the store's fault.
"""

from __future__ import annotations

from collections.abc import Awaitable

from trunkline.store.contract import Page

from .problem import Problem, Said


async def read_page(asked: Awaitable[Page]) -> Page:
    """Return the page that the store was asked for.

    Raises:
        Problem: `invalid`, when the cursor is not of this list.
    """
    try:
        return await asked
    except ValueError as error:
        raise Problem("invalid", NO_CURSOR) from error


def read_row_cursor(cursor: str) -> int:
    """Return the row id of a cursor that is one; 0 for the first page.

    Raises:
        Problem: `invalid`.
    """
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19):
        raise Problem("invalid", NO_CURSOR)
    return min(int(cursor), (1 << 63) - 1)


NO_CURSOR = Said("cursor 不是这个列表给出的", "cursor: it is not one that this list gave")
