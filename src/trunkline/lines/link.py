"""One open WebSocket on picows, with every RFC 6455 duty that picows leaves to its user.

picows is used as a reader of frames and for masking, nothing else (`reader.py`). The link is the
protocol of the transport; no queue, task or future stands between the socket and the link's user.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import secrets
from collections.abc import Callable
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from trunkline.dialects.contract import LinkInfo
from trunkline.errors import LinkError, LinkLost

from . import framing
from .contract import LinkLimits, LinkUser
from .framing import encode_header
from .pieces import Assembly, Kept
from .reader import Drain, Outlet, bounded_buffer, forget, make_reader, no_buffer
from .sweep import LARGE_BYTES, Commons

_CONTINUATION: Final = WSMsgType.CONTINUATION
_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_PING: Final = WSMsgType.PING
_PONG: Final = WSMsgType.PONG
_CLOSE: Final = WSMsgType.CLOSE

_NEVER_S: Final = float("inf")
_STEP_BYTES: Final = 4096  # what a link holds is reported to the budget in steps
_READ_BYTES: Final = 32_768  # picows' buffer stays below four times as much, or twice a frame
_HEADS: Final = framing.HEADS

_OPEN, _CLOSING, _ENDED = 0, 1, 2

_CLOSE_WAITS: Final = 5  # of `close_wait_s`, for a peer that reads slowly
_ping_numbers = itertools.count(1)


class _Nobody:
    """The user of a link that has none yet, or none any more."""

    def receive(self, data: bytes, *, is_text: bool) -> None:
        """Forget it."""

    def read_done(self) -> None:
        """Do nothing."""

    def closed(self, error: LinkError) -> None:
        """Do nothing."""

    def drained(self) -> None:
        """Do nothing."""


_NOBODY: Final = _Nobody()


class WebSocketLink(WSListener, asyncio.BufferedProtocol):
    """The production `Link`, both roles.

    `open_on` starts it. The class is larger than others and its file too: one object a link is what
    keeps an idle connection small and a message cheap.

    Args:
        info: of the upgrade.
        commons: shared by all links.
        limits: bounds and times.
        max_message_bytes: of one inbound message, counted while reading.
        is_binary: the opcode of what `send` writes.
        on_gone: called once when the TCP connection is gone.
    """

    __slots__ = (
        "_assembly",
        "_close_timer",
        "_commons",
        "_due_s",
        "_end_error",
        "_fault",
        "_heads",
        "_heard",
        "_held_bytes",
        "_is_choked",
        "_is_fed",
        "_is_fresh",
        "_is_held",
        "_is_reading",
        "_is_replaying",
        "_is_told",
        "_kept",
        "_kind",
        "_largest_bytes",
        "_late_pong",
        "_limits",
        "_masker",
        "_max_message_bytes",
        "_on_gone",
        "_opcode",
        "_out",
        "_out_bytes",
        "_parse",
        "_ping",
        "_saw_frame",
        "_stall_bytes",
        "_stall_s",
        "_state",
        "_transport",
        "_unread_bytes",
        "_user",
        "active_s",
        "get_buffer",
        "info",
    )

    def __init__(
        self,
        info: LinkInfo,
        commons: Commons,
        limits: LinkLimits,
        *,
        max_message_bytes: int,
        is_binary: bool = False,
        on_gone: Callable[[], None] | None = None,
    ) -> None:
        self.info = info
        self.active_s = commons.sweep.now_s
        self._commons = commons
        self._limits = limits
        self._max_message_bytes = max_message_bytes
        self.use_opcode(is_binary=is_binary)
        self._on_gone = on_gone
        self._user: LinkUser = _NOBODY
        self._transport: asyncio.Transport | None = None
        self._parse: Callable[[int], None] = forget
        self._masker: WSTransport | None = None
        self._state = _CLOSING  # until `open_on`
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._assembly: Assembly | None = None
        self._fault: tuple[int, str] | None = None
        self._end_error: LinkError | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._kept: Kept | None = None
        self._late_pong: bytes | None = None
        self._is_reading = True
        self._is_held = self._is_choked = self._is_replaying = False
        self._is_fed = self._saw_frame = self._is_fresh = self._is_told = False
        self._ping = b""  # the payload of ours that is not answered yet
        self._heard: Callable[[], None] | None = None
        self._due_s = _NEVER_S
        self._stall_bytes = 0
        self._stall_s = _NEVER_S
        self._largest_bytes = self._unread_bytes = self._held_bytes = 0

    # The loop fetches this attribute once: reads go to picows' buffer without a call of ours.
    get_buffer: Callable[[int], memoryview]  # pyright: ignore[reportIncompatibleMethodOverride]

    # -- life -------------------------------------------------------------------------------

    def open_on(self, transport: asyncio.Transport, user: Callable[[WebSocketLink], LinkUser],
                *, greeting: bytes = b"", rest: bytes = b"") -> None:  # fmt: skip
        """Take over an upgraded transport.

        Args:
            transport: plain or TLS; its protocol becomes the link.
            user: makes the user; it may send at once, which leaves in one write with `greeting`.
            greeting: our answer to the upgrade request, if it is not written yet.
            rest: bytes that followed the upgrade in the same segment.
        """
        self._transport = transport
        limits = self._limits
        transport.set_write_buffer_limits(limits.high_water_bytes, limits.low_water_bytes)
        is_client = self.info.is_dialled
        reader = make_reader(
            self,
            Outlet(self, transport),
            is_client=is_client,
            max_frame_bytes=self._max_message_bytes,
        )
        self._parse = reader.buffer_updated
        self._masker = reader.transport if is_client else None
        self.get_buffer = reader.get_buffer
        transport.set_protocol(self)
        sweep = self._commons.sweep
        sweep.add(self)
        self._due_s = sweep.now_s + limits.heartbeat_interval_s
        if greeting:
            self._queue(greeting)
        self._state = _OPEN
        try:
            self._user = user(self)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("enter", error)
        self.flush()
        if rest:
            self._feed(rest)

    def hand_over(
        self,
        user: Callable[[WebSocketLink], LinkUser],
        *,
        limits: LinkLimits,
        max_message_bytes: int,
        is_binary: bool,
        first_bytes: int,
    ) -> LinkUser:
        """Give the open link another user, under that one's own bounds; returns it.

        Args:
            user: makes it; it may send at once. When that fails the link ends (1011).
            limits, max_message_bytes, is_binary: as in the constructor. A frame within the bounds
                that the link was opened with is still read whole before this bound refuses it.
            first_bytes: size of the message that the new user is given next.
        """
        self._limits = limits
        self._max_message_bytes = max_message_bytes
        self.use_opcode(is_binary=is_binary)
        self._user = _NOBODY
        try:
            self._user = user(self)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("enter", error)
        if first_bytes > max_message_bytes:
            self._fail(1009, "the message is too large")
            return _NOBODY
        return self._user

    def hand_on(self, data: bytes, *, is_text: bool) -> None:
        """Give the new user the message that its predecessor was given; kept while it is held."""
        self._deliver(data, is_text=is_text)

    def _feed(self, data: bytes) -> None:
        # picows' buffer may be smaller than what is left.
        at = 0
        while at < len(data) and self._parse is not forget:
            room = self.get_buffer(0)
            part = data[at : at + len(room)]
            room[: len(part)] = part
            room.release()
            at += len(part)
            self.buffer_updated(len(part))

    @property
    def is_open(self) -> bool:
        """Whether `send` still reaches the wire.

        A transport that has seen the end of the peer, or failed to write, drops what it is given;
        it says so here at once, but tells of its end only in a later turn of the loop.
        """
        transport = self._transport
        return self._state == _OPEN and transport is not None and not transport.is_closing()

    @property
    def buffered_bytes(self) -> int:
        """Bytes accepted by `send` and not yet taken by the kernel."""
        transport = self._transport
        return self._out_bytes + (transport.get_write_buffer_size() if transport else 0)

    # -- reading ----------------------------------------------------------------------------

    def buffer_updated(self, nbytes: int) -> None:
        """Take one read of the socket; the loop calls it."""
        if nbytes > _READ_BYTES:
            self._bound_reads(nbytes)
        self._unread_bytes += nbytes
        self._is_fresh = True
        self._parse(nbytes)
        if self._saw_frame:
            self._saw_frame = False
            self._unread_bytes = 0
        elif self._unread_bytes >= LARGE_BYTES:
            self._report()
        if self._fault is not None:
            self._fail(*self._fault)
        if self._is_fed:
            self._read_done()
        if self._out:
            self.flush()

    def _bound_reads(self, nbytes: int) -> None:
        """Read at most `_READ_BYTES` at once from now on; the buffer counts like a frame.

        picows doubles its buffer whenever a read has filled it, up to all that the kernel holds
        (33 MB where measured), whatever the size of a frame. So a flood of small frames would take
        memory that nobody counts, and a read of ours would go on long after `pause_reading`. A
        link without such a read has no call of ours between the loop and picows' buffer.
        """
        if nbytes > self._largest_bytes:
            self._grow(nbytes)
        self.get_buffer = functools.partial(bounded_buffer, self.get_buffer, _READ_BYTES)
        if self._transport is not None:
            self._transport.set_protocol(self)  # the loop fetches `get_buffer` anew

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one whole frame; picows calls it. The frame's payload is valid only inside."""
        self._saw_frame = True
        kind = frame.msg_type
        if self._state != _OPEN:
            if kind is _CLOSE and self._state == _CLOSING:
                self._on_close(frame.get_payload_as_bytes())
            return
        if (
            (kind is not _TEXT and kind is not _BINARY)
            or not frame.fin
            or self._assembly is not None
            or (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            self._on_other_frame(kind, frame)
            return
        data = frame.get_payload_as_bytes()
        is_text = kind is _TEXT
        if is_text and not data.isascii():
            try:
                str(data, "utf-8")
            except UnicodeDecodeError:
                self._fail(1007, "the text is not UTF-8")
                return
        if len(data) > self._largest_bytes:
            self._grow(len(data))
            if len(data) > self._max_message_bytes:  # only after `hand_over`: picows counts too
                self._fail(1009, "the message is too large")
                return
        if self._is_held:
            self._keep(data, is_text=is_text)
            return
        self._is_fed = True
        try:
            self._user.receive(data, is_text=is_text)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("receive", error)

    def _on_other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(1002, "reserved bits are set")
        elif kind is _PING:
            self._on_ping(frame.get_payload_as_bytes())
        elif kind is _PONG:
            self._on_pong(frame.get_payload_as_bytes())
        elif kind is _CLOSE:
            self._on_close(frame.get_payload_as_bytes())
        else:
            self._on_fragment(kind, frame)

    def _on_fragment(self, kind: WSMsgType, frame: WSFrame) -> None:
        assembly = self._assembly
        if (kind is _CONTINUATION) is (assembly is None):
            self._fail(1002, "a fragment out of place")
            return
        if assembly is None:
            assembly = self._assembly = Assembly(
                is_text=kind is _TEXT, max_message_bytes=self._max_message_bytes
            )
        size = frame.payload_size
        fault = assembly.add(frame.get_payload_as_bytes(), is_final=bool(frame.fin))
        if fault is not None:
            self._fail(*fault)
            return
        if size > self._largest_bytes:
            self._grow(size)
        elif len(assembly.body) >= LARGE_BYTES:
            self._report()
        if frame.fin:
            self._assembly = None
            self._deliver(bytes(assembly.body), is_text=assembly.is_text)

    def _deliver(self, data: bytes, *, is_text: bool) -> None:
        if self._is_held:
            self._keep(data, is_text=is_text)
            return
        self._is_fed = True
        try:
            self._user.receive(data, is_text=is_text)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("receive", error)

    def _read_done(self) -> None:
        self._is_fed = False
        try:
            self._user.read_done()
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("read_done", error)

    def _on_ping(self, payload: bytes) -> None:
        # A peer that pings and does not read: the newest ping's pong is enough (RFC 6455 5.5.3).
        if self._is_choked or self.buffered_bytes > self._limits.high_water_bytes:
            self._late_pong = payload
        else:
            self._queue_control(framing.PONG, payload)

    def _on_pong(self, payload: bytes) -> None:
        if self._ping and payload == self._ping:
            self._ping = b""
            limits = self._limits
            self._due_s += limits.heartbeat_interval_s - limits.heartbeat_timeout_s

    def _on_close(self, payload: bytes) -> None:
        found = framing.decode_close(payload)
        if found is None:
            self._fail(1002, "the close frame breaks a rule")
            return
        code, reason = found
        is_answer = self._state == _CLOSING
        if not is_answer:
            self._queue_control(framing.CLOSE, framing.encode_close(code, ""))
            self.flush()
        self._end(LinkLost(code, reason))
        # The server closes TCP first. Source: RFC 6455 7.1.1
        self._leave(is_first=not self.info.is_dialled)

    # -- asked from outside -----------------------------------------------------------------

    def ping(self, heard: Callable[[], None]) -> None:
        """Ask whether the peer is there; `heard` is called once, when anything comes from it."""
        if self._state != _OPEN:
            return
        if self._is_held:  # we would not see it: it is us who do not read
            heard()
            return
        if self._heard is None:
            # For one read, something stands in front of the parser: other reads pay nothing.
            self._parse = functools.partial(self._listen, self._parse)
        self._heard = heard
        self._queue_control(framing.PING, b"%x" % next(_ping_numbers))
        self.flush()

    def _listen(self, parse: Callable[[int], None], nbytes: int) -> None:
        """Take the first read after `ping`; one that ends the link is no sign of life."""
        self._parse = parse
        heard, self._heard = self._heard, None
        parse(nbytes)
        if heard is not None and self._state == _OPEN and self._fault is None:
            heard()

    # -- holding back -----------------------------------------------------------------------

    def pause(self) -> None:
        """Stop delivering and reading. What the current read still holds is kept."""
        self._is_held = True
        self._update_reading()

    def resume(self) -> None:
        """Deliver what was kept, then read on. May call `receive` before it returns."""
        self._is_held = False
        if self._is_replaying:
            return
        self._is_replaying = True
        try:
            while self._kept is not None and not self._is_held:
                self._replay_one(self._kept)
        finally:
            self._is_replaying = False
        if self._is_fed:
            self._read_done()
        self.flush()
        if self._kept is None and self._end_error is not None:
            asyncio.get_running_loop().call_soon(self._tell)
        self._update_reading()

    def _keep(self, data: bytes, *, is_text: bool) -> None:
        if self._kept is None:
            self._kept = Kept()
        self._kept.put(data, is_text=is_text)
        if len(self._kept) >= LARGE_BYTES:
            self._report()

    def _replay_one(self, kept: Kept) -> None:
        data, is_text = kept.take()
        if not kept.has_more:
            self._kept = None
        self._is_fed = True
        try:
            self._user.receive(data, is_text=is_text)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("receive", error)

    def _update_reading(self) -> None:
        # A link that is closing reads on in any case: the peer's close frame must be seen.
        is_reading = self._state != _OPEN or not (self._is_held or self._is_choked)
        transport = self._transport
        if is_reading is self._is_reading or transport is None or transport.is_closing():
            return
        self._is_reading = is_reading
        if is_reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    # -- writing ----------------------------------------------------------------------------

    def use_opcode(self, *, is_binary: bool) -> None:
        """Say what `send` writes from now on; dialects have one opcode, an echo has the peer's."""
        self._opcode = framing.BINARY if is_binary else framing.TEXT
        self._kind = _BINARY if is_binary else _TEXT
        self._heads = framing.BINARY_HEADS if is_binary else framing.TEXT_HEADS

    def send(self, data: bytes) -> None:
        """Queue one message in the link's opcode; it leaves at `flush`. No-op when closed."""
        if self._state != _OPEN:
            return
        if self._masker is not None:
            if self._fault is None:
                self._masker.send(self._kind, data)  # comes back by `collect`
            else:
                # picows looks one frame ahead: it has found the next one broken and writes nothing
                # more, while the message before it is still being answered.
                mask = secrets.token_bytes(4)
                self._queue(framing.encode_masked(self._opcode, data, mask))
        else:
            size = len(data)
            head = self._heads[size] if size < _HEADS else encode_header(self._opcode, size)
            # Copied once more when several are joined; two entries a message cost more than that.
            frame = head + data
            self._out.append(frame)
            self._out_bytes += len(frame)
        if self._out_bytes > self._limits.high_water_bytes:
            self.flush()

    def collect(self, data: bytes) -> None:
        """Take a frame that picows has masked for `send`; everything else it writes is refused."""
        if self._state == _OPEN and self._fault is None:
            self._queue(data)

    def flush(self) -> None:
        """Write everything queued, in one write."""
        out = self._out
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self._out_bytes = 0
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def _queue(self, data: bytes) -> None:
        self._out.append(data)
        self._out_bytes += len(data)

    def _queue_control(self, first: int, payload: bytes) -> None:
        mask = secrets.token_bytes(4) if self._masker is not None else b""
        self._queue(framing.encode_control(first, payload, mask))

    def pause_writing(self) -> None:
        """The write buffer is above high water: stop reading; the loop calls it."""
        self._is_choked = True
        self._stall_bytes = self.buffered_bytes
        self._stall_s = _NEVER_S
        self._update_reading()
        self._report()

    def resume_writing(self) -> None:
        """The write buffer is below low water; the loop calls it."""
        self._is_choked = False
        if self._state != _OPEN:
            return
        if self._late_pong is not None:
            self._queue_control(framing.PONG, self._late_pong)
            self._late_pong = None
        self._update_reading()
        self._report()
        try:
            self._user.drained()
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): told, closed 1011
            self._trouble("drained", error)
        self.flush()

    # -- once a second ----------------------------------------------------------------------

    def visit(self, now_s: float) -> None:
        """Ping, notice a missing pong or a peer that does not read; the sweep calls it."""
        if self._is_fresh:
            self._is_fresh = False
            self.active_s = now_s
        if self._held_bytes:
            self._report()
        if self._is_choked:
            self._watch_stall(now_s)
        if now_s >= self._due_s and self._state == _OPEN:
            self._beat(now_s)

    def _watch_stall(self, now_s: float) -> None:
        buffered = self.buffered_bytes
        if buffered < self._stall_bytes or self._stall_s == _NEVER_S:
            self._stall_bytes = buffered
            self._stall_s = now_s
        elif now_s - self._stall_s >= self._limits.stall_s:
            self._drop(1013, "the peer does not read")

    def _beat(self, now_s: float) -> None:
        limits = self._limits
        if not self._is_reading:
            # We would not see the pong: it is us who do not read.
            self._due_s = now_s + limits.heartbeat_timeout_s
        elif self._ping:
            self._fail(1011, "no pong")
        else:
            self._ping = b"%x" % next(_ping_numbers)
            self._due_s = now_s + limits.heartbeat_timeout_s
            self._queue_control(framing.PING, self._ping)
            self.flush()

    def evict(self) -> None:
        """Close 1013: the process holds too much, and this link is the idlest large one."""
        # Later in the loop: another link is in the middle of its read or write.
        asyncio.get_running_loop().call_soon(self._drop, 1013, "out of memory")

    def _grow(self, frame_bytes: int) -> None:
        self._largest_bytes = frame_bytes
        if 2 * frame_bytes >= self._held_bytes + _STEP_BYTES:
            self._report()

    def _report(self) -> None:
        if self._state == _ENDED:
            return
        held = 2 * self._largest_bytes + self.buffered_bytes
        if not self._saw_frame:
            held += self._unread_bytes
        if self._assembly is not None:
            held += len(self._assembly.body)
        if self._kept is not None:
            held += len(self._kept)
        if held // _STEP_BYTES != self._held_bytes // _STEP_BYTES:
            self._held_bytes = held
            self._commons.budget.put(self, held)

    # -- the end ----------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Flush, send a close frame, wait for the peer's, then cut. Idempotent.

        It waits 2 s, and up to four times more while something written before is still here.
        Nothing is delivered after it, also not what was kept.
        """
        self._throw_away_kept()
        if self._state != _OPEN:
            return
        self._queue_control(framing.CLOSE, framing.encode_close(code, reason))
        self.flush()
        self._state = _CLOSING
        self._update_reading()
        self._await_close(_CLOSE_WAITS)

    def _await_close(self, waits: int) -> None:
        self._close_timer = asyncio.get_running_loop().call_later(
            self._limits.close_wait_s, self._close_overdue, waits - 1
        )

    def _close_overdue(self, waits: int) -> None:
        # The kernel holds megabytes for a slow peer, so that our own buffer stands still does not
        # mean that nobody reads.
        if waits and self.buffered_bytes:
            self._await_close(waits)
        else:
            self._drop(1006, "the peer did not answer our close frame")

    def abort(self) -> None:
        """Cut at once, without a close frame. `closed` follows from the loop."""
        self._throw_away_kept()
        if self._state == _ENDED:
            return
        self._state = _CLOSING
        self._out.clear()
        self._out_bytes = 0
        if self._transport is not None:
            self._transport.abort()

    def blame(self, code: int, reason: str) -> None:
        """Take a rule that picows found broken; it is acted on when the read is finished."""
        if self._fault is None and self._state == _OPEN:
            self._fault = (code, reason)

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone; the loop calls it."""
        if self._state != _ENDED:
            self._end(LinkLost(1006, "" if exc is None else type(exc).__name__))
        self._gone()

    def eof_received(self) -> bool:
        """The peer ended TCP without a close frame: let the transport close."""
        return False

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection: say why, tell the user, forget what still comes. RFC 6455 7.1.7."""
        if self._state == _ENDED:
            return
        if self._state == _OPEN:
            self._queue_control(framing.CLOSE, framing.encode_close(code, reason))
            self.flush()
        self._end(LinkLost(code, reason))
        self._leave(is_first=False)

    def _drop(self, code: int, reason: str) -> None:
        """End without asking the peer: what is not written is thrown away."""
        if self._state == _ENDED:
            return
        transport = self._transport
        if self._state == _OPEN and transport is not None and not self._is_choked:
            self._fail(code, reason)
            return
        self._end(LinkLost(code, reason))
        self._leave(is_first=False)
        if transport is not None:
            transport.abort()

    def _throw_away_kept(self) -> None:
        self._kept = None
        if self._end_error is not None and not self._is_told:
            asyncio.get_running_loop().call_soon(self._tell)

    def _trouble(self, where: str, error: Exception) -> None:
        self._kept = None  # whoever failed once is told nothing more than the end
        self._commons.on_trouble(where, error)
        self._fail(1011, "internal error")

    def _end(self, error: LinkError) -> None:
        self._state = _ENDED
        self._end_error = error
        self._commons.sweep.discard(self)
        self._commons.budget.discard(self)
        self._parse = forget
        self._heard = None
        self._masker = None
        self._assembly = None
        self._out.clear()
        self._out_bytes = 0
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        if self._kept is None:
            self._tell()

    def _tell(self) -> None:
        if self._is_told or self._end_error is None:
            return
        self._is_told = True
        if self._is_fed:
            self._read_done()
        user, self._user = self._user, _NOBODY
        try:
            user.closed(self._end_error)
        except Exception as error:  # noqa: BLE001 - the driver's edge (style 6): nothing left to close
            self._commons.on_trouble("closed", error)

    def _leave(self, *, is_first: bool) -> None:
        """Part from TCP: close it, or wait for the peer to do so."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        timer = asyncio.get_running_loop().call_later(self._limits.close_wait_s, transport.abort)
        transport.set_protocol(Drain(timer, self._gone))
        if not self._is_reading:
            self._is_reading = True
            transport.resume_reading()
        if is_first:
            transport.close()
        elif transport.can_write_eof():
            transport.write_eof()

    def _gone(self) -> None:
        self._transport = None
        self.get_buffer = no_buffer
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            on_gone()
