"""`trunkline inbox`: what came in – messages, notices, and requests for the owner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect, in_path
from .output import format_table, print_json, say, text
from .rows import INBOX_STATES, KINDS, clean, delivery_line, local_time, word

IdsArgument = Annotated[list[str], typer.Argument(metavar="ID…", help="m-…")]
StateOption = Annotated[list[str] | None, typer.Option(help=", ".join(INBOX_STATES))]
KindOption = Annotated[list[str] | None, typer.Option(help=", ".join(KINDS))]
LineOption = Annotated[str, typer.Option(help=text("只看一条线路", "one line only"))]
PersonOption = Annotated[
    bool,
    typer.Option("--for-person", help=text("只看转给人工、还没处理的", "waiting for you only")),
]
LimitOption = Annotated[int, typer.Option(min=1, max=200)]


def register(app: typer.Typer) -> None:
    """Add the group `inbox`."""
    group = typer.Typer(help=text("收到的消息与请求", "What came in."), invoke_without_command=True)
    group.callback()(overview)
    group.command("list", help=text("列出", "List."))(list_messages)
    group.command("show", help=text("一条消息", "One message."))(show)
    group.command("requeue", help=text("重新处理", "Process again."))(requeue)
    group.command("discard", help=text("处理完毕或丢弃", "Put away."))(discard)
    app.add_typer(group, name="inbox")


def overview(
    context: typer.Context,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the newest, unless a subcommand follows."""
    if context.invoked_subcommand is None:
        list_messages(config=config, url=url, as_json=as_json)


def list_messages(
    state: StateOption = None,
    kind: KindOption = None,
    line: LineOption = "",
    for_person: PersonOption = False,
    limit: LimitOption = 50,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print a table of what came in, newest first."""
    with connect(config, url) as client:
        document = client.get(
            "/api/v1/messages", state=state, kind=kind, line=line, limit=limit,
            for_person="true" if for_person else "",
        )  # fmt: skip
    if as_json:
        print_json(document)
        return
    messages: list[dict[str, Any]] = document["messages"]
    if not messages:
        none = text("没有等人处理的消息", "Nothing waits for you.")
        say(none if for_person else text("没有消息", "Nothing came in."))
        return
    header = (
        ("编号", "时间", "线路", "种类", "状态", "来自", "内容")
        if text("zh", "en") == "zh"
        else ("ID", "AT", "LINE", "KIND", "STATE", "FROM", "TEXT")
    )
    say(*format_table(header, [_row(message) for message in messages]))
    if document["cursor"]:
        say("…")
    if for_person:
        say(
            text(
                "用 trunkline send 回复、trunkline takeover 接管，或 trunkline inbox discard 收起",
                "answer with trunkline send, take over with trunkline takeover, or put it away "
                "with trunkline inbox discard",
            )
        )


def show(
    ident: Annotated[str, typer.Argument(metavar="ID", help="m-…")],
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print one message and what was answered."""
    with connect(config, url) as client:
        found = client.get(f"/api/v1/messages/{in_path(ident)}")
    if as_json:
        print_json(found)
        return
    message = found["message"]
    kind = word(KINDS, message["kind"])
    state = word(INBOX_STATES, message["state"])
    say(f"{message['id']}  {kind}  {state}  {local_time(message['at'], with_day=True)}")
    say(f"← {clean(message['sender'], 60)}  {clean(message['address'])}")
    say(f"  {clean(message['text'] or message['name'] or '–', 2000)}")
    if message["reason"]:
        say(f"  {clean(message['reason'])}")
    for answer in found["answers"]:
        say(f"→ {clean(answer['text'], 2000)}", f"  {delivery_line(answer)}")


def requeue(ids: IdsArgument, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Have dead messages processed again."""
    _move("requeue", ids, config, url)


def discard(ids: IdsArgument, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Put messages away."""
    _move("discard", ids, config, url)


def _move(verb: str, ids: list[str], config: ConfigOption, url: str) -> None:
    with connect(config, url) as client:
        for ident in ids:
            moved = client.post(f"/api/v1/messages/{in_path(ident)}/{verb}")
            say(f"{moved['id']}  {word(INBOX_STATES, moved['state'])}")


def _row(message: dict[str, Any]) -> tuple[str, ...]:
    words = message["text"]
    if message["name"]:
        words = f"[{message['name']}] {words}"
    return (
        message["id"],
        local_time(message["at"], with_day=True),
        message["line"],
        word(KINDS, message["kind"]),
        word(INBOX_STATES, message["state"]),
        clean(message["sender"], 32),
        clean(words, 48),
    )
