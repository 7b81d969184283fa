"""What an implementation hears and answers: calls and their responses.

The echo of a call is kept as the JSON that it came as and goes back byte for byte, so that numbers
beyond 2^53, objects and nulls survive. A call that cannot be read is answered too, and the link
stays. Source: onebot11 7, 8
"""

from __future__ import annotations

from typing import Any, Final, cast, final

import msgspec

from trunkline.dialects.onebot11.frames import FAULTS, check_depth, to_fields
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire


@final  # so that `type(call) is …` narrows
class Call(msgspec.Struct, frozen=True, gc=False):
    """What a framework wants done.

    Args:
        mode: `sync`, `async` or `rate_limited`.
        echo: its JSON, to be returned byte for byte; None = there was none.
    """

    action: str
    mode: str
    params: dict[str, Any]
    echo: bytes | None = None


@final  # so that `type(call) is …` narrows
class BadCall(msgspec.Struct, frozen=True, gc=False):
    """A call that cannot be understood; it is answered all the same. Source: onebot11 7.1"""

    reason: str
    echo: bytes = b"null"


class _CallIn(msgspec.Struct, frozen=True, gc=False):
    action: Any = None
    params: Any = None
    echo: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode_call = msgspec.json.Decoder(_CallIn).decode
_encode = msgspec.json.Encoder().encode


def decode_call(data: bytes) -> Call | BadCall:
    """Decode one frame of a framework. Never raises: a bad call is answered."""
    try:
        check_depth(data)
        try:
            wire = _decode_call(data)
            action: object = wire.action
            params: object = wire.params
            echo = None if wire.echo is msgspec.UNSET else bytes(wire.echo)
        except FAULTS:
            fields, _ = to_fields(data)
            action, params = fields.get("action"), fields.get("params")
            echo = jsonwire.raw_field(data, "echo") if "echo" in fields else None
    except WireMalformed as error:
        return BadCall(error.reason)
    if type(action) is not str or not action:
        return BadCall("no_action", b"null" if echo is None else echo)
    if params is None:
        params = cast("dict[str, Any]", {})
    if type(params) is not dict:
        return BadCall("bad_params", b"null" if echo is None else echo)
    given = cast("dict[str, Any]", params)  # JSON: the keys are text
    return Call(*split_mode(action), given, echo)


def split_mode(action: str) -> tuple[str, str]:
    """Return the action without its suffix, and how it is to be run. Source: onebot11 7.3"""
    for mode in ("async", "rate_limited"):
        name = action.removesuffix(f"_{mode}")
        if name and name != action:
            return name, mode
    return action, "sync"


# -- what is written ---------------------------------------------------------------------------


class _CallOut(msgspec.Struct, frozen=True, gc=False):
    action: str
    params: Any
    echo: str


class _ResponseOut(msgspec.Struct, frozen=True, gc=False):
    status: str
    retcode: int
    data: msgspec.Raw
    message: str | msgspec.UnsetType = msgspec.UNSET
    wording: str | msgspec.UnsetType = msgspec.UNSET
    msg: str | msgspec.UnsetType = msgspec.UNSET
    echo: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def encode_call(action: str, params: object, echo: str) -> bytes:
    """Encode a call; `params` is a struct, a dict or raw JSON."""
    return _encode(_CallOut(action, params, echo))


def encode_done(data: bytes, echo: bytes | None) -> bytes:
    """Encode the answer to a call that was done; `data` and `echo` are JSON."""
    return _encode(_ResponseOut("ok", 0, msgspec.Raw(data), echo=_raw(echo)))


def encode_accepted(echo: bytes | None) -> bytes:
    """Encode the answer to a call that runs in the background. Source: onebot11 7.3"""
    return _encode(_ResponseOut("async", 1, _NULL, echo=_raw(echo)))


def encode_failed(retcode: int, why: str, echo: bytes | None) -> bytes:
    """Encode a failure: frameworks read any of the three texts. Source: onebot11 7.1"""
    return _encode(_ResponseOut("failed", retcode, _NULL, why, why, why, _raw(echo)))


_NULL: Final = msgspec.Raw(b"null")


def _raw(echo: bytes | None) -> msgspec.Raw | msgspec.UnsetType:
    return msgspec.UNSET if echo is None else msgspec.Raw(echo)
