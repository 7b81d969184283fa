"""Who and where, and the ids that go over the wire."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maim_lines import core, group, message, receive
from trunkline.dialects.contract import Head
from trunkline.dialects.maim.blocks import GroupInfo, UserInfo
from trunkline.dialects.maim.identity import (
    Context,
    api_key_of,
    api_platform_of,
    complete_group,
    complete_user,
    decode_context,
    encode_context,
    format_message_id,
    is_api,
    parse_message_id,
    platform_of,
)
from trunkline.ids import DeliveryId

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)


@given(st.integers(0, 2**63 - 1))
def test_ids_round_trip(number: int) -> None:
    assert parse_message_id(format_message_id(DeliveryId(number))) == number


@given(st.text(max_size=12).map(lambda rest: f"tl{rest}"))
def test_only_our_own_form_is_an_id(text: str) -> None:
    ident = parse_message_id(text)
    assert ident is None or format_message_id(ident) == text


@pytest.mark.parametrize(
    ("headers", "query", "platform"),
    [
        ({}, {}, "default"),
        ({"platform": ""}, {}, "default"),
        ({"platform": "  "}, {"platform": "q"}, "q"),
        ({"platform": "h"}, {"platform": "q"}, "h"),
        ({"platform": " qq "}, {}, "qq"),
        ({"platform": "平台".encode().decode("latin-1")}, {}, "平台"),
        ({"platform": "平台"}, {}, "平台"),
        ({"platform": "caf\xe9"}, {}, "caf\xe9"),  # latin-1 that is not UTF-8 stays
        ({}, {"platform": "平台"}, "平台"),
    ],
)
def test_platform(headers: dict[str, str], query: dict[str, str], platform: str) -> None:
    assert platform_of(Head("/ws", query, headers)) == platform


USERS = st.builds(UserInfo, WORD, WORD, WORD, st.none() | WORD)
GROUPS = st.builds(GroupInfo, WORD, WORD, WORD)


@given(
    st.builds(
        Context,
        platform=st.just("") | WORD,
        message_id=st.just("") | WORD,
        user=st.none() | USERS,
        group=st.none() | GROUPS,
        accept=st.none() | WORD,
    )
)
def test_contexts_round_trip(context: Context) -> None:
    assert decode_context(encode_context(context)) == context


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"user":{"user_id":5}}', b"\xff"])
def test_a_context_that_is_not_ours_is_empty(data: bytes) -> None:
    assert decode_context(data) == Context()


@pytest.mark.parametrize("message_id", ["m", 5])
@pytest.mark.parametrize("config", [..., None, {}, {"reply_message_id": "7"}])
def test_the_context_of_every_message_is_json_and_small(message_id: object, config: object) -> None:
    event = receive(
        core(), message(message_id=message_id, additional_config=config, group_info=group())
    )
    fields = json.loads(event.context)
    assert fields.get("additional_config") == (None if config is ... else config)
    assert fields["user"]["user_id"] == "10001"
    assert fields["group"] == group()
    assert decode_context(event.context).message_id == str(message_id)


def test_a_user_is_complete_or_none() -> None:
    assert complete_user(None, "p") is None
    assert complete_user(UserInfo("p", None, "N"), "p") is None
    assert complete_user(UserInfo("p", "", "N"), "p") is None
    assert complete_user(UserInfo(None, "1", None, "C"), "p") == UserInfo("p", "1", "1", "C")
    assert complete_user(UserInfo("x", "1", ""), "p") == UserInfo("x", "1", "1")
    whole = UserInfo("x", "1", "N")
    assert complete_user(whole, "p") is whole


def test_a_group_is_complete_or_means_private() -> None:
    assert complete_group(None, "p") is None
    assert complete_group(GroupInfo("p", None, "G"), "p") is None
    assert complete_group(GroupInfo(None, "1", None), "p") == GroupInfo("p", "1", "1")
    whole = GroupInfo("x", "1", "G")
    assert complete_group(whole, "p") is whole


@pytest.mark.parametrize(
    ("query", "headers", "platform", "key"),
    [
        ({"api_key": "k", "platform": "qq"}, {}, "qq", "k"),
        ({}, {"x-apikey": "k", "x-platform": "qq"}, "qq", "k"),
        ({"api_key": "k"}, {"x-apikey": "h", "x-platform": "qq"}, "qq", "k"),
        ({"api_key": "", "platform": " "}, {"x-apikey": "h", "x-platform": "qq"}, "qq", "h"),
        ({"api_key": ""}, {}, "unknown", ""),
        ({}, {"x-apikey": "", "x-platform": ""}, "unknown", ""),
    ],
)
def test_who_connects_on_the_api_server_line(
    query: dict[str, str], headers: dict[str, str], platform: str, key: str
) -> None:
    """Maim 9.1: the query wins, the headers of the classic line mean nothing."""
    head = Head("/ws", query, headers | {"platform": "classic", "authorization": "T"})
    assert is_api(head)
    assert (api_platform_of(head), api_key_of(head)) == (platform, key)


def test_every_other_upgrade_is_of_the_classic_line() -> None:
    assert not is_api(Head("/ws", {"platform": "qq"}, {"x-platform": "qq", "x-uuid": "u"}))
