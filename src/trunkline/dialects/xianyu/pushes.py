"""Sync packages: what a push carries, entry by entry. A broken entry never hides its neighbours.

Source: xianyu 6
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import Any, Final

import msgspec

from trunkline.dialects.xianyu.frames import Fields, Frame, fields_of, items_of, to_int
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire, msgpack

# What base64 does not know and a sender may leave in: line breaks, and all that is not ASCII.
_DROPPED: Final = re.compile(r"[^\x21-\x7e]")
_decoder = msgspec.json.Decoder()


class Package(msgspec.Struct, frozen=True):
    """What a push says besides its route.

    Args:
        entries: in order, undecoded.
        max_pts: the sync position behind the last entry in µs, 0 when there is none.
        asks_for_state: the platform wants `getState` and `ackDiff`. Source: xianyu 4 (3)
    """

    entries: tuple[Any, ...] = ()
    max_pts: int = 0
    asks_for_state: bool = False


def parse_package(frame: Frame) -> Package:
    """Return the sync package of a push or of an answer to `ackDiff`."""
    body = fields_of(frame.body)
    package = fields_of(body.get("syncPushPackage"))
    extra = fields_of(body.get("syncExtraType"))
    return Package(
        tuple(items_of(package.get("data"))),
        max(0, to_int(package.get("maxPts")) or 0),
        to_int(extra.get("type")) in (1, 2),
    )


def fingerprint(entry: Any) -> str:
    """Return what may be told of an entry that nobody can read: its size and a hash."""
    data = str(fields_of(entry).get("data", "")).encode("utf-8", "surrogatepass")
    return f"{len(data)} bytes, sha256 {sha256(data).hexdigest()[:12]}"


def decode_entry(entry: Any) -> Any:
    """Return the value of an entry: JSON, base64 of JSON, or base64 of MessagePack.

    Raises:
        WireMalformed: `no_data` or `decode`.
    """
    data = fields_of(entry).get("data")
    if not isinstance(data, str) or not data.strip():
        raise WireMalformed("no_data")
    text = data.strip()
    if text[0] in "{[":
        try:
            return jsonwire.decode(_decoder, text.encode("utf-8", "replace"))
        except WireMalformed as error:
            raise WireMalformed("decode", error.reason) from error
    raw = decode_base64(text)
    try:
        value = jsonwire.decode(_decoder, raw)
        jsonwire.check_depth(raw.decode("utf-8", "replace"))
    except WireMalformed:
        pass  # it is MessagePack, then: a map of it never parses as JSON
    else:
        return value
    try:
        return msgpack.decode(raw)
    except WireMalformed as error:
        raise WireMalformed("decode", error.reason) from error


def decode_base64(text: str) -> bytes:
    """Decode base64 strictly, after repairing what senders leave out.

    Raises:
        WireMalformed: `decode`.
    """
    clean = _DROPPED.sub("", text).rstrip("=")
    try:
        return base64.b64decode(clean + "=" * (-len(clean) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireMalformed("decode", "not base64") from error


def parse_inner(text: Any) -> Fields:
    """Return the object that a member holds as JSON text, or an empty one."""
    if isinstance(text, dict):
        return fields_of(text)
    if not isinstance(text, str) or not text.strip().startswith("{"):
        return {}
    try:
        return fields_of(jsonwire.decode(_decoder, text.encode("utf-8", "replace")))
    except WireMalformed:
        return {}
