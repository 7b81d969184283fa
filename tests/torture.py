"""Peers that survive the server's death and know for sure what they were promised.

They stand on bare sockets instead of a WebSocket library: when the server is killed a library
gives up at the first failing write and throws away what had already arrived, and a reply lost by
the test would look like one lost by the product. A `Ledger` keeps what each peer knows, flushed
to disk before the peer goes on. Source: reliability 7
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peers import chat, maim_message, maim_text

WINDOW = 4
REPLY = "re:"


class Ledger:
    """What the peers know: asked, acknowledged, answered – appended and fsynced line by line.

    Attributes:
        asked: conversation → words asked, oldest first, repetitions left out.
        acknowledged: words whose receipt came.
        answered: conversation → words whose answer came, as they came, repetitions kept.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.asked: dict[str, list[str]] = {}
        self.acknowledged: list[str] = []
        self.answered: dict[str, list[str]] = {}
        self.on_answer: Callable[[], None] = lambda: None

    def _write(self, *values: str) -> None:
        os.write(self._file, (json.dumps(values) + "\n").encode())
        os.fdatasync(self._file)

    def ask(self, conversation: str, words: str) -> None:
        """Before the first byte of a question leaves."""
        self.asked.setdefault(conversation, []).append(words)

    def acknowledge(self, words: str) -> None:
        """When a receipt has come: from now on the question must not be lost."""
        self._write("acknowledged", words)
        self.acknowledged.append(words)

    def answer(self, conversation: str, words: str) -> None:
        """When an answer has come."""
        self._write("answered", conversation, words)
        self.answered.setdefault(conversation, []).append(words)
        self.on_answer()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Cut(Exception):
    """The link is gone, and everything that had arrived has been read."""


class Link:
    """A WebSocket client on a bare socket, for text frames of any length."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, url: str, headers: dict[str, str]) -> Link:
        """Connect and ask for the upgrade.

        Raises:
            Cut: nobody listens, or the server died on the way.
        """
        parts = urlsplit(url)
        sock = socket.socket()
        sock.setblocking(False)
        link = cls(sock)
        lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            await link._loop.sock_connect(sock, (parts.hostname, parts.port))
            await link._loop.sock_sendall(sock, ("\r\n".join(lines) + "\r\n\r\n").encode())
            while b"\r\n\r\n" not in link._buffer:
                await link._fill()
        except (OSError, Cut) as error:
            link.close()
            raise Cut from error
        head, _, rest = bytes(link._buffer).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            link.close()
            raise Cut(head[:100])
        link._buffer = bytearray(rest)
        return link

    async def _fill(self) -> None:
        try:
            data = await self._loop.sock_recv(self._sock, 65536)
        except OSError as error:
            raise Cut from error
        if not data:
            raise Cut
        self._buffer += data

    async def send(self, frame: dict[str, Any], opcode: int = 1, data: bytes = b"") -> None:
        """Send an object; a dead link is noticed by `receive`, after what had arrived."""
        body = data or json.dumps(frame, ensure_ascii=False).encode()
        size = len(body)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        else:
            assert size < 65536
            head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
        with contextlib.suppress(OSError):
            await self._loop.sock_sendall(self._sock, head + b"\0\0\0\0" + body)

    async def receive(self) -> dict[str, Any]:
        """Return the next object; pings are answered on the way.

        Raises:
            Cut: the link is gone.
        """
        while True:
            opcode, body = await self._frame()
            if opcode == 1:
                return json.loads(body)
            if opcode == 9:
                await self.send({}, 10, body)
            if opcode == 8:
                raise Cut(body)

    async def _frame(self) -> tuple[int, bytes]:
        while True:
            buffer = self._buffer
            if len(buffer) >= 2:
                length, start = buffer[1], 2
                if length >= 126:
                    start = 4 if length == 126 else 10
                    length = int.from_bytes(buffer[2:start], "big")
                if len(buffer) >= start and len(buffer) - start >= length:
                    body = bytes(buffer[start : start + length])
                    opcode = buffer[0] & 15
                    del buffer[: start + length]
                    return opcode, body
            await self._fill()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class Stage:
    """Where the server is, as the peers know it.

    Attributes:
        url: of the present server.
        life: counts the servers, from 1.
        closing: no new questions; peers finish what they have and leave.
    """

    def __init__(self) -> None:
        self.url = ""
        self.life = 0
        self.closing = False
        self._changed = asyncio.Condition()

    async def set(self, url: str, *, closing: bool = False) -> None:
        """Tell the peers of a new server."""
        async with self._changed:
            self.url, self.closing = url, closing
            self.life += 1
            self._changed.notify_all()

    async def wait(self, after: int) -> int:
        """Return the number of a server that is younger than the one that was lost."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.life > after)
            return self.life


