"""The `Dialect` value."""

from __future__ import annotations

import pytest

from contact_parts import STRANGER, options
from trunkline.clock import FakeClock
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contact.operators import OperatorSession
from trunkline.dialects.contact.platform import VisitorSession
from trunkline.dialects.contact.visits import VisitSession
from trunkline.dialects.contract import Admit, Head, Opening, Refuse
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


@pytest.mark.parametrize(("role", "kind"), [("site", VisitSession), ("visitor", VisitorSession)])
def test_open_makes_the_session_of_the_role(role: str, kind: type) -> None:
    opening = Opening(role, "", FakeClock(), CountingIds())
    assert type(CONTACT.open(options(), opening)) is kind


def test_admit_lets_visitors_in_with_the_configured_size() -> None:
    assert CONTACT.admit(options(max_message_bytes=4096), STRANGER) == Admit("visitor", 4096)


def knock(headers: dict[str, str] | None = None, **keys: object) -> Admit | Refuse:
    head = Head("/contact/operator", headers={"host": "site:8080", **(headers or {})})
    return CONTACT.admit(options(operator_token="secret", **keys), head)


def test_operators_show_their_token_at_the_door_or_in_the_first_frame() -> None:
    assert knock({"authorization": "Bearer secret"}) == Admit("operator", 1 << 20)
    assert knock({"authorization": "bearer  secret"}) == Admit("operator", 1 << 20)
    assert knock() == Admit("operator-unknown", 1 << 20)
    for header in ("Bearer wrong", "Bearer", "", "secret", "Basic secret", "Bearer \xe4"):
        refused = knock({"authorization": header})
        assert isinstance(refused, Refuse)
        assert refused.status == 401
        assert "secret" not in refused.text


def test_a_page_may_be_an_operator_from_its_own_origin_only() -> None:
    good = {"authorization": "Bearer secret"}
    assert isinstance(knock({"origin": "https://site:8080", **good}), Admit)
    refused = knock({"origin": "https://evil", **good})
    assert isinstance(refused, Refuse)
    assert refused.status == 403
    assert isinstance(knock({"origin": "https://evil"}, origins=("https://evil",)), Admit)
    assert isinstance(knock({"origin": "null", **good}), Refuse)


def test_the_operators_session() -> None:
    for kind in ("operator", "operator-unknown"):
        opening = Opening("site", kind, FakeClock(), CountingIds())
        session = CONTACT.open(options(operator_token="secret"), opening)
        assert type(session) is OperatorSession


def test_without_a_token_operators_have_no_path() -> None:
    assert "/contact/operator" not in CONTACT.paths(options())
    with_token = CONTACT.paths(options(operator_token="secret"))
    assert with_token == ("/contact", "/websocket/", "/websocket/contact", "/contact/operator")
    head = Head("/contact/operator", headers={"authorization": "Bearer x"})
    assert CONTACT.admit(options(), head) == Admit("visitor", 1 << 20)


def test_each_visitor_has_its_own_seat() -> None:
    assert CONTACT.seat_of(Chat("", "visitor", "abc")) == "abc"


def test_paths_are_exact_and_each_once() -> None:
    assert CONTACT.paths(options()) == ("/contact", "/websocket/", "/websocket/contact")
    assert CONTACT.paths(options(path="/a", aliases=("/b", "/a", "/b"))) == ("/a", "/b")


def test_the_delay_is_constant() -> None:
    assert {CONTACT.delay_s(cause, nth) for cause in ("lost", "x") for nth in (1, 9)} == {5.0}


@pytest.mark.parametrize(
    ("headers", "query", "claim"),
    [
        ({}, {"v": "2"}, True),
        ({}, {"features": "a"}, True),
        ({}, {"session": "t"}, True),
        ({"authorization": "x"}, {"v": "2"}, False),
        ({"authorization": "Bearer x"}, {}, False),
        ({"origin": "https://example.org"}, {}, None),  # a page may speak anything
        ({}, {}, None),
    ],
)
def test_what_a_head_tells_on_a_shared_path(headers, query, claim) -> None:
    """Source: guides 6"""
    assert CONTACT.claims is not None
    assert CONTACT.claims(Head("/ws", query, headers)) is claim


@pytest.mark.parametrize(
    ("data", "is_ours"),
    [
        (b'{"type": "ping"}', True),
        (b'{"type": "contact_request"}', True),
        (b'{"type": "hello", "v": 2}', True),
        (b"", True),  # it waits for our greeting
        (b'{"type": "pong"}', False),
        (b'{"type": 1}', False),
        (b'{"message_info": {}}', False),
        (b'["type"]', False),
        (b"ping", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_what_a_first_message_tells_on_a_shared_path(data, is_ours) -> None:
    assert CONTACT.recognises is not None
    assert CONTACT.recognises(data) is is_ours
