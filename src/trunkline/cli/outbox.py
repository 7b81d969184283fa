"""`trunkline outbox`: deliveries, and what a person decides about those that wait for one."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from .client import ConfigOption, JsonOption, UrlOption, connect, in_path
from .output import (
    CommandFailed,
    ExitCode,
    complain,
    fail,
    format_table,
    print_json,
    say,
    text,
)  # fmt: skip
from .rows import DELIVERY_STATES, clean, delivery_line, local_time, pace_wait, reason_words, word

UNDONE: Final = ("draft", "queued", "sending", "uncertain", "refused", "expired", "dead")
IdsArgument = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="d-…")]
GroupOption = Annotated[
    str,
    typer.Option(
        help=text("整组：原因相同的存疑投递", "all uncertain ones with this reason (restart 3)")
    ),
]
TextOption = Annotated[
    str | None, typer.Option("--text", help=text("改成这些文字再发", "with these words instead"))
]
EveryOption = Annotated[bool, typer.Option("--all", hidden=True)]
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
    every: EveryOption = False,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """List what is not done, unless a subcommand follows."""
    if every:
        states = " ".join(f"--state {state}" for state in DELIVERY_STATES)
        fail(
            ExitCode.USAGE,
            text("没有 --all；状态用 --state 选", "there is no --all; --state chooses states"),
            f"trunkline outbox list {states}",
        )
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
        named = (name.strip() for one in state or () for name in one.split(","))
        wanted = [name for name in named if name] or list(UNDONE)
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
    if any(delivery["state"] == "draft" for delivery in deliveries):
        say(_hint("ID"))


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
    if wait := pace_wait(delivery):
        say(f"  {wait}")
    if delivery["expires"] and not delivery["is_final"]:
        at = local_time(delivery["expires"], with_day=True)
        say(text(f"  有效到 {at}", f"  of use until {at}"))
    if delivery["question"]:
        say(f"  trunkline why {delivery['question']}")
    if delivery["state"] == "draft":
        say(f"  {_hint(delivery['id'])}")


def approve(
    ids: IdsArgument = None,
    words: TextOption = None,
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let drafts leave, each as it is, or one of them with other words."""
    if words is not None and len(ids or ()) > 1:
        fail(ExitCode.USAGE, text("--text 一次只改一条", "--text is for one draft at a time"))
    body = None if words is None else {"text": words}
    _decide("approve", ids, "", config, url, as_json=as_json, body=body)


def requeue(
    ids: IdsArgument = None,
    group: GroupOption = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send deliveries again."""
    _decide("requeue", ids, group, config, url, as_json=as_json)


def discard(
    ids: IdsArgument = None,
    group: GroupOption = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    as_json: JsonOption = False,
) -> None:
    """Drop deliveries."""
    _decide("discard", ids, group, config, url, as_json=as_json)


def _decide(
    verb: str,
    ids: list[str] | None,
    group: str,
    config: ConfigOption,
    url: UrlOption,
    *,
    as_json: bool,
    body: dict[str, Any] | None = None,
) -> None:
    """Have each delivery moved; what cannot be moved does not keep the next from it.

    Args:
        body: sent with each.
    """
    if not ids and not group:
        fail(ExitCode.USAGE, text("请给出编号", "name an id"), "trunkline outbox list")
    moved: list[dict[str, Any]] = []
    failed: list[CommandFailed] = []
    with connect(config, url) as client:
        if group:
            moved.append(client.post(f"/api/v1/deliveries/group/{in_path(group)}/{verb}"))
        for ident in dict.fromkeys(ids or ()):
            try:
                moved.append(client.post(f"/api/v1/deliveries/{in_path(ident)}/{verb}", body))
            except CommandFailed as failure:
                failed.append(failure)
                failure.message = f"{clean(ident, 40)}: {failure.message}"
    if as_json:
        print_json({"moved": moved, "failed": [failure.message for failure in failed]})
    else:
        say(*(_moved_line(one) for one in moved))
    if failed:
        for failure in failed[:-1]:
            complain(failure.message, failure.fix)
        raise failed[-1]


def _moved_line(moved: dict[str, Any]) -> str:
    if "reason" in moved:
        return f"{clean(moved['reason'])}  {moved['moved']}"
    parts = [moved["id"], word(DELIVERY_STATES, moved["state"])]
    if moved.get("is_repeat"):
        parts.append(text("（早已如此）", "(as before)"))
    if newer := moved.get("newer"):
        messages = "message" if newer == 1 else "messages"
        parts.append(text(f"（对方之后又发了 {newer} 条）", f"({newer} newer {messages} since)"))
    return "  ".join(parts)


def _hint(ident: str) -> str:
    """Return what can be done with a draft."""
    way = f'trunkline outbox approve {ident} [--text "…"] | discard {ident}'
    return text(f"草稿：{way}", f"drafts: {way}")


def _row(delivery: dict[str, Any]) -> tuple[str, ...]:
    return (
        delivery["id"],
        local_time(delivery["at"], with_day=True),
        word(DELIVERY_STATES, delivery["state"]),
        clean(delivery["to"], 48),
        clean(delivery["source"], 24),
        clean(delivery["text"], 40),
        pace_wait(delivery) or reason_words(delivery["reason"], 40),
    )
