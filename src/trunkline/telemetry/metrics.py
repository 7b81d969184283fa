"""Every metric of the process, created at zero, with labels from closed sets.

Children are made once, so the hot path pays one `inc` a beat. A label never holds a user, a
conversation or a text; a line's name stands on gauges only. Fits `exchange.contract.Meter` and
the meter that lines use, without importing either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

OTHER: Final = "other"
MAX_LINES: Final = 1000  # label values of the gauge by line
MAX_BEATS: Final = 512  # counted beside the library before they are handed to it

DIALECTS: Final = ("boss", "contact", "maim", "onebot11", "xianyu")
STAGES: Final = (
    "guard", "takeover", "plugins", "rules", "model", "item_reply", "default_reply", "none",
)  # fmt: skip
VERDICTS: Final = ("reply", "draft", "person", "stop", "ask", "pass")
OUTCOMES: Final = (
    "draft", "queued", "sent", "confirmed", "uncertain", "refused", "expired", "dead",
    "discarded", "later",
)  # fmt: skip
HELD: Final = ("draft", "queued", "uncertain", "dead")
STATUSES: Final = ("400", "401", "403", "404", "408", "426", "429", "431", "501", "503")
# Source: contact 5.1, maim 3 and 4, onebot11 10, xianyu 6 (reasons of the vectors), wire/jsonwire.
REASONS: Final = (
    "bad_frame", "bad_id", "bad_params", "bad_post_type", "bad_segment", "bad_utf8", "binary_frame",
    "custom_without_name", "decode", "id_too_long", "internal", "invalid_field", "invalid_json",
    "is_event", "message_too_long", "missing_field", "missing_group_id", "missing_message_info",
    "missing_message_segment", "missing_type", "missing_user_id", "no_action", "no_connect",
    "no_content", "no_data", "no_detail_type", "no_flag", "no_post_type", "no_self_id",
    "not_an_object", "not_json", "not_object", "not_protobuf", "not_response", "rate_limited",
    "segment_too_deep",
    "self_id_mismatch", "server_busy", "too_deep", "too_many_segments", "unknown_type",
    "unsupported_frame",
)  # fmt: skip
NOTICES: Final = (
    "account-flagged", "account-offline", "auth-failed", "broken-stream", "deaf-link",
    "foreign-receipt", "gap", "greeted-twice", "heartbeat-missing", "kicked-out", "large-frame",
    "link-failed", "login-replaced", "no-sync-state", "not-answered", "odd-packet", "peer-error",
    "register-refused", "rejected", "second-server-id", "server-call", "session-removed",
    "token-refused", "token-unavailable", "unexpected-ack", "unexpected-response", "unknown-entry",
    "unknown-payload", "unknown-route", "warned",
)  # fmt: skip
_BEAT_EVENTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_COMMIT_S: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


class _Closed:
    """Counters over one closed set of words; what is not in it counts as `other`."""

    def __init__(self, metric: Counter, words: Iterable[str], *before: str) -> None:
        self._children = {word: metric.labels(*before, word) for word in (*words, OTHER)}
        self._other = self._children[OTHER]

    def inc(self, word: str, amount: int = 1) -> None:
        self._children.get(word, self._other).inc(amount)


class _Beats:
    """What beats have counted since somebody last looked.

    The library's own counters are code that is cold once a beat: there they took 40 µs of it.
    """

    def __init__(self) -> None:
        self.commits: list[tuple[int, float]] = []
        self.verdicts: dict[str, int] = {}
        self.settled: dict[str, int] = {}
        self.duplicates = 0
        self.dead = 0


class _First(Collector):
    """A collector without numbers of its own; asked before all others.

    Args:
        add_up: called whenever somebody looks.
    """

    def __init__(self, add_up: Callable[[], None]) -> None:
        self._add_up = add_up

    def describe(self) -> Iterable[Metric]:
        """Name nothing."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Bring the others up to date."""
        self._add_up()
        return ()


