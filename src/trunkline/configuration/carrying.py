"""Checking `carries`: which line presents which. Knows dialects by their description only."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import LineOptions

from .problems import Problems, nearest


def check_carrying(
    lines: Mapping[str, LineOptions], problems: Problems, dialects: Mapping[str, Dialect]
) -> None:
    """Check that lines carry others that exist, that can be carried, and in a role that can.

    Several lines may carry the same one; one that carries is not carried itself, so there is no
    circle.
    """
    for name, options in lines.items():
        where = ("lines", name, "carries")
        carried = options.carries
        if not carried or problems.has(where):
            if options.replay_s is not None and not carried:
                problems.add(
                    ("lines", name, "replay_s"), "只与 carries 一起使用", "is only for carries"
                )
            continue
        dialect = dialects[options.dialect]
        if options.role not in dialect.carriers:
            able = ", ".join(
                f"{one.name} {role}" for one in dialects.values() for role in one.carriers
            )
            problems.add(
                where,
                f"{options.dialect} 的 {options.role} 不能呈现别的线路（{able or '暂无'}）",
                f"{options.dialect} in the role {options.role} cannot carry another line; "
                f"these can: {able or 'none yet'}",
            )
        elif carried == name:
            problems.add(where, "线路不能呈现自己", "is this line itself; name another one")
        elif carried not in lines:
            zh, en = nearest(carried, lines)
            known = ", ".join(other for other in lines if other != name) or "–"
            problems.add(
                where,
                f"没有线路 {carried}{zh or f'；现有：{known}'}",
                f"there is no line {carried}{en or f'; lines: {known}'}",
            )
        elif lines[carried].carries:
            problems.add(
                where,
                f"线路 {carried} 自己也在呈现别的线路，不能再被呈现",
                f"line {carried} carries a line itself and cannot be carried",
            )
