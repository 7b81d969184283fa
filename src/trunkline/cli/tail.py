"""`trunkline tail`: follow what comes and goes, or one line's frames.

The live feed tells what happens; what it missed – before it was open, while the server restarted,
or behind a gap – is fetched from the lists, so that nothing durable is left out or shown twice.
"""

from __future__ import annotations

import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from trunkline.ids import format_id, id_at, parse_id

from .client import (
    Client,
    ConfigOption,
    Event,
    JsonOption,
    Unreachable,
    UrlOption,
    find_server,
    give_up,
    in_path,
)
from .output import CommandFailed, ExitCode, fail, say, text, warn
from .rows import DELIVERY_STATES, clean, local_time, word

RETRY_S: Final = 1.0
MAX_REMEMBERED: Final = 16_384
# Rows become durable nearly in the order of their ids: so far back it is looked again.
MARGIN: Final = 2_000 << 22
MAX_PAGES: Final = 20
PAGE: Final = 200
_AGE: Final = re.compile(r"(\d{1,6})\s*(s|m|h|d)")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ARROWS: Final = {"message": "←", "notice": "·", "request": "☎", "answer": "→", "duplicate": "="}


def register(app: typer.Typer) -> None:
    """Add the command `tail`."""
    app.command("tail", help=text("跟踪消息或帧", "Follow messages or frames."))(tail)


