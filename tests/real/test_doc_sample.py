"""The client of `docs/maim.md` that uses maim_message 0.6.8, as it is printed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import product

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "maim.md"
CONFIG = """\
[lines.core]
dialect = "maim"

[[rules]]
keywords = ["价格"]
reply = "{send_user_name} 页面价就是到手价"
"""


def test_the_printed_router_gets_its_answer(tmp_path: Path, maim_python: str) -> None:
    text = PAGE.read_text("utf-8")
    printed = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    assert "from maim_message import" in printed
    with product.serving(tmp_path / "data", CONFIG) as site:
        script = tmp_path / "adapter.py"
        script.write_text(printed.replace("ws://127.0.0.1:8080/ws", site.socket("/ws")), "utf-8")
        done = subprocess.run(
            [maim_python, str(script)], text=True, capture_output=True, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert "10001 text 小明 页面价就是到手价" in done.stdout
