"""REST shapes of conversations: who we talk with, what was said, who has it; broadcasts."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from trunkline.exchange.items import BROADCAST, PERSON
from trunkline.ids import ConversationId, format_id, parse_id
from trunkline.model.address import Address, format_address, parse_address
from trunkline.model.conversation import ConversationState
from trunkline.model.history import Speaker
from trunkline.store.contract import InboxRow, OutboxRow

from .notation import format_time, format_when
from .problem import Problem, Said
from .schemas import Shape
from .showing import to_delivery, to_message

MAX_TAKEOVER_S: Final = 86_400.0
_SPEAKERS: Final[dict[str, Speaker]] = {PERSON: "operator", BROADCAST: "system"}


class SaidOut(Shape):
    """One thing that was said. `name` is its sender's, or of the person of ours who said it.

    `state` is of the event or of the delivery; `source` tells what made an answer.
    """

    id: str
    kind: str
    at: str
    speaker: Speaker
    name: str
    text: str
    state: str
    source: str


class SaidPageOut(Shape):
    """A page of a conversation, newest first; `cursor` is "" on the last one."""

    messages: list[SaidOut]
    cursor: str


class ConversationOut(Shape):
    """One conversation. `taken_until`: a person has it; `last`: what was said last."""

    id: str
    line: str
    account: str
    address: str
    name: str
    taken_by: str
    taken_until: str | None
    last: SaidOut | None


class ConversationsOut(Shape):
    """A page, last active first; `cursor` is "" on the last one."""

    conversations: list[ConversationOut]
    cursor: str


class TakeoverIn(Shape):
    """Who takes a conversation, and for how long automatic answers are silent.

    `for_s`: null = as long as the line says (`takeover_for_s`).
    """

    name: Annotated[str, Field(max_length=64)] = ""
    for_s: Annotated[float | None, Field(gt=0, le=MAX_TAKEOVER_S)] = None


class TakeoverOut(Shape):
    """Who has a conversation now; nobody when `until` is null."""

    address: str
    by: str
    until: str | None


class BroadcastIn(Shape):
    """What is said to every open link of a contact line: a string or a list of segments."""

    line: Annotated[str, Field(max_length=64)]
    message: str | list[dict[str, Any]]


class BroadcastOut(Shape):
    """How many open links got it, and how many did not."""

    delivered: int
    failed: int


def read_conversation(text: str) -> Address | ConversationId:
    """Parse what stands for a conversation in a path: `c-…` or its address.

    Raises:
        Problem: `invalid`.
    """
    if text.startswith(("c-", "C-")):
        try:
            return ConversationId(parse_id("c", text))
        except ValueError as error:
            raise Problem("invalid", _FORM) from error
    try:
        return parse_address(text)
    except ValueError as error:
        raise Problem("invalid", _FORM) from error


_FORM: Final = Said(
    "会话写作 c-… 或 URL 编码的地址 line/kind:id[@account]",
    "A conversation is c-… or its address line/kind:id[@account], URL-encoded",
)


def to_said(row: InboxRow | OutboxRow, conversation: ConversationState) -> SaidOut:
    """Show one thing that was said."""
    if isinstance(row, InboxRow):
        message = to_message(row, conversation)
        return SaidOut(
            id=message.id, kind=message.kind, at=message.at, speaker="user", name=message.sender,
            text=message.text, state=message.state, source="",
        )  # fmt: skip
    delivery = to_delivery(row, conversation, None)
    who, _, name = row.source.partition(":")
    speaker = _SPEAKERS.get(who, "assistant")
    return SaidOut(
        id=delivery.id, kind="delivery", at=delivery.at, speaker=speaker,
        name=name if speaker == "operator" else "",
        text=delivery.text, state=delivery.state, source=delivery.source,
    )  # fmt: skip


def to_conversation(
    conversation: ConversationState, last: InboxRow | OutboxRow | None, now_ms: int
) -> ConversationOut:
    """Show a conversation; a takeover that is over is not shown."""
    is_taken = conversation.taken_until_ms > now_ms
    return ConversationOut(
        id=format_id("c", conversation.id),
        line=conversation.line,
        account=conversation.account,
        address=format_address(conversation.address),
        name=conversation.name,
        taken_by=conversation.taken_by if is_taken else "",
        taken_until=format_time(conversation.taken_until_ms) if is_taken else None,
        last=None if last is None else to_said(last, conversation),
    )


def to_takeover(address: Address, by: str, until_ms: int) -> TakeoverOut:
    """Show who has a conversation; `until_ms` 0 = nobody."""
    return TakeoverOut(address=format_address(address), by=by, until=format_when(until_ms))
