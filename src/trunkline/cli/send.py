"""`trunkline send`: put a message into the outbox and, if wished, wait for its fate."""

from __future__ import annotations

import base64
import time
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from .client import Client, ConfigOption, JsonOption, UrlOption, connect
from .output import ExitCode, fail, print_json, say, text
from .rows import delivery_line

MAX_IMAGE_BYTES: Final = 7_500_000  # with base64 it must fit the upload limit (reliability 8)
LONGEST_POLL_S: Final = 10.0
ENDS: Final = {
    "sent": ExitCode.GOOD, "confirmed": ExitCode.GOOD,
    "refused": ExitCode.REFUSED, "dead": ExitCode.REFUSED,
    "draft": ExitCode.WAITS_FOR_PERSON, "uncertain": ExitCode.WAITS_FOR_PERSON,
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command `send`."""
    app.command("send", help=text("发送一条消息", "Send a message."))(send)


def send(
    target: Annotated[str, typer.Argument(help="line/kind:id[@account]")],
    words: Annotated[str, typer.Argument(metavar="TEXT")],
    image: Annotated[Path | None, typer.Option(help=text("图片文件", "a picture"))] = None,
    wait: Annotated[float, typer.Option(help=text("等待结果的秒数", "seconds to wait"))] = 0,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send, print the delivery's id, and with `--wait` what became of it."""
    message: Any = words if image is None else _with_image(words, image)
    with connect(config, url) as client:
        # A key of our own: should the request be repeated on its way, it is sent once.
        key = {"Idempotency-Key": str(uuid.uuid4())}
        sent = client.post("/api/v1/messages", {"to": target, "message": message}, key)
        delivery = wait_for(client, sent["delivery_id"], wait) if wait > 0 else None
    if as_json:
        print_json(delivery or sent)
    elif delivery is None:
        say(f"{sent['delivery_id']}  {text('已入发件箱', 'queued')}")
    else:
        say(delivery_line(delivery))
    if delivery is not None:
        raise typer.Exit(how_it_ended(delivery))


def wait_for(client: Client, ident: str, wait_s: float) -> dict[str, Any]:
    """Return a delivery once its state is final, or after `wait_s`."""
    deadline_s = time.monotonic() + wait_s
    while True:
        left_s = min(LONGEST_POLL_S, max(0.0, deadline_s - time.monotonic()))
        delivery = client.get(f"/api/v1/deliveries/{ident}", wait=round(left_s, 3))
        if delivery["is_final"] or delivery["state"] == "draft" or time.monotonic() >= deadline_s:
            return delivery


def how_it_ended(delivery: dict[str, Any]) -> ExitCode:
    """Return the exit code for a delivery's state."""
    if delivery["is_held"]:
        return ExitCode.WAITS_FOR_PERSON
    return ENDS.get(delivery["state"], ExitCode.PROBLEM)


def _with_image(words: str, path: Path) -> list[dict[str, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        fail(ExitCode.USAGE, text(f"图片无法读取：{error}", f"cannot read the picture: {error}"))
    if len(data) > MAX_IMAGE_BYTES:
        limit = MAX_IMAGE_BYTES // 1000
        fail(
            ExitCode.USAGE,
            text(f"图片超过 {limit} KB", f"the picture is larger than {limit} kB"),
            text("缩小后再发", "make it smaller"),
        )
    picture = {"type": "image", "data": base64.b64encode(data).decode(), "name": path.name}
    return [{"type": "text", "text": words}, picture] if words else [picture]
