"""The listening rule: what a bind that strangers can reach must have (`reliability 8`).

Loopback is open (`guides 1`); there short tokens only warn. Everything here is arithmetic on the
configuration: nothing is resolved and no socket is opened.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Final

from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import LineOptions

from .lines import is_loopback
from .problems import Problems
from .sections import Server, parse_bind

MIN_TOKEN_BITS: Final = 128
# Words of samples and guides; a random token holds one by chance once in many thousands.
_DEMO = re.compile(
    r"demo|example|sample|change.?me|your.?token|my.?token|password|secret|123456|abcdef|xxxx|测试",
    re.IGNORECASE,
)
_MIN_DISTINCT = 8


def token_bits(token: str) -> float:
    """Return how many bits a token of this form has when it was made at random.

    Digits count 3.3 bits a character, hexadecimal 4, anything else 6; repetition counts nothing.
    """
    if len(set(token)) < _MIN_DISTINCT or _DEMO.search(token):
        return 0.0
    if token.isascii() and token.isdigit():
        return len(token) * math.log2(10)
    if re.fullmatch(r"[0-9a-fA-F-]+", token):
        return len(token.replace("-", "")) * 4.0
    return len(token) * 6.0


def is_strong(token: str) -> bool:
    """Whether a token may guard a door that strangers reach."""
    return token_bits(token) >= MIN_TOKEN_BITS


def is_private_network(host: str) -> bool:
    """Whether a bind is an address of a private network. All interfaces (`0.0.0.0`) is not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_private and not address.is_unspecified and not address.is_loopback


def find_missing(
    server: Server,
    lines: Mapping[str, LineOptions],
    dialects: Mapping[str, Dialect],
    problems: Problems,
) -> list[str]:
    """Return what is missing on binds that are not loopback; empty = safe.

    Args:
        server, lines: as configured.
        dialects: tell which doors are for visitors and need no token.
        problems: only gives the language.
    """
    missing: list[str] = []
    listening = {
        name: options
        for name, options in lines.items()
        if options.enabled and options.link == "listen"
    }
    if not is_loopback(server.host):
        host = f"[{server.host}]" if ":" in server.host else server.host
        where = f"{host}:{server.port}"
        missing += _find_tls(where, server.host, "[server]", server.tls_cert, server, problems)
        for name, options in listening.items():
            if not options.bind:
                missing += _find_token(name, options, where, dialects, problems)
    for name, options in listening.items():
        for bind in options.bind:
            host, _ = parse_bind(bind)
            if not is_loopback(host):
                table = f"[lines.{name}]"
                missing += _find_tls(bind, host, table, options.tls_cert, server, problems)
                missing += _find_token(name, options, bind, dialects, problems)
    return list(dict.fromkeys(missing))


def _find_tls(
    where: str, host: str, table: str, cert: str, server: Server, problems: Problems
) -> list[str]:
    if cert or server.tls == "terminated-by-proxy":
        return []
    if server.tls == "off-on-private-network":
        if is_private_network(host):
            return []
        return [
            problems.say(
                f'{where}：tls = "off-on-private-network" 只用于私有地址，{host} 不是',
                f'{where}: tls = "off-on-private-network" is for private addresses; {host} is none',
            )
        ]
    return [
        problems.say(
            f"{where}：{table} 缺少 tls_cert 与 tls_key，"
            'TLS 由代理负责时写 [server] tls = "terminated-by-proxy"',
            f"{where}: {table} tls_cert and tls_key, "
            'or [server] tls = "terminated-by-proxy" when a proxy does TLS',
        )
    ]


def _find_token(
    name: str,
    options: LineOptions,
    where: str,
    dialects: Mapping[str, Dialect],
    problems: Problems,
) -> list[str]:
    missing: list[str] = []
    for key, tokens in options.door_tokens.items():
        place = f"{where}: [lines.{name}] {key}"
        if not tokens:
            if not is_public(options, dialects):
                missing.append(problems.say(f"{place}：缺少", f"{place}: none is set"))
        elif not all(map(is_strong, tokens)):
            missing.append(
                problems.say(
                    f"{place}：太弱或是示例值；需要至少 128 位随机，如 openssl rand -hex 16",
                    f"{place}: too weak or a sample; it needs 128 random bits "
                    "(openssl rand -hex 16)",
                )
            )
    return missing


def is_public(options: LineOptions, dialects: Mapping[str, Dialect]) -> bool:
    """Whether a listening line's doors are for visitors, who have no token."""
    traits = dialects[options.dialect].traits.get(options.role)
    return traits is not None and traits.is_site


def is_open(options: LineOptions, dialects: Mapping[str, Dialect]) -> bool:
    """Whether a machine line listens without a token (`guides 1`)."""
    return (
        options.enabled
        and options.link == "listen"
        and not options.tokens
        and not is_public(options, dialects)
    )


def warn_of_tokens(
    lines: Mapping[str, LineOptions], dialects: Mapping[str, Dialect], problems: Problems
) -> None:
    """Warn of tokens that only loopback may have."""
    for name, options in lines.items():
        weak = [token for token in options.tokens if not is_strong(token)]
        if weak and options.link == "listen" and not is_public(options, dialects):
            problems.warn(
                ("lines", name, "token"),
                "少于 128 位，只够本机使用",
                "has less than 128 bits: good enough for loopback only",
            )
