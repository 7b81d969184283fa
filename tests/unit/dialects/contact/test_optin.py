"""Who opts in, and what a session is called."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.contact.extension import FEATURES, MAX_FEATURES, Hello
from trunkline.dialects.contact.optin import derive_session_id, grant, is_token, read_query


def test_a_session_id_is_a_uuid_that_does_not_tell_the_token() -> None:
    token = "0123456789abcdef" * 2
    ident = derive_session_id(token)
    assert (str(UUID(ident)), UUID(ident).version) == (ident, 8)
    assert token[:8] not in ident
    assert derive_session_id(token) == ident
    assert derive_session_id(token[:-1] + "0") != ident
    assert derive_session_id("f" + token[1:]) != ident


@pytest.mark.parametrize(
    ("query", "hello"),
    [
        ({}, None),
        ({"v": "1"}, None),
        ({"v": "-2"}, None),
        ({"v": "2.0"}, None),
        ({"v": "9999"}, None),
        ({"session": "x"}, None),
        ({"v": "2"}, Hello()),
        ({"v": "3"}, Hello()),
        ({"features": ""}, Hello(2, ("",))),
        ({"features": "a,b"}, Hello(2, ("a", "b"))),
        ({"v": "2", "session": "t", "last_message_id": "m"}, Hello(2, None, "t", "m")),
    ],
)
def test_read_query(query: dict[str, str], hello: Hello | None) -> None:
    assert read_query(query) == hello


def test_a_long_list_of_features_is_cut() -> None:
    hello = read_query({"features": "," * 10_000})
    assert hello is not None
    assert hello.features is not None
    assert len(hello.features) == MAX_FEATURES


def test_grant() -> None:
    assert grant(None) == FEATURES
    assert grant(("read", "session", "stream")) == ("session", "read")
    assert grant(("history",)) == ()
    assert grant(()) == ()


@given(st.text())
def test_only_32_lower_case_hexadecimal_digits_are_a_token(text: str) -> None:
    assert is_token(text) == (len(text) == 32 and set(text) <= set("0123456789abcdef"))
