"""The whole program as a child process, for tests that meet it as a user does.

`start` writes a configuration into a folder, runs `python -m trunkline serve` there and waits for
its line `ready {json}`. `Product.stop` ends it by SIGTERM and insists on exit code 0 within 15 s
(`reliability 6`); `Product.kill` is `kill -9`. Whatever ends it, its log is looked through for
tracebacks.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 60.0
STOP_S = 15.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what would configure the product; in English."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRUNKLINE", "LC_", "LANG"))}
    return kept | {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"} | dict(extra or {})


def command(*arguments: str) -> list[str]:
    """Return the command line of the product."""
    return [sys.executable, "-m", "trunkline", *arguments]


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.out + self.err


def run(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = START_S
) -> Finished:
    """Run a command to its end in a folder."""
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(env), text=True, timeout=timeout_s,
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Answer:
    """What the HTTP side said."""

    status: int
    body: Any
    headers: dict[str, str]


class Product:
    """One running `trunkline serve`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.ready: dict[str, Any] = {}
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: list[str] = []
        self._is_terminated = False
        self._readers = [
            threading.Thread(target=self._read, args=(stream, is_out), daemon=True)
            for stream, is_out in ((process.stdout, True), (process.stderr, False))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, is_out: bool) -> None:
        with stream:
            for line in stream:
                self._said.append(line)
                if is_out:
                    self._lines.put(line)
        if is_out:
            self._lines.put(None)

    def wait_ready(self, timeout_s: float = START_S) -> dict[str, Any]:
        """Return what the line `ready {json}` says."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            if line.startswith("ready "):
                self.ready = json.loads(line.removeprefix("ready "))
                return self.ready
        self.process.kill()
        self.process.wait()
        raise AssertionError(
            f"no ready line within {timeout_s:.0f} s, exit code {self.process.returncode}:\n"
            + self.log()[-4000:]
        )

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at the end."""
        return str(self.ready["url"]).rstrip("/")

    @property
    def pid(self) -> int:
        """Of the server process."""
        return int(self.ready["pid"])

    @property
    def port(self) -> int:
        """Of the one port."""
        return int(self.url.rpartition(":")[2])

    @property
    def token(self) -> str:
        """The API token made at the first start."""
        return (self.folder / "api.token").read_text().strip()

    def socket(self, path: str) -> str:
        """Return the address of a path as a WebSocket."""
        return "ws" + self.url.removeprefix("http") + path

    def get(self, path: str, body: Any = None, method: str = "", **headers: str) -> Any:
        """Call the API with the token; return the decoded answer, which must be a good one."""
        answer = self.ask(path, body, method, Authorization=f"Bearer {self.token}", **headers)
        assert answer.status < 300, answer
        return answer.body

    def ask(self, path: str, body: Any = None, method: str = "", **headers: str) -> Answer:
        """Call the API with these headers and no others; any status is an answer."""
        data = None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(
                method or ("GET" if data is None else "POST"), path, data,
                {"Content-Type": "application/json"} | headers,
            )  # fmt: skip
            response = connection.getresponse()
            text = response.read()
            kind = response.headers.get("content-type", "")
            body = json.loads(text) if "json" in kind else text.decode()
            return Answer(response.status, body, dict(response.headers))
        finally:
            connection.close()

    def log(self) -> str:
        """Return everything it said: on its streams and in its log file."""
        file = self.folder / "trunkline.log"
        kept = file.read_text(errors="replace") if file.exists() else ""
        return "".join(self._said) + kept

    def terminate(self) -> None:
        """Send SIGTERM, once: a second one ends the process at once (`reliability 6`)."""
        if not self._is_terminated and self.process.poll() is None:
            self._is_terminated = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """SIGTERM; it must exit with 0 within 15 s and leave no traceback.

        Source: reliability 6
        """
        self.terminate()
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(
                f"still running {STOP_S:.0f} s after SIGTERM\n{self.log()[-4000:]}"
            ) from error
        self._join()
        assert code == 0, f"exit code {code}\n{self.log()[-4000:]}"
        self.assert_clean()

    def kill(self) -> None:
        """`kill -9`."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._join()

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(5)

    def assert_clean(self) -> None:
        """The log holds no traceback and no warning of the interpreter."""
        log = self.log()
        for trouble in ("Traceback (most recent call last)", "RuntimeWarning", "never awaited"):
            at = log.find(trouble)
            assert at < 0, log[max(0, at - 1000) : at + 3000]


def launch(
    folder: Path,
    config: str | None,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    port: int = 0,
) -> Product:
    """Start `serve` without waiting for it."""
    folder.mkdir(parents=True, exist_ok=True)
    given: Sequence[str] = arguments
    if config is not None:
        (folder / "trunkline.toml").write_text(config)
        given = ("-c", "trunkline.toml", *arguments)
    process = subprocess.Popen(
        command("serve", *given, "--port", str(port)), cwd=folder, env=environment(env), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    return Product(process, folder)


def start(
    folder: Path,
    config: str | None,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    port: int = 0,
) -> Product:
    """Start `serve` and wait until it listens."""
    product = launch(folder, config, *arguments, env=env, port=port)
    product.wait_ready()
    return product


@contextlib.contextmanager
def serving(
    folder: Path,
    config: str | None,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    port: int = 0,
) -> Iterator[Product]:
    """Start `serve`; stop it in order at the end, unless the block failed or stopped it."""
    product = start(folder, config, *arguments, env=env, port=port)
    try:
        yield product
        if product.process.poll() is None:
            product.stop()
    finally:
        product.kill()


def database(folder: Path) -> sqlite3.Connection:
    """Open the data of a stopped product, read-only.

    After a kill the WAL must be read too; a read-only connection does that and writes nothing to
    the file, while `mode=ro` needs the -shm file, which SQLite may make.
    """
    return sqlite3.connect(f"file:{folder / 'trunkline.db'}?mode=ro", uri=True)
