"""Everything is there at zero; labels come from closed sets whatever is counted."""

import pytest

from trunkline.telemetry.metrics import MAX_BEATS, MAX_LINES, Metrics


@pytest.fixture
def metrics():
    return Metrics(version="1.2.3")


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"trunkline_{name}", labels)


def count_series(metrics):
    return sum(len(list(family.samples)) for family in metrics.registry.collect())


def test_everything_is_created_at_zero(metrics):
    text = metrics.render().decode()
    for name in (
        "exchange_events_total", "exchange_duplicates_total", "exchange_dead_total",
        'exchange_verdicts_total{stage="rules",verdict="reply"}', "exchange_beat_events_count",
        "exchange_commit_seconds_count", "exchange_queue_events",
        'outbox_deliveries_total{outcome="confirmed"}', "outbox_uncertain",
        'lines_rejected_frames_total{dialect="maim",reason="not_json"}',
        'lines_refused_upgrades_total{status="429"}', "web_auth_failures_total",
        "app_loop_lag_max_seconds", "app_loop_stalls_total",
        "telemetry_log_lines_dropped_total", "store_disk_low",
    ):  # fmt: skip
        assert f"trunkline_{name} 0.0\n" in text, name
    assert 'trunkline_info{version="1.2.3"} 1.0' in text


def test_a_beat(metrics):
    metrics.beat(
        events=3, seconds=0.0004, verdicts={"rules:reply": 2, "guard:stop": 1}, duplicates=1, dead=1
    )
    assert value(metrics, "exchange_events_total") == 3
    assert value(metrics, "exchange_verdicts_total", stage="rules", verdict="reply") == 2
    assert value(metrics, "exchange_verdicts_total", stage="guard", verdict="stop") == 1
    assert value(metrics, "exchange_beat_events_sum") == 3
    assert value(metrics, "exchange_commit_seconds_bucket", le="0.0005") == 1
    assert value(metrics, "exchange_duplicates_total") == 1
    assert value(metrics, "exchange_dead_total") == 1


def test_beats_are_added_up_also_when_nobody_looks(metrics):
    for _ in range(3 * MAX_BEATS):
        metrics.beat(events=2, seconds=0.001, verdicts={"rules:reply": 2}, duplicates=0, dead=0)
        assert len(metrics._beats.commits) < MAX_BEATS
    assert value(metrics, "exchange_events_total") == 6 * MAX_BEATS
    assert (
        value(metrics, "exchange_verdicts_total", stage="rules", verdict="reply") == 6 * MAX_BEATS
    )


def test_words_outside_the_sets_count_as_other(metrics):
    before = count_series(metrics)
    for number in range(50):
        metrics.beat(
            events=1, seconds=1, verdicts={f"plugin{number}:reply": 1}, duplicates=0, dead=0
        )
        metrics.noticed("maim", f"rejected:odd{number}")
        metrics.noticed(f"dialect{number}", f"kind{number}")
        metrics.refused(600 + number)
        metrics.outcomes({f"lost{number}": 1})
        metrics.connected(f"dialect{number}")
    assert count_series(metrics) == before
    assert value(metrics, "exchange_verdicts_total", stage="other", verdict="other") == 50
    assert value(metrics, "lines_rejected_frames_total", dialect="maim", reason="other") == 50
    assert value(metrics, "lines_notices_total", dialect="other", kind="other") == 50
    assert value(metrics, "lines_refused_upgrades_total", status="other") == 50


def test_rejected_frames_count_by_dialect_and_reason(metrics):
    metrics.noticed("contact", "rejected:invalid_json")
    metrics.noticed("contact", "warned:text_coerced")
    rejected = value(
        metrics, "lines_rejected_frames_total", dialect="contact", reason="invalid_json"
    )
    assert rejected == 1
    assert value(metrics, "lines_notices_total", dialect="contact", kind="warned") == 1


def test_gauges_of_rows_lines_and_disk(metrics):
    metrics.rows({"outbox.uncertain": 4, "outbox.queued": 2, "inbox.dead": 1})
    metrics.links("blog", 3)
    metrics.disk(12345, is_low=True)
    metrics.queued(9)
    assert value(metrics, "outbox_uncertain") == 4
    assert value(metrics, "outbox_rows", state="queued") == 2
    assert value(metrics, "inbox_dead") == 1
    assert value(metrics, "lines_links", line="blog") == 3
    assert value(metrics, "store_disk_low") == 1
    assert value(metrics, "exchange_queue_events") == 9
    metrics.rows({})
    metrics.disk(12345, is_low=False)
    assert value(metrics, "outbox_uncertain") == 0
    assert value(metrics, "store_disk_low") == 0


def test_lines_are_bounded(metrics):
    for number in range(MAX_LINES + 5):
        metrics.links(f"line{number}", 1)
    before = count_series(metrics)
    metrics.links("one-more", 1)
    metrics.links("line0", 0)
    assert count_series(metrics) == before
    assert value(metrics, "lines_links", line="line0") == 0


def test_the_longest_lag_is_kept_and_stalls_are_counted_by_whose_they_are(metrics):
    for seconds in (0.01, 0.2, 0.06, 0.05):
        metrics.lagged(seconds)
    metrics.stalled(0.2, is_ours=False)
    metrics.stalled(0.07, is_ours=True)
    metrics.stalled(0.06, is_ours=True)
    assert value(metrics, "app_loop_lag_max_seconds") == 0.2
    assert value(metrics, "app_loop_stalls_total") == 3
    assert value(metrics, "app_loop_blocked_total") == 2
    assert value(metrics, "app_loop_blocked_max_seconds") == 0.07


def test_what_runs_is_shown(metrics):
    metrics.running(tasks=9, threads=4)
    assert value(metrics, "app_tasks") == 9
    assert value(metrics, "app_threads") == 4


def test_two_instances_share_nothing(metrics):
    metrics.auth_failed()
    metrics.log_dropped(2)
    other = Metrics()
    assert value(other, "web_auth_failures_total") == 0
    assert value(metrics, "telemetry_log_lines_dropped_total") == 2
