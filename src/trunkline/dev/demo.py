"""`serve --demo`: a configuration that needs no account, and simulated people who use it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from trunkline.clock import Clock
from trunkline.dev.people import DialWith, People
from trunkline.dialects.registry import DIALECTS
from trunkline.ids import SystemIds
from trunkline.telemetry.logs import get_logger

_CONFIG = """\
# The demo: a contact line and a maim core, answered by rule; nothing leaves this machine.
[server]
host = "127.0.0.1"
port = 8080

[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "build"
keywords = ["搭建", "技术栈", "部署", "deploy"]
reply = "这个站点由静态生成器和 trunkline 搭建，一条命令即可部署。"
priority = 10

[[rules]]
name = "price"
keywords = ["多少钱", "价格", "便宜", "price"]
reply = "{send_user_name} 您好，页面价就是到手价。"

[[rules]]
name = "hello"
keywords = ["你好", "在吗", "hello", "hi"]
reply = "你好，我在。想了解什么？"

[[rules]]
name = "person"
keywords = ["转人工", "human"]
then = "person"

[[rules]]
name = "echo"
lines = ["core"]
match = "any"
priority = -100
reply = "收到：{send_message}"

[[default_replies]]
lines = ["blog"]
reply = "收到：{send_message}"
"""
VISITORS = 5
ADAPTERS = 2
PACE_S = 6.0
# What goes wrong now and then, at each line that somebody says: so that dropped repeats, refused
# frames and reconnecting people can be seen. Seldom enough that the chats stay readable.
FAULTS = {"double": 0.03, "malformed": 0.02, "cut": 0.02}


def write_demo(folder: Path) -> Path:
    """Write the demo's configuration into an empty folder and return its path."""
    path = folder / "trunkline.toml"
    path.write_text(_CONFIG, encoding="utf-8")
    return path


class Demo:
    """Five visitors and two maim platforms, on real links over loopback, with a few faults.

    Args:
        dial: opens links, as the lines do.
        url: of the main port.
    """

    def __init__(self, dial: DialWith, clock: Clock, url: str) -> None:
        base = "ws" + url.removeprefix("http")
        self._groups = [
            make_people("contact", f"{base}/contact", VISITORS, dial, clock, Script(faults=FAULTS)),
            make_people("maim", f"{base}/ws", ADAPTERS, dial, clock, Script(faults=FAULTS)),
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let them dial."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(group.run()) for group in self._groups]

    async def stop(self) -> None:
        """Have them hang up."""
        for group in self._groups:
            group.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Script(msgspec.Struct, frozen=True):
    """What simulated people do.

    Args:
        pace_s: mean seconds between two lines of one person.
        messages: lines each; 0 = no end.
        seed: the same seed gives the same people.
        lines: what they say in turn; empty = the dialect's own.
        faults: probability by name, see the dialect's emulator.
        token: of the line they dial; "" = none.
    """

    pace_s: float = PACE_S
    messages: int = 0
    seed: int = 1
    lines: tuple[str, ...] = ()
    faults: Mapping[str, float] = {}
    token: str = ""


def make_people(
    dialect_name: str, url: str, count: int, dial: DialWith, clock: Clock, script: Script
) -> People:
    """Make `count` simulated people of a dialect that dial `url`."""
    from trunkline.dialects.contact.emulator import SCRIPT as CONTACT_SCRIPT
    from trunkline.dialects.contact.emulator import World as ContactWorld
    from trunkline.dialects.maim.emulator import SCRIPT as MAIM_SCRIPT
    from trunkline.dialects.maim.emulator import World as MaimWorld

    dialect = DIALECTS[dialect_name]
    fields = {"dialect": dialect_name, "link": "dial", "url": url}
    if dialect_name == "contact":
        options = [dialect.options(role="visitor", **fields) for _ in range(count)]
        world = ContactWorld(
            options[0], seed=script.seed, pace_s=script.pace_s, messages=script.messages,
            script=script.lines or CONTACT_SCRIPT, faults=dict(script.faults),
        )  # fmt: skip
    else:
        tokens = (script.token,) if script.token else ()
        options = [
            dialect.options(role="adapter", platform="demo", token=tokens, **fields)
            for _ in range(count)
        ]
        world = MaimWorld(
            options[0], seed=script.seed, pace_s=script.pace_s, messages=script.messages,
            script=script.lines or MAIM_SCRIPT, faults=dict(script.faults),
        )  # fmt: skip
    return People(
        dialect=dialect,
        options=options,
        world=world,
        clock=clock,
        ids=SystemIds(clock),
        log=get_logger("people"),
        dial=dial,
    )
