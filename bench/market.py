"""The load of a marketplace: one process plays the platform of 闲鱼 for many accounts.

The product dials it, as it dials the platform: a token by HTTP, then one WebSocket an account.
Buyers speak at a fixed rate in sum, whatever the product does with it (an open loop), and the time
from each push to its acknowledgement is what is measured; the product acknowledges after its
commit. Every fifth message asks for the price, which a rule answers; each answer is echoed back,
as the platform does. Source: xianyu 3, 4, 5, 8

It talks to `run.py` by lines: `ready {json}` once it listens, `warm` once all accounts are
registered, then it waits for `go` on stdin and writes one JSON line. Only loopback is served.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import sys
import time

import msgspec
import uvloop

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHATS = 20  # of each account
_ITEM = "900000000001"
_WORDS = ("在吗？", "多少钱", "什么时候发货", "成色怎么样", "可以自提吗")
_LATE_S = 20.0  # then what was not acknowledged counts as lost
_STEP_S = 0.005
_TOKEN = json.dumps(
    {
        "ret": ["SUCCESS::调用成功"],
        "data": {
            "accessToken": "token", "accessTokenExpiredTime": "86400000", "refreshToken": "r",
        },
    }
).encode()  # fmt: skip


class Frame(msgspec.Struct):
    """What is read of an account's frame."""

    lwp: str = ""
    headers: dict[str, str] = {}
    body: list = []


_decode = msgspec.json.Decoder(Frame).decode


class Market:
    """What all accounts share."""

    def __init__(self, accounts: int) -> None:
        self.accounts = accounts
        self.links: list[Link] = []
        self.pushed_s: dict[str, float] = {}
        self.latencies: list[float] = []
        self.answers = 0
        self.number = 0
        self.failure = ""
        self.warm = asyncio.Event()
        self.done = asyncio.Event()

    def synced(self, link: Link) -> None:
        """Note an account that waits for pushes."""
        self.links.append(link)
        if len(self.links) >= self.accounts:
            self.warm.set()

    def acknowledged(self, mid: str) -> None:
        """Take an acknowledgement."""
        pushed_s = self.pushed_s.pop(mid, None)
        if pushed_s is not None:
            self.latencies.append(time.perf_counter() - pushed_s)
            if not self.pushed_s:
                self.done.set()

    def next(self) -> int:
        """Return a number that nobody had."""
        self.number += 1
        return self.number


