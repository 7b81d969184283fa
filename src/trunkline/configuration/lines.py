"""Checking `[lines.NAME]`: each against its dialect, then all against each other.

Knows dialects by their description only. Paths of files become absolute here, roles and
directions that were left out are filled in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import LineOptions

from . import notbuilt
from .problems import KeyPath, Problems, nearest, word_type
from .rules import read_image
from .sections import Server, parse_bind
from .source import MISSING, Source, is_private, resolve
from .tables import as_table, read_table, refuse_key

_NAME = re.compile(r"[^\s/@:?*\x00-\x1f]{1,64}")
_PATH = re.compile(r"/[^\s?#]{0,199}")
_PIN = re.compile(r"(?:[0-9a-fA-F]{2}:?){32}")
# The house's own paths on the main port (`design 3`); a line may not take one.
HOUSE_PATHS: Final = (
    "/api", "/console", "/demo", "/healthz", "/livez", "/metrics", "/openapi.json", "/readyz",
    "/xianyu/reply", "/widget.js",
)  # fmt: skip
# Keys that mean nothing in the other direction: said, not ignored.
_DIAL_ONLY: Final = frozenset({
    "ca_file", "headers", "jitter", "max_failures", "pin_sha256", "probe_s", "reconnect_backoff",
    "reconnect_interval_s", "subprotocol", "tls_insecure", "url", "user_agent",
})  # fmt: skip
_LISTEN_ONLY: Final = frozenset({"aliases", "bind", "origins", "path", "tls_cert", "tls_key"})
MAIN: Final = ""  # the bind of lines that share the main port


def read_lines(
    source: Source, problems: Problems, dialects: Mapping[str, Dialect]
) -> dict[str, LineOptions]:
    """Read every line that can be read, in file order."""
    tables = as_table(source.table.get("lines", {}), ("lines",), problems)
    lines: dict[str, LineOptions] = {}
    for name, raw in tables.items():
        path = ("lines", name)
        if not _NAME.fullmatch(name):
            problems.add(
                path,
                "名字不能有空格和 / @ : ? *",
                "a line's name has no spaces and none of / @ : ? *",
            )
        options = read_line(source, name, as_table(raw, path, problems), problems, dialects)
        if options is not None:
            lines[name] = options
    return lines


def read_line(
    source: Source,
    name: str,
    raw: dict[str, Any],
    problems: Problems,
    dialects: Mapping[str, Dialect],
) -> LineOptions | None:
    """Read one line, or None when its dialect is unknown or hardly anything of it is right."""
    path = ("lines", name)
    raw = _resolve_first(source, raw, path, problems)
    dialect = _find_dialect(raw, path, problems, dialects)
    if dialect is None:
        _refuse_unknown_keys(raw, path, problems, dialects)
        return None
    role = raw.get("role") or dialect.roles[0]
    if role in dialect.roles:
        raw["role"] = role
        # Who can do both dials, unless it is the dialect's first role: adapters dial their core.
        is_dialler = role not in dialect.listens or (
            role in dialect.dials and role != dialect.roles[0]
        )
        if "link" not in raw and is_dialler:
            raw["link"] = "dial"
    idle = notbuilt.IDLE_KEYS | notbuilt.IDLE_KEYS_OF.get(dialect.name, frozenset())
    for key in raw.keys() & idle:
        problems.add((*path, key), "尚未实现", "not built yet")
    options: LineOptions | None = read_table(
        dialect.options, raw, path, source, problems, notbuilt.KEYS["lines"]
    )
    if options is None:
        return None
    options = _with_absolute_paths(options, source.folder)
    if options.picture_key and (name_of_file := str(getattr(options, options.picture_key))):
        image = read_image(source, name_of_file, (*path, options.picture_key), problems)
        options = options.with_picture(image.data if image is not None else b"")
    for key in options.missing:
        if not problems.has((*path, key)):
            problems.add((*path, key), f"缺少 {key}", f"{key} is required")
    _check_role(options, dialect, path, problems)
    _check_direction(raw, options, path, problems)
    _check_files(options, path, problems)
    if options.link == "listen":
        _check_listening_keys(options, dialect, path, problems)
    else:
        _check_dialling_keys(options, path, problems)
    return options


def _resolve_first(
    source: Source, raw: dict[str, Any], path: KeyPath, problems: Problems
) -> dict[str, Any]:
    """Resolve the keys that decide what the others mean."""
    first = {
        key: resolve(source, raw[key], (*path, key), problems, is_secret=False)
        for key in ("dialect", "role", "link")
        if key in raw
    }
    return {key: value for key, value in {**raw, **first}.items() if value is not MISSING}


def _find_dialect(
    raw: dict[str, Any], path: KeyPath, problems: Problems, dialects: Mapping[str, Dialect]
) -> Dialect | None:
    name = raw.get("dialect")
    where = (*path, "dialect")
    known = ", ".join(dialects)
    if problems.has(where):
        return None
    if name is None:
        problems.add(path, f"缺少 dialect（{known}）", f"dialect is required: one of {known}")
    elif not isinstance(name, str):
        problems.add(where, *word_type(("文字", "text"), name))
    elif name in dialects:
        return dialects[name]
    else:
        zh, en = nearest(name, dialects)
        problems.add(where, f"未知的 dialect{zh}", f"unknown dialect{en or f'; known: {known}'}")
    return None


def _refuse_unknown_keys(
    raw: dict[str, Any], path: KeyPath, problems: Problems, dialects: Mapping[str, Dialect]
) -> None:
    """Report keys that no dialect has: with an unknown dialect nothing else can be said."""
    known = {key for dialect in dialects.values() for key in dialect.options.model_fields}
    for key in raw:
        if key not in known:
            refuse_key(key, (*path, key), known, notbuilt.KEYS["lines"], problems)


def _with_absolute_paths(options: LineOptions, folder: Path) -> LineOptions:
    changes: dict[str, Any] = {
        key: str(folder / value)
        for key in ("tls_cert", "ca_file")
        if (value := str(getattr(options, key)))
    }
    if options.tls_key is not None:
        changes["tls_key"] = SecretStr(str(folder / options.tls_key.get_secret_value()))
    return options.model_copy(update=changes)


def _check_role(options: LineOptions, dialect: Dialect, path: KeyPath, problems: Problems) -> None:
    role, link = options.role, options.link
    if problems.has((*path, "role")) or problems.has((*path, "link")):
        return
    if role not in dialect.roles:
        roles = ", ".join(dialect.roles)
        zh, en = nearest(role, dialect.roles)
        problems.add(
            (*path, "role"),
            f"{dialect.name} 的 role 须为 {roles} 之一{zh}",
            f"the role of {dialect.name} must be one of {roles}{en}",
        )
    elif role not in (dialect.listens if link == "listen" else dialect.dials):
        problems.add(
            (*path, "link"),
            f'{dialect.name} 的 {role} 不能 link = "{link}"',
            f'{dialect.name} in the role {role} cannot link = "{link}"',
        )


def _check_direction(
    raw: dict[str, Any], options: LineOptions, path: KeyPath, problems: Problems
) -> None:
    is_listening = options.link == "listen"
    other = "dial" if is_listening else "listen"
    for key in raw.keys() & (_DIAL_ONLY if is_listening else _LISTEN_ONLY):
        where = (*path, key)
        if not problems.has(where):
            problems.add(where, f'只用于 link = "{other}"', f'is only for link = "{other}"')


def _check_files(options: LineOptions, path: KeyPath, problems: Problems) -> None:
    check_tls_files(options.tls_cert, options.tls_key, path, problems)
    if options.ca_file and not Path(options.ca_file).is_file():
        problems.add(
            (*path, "ca_file"), f"没有文件 {options.ca_file}", f"no file {options.ca_file}"
        )
    if options.pin_sha256 and not _PIN.fullmatch(options.pin_sha256):
        problems.add((*path, "pin_sha256"), "需要 64 位十六进制", "expects 64 hexadecimal digits")


def check_tls_files(cert: str, key: SecretStr | None, path: KeyPath, problems: Problems) -> None:
    """Check a certificate and its key: both or none, there, and the key private.

    Args:
        cert, key: absolute paths, or empty.
        path: the table that has them.
        problems: gets what is wrong.
    """
    key_path = key.get_secret_value() if key else ""
    if bool(cert) != bool(key_path):
        absent, present = ("tls_key", "tls_cert") if cert else ("tls_cert", "tls_key")
        problems.add((*path, present), f"还需要 {absent}", f"{absent} is required beside {present}")
    for name, value in (("tls_cert", cert), ("tls_key", key_path)):
        if value and not Path(value).is_file():
            problems.add((*path, name), f"没有文件 {value}", f"no file {value}")
        elif value and name == "tls_key" and not is_private(Path(value)):
            problems.add(
                (*path, name),
                f"{value} 可被其他用户读取；运行 chmod 600 {value}",
                f"{value} can be read by others; run chmod 600 {value}",
            )


def _check_listening_keys(
    options: LineOptions, dialect: Dialect, path: KeyPath, problems: Problems
) -> None:
    for text in options.bind:
        try:
            parse_bind(text)
        except ValueError as error:
            zh, _, en = str(error).partition(" | ")
            problems.add((*path, "bind"), zh, en)
    paths = dialect.paths(options)
    if not paths:
        problems.add((*path, "path"), "必须填写", "is required")
    for place in paths:
        key = "path" if place == options.path else "aliases"
        if not _PATH.fullmatch(place):
            problems.add(
                (*path, key),
                f"{place!r} 须以 / 开头，不含空格、? 和 #",
                f"{place!r} must begin with / and hold no space, ? or #",
            )
        elif not options.bind and is_house_path(place):
            problems.add(
                (*path, key),
                f"{place} 属于 trunkline 自己；换一个路径，或用 bind",
                f"{place} belongs to trunkline itself; choose another path, or give a bind",
            )


def is_house_path(path: str) -> bool:
    """Whether a path of the main port is one of the house's own."""
    return path == "/" or any(path == own or path.startswith(own + "/") for own in HOUSE_PATHS)


