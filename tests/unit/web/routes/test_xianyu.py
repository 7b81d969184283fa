"""The reply service over HTTP: the cases of the specification, and who may ask.

Source: xianyu 13, 14; guides 1, 6
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from asgi import Answer, call
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import StoreFull, StoreUnavailable
from trunkline.exchange.contract import LineFacts
from trunkline.ids import ConversationId
from trunkline.model.conversation import ConversationState
from trunkline.model.segment import Image
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.web.app import make_app
from trunkline.web.auth import Access, digest_token
from web_stand import TOKEN, OneDesk, SomeRules, make_services

PATH = "/xianyu/reply"
VECTORS = Path(__file__).parents[3] / "vectors" / "xianyu" / "xianyu_vectors.json"
TOLD = json.loads(VECTORS.read_text(encoding="utf-8"))
DECISIONS = [case for case in TOLD["reply_decisions"]["cases"] if case["layer"] == "http"]
VALIDATION = TOLD["http_validation"]
GOOD: dict[str, Any] = {**TOLD["reply_decisions"]["base_request"], "send_message": "你好"}
JSON = {"content-type": "application/json"}
HI = RulebookSpec(rules=(RuleSpec("hi", keywords=("你好",), reply="在的"),))


def spec_of(state: dict[str, Any]) -> RulebookSpec:
    """Write the rules of a case as the file would; empty keywords are refused there."""
    rules = [
        RuleSpec(
            f"{line}:{at}",
            keywords=(entry["keyword"],),
            lines=(line,),
            items=(entry["item_id"],) if "item_id" in entry else (),
            reply=entry["reply"],
            image=Image(url=entry["image_url"]) if "image_url" in entry else None,
            is_enabled=entry.get("enabled", True),
            order=at,
        )
        for line, entries in state.get("keywords", {}).items()
        for at, entry in enumerate(entries)
        if entry["keyword"]
    ]
    rules += [
        RuleSpec(f"global:{at}", keywords=(keyword,), reply=said, order=1000 + at)
        for at, (keyword, said) in enumerate(state.get("global_keywords", []))
    ]
    defaults = tuple(
        DefaultSpec(
            entry["reply_content"] or "",
            lines=(line,),
            limit=1 if entry["reply_once"] else entry.get("max_replies", 0),
            is_enabled=entry["enabled"],
        )
        for line, entry in state.get("default_replies", {}).items()
    )
    return RulebookSpec(rules=tuple(rules), defaults=defaults)


def facts_of(name: str, *, is_enabled: bool = True) -> dict[str, LineFacts]:
    dialect = DIALECTS["xianyu"]
    traits = dialect.traits["account"]
    return {name: LineFacts(name, "xianyu", traits, dialect.seat_of, is_enabled=is_enabled)}


async def ask(
    body: Any = GOOD,
    *,
    rules: RulebookSpec = HI,
    desk: OneDesk | None = None,
    method: str = "POST",
    raw: bytes | None = None,
    headers: dict[str, str] = JSON,
    token: str = "",
    **services: Any,
) -> Answer:
    app = make_app(make_services(desk=desk or OneDesk(), rules=SomeRules(rules), **services))
    data = raw if raw is not None else json.dumps(body).encode()
    return await call(app, method, PATH, headers=headers, chunks=[data], token=token)


@pytest.mark.parametrize("case", DECISIONS, ids=lambda case: case["name"])
async def test_decision(case: dict[str, Any]) -> None:
    state, expect = case["state"], case["expect"]
    line, chat = case["request"]["cookie_id"], case["request"]["chat_id"]
    desk = OneDesk()
    used = state.get("default_reply_counts", {}).get(line, {}).get(chat, 0)
    if used:
        desk.chats[line, "chat", chat] = ConversationState(
            ConversationId(1), line, "", "chat", chat, counters={"default": used}
        )
    accounts = state.get("accounts", {})
    facts = facts_of("acc1", is_enabled=accounts.get("acc1", {}).get("enabled", True))
    answer = await ask(case["request"], rules=spec_of(state), desk=desk, facts=facts)
    assert answer.status == expect["code"], answer.body
    if expect["code"] == 200:
        assert answer.json() == {"code": 200, "data": {"send_msg": expect["send_msg"]}}
    else:
        assert list(answer.json()) == ["detail"]
        assert isinstance(answer.json()["detail"], str)
    for counted, chats in expect.get("effects", {}).get("default_reply_counts", {}).items():
        for where, count in chats.items():
            assert desk.chats[counted, "chat", where].counters == {"default": count}


async def test_each_reason_for_no_answer_has_its_own_words() -> None:
    once = DefaultSpec("稍等", limit=1)
    silent = RuleSpec("ad", keywords=("广告",))
    person = RuleSpec("p", keywords=("人工",), then="person")
    rules = RulebookSpec(rules=(silent, person), defaults=(once,))
    desk = OneDesk()
    assert (await ask(rules=rules, desk=desk)).status == 200
    used_up = await ask(rules=rules, desk=desk)
    answers = [
        used_up,
        await ask(rules=RulebookSpec()),
        await ask({**GOOD, "send_message": "广告"}, rules=rules),
        await ask({**GOOD, "send_message": "人工"}, rules=rules),
        await ask(facts=facts_of("acc1", is_enabled=False)),
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.json()["detail"] for answer in answers}) == 5


@pytest.mark.parametrize("case", VALIDATION["cases"], ids=lambda case: case["name"])
async def test_validation(case: dict[str, Any]) -> None:
    raw = case["raw"].encode() if "raw" in case else None
    answer = await ask(
        case.get("body"),
        rules=spec_of(VALIDATION["state"]),
        method=case.get("method", "POST"),
        raw=raw,
    )
    assert answer.status == case["status"], answer.body
    if "json" in case:
        assert answer.json() == case["json"]
    elif case["status"] >= 400:
        assert list(answer.json()) == ["detail"]
        assert isinstance(answer.json()["detail"], list if case["status"] == 422 else str)


async def test_a_missing_field_is_named_and_its_neighbours_are_not_shown() -> None:
    body = {name: value for name, value in GOOD.items() if name != "chat_id"}
    answer = await ask(body)
    assert [one["loc"] for one in answer.json()["detail"]] == [["body", "chat_id"]]
    assert "买家甲" not in answer.body.decode()


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json"]
)
async def test_a_body_that_is_not_called_json_is_422(kind: str) -> None:
    answer = await ask(headers={"content-type": kind} if kind else {})
    assert answer.status == 422
    assert isinstance(answer.json()["detail"], list)


async def test_a_charset_does_no_harm() -> None:
    answer = await ask(headers={"content-type": "Application/JSON; charset=utf-8"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"\xff\xfe",
        b'{"cookie_id": NaN}',
        b"\x00",
    ],
)
async def test_hostile_bodies_are_422(raw: bytes) -> None:
    answer = await ask(raw=raw)
    assert answer.status == 422, answer.body
    assert list(answer.json()) == ["detail"]


async def test_half_a_character_can_be_said_and_counted() -> None:
    echo = RulebookSpec(rules=(RuleSpec("e", match="any", reply="收到：{send_message}"),))
    answer = await ask({**GOOD, "send_message": "a\ud800", "chat_id": "\ud800"}, rules=echo)
    assert answer.json()["data"]["send_msg"] == "收到：a\ufffd"


async def test_a_body_over_64_kib_is_413() -> None:
    big = {**GOOD, "user_url": "x" * (64 << 10)}
    answer = await ask(big)
    assert (answer.status, list(answer.json())) == (413, ["detail"])
    fits = json.dumps({**GOOD, "user_url": ""}).encode()
    room = b" " * ((64 << 10) - len(fits))
    assert (await ask(raw=fits + room)).status == 200


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreFull()])
async def test_a_store_that_is_away_is_told_plainly(error: Exception) -> None:
    answer = await ask(desk=OneDesk(error))
    assert answer.status == (507 if isinstance(error, StoreFull) else 503)
    assert list(answer.json()) == ["detail"]


# -- who may ask ------------------------------------------------------------------------------


async def test_this_machine_needs_no_token_and_others_do() -> None:
    away = Access(digest_token(TOKEN), bind_host="0.0.0.0", allowed_hosts=("*",))
    assert (await ask()).status == 200
    refused = await ask(access=away)
    assert (refused.status, list(refused.json())) == (401, ["detail"])
    assert (await ask(access=away, token=TOKEN)).status == 200
    assert (await ask(access=away, token="tl_wrong")).status == 401


async def test_a_caller_from_elsewhere_needs_the_token_also_on_a_loopback_bind() -> None:
    app = make_app(make_services(rules=SomeRules(HI)))
    data = json.dumps(GOOD).encode()
    answer = await call(app, "POST", PATH, headers=JSON, chunks=[data], peer="192.0.2.7")
    assert answer.status == 401


@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for", "via"])
async def test_what_came_through_a_proxy_is_not_this_machine(header: str) -> None:
    answer = await ask(headers={**JSON, header: "for=127.0.0.1"})
    assert (answer.status, list(answer.json())) == (403, ["detail"])


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8080", 200), ("http://localhost:3000", 200), ("https://evil.example", 403)],
)
async def test_a_page_from_elsewhere_is_refused(origin: str, status: int) -> None:
    assert (await ask(headers={**JSON, "origin": origin})).status == status


async def test_no_other_path_is_opened_by_it() -> None:
    app = make_app(make_services(rules=SomeRules(HI)))
    for path in ("/xianyu/reply/", "/xianyu", "/api/v1/rules/try"):
        answer = await call(app, "POST", path, headers=JSON, chunks=[b"{}"])
        assert answer.status in (401, 404), path


# -- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "image", "status", "said"),
    [
        (
            "",
            Image(url="https://img.example/a.jpg"),
            200,
            "__IMAGE_SEND__https://img.example/a.jpg",
        ),
        ("看图", Image(url="https://img.example/a.jpg"), 200, "看图"),
        ("看图", Image(data=b"x"), 200, "看图"),
        ("", Image(data=b"x"), 404, ""),
    ],
)
async def test_pictures(reply: str, image: Image, status: int, said: str) -> None:
    rules = RulebookSpec(rules=(RuleSpec("p", keywords=("你好",), reply=reply, image=image),))
    answer = await ask(rules=rules)
    assert answer.status == status
    if said:
        assert answer.json()["data"] == {"send_msg": said}


async def test_the_buyers_words_are_not_filled_again() -> None:
    echo = RulebookSpec(rules=(RuleSpec("e", match="any", reply="收到：{send_message}"),))
    answer = await ask({**GOOD, "send_message": "{send_user_id} {{x}}"}, rules=echo)
    assert answer.json()["data"]["send_msg"] == "收到：{send_user_id} {{x}}"


async def test_a_line_of_any_mode_answers() -> None:
    facts = facts_of("acc1")
    facts["acc1"] = msgspec.structs.replace(facts["acc1"], mode="off", is_paused=True)
    assert (await ask(facts=facts)).status == 200
