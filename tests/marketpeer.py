"""A client of the 闲鱼 marketplace by hand: the token call and the frames that guide 001 draws."""

from __future__ import annotations

import http.client
import itertools
import time
from typing import Any
from urllib.parse import urlsplit

from trunkline.clock import SystemClock
from trunkline.configuration.guides import READER_COOKIES as COOKIES
from trunkline.dialects.contract import Fetched
from trunkline.dialects.xianyu import frames
from trunkline.dialects.xianyu.http import LOGIN_API, build_call, parse_token_answer, token_data

AGENT = "Mozilla/5.0"
ITEM = "900000000001"
ME = COOKIES.removeprefix("unb=").partition(";")[0]
DEVICE = f"AAAAAAAA-0000-4000-8000-000000000001-{ME}"
# What the reader of guide 001 has around the sample: a handler, and who says the init messages.
READER = """\
import asyncio, json, sys
from utils.ws_utils import WebSocketClient
{imports}
client = None

async def handle_message(message):
    print("收到消息:", message.get("lwp", "answer"), flush=True)

async def initialise():
    while client is None or not client.is_connected:
        await asyncio.sleep(0.01)
    print("连接建立成功", flush=True)
    for message in json.loads(sys.argv[1]):
        await client.send(message)

async def main():
    global client
    task = asyncio.create_task(initialise())
{sample}

asyncio.run(main())
"""
_mids = itertools.count(1)


def mid() -> str:
    return frames.format_mid(next(_mids), int(time.time() * 1000))


def log_in(url: str) -> tuple[str, list[str]]:
    """Return an access token of the reader's account, and the init messages for it."""
    access = token(url)
    return access, init_messages(access)


def token(url: str) -> str:
    """Ask the marketplace behind a WebSocket address for an access token."""
    base = "http" + url.removeprefix("ws").rstrip("/")
    call = build_call(base, LOGIN_API, token_data(DEVICE), COOKIES, AGENT, SystemClock().now_ms())
    parts = urlsplit(call.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request("POST", f"{parts.path}?{parts.query}", call.body, dict(call.headers))
        response = connection.getresponse()
        answer = Fetched(response.status, tuple(response.getheaders()), response.read())
    finally:
        connection.close()
    return parse_token_answer(answer).token


def init_messages(access: str) -> list[str]:
    """Return the registration, and the position to push from."""
    now_ms = int(time.time() * 1000)
    position = frames.sync_position(now_ms * 1000, now_ms)
    return [
        frames.build_reg(access, AGENT, DEVICE, mid()).decode(),
        frames.build_request(frames.ACK_DIFF, [position], mid()).decode(),
    ]


def create_chat_message(buyer: str) -> str:
    body = frames.create_chat_body(buyer, ME, ITEM)
    return frames.build_request(frames.CREATE_CHAT, body, mid()).decode()


def heartbeat() -> str:
    return frames.build_heartbeat(mid()).decode()


def reply_message(chat: str, buyer: str, words: str) -> str:
    uuid = frames.Uuids().make(int(time.time() * 1000))
    body = frames.send_body(chat, buyer, ME, uuid, frames.text_payload(words), 1)
    return frames.build_request(frames.SEND, body, mid()).decode()


def chat_of(answer: dict[str, Any]) -> str:
    """Return the chat that an answer to `create_chat_message` names."""
    return frames.parse_chat_id(answer["body"])