def tail(
    line: Annotated[str, typer.Argument(help=text("只看一条线路", "one line only"))] = "",
    raw: Annotated[bool, typer.Option("--raw", help=text("显示帧", "show frames"))] = False,
    since: Annotated[str, typer.Option(help=text("从多久以前，如 10m", "from, as in 10m"))] = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Follow until interrupted."""
    if raw and not line:
        fail(ExitCode.USAGE, text("--raw 需要线路名", "--raw needs a line"), "trunkline lines")
    age_s = parse_age(since) if since else 0
    show = _print_json if as_json else (_print_frame if raw else Printer(line))
    source: Frames | Feed
    source = Frames(line) if raw else Feed(line, id_at(int((time.time() - age_s) * 1000)))
    follow(lambda: _connect(config, url), source, show)


def follow(
    connect: Callable[[], Client],
    source: Frames | Feed,
    show: Callable[[dict[str, Any]], None],
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Show what a source gives; when the server goes away, wait for it and go on.

    Raises:
        CommandFailed: it was never there (3), or it says no.
    """
    was_reached = is_told = False
    while True:
        try:
            with connect() as client:
                for event in source.read(client):
                    was_reached, is_told = True, False
                    if event is not None:
                        show(event)
                        sys.stdout.flush()
        except Unreachable as error:
            if not was_reached:
                give_up(error)
        except CommandFailed as failure:
            # While it restarts, its lock file may name no address.
            if not was_reached or failure.code != ExitCode.UNREACHABLE:
                raise
        if not is_told:
            warn(text("— 连接中断，等待服务 —", "— the server went away, waiting —"))
            is_told = True
        pause(RETRY_S)


class Frames:
    """One line's frames as they pass. What passes while nobody is connected is not kept."""

    def __init__(self, line: str) -> None:
        self._line = line

    def read(self, client: Client) -> Iterator[dict[str, Any] | None]:
        """Yield frames until the stream ends; None once it is open."""
        with client.events(f"/api/v1/lines/{in_path(self._line)}/frames") as events:
            yield None
            for event in events:
                if event.name == "frame":
                    yield event.data


class Feed:
    """What is durable, in the order of its ids, each once; outcomes as they become known.

    Args:
        line: its name, "" = all lines.
        position: the row id to start after.
    """

    def __init__(self, line: str, position: int) -> None:
        self._line = line
        self._start = self._position = max(1, position)
        self._shown: OrderedDict[str, None] = OrderedDict()

    def read(self, client: Client) -> Iterator[dict[str, Any] | None]:
        """Yield events until the stream ends; None once it is open."""
        # Opened first, caught up second: nothing falls in between, and what is in both is known.
        with client.events("/api/v1/feed", line=self._line) as events:
            yield None
            yield from self._catch_up(client)
            for event in events:
                if event.name == "gap":
                    yield from self._catch_up(client)
                elif event.name != "end" and self._is_new(event):
                    yield event.data

    def _catch_up(self, client: Client) -> Iterator[dict[str, Any]]:
        after = max(self._start, self._position - MARGIN)
        rows = [*self._messages(client, after), *self._deliveries(client, after)]
        for ident, row in sorted(rows, key=lambda pair: pair[0]):
            if self._is_new(Event(row["what"], row)):
                yield row
            self._position = max(self._position, ident)

    def _messages(self, client: Client, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for _ in range(MAX_PAGES):
            page = client.get(
                "/api/v1/messages", line=self._line, after=format_id("m", after), limit=PAGE
            )["messages"]
            for row in page:
                after = parse_id("m", row["id"])
                yield after, _as_seen(row["kind"], row, row["address"], row["sender"])
            if len(page) < PAGE:
                return

    def _deliveries(self, client: Client, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
        cursor = ""
        for _ in range(MAX_PAGES):
            page = client.get("/api/v1/deliveries", line=self._line, cursor=cursor, limit=PAGE)
            for row in page["deliveries"]:
                ident = parse_id("d", row["id"])
                if ident <= after:
                    return
                yield ident, _as_seen("answer", row, row["to"], row["source"])
            cursor = page["cursor"]
            if not cursor:
                return

    def _is_new(self, event: Event) -> bool:
        ident = event.data.get("id", "")
        if not ident or event.name == "delivery":
            return True
        if ident in self._shown:
            return False
        self._shown[ident] = None
        if len(self._shown) > MAX_REMEMBERED:
            self._shown.popitem(last=False)
        self._position = max(self._position, parse_id(ident[:1], ident))
        return True


class Printer:
    """Prints one line for each event; a line's name when all lines are followed."""

    def __init__(self, line: str) -> None:
        self._has_names = not line
        self._leaving: OrderedDict[str, None] = OrderedDict()

    def __call__(self, seen: dict[str, Any]) -> None:
        """Print it, unless it is a passing thing like typing."""
        what = seen["what"]
        if what == "fleeting":
            return
        at = local_time(seen["at"])
        name = f"{seen['line']:<10} " if self._has_names and seen["line"] else ""
        if what == "delivery":
            if seen["detail"] == "sent" and self._leaving.pop(seen["id"], False) is None:
                return  # its line said so
            say(f"{at}   {name}{seen['id']} {word(DELIVERY_STATES, seen['detail'])}")
            return
        who = clean(seen["sender"] or seen["address"], 24)
        if what == "answer":
            if seen["detail"] == "sending":
                self._leaving[seen["id"]] = None
                if len(self._leaving) > MAX_REMEMBERED:
                    self._leaving.popitem(last=False)
            fate = f"◆ {who} · {word(DELIVERY_STATES, seen['detail'])}"
            say(f"{at} → {name}{clean(seen['address'], 48)}  {clean(seen['text'])}  {fate}")
            return
        note = {
            "dead": f"  ! {text('无法处理', 'dead')}",
            "duplicate": text("  重复", "  repeated"),
        }
        say(
            f"{at} {ARROWS.get(what, '·')} {name}{who}  {clean(seen['text'])}"
            f"{note.get(seen['detail'], '')}  {seen['id']}".rstrip()
        )


def parse_age(words: str) -> int:
    """Parse `90s`, `10m`, `2h`, `1d` into seconds.

    Raises:
        CommandFailed: it is none of these.
    """
    match = _AGE.fullmatch(words.strip().lower())
    if match is None:
        fail(ExitCode.USAGE, text(f"看不懂 {words}", f"cannot read {words!r}"), "--since 10m")
    return int(match[1]) * _UNIT_S[match[2]]


def _connect(config: Path | None, url: str) -> Client:
    # Found again each time: a server on a free port has another address after its restart.
    return Client(find_server(config, url))


def _as_seen(what: str, row: dict[str, Any], address: str, sender: str) -> dict[str, Any]:
    return {
        "what": what,
        "id": row["id"],
        "at": row["at"],
        "line": row["line"],
        "address": address,
        "sender": sender,
        "text": row["text"],
        "detail": row["state"],
    }


def _print_json(seen: dict[str, Any]) -> None:
    print(msgspec.json.encode(seen).decode(), flush=True)


def _print_frame(frame: dict[str, Any]) -> None:
    seat = clean(frame["seat"], 24)
    say(f"{local_time(frame['at'])} {frame['direction']} {seat}  {clean(frame['text'], 400)}")
