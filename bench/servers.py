"""The servers under test: how each is started, what it has used, how it ends.

Every server prints one line `ready {json}` with `url` and `pid`. CPU time and memory are read from
/proc for that process alone; the load and this program do not count.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TICKS_S = os.sysconf("SC_CLK_TCK")

OURS = """\
[log]
level = "warning"

[lines.core]
dialect = "maim"
role = "core"
link = "listen"
path = "/ws"

[[rules]]
name = "any"
match = "any"
reply = "{send_message}"
"""

# As shipped: whoever says more than five messages a minute gets no more answers.
OURS_GUARDED = """\
[log]
level = "warning"

[lines.qq]
dialect = "onebot11"
role = "framework"
link = "listen"
path = "/ws"

[[rules]]
name = "any"
match = "any"
reply = "{send_message}"
"""
# As its peers, which answer whatever comes.
OURS_ONEBOT = OURS_GUARDED.replace("[[rules]]", "loop_guard = false\n\n[[rules]]")


OURS_SHOP = """\
[log]
level = "warning"

[[rules]]
name = "price"
keywords = ["多少钱"]
reply = "{{send_user_name}} 您好，页面价就是到手价"
{lines}"""
OURS_SHOP_LINE = """
[lines.s{nth:03}]
dialect = "xianyu"
cookies = "unb=22{nth:08}; cookie2=c; _m_h5_tk=0123456789abcdef0123456789abcdef_1"
url = "ws://{market}/"
http_url = "http://{market}"
"""


@dataclass(frozen=True)
class Server:
    """How to start one server.

    Args:
        environment: the peer whose environment it needs, "" = ours.
        arguments: after the interpreter; `{port}`-free, every server chooses its own.
        config: written to `trunkline.toml` in a fresh folder, the server's working directory.
        raw: it sends back whatever it is sent.
        onebot: it is a framework: the load plays accounts of OneBot implementations.
        lines: messages of one person before the next one comes; 0 = one person says all.
    """

    name: str
    environment: str
    arguments: tuple[str, ...]
    path: str = "/ws"
    config: str = ""
    raw: bool = False
    onebot: bool = False
    lines: int = 0


SERVERS = (
    Server("trunkline", "", ("-m", "trunkline", "serve", "-c", "trunkline.toml", "--port", "0"),
           config=OURS),
    Server("maim_message", "maim_message", (str(ROOT / "bench/peers/maim_echo.py"),)),
    Server("starlette", "baseline", (str(ROOT / "bench/peers/starlette_echo.py"),)),
    Server("echo", "", ("-m", "trunkline", "dev", "echo", "--port", "0"), path="/", raw=True),
    Server("trunkline-qq", "", ("-m", "trunkline", "serve", "-c", "trunkline.toml", "--port", "0"),
           config=OURS_ONEBOT, onebot=True),
    Server("trunkline-qq-guard", "",
           ("-m", "trunkline", "serve", "-c", "trunkline.toml", "--port", "0"),
           config=OURS_GUARDED, onebot=True, lines=4),
    Server("nonebot", "nonebot", (str(ROOT / "bench/peers/nonebot_echo.py"),),
           path="/onebot/v11/ws", onebot=True),
    Server("aiocqhttp", "aiocqhttp", (str(ROOT / "bench/peers/aiocqhttp_echo.py"),), onebot=True),
    Server("websockets", "websockets", (str(ROOT / "bench/peers/websockets_idle.py"),), raw=True),
)  # fmt: skip


class Running:
    """One server that listens."""

    def __init__(self, process: subprocess.Popen[str], ready: dict, path: str, start_s: float):
        self.process = process
        self.pid = int(ready["pid"])
        self.url = "ws" + str(ready["url"]).rstrip("/").removeprefix("http") + path
        self.start_s = start_s

    def cpu_s(self) -> float:
        """Return user and system time of the process, all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_S

    def rss_kib(self) -> int:
        """Return what it keeps in memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS")


def interpreter(environment: str) -> str:
    """Return the python of an environment; makes that of a peer when it is missing."""
    if not environment:
        return sys.executable
    command = [str(ROOT / "scripts/peer.sh"), environment]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.split()[-1]


def _await_ready(process: subprocess.Popen[str], log: Path) -> dict:
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + 30
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line.startswith("ready "):
            return json.loads(line.removeprefix("ready "))
        if not line:
            break
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server in a fresh folder, and end it."""
    python = interpreter(server.environment)
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as folder:
        if server.config:
            config = Path(folder, "trunkline.toml")
            config.write_text(server.config)
            config.chmod(0o600)  # it holds cookies
        log = Path(folder, "stderr.log")
        with log.open("w") as errors:
            started = time.perf_counter()
            process = subprocess.Popen(
                [python, *server.arguments], cwd=folder, text=True,
                stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            ready = _await_ready(process, log)
            yield Running(process, ready, server.path, time.perf_counter() - started)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def shop(market: str, accounts: int) -> Server:
    """Return our server as the seller of so many accounts on a marketplace."""
    lines = "".join(OURS_SHOP_LINE.format(nth=nth, market=market) for nth in range(accounts))
    command = ("-m", "trunkline", "serve", "-c", "trunkline.toml", "--port", "0")
    return Server("trunkline-shop", "", command, config=OURS_SHOP.format(lines=lines))


@contextlib.contextmanager
def marketplace(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the load of a marketplace; it is killed when the block ends."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench/market.py"), *arguments],
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def load(url: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the load against a server; it is killed when the block ends early."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench/load.py"), url, *arguments],
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
