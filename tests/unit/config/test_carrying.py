"""`carries`: what is refused, each with a sentence, and what is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from carriers import BOT, BotOptions
from trunkline.config import load_config
from trunkline.configuration.carrying import check_carrying
from trunkline.configuration.problems import Problems
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import ConfigError


def problems_of(lines: Mapping[str, Mapping[str, Any]], language: Any = "en") -> list[str]:
    made: dict[str, LineOptions] = {}
    for name, table in lines.items():
        model = BotOptions if table["dialect"] == "bot" else DIALECTS[table["dialect"]].options
        made[name] = model(**table)
    problems = Problems(language, "trunkline.toml")
    check_carrying(made, problems, {**DIALECTS, "bot": BOT})
    return problems.texts()


BLOG = {"dialect": "contact", "role": "site"}
CARRIER = {"dialect": "bot", "role": "implementation", "carries": "blog"}


def test_a_line_may_be_carried_by_several():
    assert problems_of({"bot": CARRIER, "blog": BLOG, "two": {**CARRIER, "replay_s": 0}}) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"carries": "bot"}, "[lines.bot] carries: is this line itself; name another one"),
        (
            {"carries": "blo"},
            '[lines.bot] carries: there is no line blo; did you mean "blog"?',
        ),
        (
            {"carries": "nothing-like-it"},
            "[lines.bot] carries: there is no line nothing-like-it; lines: blog, other",
        ),
        (
            {"carries": "other"},
            "[lines.bot] carries: line other carries a line itself and cannot be carried",
        ),
        ({"carries": "", "replay_s": 5}, "[lines.bot] replay_s: is only for carries"),
    ],
)
def test_what_cannot_be_carried_is_said(change: dict[str, Any], sentence: str):
    found = problems_of({"bot": {**CARRIER, **change}, "blog": BLOG, "other": CARRIER})
    assert [text.removeprefix("trunkline.toml ") for text in found] == [sentence]


def test_two_lines_cannot_carry_each_other():
    found = problems_of({"a": {**CARRIER, "carries": "b"}, "b": {**CARRIER, "carries": "a"}})
    assert len(found) == 2


def test_only_a_role_that_plays_a_platform_carries():
    (found,) = problems_of({"blog": {**BLOG, "carries": "core"}, "core": {"dialect": "maim"}})
    assert "contact in the role site cannot carry another line" in found
    assert "bot implementation" in found
    (zh,) = problems_of({"blog": {**BLOG, "carries": "core"}, "core": {"dialect": "maim"}}, "zh")
    assert "不能呈现别的线路" in zh


def test_a_configuration_is_checked_for_it(tmp_path: Any):
    path = tmp_path / "trunkline.toml"
    path.write_text('[lines.blog]\ndialect = "contact"\ncarries = "core"\n', "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {"LANG": "C"})
    assert any("carries" in text for text in caught.value.problems)
