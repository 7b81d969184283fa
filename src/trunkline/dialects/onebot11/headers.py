"""What is said before the first frame: paths, headers and tokens of an upgrade.

Pure questions about a request head. `claims` and `recognises` tell a OneBot peer from one of
another dialect on a path that both own. Source: onebot11 1, 2, guides 6
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from trunkline.dialects.contract import Admit, Head, Refuse
from trunkline.dialects.onebot11.fields import read_id
from trunkline.dialects.onebot11.frames import to_fields
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.errors import WireMalformed

UNIVERSAL: Final = "universal"
API: Final = "api"
EVENT: Final = "event"
ROLES: Final = (UNIVERSAL, API, EVENT)
USER_AGENT: Final = "OneBot/11 trunkline"  # Source: onebot11 1.3
# What implementations of every tutorial dial by default. `/ws` without its slash may be maim's as
# well: then `claims` and `recognises` tell the peers apart. Source: onebot11 1.6, guides 6
DEFAULT_PATHS: Final = ("/onebot/v11/ws", "/onebot/v11", "/ws", "/onebot")
PREFIX: Final = "/onebot/v11"  # of an implementation that shares the main port
_SCHEMES: Final = ("bearer", "token")
_NO_TOKEN: Final = b"\0"  # no token is this


def paths(options: OneBotOptions) -> tuple[str, ...]:
    """Return the exact paths of a listening line, the main one first.

    A path of the user's is taken as written: `/ws` and `/ws/` may belong to different lines.
    """
    if options.path:
        bases = (options.path, *options.aliases)
        found = [one for base in bases for one in (base, *_parts(base))]
    elif options.is_implementation:
        base = "" if options.bind else PREFIX
        whole = (base, f"{base}/") if base else ("/",)
        found = [*whole, *_parts(base), *options.aliases]
    else:
        found = [one for base in DEFAULT_PATHS for one in (base, f"{base}/", *_parts(base))]
        found += options.aliases
    return tuple(dict.fromkeys(found))


def _parts(base: str) -> tuple[str, ...]:
    stem = base.rstrip("/")
    if stem.rpartition("/")[2] in (API, EVENT):
        return ()
    return tuple(f"{stem}/{part}{slash}" for part in (API, EVENT) for slash in ("", "/"))


def kind_of(options: OneBotOptions, head: Head) -> str:
    """Return what a connection carries: by its path, else by its header. Source: onebot11 1.2, 1.3

    Implementations name it in any case; without it, or with an unknown word, it is universal.
    """
    last = head.path.rstrip("/").rpartition("/")[2]
    if last in (API, EVENT):
        return last
    if options.is_implementation:
        return UNIVERSAL
    role = head.headers.get("x-client-role", "").strip().lower()
    return role if role in ROLES else UNIVERSAL


def self_id_of(head: Head) -> str:
    """Return the account that a head names; "" = none, `*` or nothing that is an id."""
    try:
        return read_id(head.headers.get("x-self-id", ""), [])
    except WireMalformed:
        return ""


def admit(options: OneBotOptions, head: Head) -> Admit | Refuse:
    """Decide on an upgrade: without the token 401, with a wrong one 403. Source: onebot11 2"""
    tokens = options.tokens
    if tokens:
        offer = credential_of(head)
        if not offer:
            return Refuse(401, "the access token is missing")
        # All are compared, so the time does not tell which one was near.
        found = [compare_digest(offer, token.encode()) for token in tokens]
        if not any(found):
            return Refuse(403, "the access token is wrong")
    return Admit(kind_of(options, head), options.limit_bytes)


def credential_of(head: Head) -> bytes:
    """Return the token of a head: a header that has one wins over the query. Source: onebot11 2

    A header of another scheme, or of none, counts as a wrong token.
    """
    header = head.headers.get("authorization", "").strip()
    if header:
        scheme, _, rest = header.partition(" ")
        if scheme.lower() not in _SCHEMES:
            return _NO_TOKEN
        rest = rest.strip()
        if rest:
            return rest.encode("latin-1", "replace")  # the bytes that it had on the wire
    return head.query.get("access_token", "").encode("utf-8", "surrogatepass")


def dial_headers(options: OneBotOptions) -> dict[str, str]:
    """Return the headers of a dial; an implementation says who it is. Source: onebot11 1.3"""
    headers = {name: value.get_secret_value() for name, value in options.headers.items()}
    if options.user_agent or options.is_implementation:
        headers["User-Agent"] = options.user_agent or USER_AGENT
    if options.is_implementation:
        headers["X-Self-ID"] = options.self_id
        role = options.client_role
        # Exactly so: one framework compares the case. Source: onebot11 1.3
        headers["X-Client-Role"] = "API" if role == API else role.capitalize()
    if options.tokens:
        headers["Authorization"] = f"Bearer {options.tokens[0]}"
    return headers


def claims(head: Head) -> bool | None:
    """Whether a head is a OneBot peer's; None = it does not say. Source: guides 6"""
    headers = head.headers
    if "x-self-id" in headers or "x-client-role" in headers:
        return True
    if "platform" in headers:
        return False
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    return False if scheme and not rest and scheme.lower() not in _SCHEMES else None


def recognises(first_frame: bytes) -> bool:
    """Whether a first frame is one of OneBot: an event, a response or a call. Source: onebot11 4"""
    try:
        fields, _ = to_fields(first_frame)
    except WireMalformed:
        return False
    return not fields.keys().isdisjoint(("post_type", "retcode", "action"))
