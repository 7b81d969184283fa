"""The files of `examples/guides`, run as they stand against one another."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import product
from trunkline import MessageReceived, listen, plain_text
from trunkline.clock import SystemClock
from trunkline.configuration.guides import READER_COOKIES
from trunkline.dev.market import MarketPlace, MarketScript

EXAMPLES = Path(__file__).parents[2] / "examples" / "guides"
ENVIRONMENT = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(file: str, port: int) -> Iterator[None]:
    """Run a server of the examples until the block ends; it is up once it accepts."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / file), str(port)],
        stdout=subprocess.DEVNULL, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        for _ in range(1000):
            with socket.socket() as probe:
                probe.settimeout(0.02)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"{file} ended: {process.returncode}")
        yield
    finally:
        process.terminate()
        process.wait(10)


def run(file: str, url: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / file), url],
        text=True, encoding="utf-8", capture_output=True, timeout=30, check=False,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_guide_002():
    async def work():
        bot = listen("onebot11", bind="127.0.0.1:0", path="/ws/")

        @bot.on_message
        async def answer(event):
            if isinstance(event, MessageReceived):
                await bot.send(event, f"收到：{plain_text(event.segments)}")

        async with asyncio.timeout(30), bot:
            said = await asyncio.to_thread(run, "onebot/simple_client.py", bot.url)
        assert said.count("收到消息: ") == 2
        assert "收到：Hello!" in said
        assert "收到：Hello, everyone!" in said

    asyncio.run(work())


def test_guide_003():
    port = free_port()
    with serving("contact/api/tcp_contact.py", port):
        said = run("contact/test/websocket_contact_test.py", f"ws://127.0.0.1:{port}/contact")
    assert said == "✅ confirmed\n🤖 收到：你好，我想咨询一些问题\n"


@pytest.mark.parametrize("file", ["maim/client.py", "maim/router.py"])
def test_guide_004(file):
    port = free_port()
    with serving("maim/server.py", port):
        said = run(file, f"ws://127.0.0.1:{port}/ws")
    assert said.startswith("收到消息: ")


def test_the_helpers_of_guide_003_make_its_frames(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES / "contact"))
    from utils.ws_utils import chat_message, contact_request  # type: ignore[import-not-found]

    assert set(chat_message("x")) == {"type", "message", "timestamp"}
    assert set(contact_request("x")) == {"type", "message", "timestamp", "userAgent"}
    from api.tcp_contact import run_contact_server  # type: ignore[import-not-found]

    assert callable(run_contact_server)


def test_guide_001_the_account():
    async def work():
        script = MarketScript(pace_s=0.05, messages=2, lines=("在吗",))
        place = MarketPlace(0, SystemClock(), script)
        base = await place.start()
        url = "ws" + base.removeprefix("http") + "/"
        variables = {"WEBSOCKET_URL": url, "COOKIES_STR": READER_COOKIES}
        try:
            async with asyncio.timeout(30):
                child = await asyncio.create_subprocess_exec(
                    sys.executable, str(EXAMPLES / "xianyu/XianyuAutoAsync.py"), "2",
                    env=ENVIRONMENT | variables, stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )  # fmt: skip
                out, err = (data.decode() for data in await child.communicate())
        finally:
            await place.stop()
        assert (child.returncode, err) == (0, "")
        assert out.startswith("状态: CONNECTED\n收到消息 买家")
        assert "已回复: 收到：在吗 #0 confirmed" in out
        assert "已回复: 收到：在吗 #1 confirmed" in out
        assert (place.tally["answered"], place.tally["errors"]) == (2, 0)

    asyncio.run(work())


def test_guide_001_the_reply_server(tmp_path):
    folder = tmp_path / "xianyu"
    shutil.copytree(EXAMPLES / "xianyu", folder)
    process = subprocess.Popen(
        [sys.executable, "reply_server.py", "0"], cwd=folder, env=product.environment(),
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    server = product.Product(process, folder)
    try:
        server.wait_ready()

        def ask(words: str, item: str = "") -> str:
            fields = ("msg_time", "user_url", "send_user_id")
            body = {
                "cookie_id": "account", "send_user_name": "小明", "item_id": item,
                "send_message": words, "chat_id": "c1", **dict.fromkeys(fields, ""),
            }  # fmt: skip
            answer = server.ask("/xianyu/reply", body)
            good = answer.status == 200
            return answer.body["data"]["send_msg"] if good else answer.body["detail"]

        assert ask("价格", "900000000001") == "小明 您好，这件 99 元"
        assert ask("多少钱", "900000000001") == "小明 您好，页面价就是到手价"
        assert ask("在吗") == "您好，已收到：在吗"
        assert ask("在吗") == "The default reply is used up in this chat."
        server.stop()
    finally:
        server.kill()