class Link(asyncio.Protocol):
    """One HTTP call, or one account's WebSocket: no more of either than the product needs."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.buffer = b""
        self.is_open = False
        self.me = ""
        self.said = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keep the transport."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """A lost account voids the numbers."""
        if self in self.market.links:
            self.market.failure = self.market.failure or f"the link of {self.me} was lost: {exc}"
            self.market.done.set()

    def data_received(self, data: bytes) -> None:
        """Read requests, then frames."""
        self.buffer += data
        if not self.is_open:
            self._requests()
        if self.is_open:
            self._frames()

    def _requests(self) -> None:
        while not self.is_open and b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            fields = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
            }
            key = fields.get(b"sec-websocket-key")
            if key is not None:
                self.buffer = rest
                self.is_open = True
                _, _, cookie = fields[b"cookie"].partition(b"unb=")
                self.me = cookie.partition(b";")[0].decode()
                accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
                self.transport.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                )
                return
            length = int(fields.get(b"content-length", b"0"))
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(_TOKEN) + _TOKEN
            )

    def _frames(self) -> None:
        buffer, at = self.buffer, 0
        while len(buffer) - at >= 6:
            length, start = buffer[at + 1] & 0x7F, at + 2
            if length == 126:
                if len(buffer) - at < 8:
                    break
                length, start = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
            if len(buffer) < start + 4 + length:
                break
            mask = buffer[start : start + 4] * (length // 4 + 1)
            payload = buffer[start + 4 : start + 4 + length]
            plain = int.from_bytes(payload) ^ int.from_bytes(mask[:length])
            opcode, at = buffer[at] & 0x0F, start + 4 + length
            if opcode == 1:
                self._take(_decode(plain.to_bytes(length)))
            elif opcode == 9:
                self.transport.write(bytes((0x8A, length)) + plain.to_bytes(length))
        self.buffer = buffer[at:]

    def _take(self, frame: Frame) -> None:
        mid = frame.headers["mid"]
        if not frame.lwp:
            self.market.acknowledged(mid)
            return
        answer: dict = {"code": 200, "headers": {"mid": mid, "sid": "s"}}
        if frame.lwp == "/r/SyncStatus/getState":
            answer["body"] = {"pipeline": "sync", "topic": "sync", "pts": 1, "seq": 1}
        elif frame.lwp == "/r/MessageSend/sendByReceiverScope":
            pnm = self._pnm()
            answer["body"] = {"messageId": pnm}
            self.send(answer)
            chat = frame.body[0]["cid"].partition("@")[0]
            inner = base64.b64decode(frame.body[0]["content"]["custom"]["data"])
            self.market.answers += 1
            self.push(self._entry(chat, self.me, json.loads(inner)["text"]["text"], pnm))
            return
        self.send(answer)
        if frame.lwp == "/r/SyncStatus/ackDiff":
            self.market.synced(self)

    def say(self) -> None:
        """Have the next buyer say the next thing."""
        self.said += 1
        chat = str(50_000_000_000 + self.said % _CHATS)
        words = _WORDS[(self.said // _CHATS + self.said) % len(_WORDS)]
        self.push(self._entry(chat, f"33{self.said % _CHATS:08}", words, self._pnm()))

    def _pnm(self) -> str:
        return f"{4_000_000_000_000 + self.market.next()}.PNM"

    def _entry(self, chat: str, who: str, words: str, pnm: str) -> dict:
        ident = f"{self.market.number:032x}"
        content = json.dumps({"contentType": 1, "text": {"text": words}})
        return {
            "1": {
                "1": {"1": f"{who}@goofish"}, "2": f"{chat}@goofish", "3": pnm, "4": 0,
                "5": int(time.time() * 1000),
                "6": {"1": 101, "3": {"1": "", "2": words, "3": "", "4": 1, "5": content}},
                "7": 1,
                "10": {
                    "bizTag": json.dumps({"sourceId": "S:1", "messageId": ident}),
                    "extJson": json.dumps({"quickReply": "1", "messageId": ident}),
                    "reminderContent": words, "reminderTitle": "买家", "senderUserId": who,
                    "sessionType": "1", "senderNick": "买家",
                    "reminderUrl": f"fleamarket://message_chat?itemId={_ITEM}"
                    f"&peerUserId={who}&sid={chat}&messageId={ident}",
                },
            },
            "3": {"needPush": "true"},
        }  # fmt: skip

    def push(self, entry: dict) -> None:
        """Push an entry, and note when."""
        number = self.market.next()
        mid = f"{number} 0"
        data = base64.b64encode(msgspec.json.encode(entry)).decode()
        package = {
            "startSeq": 1, "endSeq": 1, "hasMore": 0, "maxHighPts": 0,
            "maxPts": int(time.time() * 1e6), "timestamp": int(time.time() * 1000),
            "data": [{"bizType": 40, "objectType": 40006, "streamId": "s", "data": data}],
        }  # fmt: skip
        self.market.pushed_s[mid] = time.perf_counter()
        self.send(
            {
                "lwp": "/s/sync",
                "headers": {"mid": mid, "sid": "s"},
                "body": {"syncPushPackage": package},
            }
        )

    def send(self, frame: dict) -> None:
        """Write a frame."""
        data = msgspec.json.encode(frame)
        size = len(data)
        head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2)
        self.transport.write(head + data)


async def run(market: Market, rate: int, seconds: float) -> None:
    """Speak at a steady rate; end when everything is acknowledged, or too late."""
    started = time.perf_counter()
    said, total = 0, round(rate * seconds)
    links = market.links[: market.accounts]
    while said < total and not market.failure:
        wanted = min(total, int((time.perf_counter() - started) * rate) + 1)
        while said < wanted:
            links[said % len(links)].say()
            said += 1
        await asyncio.sleep(_STEP_S)
    deadline = time.perf_counter() + _LATE_S
    quiet = 0
    while quiet < 10 and not market.failure and time.perf_counter() < deadline:
        await asyncio.sleep(0.1)  # answers, and their echoes, are on their way still
        quiet = 0 if market.pushed_s else quiet + 1
    found = sorted(market.latencies)
    if market.failure or not found:
        raise SystemExit(market.failure or "nothing was acknowledged")

    def at(share: float) -> float:
        return round(found[min(len(found) - 1, int(len(found) * share))] * 1000, 2)

    report = {
        "accounts": len(links), "pushes": said, "acknowledged": len(found),
        "lost": len(market.pushed_s), "answers": market.answers,
        "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
    }  # fmt: skip
    print(json.dumps(report), flush=True)


async def main() -> None:
    """Listen, wait for the accounts and for `go`, run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--rate", type=int, default=1000, help="pushes a second, in sum")
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    market = Market(args.accounts)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Link(market), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("ready " + json.dumps({"url": f"127.0.0.1:{port}"}), flush=True)
    async with asyncio.timeout(60):
        await market.warm.wait()
    print("warm", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    await run(market, args.rate, args.seconds)


if __name__ == "__main__":
    uvloop.run(main())
