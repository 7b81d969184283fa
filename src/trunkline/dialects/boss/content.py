"""Bodies of every kind, as a played gateway writes them: templates made of the schema itself.

Two styles: *explicit* writes every scalar, as the gateway does, *lean* only what a message cannot
do without. Source: boss 5.3, 10.8
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from trunkline.dialects.boss.http import Fields
from trunkline.dialects.boss.schema import Schema

# Body type → the member that it selects. Source: boss 5.3
MEMBERS: Final = {
    1: "text", 2: "sound", 3: "image", 4: "action", 5: "articles", 6: "notify", 7: "dialog",
    8: "jobDesc", 9: "resume", 10: "redEnvelope", 11: "orderDetail", 12: "hyperLink", 13: "video",
    14: "interview", 15: "articles", 16: "articles", 17: "text", 18: "jobShare",
    19: "resumeShare", 20: "sticker", 22: "chatShare", 23: "interviewShare", 24: "listCard",
    25: "starRate", 26: "frame", 27: "multiImage", 28: "comDesc", 29: "userCard",
}  # fmt: skip
UNKNOWN_KIND: Final = 21  # Source: boss 5.3
MAX_DEPTH: Final = 4
_SCALARS: Final[dict[int, Any]] = {
    FieldDescriptor.CPPTYPE_STRING: "文字", FieldDescriptor.CPPTYPE_INT32: 1,
    FieldDescriptor.CPPTYPE_INT64: 1, FieldDescriptor.CPPTYPE_BOOL: False,
    FieldDescriptor.CPPTYPE_DOUBLE: 0.0,
}  # fmt: skip


def make_body(schema: Schema, kind: int, *, is_lean: bool = False) -> Fields:
    """Return a body of a kind; one that nobody knows has its text only."""
    name = MEMBERS.get(kind, "text")
    body: Fields = {"type": kind, "templateId": 1}
    if not is_lean:
        body |= {"headTitle": "", "style": 0}
    field = schema.new("TechwolfMessageBody").DESCRIPTOR.fields_by_name[name]
    body[name] = _value(field, is_lean=is_lean, depth=0)
    return body


def _value(field: FieldDescriptor, *, is_lean: bool, depth: int) -> Any:
    if field.message_type is None:
        one = _SCALARS.get(field.cpp_type, b"")
        one = b"" if field.type == FieldDescriptor.TYPE_BYTES else one
        if "url" in field.name.lower():
            one = "https://www.example.invalid/x"
    else:
        one = _fields(field.message_type, is_lean=is_lean, depth=depth + 1)
    return [one] if field.is_repeated else one


def _fields(kind: Descriptor, *, is_lean: bool, depth: int) -> Fields:
    wanted = [
        field
        for field in kind.fields
        if field.is_required or (not is_lean and depth < MAX_DEPTH) or field.is_repeated
    ]
    return {
        field.name: _value(field, is_lean=is_lean, depth=depth)
        for field in wanted
        if field.message_type is None or depth < MAX_DEPTH or field.is_required
    }
