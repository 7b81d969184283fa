"""maim_message 0.6.8, the published package, as the core that our adapter line dials.

Its `MessageServer` and its API-Server run in an environment of their own (`maim_server.py`).
Source: maim 2, 4, 7, 9, 11
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import product
from certificates import make_certificate
from maim_lines import strict_core_drops
from maim_peer import WAIT_S, Child, free_port, running
from peers import maim_text

pytestmark = pytest.mark.real

TOKEN = "token-of-the-core"
SERVER = "maim_server.py"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CONFIG = """\
[lines.mai]
dialect = "maim"
role = "adapter"
link = "dial"
url = "{scheme}://127.0.0.1:{port}/ws"
platform = "{platform}"
token = "{token}"
{more}

[[rules]]
name = "echo"
match = "any"
reply = "收到：{{send_message}}"
"""


def config(
    port: int, *, scheme: str = "ws", platform: str = "qq", token: str = TOKEN, more: str = ""
) -> str:
    """Return a configuration with one adapter line."""
    return CONFIG.format(scheme=scheme, port=port, platform=platform, token=token, more=more)


def api_config(port: int, token: str = TOKEN) -> str:
    """Return a configuration whose adapter speaks the API-Server line.

    Its name is not ASCII, which this line of the package can do and the classic one cannot.
    Source: maim 2.2
    """
    return config(port, platform="平台", token=token, more="api = true")


@contextlib.contextmanager
def serving(python: str, kind: str, port: int, **order: Any) -> Iterator[Child]:
    """Start a core of the package."""
    with running(python, SERVER) as core:
        core.order(kind, port=port, **({"token": TOKEN} | order))
        core.until("serving")
        yield core


def wait_line(site: product.Product, state: str, error: str = "") -> None:
    """Wait until the line is in this state, with these words in its error."""
    deadline = time.monotonic() + WAIT_S
    while True:
        [line] = site.get("/api/v1/lines")["lines"]
        if line["state"].lower() == state and error in line["error"]:
            return
        assert time.monotonic() < deadline, line
        time.sleep(0.05)


def wait_delivery(site: product.Product, ident: str, state: str) -> None:
    """Wait until a delivery is in this state."""
    deadline = time.monotonic() + WAIT_S
    while (found := site.get(f"/api/v1/deliveries/{ident}"))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def send(site: product.Product, to: str, message: Any) -> str:
    """Send with our API; return the delivery's id."""
    return str(site.get("/api/v1/messages", {"to": to, "message": message})["delivery_id"])


def said_by_core(text: str, *segments: dict[str, Any]) -> dict[str, Any]:
    """Return a classic message of a core to one person. Source: maim 4.4"""
    user = {"platform": "qq", "user_id": "10001", "user_nickname": "张三"}
    return {
        "message_info": {
            "platform": "qq", "message_id": f"core-{text}", "time": time.time(),
            "user_info": user, "receiver_info": {"user_info": user},
        },
        "message_segment": {
            "type": "seglist", "data": [{"type": "text", "data": text}, *segments],
        },
    }  # fmt: skip


def received(core: Child) -> dict[str, Any]:
    """Return the next message that the core got; a classic one must pass the strictest core."""
    event = core.until("received")
    frame = event["frame"]
    if "parsed" in event:
        assert event["parsed"]["message_info"]["message_id"]
        assert strict_core_drops(frame) == ""
    return frame


# -- the classic line --------------------------------------------------------------------------


def test_every_kind_goes_to_the_core_and_what_it_says_is_answered(
    tmp_path: Path, maim_python: str
) -> None:
    port = free_port()
    with (
        serving(maim_python, "classic", port) as core,
        product.serving(tmp_path, config(port)) as site,
    ):
        wait_line(site, "connected")
        picture = PNG + bytes(range(256)) * 800
        parts = [
            {"type": "quote", "message": "m-1"},
            {"type": "mention", "user": "42"},
            {"type": "text", "text": '一 "二"\n😀'},
            {"type": "image", "data": base64.b64encode(picture).decode()},
        ]
        ident = send(site, "mai/group:20001@qq", parts)
        frame = received(core)
        kinds = [part["type"] for part in frame["message_segment"]["data"]]
        assert kinds == ["reply", "at", "text", "image"]
        data = [part["data"] for part in frame["message_segment"]["data"]]
        assert data[:3] == ["m-1", "42", '一 "二"\n😀']
        assert base64.b64decode(data[3]) == picture
        assert frame["message_info"]["platform"] == "qq"
        assert frame["message_info"]["group_info"]["group_id"] == "20001"
        wait_delivery(site, ident, "sent")

        nested = {"type": "seglist", "data": [
            {"type": "text", "data": "b"},
            {"type": "seglist", "data": [{"type": "text", "data": "c"}]},
        ]}  # fmt: skip
        core.order("send", message=said_by_core("a", nested))
        frame = received(core)
        assert maim_text(frame) == "收到：abc"
        assert frame["message_info"]["user_info"]["user_id"] == "10001"


def test_a_wrong_token_is_seen_in_the_status_and_a_right_one_works(
    tmp_path: Path, maim_python: str
) -> None:
    port = free_port()
    with serving(maim_python, "classic", port):
        with product.serving(tmp_path / "bad", config(port, token="wrong")) as site:
            wait_line(site, "reconnecting", "1008")
            [line] = site.get("/api/v1/lines")["lines"]
            assert line["retry_in_s"] > 2  # the slow row of the retry table begins with 5 s
        with product.serving(tmp_path / "good", config(port)) as site:
            wait_line(site, "connected")


