"""The first frame of an implementation: the connect event, or what is taken for it.

Source: onebot11 3.1
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from trunkline.dialects.onebot11.frames import decode
from trunkline.dialects.onebot11.shapes import CONNECT, EventFrame, MessageFrame, Response
from trunkline.errors import WireMalformed

EXPECTED: Final = "expected lifecycle connect"
_JSON_REASONS: Final = frozenset({"not_json", "not_object", "bad_utf8", "too_deep"})


@final  # so that `type(greeting) is Faulty` narrows
class Faulty(msgspec.Struct, frozen=True, gc=False):
    """A first frame that does not open the link.

    Args:
        code: to close with.
        text: of that close.
        reason: a word of `REJECTIONS`.
    """

    code: int
    text: str
    reason: str


def read_greeting(
    data: bytes, mode: str, account: str
) -> MessageFrame | EventFrame | Response | Faulty:
    """Read the first frame; an event that is returned names the account.

    Args:
        mode: `strict`, `lenient` or `off`, which also takes a response.
        account: that the head named, "" = none.
    """
    try:
        frame = decode(data)
    except WireMalformed as error:
        if error.reason in _JSON_REASONS:
            return Faulty(1007, "invalid JSON", error.reason)
        return Faulty(1008, EXPECTED, error.reason)
    if type(frame) is Response:
        return frame if mode == "off" else Faulty(1008, EXPECTED, "no_post_type")
    if frame.self_id == "0" or (mode == "strict" and frame.name != CONNECT):
        return Faulty(1008, EXPECTED, "no_connect")
    if account and frame.self_id != account:
        return Faulty(1008, "self_id mismatch", "self_id_mismatch")
    return frame
