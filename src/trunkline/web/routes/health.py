"""Probes and metrics. Without the token a probe tells its status and nothing else."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import Request, Response

from trunkline.web.services import HealthReport, Using

from .table import GET, PROBE, Route

_encoder = msgspec.json.Encoder()


async def show_live(services: Using, request: Request) -> Response:
    """Tell whether this process works at all."""
    report = services.health()
    return _answer(request, report, is_good=report.is_live)


async def show_ready(services: Using, request: Request) -> Response:
    """Tell whether this process may get traffic."""
    report = services.health()
    return _answer(request, report, is_good=report.is_ready)


async def show_metrics(services: Using) -> Response:
    """Return the metrics as Prometheus text."""
    text = await services.metrics_text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _answer(request: Request, report: HealthReport, *, is_good: bool) -> Response:
    document: dict[str, Any] = {"status": "ok" if is_good else "failing"}
    if request.state.is_authorized:
        document["problems"] = list(report.problems)
        document["notes"] = list(report.notes)
    return Response(_encoder.encode(document), 200 if is_good else 503, None, "application/json")


ROUTES: Final = (
    Route(PROBE, "/livez", show_live),
    Route(PROBE, "/healthz", show_live, is_documented=False),
    Route(PROBE, "/readyz", show_ready),
    Route(GET, "/metrics", show_metrics),
)
