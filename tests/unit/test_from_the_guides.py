"""The mapping page: every name of its tables exists and behaves as the page says.

A row without a check is red, and so is a check without a row. With the guides at hand, every frame
type, field, class and function of theirs must stand on the page.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import inspect
import json
import re
import sys
import threading
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

import peers
import trunkline
from boss_mqtt_vectors import CASES as PACKETS
from boss_mqtt_vectors import LENIENT
from boss_schema import CASES as PAYLOADS
from maim_lines import core, message, receive
from onebot11_lines import feed, greeted
from onebot11_lines import heard as told
from onebot11_lines import message as event
from trunkline.clock import FakeClock
from trunkline.configuration.guides import PLACES, REPLY_PATH
from trunkline.configuration.sections import Limits
from trunkline.configuration.tables import known_keys
from trunkline.dialects.boss import BOSS
from trunkline.dialects.boss.frames import decode as read_payload
from trunkline.dialects.boss.importing import clean
from trunkline.dialects.boss.schema import built_in
from trunkline.dialects.boss.translate import Reading, to_event
from trunkline.dialects.contact import CONTACT
from trunkline.dialects.contract import Admit, Head
from trunkline.dialects.maim import MAIM
from trunkline.dialects.maim.bot import DENIED_CODE, DENIED_REASON
from trunkline.dialects.maim.session import cause_of
from trunkline.dialects.onebot11 import ONEBOT11
from trunkline.dialects.onebot11.options import OneBotOptions
from trunkline.dialects.xianyu import XIANYU, frames
from trunkline.dialects.xianyu.options import XianyuOptions
from trunkline.embed.settings import GIVES_UP_AFTER
from trunkline.errors import ConfigError
from trunkline.guides import boss, xianyu
from trunkline.guides.contact import PATH, ContactServer, run_contact_server
from trunkline.guides.maim import MessageServer, RouteConfig, Router, TargetConfig
from trunkline.guides.onebot import WebSocketClient
from trunkline.ids import CountingIds
from trunkline.lines.contract import LineState
from trunkline.model.message import plain_text
from trunkline.web.routes import xianyu as reply_service
from trunkline.wire.mqtt_stream import Reader
from xianyu_house import ME, Shop

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/from-the-guides.md", ROOT / "docs/from-the-guides.zh-CN.md"]
EMBEDDING = [ROOT / "docs/embedding.md", ROOT / "docs/embedding.zh-CN.md"]
EXAMPLES = ROOT / "examples/guides"
GUIDES = ROOT.parent / "shared" / "guides"
ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \|(.*)\|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def rows(page: Path) -> dict[str, tuple[str, str]]:
    text = page.read_text("utf-8")
    found: dict[str, tuple[str, str]] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        for name, ours, note in ROW.findall(part):
            found_in = re.match(r"\D*(\d+)", part)
            assert found_in is not None
            found[f"{found_in[1]} {name}"] = (ours, note)
    return found


def find(name: str) -> object:
    """Import a dotted name: a module's attribute, or an attribute of that."""
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:size]))
        except ImportError:
            continue
        for part in parts[size:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def talk(frame: dict[str, Any] | str | None, count: int, path: str = "") -> list[dict[str, Any]]:
    """Send a frame to a contact service; return the greeting or its answers."""

    async def work() -> list[dict[str, Any]]:
        server = ContactServer(port=0)
        async with asyncio.timeout(15), server.server:
            answering = asyncio.ensure_future(server.answer())
            async with peers.dial(server.url.removesuffix(PATH) + (path or PATH)) as socket:
                greeting = await peers.receive(socket)
                if frame is not None:
                    await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
                answers = [await peers.receive(socket) for _ in range(count)]
            server.stop()
            await answering
        return answers or [greeting]

    return asyncio.run(work())


def types(frame: dict[str, Any] | str | None, count: int) -> list[str]:
    answers = talk(frame, count)
    assert all(answer["timestamp"] for answer in answers)
    return [answer["type"] for answer in answers]


def heard(**info: Any) -> Any:
    return receive(core(), message(**info))


def segment(kind: str, data: Any) -> object:
    said = json.loads(message())
    said["message_segment"] = {"type": kind, "data": data}
    return receive(core(), json.dumps(said).encode()).segments[0]


def parameters(call: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(call).parameters)


def says(page: str, words: str) -> bool:
    return words in (ROOT / "docs" / page).read_text("utf-8")


def greets() -> bool:
    (greeting,) = talk(None, 0)
    return greeting["type"] == "connection_established" and bool(
        greeting["client_id"] and greeting["timestamp"] and greeting["message"]
    )


def aliases() -> bool:
    for path in CONTACT.options(dialect="contact").aliases:
        talk(None, 0, path)
    return True


def onebot(**keys: Any) -> OneBotOptions:
    return OneBotOptions(dialect="onebot11", **keys)


def said(**more: Any) -> Any:
    """Return what a framework hears of a message."""
    (found,) = told(feed(greeted(), event(**more)))
    return found


def defaults(call: Callable[..., Any]) -> dict[str, Any]:
    found = inspect.signature(call).parameters.values()
    return {one.name: one.default for one in found if one.default is not one.empty}


def example(name: str) -> Any:
    """Load an example as it lies there, without running it."""
    path = EXAMPLES / name
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path.parent))
        spec.loader.exec_module(module)
    for name in set(sys.modules) - known:
        # Guides share names: what one calls `utils` is another thing to the next.
        places = [getattr(sys.modules[name], "__file__", None) or ""]
        places += getattr(sys.modules[name], "__path__", ())
        if any(str(EXAMPLES) in place for place in places):
            del sys.modules[name]
    return module


