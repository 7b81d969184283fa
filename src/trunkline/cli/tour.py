"""`serve --guides`: the guides' own ports and paths, as far as this machine has them free.

The configuration is that of `init --template guides`, in a temporary folder. The certificate is
`./ssl/server.crt`, where the printed clients look for it: who runs them in the same folder is
trusted at once. Source: guides 2
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.configuration.guides import HOST, MAIN_PORT, PLACES, Place, write_guides

from .cert import CERT_NAME, FOLDER, KEY_NAME, make_certificate
from .output import ExitCode, fail, text

if TYPE_CHECKING:
    from trunkline.lines.line import Line

_FILE: Final = "trunkline.toml"


class Tour:
    """What will be served, what not, and how readers of the guides are told.

    Args:
        places: rows whose port is free.
        absent: rows whose port somebody else has.
        certificate: absolute paths of the certificate and its key; None = all is plain.
        is_new: the certificate was made just now.
    """

    def __init__(
        self,
        places: Sequence[Place],
        absent: Sequence[Place],
        certificate: tuple[Path, Path] | None,
        *,
        is_new: bool = False,
    ) -> None:
        self.places = tuple(places)
        self.absent = tuple(absent)
        self.certificate = certificate
        self.is_new = is_new

    def write(self, folder: Path) -> Path:
        """Write the configuration into an empty folder and return its path."""
        paths = None
        if self.certificate is not None:
            cert, key = self.certificate
            paths = (str(cert), str(key))
        path = folder / _FILE
        path.write_text(write_guides(self.places, paths), encoding="utf-8")
        path.chmod(0o600)
        return path

    def tell(self, lines: Mapping[str, Line]) -> list[str]:
        """Say which sample belongs to which address, and what is not there."""
        told = [text("指南示例：", "samples of the guides:")]
        for place in self.places:
            sample = text(place.sample_zh, place.sample_en)
            first, *others = lines[place.line].where
            told.append(f"  {place.guide} {place.dialect:<8} {first}  {sample}")
            # A dialect may serve more below a path than the guide names.
            told += [f"{'':15}{also}" for also in others if also.endswith(place.paths[1:])]
        for place in self.absent:
            told.append(
                text(
                    f"  {place.guide} {place.dialect:<8} 端口 {place.port} 已被占用，不提供",
                    f"  {place.guide} {place.dialect:<8} port {place.port} is taken: left out",
                )
            )
        return told + self._tell_certificate()

    def _tell_certificate(self) -> list[str]:
        if self.certificate is None:
            return []
        cert, _ = self.certificate
        made = (
            text("新建证书", "made the certificate") if self.is_new else text("证书", "certificate")
        )
        here = f".{os.sep}{FOLDER}{os.sep}{CERT_NAME}"
        return [
            f"  {made} {cert}",
            text(
                f"  Python 示例读取 {here}：在 {cert.parent.parent} 中运行它",
                f"  the Python sample reads {here}: run it in {cert.parent.parent}",
            ),
            text(
                f"  Node 示例：NODE_EXTRA_CA_CERTS={cert}",
                f"  for the Node sample: NODE_EXTRA_CA_CERTS={cert}",
            ),
        ]


def plan(port: int | None, table: Sequence[Place] = PLACES, *, is_plain: bool) -> Tour:
    """Look which ports are free, and have a certificate where one is needed.

    Args:
        port: what `--port` says; None = the guides' own, which must be free.
        table: every place there could be.
        is_plain: no TLS.

    Raises:
        CommandFailed: the main port is taken (exit 2), or the certificate cannot be had.
    """
    if port is None and _is_taken(MAIN_PORT):
        fail(
            ExitCode.USAGE,
            text(
                f"{HOST}:{MAIN_PORT} 已被占用，指南 003 的示例要用它",
                f"{HOST}:{MAIN_PORT} is taken, and the samples of guide 003 need it",
            ),
            text("停止占用它的程序", "stop the program that has it"),
        )
    absent = [place for place in table if place.port != MAIN_PORT and _is_taken(place.port)]
    places = [place for place in table if place not in absent]
    if is_plain or not any(place.has_tls for place in places):
        return Tour(places, absent, None)
    folder = Path.cwd() / FOLDER
    pair = (folder / CERT_NAME, folder / KEY_NAME)
    found = [path for path in pair if path.exists()]
    if len(found) == 1:
        fail(
            ExitCode.USAGE,
            text(
                f"{found[0]} 缺少与之成对的文件",
                f"{found[0]} is there without the other file of the pair",
            ),
            text(
                "运行 trunkline cert --force 重新生成，或加 --plain",
                "make both anew by trunkline cert --force, or use --plain",
            ),
        )
    if not found:
        make_certificate(folder)
    return Tour(places, absent, pair, is_new=not found)


def _is_taken(port: int) -> bool:
    """Whether another program listens there; asked as the server will ask."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
