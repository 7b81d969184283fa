"""Real peers: where they come from, and one line that counts what ran and what was missing.

A peer that is not to be had skips its tests with the reason; the end of the run repeats it, so
that a silent gap cannot pass for a green run.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

_outcomes: dict[str, str] = {}


def _made(script: str, *arguments: str) -> str:
    """Run a set-up script; return the last line it prints, or skip with what it said."""
    done = subprocess.run(
        [str(ROOT / "scripts" / script), *arguments],
        text=True, capture_output=True, check=False, timeout=600, cwd=ROOT,
    )  # fmt: skip
    if done.returncode != 0 or not done.stdout.strip():
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        pytest.skip(f"{' '.join((script, *arguments))}: {said}")
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def maim_python() -> str:
    """The python of an environment with maim_message 0.6.8."""
    return _made("peer.sh", "maim_message")


@pytest.fixture(scope="session")
def nonebot_python() -> str:
    """The python of an environment with NoneBot2 and its OneBot adapter."""
    return _made("peer.sh", "nonebot")


@pytest.fixture(scope="session")
def aiocqhttp_python() -> str:
    """The python of an environment with aiocqhttp."""
    return _made("peer.sh", "aiocqhttp")


@pytest.fixture(scope="session")
def websockets_python() -> str:
    """The python of an environment with the current `websockets`."""
    return _made("peer.sh", "websockets")


@pytest.fixture(scope="session")
def websockets13_python() -> str:
    """The python of an environment with `websockets` 13, whose `connect` takes `extra_headers`."""
    return _made("peer.sh", "websockets13")


@pytest.fixture(scope="session")
def ws_folder() -> str:
    """A folder with the npm package `ws` in its node_modules."""
    return _made("node-peer.sh", "ws")


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of an nginx."""
    return _made("nginx.sh")


@pytest.fixture(scope="session")
def paho_python() -> str:
    """The python of an environment with paho-mqtt 2.2."""
    return _made("peer.sh", "paho")


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """The path of a mosquitto broker."""
    return _made("mosquitto.sh")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    return _made("chromium.sh")


@pytest.hookimpl
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what became of each test of a real peer."""
    if "tests/real/" not in report.nodeid:
        return
    if report.skipped and isinstance(report.longrepr, tuple):
        _outcomes[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
    elif report.when == "call":
        _outcomes[report.nodeid] = ""


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many real peers ran, and why the others did not."""
    if not _outcomes:
        return
    reasons = Counter(reason for reason in _outcomes.values() if reason)
    ran = len(_outcomes) - sum(reasons.values())
    said = "; ".join(f"{count} × {reason}" for reason, count in reasons.items()) or "none missing"
    terminalreporter.write_line(
        f"real peers: {ran} ran, {sum(reasons.values())} skipped ({said})",
        yellow=bool(reasons), bold=True,
    )  # fmt: skip
