from __future__ import annotations

import json
from typing import get_args
from uuid import UUID, uuid5

import pytest

from pump import text
from trunkline.dialects.contact import translate
from trunkline.dialects.contact.frames import ChatMessage, ChatOut, Code, ContactRequest
from trunkline.dialects.contact.translate import (
    SITE,
    WORDS,
    Context,
    derive_delivery_uuid,
    derive_message_id,
    derive_uuid,
    read_context,
    read_spoken,
    to_event,
    to_frame,
    to_message,
    to_person,
    to_plain,
    to_request,
)
from trunkline.ids import DeliveryId, InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.delivery import Delivery, Say
from trunkline.model.segment import (
    Face,
    File,
    Image,
    Mention,
    Quote,
    Raw,
    Segment,
    Sticker,
    Text,
    Video,
    Voice,
)  # fmt: skip

VISITOR = Chat("", "visitor", "v-1")


@pytest.mark.parametrize("name", ["", "a", "访客", "x" * 500])
def test_derived_uuids_are_those_of_the_standard(name: str) -> None:
    space = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    assert derive_uuid(space.bytes, name.encode()) == str(uuid5(space, name))


def test_message_ids_depend_on_connection_and_message() -> None:
    ids = {derive_message_id(*pair) for pair in [("a", "b"), ("a", "c"), ("b", "b"), ("ab", "")]}
    assert len(ids) == 4
    assert derive_message_id("a", "b") == derive_message_id("a", "b")


@pytest.mark.parametrize("ident", [1, 16, 2**40 + 7, 2**63 - 1])
def test_delivery_ids_are_well_formed_uuids_that_keep_every_bit(ident: int) -> None:
    written = derive_delivery_uuid(DeliveryId(ident))
    assert str(UUID(written)) == written
    assert UUID(written).version == 8
    assert int(written[:8] + written[9:13] + written[-4:], 16) == ident


def test_a_message_keeps_the_visitors_timestamp_in_its_context() -> None:
    person = to_person("v-1", None)
    event = to_message(ChatMessage("hi", "yesterday", "c"), VISITOR, person, "m-1")
    assert event.key == b"c:c"
    assert read_context(event.context) == Context("m-1", "yesterday")
    long = to_message(ChatMessage("hi", "9" * 9999), VISITOR, person, "m-1")
    assert len(long.context) < 200


@pytest.mark.parametrize("context", [b"", b"\xff", b"{}", b"\x91\x01"])
def test_a_context_of_somebody_else_counts_as_nothing(context: bytes) -> None:
    assert read_context(context) == Context("")


def test_side_data_of_a_request_is_bounded() -> None:
    frame = ContactRequest("hi", "t" * 9999, "u" * 9999, name="n" * 9999)
    event = to_request(frame, VISITOR, to_person("v-1", frame.name), "r")
    assert max(len(value) for value in json.loads(event.data).values()) == 2048
    assert event.sender is not None
    assert len(event.sender.name) == 64


def answer(*segments: Segment, ident: int = 17, context: bytes = b"") -> ChatOut:
    delivery = Delivery(DeliveryId(ident), VISITOR, Say(segments), context)
    return to_frame(delivery, segments, "zh", "t")


def test_an_answer_names_its_question_and_a_quote_wins() -> None:
    context = to_message(ChatMessage("hi", "t"), VISITOR, to_person("v-1", ""), "m-1").context
    ident = answer_id(InboxId(16), 0)
    assert answer(Text("a"), ident=ident, context=context).in_reply_to == "m-1"
    assert answer(Text("a"), ident=32, context=context).in_reply_to == ""
    assert answer(Quote("q"), Text("a"), ident=ident, context=context).in_reply_to == "q"
    assert answer(Text("a"), ident=ident).in_reply_to == ""


