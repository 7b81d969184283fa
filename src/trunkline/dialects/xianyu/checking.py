"""What the marketplace checks in a message that an account sends. Source: xianyu 8, 20"""

from __future__ import annotations

from typing import Any

from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.frames import Fields, fields_of, items_of, to_int
from trunkline.dialects.xianyu.market import Seller, Talk
from trunkline.dialects.xianyu.pushes import decode_base64, parse_inner
from trunkline.errors import WireMalformed


def broken_rule(seller: Seller, message: Fields, receivers: Any, talk: Talk | None) -> str:
    """Return the rule that a message breaks, "" for none.

    Args:
        receivers: what stands beside the message.
        talk: the chat that it names, None when there is none.
    """
    if talk is None:
        return "chat"
    sides = {frames.suffixed(talk.buyer), frames.suffixed(seller.ident)}
    if set(items_of(receivers)) != sides:
        return "receivers"
    uuid = message.get("uuid")
    if not isinstance(uuid, str) or uuid in seller.uuids:
        return "uuid"
    custom = fields_of(fields_of(message.get("content")).get("custom"))
    try:
        inner = parse_inner(decode_base64(str(custom.get("data", ""))).decode())
    except (WireMalformed, UnicodeDecodeError):
        return "payload"
    return "" if to_int(inner.get("contentType")) in (1, 2) else "payload"
