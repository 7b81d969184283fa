"""Runs one torture per dialect, some at once, and says how each went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

import msgspec

from trunkline.dialects.registry import DIALECTS

from .checker import Verdict
from .runner import REACHABLE, UNREACHABLE, Options, torture
from .ways import Cast, DialledCast

ALL: Final = "all"
NONE: Final = "none"


class Unknown(Exception):
    """No such dialect or failpoint, or one that cannot be tortured."""


def find_cast(dialect: str) -> Cast | DialledCast:
    """Return the peers of a dialect.

    Raises:
        Unknown: there is no such dialect, or its emulator casts nobody.
    """
    if dialect not in DIALECTS:
        raise Unknown(f"no dialect {dialect!r}; there are {', '.join(sorted(DIALECTS))}")
    cast: Cast | DialledCast | None = getattr(
        import_module(f"trunkline.dialects.{dialect}.emulator"), "CAST", None
    )
    if cast is None:
        raise Unknown(f"the emulator of {dialect} casts nobody (`CAST`)")
    return cast


def parse_names(text: str) -> tuple[str, ...]:
    """Read `all`, `none` or names between commas.

    Raises:
        Unknown: no such name, or one of cluster mode, which is not built.
    """
    if text in {ALL, NONE}:
        return REACHABLE if text == ALL else ()
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name in UNREACHABLE:
            raise Unknown(f"{name} is of cluster mode, which is not built")
        if name not in REACHABLE:
            raise Unknown(f"no failpoint {name!r}; there are {', '.join(REACHABLE)}")
    return names


def run_all(
    dialects: Sequence[str],
    kills: int,
    messages: int,
    seed: int,
    names: str,
    jobs: int,
    progress: Callable[[str], None],
) -> list[tuple[str, Verdict]]:
    """Torture each dialect; return a JSON line and the verdict of each.

    Raises:
        Unknown: a dialect or a failpoint.
    """
    casts = [(DIALECTS[name], find_cast(name)) for name in dialects if find_cast(name)]
    options = Options(kills=kills, messages=messages, seed=seed, names=parse_names(names))

    async def main() -> list[Verdict]:
        free = asyncio.Semaphore(jobs)

        async def one(number: int) -> Verdict:
            dialect, cast = casts[number]
            async with free:
                return await torture(
                    dialect, cast, options, lambda line: progress(f"{dialect.name}: {line}")
                )

        return await asyncio.gather(*(one(number) for number in range(len(casts))))

    return [
        (_to_line(dialect.name, verdict), verdict)
        for (dialect, _), verdict in zip(casts, asyncio.run(main()), strict=True)
    ]


def _to_line(dialect: str, verdict: Verdict) -> str:
    facts = msgspec.structs.asdict(verdict)
    problems: Sequence[str] = facts.pop("problems")
    facts = {"dialect": dialect, "is_clean": verdict.is_clean} | facts | {"problems": len(problems)}
    return msgspec.json.encode(facts).decode()
