"""The printed Python sample of guide 003, unchanged, against `serve --demo` on its own port.

It swallows its own errors, so what counts is what it prints: 1 greeting, 1 receipt of the contact
request, 3 × (receipt and answer). Source: contact 12.1, guides 1
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

import product

pytestmark = pytest.mark.real

GUIDE = Path(__file__).resolve().parents[3] / "shared" / "guides" / "003-contact.txt"
PORT = 8080


def _sample() -> str:
    if not GUIDE.exists():
        pytest.skip(f"the guides are not here: no {GUIDE.name} in ../shared/guides")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    samples = [block for block in blocks if "chat_with_websocket" in block]
    assert len(samples) == 1, "the guide prints one client"
    return samples[0]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def test_the_printed_python_sample_gets_all_its_frames(
    tmp_path: Path, websockets_python: str
) -> None:
    sample = _sample()
    if _is_taken(PORT):
        pytest.skip(f"port {PORT}, which the guide prints, is taken on this machine")
    script = tmp_path / "sample.py"
    script.write_text(sample)
    folder = tmp_path / "data"
    with product.serving(folder, None, "--demo", port=PORT) as running:
        assert running.port == PORT
        done = subprocess.run(
            [websockets_python, str(script)], cwd=tmp_path, text=True, capture_output=True,
            timeout=60, check=False,
            env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "✅ 连接成功" in said
        assert "❌" not in said, said
        answers = [line for line in done.stdout.splitlines() if line.startswith("🤖 服务器回复:")]
        assert len(answers) == 1 + 1 + 3 * 2, said
        assert all(line.removeprefix("🤖 服务器回复:").strip() for line in answers), said
        assert "WebSocket连接已建立" in answers[0]
