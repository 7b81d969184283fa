"""Bodies of rows: events and deliveries as msgpack. Only the exchange reads inside them."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model.delivery import Say, What
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived, RequestReceived
from trunkline.model.message import Segments
from trunkline.model.segment import Text
from trunkline.store.contract import EventKind

KINDS: Final = {
    MessageReceived: EventKind.MESSAGE,
    NoticeReceived: EventKind.NOTICE,
    RequestReceived: EventKind.REQUEST,
}
_encoder = msgspec.msgpack.Encoder()
_event_decoder = msgspec.msgpack.Decoder(DurableEvent)
_what_decoder = msgspec.msgpack.Decoder(What)

encode_event = _encoder.encode
decode_event = _event_decoder.decode
encode_what = _encoder.encode
decode_what = _what_decoder.decode


def encode_say(segments: tuple[object, ...]) -> bytes:
    """Encode `Say(segments)`."""
    return _encoder.encode(Say(segments))  # type: ignore[arg-type]  # segments come typed from a Reply


def edit_say(body: bytes, text: str) -> bytes:
    """Return a `Say` with other words: they stand where the first ones stood, pictures stay.

    Raises:
        ValueError: the body says nothing, or cannot be read any more.
    """
    what = decode_what(body)
    if not isinstance(what, Say):
        raise ValueError("only words can be edited")  # noqa: TRY004 - the caller's value, not type
    at = next((nth for nth, one in enumerate(what.segments) if type(one) is Text), 0)
    rest: Segments = tuple(one for one in what.segments[at:] if type(one) is not Text)
    segments = (*what.segments[:at], Text(text), *rest)
    return _encoder.encode(msgspec.structs.replace(what, segments=segments))
