"""Messages: what came in, why it was answered as it was, and sending one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from trunkline.exchange.contract import Duplicates
from trunkline.ids import InboxId, format_id
from trunkline.model.address import parse_address
from trunkline.model.conversation import ConversationState
from trunkline.model.message import parse_message
from trunkline.pipeline.trace import decode_trace, explain
from trunkline.store.contract import EventKind, InboxRow, InboxState
from trunkline.web.notation import read_message_id
from trunkline.web.paging import read_page
from trunkline.web.problem import Problem, Said, choose_language
from trunkline.web.schemas import (
    INBOX_STATES,
    KINDS,
    DeliveryOut,
    MessageDetailOut,
    MessageIn,
    MessagesOut,
    MovedOut,
    SentOut,
    StepOut,
    WhyOut,
)
from trunkline.web.services import Services, Using
from trunkline.web.showing import to_delivery, to_message

from .table import GET, POST, Route

StateName = Literal["waiting", "done", "dead", "discarded"]
KindName = Literal["message", "notice", "request"]
IdempotencyKey = Annotated[str, Header(max_length=200, pattern=r"^[\x21-\x7e]*$")]


class MessagesQuery(BaseModel):
    """Which messages; all of them when nothing is named.

    Attributes:
        after: only newer ones, oldest first.
        for_person: only those that wait for a person.
    """

    model_config = ConfigDict(extra="forbid")

    line: str = ""
    after: str = ""
    cursor: str = ""
    limit: int = Field(50, ge=1, le=200)
    state: list[StateName] = []
    kind: list[KindName] = []
    for_person: bool = False


async def list_messages(services: Using, wanted: Annotated[MessagesQuery, Query()]) -> MessagesOut:
    """List messages: newest first, or oldest first when `after` is given."""
    asked = services.store.messages(
        line=wanted.line,
        states=[INBOX_STATES[name] for name in wanted.state],
        kinds=[KINDS[name] for name in wanted.kind],
        after=read_message_id(wanted.after) if wanted.after else 0,
        cursor=wanted.cursor,
        limit=wanted.limit,
        is_for_person=wanted.for_person,
    )
    page = await read_page(asked)
    shown = [to_message(row, conversation) for row, conversation in page.rows]
    return MessagesOut(messages=shown, cursor=page.cursor)


async def send_message(
    services: Using, wanted: MessageIn, idempotency_key: IdempotencyKey = ""
) -> SentOut:
    """Store a message for sending. The same `Idempotency-Key` sends once."""
    try:
        address = parse_address(wanted.to)
        segments = parse_message(wanted.message)
        sent = await services.desk.send(address, segments, dedupe=idempotency_key)
    except LookupError as error:
        line = wanted.to.partition("/")[0]
        code = "no-such-target" if services.fleet.status(line) else "no-such-line"
        raise Problem(code, str(error.args[0] if error.args else "")) from error
    except ValueError as error:
        raise Problem("invalid", str(error)) from error
    return SentOut(delivery_id=format_id("d", sent.id), is_repeat=sent.is_repeat)


async def show_message(services: Using, ident: str) -> MessageDetailOut:
    """Show one message with what was answered."""
    row, conversation = await _find(services, read_message_id(ident))
    answers = await _answers(services, row, conversation)
    return MessageDetailOut(message=to_message(row, conversation), answers=answers)


async def show_why(services: Using, request: Request, ident: str) -> WhyOut:
    """Tell why a message was answered as it was."""
    row, conversation = await _find(services, read_message_id(ident))
    language = choose_language(request.headers.get("accept-language", ""))
    trace = decode_trace(row.why)
    lines = explain(trace, language)
    dropped = services.desk.duplicates(conversation.id)
    if dropped is not None:
        lines.append(_tell_dropped(dropped, language))
    return WhyOut(
        id=format_id("m", row.id),
        message=to_message(row, conversation),
        answers=await _answers(services, row, conversation),
        steps=[StepOut(stage=s.stage, verdict=s.verdict, detail=list(s.detail)) for s in trace],
        lines=lines,
    )


def _tell_dropped(dropped: Duplicates, language: str) -> str:
    at = datetime.fromtimestamp(dropped.last_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")
    if language == "zh":
        return f"重复  本会话丢弃了 {dropped.count} 条重复消息，最近 {at} 「{dropped.text}」"
    return f"repeats  {dropped.count} dropped in this conversation, last {at} “{dropped.text}”"


async def requeue_message(services: Using, ident: str) -> MovedOut:
    """Have a dead message processed again."""
    message = read_message_id(ident)
    await _find(services, message)
    return await _move(services, message, [InboxState.DEAD], InboxState.WAITING)


async def discard_message(services: Using, ident: str) -> MovedOut:
    """Put a message away: it could not be processed, or what it asks a person is dealt with."""
    message = read_message_id(ident)
    row, _ = await _find(services, message)
    sources = [InboxState.DEAD, InboxState.WAITING]
    if row.kind is EventKind.REQUEST or row.is_for_person:
        sources.append(InboxState.DONE)
    return await _move(services, message, sources, InboxState.DISCARDED)


async def _find(services: Services, ident: InboxId) -> tuple[InboxRow, ConversationState]:
    found = await services.store.message(ident)
    if found is None:
        shown = format_id("m", ident)
        raise Problem("not-found", Said(f"没有消息 {shown}", f"There is no message {shown}"))
    return found


async def _answers(
    services: Services, row: InboxRow, conversation: ConversationState
) -> list[DeliveryOut]:
    line = services.fleet.status(conversation.line)
    rows = await services.store.answers(row.id)
    return [to_delivery(answer, conversation, line) for answer in rows]


async def _move(
    services: Services, ident: InboxId, sources: list[InboxState], to: InboxState
) -> MovedOut:
    if not await services.store.move_message(ident, sources, to):
        row, _ = await _find(services, ident)
        name = row.state.name.lower()
        raise Problem("wrong-state", Said(f"现在的状态是 {name}", f"It is {name} now"))
    services.desk.wake()
    return MovedOut(id=format_id("m", ident), state=to.name.lower())


ROUTES: Final = (
    Route(GET, "/api/v1/messages", list_messages),
    Route(POST, "/api/v1/messages", send_message, 202),
    Route(GET, "/api/v1/messages/{ident}", show_message),
    Route(GET, "/api/v1/messages/{ident}/why", show_why),
    Route(POST, "/api/v1/messages/{ident}/requeue", requeue_message),
    Route(POST, "/api/v1/messages/{ident}/discard", discard_message),
)
