"""Finds plugin files, loads them, and loads them again when they are saved.

A file with an error keeps what it had before: its previous version goes on running, and the fault
is told with its line. Files are looked at once a second by one task; code is run in a thread, so a
slow import delays nobody (one that never ends delays reloading only).
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec

from trunkline.errors import ConfigError
from trunkline.model.asking import HandlerSpec

from .binding import Around, Bound, bind
from .router import Router
from .running import describe
from .services import Store

POLL_S: Final = 1.0
MAX_FILES: Final = 256
MAX_FILE_BYTES: Final = 1 << 20

Stamp = tuple[int, int, int]


class _File(msgspec.Struct):
    """One file: as it was last seen, and what of it runs."""

    stamp: Stamp
    handlers: tuple[Bound, ...] = ()
    fault: str = ""


class Plugins:
    """All plugin files of one configuration.

    Args:
        folder: paths are relative to it.
        paths: patterns such as `plugins/*.py`.
        around: what handlers are given.
        accept: raises `ConfigError` for filters that cannot be compiled.
        changed: told after every look that changed something.
    """

    def __init__(
        self,
        folder: Path,
        paths: Sequence[str],
        around: Around,
        accept: Callable[[Iterable[HandlerSpec]], object],
        changed: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._paths = paths
        self._around = around
        self._accept = accept
        self._changed = changed
        self._files: dict[Path, _File] = {}
        self._stores: dict[str, Store] = {}
        self._handlers: dict[str, Bound] = {}

    @property
    def handlers(self) -> Mapping[str, Bound]:
        """What runs now, by id."""
        return self._handlers

    @property
    def specs(self) -> tuple[HandlerSpec, ...]:
        """The filters of what runs now, file by file."""
        return tuple(bound.spec for bound in self._handlers.values())

    def notes(self) -> tuple[str, ...]:
        """Say which files have an error, for `/readyz`."""
        return tuple(
            f"plugin {path.name}: {file.fault}" for path, file in self._files.items() if file.fault
        )

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.look()

    async def look(self) -> bool:
        """Load what is new or changed, drop what is gone; return whether anything was."""
        try:
            found = await asyncio.to_thread(self._find)
        except OSError:
            return False  # the folder went away under the look; the next one tells
        gone = [path for path in self._files if path not in found]
        for path in gone:
            del self._files[path]
        stale = [
            path
            for path, stamp in found.items()
            if path not in self._files or self._files[path].stamp != stamp
        ]
        for path in stale:
            await self._load(path, found[path])
        if not gone and not stale:
            return False
        self._handlers = {
            bound.spec.id: bound
            for path in sorted(self._files)
            for bound in self._files[path].handlers
        }
        self._changed()
        return True

    async def _load(self, path: Path, stamp: Stamp) -> None:
        """Load one file; after a fault its previous version stays."""
        handlers: tuple[Bound, ...] = ()
        fault = ""
        try:
            handlers = await asyncio.to_thread(self._execute, path)
        except ConfigError as error:
            fault = "; ".join(error.problems)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge "reload"
            fault = describe(error, None, str(path))
        log = self._around.log
        if fault:
            before = self._files.get(path)
            handlers = before.handlers if before is not None else ()
            log.error("plugin refused", file=path.name, fault=fault, kept=len(handlers))
        else:
            log.info("plugin loaded", file=path.name, handlers=len(handlers))
        self._files[path] = _File(stamp, handlers, fault)

    def _find(self) -> dict[Path, Stamp]:
        """Return the files that the patterns name, with what tells a save."""
        found: dict[Path, Stamp] = {}
        for pattern in self._paths:
            for path in sorted(self._folder.glob(pattern)):
                if path.suffix == ".py" and not path.name.startswith("_") and path.is_file():
                    seen = path.stat()
                    found[path] = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
                if len(found) >= MAX_FILES:
                    return found
        return found

    def _execute(self, path: Path) -> tuple[Bound, ...]:
        """Run a file as a module of its own and collect its routers."""
        source = path.read_bytes()
        if len(source) > MAX_FILE_BYTES:
            raise ValueError(f"the file has more than {MAX_FILE_BYTES >> 20} MiB")
        code = compile(source, str(path), "exec", dont_inherit=True)
        inside = path.relative_to(self._folder).as_posix()
        name = "trunkline_plugin_" + re.sub(r"\W", "_", inside.removesuffix(".py"))
        module = ModuleType(name)
        module.__file__ = str(path)
        before = sys.modules.get(name)
        sys.modules[name] = module  # dataclasses and type hints look their module up
        try:
            exec(code, module.__dict__)  # noqa: S102 - running the user's own file is the point
            handlers = self._collect(path, module)
            self._accept([bound.spec for bound in handlers])
        except BaseException:
            if before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = before
            raise
        return handlers

    def _collect(self, path: Path, module: ModuleType) -> tuple[Bound, ...]:
        routers = {id(value): value for value in vars(module).values() if isinstance(value, Router)}
        registered = [one for router in routers.values() for one in router.handlers]
        plugin = path.stem
        store = self._stores.setdefault(
            plugin, Store(self._around.folder / f"{plugin}.json", self._around.clock)
        )
        return tuple(
            bind(one, nth, plugin, self._around, store) for nth, one in enumerate(registered)
        )
