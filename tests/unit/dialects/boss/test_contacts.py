"""Contacts: completed, never emptied, bounded."""

from __future__ import annotations

from trunkline.dialects.boss.contacts import REMEMBERED, Contacts
from trunkline.dialects.boss.http import Contact


def test_a_later_answer_completes_and_takes_nothing_away() -> None:
    contacts = Contacts()
    contacts.know([Contact(5, "key", "sec", 0, "name")])
    contacts.know([Contact(5, "", "newer", 0, "")])
    assert contacts.get(5, 0) == Contact(5, "key", "newer", 0, "name")
    assert contacts.get(5, 1) is None


def test_the_oldest_are_forgotten() -> None:
    contacts = Contacts()
    contacts.know(Contact(uid) for uid in range(1, REMEMBERED + 2))
    assert contacts.get(1, 0) is None
    assert contacts.get(2, 0) is not None
