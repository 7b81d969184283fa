"""Which files a configuration names: what a backup must hold so that it can be used elsewhere.

Any text that names a file of the configuration's folder counts: `{ file = … }`, certificates,
pictures of rules. A file too many in a backup does no harm, one too few does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from .source import Source

_MAX_NAME = 1024


def find_files(source: Source, patterns: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the files inside the folder, relative to it, and those outside as they are named.

    Args:
        patterns: of further files, as `[plugins] paths` has them.
    """
    folder = source.folder.absolute()
    inside: dict[Path, None] = {}
    outside: dict[str, None] = {}
    if source.path is not None:
        inside[Path(source.path.name)] = None
    for text in _texts(source.table):
        if not text or len(text) > _MAX_NAME or not text.isprintable():
            continue
        path = Path(os.path.normpath(folder / text))
        if path.is_file():
            _sort(path, folder, inside, outside)
    for pattern in patterns:
        if not Path(pattern).is_absolute() and ".." not in Path(pattern).parts:
            for path in sorted(folder.glob(pattern)):
                if path.is_file():
                    _sort(path, folder, inside, outside)
        else:
            outside[pattern] = None
    return list(inside), list(outside)


def _sort(path: Path, folder: Path, inside: dict[Path, None], outside: dict[str, None]) -> None:
    if path.is_relative_to(folder):
        inside[path.relative_to(folder)] = None
    else:
        outside[str(path)] = None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts(item)
