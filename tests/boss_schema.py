"""The schema of Boss for tests: its golden cases, its text, and the text with something changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trunkline.dialects.boss import schema

VECTORS = Path(__file__).parent / "vectors" / "boss" / "boss_vectors.json"
TEXT = Path(schema.__file__).with_name("techwolf.proto").read_text("utf-8")
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in json.loads(VECTORS.read_text("utf-8"))["protobuf"]
}


def bare() -> str:
    """Return the text as the site has it: no comments, no syntax line, one line (boss 8)."""
    lines = [line.partition("//")[0].strip() for line in TEXT.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("syntax"))


def with_two_more() -> str:
    """Return it with two fields that the built-in one has not."""
    quote = "optional int64 quoteId = 20;"
    return changed(quote, f"{quote} optional int32 mood = 21;").replace(
        "message AtInfo {", "message AtInfo { optional string color = 7;"
    )


def changed(before: str, after: str) -> str:
    """Return it with one place replaced."""
    assert bare().count(before) == 1, before
    return bare().replace(before, after)
