from __future__ import annotations

from typing import Any

import pytest

from asgi import Answer, call
from trunkline.dialects.registry import DIALECTS
from trunkline.exchange.contract import LineFacts
from trunkline.model.segment import Image
from trunkline.pipeline.rulebook import DefaultSpec, RulebookSpec, RuleSpec
from trunkline.web.app import make_app
from web_stand import TOKEN, OneFleet, SomeRules, line_status, make_services

PATH = "/api/v1/rules"
SPEC = RulebookSpec(
    rules=(
        RuleSpec("price", ("多少钱",), reply="{send_user_name}，页面价", lines=("blog",)),
        RuleSpec("quiet", ("广告",), order=1),
        RuleSpec("pic", ("图",), reply="看图", image=Image(data=b"x"), then="draft", order=2),
    ),
    defaults=(DefaultSpec("稍等", limit=1, per="day"),),
)


async def ask(method: str, path: str, body: Any = None, **services: Any) -> Answer:
    app = make_app(make_services(**({"rules": SomeRules(SPEC)} | services)))
    return await call(app, method, path, token=TOKEN, json=body)


async def test_the_rules_in_use_are_shown() -> None:
    rules = SomeRules(SPEC)
    rules.problems = ["line 3: no"]
    rules.restart_needed = ["[server]"]
    shown = (await ask("GET", PATH, rules=rules)).json()
    assert shown["loaded"] == "2026-01-01T00:00:00.000Z"
    assert [rule["name"] for rule in shown["rules"]] == ["price", "quiet", "pic"]
    assert shown["rules"][2] == {
        "name": "pic", "lines": [], "items": [], "keywords": ["图"], "excepts": [],
        "match": "contains", "reply": "看图", "has_image": True, "priority": 0,
        "is_enabled": True, "then": "draft", "notices": [],
    }  # fmt: skip
    assert shown["default_replies"] == [
        {"lines": [], "items": [], "reply": "稍等", "limit": 1, "per": "day", "is_enabled": True}
    ]
    assert shown["problems"] == ["line 3: no"]
    assert shown["restart_needed"] == ["[server]"]


async def test_rules_are_not_written_over_http_and_the_answer_says_where() -> None:
    answer = await ask("PUT", PATH, {"rules": []})
    problem = answer.json()
    assert (answer.status, problem["code"]) == (409, "rules-live-in-the-file")
    assert "trunkline.toml" in problem["fix"]


async def test_what_would_be_said_is_decided_by_the_pipeline() -> None:
    tried = (await ask("POST", f"{PATH}/try", {"text": "多少钱？", "line": "blog"})).json()
    assert (tried["line"], tried["verdict"]) == ("blog", "reply")
    assert tried["replies"][0]["source"] == "rule"
    assert tried["replies"][0]["name"] == "price"
    assert tried["steps"][-1]["stage"] == "rules"
    assert tried["lines"]


async def test_silence_and_drafts_are_told_apart() -> None:
    assert (await ask("POST", f"{PATH}/try", {"text": "广告"})).json()["verdict"] == "stop"
    tried = (await ask("POST", f"{PATH}/try", {"text": "图"})).json()
    assert (tried["verdict"], tried["replies"][0]["is_draft"]) == ("draft", True)


async def test_a_line_is_tried_in_its_own_mode_and_as_a_site() -> None:
    fleet = OneFleet(line_status("blog", mode="draft"), line_status("core", dialect="maim"))
    dialect = DIALECTS["contact"]
    facts = LineFacts("blog", "contact", dialect.traits["site"], dialect.seat_of)
    nothing = SomeRules()
    body = {"text": "hello"}
    tried = await ask("POST", f"{PATH}/try", body, fleet=fleet, facts={"blog": facts})
    assert tried.json()["replies"][0]["is_draft"]  # the first line, and it drafts
    offline = await ask(
        "POST", f"{PATH}/try", body, fleet=OneFleet(), facts={"blog": facts}, rules=nothing
    )
    assert offline.json()["replies"][0]["source"] == "offline"
    body = {"text": "hello", "line": "core"}
    silent = await ask("POST", f"{PATH}/try", body, fleet=fleet, rules=nothing)
    assert (silent.json()["verdict"], silent.json()["replies"]) == ("pass", [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"text": "x" * 20_001}, 422),
        ({"text": "x", "lin": "blog"}, 422),
        ({"text": "x", "line": "none"}, 404),
    ],
)
async def test_what_cannot_be_tried(body: Any, status: int) -> None:
    assert (await ask("POST", f"{PATH}/try", body)).status == status
