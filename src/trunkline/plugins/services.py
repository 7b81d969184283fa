"""What a handler may ask for by annotation, besides the message.

`Person`, `Line`, `Conversation`, `Now`, `Log`, `Store`. Each is made for one call and one plugin.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from trunkline.clock import Clock

from .router import duration_s

MAX_KEYS: Final = 10_000
MAX_STORE_BYTES: Final = 1 << 20


class Conversation(msgspec.Struct, frozen=True):
    """The chat as trunkline keeps it.

    Args:
        is_taken: a person has it now.
    """

    id: int
    ref: str
    name: str
    is_taken: bool


class Now(datetime):
    """The time of the answer, in the time zone of `[site] utc_offset_h`."""


class Logger(Protocol):
    """Where a plugin's notes go."""

    def info(self, action: str, **fields: object) -> None:
        """Note something usual."""
        ...

    def warning(self, action: str, **fields: object) -> None:
        """Note what will heal."""
        ...

    def error(self, action: str, **fields: object) -> None:
        """Note what needs a person."""
        ...


class Log:
    """A log with the plugin's name on every line."""

    def __init__(self, logger: Logger, plugin: str) -> None:
        self._logger = logger
        self._plugin = plugin

    def info(self, text: str, **fields: object) -> None:
        """Note something usual."""
        self._logger.info("plugin", plugin=self._plugin, text=text, **fields)

    def warning(self, text: str, **fields: object) -> None:
        """Note what should be looked at."""
        self._logger.warning("plugin", plugin=self._plugin, text=text, **fields)

    def error(self, text: str, **fields: object) -> None:
        """Note what needs a person."""
        self._logger.error("plugin", plugin=self._plugin, text=text, **fields)


class Store:
    """Keys and values of one plugin, kept over restarts: one small file, written whole.

    Args:
        path: the file; made 0600 at the first write.
        clock: for what expires.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = asyncio.Lock()
        self._values: dict[str, tuple[Any, int]] | None = None

    async def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or `default` when there is none (any more)."""
        async with self._lock:
            found = (await self._load()).get(key)
            return default if found is None or self._is_over(found) else found[0]

    async def set(self, key: str, value: Any, *, expires: str | float | None = None) -> None:
        """Keep a JSON value, for ever or for a time (`"1d"`)."""
        async with self._lock:
            values = await self._load()
            await self._save({**values, key: (value, self._end(expires))})

    async def add(self, key: str, amount: int = 1, *, expires: str | float | None = None) -> int:
        """Add to a number and return it; the time counts from the first addition."""
        async with self._lock:
            values = await self._load()
            found = values.get(key)
            if found is None or self._is_over(found):
                found = (0, self._end(expires))
            total = int(found[0]) + amount
            await self._save({**values, key: (total, found[1])})
            return total

    async def delete(self, key: str) -> None:
        """Forget a value."""
        async with self._lock:
            values = await self._load()
            if key in values:
                await self._save({name: one for name, one in values.items() if name != key})

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`."""
        async with self._lock:
            values = await self._load()
            return [
                key
                for key, one in values.items()
                if key.startswith(prefix) and not self._is_over(one)
            ]

    def _end(self, expires: str | float | None) -> int:
        return 0 if expires is None else self._clock.now_ms() + round(duration_s(expires) * 1000)

    def _is_over(self, found: tuple[Any, int]) -> bool:
        return 0 < found[1] <= self._clock.now_ms()

    async def _load(self) -> dict[str, tuple[Any, int]]:
        if self._values is None:
            self._values = await asyncio.to_thread(_read, self._path)
        return self._values

    async def _save(self, values: Mapping[str, tuple[Any, int]]) -> None:
        kept = {key: one for key, one in values.items() if not self._is_over(one)}
        if len(kept) > MAX_KEYS:
            raise ValueError(f"a plugin keeps at most {MAX_KEYS:,} keys")
        data = json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")
        if len(data) > MAX_STORE_BYTES:
            raise ValueError(f"a plugin keeps at most {MAX_STORE_BYTES >> 20} MiB")
        await asyncio.to_thread(_write, self._path, data)
        self._values = kept


def _read(path: Path) -> dict[str, tuple[Any, int]]:
    if not path.exists():
        return {}
    found: dict[str, list[Any]] = json.loads(path.read_bytes())
    return {key: (one[0], int(one[1])) for key, one in found.items()}


def _write(path: Path, data: bytes) -> None:
    """Replace the file whole: after a crash it is the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
