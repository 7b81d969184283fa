"""The product against the emulated marketplace: two processes, real HTTP and WebSocket.

Buyers talk while the product is killed with -9: every message is answered once. A login that is
over parks the line; the owner's new cookies bring it back by the command that she would type.
"""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import product

pytestmark = pytest.mark.real

ME = "2200000000001"
RIGHT = f"unb={ME}; cookie2=right-right-right; _m_h5_tk=0123456789abcdef_1"
WRONG = RIGHT.replace("right-right-right", "wrong-wrong-wrong")
WAIT_S = 40.0
CONFIG = """\
[lines.shop]
dialect = "xianyu"
cookies = {{ file = "shop.cookies" }}
url = "{url}"
http_url = "{http_url}"
upload_url = "{http_url}"
debounce_s = {debounce_s}
jitter = 0.0
send_gap_s = 0.0

[[rules]]
name = "echo"
match = "any"
reply = "re:{{send_message}}"
"""


class Market:
    """`trunkline emulate xianyu` as a process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir()
        login = folder / "login"
        login.write_text("right-right-right")
        self.process = subprocess.Popen(
            product.command(
                "emulate", "xianyu", "--port", "0", "--json", "--token-file", str(login), *arguments
            ),
            cwd=folder, env=product.environment(), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        self.ready: dict[str, Any] = json.loads(line.removeprefix("ready "))

    def stop(self) -> dict[str, int]:
        """End it in order; return what its buyers saw."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=20)
        tally: dict[str, int] = json.loads(out)
        return tally


def configure(place: Market, debounce_s: float = 0.0) -> str:
    return CONFIG.format(debounce_s=debounce_s, **place.ready)


@contextlib.contextmanager
def market(folder: Path, *arguments: str) -> Iterator[Market]:
    place = Market(folder / "market", *arguments)
    try:
        yield place
    finally:
        place.process.kill()
        place.process.communicate()


