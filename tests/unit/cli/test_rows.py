"""How deliveries are shown in one line."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.cli.outbox import _moved_line
from trunkline.cli.rows import delivery_line, pace_wait


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")


def row(**more: Any) -> dict[str, Any]:
    return {"id": "d-1", "state": "confirmed", "peer_id": "", "reason": ""} | more


def test_what_left_late_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delivery_line(row(late_s=20.4)).endswith("  20 s late")
    assert "late" not in delivery_line(row(late_s=0.0))
    assert "late" not in delivery_line(row())  # an older server does not say
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert delivery_line(row(late_s=20.4)).endswith("  迟到 20 秒")


def test_what_waits_for_its_pace_says_behind_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    until = "2026-01-01T00:00:06.000Z"
    assert pace_wait({"paced_until": until, "paced_behind": 0}).startswith("waits for pace until ")
    assert pace_wait({"paced_until": until}).startswith("waits for pace until ")
    assert pace_wait({"paced_until": until, "paced_behind": 1}) == "waits for pace, after 1 other"
    assert pace_wait({"paced_until": until, "paced_behind": 9}) == "waits for pace, after 9 others"
    assert pace_wait({"paced_until": None, "paced_behind": 0}) == ""
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert pace_wait({"paced_until": until, "paced_behind": 9}) == "按节奏排在 9 条之后"


@pytest.mark.parametrize(("newer", "said"), [(1, "1 newer message since"), (2, "2 newer messages")])
def test_newer_messages_are_counted_in_words(newer: int, said: str) -> None:
    assert said in _moved_line({"id": "d-1", "state": "queued", "newer": newer})


def test_a_restart_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert delivery_line(row(reason="restart 4")).endswith("  was being sent at restart 4")
    assert delivery_line(row(reason="the site refused")).endswith("  the site refused")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert delivery_line(row(reason="restart 4")).endswith("  重启时正在发送（restart 4）")