class VisitorPeer:
    """A plain visitor: each link is a new conversation; what was not acknowledged is asked anew."""

    def __init__(self, number: int, stage: Stage, ledger: Ledger) -> None:
        self.name = f"c{number}"
        self.stage = stage
        self.ledger = ledger
        self.again = 0  # questions of the lost link without a receipt

    async def run(self) -> None:
        """Talk until the stage closes and everything asked on the last link is answered."""
        life = 0
        while True:
            life = await self.stage.wait(life)
            if self.stage.closing and not self.again:
                return
            with contextlib.suppress(Cut):
                link = await Link.open(f"{self.stage.url}/contact", {})
                try:
                    await self._talk(link, life)
                    return
                finally:
                    link.close()

    async def _talk(self, link: Link, life: int) -> None:
        conversation = (await link.receive())["client_id"]
        due, self.again = self.again, 0
        asked = acknowledged = answered = 0
        try:
            while True:
                while asked - answered < WINDOW and (asked < due or not self.stage.closing):
                    words = f"{self.name}.{life}.{asked}"
                    self.ledger.ask(conversation, words)
                    await link.send(chat(words, client_message_id=words))
                    asked += 1
                if answered == asked:
                    return
                frame = await link.receive()
                if frame["type"] == "chat_message_received":
                    assert frame["client_message_id"] == f"{self.name}.{life}.{acknowledged}"
                    acknowledged += 1
                    self.ledger.acknowledge(frame["client_message_id"])
                elif frame["type"] == "chat_message":
                    self.ledger.answer(conversation, frame["message"].removeprefix(REPLY))
                    answered += 1
                else:
                    raise AssertionError(f"not expected: {frame}")
        finally:
            self.again = asked - acknowledged


class AdapterPeer:
    """A maim adapter with two chats: what was not answered is sent again after a reconnect.

    The second copy has the same id and time, so the core must take it for the first. At the end a
    last question is asked in each chat: its answer proves that no earlier one is still to come.
    """

    def __init__(self, number: int, stage: Stage, ledger: Ledger) -> None:
        self.platform = f"p{number}"
        self.stage = stage
        self.ledger = ledger
        self.next = {"user": 0, "group": 0}
        self.open: dict[str, dict[str, Any]] = {}  # words → frame, unanswered, oldest first
        self.last: set[str] = set()

    async def run(self) -> None:
        """Talk until the stage closes and the last question of each chat is answered."""
        life = 0
        while True:
            life = await self.stage.wait(life)
            with contextlib.suppress(Cut):
                link = await Link.open(f"{self.stage.url}/ws", {"platform": self.platform})
                try:
                    await self._talk(link)
                    return
                finally:
                    link.close()

    async def _talk(self, link: Link) -> None:
        for frame in list(self.open.values()):
            await link.send(frame)
        fresh: set[str] = set()
        while True:
            if self.stage.closing and not self.last:
                self.last = {await self._ask(link, kind) for kind in self.next}
            while not self.stage.closing and len(fresh) < WINDOW:
                for kind in self.next:
                    fresh.add(await self._ask(link, kind))
            if self.last and not self.last & self.open.keys():
                return
            frame = await link.receive()
            words = maim_text(frame).removeprefix(REPLY)
            info = frame["message_info"]
            assert info["platform"] == self.platform
            kind = "group" if info.get("group_info") else "user"
            assert words.startswith(f"{self.platform}.{kind}."), f"not mine: {words}"
            self.ledger.answer(f"{self.platform}.{kind}", words)
            self.open.pop(words, None)
            fresh.discard(words)

    async def _ask(self, link: Link, kind: str) -> str:
        number = self.next[kind]
        self.next[kind] += 1
        words = f"{self.platform}.{kind}.{number}"
        self.ledger.ask(f"{self.platform}.{kind}", words)
        self.open[words] = maim_message(
            words, platform=self.platform, ident=words, user="u",
            group="g" if kind == "group" else "", time=1764000000 + number / 8,
        )  # fmt: skip
        await link.send(self.open[words])
        return words
