from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import web_rows as rows
from asgi import Answer, call
from trunkline.clock import FakeClock
from trunkline.exchange.bodies import encode_event
from trunkline.exchange.contract import Pace, PaceNow
from trunkline.ids import InboxId, format_id
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text
from trunkline.store.contract import Beat, EventKind, InboxRow, InboxState
from trunkline.store.sqlite import SqliteStore
from trunkline.web.app import make_app
from trunkline.web.routes.deliveries import DISCARDED_FROM, REQUEUED_FROM
from web_stand import TOKEN, OneDesk, OneFleet, line_status, make_services

PATH = "/api/v1/deliveries"


def ident(row: int) -> str:
    return format_id("d", row)


class Api:
    """The application over a real store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.desk = OneDesk()
        self.fleet = OneFleet(line_status("blog"), line_status("core"))
        self.app = make_app(make_services(store, desk=self.desk, fleet=self.fleet))

    async def get(self, path: str = "") -> Any:
        answer = await call(self.app, "GET", PATH + path, token=TOKEN)
        assert answer.status == 200, answer.body
        return answer.json()

    async def post(self, path: str, body: object = None) -> Answer:
        given = {} if body is None else {"json": body}
        return await call(self.app, "POST", PATH + path, token=TOKEN, **given)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await rows.fill(store)
    yield Api(store)
    await store.close()


async def test_deliveries_are_listed_newest_first(api: Api) -> None:
    page = await api.get()
    states = [delivery["state"] for delivery in page["deliveries"]]
    assert states == [
        "expired",
        "refused",
        "queued",
        "uncertain",
        "uncertain",
        "draft",
        "confirmed",
    ]
    assert page["deliveries"][0] == {
        "id": ident(rows.EXPIRED), "state": "expired", "is_held": False, "is_final": True,
        "at": "2026-01-01T00:00:00.000Z", "line": "core", "to": "core/group:88@my_platform",
        "text": "words of expired", "source": "rule:price", "attempt": 1, "reason": "",
        "peer_id": "", "due": None, "expires": None, "settled": None, "question": None,
        "late_s": 0.0, "paced_until": None, "paced_behind": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?state=draft", [rows.DRAFT]),
        ("?state=uncertain&state=refused", [rows.REFUSED, rows.LOST_TOO, rows.LOST]),
        ("?line=core", [rows.EXPIRED, rows.REFUSED, rows.QUEUED]),
        ("?line=core&state=draft", []),
        ("?state=uncertain&limit=1", [rows.LOST_TOO]),
    ],
)
async def test_lists_can_be_narrowed(api: Api, query: str, expected: list[int]) -> None:
    page = await api.get(query)
    assert [delivery["id"] for delivery in page["deliveries"]] == [ident(row) for row in expected]


async def test_pages_follow_each_other(api: Api) -> None:
    found, cursor = [], ""
    for _ in range(4):
        page = await api.get(f"?limit=2&cursor={cursor}")
        found += [delivery["id"] for delivery in page["deliveries"]]
        cursor = page["cursor"]
    assert len(found) == len(set(found)) == 7
    assert cursor == ""


async def test_what_waits_for_a_person_is_held(api: Api) -> None:
    async def held() -> set[str]:
        return {row["id"] for row in (await api.get())["deliveries"] if row["is_held"]}

    always = {ident(rows.DRAFT), ident(rows.LOST), ident(rows.LOST_TOO)}
    assert await held() == always
    for overlay in ("paused", "needs-you"):
        api.fleet.lines[1] = line_status("core", overlays=(overlay,))
        assert await held() == always | {ident(rows.QUEUED)}


async def test_wait_returns_what_it_became(api: Api) -> None:
    shown = await api.get(f"/{ident(rows.QUEUED)}?wait=2.5")
    assert api.desk.waited == [(rows.QUEUED, 2.5)]
    assert (shown["state"], shown["is_final"]) == ("queued", False)
    await api.get(f"/{ident(rows.QUEUED)}")
    assert len(api.desk.waited) == 1


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "x"])
async def test_a_wait_has_a_bound(api: Api, wait: str) -> None:
    answer = await call(api.app, "GET", f"{PATH}/{ident(rows.QUEUED)}?wait={wait}", token=TOKEN)
    assert answer.status == 422


async def test_a_draft_leaves_when_it_is_approved_and_approving_again_changes_nothing(
    api: Api,
) -> None:
    path = f"/{ident(rows.DRAFT)}"
    answer = await api.post(f"{path}/approve")
    moved = {"id": ident(rows.DRAFT), "state": "queued", "is_repeat": False, "newer": 0}
    assert (answer.status, answer.json()) == (200, moved)
    assert api.desk.wakes == 1
    again = await api.post(f"{path}/approve")
    assert (again.status, again.json()) == (200, moved | {"is_repeat": True})
    assert api.desk.wakes == 1
    await api.store.commit(Beat(claims=[rows.DRAFT], now_ms=rows.NOW_MS))
    assert (await api.post(f"{path}/approve")).json()["state"] == "sending"
    await api.store.commit(Beat(sent_ranges=[(rows.DRAFT, rows.DRAFT)], now_ms=rows.NOW_MS))
    assert (await api.post(f"{path}/approve")).json()["state"] == "sent"


async def test_a_draft_says_how_long_it_waits(api: Api) -> None:
    assert (await api.get(f"/{ident(rows.DRAFT)}"))["expires"] == "2026-01-02T00:00:00.000Z"


async def test_a_draft_leaves_with_a_persons_words(api: Api) -> None:
    path = f"/{ident(rows.DRAFT)}"
    answer = await api.post(f"{path}/approve", {"text": "亲，包邮"})
    assert (answer.status, answer.json()["state"]) == (200, "queued")
    shown = await api.get(path)
    assert (shown["text"], shown["source"]) == ("亲，包邮", "person")
    # The same words again are the same request; others come too late.
    again = await api.post(f"{path}/approve", {"text": "亲，包邮"})
    assert (again.status, again.json()["is_repeat"]) == (200, True)
    assert (await api.post(f"{path}/approve")).json()["is_repeat"]
    other = await api.post(f"{path}/approve", {"text": "不包邮"})
    assert (other.status, other.json()["code"]) == (409, "wrong-state")
    assert (await api.get(path))["text"] == "亲，包邮"
    assert api.desk.wakes == 1


@pytest.mark.parametrize("body", [{"text": ""}, {"text": " \n"}, {"text": "x", "y": 1}, []])
async def test_words_that_say_nothing_leave_the_draft_as_it_is(api: Api, body: object) -> None:
    answer = await api.post(f"/{ident(rows.DRAFT)}/approve", body)
    assert (answer.status, answer.json()["code"]) == (422, "invalid")
    assert (await api.get(f"/{ident(rows.DRAFT)}"))["state"] == "draft"


@pytest.mark.parametrize("sent", [b"", b"{}", b"null", b'{"text": null}'])
async def test_without_words_a_draft_leaves_as_it_is(api: Api, sent: bytes) -> None:
    path = f"{PATH}/{ident(rows.DRAFT)}/approve"
    headers = {"content-type": "application/json"}
    before = (await api.get(f"/{ident(rows.DRAFT)}"))["text"]
    for is_repeat in (False, True):
        answer = await call(api.app, "POST", path, token=TOKEN, chunks=[sent], headers=headers)
        assert (answer.status, answer.json()["is_repeat"]) == (200, is_repeat)
    shown = await api.get(f"/{ident(rows.DRAFT)}")
    assert (shown["state"], shown["text"]) == ("queued", before)


async def test_what_waits_for_its_pace_says_behind_how_many(api: Api) -> None:
    api.desk.paces["core"] = PaceNow(Pace(6000, 150), 3, rows.NOW_MS + 6000)
    for row in (rows.REFUSED, rows.EXPIRED):
        assert (await api.post(f"/{ident(row)}/requeue")).status == 200
    expected = {ident(rows.QUEUED): 0, ident(rows.REFUSED): 1, ident(rows.EXPIRED): 2}
    listed = (await api.get("?line=core"))["deliveries"]
    assert {row["id"]: row["paced_behind"] for row in listed} == expected
    # A page of one knows its place, too.
    (first,) = (await api.get("?line=core&limit=1"))["deliveries"]
    assert first["paced_behind"] == expected[first["id"]]
    assert (await api.get(f"/{ident(rows.EXPIRED)}"))["paced_behind"] == 2
    api.desk.paces["core"] = PaceNow(Pace(6000, 150), 3, 0)
    assert {row["paced_behind"] for row in (await api.get())["deliveries"]} == {0}


async def test_approving_tells_how_many_messages_came_since(api: Api) -> None:
    asked = rows.ANA, (Text("在吗"),)
    newer = [
        InboxRow(
            InboxId(rows.START + 16 * nth), rows.BLOG.id, None, EventKind.MESSAGE,
            InboxState.DONE, rows.NOW_MS, encode_event(MessageReceived(rows.CHAT, *asked)),
        )
        for nth in (20, 21)
    ]  # fmt: skip
    await api.store.commit(Beat(inbox=newer, now_ms=rows.NOW_MS))
    assert (await api.post(f"/{ident(rows.DRAFT)}/approve")).json()["newer"] == 2


async def test_a_draft_that_ran_out_says_how_to_send_it_all_the_same(api: Api) -> None:
    day_ms = 86_400_000
    now_ms = rows.NOW_MS + day_ms + 1
    expired = await api.store.expire_drafts(now_ms - day_ms, "nobody approved it", now_ms, 9)
    assert expired == [rows.DRAFT]
    refused = await api.post(f"/{ident(rows.DRAFT)}/approve")
    assert (refused.status, "requeue" in refused.json()["detail"]) == (409, True)
    assert (await api.post(f"/{ident(rows.DRAFT)}/requeue")).json()["state"] == "queued"


async def test_what_waits_for_its_pace_says_until_when(api: Api) -> None:
    free_ms = rows.NOW_MS + 6000
    api.desk.paces["core"] = PaceNow(Pace(6000, 150), 3, free_ms)
    until = {row["id"]: row["paced_until"] for row in (await api.get())["deliveries"]}
    assert until.pop(ident(rows.QUEUED)) == "2026-01-01T00:00:06.000Z"
    assert set(until.values()) == {None}
    shown = await api.get(f"/{ident(rows.QUEUED)}")
    assert shown["paced_until"] == "2026-01-01T00:00:06.000Z"


@pytest.mark.parametrize("row", [rows.LOST, rows.REFUSED, rows.EXPIRED])
async def test_what_did_not_arrive_can_be_sent_again(api: Api, row: int) -> None:
    assert (await api.post(f"/{ident(row)}/requeue")).status == 200
    assert (await api.get(f"/{ident(row)}"))["state"] == "queued"


@pytest.mark.parametrize(
    ("row", "verb"),
    [
        (rows.ANSWERED, "requeue"),
        (rows.ANSWERED, "discard"),
        (rows.DRAFT, "requeue"),
        (rows.LOST, "approve"),
    ],
)
async def test_a_state_that_does_not_allow_it_is_409(api: Api, row: int, verb: str) -> None:
    before = await api.get(f"/{ident(row)}")
    assert (await api.post(f"/{ident(row)}/{verb}")).status == 409
    assert await api.get(f"/{ident(row)}") == before


def test_a_message_that_arrived_or_is_on_its_way_is_never_sent_again() -> None:
    arrived = {DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.CONFIRMED}
    assert arrived.isdisjoint(REQUEUED_FROM)
    assert arrived.isdisjoint(DISCARDED_FROM)
    assert DeliveryState.DISCARDED not in REQUEUED_FROM


@pytest.mark.parametrize("row", [rows.DRAFT, rows.QUEUED, rows.LOST, rows.REFUSED])
async def test_a_delivery_can_be_dropped_and_dropping_it_again_changes_nothing(
    api: Api, row: int
) -> None:
    dropped = await api.post(f"/{ident(row)}/discard")
    assert (dropped.status, dropped.json()["is_repeat"]) == (200, False)
    assert (await api.get(f"/{ident(row)}"))["state"] == "discarded"
    again = await api.post(f"/{ident(row)}/discard")
    assert (again.status, again.json()["is_repeat"]) == (200, True)
    assert (await api.post(f"/{ident(row)}/approve")).status == 409


@pytest.mark.parametrize(("verb", "state"), [("requeue", "queued"), ("discard", "discarded")])
async def test_what_one_restart_left_is_decided_as_a_group(api: Api, verb: str, state: str) -> None:
    answer = await api.post(f"/group/restart 1/{verb}")
    assert answer.json() == {"reason": "restart 1", "moved": 2}
    for row in (rows.LOST, rows.LOST_TOO):
        assert (await api.get(f"/{ident(row)}"))["state"] == state
    assert api.desk.wakes == 1
    assert (await api.post(f"/group/restart 9/{verb}")).json()["moved"] == 0
    assert api.desk.wakes == 1


@pytest.mark.parametrize(("text", "status"), [("d-0", 404), ("m-1", 422), ("x", 422)])
async def test_what_does_not_exist_is_404_and_what_is_no_id_422(
    api: Api, text: str, status: int
) -> None:
    assert (await call(api.app, "GET", f"{PATH}/{text}", token=TOKEN)).status == status
    for verb in ("requeue", "discard", "approve"):
        assert (await api.post(f"/{text}/{verb}")).status == status


async def test_an_unknown_id_is_quoted_as_it_was_typed(api: Api) -> None:
    answer = await call(api.app, "GET", f"{PATH}/D-0ILO", token=TOKEN)
    assert (answer.status, answer.json()["code"]) == (404, "not-found")
    assert "D-0ILO" in answer.json()["detail"]


@pytest.mark.parametrize("cursor", ["x", "-1", "1e3", "9" * 20])
async def test_a_cursor_that_was_never_given_is_422(api: Api, cursor: str) -> None:
    answer = await call(api.app, "GET", f"{PATH}?cursor={cursor}", token=TOKEN)
    assert (answer.status, answer.json()["code"]) == (422, "invalid")
