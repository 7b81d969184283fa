"""A scripted platform on real sockets: the shell around the `emulator.py` of xianyu and boss.

One port has the WebSocket at the dialect's path and the platform's HTTP calls beside it. A line of
the product that has `url`, `http_url` (and `upload_url`) set to it cannot tell it from the
platform's rules; nothing leaves this machine. `POST` to `VERIFY_PATH` is the person who does what
the platform demanded. Used by `trunkline emulate` and `trunkline serve --demo`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

import trunkline.dialects.boss.emulator as boss
import trunkline.dialects.xianyu.emulator as xianyu
from trunkline.clock import Clock, SystemClock
from trunkline.dev.people import Forgetting, Uncounted
from trunkline.dialects.contract import Dialect, Fetch, Fetched, Opening, Session
from trunkline.dialects.options import LineOptions
from trunkline.dialects.registry import DIALECTS
from trunkline.ids import SystemIds
from trunkline.lines.line import Line, Surroundings
from trunkline.lines.listen import Gate
from trunkline.lines.roster import Roster
from trunkline.lines.sweep import Budget, Commons, PingSweep
from trunkline.telemetry.logs import get_logger
from trunkline.web.server import Server, Socket

MAX_BODY_BYTES: Final = 11 << 20  # a picture of 10 MiB and what multipart adds. Source: xianyu 8
# What the account's own requests say they come from. Source: xianyu 1, 3, boss 1
PAGE_ORIGINS: Final = {"boss": "https://www.zhipin.com", "xianyu": "https://www.goofish.com"}
VERIFY_PATH: Final = "/emulator/verify"  # no path of a platform's
PLAYED: Final = frozenset(PAGE_ORIGINS)

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class MarketScript(msgspec.Struct, frozen=True):
    """What the people of a platform do, and who may log in.

    Args:
        pace_s: mean seconds between two lines of one account's people.
        messages: lines for each account; 0 = no end.
        seed: the same seed gives the same people.
        lines: what they say in turn; empty = the dialect's own.
        faults: probability by name, see the dialect's emulator.
        login: the login cookie (xianyu `cookie2`, boss `wt`) of whoever may log in; "" =
            everybody may.
        people: how many talk with an account, 0 = as many as the dialect has; boss alone asks.
    """

    pace_s: float = 6.0
    messages: int = 0
    seed: int = 1
    lines: tuple[str, ...] = ()
    faults: Mapping[str, float] = {}
    login: str = ""
    people: int = 0


class MarketPlace:
    """A platform of one process. Needs a running loop.

    Args:
        port: 0 picks a free one.
        dialect_name: one of `PLAYED`.

    Raises:
        ValueError: a fault that there is not.
    """

    def __init__(
        self, port: int, clock: Clock, script: MarketScript, dialect_name: str = "xianyu"
    ) -> None:
        dialect = DIALECTS[dialect_name]
        loop = asyncio.get_running_loop()
        log = get_logger("market")
        ids = SystemIds(clock)
        role = dialect.listens[0]
        options = dialect.options(
            dialect=dialect_name, role=role, link="listen", origins=(PAGE_ORIGINS[dialect_name],)
        )
        world, played = _make_world(dialect, options, Opening(role, role, clock, ids), script)
        self.world = world
        self.path = dialect.paths(options)[0]

        def on_trouble(where: str, error: BaseException) -> None:
            log.error("link user failed", where=where, error=error)

        gate = Gate(Commons(PingSweep(clock), Budget(), on_trouble), clock)
        around = Surroundings(
            clock=clock,
            ids=ids,
            exchange=Forgetting(),
            roster=Roster(),
            log=log,
            meter=Uncounted(),
            timer=lambda at_s, call: loop.call_at(loop.time() + at_s - clock.monotonic_s(), call),
            auth_failed=gate.auth_failed,
        )
        self._line = Line("market", played, options, around)
        for path in dialect.paths(options):
            gate.add("", path, self._line)
        self._server = Server(self._answer, gate, [Socket("", "127.0.0.1", port)])

    async def start(self) -> str:
        """Listen; return the `http://` address.

        Raises:
            ConfigError: the port is taken.
        """
        return (await self._server.start())[""]

    async def stop(self) -> None:
        """Hang up on every account and close the port."""
        self._line.close_links(1001, "the market closes")
        await self._server.stop(1.0)

    @property
    def tally(self) -> Mapping[str, int]:
        """What the buyers saw, by name."""
        counts: dict[str, int] = msgspec.structs.asdict(self.world.tally)
        return counts

    def _verify(self, method: str) -> Fetched:
        """Do what a person does whom the platform asked; the account must log in anew after it."""
        if method != "POST":
            return Fetched(405, (("allow", "POST"), ("content-type", "text/plain")), b"POST it\n")
        self.world.verify()
        return Fetched(200, (("content-type", "text/plain"),), b"verified\n")

    async def _answer(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a side call, as ASGI has it."""
        if scope["type"] != "http":
            return
        body = await _read(receive)
        if body is None:
            await _reply(send, Fetched(413, (("content-type", "text/plain"),), b"too large"))
            return
        if scope["path"] == VERIFY_PATH:
            await _reply(send, self._verify(scope["method"]))
            return
        query = scope["query_string"].decode("latin-1")
        path = unquote(scope["path"])
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        url = f"http://{headers.get('host', '')}{path}" + (f"?{query}" if query else "")
        await _reply(send, self.world.http(Fetch(scope["method"], url, headers, body)))


def _make_world(
    dialect: Dialect, options: Any, opening: Opening, script: MarketScript
) -> tuple[boss.World | xianyu.World, Dialect]:
    """Make a scripted world, and the dialect whose sessions are its own.

    Raises:
        ValueError: a fault that there is not.
    """
    said: dict[str, Any] = {
        "seed": script.seed, "pace_s": script.pace_s, "messages": script.messages,
        "faults": dict(script.faults),
    }  # fmt: skip
    world: boss.World | xianyu.World
    if dialect.name == "boss":
        world = boss.World(options, opening, script=script.lines or boss.SCRIPT, **said)
        world.gateway.login = script.login
        world.people = script.people or boss.PEOPLE
        dialect = msgspec.structs.replace(dialect, admit=world.admit)
    else:
        world = xianyu.World(options, opening, script=script.lines or xianyu.SCRIPT, **said)
        world.market.login = script.login

    def open_desk(_options: LineOptions, opening: Opening) -> Session:
        return world.session(opening)

    return world, msgspec.structs.replace(dialect, open=open_desk)


async def _read(receive: _Receive) -> bytes | None:
    """Return the whole body, None when it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return bytes(body)


async def _reply(send: _Send, answer: Fetched) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if not any(name == "content-type" for name, _ in answer.headers):
        headers.append((b"content-type", b"application/json"))
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def serve_market(
    port: int, script: MarketScript, ready: Callable[..., None], dialect_name: str = "xianyu"
) -> Mapping[str, int]:
    """Serve until SIGTERM or Ctrl-C; return what the people saw.

    Args:
        port: 0 picks a free one.
        dialect_name: one of `PLAYED`.
        ready: told `url` (WebSocket), `http_url` and `verify_url` once it listens.

    Raises:
        ConfigError: the port is taken.
        ValueError: a fault that there is not.
    """
    place = MarketPlace(port, SystemClock(), script, dialect_name)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    base = await place.start()
    try:
        url = "ws" + base.removeprefix("http") + place.path
        ready(url=url, http_url=base, verify_url=base + VERIFY_PATH)
        await stopped.wait()
    finally:
        await place.stop()
    return place.tally
