"""Bodies of rows: events and deliveries as msgpack. Only the exchange reads inside them."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model.delivery import Say, What
from trunkline.model.event import DurableEvent, MessageReceived, NoticeReceived, RequestReceived
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
