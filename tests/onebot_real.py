"""Real OneBot frameworks and the product beside them, for the tests of `tests/real`.

The frameworks are children in environments of their own (`onebot_peers`); what they are told and
what they tell are JSON lines. The product is the real one, a process too.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import product
from maim_peer import WAIT_S, Child, running

NONEBOT = "../onebot_peers/nonebot_bot.py"
AIOCQHTTP = "../onebot_peers/aiocqhttp_bot.py"
SELF_ID = "12345"
TOKEN = "token-of-the-account"
IMPLEMENTATION = f"""\
[lines.bot]
dialect = "onebot11"
role = "implementation"
self_id = "{SELF_ID}"
mode = "off"
{{more}}
"""


def implementation(more: str = "") -> str:
    """Return a configuration with one line that plays an account and answers nothing itself."""
    return IMPLEMENTATION.format(more=more)


def dialling(port: int, path: str = "/onebot/v11/ws", more: str = "") -> str:
    """Return a configuration whose line dials a framework."""
    target = f'link = "dial"\nurl = "ws://127.0.0.1:{port}{path}"'
    return implementation(f"{target}\nreconnect_interval_s = 0.3\n{more}")


@contextlib.contextmanager
def framework(python: str, script: str, port: int, **order: Any) -> Iterator[Child]:
    """Start a framework that listens; end it with the block."""
    with running(python, script) as child:
        child.order("serve", port=port, **order)
        told = len(child.told)
        child.until("serving")
        # Whoever dials may be in before the framework has said that it serves.
        with child.events.mutex:
            child.events.queue.extendleft(reversed(child.told[told:-1]))
        yield child


def wait_until(found: Callable[[], Any], what: str) -> Any:
    """Ask until there is something to return, 20 s at most."""
    deadline = time.monotonic() + WAIT_S
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def wait_line(site: product.Product, state: str, error: str = "", line: str = "bot") -> None:
    """Wait until a line is in this state, with these words in its error."""

    def is_there() -> bool:
        lines = {one["name"]: one for one in site.get("/api/v1/lines")["lines"]}
        return lines[line]["state"].lower() == state and error in lines[line]["error"]

    wait_until(is_there, f"{line} is not {state}: {error}")


def send(site: product.Product, to: str, message: Any) -> str:
    """Send with our API; return the delivery's id."""
    return str(site.get("/api/v1/messages", {"to": to, "message": message})["delivery_id"])


def delivery(site: product.Product, ident: str) -> Any:
    """Return a delivery when it is final, or held."""
    return site.get(f"/api/v1/deliveries/{ident}?wait=20")


def deliveries(site: product.Product, **wanted: str) -> list[Any]:
    """Return all deliveries of a kind, oldest first."""
    found: list[Any] = []
    cursor = ""
    while True:
        query = "&".join(f"{name}={value}" for name, value in (wanted | {"cursor": cursor}).items())
        page = site.get(f"/api/v1/deliveries?limit=200&{query}")
        found += page["deliveries"]
        cursor = page["cursor"]
        if not cursor:
            return found[::-1]


def stored(site: product.Product, words: str) -> Any:
    """Return the stored message with exactly these words."""

    def find() -> Any:
        found = site.get("/api/v1/messages")["messages"]
        return next((one for one in found if one["text"] == words), None)

    return wait_until(find, f"{words!r} is not stored")


def texts(site: product.Product) -> list[str]:
    """Return the words of what is stored, oldest first."""
    return [one["text"] for one in site.get("/api/v1/messages?limit=200")["messages"]][::-1]


def emulate(*arguments: str, timeout_s: float = 60.0) -> dict[str, int]:
    """Run `trunkline emulate onebot11` to its end; return its tally."""
    done = product.run(Path.cwd(), "emulate", "onebot11", "--json", *arguments, timeout_s=timeout_s)
    assert done.out.startswith("{"), done.text
    return json.loads(done.out)


@contextlib.contextmanager
def emulated(*arguments: str) -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """Let emulated accounts listen; yields their address and what ends them, with their tally."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "emulate", "onebot11", "--json",
         "--role", "implementation", *arguments],
        env=product.environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None

    def end() -> dict[str, int]:
        process.terminate()
        out, err = process.communicate(timeout=20)
        assert "Traceback" not in err, err
        return json.loads(out)

    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), line
        yield json.loads(line.removeprefix("ready "))["url"], end
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def words_of(told: Sequence[Any]) -> list[str]:
    """Return the words of what a framework told."""
    return [str(one["text"]) for one in told]
