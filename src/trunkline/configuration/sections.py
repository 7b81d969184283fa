"""The tables of `trunkline.toml` as frozen values, lines and rules apart (`design 3`).

Values arrive resolved. Wordings inside `ValueError` are `Chinese | English`; `problems` cuts them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from trunkline.dialects.options import Names
from trunkline.model.asking import PRICE_WORDS, TECH_WORDS, ModelSpec
from trunkline.pipeline.rulebook import RulebookSpec

from . import notbuilt

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)i?B?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MIN_ROTATE_BYTES: Final = 4096

Tls: TypeAlias = Literal["", "terminated-by-proxy", "off-on-private-network"]


def parse_size(text: str) -> int:
    """Parse `10MB`, `512 KiB` or `1048576` to bytes; a K is 1,024.

    Raises:
        ValueError: it is none of these.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("需要大小，如 10MB | expects a size such as 10MB")
    return int(float(match[1]) * _FACTORS[match[2].upper()])


def parse_bind(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT` or `[IPv6]:PORT`.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(
            f"{text!r} 不是 主机:端口 | {text!r} is not HOST:PORT, as in 127.0.0.1:8090"
        )
    return host, int(port)


def _size(text: str) -> str:
    if parse_size(text) < MIN_ROTATE_BYTES:
        raise ValueError("至少 4KB | must be at least 4KB")
    return text


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_network(value) for value in values)


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_origin(value) for value in values)


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(
            f"{text!r} 不是地址或网段 | {text!r} is neither an address nor a network"
        ) from error
    return text


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise ValueError(
            f"{text!r} 不是来源，如 https://example.org | "
            f"{text!r} is not an origin such as https://example.org"
        )
    return text.rstrip("/")


def _sqlite_url(text: str) -> str:
    if text.startswith(notbuilt.STORE_SCHEMES):
        raise ValueError("PostgreSQL 尚未实现 | PostgreSQL is not built yet")
    scheme, _, name = text.partition(":")
    if scheme != "sqlite" or not re.fullmatch(r"[\w][\w.-]*", name):
        raise ValueError(
            "需要 sqlite:文件名；目录写在 dir | "
            "expects sqlite:NAME, as in sqlite:trunkline.db; a folder goes to dir"
        )
    return text


def _not_negative(values: dict[str, float]) -> dict[str, float]:
    if any(value < 0 for value in values.values()):
        raise ValueError("不能小于 0 | must be at least 0")
    return values


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(
            "需要地址，如 https://api.example.com/v1 | "
            "expects an address such as https://api.example.com/v1"
        )
    return text


Networks = Annotated[Names, AfterValidator(_networks)]
Origins = Annotated[Names, AfterValidator(_origins)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Server(_Section):
    """`[server]`: the one port, and who may reach it.

    Attributes:
        host, port: where REST, metrics and every listening line without `bind` are; 0 picks a port.
        tls_cert, tls_key: PEM files for this port.
        tls: written by hand when TLS is not ours: a proxy has it, or the network is private.
        trusted_proxies: addresses or networks whose `X-Forwarded-*` count.
        allowed_hosts: further `Host` values that are answered.
        origins: pages that may use the API.
    """

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8080, ge=0, le=65535)
    tls_cert: str = ""
    tls_key: SecretStr | None = None
    tls: Tls = ""
    trusted_proxies: Networks = ()
    allowed_hosts: Names = ()
    origins: Origins = ()


class StoreSection(_Section):
    """`[store]`: where what must survive is kept.

    Attributes:
        url: `sqlite:NAME` inside the data folder.
        dir: the data folder; "" = the configuration file's own folder.
        synchronous: `normal` may lose commits at power loss; shown in `/readyz`.
    """

    url: Annotated[str, AfterValidator(_sqlite_url)] = "sqlite:trunkline.db"
    dir: str = ""
    synchronous: Literal["full", "normal"] = "full"

    @property
    def filename(self) -> str:
        """The database's file name."""
        return self.url.partition(":")[2]


class LogSection(_Section):
    """`[log]`: what is written where.

    Attributes:
        file: in the data folder unless absolute; "" = none.
        rotate: a size such as `10MB`; a full file becomes `NAME.1`.
        keep: how many old files stay.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: str = "trunkline.log"
    rotate: Annotated[str, AfterValidator(_size)] = "10MB"
    keep: int = Field(7, ge=0, le=1000)
    format: Literal["console", "json"] = "console"

    @property
    def rotate_bytes(self) -> int:
        """`rotate` in bytes."""
        return parse_size(self.rotate)


class Limits(_Section):
    """`[limits]`: what one process takes on (`reliability 8`).

    Attributes:
        max_dials: lines that dial at the same moment; more wait for their turn. Source: xianyu 9
    """

    max_connections: int = Field(10_000, ge=1, le=1_000_000)
    max_dials: int = Field(5, ge=1, le=1000)


class Dev(_Section):
    """`[dev]`: for the crash harness and the soak only (`reliability 7`).

    Attributes:
        clock_scale: wall time runs so many times faster, timers do not; on loopback only.
    """

    failpoints: bool = False
    clock_scale: float = Field(1.0, ge=1, le=100_000)


class Site(_Section):
    """`[site]`: texts and the calendar of the answers.

    Attributes:
        offline_notice: said on contact lines when nothing else answers.
        utc_offset_h: where a day begins for `per = "day"`; China is 8.
    """

    offline_notice: str = Field(RulebookSpec().offline_notice, min_length=1, max_length=2000)
    utc_offset_h: float = Field(8.0, ge=-12, le=14)


class Plugins(_Section):
    """`[plugins]`: the user's Python files.

    Attributes:
        paths: patterns, relative to the configuration file's folder.
    """

    paths: Names = ("plugins/*.py",)


class Assistant(_Section):
    """`[assistant]`: any OpenAI-compatible service; without `model` there is none.

    Attributes:
        base_url: up to and with `/v1`.
        model: the service's own name of it.
        api_key: of the service.
        prompt: what the model is told first; it must hold no secret.
        fallback: said on contact lines when the model fails and nothing else answers; "" = the
            offline notice.
        lines: patterns of the lines it answers on; empty = every line.
        timeout_s: for one answer.
        links: hosts that an answer may name.
        denied: words that an answer may not have.
        per_minute, per_day: questions of one conversation.
        daily: questions of one account on one day; 0 = no limit.
        max_bargain_rounds: in a chat about goods, so many messages about the price are answered by
            the model, later ones by `bargain_refusal`; 0 = no limit.
        bargain_refusal: "" = item reply or default reply.
        price_words: what makes a message one about the price.
        tech_words: what makes it one about how the goods work, when no price word is in it.
        price_prompt, tech_prompt: instead of `prompt` for such messages; "" = `prompt` and a
            built-in one.
        max_discount_percent, max_discount_amount: an answer of the model in a chat about goods that
            gives more is not said, and later stages answer.
        prices: what goods cost, by item id, in `[assistant.prices]`; an answer that names a lower
            price than the limits allow is not said.
    """

    base_url: Annotated[str, AfterValidator(_http_url)] = ""
    model: str = ""
    api_key: SecretStr = SecretStr("")
    prompt: str = Field("", max_length=20_000)
    fallback: str = Field("抱歉，我暂时无法处理您的请求，请稍后再试。", max_length=2000)
    lines: Names = ()
    timeout_s: float = Field(30.0, gt=0, le=120)
    links: Names = ()
    denied: Names = ()
    per_minute: int = Field(6, ge=1, le=1000)
    per_day: int = Field(60, ge=1, le=100_000)
    daily: int = Field(0, ge=0, le=1_000_000)
    max_bargain_rounds: int = Field(3, ge=0, le=1000)
    bargain_refusal: str = Field("不好意思，这已经是能给的最低价了，谢谢理解。", max_length=2000)
    price_words: Names = PRICE_WORDS
    tech_words: Names = TECH_WORDS
    price_prompt: str = Field("", max_length=20_000)
    tech_prompt: str = Field("", max_length=20_000)
    max_discount_percent: float = Field(10.0, ge=0, le=100)
    max_discount_amount: float = Field(100.0, ge=0)
    prices: Annotated[dict[str, float], AfterValidator(_not_negative)] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> Assistant:
        if bool(self.base_url) != bool(self.model):
            raise ValueError(
                "base_url 和 model 须一起填写 | base_url and model belong together: name both"
            )
        return self

    @property
    def spec(self) -> ModelSpec | None:
        """What the pipeline must know, None without an assistant."""
        if not self.model:
            return None
        return ModelSpec(
            self.lines,
            self.fallback,
            self.max_bargain_rounds,
            self.bargain_refusal,
            self.price_words,
            self.tech_words,
            self.max_discount_percent,
            self.max_discount_amount,
            self.prices,
        )
