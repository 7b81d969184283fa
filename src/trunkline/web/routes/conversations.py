"""Conversations: which there are, what was said in one, and who has it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from trunkline.ids import format_id
from trunkline.model.address import Address, format_address
from trunkline.model.conversation import ConversationState
from trunkline.web.chats import (
    ConversationsOut,
    SaidPageOut,
    TakeoverIn,
    TakeoverOut,
    read_conversation,
    to_conversation,
    to_said,
    to_takeover,
)
from trunkline.web.paging import read_page, read_row_cursor
from trunkline.web.problem import Problem, Said
from trunkline.web.services import Services, Using

from .lines import find_line
from .table import DELETE, GET, PUT, Route


class ConversationsQuery(BaseModel):
    """Which conversations; all of them when no line is named."""

    model_config = ConfigDict(extra="forbid")

    line: str = ""
    cursor: str = Field("", max_length=200)
    limit: int = Field(50, ge=1, le=200)


class SaidQuery(BaseModel):
    """Which page of a conversation."""

    model_config = ConfigDict(extra="forbid")

    cursor: str = Field("", max_length=200)
    limit: int = Field(50, ge=1, le=200)


async def list_conversations(
    services: Using, wanted: Annotated[ConversationsQuery, Query()]
) -> ConversationsOut:
    """List conversations, last active first."""
    if wanted.line:
        find_line(services, wanted.line)
    asked = services.store.conversations(line=wanted.line, cursor=wanted.cursor, limit=wanted.limit)
    page = await read_page(asked)
    now_ms = services.clock.now_ms()
    shown = [to_conversation(conversation, last, now_ms) for conversation, last in page.rows]
    return ConversationsOut(conversations=shown, cursor=page.cursor)


async def list_said(
    services: Using, ident: str, wanted: Annotated[SaidQuery, Query()]
) -> SaidPageOut:
    """List what was said in a conversation, newest first. The id is `c-…` or the address."""
    before = read_row_cursor(wanted.cursor)
    conversation = await _find(services, ident)
    # One further than the page: whether there is a next one.
    rows = await services.store.history(conversation.id, before, wanted.limit + 1)
    shown = rows[: wanted.limit]
    return SaidPageOut(
        messages=[to_said(row, conversation) for row in shown],
        cursor=str(shown[-1].id) if len(rows) > wanted.limit else "",
    )


async def take_over(services: Using, ident: str, wanted: TakeoverIn | None = None) -> TakeoverOut:
    """Take a conversation: no automatic answers until the time is over or it is released."""
    address = (await _find(services, ident)).address
    wanted = wanted or TakeoverIn()
    try:
        until_ms = await services.desk.take_over(address, name=wanted.name, for_s=wanted.for_s)
    except LookupError as error:
        raise _missing(ident) from error
    return to_takeover(address, wanted.name, until_ms)


async def release(services: Using, ident: str) -> TakeoverOut:
    """Give a conversation back to the automatic answers."""
    address = (await _find(services, ident)).address
    try:
        await services.desk.release(address)
    except LookupError as error:
        raise _missing(ident) from error
    return to_takeover(address, "", 0)


async def _find(services: Services, ident: str) -> ConversationState:
    """Return the conversation that a path names.

    Raises:
        Problem: `invalid` for what is no id, `not-found`, or `no-such-target` when the line has
            several accounts with such a chat.
    """
    named = read_conversation(ident)
    if not isinstance(named, Address):
        found, _ = await services.store.waiting(named)
        if found is None:
            raise _missing(format_id("c", named))
        return found
    find_line(services, named.line)
    accounts = [named.account] if named.account else ["", *services.accounts(named.line)]
    keys = [(named.line, account, named.kind, named.id) for account in dict.fromkeys(accounts)]
    states = [state for state in await services.store.find_conversations(keys) if state]
    if not states:
        raise _missing(format_address(named))
    if len(states) > 1:
        shown = ", ".join(format_address(state.address) for state in states)
        raise Problem("no-such-target", Said(f"有多个账号：{shown}", f"several accounts: {shown}"))
    return states[0]


def _missing(ident: str) -> Problem:
    shown = ident[:100]
    return Problem("not-found", Said(f"没有会话 {shown}", f"There is no conversation {shown}"))


ROUTES: Final = (
    Route(GET, "/api/v1/conversations", list_conversations),
    # An address has a slash in it, which a path of one segment would end at.
    Route(GET, "/api/v1/conversations/{ident:path}/messages", list_said),
    Route(PUT, "/api/v1/conversations/{ident:path}/takeover", take_over),
    Route(DELETE, "/api/v1/conversations/{ident:path}/takeover", release),
)
