"""Turns that are due, and ending them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from trunkline.ids import ConversationId
from trunkline.store.contract import TurnRow

from .connection import Connection
from .statements import SQL


def put(connection: Connection, turns: Iterable[TurnRow]) -> None:
    """Open turns, or move those that are open."""
    connection.executemany(
        SQL["put_turn"],
        [
            (turn.conversation, turn.due_ms, turn.since_ms, turn.kind, turn.attempts, turn.cap_ms)
            for turn in turns
        ],
    )


def end(connection: Connection, conversations: Iterable[ConversationId]) -> None:
    """End turns, but not those of conversations that have WAITING rows still."""
    connection.executemany(SQL["end_turn"], [(ident,) for ident in conversations])


def due(
    connection: Connection, now_ms: int, limit: int, besides: Sequence[tuple[str, str]] = ()
) -> list[TurnRow]:
    """Return turns whose time has come, earliest first, without those of some accounts."""
    if besides:
        left_out = msgspec.json.encode([f"{line}/{account}" for line, account in besides])
        values = (now_ms, left_out.decode(), limit)
        rows = connection.execute(SQL["due_turns_besides"], values).fetchall()
    else:
        rows = connection.execute(SQL["due_turns"], (now_ms, limit)).fetchall()
    return [TurnRow(ConversationId(row[0]), *row[1:]) for row in rows]
