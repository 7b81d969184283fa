"""`trunkline outbox`: deliveries, and what a person decides about those that wait for one."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect, in_path
from .output import ExitCode, fail, format_table, print_json, say, text
from .rows import DELIVERY_STATES, clean, delivery_line, local_time, word

UNDONE: Final = ("draft", "queued", "sending", "uncertain", "refused", "expired", "dead")
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="d-…")]
GroupOption = Annotated[
    str,
    typer.Option(
        help=text("整组：原因相同的存疑投递", "all uncertain ones with this reason (restart 3)")
    ),
]
StateOption = Annotated[list[str] | None, typer.Option(help=", ".join(DELIVERY_STATES))]
LineOption = Annotated[str, typer.Option(help=text("只看一条线路", "one line only"))]
LimitOption = Annotated[int, typer.Option(min=1, max=200)]


def register(app: typer.Typer) -> None:
    """Add the group `outbox`."""
    group = typer.Typer(help=text("投递", "Deliveries."), invoke_without_command=True)
    group.callback()(overview)
    group.command("list", help=text("列出未完成的", "List what is not done."))(list_deliveries)
    group.command("show", help=text("一条投递", "One delivery."))(show)
    group.command("approve", help=text("批准草稿", "Let drafts leave."))(approve)
    group.command("requeue", help=text("重新发送", "Send again."))(requeue)
    group.command("discard", help=text("丢弃", "Drop."))(discard)
    app.add_typer(group, name="outbox")


def overview(
    context: typer.Context,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """List what is not done, unless a subcommand follows."""
    if context.invoked_subcommand is None:
        list_deliveries(config=config, url=url, as_json=as_json)


def list_deliveries(
    state: StateOption = None,
    line: LineOption = "",
    limit: LimitOption = 50,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print a table of deliveries, newest first."""
    with connect(config, url) as client:
        wanted = state or list(UNDONE)
        document = client.get("/api/v1/deliveries", state=wanted, line=line, limit=limit)
    if as_json:
        print_json(document)
        return
    deliveries: list[dict[str, Any]] = document["deliveries"]
    if not deliveries:
        say(text("没有未完成的投递", "Nothing waits."))
        return
    header = (
        ("编号", "时间", "状态", "对象", "来源", "内容", "原因")
        if text("zh", "en") == "zh"
        else ("ID", "AT", "STATE", "TO", "SOURCE", "TEXT", "REASON")
    )
    say(*format_table(header, [_row(delivery) for delivery in deliveries]))
    if document["cursor"]:
        say("…")


def show(
    ident: Annotated[str, typer.Argument(metavar="ID", help="d-…")],
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print one delivery."""
    with connect(config, url) as client:
        delivery = client.get(f"/api/v1/deliveries/{in_path(ident)}")
    if as_json:
        print_json(delivery)
        return
    say(delivery_line(delivery), f"→ {clean(delivery['to'])}", f"  {clean(delivery['text'], 2000)}")
    say(f"  {clean(delivery['source'])}  {local_time(delivery['at'], with_day=True)}")
    if delivery["question"]:
        say(f"  trunkline why {delivery['question']}")


def approve(ids: IdsArgument = None, config: ConfigOption = None, url: UrlOption = "") -> None:
    """Let drafts leave."""
    _move("approve", ids, "", config, url)


def requeue(
    ids: IdsArgument = None,
    group: GroupOption = "",
    config: ConfigOption = None,
    url: UrlOption = "",
) -> None:
    """Send deliveries again."""
    _move("requeue", ids, group, config, url)


def discard(
    ids: IdsArgument = None,
    group: GroupOption = "",
    config: ConfigOption = None,
    url: UrlOption = "",
) -> None:
    """Drop deliveries."""
    _move("discard", ids, group, config, url)


def _move(verb: str, ids: list[str] | None, group: str, config: ConfigOption, url: str) -> None:
    if not ids and not group:
        fail(ExitCode.USAGE, text("请给出编号", "name an id"), "trunkline outbox list")
    with connect(config, url) as client:
        if group:
            moved = client.post(f"/api/v1/deliveries/group/{in_path(group)}/{verb}")
            say(f"{clean(group)}  {moved['moved']}")
        for ident in ids or ():
            moved = client.post(f"/api/v1/deliveries/{in_path(ident)}/{verb}")
            say(f"{moved['id']}  {word(DELIVERY_STATES, moved['state'])}")


def _row(delivery: dict[str, Any]) -> tuple[str, ...]:
    return (
        delivery["id"],
        local_time(delivery["at"], with_day=True),
        word(DELIVERY_STATES, delivery["state"]),
        clean(delivery["to"], 48),
        clean(delivery["source"], 24),
        clean(delivery["text"], 40),
        clean(delivery["reason"], 40),
    )
