"""Messages to events: who said what to whom, and what is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from boss_events import ME, NOW_MS, PEER, event_of, frame_of, message_of
from trunkline.dialects.boss.http import Contact
from trunkline.dialects.boss.translate import (
    asked_for,
    chat_id,
    decode_context,
    parse_chat_id,
    quote_of,
    to_pieces,
)
from trunkline.model.address import Chat
from trunkline.model.event import MessageReceived, NoticeReceived, RequestReceived
from trunkline.model.message import plain_text
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
    Voice,
)

# golden case → what becomes of it
EVENTS = {
    "text_in": "message", "text_in_own_echo": "own", "text_in_empty": "message",
    "text_in_absent": "message", "text_in_non_bmp": "message", "image_in": "message",
    "dialog_in_resume_request": "request:resume", "dialog_in_wechat_request_operated": "dialog",
    "action_in_resume_request": "action:37", "action_in_resume_offer": "action:40",
    "action_in_explicit_defaults": "action:10", "jobcard_in": "card:job",
    "articles_in": "card:article", "hyperlink_in_resume_preview": "card:link",
    "interview_in": "card:interview", "int64_limits": "message", "int64_mobile_cmid": "message",
    "unknown_fields_preserved": "message", "text_out_full": "own", "image_out": "own",
    "action_out_wechat": "action:32",
}  # fmt: skip


def name_of(event: Any) -> str:
    if isinstance(event, MessageReceived):
        return "own" if event.is_own else "message"
    return f"request:{event.name}" if isinstance(event, RequestReceived) else event.name


@pytest.mark.parametrize(("case", "name"), EVENTS.items())
def test_golden_messages(case: str, name: str) -> None:
    (message,) = frame_of(case).messages
    event = event_of(message)
    assert name_of(event) == name
    assert event.chat.account == str(ME)
    assert event.key is not None


def test_a_message_says_who_where_when_and_what() -> None:
    event = event_of(frame_of("text_in").messages[0])
    assert isinstance(event, MessageReceived)
    assert event.chat == Chat(str(ME), "user", str(PEER), "测试HR")
    assert event.sender is not None
    assert (event.sender.id, event.sender.name) == (str(PEER), "测试HR")
    assert plain_text(event.segments) == "你好，方便聊聊吗？"
    assert (event.peer_id, event.at_ms) == ("394570988740864", 1_791_470_008_297)


def test_both_messages_of_a_batch_have_keys_of_their_own() -> None:
    first, second = (event_of(one) for one in frame_of("text_in_offline_batch").messages)
    assert first.key != second.key


def test_direction_is_told_by_numbers() -> None:
    own = event_of(message_of({"type": 1, "text": "a"}, **{"from": {"uid": ME}, "to": {
        "uid": PEER, "source": 3}}))  # fmt: skip
    assert isinstance(own, MessageReceived)
    assert own.is_own
    assert own.chat == Chat(str(ME), "user", f"{PEER}.3")
    others = event_of(message_of({"type": 1, "text": "a"}, to={"uid": 5}))
    assert name_of(others) == "system"
    assert others.chat == Chat(str(ME), "account", str(ME))


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"type": 1}, "message"),
        ({"type": 3}, "message"),
        ({"type": 3, "uncount": 1}, "system"),
        ({"type": 4}, "system"),
        ({"type": 2}, "group-message"),
        ({"type": 1, "from": {"uid": 1000, "source": 0}}, "system"),
    ],
)
def test_only_what_a_person_said_between_two_is_a_message(more: dict[str, Any], name: str) -> None:
    assert name_of(event_of(message_of({"type": 1, "text": "a"}, **more))) == name


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"mid": 7}, b"m7"),
        ({"mid": 1, "cmid": 9}, b"c9"),
        ({"mid": 0, "cmid": 9}, b"c9"),
        ({"mid": 1, "cmid": 0, "time": 0}, None),
    ],
)
def test_keys(more: dict[str, Any], key: bytes | None) -> None:
    assert event_of(message_of({"type": 1, "text": "a"}, **more)).key == key


def test_without_ids_time_and_words_are_the_key() -> None:
    same = [event_of(message_of({"type": 1, "text": "a"}, mid=0)).key for _ in range(2)]
    other = event_of(message_of({"type": 1, "text": "b"}, mid=0)).key
    assert same[0] == same[1] != other
    assert event_of(message_of({"type": 1, "text": "a"}), has_key=False).key is None


def test_a_notice_that_repeats_its_id_has_none_for_quoting() -> None:
    assert event_of(message_of({"type": 1, "text": "a"}, mid=1, cmid=5)).peer_id == ""


def test_a_time_far_ahead_counts_as_now() -> None:
    ahead = event_of(message_of({"type": 1, "text": "a"}, time=NOW_MS + 120_000))
    near = event_of(message_of({"type": 1, "text": "a"}, time=NOW_MS + 30_000))
    assert (ahead.at_ms, near.at_ms) == (NOW_MS, NOW_MS + 30_000)
    assert event_of(message_of({"type": 1, "text": "a"}, time=0)).at_ms is None


def test_a_request_has_its_words_its_buttons_and_the_id_to_answer() -> None:
    event = event_of(frame_of("dialog_in_resume_request").messages[0])
    assert isinstance(event, RequestReceived)
    data = json.loads(event.data)
    assert event.text == "我想要一份您的附件简历，您是否同意"
    assert (data["mid"], data["buttons"]) == ("394570988740864", ["拒绝", "同意"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("我想要一份您的附件简历", "resume"), ("交换微信", "wechat"), ("交换电话", "phone"),
        ("您的联系方式", "phone"), ("工作地点可以吗", "address"), ("是否满意", "survey"),
        ("？", "other"),
    ],
)  # fmt: skip
def test_what_is_asked_is_told_by_known_words(text: str, name: str) -> None:
    assert asked_for(text) == name


def test_our_own_question_is_no_request() -> None:
    body = {"type": 7, "dialog": {"text": "电话", "operated": False}}
    own = message_of(body, **{"from": {"uid": ME}, "to": {"uid": PEER}})
    assert name_of(event_of(own)) == "dialog"


def test_an_action_is_read_plain_or_encoded() -> None:
    offered = event_of(frame_of("action_in_resume_offer").messages[0])
    assert isinstance(offered, NoticeReceived)
    assert json.loads(offered.data)["extend"] == {"resumeName": "cv.pdf", "resumeId": 1}
    odd = event_of(message_of({"type": 4, "action": {"aid": 5, "extend": "{broken"}}))
    assert isinstance(odd, NoticeReceived)
    assert json.loads(odd.data)["extend"] == "{broken"


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        ({"type": 17, "text": "a"}, (Text("a"),)),
        ({"type": 2, "sound": {"url": "https://a/v"}}, (Voice(url="https://a/v"),)),
        ({"type": 2}, (Voice(is_valid=False),)),
        ({"type": 3}, (Image(is_valid=False),)),
        ({"type": 20, "text": "[微笑]"}, (Sticker(text="[微笑]"),)),
    ],
)
def test_bodies(body: dict[str, Any], segments: tuple[Segment, ...]) -> None:
    event = event_of(message_of(body))
    assert isinstance(event, MessageReceived)
    assert event.segments == segments


def test_a_kind_that_nobody_knows_is_kept_whole() -> None:
    event = event_of(message_of({"type": 21, "text": "?"}))
    assert isinstance(event, MessageReceived)
    (raw,) = event.segments
    assert isinstance(raw, Raw)
    assert (raw.dialect, raw.kind) == ("boss", "21")
    assert json.loads(raw.data)["raw"]


def test_a_quote_comes_first() -> None:
    event = event_of(frame_of("text_out_quote").messages[0])
    assert isinstance(event, MessageReceived)
    assert event.segments == (Quote("394570988736768"), Text("好的"))


def test_context_is_what_is_known_of_the_contact() -> None:
    message = message_of({"type": 1, "text": "a"})
    known = event_of(message, contact=Contact(PEER, "key~", "secret"))
    assert decode_context(known.context).key == "key~"
    assert event_of(message).context == b""
    assert decode_context(b"broken").key == ""


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("5", (5, 0)), ("5.3", (5, 3)), ("", (0, 0)), ("x", (0, 0)), ("5.", (0, 0)),
        ("5.x", (0, 0)), ("-5", (0, 0)), ("1" * 19, (0, 0)), ("٥", (0, 0)),
    ],
)  # fmt: skip
def test_ids_of_chats(text: str, pair: tuple[int, int]) -> None:
    assert parse_chat_id(text) == pair
    if pair[0]:
        assert chat_id(*pair) == text


def test_segments_become_texts_and_pictures_in_order() -> None:
    picture = Image(data=b"x")
    pieces = to_pieces(
        (Text("a "), Mention("7", "Li"), Face("5"), picture, Image(), Sticker(text="☺"), File("f"))
    )
    assert pieces == ["a @Li [5]", picture, "☺"]
    assert to_pieces((Text("  "),)) == []


def test_a_long_text_is_split_at_line_breaks_and_bounded() -> None:
    lines = "\n".join("x" * 700 for _ in range(6))
    pieces = to_pieces((Text(lines),))
    assert [len(str(one)) for one in pieces] == [1401, 1401, 1401]
    assert len(to_pieces((Text("y" * 50_000),))) == 5


def test_which_message_is_answered() -> None:
    assert quote_of((Quote("x"), Quote("7"), Text("a"))) == 7
    assert quote_of((Text("a"),)) == 0
