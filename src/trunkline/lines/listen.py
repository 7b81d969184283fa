"""Accepted links: who may come in through which door, and the answer to the upgrade.

The HTTP server reads the request head and calls `Gate.knock`; everything that can be refused is
refused here, before the upgrade, with a status and one sentence. What the gate does not know is the
HTTP server itself (`web/server.py`) and what a door does with a link.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from trunkline.clock import Clock
from trunkline.dialects.contract import Admit, Head, HttpAnswer, LinkInfo, Refuse
from trunkline.errors import ConfigError

from .caller import Caller, identify, is_host_allowed, is_loopback, is_origin_allowed
from .caller import parse_networks as _parse_networks
from .choosing import PATIENCE, Candidate, Patience, Undecided, claimants
from .contract import Door, LinkUser, RequestDoor
from .link import WebSocketLink
from .quota import Quota, QuotaRules
from .reader import accept_key
from .sweep import Commons

_MAX_QUERY_FIELDS: Final = 64
# Two values of one of these are a way to be understood differently by a proxy and by us.
_SINGLE: Final = frozenset({"authorization", "host", "origin"})
_SINGLE_PREFIX: Final = "sec-websocket-"
_JOINED_PREFIX: Final = "x-forwarded-"
# Only about the upgrade itself; no dialect has a use for them, so no link keeps them in memory.
_DROPPED: Final = frozenset({
    "connection", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version",
    "upgrade",
})  # fmt: skip
_GREETING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
)


class Call(msgspec.Struct, frozen=True):
    """An upgrade request as the HTTP server read it.

    Args:
        bind: the key of the listening socket.
        method, target, version: of the request line, as sent.
        headers: lower-case names, in order, repeated ones included.
        peer: the address of the TCP connection, without port.
    """

    bind: str
    method: str
    target: bytes
    version: str
    headers: Sequence[tuple[bytes, bytes]]
    peer: str


class Answer(msgspec.Struct, frozen=True):
    """Why the upgrade does not happen."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


NO_UPGRADE: Final = Answer(426, "this path speaks WebSocket", (("Upgrade", "websocket"),))


class GateRules(msgspec.Struct, frozen=True):
    """What the gate checks besides a door's own rules.

    Args:
        allowed_hosts: `Host` names that may be served besides IP literals and `localhost`.
        trusted_proxies: addresses or networks whose `X-Forwarded-For` or `Forwarded` is believed.
        quota: the bounds of one address.
        patience: with peers of a path that several dialects own.
    """

    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    quota: QuotaRules = QuotaRules()
    patience: Patience = PATIENCE


