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

from trunkline.configuration.guides import (
    COOKIES_FILE,
    HOST,
    JOB_COOKIES_FILE,
    JOB_LINE,
    JOB_READER_COOKIES,
    MAIN_PORT,
    MARKET_LINE,
    PLACES,
    READER_COOKIES,
    REPLY_PATH,
    Place,
    write_cookies,
    write_guides,
    write_job_cookies,
)

from .cert import CERT_NAME, FOLDER, KEY_NAME, make_certificate
from .output import ExitCode, fail, text

if TYPE_CHECKING:
    from trunkline.clock import Clock
    from trunkline.dev.market import MarketPlace
    from trunkline.lines.line import Line

_FILE: Final = "trunkline.toml"
PACE_S: Final = 6.0  # at most five automatic answers a minute in one chat (`guides 4`)


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
        self.market_url = ""
        self.job_url = ""
        self.job_http_url = ""

    def write(self, folder: Path) -> Path:
        """Write the configuration into an empty folder and return its path."""
        paths = None
        if self.certificate is not None:
            cert, key = self.certificate
            paths = (str(cert), str(key))
        path = folder / _FILE
        path.write_text(write_guides(self.places, paths), encoding="utf-8")
        logins = {COOKIES_FILE: write_cookies(), JOB_COOKIES_FILE: write_job_cookies()}
        for name, login in logins.items():
            (folder / name).write_text(login, encoding="utf-8")
        for name in (_FILE, *logins):
            (folder / name).chmod(0o600)
        return path

    @property
    def platforms(self) -> dict[str, str]:
        """Where the platforms are that it opened, by the key of the `ready` line."""
        return {"market": self.market_url, "gateway": self.job_url}

    async def open_platforms(self, clock: Clock) -> tuple[list[MarketPlace], dict[str, str]]:
        """Open the gateway of guide 000 and the marketplace of guide 001, on free ports.

        Returns:
            What was opened, and the variables that lead the lines there.
        """
        from trunkline.dev.market import MarketPlace, MarketScript

        market = MarketPlace(0, clock, MarketScript(pace_s=PACE_S))
        gateway = MarketPlace(0, clock, MarketScript(pace_s=PACE_S), "boss")
        base = await market.start()
        self.job_http_url = await gateway.start()
        self.market_url = "ws" + base.removeprefix("http") + "/"
        self.job_url = "ws" + self.job_http_url.removeprefix("http") + gateway.path
        job = {"URL": self.job_url, "HTTP_URL": self.job_http_url}
        return [market, gateway], {
            **_variables(MARKET_LINE, URL=self.market_url, HTTP_URL=base, UPLOAD_URL=base),
            **_variables(JOB_LINE, **job),
        }

    def tell(self, lines: Mapping[str, Line], url: str) -> list[str]:
        """Say which sample belongs to which address, and what is not there.

        Args:
            lines: of the running program.
            url: of its main port.
        """
        told = [text("指南示例：", "samples of the guides:"), *self._tell_gateway()]
        told += self._tell_market(url)
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

    def _tell_gateway(self) -> list[str]:
        gateway = text("模拟网关；examples/guides/boss：", "a gateway; for examples/guides/boss:")
        return [
            f"  000 {JOB_LINE:<8} {self.job_url}  {gateway}",
            f"{'':15}export BOSS_URL={self.job_url} BOSS_HTTP_URL={self.job_http_url}",
            f"{'':15}echo '{JOB_READER_COOKIES}' > reader.cookies; python main.py reader.cookies",
        ]

    def _tell_market(self, url: str) -> list[str]:
        reply = text("回复服务", "the reply service")
        market = text(
            "模拟市场；示例的 config.py 读取：", "a market; config.py of the sample reads:"
        )
        head = f"  001 {MARKET_LINE:<8}"
        return [
            f"{head} POST {url}{REPLY_PATH}  {reply}",
            f"{head} {self.market_url}  {market}",
            f"{'':15}export WEBSOCKET_URL={self.market_url} COOKIES_STR='{READER_COOKIES}'",
        ]

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


def _variables(line: str, **values: str) -> dict[str, str]:
    """Return what the environment says of a line."""
    return {f"TRUNKLINE__LINES__{line.upper()}__{key}": value for key, value in values.items()}


def _is_taken(port: int) -> bool:
    """Whether another program listens there; asked as the server will ask."""
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
