"""Whom the account talks with: what a number leads to. Bounded; the site has the truth.

Source: boss 3, 6.8
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.dialects.boss.http import Contact

REMEMBERED: Final = 5_000


class Contacts:
    """Contacts by (uid, source)."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int], Contact] = OrderedDict()

    def know(self, contacts: Iterable[Contact]) -> None:
        """Remember contacts; what a later answer leaves out stays as it was."""
        for one in contacts:
            place = (one.uid, one.source)
            before = self._known.get(place)
            if before is not None:
                one = msgspec.structs.replace(  # noqa: PLW2901 - the same contact, completed
                    one,
                    key=one.key or before.key,
                    security_id=one.security_id or before.security_id,
                    name=one.name or before.name,
                )
            self._known[place] = one
            self._known.move_to_end(place)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def get(self, uid: int, source: int) -> Contact | None:
        """Return what is known of somebody."""
        return self._known.get((uid, source))
