"""The protobuf schema of a line: bytes to dynamic messages and back.

A schema is a compiled descriptor set, the built-in one (`schema.binpb`, made from `techwolf.proto`
by `scripts/schema.py`) or one that a person imported. Its messages are dynamic: no generated code,
which would refuse to run on a runtime older than its generator. What a newer platform adds survives
decode and encode, what it leaves out makes a message `incomplete` and no error.

A session takes `load(opening.schema)`; a line names another schema by its key `schema`, in its
options the attribute `schema_file` (pydantic keeps `schema` for itself), and the application reads
it at the start. Every schema has the fields of the built-in one, whatever was imported.

Each has a descriptor pool of its own, because two files with the same message names cannot live in
one. Pure: nothing is read here but the package's own data, once.
Source: boss 2.8, 4, 8
"""

from __future__ import annotations

import functools
import hashlib
import pkgutil
from base64 import b64encode
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from trunkline.errors import WireMalformed

ENVELOPE: Final = "TechwolfChatProtocol"  # Source: boss 4; one PUBLISH payload is one of these
MAX_DEPTH: Final = 32  # Source: reliability 6, "JSON / protobuf depth"
BUILT_IN: Final = "schema.binpb"

# JSON numbers lose digits beyond 2^53, and ids of the mobile apps are above 2^62 (boss 3).
_WIDE: Final = frozenset({
    FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64,
})  # fmt: skip
_REAL: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """One decoded payload.

    Args:
        message: a dynamic `TechwolfChatProtocol`; its fields are attributes, `from` is one of
            them (`getattr(message, "from")`). `Any`, because its class exists at run time only.
    """

    message: Any

    @property
    def incomplete(self) -> bool:
        """Whether a required field is missing somewhere in it.

        Such a message is used for what it has and is never taken for a complete one. The runtime
        walks through everything to know it, which is dearer than decoding: only who needs it asks.
        """
        return not self.message.IsInitialized()


class Schema:
    """One schema in use.

    Args:
        descriptor_set: a serialized `FileDescriptorSet`, as protoc writes it.

    Raises:
        WireMalformed: `bad_schema`, when it is none, or has no `TechwolfChatProtocol`.
    """

    def __init__(self, descriptor_set: bytes) -> None:
        self.descriptor_set = descriptor_set
        self.sha256 = hashlib.sha256(descriptor_set).hexdigest()
        # The pool must live as long as its classes do.
        self._pool = descriptor_pool.DescriptorPool()
        try:
            files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
            for file in files.file:
                _demand_utf8(file)
                self._pool.AddSerializedFile(file.SerializeToString())
            self.envelope: Descriptor = self._pool.FindMessageTypeByName(ENVELOPE)
        except (DecodeError, KeyError, TypeError, ValueError) as error:
            raise WireMalformed("bad_schema", str(error)) from error
        # `Any`: the class is made at run time, a checker cannot know its fields.
        self._class: Any = message_factory.GetMessageClass(self.envelope)
        self._is_bounded = _is_bounded(self.envelope)

    def chat(self, **fields: object) -> Any:
        """A new `TechwolfChatProtocol`; nested messages may be given as dictionaries.

        Raises:
            TypeError, ValueError: a field does not exist or a value does not fit it.
        """
        return self._class(**fields)

    def new(self, name: str, /, **fields: object) -> Any:
        """A new message of another type of this schema, `TechwolfUser` for example.

        Raises:
            KeyError: this schema has no such message.
        """
        kind: Any = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))
        return kind(**fields)

    def decode(self, payload: bytes) -> Decoded:
        """Read one payload; unknown fields are kept, missing ones make it incomplete.

        Raises:
            WireMalformed: `not_protobuf` (damaged, or text that is not UTF-8) or `too_deep`.

        Source: boss 2.8
        """
        try:
            message = self._class.FromString(payload)
        except DecodeError as error:
            raise WireMalformed("not_protobuf", str(error)) from error
        if not self._is_bounded:
            _refuse_depth(message, MAX_DEPTH)
        return Decoded(message)

    def encode(self, message: Message) -> bytes:
        """Write a message, unknown fields included, also when required ones are missing.

        The strict serializer refuses what the platform itself sends (boss 2.8).
        """
        return message.SerializePartialToString()


def to_json(message: Message) -> dict[str, Any]:
    """The fields that are present as plain JSON values, named as in the schema.

    64-bit integers are decimal strings, bytes are base64, enums are their numbers, a number that
    JSON has no form for is text. Fields that the schema does not know are left out.
    Source: boss 3
    """
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        if not field.is_repeated:
            values[field.name] = _to_json_value(field, value)
        elif (of := _map_value(field)) is not None:
            values[field.name] = {str(key): _to_json_value(of, value[key]) for key in value}
        else:
            values[field.name] = [_to_json_value(field, one) for one in value]
    return values