def test_tls_with_a_private_authority_and_none_without_it(tmp_path: Path, maim_python: str) -> None:
    port, paper = free_port(), make_certificate(tmp_path)
    stranger = tmp_path / "other"
    stranger.mkdir()
    other = make_certificate(stranger)
    with serving(maim_python, "classic", port, cert=paper.cert, key=paper.key) as core:
        for folder, more in (("system", ""), ("wrong", f'ca_file = "{other.cert}"')):
            bad = config(port, scheme="wss", more=more)
            with product.serving(tmp_path / folder, bad) as site:
                wait_line(site, "reconnecting", "certificate")
        good = config(port, scheme="wss", more=f'ca_file = "{paper.cert}"')
        with product.serving(tmp_path / "good", good) as site:
            wait_line(site, "connected")
            core.order("send", message=said_by_core("secret"))
            assert maim_text(received(core)) == "收到：secret"


def test_nothing_accepted_is_lost_while_the_core_restarts(tmp_path: Path, maim_python: str) -> None:
    port = free_port()
    with product.serving(tmp_path, config(port)) as site:
        early = send(site, "mai/private:1@qq", "before the core was there")
        with serving(maim_python, "classic", port) as core:
            wait_line(site, "connected")
            assert maim_text(received(core)) == "before the core was there"
            wait_delivery(site, early, "sent")
            core.kill()
        wait_line(site, "reconnecting")
        idents = [send(site, "mai/private:1@qq", f"n{nth}") for nth in range(5)]
        with serving(maim_python, "classic", port) as core:
            assert [maim_text(received(core)) for _ in idents] == [f"n{nth}" for nth in range(5)]
            for ident in idents:
                wait_delivery(site, ident, "sent")
            core.order("send", message=said_by_core("back"))
            assert maim_text(received(core)) == "收到：back"


def test_custom_messages_of_the_core_are_kept(tmp_path: Path, maim_python: str) -> None:
    port = free_port()
    with (
        serving(maim_python, "classic", port) as core,
        product.serving(tmp_path, config(port)) as site,
    ):
        wait_line(site, "connected")
        core.order("custom", platform="qq", name="wave", content={"n": 1})
        assert core.until("sent")["ok"] is True
        deadline = time.monotonic() + WAIT_S
        while not (found := site.get("/api/v1/messages")["messages"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [(one["kind"], one["name"]) for one in found] == [("notice", "custom:wave")]


# -- the API-Server line -----------------------------------------------------------------------


def said_by_api(text: str) -> dict[str, Any]:
    """Return an API-Server message of a core to a group. Source: maim 9.3"""
    return {
        "message_info": {
            "platform": "平台", "message_id": f"core-{text}", "time": time.time(),
            "receiver_info": {
                "group_info": {"platform": "平台", "group_id": "20001", "group_name": "群"},
                "user_info": {"platform": "平台", "user_id": "10001", "user_nickname": "张三"},
            },
        },
        "message_segment": {"type": "seglist", "data": [{"type": "text", "data": text}]},
        "message_dim": {"api_key": TOKEN, "platform": "平台"},
    }  # fmt: skip


def test_the_api_server_confirms_and_what_it_says_is_answered(
    tmp_path: Path, maim_python: str
) -> None:
    port = free_port()
    with (
        serving(maim_python, "api", port) as core,
        product.serving(tmp_path, api_config(port)) as site,
    ):
        wait_line(site, "connected")
        ident = send(site, "mai/group:20001@平台", [
            {"type": "text", "text": "hi"},
            {"type": "image", "data": base64.b64encode(PNG).decode()},
        ])  # fmt: skip
        frame = received(core)
        assert frame["message_dim"] == {"api_key": TOKEN, "platform": "平台"}
        info = frame["message_info"]
        assert info["sender_info"]["group_info"]["group_id"] == "20001"
        assert base64.b64decode(frame["message_segment"]["data"][1]["data"]) == PNG
        wait_delivery(site, ident, "confirmed")

        core.order("send", message=said_by_api("who?"))
        assert core.until("sent")["ok"] is True
        frame = received(core)
        assert maim_text(frame) == "收到：who?"
        assert frame["message_info"]["sender_info"]["group_info"]["group_id"] == "20001"


def test_the_api_server_restarts_and_every_message_arrives_once(
    tmp_path: Path, maim_python: str
) -> None:
    port = free_port()
    with product.serving(tmp_path, api_config(port)) as site:
        with serving(maim_python, "api", port) as core:
            wait_line(site, "connected")
            first = send(site, "mai/private:1@平台", "first")
            assert maim_text(received(core)) == "first"
            wait_delivery(site, first, "confirmed")
            core.kill()
        wait_line(site, "reconnecting")
        idents = [send(site, "mai/private:1@平台", f"n{nth}") for nth in range(5)]
        with serving(maim_python, "api", port) as core:
            assert [maim_text(received(core)) for _ in idents] == [f"n{nth}" for nth in range(5)]
            for ident in idents:
                wait_delivery(site, ident, "confirmed")
            assert core.events.empty()


def test_a_key_that_the_api_server_refuses_is_retried_slowly(
    tmp_path: Path, maim_python: str
) -> None:
    """It accepts the upgrade and then closes 1000 with a reason. Source: maim 9.1"""
    port = free_port()
    with (
        serving(maim_python, "api", port),
        product.serving(tmp_path, api_config(port, "wrong")) as site,
    ):
        wait_line(site, "reconnecting", "Authentication failed")
        [line] = site.get("/api/v1/lines")["lines"]
        assert line["retry_in_s"] > 2