def write_cookies(folder: Path, cookies: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / "shop.cookies"
    file.touch(mode=0o600)
    file.write_text(cookies)


def wait_for(what: Callable[[], bool], why: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline_s, why()
        time.sleep(0.1)


def shop(running: product.Product) -> dict[str, Any]:
    line: dict[str, Any] = running.get("/api/v1/lines/shop")
    return line


def states(running: product.Product) -> list[str]:
    found: list[dict[str, Any]] = running.get("/api/v1/deliveries?limit=200")["deliveries"]
    return [row["state"] for row in found]


def has_answered(running: product.Product, least: int) -> bool:
    return len(states(running)) >= least


def test_every_message_is_answered_once_over_a_kill(tmp_path: Path) -> None:
    folder, said = tmp_path / "data", 24
    write_cookies(folder, RIGHT)
    with market(
        tmp_path, "--pace", "0.3", "--messages", str(said), "--fault", "double=0.2"
    ) as place:
        config = configure(place)
        for answers in (4, 10):
            running = product.start(folder, config)
            try:
                wait_for(functools.partial(has_answered, running, answers), running.log)
            finally:
                running.kill()
            running.assert_clean()
        with product.serving(folder, config) as running:
            wait_for(lambda: len(states(running)) == said, lambda: (states(running), shop(running)))
            wait_for(
                lambda: not {"queued", "sending", "draft"} & set(states(running)),
                lambda: states(running),
            )
            unclear = states(running).count("uncertain")
        tally = place.stop()
    # The one that was in the air at each kill is shown and waits for a person, unless its echo has
    # proven it; nothing sends it again, and what waited behind it was answered.
    assert unclear <= 2
    assert (tally["sent"], tally["doubled"], tally["errors"]) == (said, 0, 0)
    assert said - unclear <= tally["answered"] <= said


def chats(running: product.Product) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = running.get("/api/v1/conversations?limit=100")["conversations"]
    return found


def heard(running: product.Product) -> list[str]:
    """Return what buyers said, by their numbers in the script."""
    texts: list[str] = []
    for chat in chats(running):
        page = running.get(f"/api/v1/conversations/{chat['id']}/messages?limit=100")
        texts += [row["text"] for row in page["messages"]]
    return sorted(text for text in texts if " #" in text and not text.startswith("re:"))


def test_an_owner_who_writes_in_the_app_has_the_chat_over_a_kill(tmp_path: Path) -> None:
    """She writes before the automatic answer is due: none is queued, then or after a restart."""
    folder, said = tmp_path / "data", 5
    write_cookies(folder, RIGHT)
    with market(tmp_path, "--pace", "0.3", "--messages", str(said), "--fault", "owner=1") as place:
        config = configure(place, debounce_s=1.0)
        running = product.start(folder, config)
        try:
            wait_for(lambda: len(heard(running)) >= 2, running.log)
        finally:
            running.kill()
        with product.serving(folder, config) as running:
            wait_for(lambda: len(heard(running)) == said, lambda: (heard(running), shop(running)))
            # No turn is open any more: what would be answered has been decided on.
            wait_for(lambda: product_turns(folder) == 0, running.log)
            assert states(running) == []
            taken = {chat["address"] for chat in chats(running) if chat["taken_until"]}
            assert taken == {
                chat["address"] for chat in chats(running) if "/chat:" in chat["address"]
            }
            assert taken
        tally = place.stop()
    assert (tally["sent"], tally["answered"], tally["doubled"]) == (said, 0, 0)


def test_a_kill_in_the_middle_of_a_debounce_answers_once(tmp_path: Path) -> None:
    folder, said = tmp_path / "data", 4
    write_cookies(folder, RIGHT)
    with market(tmp_path, "--pace", "0.2", "--messages", str(said)) as place:
        config = configure(place, debounce_s=5.0)
        running = product.start(folder, config)
        try:
            wait_for(lambda: len(heard(running)) == said, running.log)
            assert states(running) == []
            assert product_turns(folder) == len(chats(running))
        finally:
            running.kill()
        with product.serving(folder, config) as running:
            talked = len(chats(running))
            wait_for(lambda: states(running) == ["confirmed"] * talked, lambda: states(running))
            assert product_turns(folder) == 0
        tally = place.stop()
    assert (tally["answered"], tally["doubled"], tally["errors"]) == (talked, 0, 0)


def product_turns(folder: Path) -> int:
    """Return how many turns are open, by the data."""
    path = folder / "trunkline.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (count,) = database.execute("select count(*) from turn").fetchone()
        return int(count)


def test_dead_cookies_need_a_person_and_her_new_ones_work_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_cookies(folder, WRONG)
    with market(tmp_path, "--pace", "0.2", "--messages", "2") as place:
        with product.serving(folder, configure(place)) as running:
            wait_for(lambda: "needs-you" in shop(running)["overlays"], running.log)
            assert shop(running)["state"] == "FAILED"
            ready = running.ask("/readyz", Authorization=f"Bearer {running.token}")
            assert "shop" in json.dumps(ready.body)

            again = give(folder, WRONG)
            assert again.returncode == 6, again.stderr  # checked at once: it still needs a person
            broken = give(folder, "no cookies at all")
            assert broken.returncode == 2, broken.stderr
            done = give(folder, RIGHT)
            assert done.returncode == 0, done.stderr
            assert (folder / "shop.cookies").read_text() == f"{RIGHT}\n"
            assert (folder / "shop.cookies").stat().st_mode & 0o777 == 0o600

            wait_for(lambda: states(running) == ["confirmed"] * 2, lambda: states(running))
            assert shop(running)["overlays"] == []
            log = running.log()
            for secret in ("right-right-right", "wrong-wrong-wrong", "oauth_k1"):
                assert secret not in log
            assert (folder / "trunkline.log").read_text().count("line failed") == 2
        tally = place.stop()
    assert (tally["answered"], tally["doubled"], tally["errors"]) == (2, 0, 0)


def give(folder: Path, cookies: str) -> subprocess.CompletedProcess[str]:
    """Run `trunkline lines credential shop` as its owner would."""
    return subprocess.run(
        product.command("lines", "credential", "shop", "-c", "trunkline.toml"), cwd=folder,
        env=product.environment(), text=True, input=cookies, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
