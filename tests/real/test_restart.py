"""Stop and restart of the real process: nothing lost, nobody refused, in time.

Source: reliability 6
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

import activation
import product
from modelservice import ModelService
from peers import chat, maim_message, visiting
from rawsocket import TEXT, RawSocket, encode_frame
from torture import AdapterPeer, Ledger, Stage, VisitorPeer
from trunkline.exchange.bodies import decode_event
from trunkline.model.delivery import DeliveryState
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text
from trunkline.store.contract import InboxState

pytestmark = pytest.mark.real

CONFIG = """\
[server]
port = {port}

[lines.blog]
dialect = "contact"
chat_burst = 0

[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
reply = "re:{{send_message}}"
"""
RESTARTS = 4
CALLERS = 4
ADAPTERS = 3
VISITORS = 3
ANSWERS = 300  # between two restarts


class Callers:
    """Connect again and again, ask one thing each time, and count what is not an answer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: Counter[str] = Counter()
        self.refused: list[str] = []
        self.is_over = False

    async def run(self) -> None:
        """Call until it is over."""
        while not self.is_over:
            writer = None
            try:
                # Nobody is refused; how long it takes (a stop and a start) is not asked here.
                async with asyncio.timeout(product.START_S + 20):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    line = await reader.readline()
            except OSError as error:
                self.refused.append(type(error).__name__)
                continue
            finally:
                if writer is not None:
                    writer.close()
            if line.startswith(b"HTTP/1.1 "):
                self.answers[line.split()[1].decode()] += 1
            else:
                self.refused.append(repr(line))


async def test_a_restart_with_handed_sockets_refuses_nobody_and_answers_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, ledger = tmp_path / "data", Ledger(tmp_path / "ledger")
    folder.mkdir()
    listener = activation.listening()
    port = listener.getsockname()[1]
    (folder / "trunkline.toml").write_text(CONFIG.format(port=port))
    stage, callers = Stage(), Callers(port)
    peers = [VisitorPeer(number, stage, ledger) for number in range(VISITORS)]
    peers += [AdapterPeer(number, stage, ledger) for number in range(ADAPTERS)]
    running: product.Product | None = None
    counted = 0

    def start() -> product.Product:
        one = activation.launch(folder, [listener])
        one.wait_ready()
        return one

    try:
        async with asyncio.timeout(150), asyncio.TaskGroup() as group:
            running = await asyncio.to_thread(start)
            assert running.port == port
            works = [*(peer.run() for peer in peers), *(callers.run() for _ in range(CALLERS))]
            for work in works:
                group.create_task(work)
            for _ in range(RESTARTS):
                enough = asyncio.Event()

                def count(enough: asyncio.Event = enough) -> None:
                    nonlocal counted
                    counted += 1
                    if counted % ANSWERS == 0:
                        enough.set()

                ledger.on_answer = count
                await stage.set(running.socket(""))
                await enough.wait()
                await asyncio.to_thread(running.stop)  # exit 0 within 15 s, no traceback
                running = await asyncio.to_thread(start)
            ledger.on_answer = lambda: None
            await stage.set(running.socket(""), closing=True)
            callers.is_over = True
        await asyncio.to_thread(running.stop)
    finally:
        if running is not None:
            running.kill()
        listener.close()
        ledger.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{RESTARTS} restarts: {sum(callers.answers.values())} calls {callers.answers}\n"
        )

    assert callers.refused == []
    assert set(callers.answers) == {"200"}
    answered = Counter(words for seen in ledger.answered.values() for words in seen)
    assert [words for words, times in answered.items() if times != 1] == []
    kept, outbox = _read(folder)
    assert [words for words in ledger.acknowledged if kept[words] != InboxState.DONE] == []
    # Nothing was killed: every adapter's question has its answer, and nothing is in doubt.
    asked = [w for said in ledger.asked.values() for w in said if w.startswith("p")]
    assert [w for w in asked if answered[w] != 1] == []
    assert set(outbox) <= {DeliveryState.SENT, DeliveryState.EXPIRED}


