"""What a row of a route table is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Route(NamedTuple):
    """One route.

    Args:
        endpoint: its docstring's first sentence is the description in OpenAPI, its return
            annotation the answer's shape.
        is_documented: whether OpenAPI lists it.
    """

    methods: tuple[str, ...]
    path: str
    endpoint: Callable[..., Any]
    status: int = 200
    is_documented: bool = True


GET = ("GET",)
POST = ("POST",)
PUT = ("PUT",)
DELETE = ("DELETE",)
PROBE = ("GET", "HEAD")
