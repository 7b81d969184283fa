"""The chat page in a real browser: typed by keys, answered, readable on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

import devtools
import product

pytestmark = pytest.mark.real

CONFIG = """\
[lines.blog]
dialect = "contact"

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
THEIRS = "[...document.querySelectorAll('.message.theirs .bubble')].map(b => b.textContent)"


@pytest.mark.parametrize("name", SIZES)
def test_the_demo_page_answers(tmp_path: Path, chromium: str, name: str) -> None:
    width, height = SIZES[name]
    with (
        product.serving(tmp_path / "data", CONFIG) as site,
        devtools.browser(chromium, tmp_path / "profile") as page,
    ):
        page.open(site.url + "/", width, height)  # leads to /demo
        assert page.evaluate("location.pathname") == "/demo"
        page.wait("document.querySelector('[data-state]').dataset.state === 'connected'")
        page.evaluate("document.getElementById('input').focus()")
        for words in ("你好 <b>world</b> & 😀", "second"):
            page.type(words)
            page.press_enter()
        page.wait(f"{THEIRS}.length === 2")
        assert page.evaluate(THEIRS) == ["收到：你好 <b>world</b> & 😀", "收到：second"]
        assert page.evaluate("document.querySelectorAll('#log b').length") == 0  # text, not HTML
        page.wait("document.querySelectorAll('.message.mine').length === 2")
        marks = "[...document.querySelectorAll('.message.mine .meta')].map(m => m.textContent)"
        assert all("✔" in mark for mark in page.evaluate(marks))
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"the page is {wide} px wide on a screen of {width}"
        box = "document.getElementById('input').getBoundingClientRect()"
        assert page.evaluate(f"{box}.bottom <= innerHeight && {box}.left >= 0 && {box}.top > 0")
        page.screenshot(tmp_path / f"demo-{name}.png")
        assert (tmp_path / f"demo-{name}.png").stat().st_size > 5_000
        assert page.complaints == []


def test_the_page_comes_back_after_a_restart(tmp_path: Path, chromium: str) -> None:
    """Contact 7: pages reconnect after 5 s."""
    folder = tmp_path / "data"
    with devtools.browser(chromium, tmp_path / "profile") as page:
        with product.serving(folder, CONFIG) as site:
            port = site.port
            page.open(site.url + "/demo", 800, 600)
            page.wait("document.querySelector('[data-state]').dataset.state === 'connected'")
        page.wait("document.querySelector('[data-state]').dataset.state === 'reconnecting'")
        with product.serving(folder, CONFIG, port=port):
            page.wait("document.querySelector('[data-state]').dataset.state === 'connected'")
            page.evaluate("document.getElementById('input').focus()")
            page.type("again")
            page.press_enter()
            page.wait(f"{THEIRS}.length === 1")
            assert page.evaluate(THEIRS) == ["收到：again"]


def test_a_reload_shows_the_history_and_nothing_twice(tmp_path: Path, chromium: str) -> None:
    """Contact 9.1: reload must not empty the chat; two tabs with one token."""
    folder = tmp_path / "data"
    mine = THEIRS.replace("theirs", "mine")
    ready = "document.querySelector('[data-state]').dataset.state === 'connected'"
    said = ["one", "two"]
    with devtools.browser(chromium, tmp_path / "profile") as page:
        with product.serving(folder, CONFIG) as site:
            port = site.port
            page.open(site.url + "/demo", 800, 600)
            page.wait(ready)
            page.evaluate("document.getElementById('input').focus()")
            for nth, words in enumerate(said, 1):
                page.type(words)
                page.press_enter()
                page.wait(f"{THEIRS}.length === {nth}")
            page.call("Page.reload")
            page.wait(f"{ready} && {THEIRS}.length === 2")
            assert page.evaluate(mine) == said
            assert page.evaluate(THEIRS) == [f"收到：{words}" for words in said]
            order = "[...document.querySelectorAll('.bubble')].map(b => b.textContent)"
            assert page.evaluate(order) == ["one", "收到：one", "two", "收到：two"]
        page.wait("document.querySelector('[data-state]').dataset.state === 'reconnecting'")
        page.evaluate("document.getElementById('input').focus()")
        page.type("three")  # said while nobody listens
        page.press_enter()
        with product.serving(folder, CONFIG, port=port):
            page.wait(f"{ready} && {THEIRS}.length === 3")
            assert page.evaluate(mine) == [*said, "three"]
            page.call("Page.reload")
            page.wait(f"{ready} && {THEIRS}.length === 3")
            assert page.evaluate(mine) == [*said, "three"]
        assert [line for line in page.complaints if "WebSocket" not in line] == []
