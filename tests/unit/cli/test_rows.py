"""How deliveries are shown in one line."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.cli.rows import delivery_line


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
