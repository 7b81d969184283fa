"""A tiny activation parent: keeps listening sockets open and hands them to each product it starts.

The child puts the sockets at descriptor 3 and on and says whose they are by `LISTEN_PID`, as
systemd does, and becomes the product. Source: sd_listen_fds(3)
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from socket import socket

from product import Product, environment

_CHILD = """
import os, sys
numbers = [int(one) for one in sys.argv[1].split(",")]
high = [os.dup2(number, 100 + nth, False) for nth, number in enumerate(numbers)]
for nth, number in enumerate(high):
    os.dup2(number, 3 + nth, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)))
os.environ.update(LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, "-m", "trunkline", *sys.argv[3:]])
"""


def launch(
    folder: Path, sockets: Sequence[socket], *arguments: str, names: Sequence[str] = ()
) -> Product:
    """Start `serve` in a folder that holds `trunkline.toml`, with these sockets handed over."""
    numbers = [one.fileno() for one in sockets]
    process = subprocess.Popen(
        [
            sys.executable, "-c", _CHILD, ",".join(map(str, numbers)), ":".join(names),
            "serve", "-c", "trunkline.toml", *arguments,
        ],
        cwd=folder, env=environment(), text=True, pass_fds=numbers,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    return Product(process, folder)


def listening(port: int = 0, host: str = "127.0.0.1") -> socket:
    """Return a socket that listens; closing it is the caller's."""
    one = socket()
    one.bind((host, port))
    one.listen(1024)
    return one
