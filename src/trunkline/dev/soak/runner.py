"""One soak: start the product, let the town talk, sample, stop, judge."""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from trunkline.dev.torture.process import CONFIG, SAID, Product
from trunkline.telemetry.logs import ROOT

from .gauge import Sample, Verdict, judge, read_data_bytes, read_process
from .model import ModelStub
from .town import Town

MOST_SCALE: Final = 100_000.0  # that the configuration takes
SAMPLES_AT_LEAST: Final = 60
SAMPLE_S: Final = 5.0
LONGEST_DAYS: Final = 30.0  # reliability 3: dead letters; then everything is forgotten some time
STOP_S: Final = 20.0
BLOCKED: Final = "event loop blocked"
MAX_BLOCKED: Final = 20
SHOW_EVERY_S: Final = 30.0
TROUBLE: Final = ("Traceback (most recent call last)", "never awaited", "task failed")

_CONFIG: Final = """\
[server]
host = "127.0.0.1"

[log]
rotate = "1MB"
keep = 2

[dev]
clock_scale = {scale}

[assistant]
base_url = "{model}"
model = "soak"
timeout_s = 2
lines = ["core"]
per_minute = 1000
per_day = 100000

[lines.blog]
dialect = "contact"
retention_days = 7

[lines.core]
dialect = "maim"
path = "/ws"
retention_days = 7

[[rules]]
name = "echo"
match = "any"
except = ["model:", "boom", "hang"]
reply = "re {{send_message}}"

[[default_replies]]
reply = "nobody knows"
"""
_PLUGIN: Final = """\
import asyncio
from trunkline import Message, Router

router = Router()

@router.keyword("boom")
async def boom(msg: Message) -> str:
    raise ValueError("as planned")

@router.keyword("hang", timeout="1s")
async def hang(msg: Message) -> str:
    await asyncio.sleep(60)
    return "too late"
"""


class Result(msgspec.Struct, frozen=True):
    """What a soak brought.

    Args:
        town: what everybody did and saw.
        metrics: of the product at the end.
        blocked: the first lines of its log that say what blocked its event loop.
    """

    minutes: float
    clock_scale: float
    verdict: Verdict
    samples: tuple[Sample, ...]
    town: dict[str, int]
    metrics: dict[str, float]
    blocked: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether it passed."""
        return not self.verdict.problems

    def to_json(self, *, has_samples: bool) -> bytes:
        """Return it as one line of JSON."""
        facts: dict[str, Any] = {
            "passed": self.is_clean,
            "problems": self.verdict.problems,
            "minutes": self.minutes,
            "clock_scale": self.clock_scale,
            "medians": self.verdict.medians,
            "town": self.town,
            "metrics": self.metrics,
            "blocked": self.blocked,
        }
        if has_samples:
            facts["samples"] = self.samples
        return msgspec.json.encode(facts)


def default_scale(minutes: float) -> float:
    """Return a clock scale at which everything is forgotten from the end of the first third on."""
    scale = LONGEST_DAYS * 86_400 / (minutes * 60 / 3.5)
    return round(min(max(1.0, scale), MOST_SCALE), 1)


async def run_soak(minutes: float, scale: float, seed: int, show: Callable[[str], None]) -> Result:
    """Run one soak in a temporary folder.

    Args:
        scale: of the product's wall clock; 0 = `default_scale`.
        show: told now and then how far it is.
    """
    ROOT.threshold = logging.ERROR  # the oddities that people meet here are planned
    scale = scale or default_scale(minutes)
    chance = random.Random(seed)  # noqa: S311 - repeats a load, keeps no secret
    model = ModelStub(chance)
    await model.start()
    with tempfile.TemporaryDirectory(prefix="trunkline-soak-") as name:
        folder = Path(name)
        _write(folder, scale, model.url)
        product = await Product.prepare(folder)
        try:
            product.launch({})
            url = await product.ready()
            token = (folder / "api.token").read_text("utf-8").strip()
            town = Town(url, token, chance)
            town.start()
            samples, metrics = await _sample(product, folder, town, minutes * 60, show)
            await town.stop()
            problems = await _stop(product)
            text = await asyncio.to_thread(_read_logs, folder)
        finally:
            product.kill()
            await model.stop()
    verdict = judge(samples)
    problems += [f"its log has {words!r}" for words in TROUBLE if words in text]
    problems += _seen(town.tally)
    verdict = msgspec.structs.replace(verdict, problems=(*verdict.problems, *problems))
    blocked = list(dict.fromkeys(line for line in text.splitlines() if BLOCKED in line))
    return Result(
        minutes, scale, verdict, tuple(samples), town.tally, metrics, tuple(blocked[:MAX_BLOCKED])
    )


def _write(folder: Path, scale: float, model: str) -> None:
    (folder / CONFIG).write_text(_CONFIG.format(scale=scale, model=model), "utf-8")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "faulty.py").write_text(_PLUGIN, "utf-8")


async def _sample(
    product: Product, folder: Path, town: Town, seconds: float, show: Callable[[str], None]
) -> tuple[list[Sample], dict[str, float]]:
    every_s = min(SAMPLE_S, seconds / SAMPLES_AT_LEAST)
    begun_s = time.monotonic()
    shown_s = 0.0
    samples: list[Sample] = []
    metrics: dict[str, float] = {}
    while (at_s := time.monotonic() - begun_s) < seconds:
        await asyncio.sleep(every_s)
        metrics = parse_metrics((await town.api.ask("/metrics")).body.decode("utf-8", "replace"))
        rss, descriptors, threads = read_process(product.pid)
        samples.append(
            Sample(
                round(at_s, 1), rss, descriptors, int(metrics.get("trunkline_app_tasks", 0)),
                threads, read_data_bytes(folder),
                int(metrics.get("trunkline_exchange_events_total", 0)),
            )
        )  # fmt: skip
        if at_s - shown_s >= SHOW_EVERY_S:
            shown_s = at_s
            last = samples[-1]
            show(
                f"{at_s / 60:.1f} min: {last.events} events, {last.rss_bytes >> 20} MiB, "
                f"{last.descriptors} descriptors, {last.tasks} tasks, "
                f"data {last.data_bytes / (1 << 20):.1f} MiB"
            )
    return samples, metrics


async def _stop(product: Product) -> list[str]:
    """End the product as an operator does."""
    product.terminate()
    return [] if await product.ends_within(STOP_S) else [f"it did not stop within {STOP_S} s"]


def _read_logs(folder: Path) -> str:
    paths = (folder / SAID, *folder.glob("trunkline.log*"))
    return "".join(path.read_text("utf-8", "replace") for path in paths if path.exists())


def _seen(tally: dict[str, int]) -> list[str]:
    """Return what people must not have seen.

    An adapter that comes back after a cut gets what waited for its platform, answers to questions
    of before; its world counts those as doubled. A visitor is somebody else after a cut.
    """
    problems = ["visitors got an answer twice"] if tally.get("visitors.doubled") else []
    problems += [
        f"{group} got no answers"
        for group in ("visitors", "adapters")
        if not tally.get(f"{group}.answered")
    ]
    return problems


def parse_metrics(text: str) -> dict[str, float]:
    """Return the numbers without labels of a Prometheus page."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name.startswith("trunkline_") and "{" not in name:
            found[name] = float(value)
    return found
