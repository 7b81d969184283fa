"""The chat page at `/demo`: three packaged files, no load from elsewhere, strict policy."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import Response
from starlette.responses import RedirectResponse

from trunkline.web.services import Using

from .table import PROBE, Route

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def show_root() -> Response:
    """Lead to the demo page until there is a console."""
    return RedirectResponse("/demo", 307)


async def show_page() -> Response:
    """Return the page."""
    return _file("index.html", "text/html; charset=utf-8")


async def show_script() -> Response:
    """Return the page's script."""
    return _file("app.js", "text/javascript; charset=utf-8")


async def show_style() -> Response:
    """Return the page's style sheet."""
    return _file("style.css", "text/css; charset=utf-8")


async def show_icon() -> Response:
    """Return the page's icon."""
    return _file("icon.svg", "image/svg+xml")


async def show_settings(services: Using) -> dict[str, Any]:
    """Tell the page where the contact line listens; "" when there is none."""
    return {"path": services.demo_path}


def _file(name: str, media_type: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(_read(name), 200, headers, media_type)


@cache
def _read(name: str) -> bytes:
    return files("trunkline.web").joinpath("demo", name).read_bytes()


ROUTES: Final = (
    Route(PROBE, "/", show_root, is_documented=False),
    Route(PROBE, "/demo", show_page, is_documented=False),
    Route(PROBE, "/demo/app.js", show_script, is_documented=False),
    Route(PROBE, "/demo/style.css", show_style, is_documented=False),
    Route(PROBE, "/demo/icon.svg", show_icon, is_documented=False),
    Route(PROBE, "/demo/settings.json", show_settings, is_documented=False),
)