class Gate:
    """The table (bind, exact path) → doors. Doors come and go at run time.

    A place has one door, or several of different dialects that can tell their peers apart.

    Args:
        commons: shared by all links.
        clock: for the quota.
        rules: what is checked for every door.
        on_refused: told the status of each upgrade that does not happen.
    """

    def __init__(
        self,
        commons: Commons,
        clock: Clock,
        rules: GateRules | None = None,
        on_refused: Callable[[int], None] | None = None,
    ) -> None:
        rules = rules or GateRules()
        self._on_refused = on_refused
        self._commons = commons
        self._doors: dict[tuple[str, str], tuple[Door, ...]] = {}
        self._request_doors: dict[tuple[str, str], RequestDoor] = {}
        self._allowed_hosts = tuple(host.lower() for host in rules.allowed_hosts)
        self._trusted = _parse_networks(rules.trusted_proxies)
        self._quota = Quota(clock, rules.quota)
        self._patience = rules.patience
        self.max_links = rules.quota.max_links

    def add(self, bind: str, path: str, door: Door) -> None:
        """Serve `path` on `bind` from now on.

        Raises:
            ConfigError: another door has this place, and nothing tells their peers apart.
        """
        others = self._doors.get((bind, path), ())
        for other in others:
            if not can_share(other, door):
                raise ConfigError([
                    f"lines {other.line!r} and {door.line!r} both want path {path!r} of {bind}"
                ])  # fmt: skip
        self._doors[bind, path] = (*others, door)

    def remove(self, bind: str, path: str) -> None:
        """Serve `path` no longer; links that came through a door of it stay."""
        self._doors.pop((bind, path), None)

    def find(self, bind: str, target: bytes) -> tuple[Door, ...]:
        """Return the doors of a request target, empty when there is none.

        A Socket.IO client puts a slash behind the path that it was given. Source: maim 10
        """
        path = path_of(target)
        if path is None:
            return ()
        doors = self._doors.get((bind, path), ())
        if not doors and b"EIO=" in target:
            doors = self._doors.get((bind, path.rstrip("/")), ())
        return doors

    def add_requests(self, bind: str, door: RequestDoor) -> None:
        """Take plain HTTP requests for a door on `bind` from now on.

        Raises:
            ConfigError: another door takes them at one of its paths.
        """
        for path in door.request_paths:
            owner = self._request_doors.setdefault((bind, path), door)
            if owner is not door:
                raise ConfigError([
                    f"lines {owner.line!r} and {door.line!r} both want requests to {path!r}"
                ])  # fmt: skip

    def find_request(self, bind: str, target: bytes, method: str) -> RequestDoor | None:
        """Return who takes a request that is no upgrade; None = it is no line's."""
        path = path_of(target)
        if path is None or not self._request_doors:
            return None
        door = self._request_doors.get((bind, path))
        if door is not None or (bind, path) in self._doors:
            return door if method == "POST" else None
        base = path.rstrip("/").rpartition("/")[0]
        return self._request_doors.get((bind, f"{base}/*"))

    def admit_request(self, call: Call) -> Answer | HttpAnswer | tuple[RequestDoor, Head, int]:
        """Decide on a request of `find_request` before its body is read.

        Returns:
            Who takes it, its head and how large its body may be; or why nobody does.
        """
        door = self.find_request(call.bind, call.target, call.method)
        found = self._read(call)
        if isinstance(found, Answer):
            return found
        path, headers = found
        query = _read_query(call.target)
        if door is None or query is None:
            return Answer(404, "nothing is served here")
        caller = identify(call.peer, headers, self._trusted)
        wrong = self._check_asker(door, caller, headers)
        if wrong is not None:
            return wrong
        head = Head(path, query, headers, caller.address, caller.is_loopback)
        said = door.admit_request(call.method, head)
        if isinstance(said, HttpAnswer):
            self.request_refused(head, said)
            return said
        return door, head, said

    def _check_asker(self, door: Door, caller: Caller, headers: dict[str, str]) -> Answer | None:
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            # A page of another site makes its reader's browser ask, with a picture say.
            return Answer(403, "a page of another site asks")
        if not caller.is_loopback and self._quota.is_locked_out(caller.address):
            return Answer(429, "too many failed log-ins", (("Retry-After", "60"),))
        return self._check_caller(door, caller, headers)

    def request_refused(self, head: Head, answer: HttpAnswer) -> None:
        """Count a wrong credential towards the lock-out of its address."""
        if answer.status in (401, 403) and not head.is_loopback:
            self._quota.fail(head.peer)

    def turn_away(self, bind: str, target: bytes) -> Answer:
        """Return what a request without an upgrade is told.

        A dialect may know whose habit that is: a Socket.IO client begins with polling. It sees the
        query alone and only a 400 is passed on, so nobody can try credentials this way.
        """
        query = _read_query(target)
        for door in self.find(bind, target) if query else ():
            said = self._ask(door, Head(path_of(target) or "/", query or {}, is_loopback=True))
            if isinstance(said, Refuse) and said.status == 400:
                return Answer(said.status, said.text)
        return NO_UPGRADE

    @property
    def links(self) -> int:
        """How many accepted links there are."""
        return self._quota.links

    def auth_failed(self, peer: str) -> None:
        """A session refused a credential after the upgrade (`Noticed("auth-failed")`)."""
        if not is_loopback(peer):
            self._quota.fail(peer)

    def identify(self, peer: str, headers: Mapping[str, str]) -> Caller:
        """Return who counts as the caller of a request; for HTTP pages too."""
        return identify(peer, headers, self._trusted)

    def is_host_allowed(self, host: str) -> bool:
        """Whether a `Host` may be served; for HTTP pages too."""
        return is_host_allowed(host, self._allowed_hosts)

    def knock(self, call: Call, transport: asyncio.Transport, rest: bytes = b"") -> Answer | None:
        """Let an upgrade happen, or say why not; see `_knock`."""
        answer = self._knock(call, transport, rest)
        if answer is not None and self._on_refused is not None:
            self._on_refused(answer.status)
        return answer

    def _knock(self, call: Call, transport: asyncio.Transport, rest: bytes) -> Answer | None:
        """Let an upgrade happen, or say why not.

        Args:
            call: the request.
            transport: of the connection; it belongs to the link afterwards.
            rest: what followed the request head in the same segment.

        Returns:
            None when the link is open, else what to answer.
        """
        found = self._read(call)
        if isinstance(found, Answer):
            return found
        path, headers = found
        doors = self.find(call.bind, call.target)
        if not doors:
            return Answer(404, "nothing is served here")
        wrong = _check_upgrade(call, headers)
        if wrong is not None:
            return wrong
        caller = identify(call.peer, headers, self._trusted)
        query = _read_query(call.target)
        if query is None:
            return Answer(400, "the query has too many fields")
        head = Head(
            path=path,
            query=query,
            headers={name: value for name, value in headers.items() if name not in _DROPPED},
            peer=caller.address,
            is_loopback=caller.is_loopback,
        )
        candidates = self._admit(claimants(doors, head), head, caller, headers)
        if isinstance(candidates, Answer):
            return candidates
        self._open(candidates, head, headers, transport, rest)
        return None

    def _read(self, call: Call) -> Answer | tuple[str, dict[str, str]]:
        headers = _read_headers(call.headers)
        if headers is None:
            return Answer(400, "a header that counts is there twice")
        path = path_of(call.target)
        if path is None:
            return Answer(400, "the request target is not a path")
        return path, headers

    def _check_quota(self, doors: Sequence[Door], caller: Caller) -> Answer | None:
        if self._quota.is_full:
            return Answer(503, "too many connections", (("Retry-After", "5"),))
        if caller.is_loopback or (caller.is_proxied and not any(d.is_public for d in doors)):
            return None  # who is refused anyway takes nothing from the bucket of an address
        limits = [door.max_per_address for door in doors]
        why = self._quota.ask(caller.address, max(limits) if all(limits) else 0)
        return Answer(429, why, (("Retry-After", "5"),)) if why else None

    def _check_caller(self, door: Door, caller: Caller, headers: dict[str, str]) -> Answer | None:
        if caller.is_proxied and not door.is_public:
            return Answer(
                403,
                "the request came through a proxy that is not in trusted_proxies of [server]",
            )
        host = headers.get("host", "")
        if not door.is_public and not is_host_allowed(host, self._allowed_hosts):
            return Answer(403, "this Host is not in allowed_hosts of [server]")
        origin = headers.get("origin")
        if origin is not None and not is_origin_allowed(
            origin, door.origins, is_public=door.is_public, is_caller_loopback=caller.is_loopback
        ):
            return Answer(403, "this Origin is not in origins of the line")
        return None

    def _admit(
        self, doors: Sequence[Door], head: Head, caller: Caller, headers: dict[str, str]
    ) -> Answer | list[Candidate]:
        """Return the doors that let this caller in, or why none does: what the first one said."""
        full = self._check_quota(doors, caller)
        if full is not None:
            return full
        candidates: list[Candidate] = []
        answers: list[Answer] = []
        is_credential_wrong = False
        for door in doors:
            wrong = self._check_caller(door, caller, headers)
            if wrong is not None:
                answers.append(wrong)
                continue
            admitted = self._ask(door, head)
            if isinstance(admitted, Admit):
                candidates.append((door, admitted))
            elif admitted is None:
                answers.append(Answer(500, "internal error"))
            else:
                is_credential_wrong = is_credential_wrong or admitted.status in (401, 403)
                extra = (("WWW-Authenticate", "Bearer"),) if admitted.status == 401 else ()
                answers.append(Answer(admitted.status, admitted.text, extra))
        if candidates:
            return candidates
        if is_credential_wrong and not head.is_loopback:
            self._quota.fail(head.peer)
        return answers[0]

    def _open(
        self,
        candidates: list[Candidate],
        head: Head,
        headers: dict[str, str],
        transport: asyncio.Transport,
        rest: bytes,
    ) -> None:
        door, admitted = candidates[0]
        chosen = {_choose(each, headers) for _, each in candidates}
        subprotocol = chosen.pop() if len(chosen) == 1 else None
        counted = None if head.is_loopback else head.peer
        self._quota.enter(counted)
        link = WebSocketLink(
            LinkInfo(head, subprotocol=subprotocol),
            self._commons,
            door.limits,
            max_message_bytes=max(each.max_message_bytes for _, each in candidates),
            is_binary=door.is_binary,
            on_gone=functools.partial(self._quota.leave, counted),
        )
        named = b""
        if subprotocol is not None:
            named = b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode("latin-1")
        greeting = _GREETING % (accept_key(headers["sec-websocket-key"].encode()), named)
        user: Callable[[WebSocketLink], LinkUser] = functools.partial(door.enter, admitted)
        if len(candidates) > 1:
            user = functools.partial(Undecided, candidates=candidates, patience=self._patience)
        link.open_on(transport, user, greeting=greeting, rest=rest)

    def _ask(self, door: Door, head: Head) -> Admit | Refuse | None:
        try:
            return door.admit(head)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, answered 500
            self._commons.on_trouble("admit", error)
            return None


