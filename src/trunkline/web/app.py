"""Builds the ASGI application: routes from their tables, and who stands before them.

From the outside in: security headers, `Guard` (who may come in), `BodyLimit`, the router.
"""

from __future__ import annotations

import importlib

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.routing import Match
from starlette.types import Scope

from trunkline import __version__

from .auth import OPEN, OPEN_HERE, Guard
from .body import BodyLimit
from .headers import SecurityHeaders
from .problem import add_handlers
from .routes import (
    broadcast,
    conversations,
    deliveries,
    demo,
    events,
    feed,
    health,
    lines,
    messages,
    rules,
    xianyu,
)
from .routes.table import Route
from .services import Services

TABLES = (
    demo.ROUTES, health.ROUTES, lines.ROUTES, conversations.ROUTES, messages.ROUTES,
    deliveries.ROUTES, broadcast.ROUTES, rules.ROUTES, events.ROUTES, feed.ROUTES,
    xianyu.ROUTES,
)  # fmt: skip

__all__ = ["Services", "make_app"]


def make_app(services: Services) -> FastAPI:
    """Make the application that serves everything but the lines' sockets."""
    # Starlette has it imported during the first request, and the loop is blocked meanwhile.
    importlib.import_module("anyio._backends._asyncio")
    app = FastAPI(
        title="trunkline",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    for table in TABLES:
        for route in table:
            _add(app, route)
    add_handlers(app)

    def is_route(scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in app.routes)

    # The last one added is the outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(
        Guard,
        access=services.access,
        clock=services.clock,
        is_route=is_route,
        on_failure=services.count_auth_failure,
    )
    app.add_middleware(SecurityHeaders)
    return app


def _add(app: FastAPI, route: Route) -> None:
    # `Guard` decides; the scheme only tells readers of OpenAPI which routes need the token.
    needs_token = [] if route.path in OPEN | OPEN_HERE else [Security(HTTPBearer(auto_error=False))]
    for method in route.methods:
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[method],
            status_code=route.status,
            include_in_schema=route.is_documented and method != "HEAD",
            dependencies=needs_token,
        )
