"""Where values come from: the TOML file, `TRUNKLINE__…` variables, `{ env = … }`, `{ file = … }`.

Everything here is about places, nothing about meaning. A value that cannot be had is a problem in
the report and is left out, so that the rest can still be checked.
"""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from .problems import KeyPath, Problems

PREFIX: Final = "TRUNKLINE__"
MAX_FILE_BYTES: Final = 1 << 20  # of a configuration or a value in a file
MISSING: Final = object()  # stands for a value that could not be had

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*(\]\]?)\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[^\s=]+)*)\s*=""")


class Source:
    """The raw tables of one configuration and what is needed to resolve references again.

    It has no `repr` of its own: raw tables hold secrets.

    Args:
        path: the file, or None when there is none.
        table: file and environment merged, references unresolved.
        env: the environment at start.
        variables: which keys came from which variable.
    """

    def __init__(
        self,
        path: Path | None,
        table: dict[str, Any],
        env: Mapping[str, str],
        variables: Mapping[KeyPath, str],
    ) -> None:
        self.path = path
        self.folder = path.parent if path else Path.cwd()
        self.table = table
        self.env = env
        self.variables = variables


def read_source(path: Path | None, env: Mapping[str, str], problems: Problems) -> Source:
    """Read the file and lay the environment over it."""
    table: dict[str, Any] = {}
    if path is not None:
        text = _read_text(path, (), problems)
        if text is not None:
            try:
                table = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                problems.add((), f"不是有效的 TOML：{error}", f"not valid TOML: {error}")
            problems.line_numbers = locate(text)
    variables = overlay(table, env, problems)
    problems.variables = variables
    return Source(path.absolute() if path else None, table, env, variables)


def locate(text: str) -> dict[KeyPath, int]:
    """Return the line of each table and key. A hint for people: what it misses has no number."""
    found: dict[KeyPath, int] = {}
    counts: dict[str, int] = {}
    table: KeyPath = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            if closing in line:
                closing = ""
            continue
        if header := _HEADER.match(line):
            keys = _keys(header[2])
            if header[1] == "[[" and len(keys) == 1:
                counts[keys[0]] = counts.get(keys[0], -1) + 1
                table = (keys[0], counts[keys[0]])
            else:
                table = keys
            _place(found, (), table, number)
        elif key := _KEY.match(line):
            _place(found, table, _keys(key[1]), number)
            value = line[key.end() :]
            for quotes in ('"""', "'''"):
                if value.count(quotes) % 2:
                    closing = quotes
    return found


def _place(found: dict[KeyPath, int], table: KeyPath, keys: KeyPath, number: int) -> None:
    """Note the first line of a key, and of the tables that a dotted key implies."""
    for size in range(1, len(keys) + 1):
        found.setdefault((*table, *keys[:size]), number)


def _keys(text: str) -> tuple[str, ...]:
    """Parse a dotted key as TOML does; () when it is not one."""
    try:
        table: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    keys: list[str] = []
    while isinstance(table, dict):
        name, table = next(iter(cast("dict[str, Any]", table).items()))
        keys.append(name)
    return tuple(keys)


def overlay(
    table: dict[str, Any], env: Mapping[str, str], problems: Problems
) -> dict[KeyPath, str]:
    """Lay `TRUNKLINE__SECTION__KEY` variables over `table`; return which keys came from where.

    A value that is a JSON list, table or quoted text is read as such; anything else is the plain
    text, which the key's type converts. Lists of tables are given whole.
    """
    variables: dict[KeyPath, str] = {}
    for name in sorted(env):
        if not name.startswith(PREFIX):
            continue
        parts = name.removeprefix(PREFIX).split("__")
        parent: Any = table
        path: KeyPath = ()
        for part in parts[:-1]:
            if isinstance(parent, dict):
                node = cast("dict[str, Any]", parent)
                key = _existing(node, part)
                path = (*path, key)
                parent = node.setdefault(key, {})
        if not isinstance(parent, dict) or not all(parts):
            problems.add(
                (),
                f"{name} 不对应任何键；列表须整个写成 JSON",
                f"{name} names no key; a list of tables must be given whole, as JSON",
            )
            continue
        node = cast("dict[str, Any]", parent)
        key = _existing(node, parts[-1])
        node[key] = _merged(node.get(key), _plain_or_json(env[name]))
        variables[(*path, key)] = name
    return variables


def _existing(node: dict[str, Any], part: str) -> str:
    """Return the key of `node` that a variable means: any case, `-` written as `_`."""
    wanted = part.lower()
    return next((key for key in node if key.lower().replace("-", "_") == wanted), wanted)


def _merged(old: Any, new: Any) -> Any:
    if is_reference(new) or not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**cast("dict[str, Any]", old), **cast("dict[str, Any]", new)}


def _plain_or_json(text: str) -> Any:
    if text[:1] in ("[", "{", '"'):
        try:
            return json.loads(text)
        except ValueError:
            return text  # `[::1]:8090` and `{send_user_name}` are plain text
    return text


def is_reference(value: Any) -> bool:
    """Whether a value is `{ env = "NAME" }` or `{ file = "PATH" }`."""
    if not isinstance(value, dict):
        return False
    table = cast("dict[str, Any]", value)
    if len(table) != 1:
        return False
    name, target = next(iter(table.items()))
    return name in ("env", "file") and isinstance(target, str)


def resolve(
    source: Source, value: Any, path: KeyPath, problems: Problems, *, is_secret: bool
) -> Any:
    """Replace references inside `value` by what they stand for.

    Args:
        source: gives the environment and the folder that paths are relative to.
        value: as the file has it.
        path: its place, for the report.
        problems: where what cannot be had is noted; `MISSING` then stands for it.
        is_secret: the key holds a credential, so a file must be private.
    """
    if is_reference(value):
        name, target = next(iter(value.items()))
        if name == "env":
            if target in source.env:
                return source.env[target]
            problems.add(
                path,
                f"环境变量 {target} 没有设置",
                f"environment variable {target} is not set",
            )
            return MISSING
        text = _read_text(source.folder / target, path, problems, is_secret=is_secret)
        return MISSING if text is None else text.rstrip("\r\n")
    if isinstance(value, dict):
        resolved = {
            key: resolve(source, item, (*path, key), problems, is_secret=is_secret)
            for key, item in cast("dict[str, Any]", value).items()
        }
        return {key: item for key, item in resolved.items() if item is not MISSING}
    if isinstance(value, list):
        items = (
            resolve(source, item, path, problems, is_secret=is_secret)
            for item in cast("list[Any]", value)
        )
        return [item for item in items if item is not MISSING]
    return value


def is_private(path: Path) -> bool:
    """Whether group and others have no right on a file (`reliability 8`, Secrets)."""
    return not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def _read_text(
    path: Path, where: KeyPath, problems: Problems, *, is_secret: bool = False
) -> str | None:
    try:
        if is_secret and not is_private(path):
            problems.add(
                where,
                f"{path} 可被其他用户读取；运行 chmod 600 {path}",
                f"{path} can be read by others; run chmod 600 {path}",
            )
            return None
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            problems.add(where, f"{path} 超过 1 MiB", f"{path} is larger than 1 MiB")
            return None
        return data.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.add(where, f"无法读取 {path}：{reason}", f"cannot read {path}: {reason}")
    except UnicodeDecodeError:
        problems.add(where, f"{path} 不是 UTF-8", f"{path} is not UTF-8")
    return None
