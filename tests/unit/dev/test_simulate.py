"""The simulation: clean seeds, repeatable to the byte, and every promise can be seen broken.

Source: reliability 1, 2
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from seeds import broken, play, stage
from trunkline.dev.simulate import world
from trunkline.dev.simulate.soak import soak
from trunkline.dev.simulate.world import Report, Stage
from trunkline.dialects.boss.outgoing import Outgoing
from trunkline.dialects.boss.receiving import Receiving
from trunkline.dialects.contract import Settled
from trunkline.dialects.maim.api import ApiSession
from trunkline.dialects.xianyu import receiving
from trunkline.exchange import echoes
from trunkline.exchange.dispatch import Dispatch
from trunkline.exchange.intake import Core
from trunkline.lines import driver
from trunkline.lines.driver import Driver
from trunkline.model.delivery import Outcome
from trunkline.store.sqlite import SqliteStore, beat

SEEDS = range(1, 17)


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    return [play(seed) for seed in SEEDS]


def test_seeds_break_no_promise(reports: list[Report]):
    assert {one.seed: one.broken for one in reports if one.broken} == {}


def test_seeds_meet_trouble(reports: list[Report]):
    """What is clean because nothing happens proves nothing."""
    assert sum(one.said for one in reports) > 1000
    assert sum(one.heard for one in reports) > 1000
    assert sum(one.deaths for one in reports) > 10
    assert sum(one.links for one in reports) > 300
    assert len({one.digest for one in reports}) == len(reports)


def test_calm_weather_is_clean_and_everybody_hears():
    report = play(1, pace_s=0.3)
    assert report.broken == ()
    assert report.heard >= report.said > 50
    assert report.deaths == 0


def test_a_seed_has_one_trace():
    def trace() -> tuple[str, list[str]]:
        lines: list[str] = []
        report = stage().play(3, sink=lines.append)
        return report.digest, lines

    first, again = trace(), trace()
    assert first == again
    assert len(first[1]) > 500


def test_a_seed_has_one_trace_in_every_process():
    """Also where sets of texts come in another order."""

    def digests(hash_seed: str) -> Any:
        done = subprocess.run(
            [
                sys.executable, "-m", "trunkline", "dev", "simulate",
                "--seeds", "3", "--from", "4", "--json",
            ],
            capture_output=True, text=True, timeout=120, check=True,
            env=dict(os.environ) | {"PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        return json.loads(done.stdout)["traces"]

    found = digests("0")
    assert found == digests("12345")
    assert found == {str(seed): play(seed).digest for seed in (4, 5, 6)}


# -- each promise, with its guard removed --------------------------------------------------------


def test_acknowledging_before_the_commit_is_caught(monkeypatch: pytest.MonkeyPatch):
    offer = Core.offer

    def offer_and_acknowledge(core: Core, origin: Any, event: Any, receipt: Any, size: int) -> None:
        offer(core, origin, event, None, size)
        if receipt is not None:
            origin.committed([receipt], 0, 0)

    monkeypatch.setattr(Core, "offer", offer_and_acknowledge)
    assert "acknowledged before it is stored" in broken(1, store_slow=0.3)


def test_a_requeue_of_what_was_sending_is_caught(monkeypatch: pytest.MonkeyPatch):
    """A start that sends again what may have been written (no `sending` state)."""
    opened = SqliteStore.open
    monkeypatch.setattr(
        SqliteStore, "open", lambda store, **_: opened(store, requeue_lines=("core", "blog", "mai"))
    )
    assert "twice" in broken(2, die_at_write=0.05, calm_after_s=20.0)


def test_an_answer_that_passes_what_waits_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Dispatch, "is_direct", lambda *_: True)
    assert "too late" in broken(3, "maim", pause_every_s=1.0, store_slow=0.5, pace_s=0.1)


def test_a_queue_that_nobody_looks_at_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Dispatch, "look", lambda *_: None)
    assert "expired, and nobody left" in broken(
        4, "maim", cut_every_s=0.7, pace_s=0.2, latency_s=0.3
    )


def test_a_link_that_reads_on_beyond_its_bound_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver.Driver, "_pause", lambda _: None)
    assert "a link holds" in broken(5, burst=0.3, store_slow=0.3)


def test_a_beat_beyond_its_bound_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("trunkline.exchange.intake.BEAT_EVENTS", 10_000)
    assert "a beat of" in broken(6, burst=0.5, store_slow=0.3, pace_s=0.1)


def test_a_delivery_left_pending_is_caught(monkeypatch: pytest.MonkeyPatch):
    lost = ApiSession.lost

    def forget(session: ApiSession, error: Any) -> Any:
        session._pending.clear()
        return lost(session, error)

    monkeypatch.setattr(ApiSession, "lost", forget)
    assert "pending after lost" in broken(7, "maim", cut_every_s=0.5)


def test_a_timer_of_a_link_that_is_gone_is_caught(monkeypatch: pytest.MonkeyPatch):
    closed = Driver.closed

    def keep_timer(one: Driver, error: Any) -> None:
        timer, one._timer = one._timer, None
        closed(one, error)
        one._timer = timer

    monkeypatch.setattr(Driver, "closed", keep_timer)
    found = broken(8, "maim", late_ack=0.9, cut_every_s=1.0)
    assert "a timer rings for a link of core that is gone" in found


def test_a_message_that_is_lost_is_caught(monkeypatch: pytest.MonkeyPatch):
    """An outcome that is never written leaves its row under way for ever."""
    monkeypatch.setattr(Core, "_range_sent", lambda *_: None)
    assert "stuck" in broken(9, "maim", pace_s=1.0)


def test_a_task_that_fails_is_caught(monkeypatch: pytest.MonkeyPatch):
    async def fail(_: Any) -> None:
        await asyncio.sleep(1)
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("trunkline.exchange.keeper.Keeper.run", fail)
    assert "a task failed" in broken(10, "contact", pace_s=1.0)


def test_a_store_without_its_unique_key_is_caught(monkeypatch: pytest.MonkeyPatch):
    """A repeat is then a message of its own, and answered again."""
    for name in ("_INSERT_INBOX", "_INSERT_DECIDED"):
        bare_rows = [(size, text.partition("ON CONFLICT")[0]) for size, text in getattr(beat, name)]
        monkeypatch.setattr(beat, name, bare_rows)
    bare = Stage()
    try:
        with contextlib.closing(sqlite3.connect(bare.template / "trunkline.db")) as database:
            database.execute("drop index inbox_key")
        found = broken(11, "maim", on=bare, repeat=0.5)
    finally:
        bare.close()
    assert "is stored twice" in found
    assert "hears" in found


# -- a platform that the house dials and calls ----------------------------------------------------


def test_a_long_seed_with_everything_wrong_loses_and_doubles_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    """What `--messages` plays; the long one is run by hand (docs/simulation.md)."""
    monkeypatch.setattr(world, "SHOWN_EVERY", 100)
    told: list[int] = []
    report = soak(400, ["xianyu"], 1, told.append)
    assert report.broken == ()
    assert report.said >= 400
    assert len(told) >= 3
    assert report.deaths + report.stops > 0
    assert report.links > 10


def test_a_platform_that_demands_a_person_gets_one():
    """Everything is revoked and verified anew all the time, and every message is answered."""
    report = play(3, "xianyu", misbehaves=1.0, cut_every_s=3.0, pace_s=0.4, calm_after_s=25.0)
    assert report.broken == ()
    assert report.said > 50


def test_an_own_message_that_is_taken_for_a_person_is_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(echoes, "explain", lambda *_: None)
    assert "answered 0 times" in broken(2, "xianyu", die_every_s=3.0, pace_s=0.3)


def test_a_message_that_never_comes_is_caught(monkeypatch: pytest.MonkeyPatch):
    """It is acknowledged and dropped: nobody would ever ask for it again."""
    real = receiving.to_event

    def drop(entry: Any, *more: Any, **keys: Any) -> Any:
        event = real(entry, *more, **keys)
        return None if "7" in str(getattr(entry, "content", "")) else event

    monkeypatch.setattr(receiving, "to_event", drop)
    found = broken(4, "xianyu", pace_s=0.5)
    assert "its platform keeps it: it never came" in found
    assert "is confirmed and not stored" in found


def test_a_long_seed_of_a_gateway_with_everything_wrong_loses_and_doubles_nothing():
    report = soak(300, ["boss"], 1, lambda _: None)
    assert report.broken == ()
    assert report.said >= 300
    assert report.heard > 200
    assert report.deaths + report.stops > 0
    assert report.links > 10


def test_a_gateway_that_refuses_and_demands_a_person_is_answered():
    report = play(3, "boss", misbehaves=1.0, cut_every_s=3.0, pace_s=0.4, calm_after_s=25.0)
    assert report.broken == ()
    assert report.said > 50


def test_a_resend_without_a_proof_of_absence_is_caught(monkeypatch: pytest.MonkeyPatch):
    def again(outgoing: Outgoing, job: Any, unclear: Any) -> Settled:
        return Settled(job.delivery.id, Outcome.LATER)

    monkeypatch.setattr(Outgoing, "_settle_lost", again)
    assert "twice" in broken(
        2, "boss", cut_every_s=4.0, pace_s=0.3, latency_s=0.2, calm_after_s=30.0
    )


def test_a_packet_acknowledged_before_its_commit_is_caught(monkeypatch: pytest.MonkeyPatch):
    def at_once(receiving: Receiving, effects: list[Any], push: Any) -> list[Any]:
        return [*effects, *receiving.done(push)]

    monkeypatch.setattr(Receiving, "_with_receipt", at_once)
    assert "is confirmed and not stored" in broken(2, "boss", store_slow=0.2, pace_s=0.3)
