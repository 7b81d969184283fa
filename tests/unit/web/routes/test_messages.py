from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import web_rows as rows
from asgi import Answer, call
from trunkline.clock import FakeClock
from trunkline.ids import format_id
from trunkline.model.address import Address
from trunkline.model.segment import Image, Text
from trunkline.store.contract import Beat
from trunkline.store.sqlite import SqliteStore
from trunkline.web.app import make_app
from web_stand import TOKEN, OneDesk, make_services

PATH = "/api/v1/messages"
ASKED, REQUESTED, BROKEN = (format_id("m", n) for n in (rows.ASKED, rows.REQUESTED, rows.BROKEN))


class Api:
    """The application over a real store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.desk = OneDesk()
        self.app = make_app(make_services(store, desk=self.desk))

    async def get(self, path: str, **headers: str) -> Any:
        answer = await call(self.app, "GET", path, token=TOKEN, headers=headers)
        assert answer.status == 200, answer.body
        return answer.json()

    async def post(self, path: str, json: Any = None, **headers: str) -> Answer:
        pairs = {name.replace("_", "-"): value for name, value in headers.items()}
        return await call(self.app, "POST", path, token=TOKEN, json=json, headers=pairs)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await rows.fill(store)
    yield Api(store)
    await store.close()


# -- reading --------------------------------------------------------------------------------


async def test_messages_are_listed_newest_first(api: Api) -> None:
    page = await api.get(PATH)
    assert [message["id"] for message in page["messages"]] == [BROKEN, REQUESTED, ASKED]
    assert page["cursor"] == ""
    asked = page["messages"][2]
    assert asked == {
        "id": ASKED, "kind": "message", "state": "done", "at": "2026-01-01T00:00:00.000Z",
        "line": "blog", "address": "blog/visitor:v-1", "sender": "Ana", "name": "",
        "text": "价格\x1b[31m?[图片]", "item": "7788", "attempts": 1, "reason": "",
        "for_person": False,
    }  # fmt: skip
    request = page["messages"][1]
    assert (request["kind"], request["name"], request["text"]) == ("request", "contact", "call me")
    assert page["messages"][0]["reason"] == "poison"


async def test_pages_follow_each_other(api: Api) -> None:
    found, cursor = [], ""
    for _ in range(3):
        page = await api.get(f"{PATH}?limit=1&cursor={cursor}")
        found += [message["id"] for message in page["messages"]]
        cursor = page["cursor"]
    assert found == [BROKEN, REQUESTED, ASKED]


async def test_after_gives_what_is_newer_oldest_first(api: Api) -> None:
    page = await api.get(f"{PATH}?after={ASKED}")
    assert [message["id"] for message in page["messages"]] == [REQUESTED, BROKEN]
    page = await api.get(f"{PATH}?after={ASKED.upper()}")
    assert len(page["messages"]) == 2


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=request", [REQUESTED]),
        ("state=dead", [BROKEN]),
        ("kind=request&kind=message&state=done", [REQUESTED, ASKED]),
        ("state=waiting", []),
        ("line=blog", [BROKEN, REQUESTED, ASKED]),
        ("line=core", []),
    ],
)
async def test_lists_can_be_narrowed(api: Api, query: str, expected: list[str]) -> None:
    page = await api.get(f"{PATH}?{query}")
    assert [message["id"] for message in page["messages"]] == expected


async def test_one_message_comes_with_its_answers(api: Api) -> None:
    found = await api.get(f"{PATH}/{ASKED}")
    assert found["message"]["id"] == ASKED
    (answer,) = found["answers"]
    assert answer["id"] == format_id("d", rows.ANSWERED)
    assert (answer["state"], answer["question"], answer["peer_id"]) == ("confirmed", ASKED, "p-9")
    assert (await api.get(f"{PATH}/{REQUESTED}"))["answers"] == []


@pytest.mark.parametrize(("language", "word"), [("zh", "结果"), ("en", "result")])
async def test_why_tells_it_in_the_readers_language(api: Api, language: str, word: str) -> None:
    record = await api.get(f"{PATH}/{ASKED}/why", **{"accept-language": language})
    assert record["steps"] == [
        {"stage": "rules", "verdict": "reply", "detail": ["rule", "price", "matched", "价格"]}
    ]
    assert any(line.startswith(word) for line in record["lines"])
    assert any("price" in line for line in record["lines"])
    assert len(record["answers"]) == 1


async def test_why_without_a_record_is_empty(api: Api) -> None:
    record = await api.get(f"{PATH}/{REQUESTED}/why")
    assert (record["steps"], record["lines"]) == ([], [])


@pytest.mark.parametrize(
    ("ident", "status", "code"),
    [
        ("m-0", 404, "not-found"),
        ("m-zzzz", 404, "not-found"),
        *((text, 422, "invalid") for text in ("d-1", "1", "m-", "m-!", "m-" + "z" * 13)),
    ],
)
async def test_what_does_not_exist_is_404_and_what_is_no_id_422(
    api: Api, ident: str, status: int, code: str
) -> None:
    for tail in ("", "/why"):
        answer = await call(api.app, "GET", f"{PATH}/{ident}{tail}", token=TOKEN)
        assert (answer.status, answer.json()["code"]) == (status, code)
    for verb in ("requeue", "discard"):
        assert (await api.post(f"{PATH}/{ident}/{verb}")).status == status


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", "cursor=" + "9" * 20, "after=m-!"])
async def test_a_cursor_that_was_never_given_is_422(api: Api, query: str) -> None:
    answer = await call(api.app, "GET", f"{PATH}?{query}", token=TOKEN)
    assert (answer.status, answer.json()["code"]) == (422, "invalid")


# -- deciding -------------------------------------------------------------------------------


async def test_a_dead_message_can_be_processed_again(api: Api) -> None:
    answer = await api.post(f"{PATH}/{BROKEN}/requeue")
    assert (answer.status, answer.json()) == (200, {"id": BROKEN, "state": "waiting"})
    assert api.desk.wakes == 1
    assert (await api.get(f"{PATH}/{BROKEN}"))["message"]["state"] == "waiting"
    again = await api.post(f"{PATH}/{BROKEN}/requeue")
    assert (again.status, again.json()["code"]) == (409, "wrong-state")
    assert "waiting" in again.json()["detail"]


async def test_a_request_can_be_put_away_an_answered_message_cannot(api: Api) -> None:
    assert (await api.post(f"{PATH}/{REQUESTED}/discard")).status == 200
    assert (await api.get(f"{PATH}/{REQUESTED}"))["message"]["state"] == "discarded"
    assert (await api.post(f"{PATH}/{ASKED}/discard")).status == 409
    assert (await api.post(f"{PATH}/{ASKED}/requeue")).status == 409


async def test_what_waits_for_a_person_is_listed_and_put_away(api: Api) -> None:
    await api.store.commit(Beat(for_person=[(rows.ASKED, rows.BLOG.id)], now_ms=rows.NOW_MS))
    (one,) = (await api.get(f"{PATH}?for_person=true"))["messages"]
    assert (one["id"], one["state"], one["for_person"]) == (ASKED, "done", True)
    assert (await api.get(f"{PATH}?for_person=true&line=core"))["messages"] == []
    assert (await api.get(f"{PATH}?for_person=true&kind=notice"))["messages"] == []
    assert len((await api.get(PATH))["messages"]) == 3
    assert (await api.post(f"{PATH}/{ASKED}/discard")).status == 200
    assert (await api.get(f"{PATH}?for_person=true"))["messages"] == []
    put_away = (await api.get(f"{PATH}/{ASKED}"))["message"]
    assert (put_away["state"], put_away["for_person"]) == ("discarded", False)


# -- sending --------------------------------------------------------------------------------


async def test_a_string_is_sent(api: Api) -> None:
    answer = await api.post(PATH, {"to": "core/group:88@p", "message": "hi"})
    assert answer.status == 202
    assert answer.json() == {"delivery_id": "d-10", "is_repeat": False}
    assert api.desk.sent == [(Address("core", "group", "88", "p"), (Text("hi"),), "")]


async def test_segments_are_sent(api: Api) -> None:
    data = base64.b64encode(b"\x89PNG\x00\xff").decode()
    message = [{"type": "text", "text": "look"}, {"type": "image", "data": data, "name": "a.png"}]
    answer = await api.post(PATH, {"to": "blog/visitor:v-1", "message": message})
    assert answer.status == 202
    assert api.desk.sent[0][1] == (Text("look"), Image(data=b"\x89PNG\x00\xff", name="a.png"))


async def test_the_idempotency_key_is_handed_on(api: Api) -> None:
    body = {"to": "blog/visitor:v-1", "message": "hi"}
    first = await api.post(PATH, body, idempotency_key="deploy-42")
    again = await api.post(PATH, body, idempotency_key="deploy-42")
    assert api.desk.sent[0][2] == "deploy-42"
    assert (first.json()["is_repeat"], again.json()["is_repeat"]) == (False, True)
    assert again.status == 202


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"to": "blog", "message": "hi"}, {}),
        ({"to": "blog/visitor:1", "message": "  "}, {}),
        ({"to": "blog/visitor:1", "message": []}, {}),
        ({"to": "blog/visitor:1", "message": [{"type": "dance"}]}, {}),
        ({"to": "blog/visitor:1", "message": [{"type": "image", "data": "%%"}]}, {}),
        ({"to": "blog/visitor:1", "message": "hi"}, {"idempotency_key": "x" * 201}),
        ({"to": "blog/visitor:1", "message": "hi"}, {"idempotency_key": "a b"}),
    ],
)
async def test_what_cannot_be_sent_is_422(api: Api, body: Any, headers: dict[str, str]) -> None:
    answer = await api.post(PATH, body, **headers)
    assert (answer.status, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["detail"]
    assert api.desk.sent == []


async def test_the_desks_words_reach_the_caller(api: Api) -> None:
    api.desk.outcome = LookupError("line blog has several accounts (a, b); name one")
    answer = await api.post(PATH, {"to": "blog/visitor:1", "message": "hi"})
    assert (answer.status, answer.json()["code"]) == (404, "no-such-target")
    assert "name one" in answer.json()["detail"]
    answer = await api.post(PATH, {"to": "nix/visitor:1", "message": "hi"})
    assert answer.json()["code"] == "no-such-line"
