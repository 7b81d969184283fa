"""Guide 000's example as its reader runs it: our emulator is the platform, two real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest

import product

pytestmark = pytest.mark.real

SOURCE = Path(__file__).parents[2] / "examples" / "guides" / "boss" / "src"
WAIT_S = 60


def test_the_example_shows_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "job.cookies").write_text("wt=x; bst=y")
    arguments = ["emulate", "boss", "--port", "0", "--messages", "2", "--pace", "0.2"]
    with subprocess.Popen(
        product.command(*arguments), cwd=tmp_path, env=product.environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as platform:  # fmt: skip
        assert platform.stdout is not None
        # Whoever says nothing is ended: its output then ends, and with it every wait here.
        bounds = [threading.Timer(WAIT_S, platform.kill)]
        bounds[0].start()
        ready = json.loads(platform.stdout.readline().removeprefix("ready "))
        where = {"BOSS_URL": ready["url"], "BOSS_HTTP_URL": ready["http_url"]}
        command = [*product.command()[:1], "main.py", str(tmp_path / "job.cookies")]
        with subprocess.Popen(
            command, cwd=SOURCE, env=product.environment(where), text=True, stdout=subprocess.PIPE
        ) as reader:
            assert reader.stdout is not None
            bounds.append(threading.Timer(WAIT_S, reader.kill))
            bounds[1].start()
            lines: list[str] = []
            while not any("#1" in line for line in lines):
                line = reader.stdout.readline()
                assert line, lines
                lines.append(line)
            reader.send_signal(signal.SIGINT)
            reader.stdout.read()
            assert reader.wait(WAIT_S) == 0
        platform.send_signal(signal.SIGTERM)
        platform.stdout.read()
        assert platform.wait(WAIT_S) == 0
        for bound in bounds:
            bound.cancel()
    assert lines[0].startswith("登录为 ")
    assert "已连接\n" in lines
    assert [line for line in lines if " #0" in line][-1].startswith("7000000")