def _read(folder: Path) -> tuple[dict[str, int], Counter[int]]:
    """Return the state of each message by its words, and how many deliveries are in which state."""
    kept: dict[str, int] = {}
    with contextlib.closing(product.database(folder)) as data:
        assert data.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        for state, body in data.execute("SELECT state, body FROM inbox"):
            event = decode_event(body)
            assert isinstance(event, MessageReceived)
            words = plain_text(event.segments)
            assert words not in kept
            kept[words] = state
        outbox = Counter(row[0] for row in data.execute("SELECT state FROM outbox"))
    return kept, outbox


async def test_a_handed_socket_that_no_bind_is_for_is_a_clear_error(tmp_path: Path) -> None:
    with activation.listening() as stray, activation.listening() as other:
        where = f"127.0.0.1:{stray.getsockname()[1]} (web)"
        port = other.getsockname()[1]
        other.close()
        (tmp_path / "trunkline.toml").write_text(CONFIG.format(port=port))
        one = activation.launch(tmp_path, [stray], names=["web"])
        code = await asyncio.to_thread(one.process.wait, 30)
        one.kill()
    assert code == 2, one.log()
    assert f"the socket {where} matches no bind" in one.log()
    one.assert_clean()


TROUBLED = """\
[assistant]
base_url = "{model}"
model = "m"
timeout_s = 60

[lines.blog]
dialect = "contact"

[lines.core]
dialect = "maim"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
except = ["model", "plugin"]
reply = "re:{{send_message}}"
"""
HANGING = """\
import asyncio
from trunkline import Message, Router
router = Router()
@router.keyword("plugin", timeout="60s")
async def hang(msg: Message) -> str:
    await asyncio.Event().wait()
    return "never"
"""


async def test_sigterm_ends_in_time_whatever_hangs_and_loses_nothing(tmp_path: Path) -> None:
    """A plugin and a model that never answer, a peer that reads nothing, messages under way."""
    async with ModelService() as service:
        service.how = "slow"
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "hanging.py").write_text(HANGING)
        with product.serving(tmp_path, TROUBLED.format(model=service.url)) as running:
            receipts = await _trouble(running)
            begun_s = time.monotonic()
            await asyncio.to_thread(running.stop)
            assert time.monotonic() - begun_s < product.STOP_S
    kept, outbox = _read(tmp_path)
    assert [words for words in receipts if words not in kept] == []
    # What was asked outside is asked again after the next start; all else is decided.
    asking = {words for words, state in kept.items() if state == InboxState.WAITING}
    assert asking == {"plugin please", "model please"}
    assert set(outbox) <= {DeliveryState.SENT, DeliveryState.UNCERTAIN, DeliveryState.QUEUED}


async def _trouble(running: product.Product) -> list[str]:
    """Make all kinds of trouble, ask it to stop, and return the words that got a receipt."""
    url = running.socket("/contact")
    async with visiting(url) as one, visiting(url) as two, visiting(url) as three:
        deaf = await RawSocket.open(running.port, "/ws", {"platform": "deaf"})
        assert deaf.response.status == 101
        deaf.writer.transport.pause_reading()
        for number in range(150):
            frame = maim_message("x" * 30_000, platform="deaf", ident=f"d{number}")
            frame["message_segment"]["data"][0]["data"] += str(number)
            deaf.write(encode_frame(TEXT, json.dumps(frame).encode()))
        await one.send(chat("plugin please", client_message_id="a"))
        await two.send(chat("model please", client_message_id="b"))
        await one.until("chat_message_received")
        await two.until("chat_message_received")
        receipts = ["plugin please", "model please"]
        for number in range(20):
            await three.send(chat(f"quick {number}", client_message_id=f"quick {number}"))
        running.terminate()
        with contextlib.suppress(ConnectionClosed):
            while True:
                frame = await three.next()
                if frame["type"] == "chat_message_received":
                    receipts.append(frame["client_message_id"])
        assert three.socket.close_code == 1001
        deaf.writer.transport.abort()
    return receipts


async def test_a_second_signal_ends_the_process_now(tmp_path: Path) -> None:
    with product.serving(tmp_path, CONFIG.format(port=0)) as running:
        # Who never answers our close holds the first stop up for two seconds and a half.
        silent = await RawSocket.open(running.port, "/ws", {"platform": "p"})
        running.terminate()
        await silent.read_close()
        await asyncio.sleep(0.6)  # what comes within half a second counts as the same request
        assert running.process.poll() is None
        begun_s = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.process.wait, 5) == 1
        assert time.monotonic() - begun_s < 1.0
        await silent.close()