def can_share(one: Door, other: Door) -> bool:
    """Whether two doors may own one place: dialects that know their own peers."""
    return (
        one.dialect_name != other.dialect_name
        and one.recognises is not None
        and other.recognises is not None
    )


def path_of(target: bytes) -> str | None:
    """Return the decoded path of a request target, None when it has none."""
    try:
        text = target.decode("ascii")
        path = text.partition("?")[0] if text.startswith("/") else urlsplit(text).path
    except ValueError:
        return None
    return unquote(path)


def _read_headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """Return the headers as text, None when one that must be single is not.

    Names and values are shared between links: clients of one kind send the same ones.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name = sys.intern(raw_name.decode("latin-1"))
        value = sys.intern(raw_value.decode("latin-1"))
        if name in headers:
            if name in _SINGLE or name.startswith(_SINGLE_PREFIX):
                return None
            if name.startswith(_JOINED_PREFIX) or name == "forwarded":
                value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _check_upgrade(call: Call, headers: Mapping[str, str]) -> Answer | None:
    """Check what RFC 6455 4.2.1 wants of the request."""
    connection = {part.strip().lower() for part in headers.get("connection", "").split(",")}
    if headers.get("upgrade", "").strip().lower() != "websocket" or "upgrade" not in connection:
        return NO_UPGRADE
    if headers.get("sec-websocket-version", "").strip() != "13":
        return Answer(426, "only WebSocket version 13", (("Sec-WebSocket-Version", "13"),))
    if not _is_key(headers.get("sec-websocket-key", "")):
        return Answer(400, "Sec-WebSocket-Key is not 16 bytes of base64")
    has_body = headers.get("content-length", "0").strip("0") or "transfer-encoding" in headers
    if call.method != "GET" or call.version != "1.1" or has_body or not headers.get("host"):
        return Answer(400, "a WebSocket begins with GET, HTTP/1.1, a Host header and no body")
    return None


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.encode(), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _read_query(target: bytes) -> dict[str, str] | None:
    """Return the decoded query, the last value of a repeated name; None when it is none."""
    try:
        query = target.decode("ascii").partition("?")[2]
        if not query:
            return {}
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS))
    except ValueError:
        return None


def _choose(admitted: Admit, headers: Mapping[str, str]) -> str | None:
    """Return the subprotocol to name: one that was not offered would end the client's handshake."""
    offered = headers.get("sec-websocket-protocol", "").split(",")
    if admitted.subprotocol in [part.strip() for part in offered]:
        return admitted.subprotocol
    return None
