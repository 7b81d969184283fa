"""maim_message 0.6.8, the published package, as adapters of our core.

Its `Router` runs in an environment of its own (`maim_client.py`) and holds two platforms. Source:
maim 2 … 5, 11
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from typing import Any

import pytest

import product
from maim_peer import Child
from peers import maim_message, maim_text

pytestmark = pytest.mark.real

CONFIG = """\
[lines.core]
dialect = "maim"
role = "core"
link = "listen"
path = "/ws"
token = "token-of-the-core"

[[rules]]
name = "picture"
match = "exact"
keywords = ["send me a picture"]
reply = "here it is"
image = "picture.png"
priority = 10

[[rules]]
name = "echo"
match = "any"
reply = "收到：{send_message}"
"""
TOKEN = "token-of-the-core"


class Package(Child):
    """The child process with the package's router."""

    def __init__(self, python: str) -> None:
        super().__init__(python, "maim_client.py")

    def route(self, site: product.Product, *platforms: str) -> None:
        """Connect a router with these platforms."""
        target = {"url": site.socket("/ws"), "token": TOKEN}
        self.order("route", routes=dict.fromkeys(platforms, target))
        event = self.next()
        assert event["event"] == "connected", (event, "".join(self.said[-40:]))

    def send(self, message: dict[str, Any]) -> None:
        """Send a message with the package."""
        self.order("send", message=message)

    def received(self, count: int) -> list[dict[str, Any]]:
        """Return so many frames; every message sent meanwhile must have been accepted."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            event = self.next()
            if event["event"] == "sent":
                assert event["ok"] is True, event
                continue
            assert event["event"] == "received", event
            found.append(event)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[product.Product]:
    folder = tmp_path_factory.mktemp("maim")
    (folder / "picture.png").write_bytes(PNG)
    with product.serving(folder, CONFIG) as running:
        yield running


@pytest.fixture
def package(maim_python: str) -> Iterator[Package]:
    child = Package(maim_python)
    try:
        yield child
    finally:
        child.close()


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def _check_strict(event: dict[str, Any], platform: str) -> None:
    """What strict cores and the package insist on. Source: maim 4.2, 4.4"""
    frame, parsed = event["frame"], event["parsed"]
    assert event["on"] == platform
    info = frame["message_info"]
    assert info["platform"] == platform
    assert info["message_id"]
    assert 1e9 < info["time"] < 1e11
    assert isinstance(info["user_info"]["user_id"], str)
    assert isinstance(info["user_info"]["user_nickname"], str)
    assert info["receiver_info"]["user_info"]["user_id"] == info["user_info"]["user_id"]
    assert frame["message_segment"]["type"] == "seglist"
    assert all(part["type"] != "seglist" for part in frame["message_segment"]["data"])
    assert parsed["message_info"]["message_id"] == info["message_id"]
    assert parsed["message_segment"] == frame["message_segment"]


def test_answers_go_to_the_platform_that_asked_and_to_no_other(
    site: product.Product, package: Package
) -> None:
    package.route(site, "qq", "平台甲")
    for nth in range(20):
        for platform in ("qq", "平台甲"):
            package.send(maim_message(f"{platform} {nth}", platform=platform, group="g1"))
    got = package.received(40)
    for platform in ("qq", "平台甲"):
        mine = [event for event in got if event["on"] == platform]
        assert [maim_text(e["frame"]) for e in mine] == [f"收到：{platform} {n}" for n in range(20)]
        for event in mine:
            _check_strict(event, platform)
            assert event["frame"]["message_info"]["group_info"]["group_id"] == "g1"


def test_every_segment_kind_arrives_and_is_answered(
    site: product.Product, package: Package
) -> None:
    picture = base64.b64encode(PNG + random.Random(3).randbytes(200_000)).decode()
    nested = {"type": "seglist", "data": [
        {"type": "text", "data": "b"},
        {"type": "seglist", "data": [{"type": "text", "data": "c"}]},
        {"type": "text", "data": "d"},
    ]}  # fmt: skip
    cases: dict[str, list[dict[str, Any]]] = {
        "text": [{"type": "text", "data": "a 😀 \"quoted\"\nline"}],
        "picture": [{"type": "text", "data": "look"}, {"type": "image", "data": picture}],
        "at": [{"type": "at", "data": "42"}, {"type": "text", "data": "hey"}],
        "reply": [{"type": "reply", "data": "m-1"}, {"type": "text", "data": "yes"}],
        "nested": [{"type": "text", "data": "a"}, nested],
        "unknown": [{"type": "hologram", "data": {"x": 1}}, {"type": "text", "data": "so"}],
    }  # fmt: skip
    texts = {
        "text": "a 😀 \"quoted\"\nline", "picture": "look", "at": "hey", "reply": "yes",
        "nested": "abcd", "unknown": "so",
    }  # fmt: skip
    package.route(site, "kinds", "other")
    for name, segments in cases.items():
        package.send(maim_message("", platform="kinds", ident=f"kind-{name}", segments=segments))
        (event,) = package.received(1)
        _check_strict(event, "kinds")
        assert maim_text(event["frame"]) == f"收到：{texts[name]}", name


def test_a_picture_of_a_rule_arrives_byte_for_byte(site: product.Product, package: Package) -> None:
    package.route(site, "pictures")
    package.send(maim_message("send me a picture", platform="pictures"))
    (event,) = package.received(1)
    _check_strict(event, "pictures")
    images = [p["data"] for p in event["frame"]["message_segment"]["data"] if p["type"] == "image"]
    assert [base64.b64decode(data) for data in images] == [PNG]


def test_a_second_router_of_the_same_platform_takes_over(
    site: product.Product, maim_python: str, package: Package
) -> None:
    package.route(site, "twins")
    package.send(maim_message("first", platform="twins"))
    package.received(1)
    newer = Package(maim_python)
    try:
        newer.route(site, "twins")
        newer.send(maim_message("second", platform="twins"))
        (event,) = newer.received(1)
        assert maim_text(event["frame"]) == "收到：second"
        assert package.events.empty()
    finally:
        newer.close()


@pytest.mark.parametrize("authorization", ["wrong", "", None])
def test_a_bad_token_is_closed_with_1008(
    site: product.Product, package: Package, authorization: str | None
) -> None:
    headers = {"platform": "qq"}
    if authorization is not None:
        headers["Authorization"] = authorization
    package.order("probe", url=site.socket("/ws"), headers=headers)
    event = package.next()
    assert event["event"] == "closed"
    assert event["code"] == 1008
    assert event["reason"] == "Invalid or missing token"
