"""Conversations, and what sessions keep: rows to values and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from trunkline.ids import ConversationId
from trunkline.model.conversation import ConversationState

from .connection import Connection
from .statements import SQL


class _Small(msgspec.Struct, frozen=True, array_like=True):
    """What a conversation remembers, as one blob: new fields are added at the end."""

    counters: dict[str, int] = {}
    recent: tuple[int, ...] = ()
    paused_until_ms: int = 0
    taken_until_ms: int = 0
    taken_by: str = ""
    is_brief: bool = False
    taken_ms: int = 0


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Small).decode
_NOTHING: Final = _Small()


def put(connection: Connection, states: Iterable[ConversationState]) -> None:
    """Write new or changed conversations."""
    connection.executemany(SQL["put_conversation"], [_to_row(state) for state in states])


def _to_row(state: ConversationState) -> tuple[object, ...]:
    small = _Small(
        dict(state.counters), state.recent, state.paused_until_ms, state.taken_until_ms,
        state.taken_by, state.is_brief, state.taken_ms,
    )  # fmt: skip
    return (
        state.id, state.line, state.account, state.peer, state.kind, state.name,
        bytearray(state.context), None if small == _NOTHING else bytearray(_encode(small)),
    )  # fmt: skip


def from_row(row: Sequence[Any]) -> ConversationState:
    """Return the value of (id, line, account, kind, peer, name, context, state)."""
    small = _NOTHING if row[7] is None else _decode(row[7])
    return ConversationState(
        ConversationId(row[0]), row[1], row[2], row[3], row[4], row[5], row[6],
        small.counters, small.recent, small.paused_until_ms, small.taken_until_ms,
        small.taken_by, small.is_brief, small.taken_ms,
    )  # fmt: skip


def is_brief(state: bytes | None) -> bool:
    """Return whether a conversation, by its column `state`, ends with its peer's link."""
    return state is not None and _decode(state).is_brief


def find(
    connection: Connection, keys: Sequence[tuple[str, str, str, str]]
) -> list[ConversationState | None]:
    """Look up (line, account, kind, peer)."""
    found: list[ConversationState | None] = []
    for key in keys:
        row = connection.execute(SQL["find_conversation"], key).fetchone()
        found.append(None if row is None else from_row(row))
    return found


def known(
    connection: Connection, states: Iterable[ConversationState]
) -> tuple[ConversationState, ...]:
    """Return what is stored of chats under another id than these states have."""
    pairs = [(state, (state.line, state.account, state.kind, state.peer)) for state in states]
    found = find(connection, [key for _, key in pairs])
    return tuple(
        stored
        for (state, _), stored in zip(pairs, found, strict=True)
        if stored is not None and stored.id != state.id
    )


def get(connection: Connection, ident: int) -> ConversationState | None:
    """Return one conversation."""
    row = connection.execute(SQL["conversation"], (ident,)).fetchone()
    return None if row is None else from_row(row)


def next_id(connection: Connection) -> int:
    """Return the first id that no conversation has."""
    last: int = connection.execute(SQL["last_conversation"]).fetchone()[0]
    return last + 1


def kept(connection: Connection, line: str, account: str) -> bytes | None:
    """Return the state a session last kept."""
    row = connection.execute(SQL["kept"], (line, account)).fetchone()
    return None if row is None else row[0]
