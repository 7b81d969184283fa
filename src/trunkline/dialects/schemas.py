"""What the house knows of a dialect whose messages have a schema that a person may import.

Values only: which text is a schema, what it says, and how two of them differ is the dialect's
business (`Dialect.schema`); reading files and compiling is done in `configuration/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec


class SchemaField(msgspec.Struct, frozen=True, order=True):
    """One field of one message.

    Args:
        type: with its label: `required int32`, `repeated TechwolfUser`.
    """

    message: str
    number: int
    name: str
    type: str


class SchemaChanges(msgspec.Struct, frozen=True):
    """What one schema has and another has not, each in the order of message and number.

    Args:
        added, gone: fields.
        changed: before and after, of one field.
        refused: those of `changed` with which bytes would be read differently.
    """

    added: tuple[SchemaField, ...] = ()
    gone: tuple[SchemaField, ...] = ()
    changed: tuple[tuple[SchemaField, SchemaField], ...] = ()
    refused: tuple[tuple[SchemaField, SchemaField], ...] = ()


class SchemaFault(msgspec.Struct, frozen=True):
    """Why a text is no schema.

    Args:
        reason: `syntax` (the compiler says what), `truncated`, `empty`, `too-large`,
            `unsupported` (another language than proto2) or `incomplete` (what every schema of this
            dialect has is missing).
        detail: the compiler's words or the name that is missing; safe to show.
        line, column: from 1, in the cleaned text; 0 = nowhere.
        excerpt: what stands there, at most 80 characters.
    """

    reason: str
    detail: str = ""
    line: int = 0
    column: int = 0
    excerpt: str = ""


class SchemaSide(msgspec.Struct, frozen=True):
    """How a dialect deals with schemas. All of it is pure.

    Args:
        built_in: the compiled schema that lines use when none was imported.
        file_of: `(options) → the file that a line names`, "" = none.
        clean: `(text as it was pasted) → text to compile`, or what is wrong with it.
        explain: `(what the compiler wrote, cleaned text) → faults`, the first one first.
        check: `(compiled) → faults`; empty = lines can use it.
        compare: `(compiled before, compiled after) → differences`.
    """

    built_in: Callable[[], bytes]
    file_of: Callable[[Any], str]
    clean: Callable[[str], str | SchemaFault]
    explain: Callable[[str, str], Sequence[SchemaFault]]
    check: Callable[[bytes], Sequence[SchemaFault]]
    compare: Callable[[bytes, bytes], SchemaChanges]
