"""The embeddable client and server: one line inside somebody else's program.

    async with connect("maim", url="ws://127.0.0.1:8090/ws", platform="my_platform") as line:
        await line.send("private:user123", "Hello")
        async for event in line: ...

The same sessions, drivers, supervisor and listener as in the product, with no store behind them:
`inbox.py` is the exchange, in memory. An event is acknowledged to its peer once it stands in the
queue that the program reads, so what a program that dies has not read is lost; `trunkline serve` is
for those who cannot afford that. The keys are those of the configuration (`settings.py`).

`connecting.py` is the end that dials, `listening.py` the one that listens, `line.py` what both can
do, `sending.py` how something leaves. This room knows no dialect, no store and no pipeline.
"""

from __future__ import annotations

from trunkline.errors import ConfigError

from .connecting import EmbeddedLine
from .listening import EmbeddedServer
from .logs import setup_logging
from .sending import Fate
from .settings import read_settings, require_safe
from .watched import Peer

__all__ = [
    "EmbeddedLine", "EmbeddedServer", "Fate", "Peer", "connect", "listen", "setup_logging",
]  # fmt: skip

QUEUE_EVENTS = 1024


def connect(dialect: str, *, queue_events: int = QUEUE_EVENTS, **options: object) -> EmbeddedLine:
    """Make a line that dials; nothing is opened before `async with` or `run`.

    Args:
        dialect: as in `dialect = "…"`.
        queue_events: how many received events may wait to be read; then the link is read no more.
        options: the keys of a line of the configuration (`docs/options.md`). `link` may be left
            out; `role` is the one of the dialect that dials.

    Raises:
        ConfigError: with every problem; an unknown key names the nearest.
    """
    return EmbeddedLine(read_settings(dialect, "dial", options), _checked(queue_events))


def listen(
    dialect: str,
    *,
    queue_events: int = QUEUE_EVENTS,
    allow_open: bool = False,
    allowed_hosts: tuple[str, ...] = (),
    **options: object,
) -> EmbeddedServer:
    """Make a line that listens; nothing is opened before `async with` or `run`.

    Args:
        dialect: as in `dialect = "…"`.
        queue_events: as in `connect`, over all connections.
        allow_open: let strangers in without a token or TLS, on an address that is not loopback.
        allowed_hosts: names by which this machine may be called, besides addresses.
        options: the keys of a line of the configuration. Without `bind` it is 127.0.0.1:8080, the
            product's own port; port 0 picks a free one, which `url` then names.

    Raises:
        ConfigError: with every problem; an unknown key names the nearest.
        UnsafeConfig: an address that is not loopback lacks a token or TLS (exit 78).
    """
    settings = read_settings(dialect, "listen", options)
    if not allow_open:
        require_safe(settings)
    return EmbeddedServer(
        settings, _checked(queue_events), is_open=allow_open, allowed_hosts=allowed_hosts
    )


def _checked(queue_events: int) -> int:
    if queue_events < 1:
        raise ConfigError(["queue_events must be at least 1"])
    return queue_events
