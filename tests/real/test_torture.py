"""The crash harness itself: a short run of each dialect is clean, and it finds what is broken.

The broken products are copies of the package with one guard taken out. Source: reliability 7
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import product
import trunkline

pytestmark = pytest.mark.real

SOURCE = Path(trunkline.__file__).parent
KILLS = 12
RUN_S = 600.0


def run(tmp_path: Path, source: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run the harness; return its exit code, the facts it printed, and what else it said."""
    held = tmp_path / "held"
    held.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", "dev", "torture", *arguments],
        env=product.environment({"PYTHONPATH": str(source), "TMPDIR": str(held)}),
        cwd=tmp_path, text=True, timeout=RUN_S, capture_output=True, check=False,
    )  # fmt: skip
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("dialect", ["boss", "contact", "maim", "onebot11", "xianyu"])
def test_a_short_run_is_clean(dialect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, facts, said = run(
        tmp_path, SOURCE.parent, "--dialect", dialect, "--kills", str(KILLS), "--seed", "20251125"
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(facts)}\n")
    assert code == 0, said
    assert facts["kills"] == KILLS
    assert facts["answers"] > 10 * KILLS
    # Every fourth kill comes from outside; the others each try another failpoint.
    assert sum(facts["hits"].values()) >= KILLS // 2, facts["hits"]
    for fault in ("lost", "doubled", "unexplained", "out_of_order", "stuck", "blocked", "problems"):
        assert facts[fault] == 0, said


def broken(tmp_path: Path, *changes: tuple[str, str, str]) -> Path:
    """Copy the package and change it; each text must be there exactly once."""
    root = tmp_path / "src"
    shutil.copytree(SOURCE, root / "trunkline", ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        path = root / "trunkline" / name
        text = path.read_text()
        assert text.count(old) == 1, f"{name} has this {text.count(old)} times: {old}"
        path.write_text(text.replace(old, new))
    return root


def test_to_acknowledge_before_the_commit_is_caught(tmp_path: Path):
    source = broken(
        tmp_path,
        (
            "exchange/intake.py",
            '        """Take an event for the next beat."""\n',
            "        if receipt is not None:\n"
            "            origin.committed([receipt], 0, 0)\n"
            "            receipt = None\n",
        ),
    )
    code, facts, said = run(
        tmp_path, source, "--dialect", "contact", "--kills", "6",
        "--failpoints", "ingest.before_commit",
    )  # fmt: skip
    assert code == 1
    assert facts["lost"] > 0, said
    assert "acknowledged and not stored" in said


def test_a_missing_unique_index_is_caught(tmp_path: Path):
    source = broken(
        tmp_path,
        (
            "store/migrations/versions/0001_tables.py",
            'Index("inbox_key", "key", "conversation", unique=True)',
            'Index("inbox_key", "key", "conversation")',
        ),
        (
            "store/sqlite/queries.sql",
            "1, '', ?, ?)\nON CONFLICT (key, conversation) DO NOTHING",
            "1, '', ?, ?)\nON CONFLICT DO NOTHING",
        ),
        (
            "store/sqlite/queries.sql",
            "ON CONFLICT (key, conversation) DO NOTHING",  # of the other rows
            "ON CONFLICT DO NOTHING",
        ),
    )
    code, facts, said = run(
        tmp_path, source, "--dialect", "maim", "--kills", "6",
        "--failpoints", "ingest.after_commit",
    )  # fmt: skip
    assert code == 1
    assert facts["doubled"] > 0, said
    assert "stored twice" in said


def test_a_missing_state_sending_is_caught(tmp_path: Path):
    """Without it a restart cannot tell what was being written from what was not."""
    source = broken(
        tmp_path,
        (
            "store/sqlite/starting.py",
            "            if line in requeue_lines:\n",
            "            if line:\n",
        ),
    )
    code, facts, said = run(
        tmp_path, source, "--dialect", "maim", "--kills", "6", "--failpoints", "send.after_write"
    )  # fmt: skip
    assert code == 1
    assert facts["doubled"] > 0, said
    assert "seen 2 times" in said