def _check_dialling_keys(options: LineOptions, path: KeyPath, problems: Problems) -> None:
    where = (*path, "url")
    if problems.has(where):
        return
    if not options.url:
        problems.add(where, "必须填写：拨到哪里", "is required: where to dial")
        return
    try:
        parts = urlsplit(options.url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        problems.add(where, "不是有效的地址", "is not a valid address")
        return
    if parts.scheme == "tcp":
        # Source: maim 2.4
        problems.add(
            where,
            "tcp:// 是 maim_message 自有的传输，不支持；请用 ws:// 或 wss://",
            "tcp:// is a transport of maim_message's own and not supported; use ws:// or wss://",
        )
    elif parts.scheme not in ("ws", "wss", "http", "https") or not host:
        problems.add(where, "须以 ws:// 或 wss:// 开头", "must begin with ws:// or wss://")
    if parts.username or parts.password:
        problems.add(where, "不要把口令写进地址", "keep credentials out of the address")
    if options.tls_insecure and not is_loopback(host):
        problems.add(
            (*path, "tls_insecure"),
            "只允许用于本机；请用 ca_file 或 pin_sha256",
            "works for loopback only; use ca_file or pin_sha256",
        )


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine. A name other than localhost is not."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_doors(
    lines: Mapping[str, LineOptions],
    server: Server,
    problems: Problems,
    dialects: Mapping[str, Dialect],
) -> None:
    """Check that no two enabled lines own one path of one socket, and that sockets are distinct.

    Lines of different dialects may, where each dialect knows its own peers (`guides 6`).
    """
    owners: dict[tuple[str, str], list[str]] = {}
    identities: dict[str, tuple[str, tuple[str, str]]] = {}
    for name, options in lines.items():
        if not options.enabled or options.link != "listen":
            continue
        path = ("lines", name)
        for bind in options.bind or (MAIN,):
            _check_socket(name, options, bind, server, identities, problems)
            told: set[str] = set()  # owners: one sentence each, a dialect may have many paths
            for place in dict.fromkeys(dialects[options.dialect].paths(options)):
                before = owners.setdefault((bind, place), [])
                for owner in before:
                    if owner in told or _can_share(dialects, lines[owner], options):
                        continue
                    told.add(owner)
                    key = "aliases" if place in options.aliases else "path"
                    problems.add(
                        (*path, key),
                        f"{bind or '主端口'} 的 {place} 已属于线路 {owner}；"
                        f"请写另一个 {key}，或用 bind 单开端口",
                        f"{place} on {bind or 'the main port'} belongs to line {owner} already; "
                        f"give it another {key}, or a bind of its own",
                    )
                    break
                before.append(name)


