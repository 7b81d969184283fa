"""What we rely on of picows without its documentation saying so. Red after an upgrade: read on.

`lines/reader.py` builds `WSProtocol` by hand and lets it talk to an `Outlet` instead of a
transport. Each test names one fact; the code that needs it is in `reader.py` and `link.py`.
"""

import picows
import pytest
from picows import WSListener, WSMsgType
from picows.picows import WSProtocol

from rawsocket import PING, TEXT, encode_frame
from trunkline.lines import reader as reader_room
from trunkline.lines.reader import Outlet, make_reader


class Blamed:
    def __init__(self):
        self.collected = []
        self.blamed = []

    def collect(self, data):
        self.collected.append(data)

    def blame(self, code, reason):
        self.blamed.append((code, reason))


class Heard(WSListener):
    def __init__(self):
        self.frames = []

    def on_ws_frame(self, transport, frame):
        self.frames.append((frame.msg_type, frame.get_payload_as_bytes(), frame.fin, frame.rsv1))


class NoTransport:
    def get_extra_info(self, name, default=None):
        return self if name == "socket" else default

    def fileno(self):
        return -1  # a write to the socket itself would fail

    def setsockopt(self, *_):
        pass

    def getsockopt(self, *_):
        return 0


def make(is_client=False, max_frame_bytes=1000):
    blamed, heard = Blamed(), Heard()
    outlet = Outlet(blamed, NoTransport())
    reader = make_reader(heard, outlet, is_client=is_client, max_frame_bytes=max_frame_bytes)
    return reader, heard, blamed


def feed(reader, data):
    at = 0
    while at < len(data):
        room = reader.get_buffer(-1)
        part = data[at : at + len(room)]
        room[: len(part)] = part
        room.release()
        at += len(part)
        reader.buffer_updated(len(part))


def test_the_version_is_the_one_that_was_read():
    assert picows.__version__ == "2.3.1"


async def test_the_constructor_takes_fifteen_values_in_our_order(monkeypatch):
    given = []

    def spy(*values):
        given.append(values)
        return WSProtocol(*values)

    monkeypatch.setattr(reader_room, "WSProtocol", spy)
    make()
    (values,) = given
    assert len(values) == 15
    for wrong in (values[:-1], (*values, None), (values[2], *values[1:]), values[::-1]):
        # Cython checks counts and types, so a changed signature raises instead of being believed.
        with pytest.raises((TypeError, AttributeError)):
            WSProtocol(*wrong)


async def test_it_is_past_its_handshake_and_has_written_nothing():
    for is_client in (False, True):
        reader, heard, blamed = make(is_client=is_client)
        data = encode_frame(TEXT, b"x", is_masked=not is_client)
        feed(reader, data)
        assert heard.frames == [(WSMsgType.TEXT, b"x", 1, 0)]
        assert blamed.blamed == []


async def test_message_types_are_compared_by_identity():
    reader, heard, _ = make()
    feed(reader, encode_frame(TEXT, b"") + encode_frame(PING, b""))
    assert heard.frames[0][0] is WSMsgType.TEXT
    assert heard.frames[1][0] is WSMsgType.PING


async def test_a_broken_rule_is_logged_as_code_and_reason():
    reader, heard, blamed = make()
    feed(reader, encode_frame(TEXT, b"fine") + encode_frame(3, b""))
    assert [frame[1] for frame in heard.frames] == [b"fine"]
    (first, *_) = blamed.blamed
    assert first[0] == 1002
    assert "opcode" in first[1]


async def test_a_frame_that_is_too_large_is_blamed_by_its_header():
    reader, _, blamed = make(max_frame_bytes=1000)
    feed(reader, encode_frame(TEXT, b"x" * 1001)[:8])
    assert blamed.blamed[0][0] == 1009


async def test_the_client_side_masks_into_the_outlet():
    reader, _, blamed = make(is_client=True)
    before = len(blamed.collected)
    reader.transport.send(WSMsgType.TEXT, b"hello")
    (frame,) = blamed.collected[before:]
    assert type(frame) is bytes
    key = frame[2:6]
    assert frame[:2] == b"\x81\x85"
    assert bytes(b ^ key[i & 3] for i, b in enumerate(frame[6:])) == b"hello"


async def test_the_buffer_starts_small_and_grows():
    reader, _, _ = make(max_frame_bytes=1 << 20)
    assert len(reader.get_buffer(-1)) <= 2048
    feed(reader, encode_frame(TEXT, b"x" * 100_000))
    assert len(reader.get_buffer(-1)) >= 100_000
