"""The HTTP transports: actions that are asked for, events that are posted, signatures.

Pure questions about a request. What is let in goes to a session like any other message: a call to
the implementation's API session, an event to `posted`. Source: onebot11 1.4, 1.5
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha1
from typing import Any, Final
from urllib.parse import parse_qsl

from trunkline.dialects.contract import Head, HttpAnswer, HttpEntry, HttpRequest, HttpSide, Refuse
from trunkline.dialects.onebot11.actions import ACTIONS
from trunkline.dialects.onebot11.calls import encode_failed, split_mode
from trunkline.dialects.onebot11.frames import decode, to_fields
from trunkline.dialects.onebot11.headers import API, admit, paths, self_id_of
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.onebot11.shapes import Response
from trunkline.errors import WireMalformed
from trunkline.wire import jsonwire

POSTED: Final = "posted"
MAX_BODY_BYTES: Final = 16 << 20
_METHODS: Final = ("GET", "POST")
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_MAX_FIELDS: Final = 64


def sign(secret: str, body: bytes) -> str:
    """Return the `X-Signature` of a body, over exactly its bytes. Source: onebot11 1.5"""
    # The standard's own choice: a keyed SHA-1, which is not what SHA-1 was broken for.
    return "sha1=" + hmac.new(secret.encode(), body, sha1).hexdigest()


def http_paths(options: OneBotOptions) -> tuple[str, ...]:
    """Return where requests are taken: `PREFIX/<action>`, or every path that takes events.

    Source: onebot11 1.4, 1.5
    """
    if not options.http:
        return ()
    places = paths(options)
    if not options.is_implementation:
        return places
    return (places[0].rstrip("/") + "/*",)


def admit_request(options: OneBotOptions, method: str, head: Head) -> HttpAnswer | int:
    """Check the credential before the body is read, of a signature only that it is there."""
    limit_bytes = min(options.limit_bytes, MAX_BODY_BYTES)
    if options.is_implementation:
        return _check_token(options, head) or _check_call(method, head) or limit_bytes
    if options.secret is None:
        refused = _check_token(options, head)
    else:
        is_signed = bool(head.headers.get("x-signature"))
        refused = None if is_signed else _fail(401, "the signature is missing")
    if refused is None and not head.headers.get("x-self-id"):
        refused = _fail(400, "X-Self-ID is missing")
    return refused or limit_bytes


def _check_call(method: str, head: Head) -> HttpAnswer | None:
    if method not in _METHODS:
        return _fail(405, "GET or POST", ("Allow", "GET, POST"))
    if split_mode(action_of(head))[0] not in ACTIONS:
        return _fail(404, "there is no such action")
    return None


def _check_token(options: OneBotOptions, head: Head) -> HttpAnswer | None:
    said = admit(options, head)
    if not isinstance(said, Refuse):
        return None
    extra = (("WWW-Authenticate", "Bearer"),) if said.status == 401 else ()
    return _fail(said.status, said.text, *extra)


def action_of(head: Head) -> str:
    """Return the action that a path names. Source: onebot11 1.4"""
    return head.path.rstrip("/").rpartition("/")[2]


def take_request(options: OneBotOptions, request: HttpRequest) -> HttpEntry | HttpAnswer:
    """Read a request that was let in."""
    if options.is_implementation:
        return _take_call(request)
    body, headers = request.body, request.head.headers
    if options.secret is not None:
        expected = sign(options.secret.get_secret_value(), body)
        if not hmac.compare_digest(expected.encode(), headers["x-signature"].encode()):
            return _fail(403, "the signature is wrong")
    try:
        # Read here too, so that every refusal has the same form.
        is_event = type(decode(body, self_id_of(request.head))) is not Response
    except WireMalformed as error:
        return _fail(400, f"the event cannot be read: {error.reason}")
    return HttpEntry(POSTED, body) if is_event else _fail(400, "a response is no event")


def _take_call(request: HttpRequest) -> HttpEntry | HttpAnswer:
    given = {key: value for key, value in request.head.query.items() if key != "access_token"}
    params: Mapping[str, Any] | HttpAnswer = given
    if request.method == "POST" and request.body:
        params = _read_body(request, given)
        if isinstance(params, HttpAnswer):
            return params
    call = {"action": action_of(request.head), "params": params}
    return HttpEntry(API, jsonwire.encode(call))


def _read_body(request: HttpRequest, given: Mapping[str, str]) -> Mapping[str, Any] | HttpAnswer:
    kind = request.head.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == _JSON:
            fields, _ = to_fields(request.body)
        elif kind == _FORM:
            text = request.body.decode("ascii")
            pairs = parse_qsl(
                text, keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS
            )
            fields = dict(pairs)
        else:
            return _fail(406, f"write {_JSON} or {_FORM}")
    except WireMalformed as error:
        return _fail(400, f"the body cannot be read: {error.reason}")
    except ValueError:
        return _fail(400, "the body is no form")
    return {**given, **fields}


def _fail(status: int, why: str, *headers: tuple[str, str]) -> HttpAnswer:
    """Refuse with a status, and the response that says the same. Source: onebot11 8"""
    return HttpAnswer(status, encode_failed(1000 + status, why, None), headers)


HTTP: Final = HttpSide(http_paths, admit_request, take_request)
