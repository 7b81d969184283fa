"""`trunkline takeover`: a person has a conversation, until the time is over or it is given back."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect, in_path
from .output import ExitCode, fail, print_json, say, text
from .rows import clean, local_time

_SPAN: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|m|min|h|d|)", re.IGNORECASE)
_FACTORS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add the command `takeover`."""
    summary = text(
        "接管会话：期间不自动回复。", "Take a conversation over: no automatic answers meanwhile."
    )
    app.command("takeover", help=summary)(takeover)


def takeover(
    conversation: Annotated[
        str, typer.Argument(metavar="CONVERSATION", help=text("c-… 或地址", "c-… or its address"))
    ],
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            help=text("多久，如 30m、2h，至多 24h", "how long, as in 30m, 2h; at most 24h"),
        ),
    ] = "",
    release: Annotated[bool, typer.Option("--release", help=text("交还", "give it back"))] = False,
    name: Annotated[str, typer.Option(help=text("谁接管", "who has it"))] = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take it, or give it back; without `--for` the line says how long."""
    if release and for_:
        fail(
            ExitCode.USAGE,
            text("--for 与 --release 只能选一个", "--for and --release exclude each other"),
        )
    body: dict[str, Any] = {"name": name}
    if for_:
        body["for_s"] = parse_span(for_)
    path = f"/api/v1/conversations/{in_path(conversation)}/takeover"
    with connect(config, url) as client:
        done = client.delete(path) if release else client.put(path, body)
    if as_json:
        print_json(done)
        return
    where = clean(done["address"], 200)
    if done["until"] is None:
        say(text(f"{where}：已交还，恢复自动回复", f"{where}: given back, answered automatically"))
        return
    until = local_time(done["until"], with_day=True)
    say(text(f"{where}：已接管到 {until}", f"{where}: taken over until {until}"))


def parse_span(words: str) -> float:
    """Parse `90`, `90s`, `30m`, `2h` or `1d` to seconds.

    Raises:
        CommandFailed: it is none of these, or nothing at all.
    """
    match = _SPAN.fullmatch(words.strip())
    span_s = float(match[1]) * _FACTORS[match[2].lower()] if match else 0.0
    if not span_s:
        fail(
            ExitCode.USAGE,
            text(f"{words!r} 不是时长", f"{words!r} is no span of time"),
            text("写作 90s、30m、2h 或 1d", "write 90s, 30m, 2h or 1d"),
        )
    return span_s
