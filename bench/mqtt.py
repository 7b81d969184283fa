"""How dear an MQTT message with QoS 1 is to receive: a feeder, and the clients that it feeds.

A client of Boss connects over a WebSocket, takes a message, decodes its protobuf, looks at the text
and acknowledges. `mqtt_receive.py` does it on our production link, `peers/paho_receive.py` with
paho-mqtt 2.2; both print the CPU time of their own process, threads included, divided by the
messages after a warm-up. The feeder is the same for both and does not count: bytes made beforehand,
bursts of 20 (the gateway's batches have up to 20, boss 10.4), the next burst when all of the last
one are acknowledged. Both also run over plain TCP, which leaves MQTT and protobuf alone.

`bench/run.py` measures it among the others; alone: `.venv/bin/python bench/mqtt.py [MESSAGES]`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import subprocess
import sys
import threading

from servers import ROOT, interpreter

_BURST = 20
_STALL_S = 20.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_VECTORS = ROOT / "tests" / "vectors" / "boss" / "boss_vectors.json"
_SCHEMA = ROOT / "src" / "trunkline" / "dialects" / "boss" / "schema.binpb"
CLIENTS = {
    "trunkline": ("", ROOT / "bench" / "mqtt_receive.py"),
    "paho": ("paho", ROOT / "bench" / "peers" / "paho_receive.py"),
}


def push() -> bytes:
    """Return a text message as the gateway pushes it: PUBLISH, QoS 1, a protobuf inside."""
    cases = json.loads(_VECTORS.read_text(encoding="utf-8"))["mqtt"]
    return bytes.fromhex(next(it["hex"] for it in cases if it["name"] == "publish_push_qos1"))


def frame(payload: bytes) -> bytes:
    """Return an unmasked BINARY frame."""
    if len(payload) < 126:
        return bytes((0x82, len(payload))) + payload
    return struct.pack(">BBH", 0x82, 126, len(payload)) + payload


def burst(first: int, *, is_framed: bool) -> bytes:
    """Return the bytes of a burst, with ascending packet ids."""
    one = push()
    at = one.index(b"chat") + 4
    ids = (struct.pack(">H", number) for number in range(first, first + _BURST))
    packets = [one[:at] + packet_id + one[at + 2 :] for packet_id in ids]
    return b"".join(map(frame, packets) if is_framed else packets)


class _Peer:
    """The gateway's end of one connection, with or without a WebSocket around MQTT."""

    def __init__(self, sock: socket.socket, *, is_framed: bool) -> None:
        self._sock = sock
        self._is_framed = is_framed
        self._kept = b""

    def more(self) -> None:
        data = self._sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the client hung up")
        self._kept += data

    def upgrade(self) -> None:
        """Answer the upgrade request."""
        while b"\r\n\r\n" not in self._kept:
            self.more()
        head, _, self._kept = self._kept.partition(b"\r\n\r\n")
        lines = [line.partition(b":") for line in head.split(b"\r\n")]
        key = next(value for name, _, value in lines if name.lower() == b"sec-websocket-key")
        digest = hashlib.sha1(key.strip() + _GUID).digest()
        self._sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    def take(self, wanted: int) -> None:
        """Read so many bytes of MQTT, in whatever masked messages they come."""
        while not self._is_framed and wanted > 0:
            if not self._kept:
                self.more()
            wanted -= len(self._kept)
            self._kept = b""
        while wanted > 0:
            while len(self._kept) < 6 or len(self._kept) < 6 + (self._kept[1] & 127):
                self.more()
            size = self._kept[1] & 127
            if size > 125:
                raise ValueError("the client sent more than an acknowledgement")
            if self._kept[0] & 15 == 2:
                wanted -= size
            self._kept = self._kept[6 + size :]

    def greet(self) -> None:
        """Take CONNECT and send CONNACK."""
        if self._is_framed:
            self.upgrade()
        self.take(1)
        accepted = b"\x20\x02\x00\x00"
        self._sock.sendall(frame(accepted) if self._is_framed else accepted)

    def feed(self, messages: int) -> None:
        """Send messages in bursts, each when the last one is acknowledged."""
        firsts = range(1, 100 * _BURST, _BURST)
        bursts = [burst(first, is_framed=self._is_framed) for first in firsts]
        for number in range(messages // _BURST):
            self._sock.sendall(bursts[number % len(bursts)])
            self.take(4 * _BURST)


def _serve(door: socket.socket, messages: int, *, is_framed: bool) -> None:
    # A client that is done hangs up; what went wrong with it, its own output says.
    with contextlib.suppress(OSError), door.accept()[0] as sock:
        sock.settimeout(_STALL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = _Peer(sock, is_framed=is_framed)
        peer.greet()
        peer.feed(messages)


def measure_mqtt(client: str, carrier: str, messages: int) -> float:
    """Feed a client; return its CPU µs a message.

    Args:
        client: one of `CLIENTS`.
        carrier: `websocket` or `tcp`.
        messages: how many are counted; a tenth more goes before them.

    Raises:
        RuntimeError: it could not be measured.
    """
    environment, program = CLIENTS[client]
    messages -= messages % _BURST
    warm = messages // 10 // _BURST * _BURST
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(_STALL_S)
        feeder = threading.Thread(
            target=_serve, args=(door, messages + warm), daemon=True,
            kwargs={"is_framed": carrier == "websocket"},
        )  # fmt: skip
        feeder.start()
        port = door.getsockname()[1]
        try:
            done = subprocess.run(
                [interpreter(environment), str(program), str(port), str(warm), str(messages),
                 str(_SCHEMA), carrier],
                text=True, capture_output=True, timeout=120, check=False,
            )  # fmt: skip
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"{client}: {error}") from error
        feeder.join(_STALL_S)
    if done.returncode != 0:
        raise RuntimeError(f"{client}: {done.stderr[-500:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["us"])


def main(messages: int = 4000) -> int:
    """Measure every client over every carrier, and print the ratios."""
    for carrier in ("websocket", "tcp"):
        us = {client: measure_mqtt(client, carrier, messages) for client in CLIENTS}
        told = "  ".join(f"{client} {value:.1f} µs" for client, value in us.items())
        print(f"{carrier}: {told}  paho / trunkline {us['paho'] / us['trunkline']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
