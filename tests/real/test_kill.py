"""`kill -9` of `serve` under load: nothing acknowledged is lost, nothing is answered twice.

Contact visitors and maim adapters talk while the process is killed at seeded moments: after so
many answers, or a moment later. They come back with what was not acknowledged or answered. The
data is looked through when all is quiet. Source: reliability 1 and 7
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

import product
from torture import WINDOW, AdapterPeer, Ledger, Stage, VisitorPeer
from trunkline.exchange.bodies import decode_event, decode_what
from trunkline.ids import DeliveryId, question_id
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived
from trunkline.model.message import plain_text
from trunkline.store.contract import InboxState

pytestmark = pytest.mark.real

KILLS = 20
SEED = 20251125
VISITORS = 6
ADAPTERS = 4
MOST_ANSWERS = 600
MOST_LATER_S = 0.05
ROUND_S = 60.0

CONFIG = """\
[lines.blog]
dialect = "contact"
chat_burst = 0

[lines.core]
dialect = "maim"
role = "core"
link = "listen"
path = "/ws"

[[rules]]
name = "echo"
match = "any"
reply = "re:{send_message}"
"""
OPEN_STATES = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DRAFT)


class Killer:
    """Kills a process after so many answers and a little later."""

    def __init__(self, rng: random.Random, ledger: Ledger) -> None:
        self._rng = rng
        self._ledger = ledger

    async def strike(self, running: product.Product) -> None:
        """Wait for the moment, kill, and see that the log is clean."""
        left = self._rng.randint(1, MOST_ANSWERS)
        later_s = self._rng.choice((0.0, self._rng.uniform(0.0, MOST_LATER_S)))
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def shoot() -> None:
            running.process.kill()
            gone.set()

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                if later_s:
                    loop.call_later(later_s, shoot)
                else:
                    shoot()

        self._ledger.on_answer = count
        async with asyncio.timeout(ROUND_S):
            await gone.wait()
        self._ledger.on_answer = lambda: None
        running.kill()
        running.assert_clean()


async def _torture(folder: Path, ledger: Ledger) -> None:
    rng = random.Random(SEED)
    stage, killer = Stage(), Killer(rng, ledger)
    peers = [VisitorPeer(number, stage, ledger) for number in range(VISITORS)]
    peers += [AdapterPeer(number, stage, ledger) for number in range(ADAPTERS)]
    running: product.Product | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for peer in peers:
                group.create_task(peer.run())
            for _ in range(KILLS):
                running = await asyncio.to_thread(product.start, folder, CONFIG)
                await stage.set(running.socket(""))
                await killer.strike(running)
            running = await asyncio.to_thread(product.start, folder, CONFIG)
            await stage.set(running.socket(""), closing=True)
        await asyncio.to_thread(running.stop)
    finally:
        if running is not None:
            running.kill()


class Found:
    """What the data says when all is quiet."""

    def __init__(self, folder: Path) -> None:
        self.inbox: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.deliveries: dict[str, list[DeliveryState]] = {}
        self.stuck: list[str] = []
        words_of: dict[int, str] = {}
        with contextlib.closing(product.database(folder)) as data:
            self.integrity = data.execute("PRAGMA integrity_check").fetchone()[0]
            for ident, state, body in data.execute("SELECT id, state, body FROM inbox"):
                event = decode_event(body)
                assert isinstance(event, MessageReceived)
                words = words_of[ident] = plain_text(event.segments)
                self.inbox[words] += 1
                if state != InboxState.DONE:
                    self.stuck.append(f"inbox {words}: {InboxState(state).name}")
            self._read_outbox(data, words_of)

    def _read_outbox(self, data: sqlite3.Connection, words_of: dict[int, str]) -> None:
        for ident, number, body in data.execute("SELECT id, state, body FROM outbox"):
            state, what = DeliveryState(number), decode_what(body)
            assert isinstance(what, Say)
            question = question_id(DeliveryId(ident))
            assert question is not None
            words = words_of[question]
            assert plain_text(what.segments) == f"re:{words}"
            self.deliveries.setdefault(words, []).append(state)
            self.states[state.name] += 1
            if state in OPEN_STATES:
                self.stuck.append(f"outbox {words}: {state.name}")


async def test_kill_nine_loses_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, folder = Ledger(tmp_path / "ledger"), tmp_path / "data"
    async with asyncio.timeout(KILLS * ROUND_S):
        await _torture(folder, ledger)
    ledger.close()
    found = Found(folder)
    answered = Counter(words for seen in ledger.answered.values() for words in seen)
    asked = Counter(words for said in ledger.asked.values() for words in said)
    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 × {KILLS} (seed {SEED}): {len(asked)} asked, "
            f"{len(ledger.acknowledged)} acknowledged, {len(answered)} answered, "
            f"outbox {dict(found.states)}\n"
        )

    assert found.integrity == "ok"
    assert found.stuck == []

    # Every acknowledged message is in the inbox, once; nothing is there that nobody asked.
    assert [w for w in ledger.acknowledged if found.inbox[w] != 1] == []
    assert [w for w, count in found.inbox.items() if count != 1 or w not in asked] == []
    # Adapters have no receipts, but repeat until they are answered: all of theirs is there.
    assert [w for w in asked if w.startswith("p") and found.inbox[w] != 1] == []

    # Every message has one decision, and its answer came exactly once or is listed as uncertain.
    assert [w for w, count in answered.items() if count != 1] == []
    assert [w for w in found.inbox if len(found.deliveries.get(w, [])) != 1] == []
    assert [w for w in answered if w not in found.inbox] == []
    unseen = {w: found.deliveries[w][0] for w in found.inbox if w not in answered}
    # A plain visitor's conversation ends with its link, so what waited for it is EXPIRED.
    allowed = {
        "p": {DeliveryState.UNCERTAIN},
        "c": {DeliveryState.UNCERTAIN, DeliveryState.EXPIRED},
    }
    assert {w: state.name for w, state in unseen.items() if state not in allowed[w[0]]} == {}

    # What became uncertain was in the air: not more than the peers had open at each kill.
    most = KILLS * (VISITORS + 2 * ADAPTERS) * WINDOW
    assert found.states["UNCERTAIN"] <= most

    # Order per conversation.
    for conversation, seen in ledger.answered.items():
        numbers = [int(words.rpartition(".")[2]) for words in seen]
        assert numbers == sorted(numbers), conversation