def served(port: int) -> tuple[tuple[str, ...], bool]:
    """Return the paths and whether there is TLS, of guide 004's place on a port."""
    (place,) = [one for one in PLACES if one.port == port and one.dialect == "maim"]
    return place.paths, place.has_tls


def knock(authorization: str) -> str:
    """Return what a core makes of a credential."""
    options = MAIM.options(dialect="maim", token="t")
    found = MAIM.admit(options, Head("/ws", headers={"authorization": authorization}))
    return found.kind if isinstance(found, Admit) else ""


@functools.cache
def embedded() -> list[str]:
    """Run the guide's client over real sockets; return what happened, in order."""
    happened: list[str] = []

    async def work() -> None:
        async with asyncio.timeout(15), trunkline.listen("maim", bind="127.0.0.1:0") as server:
            line = trunkline.connect("maim", url=server.url, platform="p")
            line.on_connect(lambda _: happened.append("connected"))
            line.on_disconnect(lambda _: happened.append("closed"))

            def handle(frame: dict[str, Any]) -> None:
                happened.append(frame["message_segment"]["data"][0]["data"])
                line.shutdown()

            line.on_frame(handle)
            running = asyncio.ensure_future(line.run())
            while not line.is_connected:
                await asyncio.sleep(0)
            await line.send("private:u", "ping")
            await server.send(await server.receive(), "pong")
            await running

    asyncio.run(work())
    return happened


def minimal() -> dict[str, Any]:
    """Return the guide's own form: the account speaks, without `sub_type` and `sender`."""
    left_out = ("sub_type", "sender", "font")
    return {key: value for key, value in event().items() if key not in left_out}


def job(**keys: Any) -> Any:
    return BOSS.options.model_validate({"dialect": "boss", "cookies": "a=b", **keys})


def updates() -> list[str]:
    """Return what who listens to the session hears of an update."""
    heard: list[str] = []
    found = boss.SessionManager()
    forget = found.listen(lambda: heard.append("told"))
    found.update_session({"wt": "1"})
    forget()
    found.update_session({"wt": "2"})
    return heard


def pushed(name: str) -> list[Any]:
    """Return the events of a golden payload."""
    frame = read_payload(built_in(), bytes.fromhex(PAYLOADS[name]["hex"]))
    reading = Reading(600100200, lambda _uid, _source: None, 1_791_470_010_000)
    return [to_event(one, reading) for one in frame.messages]


def puback(name: str) -> tuple[int, int]:
    """Return the id of a golden acknowledgement, and how much more it says."""
    packet: Any
    (packet,) = Reader(LENIENT).feed(bytes.fromhex(PACKETS[name]["hex"]))
    return packet.packet_id, len(packet.extra)


