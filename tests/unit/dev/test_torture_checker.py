"""The verdict of the crash harness: each fault that it is there to find is found, and named."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from trunkline.dev.torture.checker import DATABASE, check
from trunkline.dev.torture.ledger import Answer, Ended, Ledger
from trunkline.dev.torture.process import SAID
from trunkline.exchange.bodies import encode_event, encode_what
from trunkline.ids import InboxId, answer_id
from trunkline.model.address import Chat
from trunkline.model.delivery import DeliveryState, Say
from trunkline.model.event import MessageReceived
from trunkline.model.segment import Text
from trunkline.store.contract import InboxState
from trunkline.store.sqlite.connection import connect
from trunkline.store.sqlite.migrating import upgrade

AT_MS = 1_000_000
CHAT = Chat("", "private", "u")


class Run:
    """What a run leaves behind, made by hand: two messages of `p0.`, both answered and seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger")
        upgrade(self._connect)
        with contextlib.closing(self._connect()) as data:
            data.execute("INSERT INTO conversation VALUES (1, 'l', '', 'u', 'private', '', '', '')")
        (folder / SAID).write_text("trunkline runs\n")
        for nth in (1, 2):
            self.say(f"p0.0.{nth}", nth * 16)

    def _connect(self):
        return connect(self.folder / DATABASE, "OFF")

    def execute(self, sentence: str, *values: object) -> None:
        with contextlib.closing(self._connect()) as data:
            data.execute(sentence, values)

    def say(self, words: str, ident: int, *, is_seen: bool = True) -> None:
        self.ledger.say("p0.", words)
        self.ledger.acknowledge(words)
        self.store(words, ident)
        if is_seen:
            self.ledger.answer(Answer(words, f"d{ident}"))

    def store(self, words: str, ident: int) -> None:
        body = encode_event(MessageReceived(CHAT, None, (Text(words),)))
        self.execute(
            "INSERT INTO inbox (id, conversation, kind, state, at_ms, attempts, reason, body)"
            " VALUES (?, 1, 0, ?, ?, 0, '', ?)", ident, int(InboxState.DONE), AT_MS, body,
        )  # fmt: skip
        self.execute(
            "INSERT INTO outbox (id, conversation, state, at_ms, source, attempt, due_ms,"
            " expires_ms, settled_ms, reason, peer_id, body)"
            " VALUES (?, 1, ?, ?, 'rule', 1, 0, 0, ?, '', '', ?)",
            answer_id(InboxId(ident), 0), int(DeliveryState.SENT), AT_MS, AT_MS + 5,
            encode_what(Say((Text(f"re:{words}"),))),
        )  # fmt: skip

    def fate(self, ident: int, state: DeliveryState, settled_ms: int, reason: str) -> None:
        self.execute(
            "UPDATE outbox SET state = ?, settled_ms = ?, reason = ? WHERE id = ?",
            int(state), settled_ms, reason, answer_id(InboxId(ident), 0),
        )  # fmt: skip

    def verdict(self):
        return check(self.folder, self.ledger)


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    run.ledger.close()


def test_a_run_without_fault_is_clean(run):
    verdict = run.verdict()
    assert verdict.is_clean, verdict.problems
    assert (verdict.messages, verdict.acknowledged, verdict.answers) == (2, 2, 2)


def test_what_was_acknowledged_and_is_not_there_is_lost(run):
    run.ledger.say("p0.", "p0.0.3")
    assert run.verdict().is_clean  # nobody promised anything yet
    run.ledger.acknowledge("p0.0.3")
    assert run.verdict().lost == 1


def test_an_answer_that_nobody_saw_is_lost_unless_it_is_uncertain(run):
    run.say("p0.0.3", 48, is_seen=False)
    assert run.verdict().lost == 1
    run.ledger.end(Ended(1, "time", AT_MS, AT_MS + 10))
    run.fate(48, DeliveryState.UNCERTAIN, AT_MS + 3000, "restart 2")
    verdict = run.verdict()
    assert verdict.is_clean, verdict.problems
    assert verdict.uncertain == 1


def test_what_a_brief_visitor_cannot_get_any_more_is_expired(run):
    run.say("p0.0.3", 48, is_seen=False)
    run.fate(48, DeliveryState.EXPIRED, AT_MS + 5, "gone")
    assert run.verdict().lost == 1
    run.ledger.said["p0.0.3"].expects_answer = False
    assert run.verdict().is_clean


def test_twice_stored_and_twice_seen_is_doubled_but_a_dropped_copy_is_not(run):
    run.ledger.answer(Answer("p0.0.2", "d32", is_copy=True))
    assert run.verdict().is_clean
    run.ledger.answer(Answer("p0.0.2", "d32"))
    assert run.verdict().doubled == 1
    run.store("p0.0.1", 64)
    assert run.verdict().doubled == 2


