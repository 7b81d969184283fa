"""`metrics.md`: every metric of the process, from a fresh registry."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Metric

from trunkline.telemetry.metrics import Metrics
from trunkline.telemetry.watchdog import BLOCKED_S

from .tables import code, head, table

_LINE = "NAME"


def render() -> str:
    """Return the page."""
    metrics = Metrics(version="VERSION")
    metrics.links(
        _LINE, 0
    )  # the one label that is not created at zero: lines have names of their own
    families = list(metrics.registry.collect())
    rows = [
        (code(_name(family)), family.type, _labels(family), family.documentation)
        for family in families
    ]
    values = [
        (code(_name(family)), code(label), ", ".join(map(code, found)))
        for family in families
        for label, found in _values(family).items()
        if len(found) > 1
    ]
    return "\n\n".join((
        head(
            "Metrics",
            "`GET /metrics` as Prometheus text; it needs the API token, as everything under `/api` "
            "does. Every metric is there from the start, at zero. A label holds a word of a closed "
            "set (what is not in it counts as `other`) or the name of a line, never a person, a "
            "conversation or a text.",
        ),
        table(("metric", "type", "labels", "meaning"), rows),
        f"The event loop is too late when it comes round more than {BLOCKED_S * 1000:g} ms after "
        "its time (`trunkline_app_loop_stalls_total`). It was *blocked* when its own thread worked "
        "or waited meanwhile; else the machine gave it no processor. What ran is in the log: "
        "`event loop blocked`. `trunkline_outbox_*` and `trunkline_inbox_*` gauges are read from "
        "the store at each call and count up to 100,000.",
        "## Words of the labels",
        table(("metric", "label", "words"), values),
    )) + "\n"  # fmt: skip


def _name(family: Metric) -> str:
    return family.name + ("_total" if family.type == "counter" else "")


def _labels(family: Metric) -> str:
    return ", ".join(map(code, _values(family))) or "–"


def _values(family: Metric) -> dict[str, Sequence[str]]:
    """Return the words of each label, in the order they were made; the buckets are no label."""
    found: dict[str, dict[str, None]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le":
                found.setdefault(label, {})[value] = None
    return {label: list(words) for label, words in found.items()}
