"""`http.md`: what the main port answers, from the live application's own router and OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route as PlainRoute

from trunkline.clock import FakeClock
from trunkline.dialects.registry import DIALECTS
from trunkline.model.segment import Segment
from trunkline.web.app import make_app
from trunkline.web.auth import FAILURE_WINDOW_S, LOCK_OUT_S, MAX_FAILURES, OPEN, OPEN_HERE, Access
from trunkline.web.body import BODY_TIMEOUT_S, MAX_BODY_BYTES, UPLOADS
from trunkline.web.live import HEARTBEAT_S, MAX_VIEWERS, MAX_WAITING, Live
from trunkline.web.services import Services

from .tables import code, first_line, head, table

# Routes of the framework have no docstring of ours.
PLAIN_WORDS: Final = {"/openapi.json": "Describe the interface as OpenAPI."}
_HIDDEN: Final = frozenset({"HTTPValidationError", "ValidationError"})


def render() -> str:
    """Return the page."""
    app = make_router()
    document = app.openapi()
    uploads = "; ".join(f"{code(path)}: {limit >> 20} MiB" for path, limit in UPLOADS.items())
    return "\n\n".join((
        head(
            "HTTP",
            "Everything is on the main port (`[server]`). A route that is not *open* needs the "
            "header `Authorization: Bearer TOKEN`, where TOKEN is what `api.token` in the data "
            "folder holds; it is made at the first start. What goes wrong is answered by a "
            "problem document ([errors.md](errors.md)).",
        ),
        "## Routes",
        table(("method", "path", "access", "what it does"), list(_routes(app))),
        "Lines are served beside these, as WebSockets: "
        + "; ".join(_doors())
        + " (unless the line has other paths or a `bind` of its own). A plain GET there is "
        "answered 426.",
        f"A body holds at most {MAX_BODY_BYTES >> 20} MiB ({uploads}) and must arrive within "
        f"{BODY_TIMEOUT_S:g} s. {MAX_FAILURES} wrong tokens of one address within "
        f"{FAILURE_WINDOW_S:g} s are answered 429 for {LOCK_OUT_S / 60:g} minutes; loopback is not "
        "counted. A request whose `Host` is neither an IP address, `localhost`, the bind host nor "
        "in `[server] allowed_hosts` is answered 421.",
        "## Parameters",
        table(("route", "name", "in", "type"), list(_parameters(document))),
        "A list is given by repeating the name: `?state=uncertain&state=dead`. `cursor` of one "
        'page gives the next one; `""` is the end. A page may be short although more follow.',
        "## Live streams",
        "`/api/v1/feed` and `/api/v1/lines/{name}/frames` are server-sent events, at most once: "
        f"at most {MAX_WAITING} events wait for a viewer, then the oldest go and an event `gap` "
        f"tells how many, with the id after which the rest can be listed. A comment every "
        f"{HEARTBEAT_S:g} s keeps the connection alive, an event `end` says that the server stops. "
        f"At most {MAX_VIEWERS} streams are open.",
        "## Shapes",
        "\n\n".join(_shapes(document)),
        "### Segments",
        "What a list in `message` holds: objects with `type` and these fields. Bytes are base64. "
        "A field with a default may be left out.",
        table(("`type`", "fields", "what it is"), list(_segments())),
    )) + "\n"  # fmt: skip


def make_router() -> FastAPI:
    """Make the application. No route is called, so it gets none of the house's services."""
    nothing: Any = None
    return make_app(
        Services(
            store=nothing, desk=nothing, fleet=nothing, health=nothing, metrics_text=nothing,
            clock=FakeClock(), access=Access(token_sha256=b""), live=Live(), rules=nothing,
            tail=nothing, facts=nothing, accounts=nothing,
        )
    )  # fmt: skip


def _routes(app: FastAPI) -> Iterable[tuple[str, ...]]:
    methods: dict[tuple[str, str], list[str]] = {}
    for route in app.routes:
        if isinstance(route, APIRoute):
            said = first_line(route.endpoint)
        elif isinstance(route, PlainRoute):
            said = PLAIN_WORDS[route.path]
        else:
            raise SystemExit(f"no words for the route {route!r}")
        methods.setdefault((route.path, said), []).extend(sorted(route.methods or ()))
    for (path, said), found in methods.items():
        yield " ".join(dict.fromkeys(found)), code(path), _access(path), said


def _access(path: str) -> str:
    if path in OPEN_HERE:
        return "open on loopback, else token"
    return "open" if path in OPEN else "token"


def _doors() -> Iterable[str]:
    for dialect in DIALECTS.values():
        paths = ", ".join(map(code, dialect.paths(dialect.options(dialect=dialect.name))))
        yield f"{dialect.name} {paths}"


def _operations(document: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield code(f"{method.upper()} {path}"), operation


def _parameters(document: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for where, operation in _operations(document):
        for one in operation.get("parameters", ()):
            if one["in"] != "path":
                yield where, code(one["name"]), one["in"], _type(one["schema"])
        body = operation.get("requestBody")
        if body is not None:
            schema = body["content"]["application/json"]["schema"]
            yield where, "", "body", _type(schema)


def _shapes(document: Mapping[str, Any]) -> Iterable[str]:
    for name, schema in document["components"]["schemas"].items():
        if name in _HIDDEN:
            continue
        required = set(schema.get("required", ()))
        rows = [
            (code(key), _type(value) + ("" if key in required else ", may be left out"))
            for key, value in schema["properties"].items()
        ]
        said = " ".join(schema.get("description", "").split())
        yield f"### {name}\n\n{said}\n\n{table(('field', 'type'), rows)}"


def _segments() -> Iterable[tuple[str, ...]]:
    for kind in get_args(Segment):
        fields = [
            code(one.name) + ("" if one.required else f" ({one.default!r})")
            for one in msgspec.structs.fields(kind)
        ]
        shown = ", ".join(fields).replace("b''", "none").replace("''", "none")
        yield code(kind.__struct_config__.tag), shown, first_line(kind)


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " · ".join(code(str(value)) for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    words = [kind]
    bounds = (("minimum", "≥ {}"), ("maximum", "≤ {}"), ("maxLength", "at most {} characters"),
              ("default", "default {}"))  # fmt: skip
    words += [form.format(schema[key]) for key, form in bounds if schema.get(key) not in (None, "")]
    return ", ".join(words)
