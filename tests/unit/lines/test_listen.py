"""Request targets, and what only a gate without a socket shows. The rest is in tests/interop."""

import pytest

from linkstand import Bench, FakeTransport, StandDoor
from trunkline.clock import FakeClock
from trunkline.lines.listen import Answer, Call, Gate, _read_headers, path_of


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/ws", "/ws"),
        (b"/ws?a=/b", "/ws"),
        (b"/%e4%bd%a0", "/你"),
        (b"//ws", "//ws"),
        (b"http://host:1/ws?x", "/ws"),
        (b"*", "*"),
        (b"/\xff", None),
        (b"http://[::1/ws", None),
    ],
)
def test_paths(target, path):
    assert path_of(target) == path


HEADERS = [
    (b"host", b"127.0.0.1"),
    (b"upgrade", b"websocket"),
    (b"connection", b"keep-alive, Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


def call(**changes) -> Call:
    values = {
        "bind": "",
        "method": "GET",
        "target": b"/",
        "version": "1.1",
        "headers": HEADERS,
        "peer": "127.0.0.1",
    }
    return Call(**{**values, **changes})


def gate() -> tuple[Gate, StandDoor]:
    door = StandDoor()
    made = Gate(Bench().commons, FakeClock())
    made.add("", "/", door)
    return made, door


async def test_a_browser_s_connection_header_is_understood():
    made, door = gate()
    transport = FakeTransport()
    assert made.knock(call(), transport) is None
    assert made.links == 1
    assert transport.written.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in transport.written
    transport.lose()
    assert made.links == 0
    assert door.ear.end[0] == 1006


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"bind": "other"}, 404),
        ({"target": b"/x"}, 404),
        ({"target": b"/\xff"}, 400),
        ({"target": b"/?" + b"&".join(b"a%d=1" % n for n in range(65))}, 400),
        ({"method": "POST"}, 400),
        ({"version": "1.0"}, 400),
        ({"headers": [*HEADERS, (b"transfer-encoding", b"chunked")]}, 400),
        ({"headers": [*HEADERS, (b"sec-websocket-version", b"13")]}, 400),
    ],
)
def test_refusals(changes, status):
    made, door = gate()
    answer = made.knock(call(**changes), FakeTransport())
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert door.ears == []
    assert made.links == 0


def test_names_and_values_of_heads_are_shared():
    agent = b"Mozilla/5.0 something long"
    one, two = (_read_headers([(b"user-agent", bytearray(agent))]) for _ in range(2))
    assert one == {"user-agent": agent.decode()}
    assert one["user-agent"] is two["user-agent"]
