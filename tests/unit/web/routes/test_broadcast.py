from __future__ import annotations

from typing import Any

import pytest

from asgi import Answer, call
from trunkline.errors import StoreUnavailable
from trunkline.model.segment import Text
from trunkline.web.app import make_app
from web_stand import TOKEN, OneDesk, make_services

PATH = "/api/v1/broadcast"
GOOD = {"line": "blog", "message": "hello all"}


async def ask(desk: OneDesk, *bodies: Any, key: str = "") -> list[Answer]:
    app = make_app(make_services(desk=desk))
    headers = {"Idempotency-Key": key} if key else {}
    return [
        await call(app, "POST", PATH, token=TOKEN, json=body, headers=headers) for body in bodies
    ]


async def test_a_broadcast_tells_how_many_got_it() -> None:
    desk = OneDesk()
    (answer,) = await ask(desk, GOOD)
    assert (answer.status, answer.json()) == (200, {"delivered": 3, "failed": 1})
    assert desk.said == [("blog", (Text("hello all"),))]


async def test_the_same_key_says_it_once() -> None:
    desk = OneDesk()
    answers = await ask(desk, GOOD, GOOD, key="k")
    assert [answer.json() for answer in answers] == [{"delivered": 3, "failed": 1}] * 2
    assert len(desk.said) == 1
    await ask(desk, GOOD, GOOD)
    assert len(desk.said) == 3


async def test_a_line_without_broadcast_is_409_with_what_to_do() -> None:
    (answer,) = await ask(OneDesk(ValueError("no contact line")), GOOD)
    problem = answer.json()
    assert (answer.status, problem["code"]) == (409, "no-broadcast")
    assert problem["fix"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"line": "none", "message": "x"}, 404),
        ({"line": "blog", "message": ""}, 422),
        ({"line": "blog", "message": [{"type": "nonsense"}]}, 422),
        ({"line": "blog"}, 422),
        ({**GOOD, "to": "x"}, 422),
    ],
)
async def test_what_cannot_be_broadcast(body: Any, status: int) -> None:
    desk = OneDesk()
    (answer,) = await ask(desk, body)
    assert answer.status == status, answer.body
    assert desk.said == []


async def test_a_store_that_is_away_is_503_and_the_key_may_be_used_again() -> None:
    desk = OneDesk(StoreUnavailable())
    (answer,) = await ask(desk, GOOD, key="k")
    assert answer.status == 503
