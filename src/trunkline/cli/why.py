"""`trunkline why`: the decision record of one message."""

from __future__ import annotations

from typing import Annotated

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect, in_path
from .output import print_json, say, text
from .rows import INBOX_STATES, clean, delivery_line, escape, local_time, word


def register(app: typer.Typer) -> None:
    """Add the command `why`."""
    app.command("why", help=text("为什么这样回答", "Why a message was answered so."))(why)


def why(
    ident: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="m-…")],
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print what was said, what was decided, and what was sent."""
    with connect(config, url) as client:
        record = client.get(f"/api/v1/messages/{in_path(ident)}/why")
    if as_json:
        print_json(record)
        return
    message = record["message"]
    where = f"{clean(message['sender'], 60)} · {message['line']} · {local_time(message['at'])}"
    words = clean(message["text"] or message["name"] or "–")
    say(f"{text('消息', 'message')}  {text(f'「{words}」', repr(words))} {where}")
    state = word(INBOX_STATES, message["state"])
    say(f"{text('状态', 'state')}  {state}  {clean(message['reason'])}".rstrip())
    for line in record["lines"]:
        say(f"  {escape(line)}")
    for answer in record["answers"]:
        say(f"→ {clean(answer['text'])}", f"  {delivery_line(answer)}  {clean(answer['source'])}")
    if not record["answers"]:
        say(text("没有发送任何回复", "nothing was sent"))
