from __future__ import annotations

from pathlib import Path

import pytest

import web_rows as rows
from asgi import call
from trunkline.clock import FakeClock
from trunkline.exchange.contract import Pace, PaceNow
from trunkline.lines.contract import LineState, OddityStatus
from trunkline.store.contract import Beat
from trunkline.store.sqlite import SqliteStore
from trunkline.web.app import make_app
from web_stand import TOKEN, OneDesk, OneFleet, line_status, make_services

PATH = "/api/v1/lines"


async def test_lines_are_shown_in_file_order() -> None:
    parked = line_status(
        "mai", link="dial", state=LineState.FAILED, overlays=("needs-you",), error="wrong token",
        retry_in_s=4.5, last_ms=0, seats=(),
    )  # fmt: skip
    app = make_app(make_services(fleet=OneFleet(line_status("blog"), parked)))
    answer = await call(app, "GET", PATH, token=TOKEN)
    blog, mai = answer.json()["lines"]
    assert (blog["name"], blog["state"], blog["last"]) == (
        "blog",
        "CONNECTED",
        "2026-01-01T00:00:00.000Z",
    )
    since = "2026-01-01T00:00:00.000Z"
    assert blog["seats"] == [
        {"key": "v-1", "account": "", "peer": "127.0.0.1", "since": since, "last": None}
    ]
    assert (mai["state"], mai["overlays"], mai["error"]) == ("FAILED", ["needs-you"], "wrong token")
    assert (mai["last"], mai["retry_in_s"]) == (None, 4.5)
    one = await call(app, "GET", f"{PATH}/mai", token=TOKEN)
    assert one.json() == mai


async def test_what_was_odd_is_shown_where_one_line_is() -> None:
    fleet = OneFleet()
    fleet.odd["blog"] = [OddityStatus("rejected:not_json", "9 bytes", 3, rows.NOW_MS)]
    app = make_app(make_services(fleet=fleet))
    one = (await call(app, "GET", f"{PATH}/blog", token=TOKEN)).json()
    at = "2026-01-01T00:00:00.000Z"
    told = {"kind": "rejected:not_json", "detail": "9 bytes", "times": 3, "last": at}
    assert one["oddities"] == [told]
    (blog,) = (await call(app, "GET", PATH, token=TOKEN)).json()["lines"]
    assert blog["oddities"] == []


async def test_a_line_shows_its_pace_and_what_waits_for_a_person(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, clock=FakeClock())
    await store.open()
    await rows.fill(store)
    await store.commit(Beat(for_person=[(rows.ASKED, rows.BLOG.id)], now_ms=rows.NOW_MS))
    desk = OneDesk()
    desk.paces["core"] = PaceNow(Pace(6000, 150), 38, rows.NOW_MS + 2500)
    fleet = OneFleet(line_status("blog"), line_status("core"))
    app = make_app(make_services(store, desk=desk, fleet=fleet))
    blog, core = (await call(app, "GET", PATH, token=TOKEN)).json()["lines"]
    assert (blog["drafts"], blog["pace"]) == (1, None)
    assert (core["drafts"], core["for_person"], blog["for_person"]) == (0, 0, 1)
    assert core["pace"] == {
        "every_s": 6.0, "daily": 150, "sent_today": 38, "next": "2026-01-01T00:00:02.500Z"
    }  # fmt: skip
    assert (await call(app, "GET", f"{PATH}/core", token=TOKEN)).json() == core
    changed = await call(app, "POST", f"{PATH}/blog/mode", token=TOKEN, json={"mode": "auto"})
    assert changed.json()["drafts"] == 1
    await store.close()
    # Lines can be seen and steered while the store is away.
    assert (await call(app, "GET", f"{PATH}/blog", token=TOKEN)).json()["drafts"] == 0


@pytest.mark.parametrize("verb", ["pause", "resume", "reconnect"])
async def test_a_line_is_steered(verb: str) -> None:
    fleet = OneFleet()
    app = make_app(make_services(fleet=fleet))
    answer = await call(app, "POST", f"{PATH}/blog/{verb}", token=TOKEN)
    assert (answer.status, answer.json()["name"]) == (200, "blog")
    assert fleet.done == [(verb, "blog")]
    assert (await call(app, "POST", f"{PATH}/none/{verb}", token=TOKEN)).status == 404
    assert len(fleet.done) == 1


async def test_a_lines_mode_is_one_of_three() -> None:
    fleet = OneFleet()
    app = make_app(make_services(fleet=fleet))
    answer = await call(app, "POST", f"{PATH}/blog/mode", token=TOKEN, json={"mode": "draft"})
    assert answer.status == 200
    for wrong in ({"mode": "loud"}, {}, {"mode": "off", "x": 1}, []):
        answer = await call(app, "POST", f"{PATH}/blog/mode", token=TOKEN, json=wrong)
        assert answer.status == 422
    assert fleet.done == [("mode", "blog", "draft")]


async def test_a_line_that_is_not_there_names_those_that_are() -> None:
    answer = await call(make_app(make_services()), "GET", f"{PATH}/blgo", token=TOKEN)
    assert (answer.status, answer.json()["code"]) == (404, "no-such-line")
    assert "blog" in answer.json()["detail"]


async def test_a_credential_is_given_and_never_shown() -> None:
    fleet = OneFleet(line_status("shop"))
    app = make_app(make_services(fleet=fleet))
    path = f"{PATH}/shop/credential"
    answer = await call(app, "PUT", path, token=TOKEN, json={"credential": "unb=1; a=secret-x"})
    assert (answer.status, answer.json()["name"]) == (200, "shop")
    assert "secret-x" not in str(answer.json())
    assert fleet.done == [("credential", "shop", "unb=1; a=secret-x")]
    for wrong in ({"credential": "secret-y"}, {"credential": ""}, {"credential": "u" * 65_537}, {}):
        answer = await call(app, "PUT", path, token=TOKEN, json=wrong)
        assert (answer.status, "secret-y" in str(answer.json())) == (422, False)
    answer = await call(app, "PUT", path, json={"credential": "unb=1"})
    assert answer.status == 401
    other = await call(app, "PUT", f"{PATH}/x/credential", token=TOKEN, json={"credential": "unb="})
    assert other.status == 404
    assert len(fleet.done) == 1
