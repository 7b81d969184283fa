"""A headless Chromium, driven by its DevTools protocol over one WebSocket.

Only what the tests of pages need: open a page at a size, evaluate, type, take a screenshot, and
collect what the page's console complained about.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

WAIT_S = 30.0


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session = ""
        self.complaints: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its result; events on the way are looked at."""
        self._number += 1
        request: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        self._socket.send(json.dumps(request))
        deadline = time.monotonic() + WAIT_S
        while True:
            frame = json.loads(self._socket.recv(timeout=max(0.1, deadline - time.monotonic())))
            if frame.get("id") == self._number:
                assert "error" not in frame, (method, frame["error"])
                return frame["result"]
            self._look(frame)

    def _look(self, frame: dict[str, Any]) -> None:
        method, params = frame.get("method"), frame.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(json.dumps(params["entry"])[:500])

    def open(self, url: str, width: int, height: int) -> None:
        """Show a page at a size in CSS pixels, and collect its complaints from the start."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, awaited when it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Return once an expression is true; the page is asked at each of its frames."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            # A navigation destroys the context that was asked: ask the new one.
            with contextlib.suppress(AssertionError):
                if self.evaluate(
                    f"new Promise(done => {{ let left = 50; const look = () => ({condition})"
                    " ? done(true) : left-- ? setTimeout(look, 20) : done(false); look(); })"
                ):
                    return
        raise AssertionError(f"never true: {condition}\n{self.evaluate('document.body.innerText')}")

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press_enter(self) -> None:
        """Press Enter, as a person does."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def browser(executable: str, profile: Path) -> Iterator[Page]:
    """Start a headless Chromium with a profile of its own; yield a page of it."""
    process = subprocess.Popen(
        [
            executable, "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    addresses: queue.Queue[str] = queue.Queue()
    said: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                said.append(line)
                if line.startswith("DevTools listening on "):
                    addresses.put(line.split()[-1])
        addresses.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        address = addresses.get(timeout=WAIT_S)
        assert address, "chromium ended:\n" + "".join(said[-20:])
        with connect(address, max_size=None, compression=None, proxy=None) as socket:
            yield Page(socket)
            with contextlib.suppress(Exception):  # it closes the socket while it answers
                Page(socket).call("Browser.close")
    finally:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(5)
