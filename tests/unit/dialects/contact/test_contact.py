"""The `Dialect` value."""

from __future__ import annotations

import pytest

from contact_parts import STRANGER, options
from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contact.bot import SiteSession
from trunkline.dialects.contact.platform import VisitorSession
from trunkline.dialects.contract import Admit, Opening
from trunkline.ids import CountingIds
from trunkline.model.address import Chat
from trunkline.model.capability import Traits


def test_roles_and_traits() -> None:
    assert CONTACT.name == "contact"
    assert CONTACT.roles == ("site", "visitor")
    assert (CONTACT.listens, CONTACT.dials) == (("site",), ("visitor",))
    site = Traits(inbound_ack=True, has_reply_expiry=False, is_site=True)
    assert CONTACT.traits["site"] == site
    assert CONTACT.traits["visitor"].send_ack
    assert not CONTACT.traits["visitor"].peer_dedupes


@pytest.mark.parametrize(("role", "kind"), [("site", SiteSession), ("visitor", VisitorSession)])
def test_open_makes_the_session_of_the_role(role: str, kind: type) -> None:
    opening = Opening(role, "", FakeClock(), CountingIds())
    assert type(CONTACT.open(options(), opening)) is kind


def test_admit_lets_visitors_in_with_the_configured_size() -> None:
    assert CONTACT.admit(options(max_message_bytes=4096), STRANGER) == Admit("visitor", 4096)


def test_each_visitor_has_its_own_seat() -> None:
    assert CONTACT.seat_of(Chat("", "visitor", "abc")) == "abc"


def test_paths_are_exact_and_each_once() -> None:
    assert CONTACT.paths(options()) == ("/contact", "/websocket/", "/websocket/contact")
    assert CONTACT.paths(options(path="/a", aliases=("/b", "/a", "/b"))) == ("/a", "/b")


def test_the_delay_is_constant() -> None:
    assert {CONTACT.delay_s(cause, nth) for cause in ("lost", "x") for nth in (1, 9)} == {5.0}
