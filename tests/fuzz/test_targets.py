"""Every decoder keeps its promises for examples, old finds and what hypothesis thinks of.

`make fuzz` feeds the same targets with atheris; what it finds becomes a file in
`regressions/TARGET/`, and so a case here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mqtt_packets_drawn
from fuzzcorpus import corpus_of
from fuzztargets import TARGETS
from rawsocket import encode_frame
from trunkline.wire.mqtt_codec import encode

REGRESSIONS = Path(__file__).parent / "regressions"

OPCODES = st.sampled_from([0, 1, 1, 2, 8, 9, 10, 3, 11])
FRAMES = st.builds(
    encode_frame,
    OPCODES,
    st.binary(max_size=140) | st.sampled_from([b"\x03\xe8", b"\xce", b"\xba", b"x" * 600]),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4]),
    is_masked=st.booleans(),
)
STREAMS = st.builds(
    lambda step, frames, cut: bytes((step,)) + b"".join(frames)[: cut or None],
    st.integers(0, 255),
    st.lists(FRAMES, max_size=8),
    st.integers(0, 2000),
)
TOKENS = st.sampled_from([
    b"GET ", b"POST ", b"/ws", b"/", b"%2f", b"?a=b", b"?token=", b" HTTP/1.1\r\n", b"\r\n", b"\n",
    b"Host: 127.0.0.1\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n",
    b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n", b":", b"\xff", b"\0",
    b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 403 X\r\n", b"Sec-WebSocket-Accept: ACCEPT\r\n",
    b"Content-Length: " + b"9" * 5000 + b"\r\n", b"for=", b"[::1]", b",", b'"',
])  # fmt: skip
WORDS = st.lists(TOKENS | st.binary(max_size=4), max_size=20).map(b"".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "message", "data", "message_info", "payload", "msg_id", "time"]),
        inner, max_size=4,
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())  # fmt: skip
PACKETS = st.builds(
    lambda step, packets: bytes((step,)) + b"".join(packets),
    st.integers(0, 255),
    st.lists(mqtt_packets_drawn.PACKETS.map(encode) | st.binary(max_size=4), max_size=8),
)
SHAPED: dict[str, st.SearchStrategy[bytes]] = {
    "link_server": STREAMS,
    "link_client": STREAMS,
    "http_heads": WORDS,
    "upgrade_requests": WORDS,
    "upgrade_answers": WORDS,
    "proxy_headers": WORDS,
    "mqtt_client": PACKETS,
    "mqtt_broker": PACKETS,
    "event_ids": st.text("0123456789+-_ ", max_size=40).map(str.encode),
}


def finds() -> list[Any]:
    return [
        pytest.param(path.parent.name, path.read_bytes(), id=f"{path.parent.name}-{path.name}")
        for path in sorted(REGRESSIONS.glob("*/*"))
    ]


@pytest.mark.parametrize(("name", "data"), finds())
def test_what_was_found_once_stays_mended(name: str, data: bytes) -> None:
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_no_trouble(name: str) -> None:
    corpus = corpus_of(name)
    assert corpus
    for data in corpus:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_no_trouble(name: str) -> None:
    @given(st.binary(max_size=80) | SHAPED.get(name, VALUES))
    def check(data: bytes) -> None:
        TARGETS[name](data)

    check()
