from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import web_rows as rows
from asgi import Answer, call
from trunkline.clock import FakeClock
from trunkline.ids import format_id
from trunkline.model.delivery import DeliveryState
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
        self.desk = OneDesk()
        self.fleet = OneFleet(line_status("blog"), line_status("core"))
        self.app = make_app(make_services(store, desk=self.desk, fleet=self.fleet))

    async def get(self, path: str = "") -> Any:
        answer = await call(self.app, "GET", PATH + path, token=TOKEN)
        assert answer.status == 200, answer.body
        return answer.json()

    async def post(self, path: str) -> Answer:
        return await call(self.app, "POST", PATH + path, token=TOKEN)


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
        "late_s": 0.0,
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


async def test_a_draft_leaves_when_it_is_approved(api: Api) -> None:
    answer = await api.post(f"/{ident(rows.DRAFT)}/approve")
    assert (answer.status, answer.json()["state"]) == (200, "queued")
    assert api.desk.wakes == 1
    again = await api.post(f"/{ident(rows.DRAFT)}/approve")
    assert (again.status, again.json()["code"]) == (409, "wrong-state")
    assert api.desk.wakes == 1


@pytest.mark.parametrize("row", [rows.LOST, rows.REFUSED, rows.EXPIRED])
async def test_what_did_not_arrive_can_be_sent_again(api: Api, row: int) -> None:
    assert (await api.post(f"/{ident(row)}/requeue")).status == 200
    assert (await api.get(f"/{ident(row)}"))["state"] == "queued"


@pytest.mark.parametrize(
    ("row", "verb"),
    [
        (rows.ANSWERED, "requeue"),
        (rows.ANSWERED, "discard"),
        (rows.ANSWERED, "approve"),
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
async def test_a_delivery_can_be_dropped(api: Api, row: int) -> None:
    assert (await api.post(f"/{ident(row)}/discard")).status == 200
    assert (await api.get(f"/{ident(row)}"))["state"] == "discarded"


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


@pytest.mark.parametrize("cursor", ["x", "-1", "1e3", "9" * 20])
async def test_a_cursor_that_was_never_given_is_422(api: Api, cursor: str) -> None:
    answer = await call(api.app, "GET", f"{PATH}?cursor={cursor}", token=TOKEN)
    assert (answer.status, answer.json()["code"]) == (422, "invalid")
