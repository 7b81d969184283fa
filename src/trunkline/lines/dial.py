"""Outgoing links: connect, TLS, the upgrade request and its answer.

No redirects are followed, no proxy variables are read, no compression is offered. Every failure is
a `LinkError` with a sentence for the person who reads the log; what is wrong with our own
configuration is a `ConfigError`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Callable, Mapping
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

import msgspec

from trunkline.dialects.contract import Dial, Head, LinkInfo
from trunkline.errors import ConfigError, LinkError, LinkRefused, LinkTimeout

from .caller import is_loopback
from .contract import LinkLimits, LinkUser
from .link import WebSocketLink
from .reader import accept_key
from .sweep import Commons

_MAX_HEAD_BYTES: Final = 16_384
_MAX_BODY_BYTES: Final = 1024  # of a refusal, for its sentence
_SCHEMES: Final = {"ws": False, "http": False, "wss": True, "https": True}
# Ours, whatever a line's `headers` say.
_OWN_HEADERS: Final = frozenset({
    "connection", "content-length", "sec-websocket-extensions", "sec-websocket-key",
    "sec-websocket-protocol", "sec-websocket-version", "transfer-encoding", "upgrade",
})  # fmt: skip


class Trust(msgspec.Struct, frozen=True):
    """Whom to believe behind `wss://`. Chain and host name are always checked.

    Args:
        ca_file: PEM file with the only roots that count; "" = the system's.
        pin_sha256: SHA-256 of the server's own certificate, hexadecimal; then the chain may be
            private and the name another one, because no other certificate passes.
        is_insecure: check nothing; for loopback only.
    """

    ca_file: str = ""
    pin_sha256: str = ""
    is_insecure: bool = False


async def dial(
    target: Dial,
    make_user: Callable[[WebSocketLink], LinkUser],
    commons: Commons,
    *,
    trust: Trust,
    limits: LinkLimits,
    is_binary: bool = False,
    on_gone: Callable[[], None] | None = None,
) -> WebSocketLink:
    """Open a link.

    Args:
        target: where to, with which headers.
        make_user: called with the open link, before the first message.
        commons: shared by all links.
        trust: for TLS.
        limits: times and bounds.
        is_binary: the opcode of what we send.
        on_gone: called once when the TCP connection of the link is gone, after its `closed`.

    Raises:
        LinkRefused: the answer has another status than 101.
        LinkTimeout: no connection or no answer in time.
        LinkError: everything else that can happen on the way.
        ConfigError: the URL, a header or the trust cannot work.
    """
    url, is_secure = _parse_url(target.url)
    host = url.hostname or ""
    port = url.port or (443 if is_secure else 80)
    request = _Request(url, target)
    context = _make_context(trust, host) if is_secure else None
    loop = asyncio.get_running_loop()

    def open_with(head: Head) -> WebSocketLink:
        return WebSocketLink(
            LinkInfo(head, is_dialled=True, subprotocol=head.headers.get("sec-websocket-protocol")),
            commons,
            limits,
            max_message_bytes=target.max_message_bytes,
            is_binary=is_binary,
            on_gone=on_gone,
        )

    opening = _Opening(request, trust, open_with, make_user)
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(limits.connect_s):
            await loop.create_connection(
                lambda: opening,
                host,
                port,
                ssl=context,
                ssl_handshake_timeout=limits.connect_s if context else None,
            )
    except TimeoutError as error:
        raise LinkTimeout(f"no connection to {where} within {limits.connect_s:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise LinkError(f"the certificate of {where}: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise LinkError(f"TLS with {where}: {error.reason or 'failed'}") from error
    except OSError as error:
        raise LinkError(f"no connection to {where}: {error.strerror or error}") from error
    _reseed_masks()
    try:
        async with asyncio.timeout(limits.handshake_s):
            return await opening.start()
    except TimeoutError as error:
        raise LinkTimeout(f"{where} did not answer within {limits.handshake_s:g} s") from error
    finally:
        await opening.abandon()


def _parse_url(text: str) -> tuple[SplitResult, bool]:
    try:
        url = urlsplit(text)
        is_good = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError as error:
        raise ConfigError([f"url {text!r}: {error}"]) from error
    is_secure = _SCHEMES.get(url.scheme.lower())
    if is_secure is None:
        raise ConfigError([f"url {text!r}: only ws:// and wss:// can be dialled"])
    if not is_good:
        raise ConfigError([f"url {text!r}: the host is missing"])
    return url, is_secure


def _parse_pin(text: str) -> bytes:
    digits = text.replace(":", "").replace(" ", "")
    try:
        pin = bytes.fromhex(digits)
    except ValueError:
        pin = b""
    if len(pin) != hashlib.sha256().digest_size:
        raise ConfigError(["pin_sha256 is not a SHA-256 in hexadecimal"])
    return pin


def _make_context(trust: Trust, host: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"ca_file {trust.ca_file!r}: {error}"]) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.is_insecure and not is_loopback(host):
        raise ConfigError([f"tls_insecure works for loopback only, not for {host!r}"])
    if trust.is_insecure or (trust.pin_sha256 and not trust.ca_file):
        # With a pin the certificate itself is compared, in `_Opening`, before a byte is sent.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if trust.pin_sha256:
        _parse_pin(trust.pin_sha256)
    return context


def _reseed_masks() -> None:
    # picows masks with the C library's `rand`, which nobody seeds; masks must not be foreseeable
    # for whoever chose the text. Source: RFC 6455 5.3
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).srand(secrets.randbits(32))


class _Request:
    """The upgrade request and what its answer must be."""

    def __init__(self, url: SplitResult, target: Dial) -> None:
        self.path = url.path or "/"
        self.subprotocol = target.subprotocol
        self.allowed = (target.subprotocol, *target.lenient_subprotocols)
        key = base64.b64encode(secrets.token_bytes(16))
        self.accept = accept_key(key).decode()
        headers = {
            "Host": url.netloc.rpartition("@")[2],
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
        }
        if target.subprotocol is not None:
            headers["Sec-WebSocket-Protocol"] = target.subprotocol
        for name, value in target.headers.items():
            if name.lower() == "host":
                headers["Host"] = value
            elif name.lower() not in _OWN_HEADERS:
                headers[name] = value
        lines = [f"GET {self.path}{'?' + url.query if url.query else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any(character in line for line in lines for character in "\r\n\0"):
            raise ConfigError(["url or headers hold a line break"])
        # Names that are not ASCII travel as UTF-8. Source: maim 2.2
        self.data = "\r\n".join([*lines, "", ""]).encode()


class _Opening(asyncio.Protocol):
    """Reads the answer to the upgrade request, then hands the transport to the link."""

    def __init__(
        self,
        request: _Request,
        trust: Trust,
        open_with: Callable[[Head], WebSocketLink],
        make_user: Callable[[WebSocketLink], LinkUser],
    ) -> None:
        self._request = request
        self._open_with = open_with
        self._make_user = make_user
        self._pin = _parse_pin(trust.pin_sha256) if trust.pin_sha256 else b""
        self._done: asyncio.Future[WebSocketLink] = asyncio.get_running_loop().create_future()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for `start`: nothing may be sent before the certificate is looked at."""
        # TCP and TLS transports are; uvloop's do not derive from it.
        self._transport = cast("asyncio.Transport", transport)

    async def start(self) -> WebSocketLink:
        """Send the request and return the open link."""
        transport = self._transport
        if transport is None:
            raise LinkError("the connection was lost before the upgrade")
        self._check_pin(transport)
        transport.write(self._request.data)
        return await self._done

    async def abandon(self) -> None:
        """Cut the connection unless a link has it, and see it gone."""
        if self._transport is not None:
            self._transport.abort()
            await self._gone
        if self._done.done() and not self._done.cancelled():
            self._done.exception()  # looked at, so that the loop does not complain

    def data_received(self, data: bytes) -> None:
        """Collect the head of the answer."""
        if self._done.done():
            return
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end > _MAX_HEAD_BYTES or (end < 0 and len(self._data) > _MAX_HEAD_BYTES):
            self._fail(LinkError("the answer to the upgrade has a head of more than 16 KiB"))
        elif end >= 0:
            self._read_answer(bytes(self._data[:end]), bytes(self._data[end + 4 :]))

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer went away before there was a link."""
        self._transport = None
        if not self._gone.done():
            self._gone.set_result(None)
        end = self._data.find(b"\r\n\r\n")
        if end >= 0 and not self._done.done():
            self._read_answer(
                bytes(self._data[:end]), bytes(self._data[end + 4 :]), is_complete=True
            )
        self._fail(LinkError("the connection was lost before the upgrade was answered"))

    def _check_pin(self, transport: asyncio.Transport) -> None:
        if not self._pin:
            return
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        found = hashlib.sha256(certificate or b"").digest()
        if certificate is None or not hmac.compare_digest(found, self._pin):
            raise LinkError("the server's certificate is not the one of pin_sha256")

    def _read_answer(self, head: bytes, rest: bytes, *, is_complete: bool = False) -> None:
        status, headers = _parse_answer(head)
        if status == 0:
            self._fail(LinkError("the answer to the upgrade is not HTTP/1.1"))
        elif status != 101:
            if is_complete or len(rest) >= _body_bytes(headers):
                self._fail(LinkRefused(status, _first_line(rest)))
        elif (wrong := self._check_answer(headers)) is not None:
            self._fail(LinkError(wrong))
        else:
            self._open(headers, rest)

    def _check_answer(self, headers: Mapping[str, str]) -> str | None:
        connection = {part.strip().lower() for part in headers.get("connection", "").split(",")}
        if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in connection:
            return "the answer to the upgrade does not say Upgrade: websocket"
        if headers.get("sec-websocket-accept") != self._request.accept:
            return "the answer to the upgrade has a wrong Sec-WebSocket-Accept"
        if headers.get("sec-websocket-extensions"):
            return "the server chose an extension that was not offered"
        chosen = headers.get("sec-websocket-protocol")
        if chosen is not None and chosen not in self._request.allowed:
            return f"the server chose subprotocol {chosen!r}, which was not offered"
        return None

    def _open(self, headers: dict[str, str], rest: bytes) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        peer: tuple[str, int] = transport.get_extra_info("peername") or ("", 0)
        link = self._open_with(
            Head(
                path=self._request.path,
                headers=headers,
                peer=peer[0],
                is_loopback=is_loopback(peer[0]),
            )
        )
        # Before `open_on`, which may deliver what followed the answer and even end the link again.
        self._done.set_result(link)
        link.open_on(transport, self._make_user, rest=rest)

    def _fail(self, error: LinkError) -> None:
        if not self._done.done():
            self._done.set_exception(error)


def _parse_answer(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers, lower-case names; status 0 when it is not HTTP/1.1."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest.partition(" ")[0]
    if version != "HTTP/1.1" or len(status) != 3 or not status.isdecimal():
        return 0, {}
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status), headers


def _body_bytes(headers: Mapping[str, str]) -> int:
    """Return how much of a refusal's body is worth waiting for."""
    length = headers.get("content-length", "0").lstrip("0") or "0"
    if not length.isdecimal():
        return 0
    # `int` refuses thousands of digits.
    return min(int(length), _MAX_BODY_BYTES) if len(length) < 10 else _MAX_BODY_BYTES


def _first_line(body: bytes) -> str:
    """Return the sentence of a refusal, fit for a log line."""
    text = body[:_MAX_BODY_BYTES].decode("utf-8", "replace").strip()
    line = text.splitlines()[0] if text else ""
    return "".join(character for character in line if character.isprintable())[:200]
