"""The dialect value: who is let in, which session is made."""

from __future__ import annotations

import pytest

from maim_lines import opening, options
from trunkline.dialects.contract import Admit, Head, Refuse
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.api import ApiSession
from trunkline.dialects.maim.bot import CoreSession, DeniedSession
from trunkline.dialects.maim.platform import AdapterSession
from trunkline.model.address import Chat
from trunkline.model.capability import Traits

TOKENS = ("T0-old", "caf\xe9")


def kind(headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> str:
    admitted = MAIM.admit(options(token=TOKENS), Head("/ws", query or {}, headers or {}))
    assert isinstance(admitted, Admit)
    return admitted.kind


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "T0-old"}, {}),
        ({"authorization": "Bearer T0-old"}, {}),
        ({"authorization": "bearer  T0-old"}, {}),
        ({"authorization": "caf\xe9".encode().decode("latin-1")}, {}),
        ({}, {"token": "T0-old"}),
        ({}, {"token": "caf\xe9"}),
        ({}, {"token": "T0-old", "platform": "x"}),
        ({"authorization": "T0-old"}, {"token": "bad"}),
    ],
)
def test_who_is_let_in(headers: dict[str, str], query: dict[str, str]) -> None:
    assert kind(headers, query) == "core"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, {}),
        ({"authorization": ""}, {}),
        ({"authorization": "Bearer "}, {}),
        ({"authorization": "Bearer"}, {}),
        ({"authorization": "T0-ol"}, {}),
        ({"authorization": "T0-old2"}, {}),
        ({"authorization": "bad"}, {"token": "T0-old"}),  # headers win
        ({"authorization": ""}, {"token": "T0-old"}),
        ({"authorization": "\udcff"}, {}),
        ({}, {"token": ""}),
    ],
)
def test_who_is_denied(headers: dict[str, str], query: dict[str, str]) -> None:
    assert kind(headers, query) == "denied"


def test_without_tokens_everybody_is_let_in() -> None:
    admitted = MAIM.admit(options(), Head("/ws", {}, {"authorization": "whatever"}))
    assert admitted == Admit("core", 64 << 20)


def test_a_platform_must_be_storable() -> None:
    assert isinstance(MAIM.admit(options(), Head("/ws", {"platform": "p" * 512})), Admit)
    refused = MAIM.admit(options(), Head("/ws", {"platform": "p" * 513}))
    assert isinstance(refused, Refuse)
    assert refused.status == 400


def test_sessions() -> None:
    line = options()
    assert isinstance(MAIM.open(line, opening("core")), CoreSession)
    assert isinstance(MAIM.open(line, opening("core", kind="denied")), DeniedSession)
    assert isinstance(MAIM.open(line, opening("adapter", kind="")), AdapterSession)
    assert isinstance(MAIM.open(line, opening("core", kind="api")), ApiSession)
    assert isinstance(MAIM.open(line, opening("adapter", kind="api")), ApiSession)
    assert isinstance(MAIM.open(line, opening("adapter", kind="denied")), DeniedSession)
    dialled = options(role="adapter", link="dial", api=True)
    assert isinstance(MAIM.open(dialled, opening("adapter", kind="")), ApiSession)


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ({"api_key": "T0-old"}, {}, "api"),
        ({"api_key": "caf\xe9"}, {}, "api"),
        ({}, {"x-apikey": "T0-old"}, "api"),
        ({}, {"x-apikey": "caf\xe9".encode().decode("latin-1")}, "api"),
        ({"api_key": "T0-old"}, {"x-apikey": "bad"}, "api"),  # the query wins
        ({"api_key": ""}, {"x-apikey": "T0-old"}, "api"),
        ({"api_key": "bad"}, {"x-apikey": "T0-old"}, "denied"),
        ({"api_key": "T0-ol"}, {}, "denied"),
        ({"api_key": ""}, {}, "denied"),
        ({}, {"x-apikey": ""}, "denied"),
        # A token is no key: this is the other line.
        ({"api_key": ""}, {"authorization": "T0-old"}, "denied"),
        ({"token": "T0-old"}, {"x-apikey": "bad"}, "denied"),
    ],
)
def test_a_key_is_the_line_s_token(
    query: dict[str, str], headers: dict[str, str], expected: str
) -> None:
    assert kind(headers, query) == expected


def test_without_tokens_every_key_is_let_in_and_a_long_platform_is_not() -> None:
    head = Head("/ws", {"api_key": "any", "platform": "p" * 512})
    assert MAIM.admit(options(), head) == Admit("api", 64 << 20)
    refused = MAIM.admit(options(), Head("/ws", {"api_key": "any", "platform": "p" * 513}))
    assert isinstance(refused, Refuse)
    assert refused.status == 400


def test_an_adapter_that_is_dialled_checks_tokens_too() -> None:
    line = options(role="adapter", token=TOKENS)
    for headers, expected in (({"authorization": "T0-old"}, "core"), ({}, "denied")):
        admitted = MAIM.admit(line, Head("/ws", {}, headers))
        assert isinstance(admitted, Admit)
        assert admitted.kind == expected


def test_the_dialect() -> None:
    assert (MAIM.name, MAIM.roles, MAIM.listens, MAIM.dials) == (
        "maim", ("core", "adapter"), ("core", "adapter"), ("adapter", "core"),
    )  # fmt: skip
    assert MAIM.paths(options(aliases=("/maim",))) == ("/ws", "/maim")
    assert MAIM.seat_of(Chat("qq", "group", "1")) == "qq"
    assert set(MAIM.traits) == set(MAIM.roles)
    assert set(MAIM.traits.values()) == {Traits()}  # reliability 1: none of them
    assert all(traits.has_reply_expiry for traits in MAIM.traits.values())


@pytest.mark.parametrize(
    ("headers", "query", "claim"),
    [
        ({"platform": "qq"}, {}, True),
        ({}, {"platform": "qq"}, True),
        ({"authorization": "bare"}, {}, True),
        ({}, {"api_key": "k"}, True),
        ({"x-apikey": "k"}, {}, True),
        ({"authorization": "Bearer x"}, {}, None),  # anybody's
        ({"authorization": " "}, {}, None),
        ({"x-self-id": "1", "x-client-role": "Universal"}, {}, None),
        ({}, {}, None),
    ],
)
def test_what_a_head_tells_on_a_shared_path(headers, query, claim) -> None:
    """Source: guides 6"""
    assert MAIM.claims is not None
    assert MAIM.claims(Head("/ws", query, headers)) is claim


@pytest.mark.parametrize(
    ("data", "is_ours"),
    [
        (b'{"message_info": {}, "message_segment": null}', True),
        (b'\xef\xbb\xbf{"message_info": {"time": NaN}}', True),
        (b'{"message_type_name": "x"}', True),
        (b'{"type": "chat_message", "message": "message_info"}', False),
        (b'{"post_type": "meta_event", "message": []}', False),
        (b'["message_info"]', False),
        (b"", False),
        (b"message_info", False),
        (b"\xff", False),
        (b"[" * 100_000, False),
    ],
)
def test_what_a_first_message_tells_on_a_shared_path(data, is_ours) -> None:
    assert MAIM.recognises is not None
    assert MAIM.recognises(data) is is_ours
