"""What the fuzzers begin with: the golden frames of `tests/vectors`, and a few of each byte format.

Only strings are taken out of the vectors; which of them a decoder likes is the fuzzer's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rawsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_payload,
    encode_frame,
    upgrade_request,
)

VECTORS = Path(__file__).parent / "vectors"
MOST = 120  # examples a target


def _frames(value: Any) -> Iterator[bytes]:
    """Return what looks like a frame: texts that begin as JSON does, and objects with a type."""
    if isinstance(value, str):
        if value.startswith(("{", "[")):
            yield value.encode("utf-8", "replace")
    elif isinstance(value, list):
        for item in value:
            yield from _frames(item)
    elif isinstance(value, dict):
        if value.keys() & {"type", "message_info", "msg_id"}:
            yield json.dumps(value).encode()
        for item in value.values():
            yield from _frames(item)


@cache
def _vectors(dialect: str) -> list[bytes]:
    found: list[bytes] = []
    for path in sorted((VECTORS / dialect).glob("*.json")):
        found += _frames(json.loads(path.read_text()))
    return sorted(set(found), key=len)[:MOST]


def _streams() -> list[bytes]:
    frames = [
        encode_frame(TEXT, "你好".encode()),
        encode_frame(BINARY, b"x" * 300),
        encode_frame(TEXT, b"a", fin=False) + encode_frame(CONTINUATION, b"b"),
        encode_frame(PING, b"there?") + encode_frame(CLOSE, close_payload(1000, b"bye")),
        encode_frame(TEXT, b"x" * 900, fin=False) + encode_frame(CONTINUATION, b"x" * 900),
        encode_frame(TEXT, b"x", is_masked=False) + encode_frame(PING, b"", is_masked=False),
        b"\x81\x7e\x00\x03abc",
        b"\x81\xff" + bytes(8),
    ]
    return [bytes((step,)) + frame for frame in frames for step in (0, 6, 255)]


_HEADS = [
    upgrade_request("/ws"),
    upgrade_request("/ws?a=%41", [("Sec-WebSocket-Protocol", "mqtt, chat")]),
    upgrade_request("/ws", {"Sec-WebSocket-Version": "8"}) + encode_frame(TEXT, b"x"),
    upgrade_request("/ws") + encode_frame(TEXT, b"x") * 3,
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /ws HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\nA: b\r\n\r\n",
]
_UPGRADE = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_ANSWERS = [
    _UPGRADE + b"Sec-WebSocket-Accept: ACCEPT\r\n\r\n\x81\x02hi",
    _UPGRADE + b"Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Extensions: x\r\n\r\n",
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nwrong token\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
]
_OTHERS = {
    "json_values": [b'{"a":[1,2.5,null,true,"\\ud83d"]}', b"[NaN]", b"\xef\xbb\xbf{}", b"[" * 70],
    "upgrade_requests": [
        b"/", b"/?a=b&a=c\nauthorization: t", b"http://[::1]/\nhost:a\nhost:b",
        b"/\nsec-websocket-key:AAAA\norigin:null", b"/?EIO=4&transport=polling",
    ],
    "upgrade_answers": [bytes((step,)) + answer for answer in _ANSWERS for step in (3, 255)],
    "http_heads": [bytes((step,)) + head for head in _HEADS for step in (0, 40, 255)],
    "proxy_headers": [b"for=192.0.2.1;proto=https, for=\"[2001:db8::1]:4711\"", b"10.0.0.1, ::1",
                      b"http://localhost:3000", b"example.org:8080", b"[::1]:80"],
    "boss_pasted": [
        b"message A { optional string b = 1; }", b"'message A {\\n}'", b'"a\\u4e2d\\ud83d"',
        b"\xef\xbb\xbf",
        "message A {…".encode(), b'// "\\"\nsyntax = "proto2"; /* \' */ a',
    ],
    "event_ids": [b"0", b"42", b"9" * 19, b"9" * 40, b"-1", b"\xb2"],
}  # fmt: skip


def _packets() -> list[bytes]:
    """The MQTT packets of Boss, alone and all in a row, cut into single bytes and not at all."""
    cases = json.loads((VECTORS / "boss" / "boss_vectors.json").read_text("utf-8"))["mqtt"]
    packets = [bytes.fromhex(case["hex"]) for case in cases]
    return [bytes((step,)) + data for data in [*packets, b"".join(packets)] for step in (0, 255)]


def _payloads() -> list[bytes]:
    """The protobuf messages of Boss."""
    cases = json.loads((VECTORS / "boss" / "boss_vectors.json").read_text("utf-8"))["protobuf"]
    return [bytes.fromhex(case["hex"]) for case in cases]


def corpus_of(name: str) -> list[bytes]:
    """Return the examples of a target."""
    if name in ("contact_frames", "maim_frames", "maim_envelope"):
        return _vectors(name.partition("_")[0])
    if name.startswith("link_"):
        return _streams()
    if name.startswith("mqtt_"):
        return _packets()
    if name == "boss_payloads":
        return _payloads()
    return _OTHERS[name]
