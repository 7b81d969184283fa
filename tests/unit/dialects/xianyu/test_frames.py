"""Frames and identifiers of lwp against the vectors."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from trunkline.clock import FakeClock
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.options import USER_AGENT
from trunkline.errors import WireMalformed
from trunkline.ids import CountingIds, SystemIds
from xianyu_vectors import BUYER, CHAT, ITEM, ME, frame_case, load, to_frame

DEVICE = "0F3A1C2B-4D5E-4F60-8A7B-9C0D1E2F3A4B-2200000000001"


def sent(name: str) -> tuple[dict[str, Any], str]:
    """Return the frame of a request, and its mid."""
    frame = frame_case(name)["frame"]
    return frame, frame["headers"]["mid"]


def position(pts: int, now_ms: int, seq: int = 0) -> list[dict[str, Any]]:
    return [frames.sync_position(pts, now_ms, seq)]


def answer(name: str) -> frames.Frame:
    return to_frame(frame_case(name))


def test_reg() -> None:
    frame, mid = sent("reg")
    assert json.loads(frames.build_reg("oauth_k1:vector-token", USER_AGENT, DEVICE, mid)) == frame


@pytest.mark.parametrize(
    ("name", "lwp", "body"),
    [
        ("get_state", frames.GET_STATE, [{"topic": "sync"}]),
        ("ack_diff_blind", frames.ACK_DIFF, position(1767225601000000, 1767225601000)),
        ("ack_diff_resume", frames.ACK_DIFF, position(1767225000000000, 1767225600200)),
        ("ack_diff_state", frames.ACK_DIFF, position(1767225599000000, 1767225600000, 17)),
        ("create_chat", frames.CREATE_CHAT, frames.create_chat_body(BUYER, ME, ITEM)),
        ("list_conversations", frames.LIST_CHATS, [frames.FIRST_CURSOR, 20]),
        ("list_history", frames.LIST_HISTORY, frames.history_body(CHAT, frames.FIRST_CURSOR, 20)),
        ("mark_read", frames.MARK_READ, [["4000000000001.PNM"]]),
        ("recall", frames.RECALL, ["4000000000900.PNM"]),
    ],
)  # fmt: skip
def test_requests(name: str, lwp: str, body: Any) -> None:
    frame, mid = sent(name)
    assert json.loads(frames.build_request(lwp, body, mid)) == frame


def test_heartbeat() -> None:
    frame, mid = sent("heartbeat")
    assert json.loads(frames.build_heartbeat(mid)) == frame


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("send_text", frames.text_payload("您好，现货，当天发出")),
        (
            "send_image",
            frames.image_payload("https://img.alicdn.com/imgextra/i1/O1CN01vector.jpg", 800, 600),
        ),
    ],
)
def test_sends(name: str, payload: dict[str, Any]) -> None:
    case = frame_case(name)
    frame, mid = sent(name)
    uuid = frame["body"][0]["uuid"]
    body = frames.send_body(CHAT, BUYER, ME, uuid, payload, 1)
    made = json.loads(frames.build_request(frames.SEND, body, mid))
    custom = made["body"][0]["content"]["custom"]
    assert json.loads(base64.b64decode(custom["data"])) == case["decoded_payload"]
    custom["data"] = frame["body"][0]["content"]["custom"]["data"]
    assert made == frame


@pytest.mark.parametrize(
    "name", ["push_min", "push_full_headers", "push_no_mid", "push_no_headers", "sync_extra"]
)
def test_acknowledgements(name: str) -> None:
    case = frame_case(name)
    ack = frames.encode_ack(to_frame(case), FakeClock(), CountingIds())
    wanted = case["expect_ack"]
    if wanted is None:
        assert ack is None
        return
    assert ack is not None
    made = json.loads(ack)
    if wanted["headers"]["mid"] == "<generated>":
        assert re.fullmatch(load("identifiers")["mid"]["regex"], made["headers"].pop("mid"))
        del wanted["headers"]["mid"]
    assert made == wanted


def test_an_acknowledgement_without_a_sid_has_an_empty_one() -> None:
    frame = frames.decode(b'{"lwp":"/s/sync","headers":{"mid":"1 0"}}')
    ack = frames.encode_ack(frame, FakeClock(), CountingIds())
    assert ack is not None
    assert json.loads(ack) == {"code": 200, "headers": {"mid": "1 0", "sid": ""}}


@pytest.mark.parametrize(
    "name", ["send_ok", "send_ok_bare", "send_blocked", "send_4xx", "send_5xx"]
)
def test_outcomes_of_a_send(name: str) -> None:
    wanted = frame_case(name)["expect"]
    told = frames.parse_send_answer(answer(name))
    assert told.outcome == wanted["outcome"]
    assert (told.pnm or None) == wanted.get("pnm_id")


@pytest.mark.parametrize(
    "name", ["create_chat_ok_object", "create_chat_ok_array", "create_chat_ok_nested"]
)
def test_the_chat_that_was_made(name: str) -> None:
    assert frames.parse_chat_id(answer(name).body) == CHAT


def test_a_chat_that_was_refused() -> None:
    frame = answer("create_chat_refused")
    assert frames.refusal(frame) == "refused"
    assert frames.parse_chat_id(frame.body) == ""


def test_the_newest_chats() -> None:
    page = frames.parse_chats(answer("list_conversations_ok").body, ME)
    (chat,) = page.items
    wanted = {"chat_id": chat.chat, "item_id": chat.item, "unread": chat.unread}
    assert wanted == frame_case("list_conversations_ok")["expect"]["chats"][0]
    assert chat.partner == BUYER
    assert page.next_cursor is None
    assert frames.is_throttled(answer("list_conversations_throttled"))


def test_history() -> None:
    page = frames.parse_history(answer("list_history_ok").body)
    assert page.next_cursor == 1767225595000
    assert [message["messageId"] for message in page.items] == ["4000000000001.PNM"]


@pytest.mark.parametrize("case", load("identifiers")["mid"]["cases"], ids=str)
def test_the_mid(case: dict[str, Any]) -> None:
    mid = frames.format_mid(int(case["random"] * 1000), case["now_ms"])
    assert (mid, mid.partition(" ")[0]) == (case["mid"], case["key"])


def test_a_mid_whose_key_is_open_is_drawn_again() -> None:
    clock, ids = FakeClock(), SystemIds(FakeClock())
    seen: dict[str, None] = {}
    for _ in range(1000):
        seen[frames.make_mid(clock, ids, seen).partition(" ")[0]] = None
    assert len(seen) == 1000


def test_the_device_id_and_the_uuids() -> None:
    rules = load("identifiers")
    assert re.fullmatch(rules["device_id"]["regex"], frames.make_device_id(CountingIds(), ME))
    uuids = frames.Uuids()
    (case,) = rules["uuid"]["cases"]
    made = [uuids.make(case["now_ms"]) for _ in range(30)]
    assert made[0] == case["uuid"]
    assert len(set(made)) == 30
    assert all(re.fullmatch(rules["uuid"]["regex"], one) for one in made)


@pytest.mark.parametrize("case", load("identifiers")["strip_suffix"]["cases"], ids=str)
def test_addresses(case: dict[str, str]) -> None:
    assert frames.strip(case["in"]) == case["out"]
    assert frames.suffixed(frames.suffixed("1")) == "1@goofish"


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"{", "not_json"), (b"[]", "not_an_object"), (b"7", "not_an_object"),
     (b'{"a":' * 70 + b"1" + b"}" * 70, "too_deep"), (b'{"a":NaN}', "not_json")],
)  # fmt: skip
def test_what_is_no_frame(data: bytes, reason: str) -> None:
    with pytest.raises(WireMalformed) as error:
        frames.decode(data)
    assert error.value.reason == reason
    assert "bytes" in frames.describe(data)


def test_a_code_may_be_text_and_headers_null() -> None:
    assert frames.decode(b'{"code":"200","headers":{"mid":7}}').code == 200
    assert frames.decode(b'{"code":"200","headers":{"mid":7}}').key == "7"
    assert frames.decode(b'{"headers":null}').headers is None


def test_a_description_holds_no_token_and_no_words() -> None:
    reg = frames.build_reg("s3cr3t", USER_AGENT, DEVICE, "1 0")
    assert "s3cr3t" not in frames.describe(reg)
    assert frames.describe(reg).startswith("/reg ")
