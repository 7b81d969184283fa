"""Checking one table against its model: unknown keys, references, types, bounds.

What is wrong with one key never hides what is wrong with another: after a failure the table is
read again without the keys that failed, so that checks between tables still see the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from .problems import KeyPath, Problems, mistyped, nearest, word_error, word_type
from .source import MISSING, Source, is_reference, resolve

M = TypeVar("M", bound=BaseModel)


def known_keys(model: type[BaseModel]) -> dict[str, str]:
    """Return the keys that a table may have, with the attribute that each fills."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def is_secret_key(model: type[BaseModel], attribute: str) -> bool:
    """Whether a key holds a credential."""
    return "SecretStr" in repr(model.model_fields[attribute].annotation)


def as_table(value: Any, path: KeyPath, problems: Problems) -> dict[str, Any]:
    """Return `value` as a table; an empty one, and a problem, when it is none."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    problems.add(path, *word_type(("表", "a table"), value))
    return {}


def as_tables(value: Any, path: KeyPath, problems: Problems) -> list[dict[str, Any]]:
    """Return `value` as a list of tables; an empty one, and a problem, when it is none."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [as_table(item, (*path, index), problems) for index, item in enumerate(items)]
    problems.add(path, f"写成 [[{path[-1]}]]", f"expects a list of tables: [[{path[-1]}]]")
    return []


def read_table(
    model: type[M],
    raw: dict[str, Any],
    path: KeyPath,
    source: Source,
    problems: Problems,
    unbuilt: Collection[str] = (),
) -> M | None:
    """Check one table and return it, or None when not even its good keys make one.

    Args:
        model: what the table must be.
        raw: as the file and the environment have it.
        path: the table's place.
        source: resolves references.
        problems: gets everything that is wrong.
        unbuilt: keys to be refused as not built yet.
    """
    known = known_keys(model)
    values: dict[str, Any] = {}
    lost: set[str] = set()
    for key, value in raw.items():
        where = (*path, key)
        if key not in known:
            refuse_key(key, where, known, unbuilt, problems)
            continue
        is_secret = is_secret_key(model, known[key])
        values[key] = resolve(source, value, where, problems, is_secret=is_secret)
        if values[key] is MISSING:
            del values[key]
            lost.add(key)
    result = _validate(model, values, path, lost, problems)
    if result is not None:
        for key, value in values.items():
            where = (*path, key)
            # Text from a variable or a file has no type of its own: conversion is meant.
            if problems.has(where) or where in problems.variables or is_reference(raw[key]):
                continue
            wrong = mistyped(value, getattr(result, known[key]))
            if wrong:
                problems.add(where, *wrong)
    return result


def refuse_key(
    key: str,
    where: KeyPath,
    known: Collection[str],
    unbuilt: Collection[str],
    problems: Problems,
) -> None:
    """Note a key that cannot be used: of a later issue, or unknown."""
    if key in unbuilt:
        problems.add(where, "尚未实现", "not built yet")
        return
    zh, en = nearest(key, known)
    problems.add(where, f"未知的键{zh}", f"unknown key{en}")


def _validate(
    model: type[M], values: dict[str, Any], path: KeyPath, lost: set[str], problems: Problems
) -> M | None:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        failed: set[str] = set()
        for item in error.errors(include_url=False):
            key = str(item["loc"][0]) if item["loc"] else ""
            failed.add(key)
            if not (item["type"] == "missing" and key in lost):
                where = (*path, key) if key else path
                problems.add(where, *word_error(item))
    rest = {key: value for key, value in values.items() if key not in failed}
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None  # a required key is among the failed ones: already in the report