@pytest.mark.parametrize(
    ("segment", "zh", "en"),
    [
        (Text("a"), "a", "a"),
        (Image(b"x"), "[图片]", "[picture]"),
        (Image(url="https://e/x.png", name="n"), "[图片] n https://e/x.png",
         "[picture] n https://e/x.png"),
        (Voice(b"x"), "[语音]", "[voice]"),
        (Video(url="https://e/v"), "[视频] https://e/v", "[video] https://e/v"),
        (File("a.pdf", "https://e/a"), "[文件] a.pdf https://e/a", "[file] a.pdf https://e/a"),
        (Sticker(text="😀"), "😀", "😀"),
        (Sticker(b"x"), "[表情]", "[sticker]"),
        (Face("14"), "[表情]", "[emoji]"),
        (Mention("1", "小明"), "@小明 ", "@小明 "),
        (Mention("1"), "@1 ", "@1 "),
        (Quote("m"), "", ""),
        (Raw("maim", "card", b"{}"), "[消息]", "[message]"),
    ],
)  # fmt: skip
def test_segments_as_plain_text(segment: Segment, zh: str, en: str) -> None:
    assert to_plain((segment,), "zh") == zh
    assert to_plain((segment,), "en") == en
    assert to_plain((Text("<"), segment, Text(">")), "zh") == f"<{zh}>"


def test_every_kind_of_segment_can_be_shown() -> None:
    kinds = set(get_args(Segment))
    assert set(translate._RENDER) == kinds
    for labels in translate._LABELS.values():
        assert set(labels) == kinds - {Text, Mention, Quote}


def test_every_code_has_words_in_both_languages() -> None:
    for words in WORDS.values():
        assert set(words.problems) == set(get_args(Code))
        assert all(words.problems.values())


def test_what_the_site_says_as_the_visitor_sees_it() -> None:
    event = to_event(ChatOut("hi", "t", "operator", "m-1", "q-1"))
    assert event.chat == SITE
    assert event.sender is not None
    assert (event.sender.id, event.is_own) == ("operator", False)
    assert (event.key, event.peer_id) == (b"m:m-1", "m-1")
    assert event.segments == (Quote("q-1"), Text("hi"))
    plain = to_event(ChatOut("hi"))
    assert plain.sender is not None
    assert (plain.sender.id, plain.key, plain.segments) == ("assistant", None, text("hi"))
    assert to_event(ChatOut("hi", sender="user")).is_own


# -- who speaks ---------------------------------------------------------------------------------


def spoken(context: bytes, ident: int = 32) -> ChatOut:
    delivery = Delivery(DeliveryId(ident), Chat("", "visitor", "x"), Say(text("hi")), context)
    return to_frame(delivery, text("hi"), "zh", "t")


def test_an_operator_and_a_broadcast_are_named() -> None:
    ident = derive_delivery_uuid(DeliveryId(32))
    person = ChatOut("hi", "t", "operator", ident, sender_name="Ann")
    assert spoken(b"\x81\xa8operator\xa3Ann") == person
    assert spoken(b"\x81\xa8operator\xa0") == ChatOut("hi", "t", "operator", ident)
    assert spoken(b"\x81\xa9broadcast\xc3") == ChatOut("hi", "t", "system", ident, broadcast=True)


@pytest.mark.parametrize(
    "context", [b"", b"\x92\xa3m-1\xa0", b"\x81", b"{}", b"\x80", b"\x81\xa8operator\x01"]
)
def test_any_other_context_names_the_assistant(context: bytes) -> None:
    assert spoken(context) == ChatOut("hi", "t", "assistant", derive_delivery_uuid(DeliveryId(32)))


def test_a_question_is_never_taken_for_a_person() -> None:
    answered = spoken(b"\x81\xa8operator\xa3Ann", answer_id(InboxId(32), 0))
    assert (answered.sender, answered.sender_name) == ("assistant", "")
    assert read_spoken(b"\x92\xa3m-1\xa0").operator is None


def test_the_name_of_who_speaks_reaches_the_event() -> None:
    event = to_event(ChatOut("hi", "t", "operator", "m", sender_name="Ann"))
    assert event.sender is not None
    assert (event.sender.id, event.sender.name) == ("operator", "Ann")