def hears() -> list[str]:
    """Return what the two callbacks of a client are told of three events."""
    told: list[str] = []

    class Client(boss.WsClient):
        def on_text_message(self, from_uid: str, text: str, timestamp: int) -> None:
            told.append(f"{from_uid}: {text}")

        def on_request_resume(self, boss_id: str, mid: str) -> None:
            told.append(f"{boss_id} wants it ({mid})")

    chat, person = trunkline.Chat("1", "user", "7"), trunkline.Person("7", "n")
    words = (trunkline.Text("hi"),)
    client = Client()
    client._on_message(trunkline.MessageReceived(chat, person, words))
    client._on_message(trunkline.MessageReceived(chat, person, words, is_own=True))
    client._on_message(trunkline.RequestReceived(chat, "phone", data=b'{"mid":"4"}'))
    client._on_message(trunkline.RequestReceived(chat, "resume", data=b'{"mid":"5"}'))
    return told


def shop(**keys: Any) -> XianyuOptions:
    return XianyuOptions(dialect="xianyu", cookies="unb=1; cookie2=x", **keys)


def dialled(**keys: Any) -> dict[str, str]:
    """Return the headers with which an account dials."""
    (dial,) = [one for one in _begin(**keys) if hasattr(one, "url")]
    return dict(dial.headers)


def _begin(**keys: Any) -> Any:
    account = Shop(**keys)
    account.begin()
    return account.bot.effects


@functools.cache
def chatted() -> Shop:
    """Let a buyer ask and the account answer, at an emulated marketplace."""
    account = Shop(answer=lambda words: f"re:{words}").start()
    account.says("在吗")
    account.live(3)
    return account


def bought() -> Any:
    """Return what the account received of the buyer."""
    (found,) = [one for one in chatted().bot.inbox if isinstance(one, trunkline.MessageReceived)]
    return found


def created() -> dict[str, Any]:
    """Return the body that opens a chat."""
    return frames.create_chat_body("2", "1", "9")[0]


def framed() -> dict[str, Any]:
    return json.loads(frames.build_request("/x", [1], "5 0"))


def is_required(name: str) -> bool:
    return reply_service.ReplyIn.model_fields[name].is_required()


def small() -> xianyu.WebSocketClient:
    return xianyu.WebSocketClient("ws://127.0.0.1:1/", {"Cookie": "unb=1"}, print)


def embedded_shop() -> trunkline.EmbeddedLine:
    with pytest.raises(ConfigError):
        trunkline.connect("xianyu")
    return trunkline.connect("xianyu", cookies="unb=1; cookie2=x")


def ends_at_once() -> bool:
    """Try to connect where nobody is, by hand and by `reconnect` without its wait."""

    async def work() -> list[Any]:
        client = small()
        client.reconnect_delay = 0
        return [
            await client.connect(), await client.reconnect(), await client.send("x"),
            await client.receive(), await client.disconnect(),
        ]  # fmt: skip

    return asyncio.run(work()) == [False, False, False, None, None]


