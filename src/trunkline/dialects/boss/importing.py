"""A schema that a person copied from the browser console: cleaned, checked and compared.

The console prints `window.__PROTO_FILE_VAR__` in many ways: as it is, in quotes, as a JSON string,
with escapes, shortened by an ellipsis. `clean` makes text for a compiler of it, `explain` says in
which line that found what, `check` and `compare` say whether lines can use the result.

Bytes that one schema wrote must be read the same by another, so a number never gets another name
or type. What is gone is only reported: `schema.load` keeps the built-in fields beside it.
Source: boss 8
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from trunkline.dialects.boss.schema import ENVELOPE, built_in, load
from trunkline.dialects.schemas import SchemaChanges, SchemaFault, SchemaField, SchemaSide
from trunkline.errors import WireMalformed

SYNTAX: Final = 'syntax = "proto2"; '
MAX_CHARS: Final = 1 << 20  # the site's is about 10,000. Source: boss 8
MAX_FAULTS: Final = 20
EXCERPT_CHARS: Final = 80
# What a chat cannot do without. Source: boss 8, requirement 4
NEEDED: Final = {ENVELOPE: (1, 3, 7, 8), "TechwolfMessage": (1, 2, 3, 4, 5, 6, 11)}

_QUOTES: Final = "\"'`"
# Literals and comments of protobuf; what is left over is the text's own.
_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|/\*.*?\*/', re.DOTALL)
_QUIET = re.compile(rf"{_LITERAL.pattern}|//[^\n]*", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN: Final = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " ", "v": " ", "0": ""}
_SAID = re.compile(r"^[^\n:]+:(\d+):(\d+): (.*)$", re.MULTILINE)

# What is shown of a line. Somebody may have pasted cookies: what neither the language nor the
# built-in schema knows is hidden, and so is every number that is too long for a field's.
_WORD = re.compile(r"[^\s{}=;,()\[\]<>\"'`:…]+")
_LANGUAGE: Final = frozenset({
    "bool", "bytes", "default", "double", "enum", "extend", "extensions", "false", "fixed32",
    "fixed64", "float", "group", "import", "int32", "int64", "map", "max", "message", "oneof",
    "option", "optional", "package", "packed", "proto2", "public", "repeated", "required",
    "reserved", "sfixed32", "sfixed64", "sint32", "sint64", "string", "syntax", "true", "uint32",
    "uint64",
})  # fmt: skip
HIDDEN: Final = "•••"
_MAX_NUMBER_DIGITS: Final = 3
_SHORT_CHARS: Final = 2  # a secret has more
_TOO_DEEP: Final = "recursion limit"  # the compiler's words

_decode_text = msgspec.json.Decoder(str).decode


def clean(text: str) -> str | SchemaFault:
    """The text that a compiler takes, with the syntax line in front of its first line.

    Line numbers stay those of the text without its quotes and escapes.
    """
    if len(text) > MAX_CHARS:
        return SchemaFault("too-large", f"{len(text)} > {MAX_CHARS}")
    text = text.removeprefix("\ufeff").strip().removeprefix("\ufeff").strip()
    # Escapes may name halves of a character; what stays alone is no text.
    text = _unquoted(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not text.strip():
        return SchemaFault("empty")
    rest = _QUIET.sub(lambda found: " " * len(found[0]), text)
    if re.match(r"\s*(?:syntax|edition)\s*=", rest):
        return text
    return SYNTAX + text


def _unquoted(text: str) -> str:
    """Take off the quotes that a console puts around a text, and its escapes."""
    quote = text[:1] if text[:1] in _QUOTES else ""
    if quote == '"' and text.endswith('"'):
        try:
            return _decode_text(text).strip()
        except msgspec.DecodeError:
            pass  # a console's own form: line breaks or \x41 in it
    if quote:
        # Without its end: a shortened copy has none, and the compiler shall look at what is there.
        text = text[1:].rstrip().removesuffix(";").removesuffix(quote)
    # A backslash outside of literals is nothing that a schema has: the whole text is escaped. On
    # one line it may stand behind the `//` of a comment whose end is such an escape itself.
    quiet = _QUIET if "\n" in text else _LITERAL
    if quote or "\\" in quiet.sub("", text):
        text = _ESCAPE.sub(_unescaped, text)
    return text.strip()


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    if code:
        return chr(int(code, 16))
    return _PLAIN.get(found[3], found[3])


def explain(said: str, source: str) -> Sequence[SchemaFault]:
    """What the compiler found, or that the text was cut where it could not know it.

    Excerpts hide every word that no schema is known to have, see `_masked`.

    Args:
        said: its error output, lines like `schema.proto:3:12: Expected ";".`.
        source: what it was given.
    """
    before = len(SYNTAX) if source.startswith(SYNTAX) else 0
    # Tabs are eight columns to the compiler.
    lines = source[before:].expandtabs().splitlines() or [""]
    found: list[SchemaFault] = []
    is_cut = False
    for number, place, detail in _SAID.findall(said)[:MAX_FAULTS]:
        line = int(number)
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        # It counts bytes, people count characters.
        byte = max(0, int(place) - 1 - (before if line == 1 else 0))
        is_past = byte >= len(text.encode())
        column = 1 + len(text.encode()[:byte].decode(errors="ignore"))
        start = max(0, column - 1 - EXCERPT_CHARS // 2)
        excerpt = _masked(text, start, start + EXCERPT_CHARS)
        found.append(SchemaFault("syntax", detail.removesuffix("."), line, column, excerpt))
        # It wanted more where the text ends.
        is_cut = is_cut or (line == len(lines) and is_past)
    if too_deep := [fault for fault in found if _TOO_DEEP in fault.detail]:
        return too_deep[:1]  # it read no further: that something is missing behind is no news
    first, *rest = found or [SchemaFault("syntax", said.strip()[:200])]
    # Comments may have three dots of their own, an ellipsis is a console's. Source: boss 8 (3)
    if is_cut or "…" in source or "..." in _QUIET.sub("", source):
        # What else it found there comes from the cut.
        return [msgspec.structs.replace(first, reason="truncated")]
    return [first, *rest]


def _masked(line: str, start: int, end: int) -> str:
    """Return a part of a line without what may be a secret.

    Whole words are looked at: a part of a long one could be known by chance.
    """
    shown: list[str] = []
    at = start
    for word in _WORD.finditer(line):
        if word.end() <= start or word.start() >= end:
            continue
        shown.append(line[at : max(at, word.start())])
        known = word[0] in _LANGUAGE or word[0] in _known_names()
        is_number = word[0].isdecimal() and len(word[0]) <= _MAX_NUMBER_DIGITS
        is_short = len(word[0]) <= _SHORT_CHARS
        shown.append(word[0] if known or is_number or is_short else HIDDEN)
        at = word.end()
    shown.append(line[at:end])
    return "".join(shown).strip()[:EXCERPT_CHARS]


@functools.cache
def _known_names() -> frozenset[str]:
    fields = dict(_fields_by_message(built_in().descriptor_set))
    names = {name for message in fields for name in message.split(".")}
    return frozenset(names | {one.name for many in fields.values() for one in many.values()})


def check(descriptor_set: bytes) -> Sequence[SchemaFault]:
    """What keeps lines from using this schema: nothing, when it is empty."""
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
    except DecodeError as error:
        return [SchemaFault("incomplete", str(error))]
    if other := [
        file.syntax or file.edition for file in files if file.syntax not in ("", "proto2")
    ]:
        return [SchemaFault("unsupported", f"{other[0]}")]
    messages = dict(_fields_by_message(descriptor_set))
    if ENVELOPE not in messages:
        return [SchemaFault("incomplete", ENVELOPE)]
    wanted = dict(_fields_by_message(built_in().descriptor_set))
    missing = [
        SchemaFault("incomplete", f"{message}.{wanted[message][number].name} = {number}")
        for message, numbers in NEEDED.items()
        for number in numbers
        if number not in messages.get(message, {})
    ]
    if missing or compare(built_in().descriptor_set, descriptor_set).refused:
        return missing
    try:
        load(descriptor_set)
    except WireMalformed as error:
        return [SchemaFault("incomplete", error.detail[:200])]
    return []


def compare(before: bytes, after: bytes) -> SchemaChanges:
    """What is new, gone and changed, field by field, of all messages, nested ones too."""
    old, new = dict(_fields_by_message(before)), dict(_fields_by_message(after))
    added: list[SchemaField] = []
    gone: list[SchemaField] = []
    changed: list[tuple[SchemaField, SchemaField]] = []
    for message in sorted(old.keys() | new.keys()):
        mine, theirs = old.get(message, {}), new.get(message, {})
        pairs = _pairs(mine, theirs)
        changed += pairs
        known = {one for pair in pairs for one in pair} | (
            set(mine.values()) & set(theirs.values())
        )
        gone += [one for one in mine.values() if one not in known]
        added += [one for one in theirs.values() if one not in known]
    refused = tuple(pair for pair in changed if _is_other(*pair))
    return SchemaChanges(tuple(sorted(added)), tuple(sorted(gone)), tuple(changed), refused)


def _pairs(
    mine: dict[int, SchemaField], theirs: dict[int, SchemaField]
) -> list[tuple[SchemaField, SchemaField]]:
    """Fields of one number or one name that are not the same in both."""
    by_name = {one.name: one for one in theirs.values()}
    found: dict[tuple[SchemaField, SchemaField], None] = {}
    for number, one in sorted(mine.items()):
        for other in (theirs.get(number), by_name.get(one.name)):
            if other is not None and other != one:
                found[one, other] = None
    return list(found)


def _is_other(before: SchemaField, after: SchemaField) -> bool:
    """Whether bytes are read differently. Required or not is no difference to them."""
    return (before.number, before.name, _shape(before)) != (after.number, after.name, _shape(after))


def _shape(field: SchemaField) -> str:
    return field.type.removeprefix("required ").removeprefix("optional ")


def _fields_by_message(descriptor_set: bytes) -> Iterator[tuple[str, dict[int, SchemaField]]]:
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
    for file in files:
        yield from _fields_of(file.message_type, file.package)


def _fields_of(kinds: Any, above: str) -> Iterator[tuple[str, dict[int, SchemaField]]]:
    for kind in kinds:
        name = f"{above}.{kind.name}" if above else kind.name
        yield (
            name,
            {
                one.number: SchemaField(name, one.number, one.name, _type_of(one))
                for one in kind.field
            },
        )
        yield from _fields_of(kind.nested_type, name)


def _type_of(field: descriptor_pb2.FieldDescriptorProto) -> str:
    kind = descriptor_pb2.FieldDescriptorProto
    label = kind.Label.Name(field.label).removeprefix("LABEL_").lower()
    plain = kind.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"{label} {field.type_name.removeprefix('.') or plain}"


def _file_of(options: Any) -> str:
    return options.schema_file


SCHEMA: Final = SchemaSide(
    built_in=lambda: built_in().descriptor_set,
    file_of=_file_of,
    clean=clean,
    explain=explain,
    check=check,
    compare=compare,
)