@functools.cache
def built_in() -> Schema:
    """The schema that ships with trunkline."""
    data = pkgutil.get_data(__package__ or "", BUILT_IN)
    if data is None:  # an importer that cannot read data: the wheel is broken
        raise WireMalformed("bad_schema", BUILT_IN)
    return Schema(data)


@functools.lru_cache(maxsize=8)
def load(descriptor_set: bytes) -> Schema:
    """The schema to use: an imported one with whatever of the built-in one it lacks; b"" = that.

    An imported schema may be older than the code that reads it, which must find every field.

    Raises:
        WireMalformed: `bad_schema`, when it is none or the two do not fit together.
    """
    if not descriptor_set:
        return built_in()
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
        ours = descriptor_pb2.FileDescriptorSet.FromString(built_in().descriptor_set)
    except DecodeError as error:
        raise WireMalformed("bad_schema", str(error)) from error
    if len(files.file) != 1:
        raise WireMalformed("bad_schema", f"{len(files.file)} files instead of one")
    _complete(files.file[0], ours.file[0])
    return Schema(files.SerializeToString())


def _complete(
    file: descriptor_pb2.FileDescriptorProto, ours: descriptor_pb2.FileDescriptorProto
) -> None:
    """Add the messages and fields of `ours` that `file` lacks."""
    theirs = {kind.name: kind for kind in file.message_type}
    for kind in ours.message_type:
        if kind.name not in theirs:
            file.message_type.append(kind)
            continue
        numbers = {field.number for field in theirs[kind.name].field}
        for field in kind.field:
            if field.number not in numbers:
                added = theirs[kind.name].field.add()
                added.CopyFrom(field)
                # Nobody sends it any more: its absence makes no message incomplete.
                if added.label == added.LABEL_REQUIRED:
                    added.label = added.LABEL_OPTIONAL


def _map_value(field: FieldDescriptor) -> FieldDescriptor | None:
    """What the values of a map field are; None when it is no map."""
    kind = field.message_type
    is_map = kind is not None and kind.GetOptions().map_entry
    return kind.fields_by_name["value"] if kind is not None and is_map else None


def _to_json_value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.type in _WIDE:
        return str(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b64encode(value).decode()
    if field.type in _REAL and not isfinite(value):
        return str(value)
    return value


def _demand_utf8(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Rewrite a proto2 file as edition 2023 with the same wire form and verified text.

    The runtime hands out a proto2 `string` that is not UTF-8 as `bytes`, so every reader of a text
    field would have to expect both. An edition lets it check while it parses, at no cost.
    """
    if file.syntax not in ("", "proto2"):
        return
    features = descriptor_pb2.FeatureSet
    file.syntax = "editions"
    file.edition = descriptor_pb2.EDITION_2023
    file.options.features.CopyFrom(
        features(
            field_presence=features.EXPLICIT,
            enum_type=features.CLOSED,
            repeated_field_encoding=features.EXPANDED,
            utf8_validation=features.VERIFY,
            message_encoding=features.LENGTH_PREFIXED,
            json_format=features.LEGACY_BEST_EFFORT,
        )
    )
    for field in [*file.extension, *(f for kind in _kinds(file.message_type) for f in kind)]:
        _move_to_features(field)


def _kinds(
    types: Iterable[descriptor_pb2.DescriptorProto],
) -> Iterable[Iterable[descriptor_pb2.FieldDescriptorProto]]:
    for kind in types:
        yield [*kind.field, *kind.extension]
        yield from _kinds(kind.nested_type)


def _move_to_features(field: descriptor_pb2.FieldDescriptorProto) -> None:
    """Say with features what a proto2 field says with its label, type and `packed`."""
    kind, features = descriptor_pb2.FieldDescriptorProto, descriptor_pb2.FeatureSet
    if field.label == kind.LABEL_REQUIRED:
        field.label = kind.LABEL_OPTIONAL
        field.options.features.field_presence = features.LEGACY_REQUIRED
    if field.type == kind.TYPE_GROUP:
        field.type = kind.TYPE_MESSAGE
        field.options.features.message_encoding = features.DELIMITED
    if field.options.HasField("packed"):
        if field.options.packed:
            field.options.features.repeated_field_encoding = features.PACKED
        field.options.ClearField("packed")


def _is_bounded(kind: Descriptor) -> bool:
    """Whether no message of this type can have more than MAX_DEPTH levels."""
    level = {kind}
    for _ in range(MAX_DEPTH):
        level = {f.message_type for one in level for f in one.fields if f.message_type is not None}
        if not level:
            return True
    return False


def _refuse_depth(message: Message, levels_left: int) -> None:
    if levels_left == 0:
        raise WireMalformed("too_deep", f"more than {MAX_DEPTH} levels")
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if not field.is_repeated:
            inner = (value,)
        elif (of := _map_value(field)) is None:
            inner = value
        else:
            inner = [value[key] for key in value] if of.message_type is not None else ()
        for one in inner:
            _refuse_depth(one, levels_left - 1)