TEXT = ["text", "message_type", "target_id", "group_id"]
CHAT = peers.chat("hi")
REQUEST = {**CHAT, "type": "contact_request", "userAgent": "x"}
GROUP = {"platform": "qq", "group_id": "42", "group_name": "G"}
SEND = ["self", "target", "message", "timeout_s"]
RETRIES = ("abrupt", "network", "other")
CHECKS: dict[str, Callable[[], bool]] = {
    "000 window.__PROTO_FILE_VAR__": lambda: str(
        clean(json.dumps('message A {optional string b = 1 [default = "x"];}'))
    ).endswith('"x"];}'),
    '000 syntax = "proto2";': lambda: (
        str(clean("message A {}")) == 'syntax = "proto2"; message A {}'
        and str(clean('syntax = "proto2"; message A {}')).count("syntax") == 1
    ),
    "000 techwolf.proto": lambda: (
        job(schema="techwolf.proto").schema_file == "techwolf.proto"
        and built_in().chat().DESCRIPTOR.name == "TechwolfChatProtocol"
    ),
    "000 techwolf_pb2.py": lambda: not list(ROOT.glob("src/**/*_pb2*")),
    "000 src/ws_client/": lambda: issubclass(example("boss/src/main.py").WsClient, boss.WsClient),
    "000 paho-mqtt": lambda: not any("paho" in name for name in requires("trunkline") or ()),
    "000 自动重连": lambda: (
        [BOSS.delay_s("lost", nth) for nth in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    ),
    "000 配置更新": lambda: updates() == ["told"],
    "000 消息发送": lambda: (
        parameters(boss.WsClient.send_text)[:3] == ["self", "to", "text"]
        and parameters(boss.WsClient.send_image)[:3] == ["self", "to", "file"]
    ),
    "000 消息接收": lambda: len(pushed("text_in_offline_batch")) > 1,
    "000 消息类型处理": lambda: (
        [event.name for event in pushed("dialog_in_resume_request")] == ["resume"]
    ),
    "000 WsClient": lambda: issubclass(boss.WsClient, threading.Thread),
    "000 _on_connect": lambda: parameters(boss.WsClient._on_connect) == ["self"],
    "000 _on_message": lambda: hears() == ["7: hi", "7 wants it (5)"],
    "000 _on_disconnect": lambda: parameters(boss.WsClient._on_disconnect) == ["self", "error"],
    "000 get_user_info": lambda: parameters(boss.get_user_info) == ["session", "config"],
    "000 get_wt2": lambda: parameters(boss.get_wt2) == ["session", "config"],
    "000 upload_image": lambda: (
        parameters(boss.upload_image) == ["file", "security_id", "session", "config"]
    ),
    "000 utils.general": lambda: example("boss/src/utils/general.py").get_wt2 is boss.get_wt2,
    "000 utils.session_manager": lambda: (
        example("boss/src/utils/session_manager.py").session_manager is boss.session_manager
    ),
    "000 utils.config_manager": lambda: (
        example("boss/src/utils/config_manager.py").config_manager is boss.config_manager
    ),
    "000 Sec-WebSocket-Protocol": lambda: (
        (job().subprotocol, job(subprotocol="x").subprotocol) == ("wt2", "x")
    ),
    "000 PUBACK": lambda: puback("puback_ext_ids") == (2, 16),
    "000 MQTT_ERR_CONN_LOST": lambda: BOSS.delay_s("lost", 1) > 0,
    '001 @app.post("/xianyu/reply")': lambda: (
        [route.path for route in reply_service.ROUTES] == [REPLY_PATH]
    ),
    "001 WEBSOCKET_URL": lambda: shop().url.startswith("wss://"),
    "001 WEBSOCKET_HEADERS": lambda: dialled(headers={"X-A": "b"})["X-A"] == "b",
    "001 Cookie: <cookie_string>": lambda: dialled()["Cookie"].startswith(f"unb={ME}"),
    "001 Authorization: Bearer <token>": lambda: (
        dialled(bearer="t")["Authorization"] == "Bearer t" and "Authorization" not in dialled()
    ),
    "001 python reply_server.py": lambda: (
        example("xianyu/reply_server.py").CONFIG.name == "reply_server.toml"
    ),
    "001 python XianyuAutoAsync.py": (EXAMPLES / "xianyu/XianyuAutoAsync.py").is_file,
    "001 from utils.ws_utils import WebSocketClient": lambda: (
        example("xianyu/utils/ws_utils.py").WebSocketClient is xianyu.WebSocketClient
    ),
    "001 ai_reply_engine.py": lambda: (
        asyncio.run(example("xianyu/ai_reply_engine.py").generate_reply("在吗", "")) == "收到：在吗"
    ),
    "001 from config import (WEBSOCKET_URL, WEBSOCKET_HEADERS)": lambda: (
        {"WEBSOCKET_URL", "WEBSOCKET_HEADERS"} <= set(vars(example("xianyu/config.py")))
    ),
    "001 WebSocketClient(url, headers, on_message)": lambda: (
        parameters(xianyu.WebSocketClient)[:3] == ["url", "headers", "on_message"]
    ),
    "001 connect()": ends_at_once,
    "001 disconnect()": ends_at_once,
    "001 send(message)": lambda: (
        parameters(xianyu.WebSocketClient.send) == ["self", "message"] and ends_at_once()
    ),
    "001 receive()": ends_at_once,
    "001 reconnect()": ends_at_once,
    "001 run()": lambda: inspect.iscoroutinefunction(xianyu.WebSocketClient.run),
    "001 on_message": lambda: (
        small().on_message is print and xianyu.Message('{"lwp":"/x"}')["lwp"] == "/x"
    ),
    "001 websocket": lambda: small().websocket is None,
    "001 is_connected": lambda: small().is_connected is False,
    "001 reconnect_delay": lambda: small().reconnect_delay == 5,
    "001 ConnectionState": lambda: xianyu.ConnectionState is LineState and len(LineState) == 5,
    "001 _set_connection_state": lambda: embedded_shop().state is LineState.DISCONNECTED,
    "001 _create_websocket_connection": lambda: embedded_shop().settings.options.role == "account",
    "001 _calculate_retry_delay": lambda: (
        [[XIANYU.delay_s(cause, nth) for nth in (1, 2, 5, 9)] for cause in RETRIES]
        == [[3, 6, 15, 15], [10, 20, 50, 60], [5, 10, 25, 30]]
    ),
    "001 FAILED --> CONNECTING": lambda: (
        callable(trunkline.EmbeddedLine.reconnect) and shop().max_failures == 5
    ),
    "001 HEARTBEAT_INTERVAL": lambda: shop().heartbeat_interval_s == 30,
    "001 HEARTBEAT_TIMEOUT": lambda: shop().heartbeat_timeout_s == 60,
    "001 heartbeat_loop": lambda: frames.HEARTBEAT in chatted().routes,
    "001 lwp": lambda: framed()["lwp"] == "/x",
    "001 headers": lambda: framed()["headers"] == {"mid": "5 0"},
    "001 mid": lambda: frames.make_mid(FakeClock(), CountingIds(), {}).endswith(" 0"),
    "001 body": lambda: framed()["body"] == [1],
    "001 pairFirst": lambda: created()["pairFirst"] == "2@goofish",
    "001 pairSecond": lambda: created()["pairSecond"] == "1@goofish",
    "001 bizType": lambda: created()["bizType"] == "1",
    "001 extension": lambda: created()["extension"] == {"itemId": "9"},
    "001 ctx": lambda: "appVersion" in created()["ctx"],
    "001 init_message": lambda: chatted().routes[0] == frames.REG,
    "001 heartbeat": lambda: json.loads(frames.build_heartbeat("5 0"))["lwp"] == frames.HEARTBEAT,
    "001 create_chat_message": lambda: "user" in XIANYU.kinds,
    "001 incoming_message": lambda: plain_text(bought().segments) == "在吗",
    "001 reply_message": lambda: frames.SEND in chatted().routes,
    "001 RequestModel": lambda: all(map(is_required, reply_service.ReplyIn.model_fields)),
    "001 cookie_id": lambda: is_required("cookie_id"),
    "001 msg_time": lambda: is_required("msg_time"),
    "001 user_url": lambda: is_required("user_url"),
    "001 send_user_id": lambda: is_required("send_user_id") and bought().sender.id != "",
    "001 send_user_name": lambda: is_required("send_user_name") and bought().sender.name != "",
    "001 item_id": lambda: is_required("item_id") and bought().item != "",
    "001 send_message": lambda: is_required("send_message"),
    "001 chat_id": lambda: is_required("chat_id") and bought().chat.id != "",
    "001 match_reply": lambda: says("rules.md", "item replies"),
    "001 ResponseModel": lambda: (
        reply_service.ReplyOut(data=reply_service.ReplyTextOut(send_msg="x")).model_dump()
        == {"code": 200, "data": {"send_msg": "x"}}
    ),
    "001 asyncio.Semaphore(100)": lambda: shop().max_in_work == 100,
    "001 concurrency_manager": lambda: {"max_connections", "max_dials"} <= set(Limits.model_fields),
    "001 processed_message_ids": lambda: shop().dedupe is True and bought().key is not None,
    "001 message_debounce_tasks": lambda: (
        (shop().debounce_s, shop().debounce_mode) == (1.0, "last")
    ),
    "002 ws://127.0.0.1:8000/ws/": lambda: "/ws/" in ONEBOT11.paths(onebot()),
    "002 python simple_client.py": lambda: example("onebot/simple_client.py").main is not None,
    "002 from ws_client import WebSocketClient": lambda: (
        example("onebot/ws_client.py").WebSocketClient is WebSocketClient
    ),
    "002 WebSocketClient(uri, bot_id, reconnect_interval, max_reconnect_attempts)": lambda: (
        defaults(WebSocketClient)
        == {
            "uri": "ws://127.0.0.1:8000/ws/",
            "bot_id": 12345,
            "reconnect_interval": 5,
            "max_reconnect_attempts": 0,
        }
    ),
    "002 connect()": lambda: inspect.iscoroutinefunction(WebSocketClient.connect),
    "002 disconnect()": lambda: asyncio.run(WebSocketClient().disconnect()) is None,
    "002 run()": lambda: inspect.iscoroutinefunction(WebSocketClient.run),
    "002 send_message(message)": lambda: (
        asyncio.run(WebSocketClient().send_message({"a": 1})) is False
    ),
    "002 send_text(text, message_type, target_id, group_id)": lambda: (
        parameters(WebSocketClient.send_text) == ["self", *TEXT]
        and WebSocketClient().create_text_message("x", "group", group_id=1)["user_id"] == 80000000
    ),
    "002 create_connect_event()": lambda: (
        WebSocketClient().create_connect_event()["meta_event_type"] == "lifecycle"
    ),
    "002 create_heartbeat_event()": lambda: (
        WebSocketClient().create_heartbeat_event()["interval"] == 30000
    ),
    "002 create_text_message()": lambda: (
        parameters(WebSocketClient.create_text_message) == ["self", *TEXT]
        and WebSocketClient().create_text_message("x", target_id=7)["sub_type"] == "friend"
    ),
    "002 on_message(callback)": lambda: WebSocketClient().on_message(print) is print,
    "002 on_connect(callback)": lambda: WebSocketClient().on_connect(print) is print,
    "002 on_disconnect(callback)": lambda: WebSocketClient().on_disconnect(print) is print,
    "002 on_error(callback)": lambda: WebSocketClient().on_error(print) is print,
    "002 ConnectEvent": lambda: (
        (onebot().handshake_timeout_s, onebot().handshake) == (1.0, "strict")
    ),
    "002 HeartbeatEvent": lambda: onebot().heartbeat_interval_s == 30.0,
    "002 bot_id": lambda: said().chat.account == "12345",
    "002 reconnect_interval": lambda: (
        onebot().reconnect_interval_s == 5.0
        and [ONEBOT11.delay_s("lost", nth) for nth in (1, 2, 99)] == [5.0, 5.0, 5.0]
    ),
    "002 max_reconnect_attempts": lambda: (
        (onebot().max_failures, onebot(max_reconnect_attempts=3).max_failures) == (0, 3)
    ),
    "002 loguru": lambda: "rotate" in defaults(trunkline.setup_logging),
    "002 self_id": lambda: said().chat.account == "12345",
    "002 user_id": lambda: (
        (said().sender.id, said().is_own) == ("10001", False)
        and told(feed(greeted(), minimal() | {"user_id": 12345}))[0].is_own is False
        and said(user_id=12345).is_own is True
    ),
    "002 group_id": lambda: (
        said(message_type="group", sub_type="normal", group_id=9).chat.kind == "group"
        and said().chat.kind == "private"
    ),
    "002 message_id": lambda: (
        said(message_id=7).peer_id == "7"
        and WebSocketClient().create_text_message("x", target_id=1)["message_id"] < 1 << 31
    ),
    "002 target_id": lambda: said(target_id=67890).chat.id == "10001",
    "002 message": lambda: (
        said().segments == (trunkline.Text("hi"),) and onebot().message_format == "array"
    ),
    "002 raw_message": lambda: (
        plain_text(told(feed(greeted(), {**minimal(), "message": None}))[0].segments) == "hi"
    ),
    "003 ws://127.0.0.1:8080/contact": lambda: CONTACT.options(dialect="contact").path == PATH,
    "003 location /websocket/": aliases,
    "003 proxy_read_timeout 86400": lambda: says("nginx.md", "86400"),
    "003 connection_established": greets,
    "003 contact_request": lambda: types(REQUEST, 1) == ["contact_request_received"],
    "003 chat_message": lambda: types(CHAT, 2) == ["chat_message_received", "chat_message"],
    "003 ping": lambda: types({"type": "ping"}, 1) == ["pong"],
    "003 error": lambda: types("{", 1) == ["error"] and types({"type": "x"}, 1) == ["error"],
    "003 run_contact_server()": lambda: (
        defaults(run_contact_server) == {"host": "127.0.0.1", "port": 8080}
    ),
    "003 generate_ai_response(self, message)": lambda: (
        parameters(ContactServer.generate_ai_response) == ["self", "message"]
    ),
    "003 save_chat_message(self, client_id, message, sender)": lambda: (
        parameters(ContactServer.save_chat_message) == ["self", "client_id", "message", "sender"]
    ),
    "003 broadcast_message(self, message)": lambda: (
        parameters(ContactServer.broadcast_message) == ["self", "message"]
    ),
    "003 self.connected_clients": lambda: ContactServer(port=0).connected_clients == {},
    "003 python api/tcp_contact.py": lambda: (
        example("contact/api/tcp_contact.py").run_contact_server is run_contact_server
    ),
    "003 python test/websocket_contact_test.py": (
        EXAMPLES / "contact/test/websocket_contact_test.py"
    ).is_file,
    "003 setTimeout(connectWebSocket, 5000)": lambda: (
        [CONTACT.delay_s("lost", nth) for nth in (1, 2, 99)] == [5.0, 5.0, 5.0]
    ),
    "004 ws://127.0.0.1:8090/ws": lambda: MAIM.options(dialect="maim").path == "/ws",
    "004 wss://127.0.0.1:8090/ws": lambda: served(8090) == (("/ws",), True),
    "004 8000 (MaimCore)": lambda: served(8000) == (("/ws",), False),
    "004 18000 (MessageServer)": lambda: (
        inspect.signature(MessageServer).parameters["port"].default == 18000
    ),
    "004 platform": lambda: MAIM.options(dialect="maim").platform == "default",
    "004 authorization": lambda: (
        [knock(header) for header in ("t", "Bearer t", "x", "")]
        == ["core", "core", "denied", "denied"]
    ),
    "004 1008": lambda: (
        (DENIED_CODE, DENIED_REASON) == (1008, "Invalid or missing token")
        and cause_of(1008, "") == "auth"
    ),
    "004 1000": lambda: cause_of(1000, "replaced by a newer connection") == "replaced",
    "004 1006": lambda: cause_of(1006, "") == "lost",
    "004 message_info": lambda: heard().chat.account == "qq",
    "004 message_id": lambda: heard(message_id="m7").peer_id == "m7",
    "004 time": lambda: heard(time=1.5).at_ms == 1500,
    "004 user_info": lambda: heard().sender.id != "",
    "004 group_info": lambda: (
        heard(group_info=GROUP).chat.kind == "group" and heard().chat.kind == "private"
    ),
    "004 format_info": lambda: (
        b"voice" in heard(format_info={"accept_format": ["text", "voice"]}).context
    ),
    "004 template_info": lambda: (
        b"tmpl" in heard(template_info={"template_items": {}, "template_name": "tmpl"}).context
    ),
    "004 additional_config": lambda: b"extra" in heard(additional_config={"extra": 1}).context,
    "004 message_segment": lambda: len(heard().segments) == 1,
    "004 raw_message": lambda: plain_text(heard().segments) != "",
    "004 text": lambda: segment("text", "x") == trunkline.Text("x"),
    "004 image": lambda: segment("image", "eHg=") == trunkline.Image(b"xx"),
    "004 emoji": lambda: segment("emoji", "😀") == trunkline.Sticker(text="😀"),
    "004 at": lambda: segment("at", "u") == trunkline.Mention("u"),
    "004 reply": lambda: segment("reply", "m") == trunkline.Quote("m"),
    "004 seglist": lambda: (
        segment("seglist", [{"type": "seglist", "data": [{"type": "text", "data": "x"}]}])
        == trunkline.Text("x")
    ),
    "004 MaimMessageClient(url, platform, token, ssl_verify)": lambda: (
        {"url", "platform", "token", "ca_file"} <= set(MAIM.options.model_fields)
    ),
    "004 connect()": lambda: embedded() == ["connected", "pong", "closed"],
    "004 disconnect()": lambda: embedded()[-1] == "closed",
    "004 send_message(message_info, segments, raw_message)": lambda: (
        parameters(Router.send_message) == ["self", "message"]
    ),
    "004 send_text_message(user_id, text, group_id)": lambda: (
        parameters(trunkline.EmbeddedLine.send) == SEND and MAIM.kinds == ("private", "group")
    ),
    "004 listen()": lambda: "pong" in embedded(),
    "004 handle_message(message)": lambda: "pong" in embedded(),
    "004 connected": lambda: not trunkline.connect("maim", url="ws://127.0.0.1:1/ws").is_connected,
    "004 connectWithRetry(client, maxRetries = 5)": lambda: (
        GIVES_UP_AFTER["maim"] == 5
        and [MAIM.delay_s("lost", nth) for nth in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    ),
    "004 MessageServer(host, port, ssl_certfile, ssl_keyfile, mode)": lambda: (
        {"host", "port", "ssl_certfile", "ssl_keyfile", "mode"} <= set(parameters(MessageServer))
    ),
    "004 TargetConfig(url, ssl_verify)": lambda: (
        TargetConfig(url="wss://h/ws", ssl_verify="c").to_dict()["ssl_verify"] == "c"
    ),
    "004 RouteConfig": lambda: RouteConfig({}).to_dict() == {"route_config": {}},
    "004 Router": lambda: Router is not trunkline.Router,
}


def test_every_row_has_its_check():
    assert rows(PAGES[0]).keys() == CHECKS.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_it_behaves(name):
    assert CHECKS[name]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_of_ours_exists(page):
    options = {
        name
        for dialect in (BOSS, CONTACT, MAIM, ONEBOT11, XIANYU)
        for name in known_keys(dialect.options)
    }  # fmt: skip
    for name, (ours, _) in rows(page).items():
        for word in CODE.findall(ours) or [re.findall(r"\]\(([^)]+)\)", ours)[0]]:
            if word.startswith("trunkline."):
                assert find(word) is not None, name
            elif word.startswith("examples/"):
                assert (ROOT / word).is_file(), word
            elif word.endswith(".md"):
                assert (ROOT / "docs" / word).is_file(), word
            elif not word.startswith(("trunkline ", "run_", "ContactServer.")):
                assert word in options, word


def test_both_languages_have_the_same_rows_and_shape():
    one, other = map(rows, PAGES)
    assert {name: CODE.findall(ours) for name, (ours, _) in one.items()} == {
        name: CODE.findall(ours) for name, (ours, _) in other.items()
    }
    for pair in (PAGES, EMBEDDING):
        texts = [PYTHON.sub("", page.read_text("utf-8")) for page in pair]
        levels = [re.findall(r"^(#+) ", text, re.MULTILINE) for text in texts]
        assert levels[0] == levels[1]
        assert texts[0].count("\n| ") == texts[1].count("\n| ")


def test_the_samples_of_the_embedding_page_are_the_same_and_import_what_there_is():
    one, other = (PYTHON.findall(page.read_text("utf-8")) for page in EMBEDDING)
    assert one == other
    assert len(one) == 3
    for sample in one:
        compile(sample, "embedding.md", "exec")
        (names,) = re.findall(r"^from trunkline import (.+)$", sample, re.MULTILINE)
        assert set(names.split(", ")) <= set(trunkline.__all__)


@pytest.mark.parametrize(
    ("guide", "pattern"),
    [
        ("000-boss.txt", r"`(?:\w+/)?(\w{2,})/?`"),
        ("000-boss.txt", r"`([\w.]+\.(?:py|proto))`"),
        ("000-boss.txt", r"`(utils\.\w+|window\.\w+|Sec-WebSocket-Protocol)`"),
        ("001-xianyu.txt", r"^- (\w+): "),
        ("001-xianyu.txt", r"^- `(\w+)\("),
        ("001-xianyu.txt", r"^\+(\w+) : "),
        ("001-xianyu.txt", r"\(([A-Z]{6,})\)"),
        ("001-xianyu.txt", r"`(\w+)`(?:方法|函数|枚举类|配置|字典|管理)"),
        ("001-xianyu.txt", r"^(?:string|object) (\w+)"),
        ("001-xianyu.txt", r"(?:send|receive)\((\w+_message|heartbeat)\)"),
        ("001-xianyu.txt", r"\[(?:utils/)?(\w+\.py)\]"),
        ("002-onebot.txt", r'^    "(\w+)":'),
        ("002-onebot.txt", r"^- `(\w+)"),
        ("002-onebot.txt", r"\((\w+Event)\)"),
        ("002-onebot.txt", r"(\w+\.py)"),
        ("003-contact.txt", r'"type": "(\w+)"'),
        ("003-contact.txt", r"^(?:async )?def (\w+)\(self"),
        ("004-maim.txt", r'"type": "(\w+)"'),
        ("004-maim.txt", r"^\| `(\w+)` \|"),
        ("004-maim.txt", r"^    (?:async )?def ([a-z]\w+)\(self"),
        ("004-maim.txt", r"^class (\w+)"),
        ("004-maim.txt", r"(\w+(?:Server|Config))\("),
    ],
)
def test_no_name_of_a_guide_is_missing(guide, pattern):
    path = GUIDES / guide
    if not path.is_file():
        pytest.skip(f"the guide {guide} is not at hand: names are not compared")
    found = set(re.findall(pattern, path.read_text("utf-8"), re.MULTILINE))
    assert found
    text = PAGES[0].read_text("utf-8")
    # These stand inside another row: ids and names of a person or a group.
    inner = {"user_id", "user_nickname", "user_cardname", "group_id", "group_name"}
    missing = [name for name in found - inner if not re.search(rf"\b{name}\b", text)]
    assert missing == []
