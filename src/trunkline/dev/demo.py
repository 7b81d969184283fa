"""`serve --demo`: a configuration that needs no account, and simulated people who use it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from trunkline.clock import Clock
from trunkline.dev.market import MarketPlace, MarketScript
from trunkline.dev.people import DialWith, People, World
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.ids import SystemIds
from trunkline.telemetry.logs import get_logger

_CONFIG = """\
# The demo: a blog, a maim core, a QQ bot, a shop and a job seeker, answered by rule; nothing leaves
# this machine.
[server]
host = "127.0.0.1"
port = 8080

[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
path = "/ws"

[lines.qq]
dialect = "onebot11"

[lines.shop]                   # the marketplace is simulated: the start says where it is
dialect = "xianyu"
cookies = { file = "shop.cookies" }

[lines.job]                    # the recruiters are simulated too; answers wait: trunkline outbox
dialect = "boss"
cookies = { file = "job.cookies" }

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
name = "salary"
lines = ["job"]
keywords = ["薪资", "面试", "在职"]
reply = "谢谢，我整理一下再回复您。"
priority = 5

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
lines = ["core", "qq"]
match = "any"
priority = -100
reply = "收到：{send_message}"

[[default_replies]]
lines = ["blog", "shop"]
reply = "收到：{send_message}"
"""
VISITORS = 5
ADAPTERS = 2
ACCOUNTS = 1
PACE_S = 6.0
# What goes wrong now and then, at each line that somebody says: so that dropped repeats, refused
# frames and reconnecting people can be seen. Seldom enough that the chats stay readable.
FAULTS = {"double": 0.03, "malformed": 0.02, "cut": 0.02}
MARKET_FAULTS = {"double": 0.03, "malformed": 0.02, "order": 0.05}
GATEWAY_FAULTS = {"double": 0.03, "malformed": 0.02, "card": 0.05, "dialog": 0.03}
SELLER = "2200000000001"
RECRUITER_PACE_S = 30.0
ACCOUNT_FAULTS = FAULTS | {"odd": 0.05, "late": 0.02, "reorder": 0.02}
ACCOUNT_PACE_S = 20.0  # at most five automatic answers a minute in one chat (`guides 4`)


def write_demo(folder: Path) -> Path:
    """Write the demo's configuration into an empty folder and return its path."""
    path = folder / "trunkline.toml"
    path.touch(mode=0o600)  # it leads to a credential, if only a simulated one
    path.write_text(_CONFIG, encoding="utf-8")
    logins = {
        "shop": f"unb={SELLER}; cookie2=demo; _m_h5_tk=0123456789abcdef_1",
        "job": "wt=demo-login; bst=demo-call-token",
    }
    for line, login in logins.items():
        cookies = folder / f"{line}.cookies"
        cookies.touch(mode=0o600)
        cookies.write_text(login, encoding="utf-8")
    return path


async def open_platforms(clock: Clock) -> tuple[list[MarketPlace], dict[str, str]]:
    """Open what lines dial in the demo; return it and the variables that lead the lines to it."""
    shops = MarketPlace(0, clock, MarketScript(pace_s=PACE_S, faults=MARKET_FAULTS))
    script = MarketScript(pace_s=RECRUITER_PACE_S, faults=GATEWAY_FAULTS)
    jobs = MarketPlace(0, clock, script, "boss")
    variables: dict[str, str] = {}
    for line, place in (("SHOP", shops), ("JOB", jobs)):
        base = await place.start()
        variables[f"TRUNKLINE__LINES__{line}__URL"] = "ws" + base.removeprefix("http") + place.path
        variables[f"TRUNKLINE__LINES__{line}__HTTP_URL"] = base
    variables["TRUNKLINE__LINES__SHOP__UPLOAD_URL"] = variables["TRUNKLINE__LINES__SHOP__HTTP_URL"]
    return [shops, jobs], variables


class Demo:
    """Five visitors, two maim platforms and a QQ account, on real links, with a few faults.

    Args:
        dial: opens links, as the lines do.
        url: of the main port.
    """

    def __init__(self, dial: DialWith, clock: Clock, url: str) -> None:
        base = "ws" + url.removeprefix("http")
        self._groups = [
            make_people("contact", f"{base}/contact", VISITORS, dial, clock, Script(faults=FAULTS)),
            make_people("maim", f"{base}/ws", ADAPTERS, dial, clock, Script(faults=FAULTS)),
            make_people(
                "onebot11",
                f"{base}/onebot/v11/ws",
                ACCOUNTS,
                dial,
                clock,
                Script(pace_s=ACCOUNT_PACE_S, faults=ACCOUNT_FAULTS),
            ),
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
    options = [
        make_options(dialect_name, script, link="dial", url=url, **_DIALLING.get(dialect_name, {}))
        for _ in range(count)
    ]
    return People(
        dialect=DIALECTS[dialect_name],
        options=options,
        world=make_world(dialect_name, options[0], script),
        clock=clock,
        ids=SystemIds(clock),
        log=get_logger("people"),
        dial=dial,
    )


# What simulated people are, and how soon those come back who are told so by nobody.
_PLAYED: Final[Mapping[str, Mapping[str, Any]]] = {
    "contact": {"role": "visitor"},
    "maim": {"role": "adapter", "platform": "demo"},
    "onebot11": {"role": "implementation", "self_id": "12345"},
}
_DIALLING: Final[Mapping[str, Mapping[str, Any]]] = {"onebot11": {"reconnect_interval_s": 1.0}}


def make_options(dialect_name: str, script: Script, **given: Any) -> LineOptions:
    """Return the options of a line that simulated people of a dialect play."""
    token = {"token": (script.token,)} if script.token and dialect_name != "contact" else {}
    played = _PLAYED[dialect_name]
    return DIALECTS[dialect_name].options(dialect=dialect_name, **played, **token, **given)


def make_world(dialect_name: str, options: Any, script: Script) -> World:
    """Make the scripted world of a dialect.

    Args:
        options: from `make_options`.

    Raises:
        ValueError: the script, or a fault, is none of that dialect.
    """
    import trunkline.dialects.contact.emulator as contact
    import trunkline.dialects.maim.emulator as maim
    import trunkline.dialects.onebot11.emulator as onebot11

    home = {"contact": contact, "maim": maim, "onebot11": onebot11}[dialect_name]
    return home.World(
        options, seed=script.seed, pace_s=script.pace_s, messages=script.messages,
        script=script.lines or home.SCRIPT, faults=dict(script.faults),
    )  # fmt: skip