@pytest.mark.parametrize(
    ("reason", "settled_ms", "is_explained"),
    [
        ("restart 2", AT_MS + 3000, True),
        ("restart 3", AT_MS + 9000, False),  # a whole life lay between: it should not have waited
        ("restart 2", AT_MS + 100_000, False),
        ("not acknowledged: closed 1006", AT_MS + 50, True),
        ("not acknowledged: closed 1006", AT_MS - 40, False),
    ],
)
def test_an_uncertain_row_needs_a_cut_right_before_it(run, reason, settled_ms, is_explained):
    run.ledger.end(Ended(1, "send.after_write", AT_MS + 1, AT_MS + 10))
    run.ledger.cuts["p0."] = [AT_MS + 20]
    if reason == "restart 3":
        run.ledger.end(Ended(2, "stop", AT_MS + 5000, AT_MS + 6000))
    run.fate(32, DeliveryState.UNCERTAIN, settled_ms, reason)
    if reason.startswith("not") and not is_explained:
        run.ledger.cuts["p0."] = [AT_MS - 5000]
    assert run.verdict().unexplained == (not is_explained)


def test_a_cut_of_another_peer_explains_nothing(run):
    run.ledger.cuts["p1."] = [AT_MS + 20]
    run.fate(32, DeliveryState.UNCERTAIN, AT_MS + 30, "not acknowledged: closed 1006")
    assert run.verdict().unexplained == 1


def test_answers_keep_the_order_of_their_messages(run):
    for words, ident in (("p0.0.3", 48), ("p0.0.4", 64)):
        run.say(words, ident, is_seen=False)
    run.ledger.answer(Answer("p0.0.4", "d64"))
    run.ledger.answer(Answer("p0.0.3", "d48"))
    assert run.verdict().out_of_order == 1


def test_messages_are_stored_in_the_order_of_saying_unless_their_peer_shuffles(run):
    run.ledger.say("p0.", "p0.0.3")
    run.ledger.say("p0.", "p0.0.4")
    run.store("p0.0.4", 48)
    run.store("p0.0.3", 64)
    for words in ("p0.0.4", "p0.0.3"):
        run.ledger.answer(Answer(words, words))
    assert run.verdict().out_of_order == 1
    run.ledger.shuffling.add("p0.")
    assert run.verdict().is_clean


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.SENDING])
def test_what_waits_still_is_stuck(run, state):
    run.fate(32, state, 0, "")
    assert run.verdict().stuck == 1


def test_a_message_without_decision_is_stuck(run):
    run.execute("UPDATE inbox SET state = 0 WHERE id = 32")
    assert run.verdict().stuck == 1


def test_a_traceback_in_the_log_is_a_problem(run):
    assert run.verdict().is_clean
    with (run.folder / "trunkline.log").open("a") as log:
        log.write("error\nTraceback (most recent call last):\n  File x\n")
    assert any("Traceback" in one for one in run.verdict().problems)


def _stall(folder: Path, ms: int, place: str) -> None:
    with (folder / "trunkline.log").open("a") as log:
        log.write(f'warning app: event loop blocked ms={ms} stack="{place} < a.py:1 run"\n')


def test_a_long_stall_is_a_blocked_loop(run):
    _stall(run.folder, 251, "x.py:1 f")
    verdict = run.verdict()
    assert (verdict.stalls, verdict.blocked) == (1, 1)


def test_a_short_stall_counts_only_when_its_place_comes_again(run):
    _stall(run.folder, 60, "x.py:1 f")
    _stall(run.folder, 60, "x.py:1 f")
    _stall(run.folder, 60, "y.py:2 g")
    verdict = run.verdict()
    assert verdict.is_clean
    assert verdict.stalls == 3
    _stall(run.folder, 60, "x.py:1 f")
    assert run.verdict().blocked == 1


def test_what_was_seen_is_not_uncertain_where_the_platform_proves_it(run):
    run.fate(16, DeliveryState.UNCERTAIN, AT_MS + 10, "restart 1")
    run.ledger.end(Ended(1, "time", AT_MS + 5, AT_MS + 6))
    assert run.verdict().is_clean
    (problem,) = check(run.folder, run.ledger, proves=True).problems
    assert problem.startswith("unproven")


def test_an_answer_that_waited_for_too_long_is_reported_and_no_loss(run):
    run.say("p0.0.3", 48, is_seen=False)
    for nth in range(4, 7):
        run.say(f"p0.0.{nth}", nth * 16)
    run.fate(48, DeliveryState.EXPIRED, AT_MS + 120_000, "")
    verdict = run.verdict()
    assert (verdict.lost, verdict.expired, verdict.is_clean) == (0, 1, True)
    run.fate(48, DeliveryState.EXPIRED, AT_MS + 119_000, "")
    assert (run.verdict().lost, run.verdict().expired) == (1, 0)
    run.fate(48, DeliveryState.EXPIRED, AT_MS + 120_000, "")
    run.fate(64, DeliveryState.EXPIRED, AT_MS + 120_000, "")
    assert run.verdict().problems == ("slow: 2 answers waited for too long",)
