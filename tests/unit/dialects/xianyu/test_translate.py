"""Entries to events: what is a message, what is a notice, and by which key repeats are found."""

from __future__ import annotations

import json

import pytest

from trunkline.dialects.xianyu.entries import ChatEntry, Content, OrderEntry, OtherEntry, Picture
from trunkline.dialects.xianyu.translate import (
    Context,
    decode_context,
    encode_context,
    to_event,
    to_pieces,
)
from trunkline.model.address import Chat
from trunkline.model.event import Fleeting, MessageReceived, NoticeReceived
from trunkline.model.segment import Face, Image, Mention, Quote, Raw, Sticker, Text, Voice

NOW = 1767225600000
ME = "1"


def chat(content: Content | None = None, **more: object) -> ChatEntry:
    fields: dict[str, object] = {
        "chat": "9", "sender": "2", "name": "甲", "content": content or Content("text", "好"),
        "is_own": False, "item": "7", "pnm": "5.PNM", "created_ms": NOW, **more,
    }  # fmt: skip
    return ChatEntry(**fields)  # type: ignore[arg-type]  # every field by its name


def event(entry: object, place: str = "0.0", *, has_key: bool = True) -> object:
    return to_event(entry, ME, place, NOW, has_key=has_key)  # type: ignore[arg-type]  # any entry


def test_what_a_buyer_says_is_a_message_with_what_an_answer_needs() -> None:
    told = event(chat())
    assert isinstance(told, MessageReceived)
    assert told.chat == Chat(ME, "chat", "9", "甲")
    assert (told.key, told.peer_id, told.item, told.at_ms) == (b"5.PNM", "5.PNM", "7", NOW)
    assert decode_context(told.context) == Context("2", "7")
    assert not told.is_own


def test_own_words_are_own_and_do_not_name_the_chat() -> None:
    told = event(chat(is_own=True, sender=ME, partner="2"))
    assert isinstance(told, MessageReceived)
    assert told.is_own
    assert told.chat.name == ""
    assert decode_context(told.context).partner == "2"


def test_a_group_is_a_notice_that_nobody_answers() -> None:
    told = event(chat(session_type="30"))
    assert isinstance(told, NoticeReceived)
    assert (told.name, told.chat.kind) == ("group-message", "group")


def test_kinds_of_content() -> None:
    kinds = {
        "text": (Text("好"),),
        "sticker": (Sticker(text="好"),),
        "audio": (Voice(url=""),),
        "image": (Image(url="u1"), Image(url="u2")),
    }
    for name, wanted in kinds.items():
        pictures = (Picture("u1"), Picture("u2")) if name == "image" else ()
        told = event(chat(Content(name, "好", pictures)))
        assert isinstance(told, MessageReceived)
        assert told.segments == wanted
    told = event(chat(Content("other", "[卡片]", (), {"a": 1}, 7)))
    assert isinstance(told, MessageReceived)
    (raw,) = told.segments
    assert isinstance(raw, Raw)
    assert (raw.dialect, raw.kind) == ("xianyu", "7")


def test_a_time_far_ahead_counts_as_now_and_none_stays_none() -> None:
    for at_ms, wanted in (
        (NOW + 70_000, NOW),
        (NOW + 30_000, NOW + 30_000),
        (None, None),
        (0, None),
    ):
        told = event(chat(created_ms=at_ms))
        assert isinstance(told, MessageReceived)
        assert told.at_ms == wanted


def test_without_an_id_the_place_tells_repeats_from_the_same_words_again() -> None:
    bare = chat(pnm="", message_id="", created_ms=None)
    first, again, other = (event(bare, place) for place in ("5.0", "5.0", "6.0"))
    assert first.key == again.key != other.key  # type: ignore[union-attr]  # messages
    assert event(bare, has_key=False).key is None  # type: ignore[union-attr]  # a message


def test_cards_of_one_order_with_the_same_id_are_two_events() -> None:
    cards = [
        OrderEntry("paid", "pending_ship", text, "3", "9", "2", pnm="5.PNM", update_key=key)
        for text, key in (("a", ""), ("b", ""), ("a", "k"), ("a", ""))
    ]
    keys = [event(card).key for card in cards]  # type: ignore[union-attr]  # notices
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]


@pytest.mark.parametrize(
    ("pnm", "message_id", "key", "alias"),
    [
        ("1.PNM", "ab", b"1.PNM", b"ab"),
        ("1.PNM", "1.PNM", b"1.PNM", b""),
        ("1.PNM", "", b"1.PNM", b""),
        ("", "ab", b"ab", b""),
    ],
)
def test_both_ids_of_a_message_are_registered(
    pnm: str, message_id: str, key: bytes, alias: bytes
) -> None:
    said = event(chat(pnm=pnm, message_id=message_id))
    assert isinstance(said, MessageReceived)
    assert (said.key, said.alias) == (key, alias)
    card = event(OrderEntry("paid", "s", "x", pnm=pnm, message_id=message_id))
    assert isinstance(card, NoticeReceived)
    assert card.key is not None
    assert card.key.startswith(key + b"#")
    assert card.alias == (alias + card.key[len(key) :] if alias else b"")


def test_an_order_is_a_notice_with_its_facts() -> None:
    told = event(OrderEntry("paid", "pending_ship", "x", "3", "", "2", is_trigger=True))
    assert isinstance(told, NoticeReceived)
    assert (told.name, told.chat) == ("order:paid", Chat(ME, "user", "2"))
    data = json.loads(told.data)
    assert (data["order_id"], data["is_trusted"], data["is_trigger"]) == ("3", True, True)
    assert (told.item, told.is_trusted) == ("", True)
    seeming = event(OrderEntry("paid", "s", "x", item="9", is_trusted=False))
    assert isinstance(seeming, NoticeReceived)
    assert (seeming.item, seeming.is_trusted) == ("9", False)
    assert event(OrderEntry("paid", "s", "x")).chat.kind == "account"  # type: ignore[union-attr]  # a notice


def test_the_rest() -> None:
    assert isinstance(event(OtherEntry("typing", chat="9")), Fleeting)
    read = event(OtherEntry("read", chat="9", message_ids=("1.PNM",)))
    assert isinstance(read, Fleeting)
    assert json.loads(read.data) == {"message_ids": ["1.PNM"]}
    system = event(OtherEntry("system", "tips", "9", "5.PNM", "x"))
    assert isinstance(system, NoticeReceived)
    assert system.name == "system:tips"
    assert event(OtherEntry("notice", chat="9")) is None


def test_contexts() -> None:
    assert encode_context(Context()) == b""
    assert decode_context(b"{") == Context()


def test_segments_leave_as_texts_and_pictures_in_order() -> None:
    image = Image(url="u")
    pieces = to_pieces(
        (Mention("3", "乙"), Text("a"), image, Face("微笑"), Sticker(text="👍"), Quote("x"))
    )
    assert pieces == ["@乙 a", image, "[微笑]👍"]
    assert to_pieces((Quote("x"), Text("  "), Image())) == []


def test_what_is_longer_than_five_pieces_is_cut() -> None:
    pieces = to_pieces((Text("字" * 20_000),))
    assert [len(str(piece)) for piece in pieces] == [2000] * 5
