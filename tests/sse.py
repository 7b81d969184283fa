"""A viewer of `/api/v1/events` as a browser is one: it reads, and comes back where it was.

In a thread of its own, with `Last-Event-ID` of what it saw last. It waits for the server as long
as that is away.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

WAIT_S = 20.0
RETRY_S = 0.05


class Event(NamedTuple):
    """One event: its name, its data, the position it stands at ("" = passing)."""

    name: str
    data: Any
    seq: str


class Listener:
    """One viewer. Use as a context manager.

    Args:
        port: of the server, the same after its restart.
        query: of the first and every further call.
    """

    def __init__(self, port: int, token: str, query: str = "") -> None:
        self._port = port
        self._token = token
        self._query = query
        self._queue: queue.Queue[Event] = queue.Queue()
        self._is_done = threading.Event()
        self._is_open = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.last = ""
        self.opened = 0
        self.events: list[Event] = []

    def __enter__(self) -> Listener:
        self._thread.start()
        self.wait_open()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self.cut()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def wait_open(self) -> None:
        """Return once the stream is open (again)."""
        assert self._is_open.wait(WAIT_S), "the stream did not open"

    def cut(self) -> None:
        """Cut the connection under it; it comes back by itself."""
        self._is_open.clear()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(2)

    def until(self, kind: str, /, **facts: Any) -> Event:
        """Return the next event of a kind whose data has these facts."""
        while True:
            try:
                event = self._queue.get(timeout=WAIT_S)
            except queue.Empty:
                raise AssertionError(f"no {kind} {facts}; seen: {self.events[-5:]}") from None
            if event.name == kind and facts.items() <= event.data.items():
                return event

    def _run(self) -> None:
        while not self._is_done.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._read()
            self._is_open.clear()
            self._is_done.wait(RETRY_S)

    def _read(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        self._connection = connection
        headers = {"Authorization": f"Bearer {self._token}"}
        if self.last:
            headers["Last-Event-ID"] = self.last
        try:
            connection.request("GET", f"/api/v1/events{self._query}", headers=headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            for event in self._parse(response):
                self.events.append(event)
                self._queue.put(event)
        finally:
            connection.close()

    def _parse(self, response: http.client.HTTPResponse) -> Iterator[Event]:
        name, seq, data = "", "", ""
        for raw in iter(response.readline, b""):
            line = raw.decode().rstrip("\n")
            field, _, value = line.partition(": ")
            if line.startswith(":"):
                if not self._is_open.is_set():
                    self.opened += 1
                    self._is_open.set()
            elif field == "id":
                seq = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
            elif not line:
                # As a browser does it: an id counts once its block is whole.
                self.last = seq or self.last
                if name:
                    yield Event(name, json.loads(data), seq)
                name, seq, data = "", "", ""
