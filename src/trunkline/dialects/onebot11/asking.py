"""What a framework asks for, as calls, and what the responses mean for the delivery.

Source: onebot11 7, 8
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.contract import Settled
from trunkline.dialects.onebot11.cq import format_cq
from trunkline.dialects.onebot11.events import KINDS, Context, decode_context, to_number
from trunkline.dialects.onebot11.pending import Pending
from trunkline.dialects.onebot11.segments import to_wire, to_word
from trunkline.dialects.onebot11.shapes import Response
from trunkline.dialects.onebot11.translate import to_segs
from trunkline.model.delivery import Act, Delivery, Outcome, Say

# A send that is answered so may have arrived: implementations say it of messages that did.
UNCLEAR_CODES: Final = frozenset({200, 1200})  # Source: onebot11 8
UNANSWERED_CODE: Final = 1408
MAX_ERROR_CHARS: Final = 200
_CONFIRMED: Final = Outcome.CONFIRMED


class _GroupParams(msgspec.Struct, frozen=True, gc=False):
    group_id: int | str
    message: Any


class _PrivateParams(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    user_id: int | str
    message: Any
    group_id: int | str | None = None


class _SentData(msgspec.Struct, frozen=True, gc=False):
    message_id: int | str | None = None


_decode_sent = msgspec.json.Decoder(_SentData).decode
_decode_params = msgspec.json.Decoder(dict[str, Any]).decode


def say(delivery: Delivery, what: Say, *, as_text: bool) -> tuple[str, object]:
    """Return the call that says something.

    Args:
        as_text: write the message as CQ codes.

    Raises:
        ValueError: why it cannot be said.
    """
    chat = delivery.chat
    if chat.kind not in KINDS:
        raise ValueError(f"OneBot has no {chat.kind!r} chats to send to")
    segs = to_wire(to_segs(what.segments))
    if not segs:
        raise ValueError("nothing in it that could be shown")
    message = format_cq(segs) if as_text else segs
    target = to_number(chat.id)
    if chat.kind == "group":
        return "send_group_msg", _GroupParams(target, message)
    home = decode_context(delivery.context).group_id if delivery.context else ""
    return "send_private_msg", _PrivateParams(target, message, to_number(home) if home else None)


def act(delivery: Delivery, wanted: Act) -> tuple[str, object]:
    """Return the call of an action: any by its name, or the answer to a request.

    `approve` and `reject` answer the request that the delivery's context names.

    Raises:
        ValueError: why it cannot be done.
    """
    try:
        params = _decode_params(wanted.data)
    except msgspec.DecodeError as error:
        raise ValueError(f"the data of {wanted.name!r} is no JSON object") from error
    if wanted.name not in ("approve", "reject"):
        return wanted.name, params
    context = decode_context(delivery.context)
    if not context.flag:
        raise ValueError("there is no request to answer")
    return _answer_request(context, params, is_approved=wanted.name == "approve")


def _answer_request(
    context: Context, params: dict[str, Any], *, is_approved: bool
) -> tuple[str, object]:
    """Return the call that answers a request; its flag goes back unchanged. Source: onebot11 5.4"""
    given = params | {"flag": context.flag, "approve": is_approved}
    if context.request == "friend":
        return "set_friend_add_request", given
    return "set_group_add_request", given | {"sub_type": context.sub_type}


def settle_done(call: Pending, data: bytes | msgspec.Raw) -> Settled:
    """Return what the response to a call that was done says of a delivery. Source: onebot11 8

    Args:
        data: of the response, JSON.
    """
    try:
        ident = _decode_sent(data).message_id
    except msgspec.DecodeError:
        ident = None
    peer_id = str(ident) if type(ident) is int else to_word(ident)
    # By position: half the time of names, once a message.
    return Settled(call.delivery_id, _CONFIRMED, peer_id, "", 0.0, False, bytes(data))  # noqa: FBT003 - fields


def settle(call: Pending, response: Response) -> Settled:
    """Return what a response says of a delivery. Source: onebot11 8"""
    if response.is_ok:
        return settle_done(call, response.data)
    if response.is_async:
        return Settled(call.delivery_id, Outcome.SENT)
    error = (response.error or "")[:MAX_ERROR_CHARS]
    detail = f"retcode {response.retcode}" + (f": {error}" if error else "")
    is_timeout = response.retcode in UNCLEAR_CODES and error.casefold().startswith("timeout")
    is_unclear = is_timeout or response.retcode == UNANSWERED_CODE
    outcome = Outcome.UNCERTAIN if is_unclear else Outcome.REFUSED
    return Settled(call.delivery_id, outcome, detail=detail)
