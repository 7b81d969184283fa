from __future__ import annotations

from asgi import call
from trunkline.web.app import make_app
from trunkline.web.auth import OPEN, OPEN_HERE
from web_stand import TOKEN, make_services


async def test_openapi_is_behind_the_key_and_names_every_documented_route() -> None:
    app = make_app(make_services())
    assert (await call(app, "GET", "/openapi.json")).status == 401
    document = (await call(app, "GET", "/openapi.json", token=TOKEN)).json()
    live = {
        (route.path_format, method.lower())  # type: ignore[attr-defined]
        for route in app.routes
        for method in route.methods  # type: ignore[attr-defined]
        if route.include_in_schema  # type: ignore[attr-defined]
    }
    shown = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert live == shown
    for methods in document["paths"].values():
        assert all(operation["description"] for operation in methods.values())
    for path, methods in document["paths"].items():
        assert all(
            ("security" in operation) == (path not in OPEN | OPEN_HERE)
            for operation in methods.values()
        )


async def test_no_page_of_the_framework_is_served() -> None:
    app = make_app(make_services())
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert (await call(app, "GET", path, token=TOKEN)).status == 404


async def test_a_path_is_exact() -> None:
    app = make_app(make_services())
    for path in ("/demo/", "/livez/", "/api/v1/lines/", "//livez"):
        assert (await call(app, "GET", path, token=TOKEN)).status == 404


async def test_head_is_served_where_probes_use_it() -> None:
    app = make_app(make_services())
    for path in ("/livez", "/healthz", "/readyz", "/demo"):
        answer = await call(app, "HEAD", path)
        assert answer.status == 200