def _can_share(dialects: Mapping[str, Dialect], one: LineOptions, other: LineOptions) -> bool:
    """Whether peers of two lines on one path can be told apart."""
    theirs, ours = dialects[one.dialect], dialects[other.dialect]
    return (
        theirs.name != ours.name and theirs.recognises is not None and ours.recognises is not None
    )


def _check_socket(
    name: str,
    options: LineOptions,
    bind: str,
    server: Server,
    identities: dict[str, tuple[str, tuple[str, str]]],
    problems: Problems,
) -> None:
    path = ("lines", name)
    key = options.tls_key.get_secret_value() if options.tls_key else ""
    identity = (options.tls_cert, key)
    if bind == MAIN:
        if any(identity):
            problems.add(
                (*path, "tls_cert"),
                "只用于自己的 bind；主端口的证书写在 [server]",
                "is for a bind of its own; the main port's certificate goes to [server]",
            )
        return
    try:
        is_main = parse_bind(bind) == (server.host, server.port) and server.port != 0
    except ValueError:
        return  # reported where the bind was read
    if is_main:
        problems.add(
            (*path, "bind"),
            f"{bind} 就是主端口；去掉 bind",
            f"{bind} is the main port already; leave bind out",
        )
    owner, theirs = identities.setdefault(bind, (name, identity))
    if theirs != identity:
        problems.add(
            (*path, "bind"),
            f"与线路 {owner} 共用 {bind}，证书必须相同",
            f"shares {bind} with line {owner}: their tls_cert and tls_key must be the same",
        )
