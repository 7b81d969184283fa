from __future__ import annotations

import re
from importlib.resources import files

import pytest

from asgi import call
from trunkline.web.app import make_app
from web_stand import make_services

PAGE = files("trunkline.web").joinpath("demo")
FILES = {
    "/demo": "text/html; charset=utf-8",
    "/demo/app.js": "text/javascript; charset=utf-8",
    "/demo/style.css": "text/css; charset=utf-8",
    "/demo/icon.svg": "image/svg+xml",
}


def read(name: str) -> str:
    return PAGE.joinpath(name).read_text("utf-8")


async def test_the_root_leads_to_the_page() -> None:
    answer = await call(make_app(make_services()), "GET", "/")
    assert (answer.status, answer.headers["location"]) == (307, "/demo")


@pytest.mark.parametrize("path", FILES)
async def test_the_files_are_served_under_a_strict_policy(path: str) -> None:
    answer = await call(make_app(make_services()), "GET", path)
    assert answer.status == 200
    assert answer.headers["content-type"] == FILES[path]
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws: wss:"
    assert policy["frame-ancestors"] == "'none'"


@pytest.mark.parametrize("path", ["/contact", "", "ws://127.0.0.1:9000/contact"])
async def test_the_page_is_told_where_the_line_listens(path: str) -> None:
    answer = await call(make_app(make_services(demo_path=path)), "GET", "/demo/settings.json")
    assert answer.json() == {"path": path}


def test_nothing_is_loaded_from_elsewhere_and_nothing_stands_inline() -> None:
    page = read("index.html")
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links
    assert all(link in FILES for link in links)
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r"\son\w+=", page)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [""]
    assert "url(" not in read("style.css")
    assert "@import" not in read("style.css")
    assert "http:" not in read("app.js").replace('"https:"', "")


def test_the_script_shows_text_nodes_only() -> None:
    script = read("app.js")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert word not in script


def test_both_languages_have_the_same_texts() -> None:
    script = read("app.js")
    chinese, english = (
        set(re.findall(r"(\w+): \"", re.search(rf"  {code}: {{(.*?)\n  }},", script, re.DOTALL)[1]))  # type: ignore[index]
        for code in ("zh", "en")
    )
    assert chinese == english
    assert len(chinese) > 20
    assert set(re.findall(r'data-text="(\w+)"', read("index.html"))) <= chinese


def test_what_people_with_helpers_need_is_there() -> None:
    page = read("index.html")
    assert '<label class="hidden" for="input"' in page
    assert 'role="log"' in page
    assert 'role="status"' in page
    assert "isComposing" in read("app.js")
    assert "prefers-color-scheme: dark" in read("style.css")
    assert "prefers-reduced-motion" in read("style.css")


def test_the_timers_are_those_of_the_contract() -> None:
    script = read("app.js")
    assert "RECONNECT_S = 5;" in script
    assert "PING_S = 25;" in script
