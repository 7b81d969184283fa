"""`trunkline broadcast`: say something to every open link of a contact line."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect
from .output import print_json, say, text


def register(app: typer.Typer) -> None:
    """Add the command `broadcast`."""
    summary = text("向一条线路的所有在线访客说话", "Say something to everybody on a line.")
    app.command("broadcast", help=summary)(broadcast)


def broadcast(
    line: Annotated[str, typer.Argument(help=text("线路", "the line"))],
    words: Annotated[str, typer.Argument(metavar="TEXT")],
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say it once and tell how many got it; visitors who vanish meanwhile are no failure."""
    with connect(config, url) as client:
        # A key of our own: should the request be repeated on its way, it is said once.
        key = {"Idempotency-Key": str(uuid.uuid4())}
        done = client.post("/api/v1/broadcast", {"line": line, "message": words}, key)
    if as_json:
        print_json(done)
        return
    delivered, failed = done["delivered"], done["failed"]
    say(
        text(
            f"{line}：送达 {delivered}，未送达 {failed}",
            f"{line}: {delivered} got it, {failed} did not",
        )
    )
