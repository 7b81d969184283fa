from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import web_rows as rows
from asgi import Answer, call
from trunkline.clock import FakeClock
from trunkline.ids import ConversationId, InboxId, format_id
from trunkline.model.address import Address
from trunkline.model.conversation import ConversationState
from trunkline.store.contract import Beat, InboxRow
from trunkline.store.sqlite import SqliteStore
from trunkline.web.app import make_app
from web_stand import TOKEN, OneDesk, OneFleet, line_status, make_services

PATH = "/api/v1/conversations"
BLOG = quote("blog/visitor:v-1", safe="")
CORE = quote("core/group:88@my_platform", safe="")
ODD_PEER = "a@b/messages?x=1 %41 名"


class Api:
    """The application over a real store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.desk = OneDesk()
        fleet = OneFleet(line_status("blog"), line_status("core", dialect="maim"))
        self.app = make_app(make_services(store, desk=self.desk, fleet=fleet))

    async def ask(self, path: str, method: str = "GET", json: Any = None) -> Answer:
        return await call(self.app, method, PATH + path, token=TOKEN, json=json)

    async def get(self, path: str) -> Any:
        answer = await self.ask(path)
        assert answer.status == 200, answer.body
        return answer.json()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await rows.fill(store)
    yield Api(store)
    await store.close()


async def pages(api: Api, path: str, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(20):
        page = await api.get(f"{path}{'&' if '?' in path else '?'}cursor={quote(cursor, safe='')}")
        found += page[key]
        cursor = page["cursor"]
        if not cursor:
            return found
    raise AssertionError("the list has no end")


# -- which there are ------------------------------------------------------------------------


async def test_conversations_are_listed_last_active_first(api: Api) -> None:
    page = await api.get("")
    assert [one["address"] for one in page["conversations"]] == [
        "core/group:88@my_platform", "blog/visitor:v-1",
    ]  # fmt: skip
    core, blog = page["conversations"]
    assert core["id"] == format_id("c", rows.CORE.id)
    assert (core["line"], core["account"], core["name"]) == ("core", "my_platform", "群")
    assert core["last"]["id"] == format_id("d", rows.EXPIRED)
    assert (blog["taken_by"], blog["taken_until"]) == ("", None)


async def test_one_line_only_and_pages_follow_each_other(api: Api) -> None:
    assert [one["line"] for one in await pages(api, "?line=blog", "conversations")] == ["blog"]
    found = await pages(api, "?limit=1", "conversations")
    assert [one["line"] for one in found] == ["core", "blog"]
    assert (await api.ask("?line=none")).status == 404


async def test_who_has_a_conversation_is_shown_until_the_time_is_over(api: Api) -> None:
    until_ms = rows.NOW_MS + 60_000
    taken = ConversationState(
        rows.BLOG.id, "blog", "", "visitor", "v-1", taken_until_ms=until_ms, taken_by="Mei"
    )
    over = ConversationState(
        rows.CORE.id, "core", "my_platform", "group", "88", "群",
        taken_until_ms=rows.NOW_MS, taken_by="Mei",
    )  # fmt: skip
    await api.store.commit(Beat(conversations=[taken, over], now_ms=rows.NOW_MS))
    core, blog = (await api.get(""))["conversations"]
    assert (blog["taken_by"], blog["taken_until"]) == ("Mei", "2026-01-01T00:01:00.000Z")
    assert (core["taken_by"], core["taken_until"]) == ("", None)


# -- what was said --------------------------------------------------------------------------


async def test_a_conversation_is_read_newest_first_by_its_address_or_its_id(api: Api) -> None:
    said = (await api.get(f"/{BLOG}/messages"))["messages"]
    assert [one["id"] for one in said][-2:] == [
        format_id("d", rows.ANSWERED), format_id("m", rows.ASKED),
    ]  # fmt: skip
    asked, answered = said[-1], said[-2]
    assert (asked["speaker"], asked["name"], asked["text"]) == (
        "user",
        "Ana",
        "价格\x1b[31m?[图片]",
    )
    assert (answered["speaker"], answered["state"]) == ("assistant", "confirmed")
    assert answered["source"] == "rule:price"
    assert format_id("d", rows.DRAFT) not in [one["id"] for one in said]
    by_id = await api.get(f"/{format_id('c', rows.BLOG.id)}/messages")
    assert by_id["messages"] == said


async def test_pages_of_a_conversation_join_without_gap_or_double(api: Api) -> None:
    whole = (await api.get(f"/{BLOG}/messages"))["messages"]
    for limit in (1, 2, len(whole)):
        assert await pages(api, f"/{BLOG}/messages?limit={limit}", "messages") == whole


async def test_an_address_may_leave_out_the_only_account(api: Api) -> None:
    short = await api.get(f"/{quote('core/group:88', safe='')}/messages")
    assert short == await api.get(f"/{CORE}/messages")
    assert short["messages"]


async def test_any_id_of_a_peer_is_found(api: Api) -> None:
    odd = ConversationState(ConversationId(3), "blog", "", "visitor", ODD_PEER)
    row = InboxRow(
        InboxId(rows.START + 160), odd.id, None, rows.EventKind.MESSAGE, rows.InboxState.DONE,
        rows.NOW_MS, b"",
    )  # fmt: skip
    await api.store.commit(Beat(conversations=[odd], inbox=[row], now_ms=rows.NOW_MS))
    address = (await api.get(""))["conversations"][0]["address"]
    found = await api.get(f"/{quote(address, safe='')}/messages")
    assert [one["id"] for one in found["messages"]] == [format_id("m", row.id)]


@pytest.mark.parametrize("ident", ["c-!", "c-", "x", "blog", "blog/visitor", "m-1"])
async def test_what_is_no_id_is_422(api: Api, ident: str) -> None:
    shown = quote(ident, safe="")
    for method, path in (("GET", "messages"), ("PUT", "takeover"), ("DELETE", "takeover")):
        answer = await api.ask(f"/{shown}/{path}", method)
        assert (answer.status, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("ident", "code"),
    [
        ("c-zzzz", "not-found"),
        ("blog/visitor:nobody", "not-found"),
        ("none/visitor:v-1", "no-such-line"),
        ("core/group:88@other", "not-found"),
    ],
)
async def test_what_does_not_exist_is_404(api: Api, ident: str, code: str) -> None:
    shown = quote(ident, safe="")
    for method, path in (("GET", "messages"), ("PUT", "takeover"), ("DELETE", "takeover")):
        answer = await api.ask(f"/{shown}/{path}", method)
        assert (answer.status, answer.json()["code"]) == (404, code)
    assert api.desk.takeovers == []


@pytest.mark.parametrize("cursor", ["x", "-1", "1 ", "٣", "9" * 20, "1e3"])
async def test_a_cursor_that_was_never_given_is_422(api: Api, cursor: str) -> None:
    shown = quote(cursor, safe="")
    for path in (f"?cursor={shown}", f"/{BLOG}/messages?cursor={shown}"):
        answer = await api.ask(path)
        assert (answer.status, answer.json()["code"]) == (422, "invalid"), path


# -- who has it -----------------------------------------------------------------------------


async def test_a_person_takes_and_gives_back(api: Api) -> None:
    answer = await api.ask(f"/{CORE}/takeover", "PUT", {"name": "Mei", "for_s": 60})
    assert answer.json() == {
        "address": "core/group:88@my_platform", "by": "Mei", "until": "2026-01-01T00:01:00.000Z",
    }  # fmt: skip
    where = Address("core", "group", "88", "my_platform")
    assert api.desk.takeovers == [(where, "Mei", 60.0)]
    answer = await api.ask(f"/{CORE}/takeover", "DELETE")
    assert answer.json() == {"address": "core/group:88@my_platform", "by": "", "until": None}
    assert api.desk.released == [where]


async def test_a_takeover_without_a_body_is_for_ten_minutes(api: Api) -> None:
    assert (await api.ask(f"/{BLOG}/takeover", "PUT")).status == 200
    assert api.desk.takeovers == [(Address("blog", "visitor", "v-1"), "", 600.0)]


@pytest.mark.parametrize("body", [{"for_s": 0}, {"for_s": 1e9}, {"name": "x" * 65}, {"who": "x"}])
async def test_what_is_no_takeover_is_422(api: Api, body: Any) -> None:
    assert (await api.ask(f"/{BLOG}/takeover", "PUT", body)).status == 422
    assert api.desk.takeovers == []