class Metrics:
    """All of them.

    Args:
        registry: its own by default, so that tests and embedders do not share numbers.
        version: shown by `trunkline_info`.
    """

    def __init__(self, registry: CollectorRegistry | None = None, version: str = "") -> None:
        # Doubles the page and tells only when the process started. A switch of the whole library.
        disable_created_metrics()
        self.registry = registry or CollectorRegistry()
        self._beats = _Beats()
        self._queued = 0
        self.registry.register(_First(self._add_up))
        self._add_exchange()
        self._add_lines()
        self._add_process()
        self._gauge("info", "Always 1.", "version").labels(version).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"trunkline_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"trunkline_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"trunkline_{name}", text, buckets=buckets, registry=self.registry)

    def _add_exchange(self) -> None:
        self.events = self._counter("exchange_events_total", "Events committed.")
        self.duplicates = self._counter("exchange_duplicates_total", "Events seen before.")
        self.dead = self._counter("exchange_dead_total", "Events that could not be processed.")
        verdicts = self._counter("exchange_verdicts_total", "Decisions.", "stage", "verdict")
        self._verdicts = {
            f"{stage}:{verdict}": verdicts.labels(stage, verdict)
            for stage in (*STAGES, OTHER)
            for verdict in VERDICTS
        }
        self._other_verdict = verdicts.labels(OTHER, OTHER)
        self.beat_events = self._histogram(
            "exchange_beat_events", "Events of one commit.", _BEAT_EVENTS
        )
        self.commit_seconds = self._histogram(
            "exchange_commit_seconds", "Time of one commit.", _COMMIT_S
        )
        self.queue_events = self._gauge("exchange_queue_events", "Events that wait for a beat.")
        outcomes = self._counter("outbox_deliveries_total", "Deliveries by fate.", "outcome")
        self._outcomes = _Closed(outcomes, OUTCOMES)
        held = self._gauge("outbox_rows", "Deliveries that wait, by state.", "state")
        self._held = {state: held.labels(state) for state in HELD}
        self.uncertain = self._gauge("outbox_uncertain", "Deliveries of unknown fate.")
        self.inbox_dead = self._gauge("inbox_dead", "Messages that wait for a person.")

    def _add_lines(self) -> None:
        self._links = self._gauge("lines_links", "Open links of a line.", "line")
        self._lines: set[str] = set()
        connects = self._counter("lines_connects_total", "Links opened.", "dialect")
        self._connects = _Closed(connects, DIALECTS)
        rejected = self._counter(
            "lines_rejected_frames_total", "Frames refused.", "dialect", "reason"
        )
        notices = self._counter("lines_notices_total", "Oddities of peers.", "dialect", "kind")
        self._rejected = {
            dialect: _Closed(rejected, REASONS, dialect) for dialect in (*DIALECTS, OTHER)
        }
        self._notices = {
            dialect: _Closed(notices, NOTICES, dialect) for dialect in (*DIALECTS, OTHER)
        }
        refused = self._counter("lines_refused_upgrades_total", "Upgrades refused.", "status")
        self._refused = _Closed(refused, STATUSES)

    def _add_process(self) -> None:
        self.auth_failures = self._counter("web_auth_failures_total", "Wrong tokens.")
        self.loop_lag_max = self._gauge("app_loop_lag_max_seconds", "Longest lateness of the loop.")
        self.loop_stalls = self._counter("app_loop_stalls_total", "Times it was > 50 ms late.")
        self.loop_blocked = self._counter("app_loop_blocked_total", "Of these, by our own doing.")
        self.loop_blocked_max = self._gauge(
            "app_loop_blocked_max_seconds", "Longest of these, by our own doing."
        )
        self._lag_max_s = 0.0
        self._blocked_max_s = 0.0
        self.tasks = self._gauge("app_tasks", "Tasks of the event loop.")
        self.threads = self._gauge("app_threads", "Threads of the process.")
        self.log_drops = self._counter("telemetry_log_lines_dropped_total", "Log lines lost.")
        self.disk_low = self._gauge("store_disk_low", "1 = nothing is acknowledged: disk full.")
        self.free_bytes = self._gauge("store_free_bytes", "Free space of the data folder.")

    # -- the exchange ------------------------------------------------------------------------

    def beat(
        self,
        *,
        events: int,
        seconds: float,
        verdicts: Mapping[str, int],
        duplicates: int,
        dead: int,
    ) -> None:
        """Count one commit."""
        beats = self._beats
        beats.commits.append((events, seconds))
        for label, count in verdicts.items():
            beats.verdicts[label] = beats.verdicts.get(label, 0) + count
        beats.duplicates += duplicates
        beats.dead += dead
        if len(beats.commits) >= MAX_BEATS:
            self._add_up()

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """Count settled deliveries by state, in lower case."""
        settled = self._beats.settled
        for outcome, count in counts.items():
            settled[outcome] = settled.get(outcome, 0) + count

    def queued(self, events: int) -> None:
        """Show how many events wait for the next beat."""
        self._queued = events

    def _add_up(self) -> None:
        """Hand what beats have counted to the library."""
        beats, self._beats = self._beats, _Beats()
        for events, seconds in beats.commits:
            self.events.inc(events)
            self.beat_events.observe(events)
            self.commit_seconds.observe(seconds)
        for label, count in beats.verdicts.items():
            self._verdicts.get(label, self._other_verdict).inc(count)
        for outcome, count in beats.settled.items():
            self._outcomes.inc(outcome, count)
        self.duplicates.inc(beats.duplicates)
        self.dead.inc(beats.dead)
        self.queue_events.set(self._queued)

    def rows(self, counts: Mapping[str, int]) -> None:
        """Show the store's `counts()`: rows that wait for somebody."""
        for state, gauge in self._held.items():
            gauge.set(counts.get(f"outbox.{state}", 0))
        self.uncertain.set(counts.get("outbox.uncertain", 0))
        self.inbox_dead.set(counts.get("inbox.dead", 0))

    # -- lines -------------------------------------------------------------------------------

    def noticed(self, dialect: str, kind: str) -> None:
        """Count an oddity; `rejected:REASON` counts the reason too."""
        word, _, detail = kind.partition(":")
        own = dialect if dialect in self._notices else OTHER
        self._notices[own].inc(word)
        if word == "rejected":
            self._rejected[own].inc(detail)

    def links(self, line: str, count: int) -> None:
        """Show the open links of a line."""
        if line not in self._lines:
            if len(self._lines) >= MAX_LINES:
                return
            self._lines.add(line)
        self._links.labels(line).set(count)

    def connected(self, dialect: str) -> None:
        """Count a link that opened."""
        self._connects.inc(dialect)

    def refused(self, status: int) -> None:
        """Count an upgrade that was refused."""
        self._refused.inc(str(status))

    # -- the process -------------------------------------------------------------------------

    def auth_failed(self) -> None:
        """Count a wrong token."""
        self.auth_failures.inc()

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop was, every time."""
        if seconds > self._lag_max_s:
            self._lag_max_s = seconds
            self.loop_lag_max.set(seconds)

    def stalled(self, seconds: float, *, is_ours: bool) -> None:
        """Count a time in which the loop was too late; `is_ours`: it was blocked."""
        self.loop_stalls.inc()
        if is_ours:
            self.loop_blocked.inc()
            if seconds > self._blocked_max_s:
                self._blocked_max_s = seconds
                self.loop_blocked_max.set(seconds)

    def running(self, tasks: int, threads: int) -> None:
        """Show how much runs in the process."""
        self.tasks.set(tasks)
        self.threads.set(threads)

    def log_dropped(self, lines: int) -> None:
        """Count log lines that were lost."""
        self.log_drops.inc(lines)

    def disk(self, free_bytes: int, *, is_low: bool) -> None:
        """Show the space of the data folder."""
        self.free_bytes.set(free_bytes)
        self.disk_low.set(1 if is_low else 0)

    def render(self) -> bytes:
        """Return everything as Prometheus text."""
        return generate_latest(self.registry)
