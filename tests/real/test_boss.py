"""The product against the emulated gateway: two processes, real HTTP, WebSocket and MQTT.

Recruiters talk while the product is killed with -9 and the gateway answers in odd forms: every
message is answered once. A login that is over parks the line; the owner's new cookies bring it
back by the command that she would type.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import product

pytestmark = pytest.mark.real

RIGHT = "wt=right-right-right; bst=call-token-0123456789"
WRONG = RIGHT.replace("right-right-right", "wrong-wrong-wrong")
WAIT_S = 40.0
CONFIG = """\
[lines.job]
dialect = "boss"
cookies = {{ file = "job.cookies" }}
url = "{url}"
http_url = "{http_url}"
mode = "auto"
every_s = 0.0
daily = 0
jitter = 0.0
send_gap_s = 0.0

[[rules]]
name = "echo"
match = "any"
reply = "re:{{send_message}}"
"""


class Gateway:
    """`trunkline emulate boss` as a process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir()
        login = folder / "login"
        login.write_text("right-right-right")
        self.process = subprocess.Popen(
            product.command(
                "emulate", "boss", "--port", "0", "--json", "--token-file", str(login), *arguments
            ),
            cwd=folder, env=product.environment(), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        self.ready: dict[str, Any] = json.loads(line.removeprefix("ready "))

    def stop(self) -> dict[str, int]:
        """End it in order; return what its people saw."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        tally: dict[str, int] = json.loads(out)
        return tally


@contextlib.contextmanager
def gateway(folder: Path, *arguments: str) -> Iterator[Gateway]:
    place = Gateway(folder / "gateway", *arguments)
    try:
        yield place
    finally:
        place.process.kill()
        place.process.communicate()


def write_cookies(folder: Path, cookies: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / "job.cookies"
    file.touch(mode=0o600)
    file.write_text(cookies)


def wait_for(what: Callable[[], bool], why: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline_s, why()
        time.sleep(0.1)


def job(running: product.Product) -> dict[str, Any]:
    line: dict[str, Any] = running.get("/api/v1/lines/job")
    return line


def states(running: product.Product) -> list[str]:
    found: list[dict[str, Any]] = running.get("/api/v1/deliveries?limit=200")["deliveries"]
    return [row["state"] for row in found]


def has_answered(running: product.Product, least: int) -> bool:
    return len(states(running)) >= least


def test_every_message_is_answered_once_over_a_kill(tmp_path: Path) -> None:
    folder, said = tmp_path / "data", 24
    write_cookies(folder, RIGHT)
    faults = ("double=0.2", "again=0.2", "late=0.2", "nonminimal=0.2", "pieces=0.2", "joined=0.2")
    arguments = [part for fault in faults for part in ("--fault", fault)]
    # Many people: lines of one within a second would be answered together.
    arguments += ["--people", "8"]
    with gateway(tmp_path, "--pace", "0.3", "--messages", str(said), *arguments) as place:
        config = CONFIG.format(**place.ready)
        for answers in (4, 10):
            running = product.start(folder, config)
            try:
                wait_for(functools.partial(has_answered, running, answers), running.log)
            finally:
                running.kill()
            running.assert_clean()
        with product.serving(folder, config) as running:
            wait_for(lambda: len(states(running)) == said, lambda: (states(running), job(running)))
            wait_for(
                lambda: not {"queued", "sending", "draft"} & set(states(running)),
                lambda: states(running),
            )
            unclear = states(running).count("uncertain")
        tally = place.stop()
    # What was in the air at a kill is shown and waits for a person; nothing sends it again.
    assert unclear <= 4
    assert (tally["sent"], tally["doubled"], tally["errors"]) == (said, 0, 0)
    assert said - unclear <= tally["answered"] <= said


def test_dead_cookies_need_a_person_and_her_new_ones_work_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_cookies(folder, WRONG)
    with gateway(tmp_path, "--pace", "0.2", "--messages", "2") as place:
        with product.serving(folder, CONFIG.format(**place.ready)) as running:
            wait_for(lambda: "needs-you" in job(running)["overlays"], running.log)
            assert job(running)["state"] == "FAILED"
            ready = running.ask("/readyz", Authorization=f"Bearer {running.token}")
            assert "job" in json.dumps(ready.body)

            again = give(folder, WRONG)
            assert again.returncode == 6, again.stderr  # checked at once: it still needs a person
            broken = give(folder, "no cookies at all")
            assert broken.returncode == 2, broken.stderr
            done = give(folder, RIGHT)
            assert done.returncode == 0, done.stderr
            assert (folder / "job.cookies").read_text() == f"{RIGHT}\n"
            assert (folder / "job.cookies").stat().st_mode & 0o777 == 0o600

            wait_for(lambda: states(running) == ["confirmed"] * 2, lambda: states(running))
            assert job(running)["overlays"] == []
            log = running.log()
            for secret in ("right-right-right", "wrong-wrong-wrong", "call-token"):
                assert secret not in log
            assert (folder / "trunkline.log").read_text().count("line failed") == 2
        tally = place.stop()
    assert (tally["answered"], tally["doubled"], tally["errors"]) == (2, 0, 0)


def give(folder: Path, cookies: str) -> subprocess.CompletedProcess[str]:
    """Run `trunkline lines credential job` as its owner would."""
    return subprocess.run(
        product.command("lines", "credential", "job", "-c", "trunkline.toml"), cwd=folder,
        env=product.environment(), text=True, input=cookies, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_answers_wait_and_the_resume_picture_leaves_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_cookies(folder, RIGHT)
    (folder / "cv.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 64)
    with gateway(tmp_path, "--pace", "0.2", "--messages", "2", "--fault", "dialog=1.0") as place:
        config = CONFIG.format(**place.ready).replace(
            'mode = "auto"\n', 'send_resume_image = true\nresume_image = "cv.png"\n'
        )
        with product.serving(folder, config) as running:
            # Two lines are answered by the rule, two requests by the picture.
            wait_for(
                lambda: sorted(states(running)) == ["confirmed"] * 2 + ["draft"] * 2,
                lambda: (states(running), running.log()),
            )
            drafts = running.get("/api/v1/deliveries?state=draft")["deliveries"]
            done = subprocess.run(
                product.command("outbox", "approve", drafts[0]["id"], "-c", "trunkline.toml"),
                cwd=folder, env=product.environment(), text=True, capture_output=True, timeout=60,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            wait_for(
                lambda: sorted(states(running)) == ["confirmed"] * 3 + ["draft"],
                lambda: states(running),
            )
            # A request is accepted as docs/boss.md says: one raw piece to the chat.
            chat = drafts[0]["to"].partition("@")[0]
            asked = json.dumps({"asked": "phone", "mid": "394570988740864"}).encode()
            piece = {
                "type": "raw", "dialect": "boss", "kind": "accept",
                "data": base64.b64encode(asked).decode(),
            }  # fmt: skip
            running.get("/api/v1/messages", {"to": chat, "message": [piece]})
            wait_for(
                lambda: sorted(states(running)) == ["confirmed"] * 4 + ["draft"],
                lambda: states(running),
            )
        tally = place.stop()
    assert tally["errors"] == 0
