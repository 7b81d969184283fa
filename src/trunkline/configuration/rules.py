"""Reading `[[rules]]` and `[[default_replies]]` into the values of `pipeline.rulebook`.

Pictures are read from disk here and checked by size and first bytes, never decoded.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from trunkline.dialects.contract import Dialect
from trunkline.dialects.options import Names
from trunkline.model.segment import Image
from trunkline.pipeline.lint import lint_rulebook
from trunkline.pipeline.notices import is_named
from trunkline.pipeline.rulebook import (
    DefaultSpec,
    Match,
    Per,
    RulebookSpec,
    RuleSpec,
    Then,
)

from .problems import KeyPath, Problems
from .source import Source
from .tables import as_tables, read_table

MAX_IMAGE_BYTES: Final = 10 << 20  # reliability 2, Decoded image
MAX_REPLY_CHARS: Final = 10_000
_LIKELY: Final = 0.6  # how near a name must be to be suggested
_SURE: Final = 0.85  # … where peers make up names of their own
_URL = re.compile(r"https?://[^\s/?#@]+(?:/\S{0,2000})?")
_LINTED_KEY = re.compile(r"([a-z_]+): ")


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", max_length=100)
    lines: Names = ()
    items: Names = ()
    keywords: Names = ()
    excepts: Names = Field((), alias="except")
    match: Match = "contains"
    reply: str | None = Field(None, max_length=MAX_REPLY_CHARS)
    image: str = ""
    priority: int = Field(0, ge=-1_000_000, le=1_000_000)
    enabled: bool = True
    then: Then = "reply"
    notice: Names = ()


class _Default(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reply: str = Field(max_length=MAX_REPLY_CHARS)
    lines: Names = ()
    items: Names = ()
    limit: int = Field(0, ge=0, le=1_000_000)
    per: Per = "conversation"
    enabled: bool = True


def is_picture(data: bytes) -> bool:
    """Whether the first bytes are those of PNG, JPEG, GIF, WebP or BMP (`reliability 8`)."""
    return data.startswith(
        (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")
    ) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def read_rules(source: Source, problems: Problems) -> tuple[RuleSpec, ...]:
    """Read every rule, in file order. A rule without a name is called by its place."""
    rules: list[RuleSpec] = []
    names: dict[str, int] = {}
    for index, raw in enumerate(as_tables(source.table.get("rules", []), ("rules",), problems)):
        path = ("rules", index)
        rule = read_table(_Rule, raw, path, source, problems)
        if rule is None:
            continue
        name = rule.name or f"#{index + 1}"
        first = names.setdefault(name, index)
        if first != index:
            problems.add(
                (*path, "name"),
                f"名字 {name} 与第 {first + 1} 条规则重复",
                f"the name {name!r} is that of rule #{first + 1}",
            )
        _check_rule(rule, path, problems)
        spec = RuleSpec(
            name=name,
            keywords=rule.keywords,
            match=rule.match,
            reply=rule.reply or "",
            lines=rule.lines,
            items=rule.items,
            excepts=rule.excepts,
            image=read_image(source, rule.image, (*path, "image"), problems),
            priority=rule.priority,
            is_enabled=rule.enabled,
            then=rule.then,
            order=index,
            notices=rule.notice,
        )
        unnamed = msgspec.structs.replace(spec, name="")
        _lint(RulebookSpec(rules=(unnamed,)), path, problems)
        rules.append(spec)
    return tuple(rules)


def _check_rule(rule: _Rule, path: KeyPath, problems: Problems) -> None:
    if rule.match == "any" and rule.keywords:
        problems.add(
            (*path, "keywords"), 'match = "any" 不看关键词', 'match = "any" uses no keywords'
        )
    if rule.match != "any" and not rule.keywords and not rule.notice:
        problems.add(
            (*path, "keywords"),
            '必须填写，或写 match = "any" 或 notice',
            'is required, unless match = "any" or there is a notice',
        )
    for key, words in (("keywords", rule.keywords), ("except", rule.excepts)):
        if any(not word.strip() for word in words):
            problems.add((*path, key), "有空的词", "holds an empty word")
    has_reply = rule.reply is not None or rule.image
    if rule.then == "person" and has_reply:
        problems.add(
            (*path, "reply" if rule.reply is not None else "image"),
            'then = "person" 不发送回复',
            'then = "person" hands over and sends no reply',
        )
    if rule.then != "person" and not has_reply:
        problems.add(
            (*path, "reply"),
            '必须填写；reply = "" 表示有意不答',
            'is required; reply = "" means deliberate silence',
        )


def _lint(spec: RulebookSpec, path: KeyPath, problems: Problems) -> None:
    """Report what the pipeline refuses of one entry, under its key, once.

    The pipeline's sentences are `[[table]] N: key: what` or `[[table]] N: key = what`.
    """
    told: dict[KeyPath, bool] = {}  # keys whose shape is wrong already need no second sentence
    for sentence in lint_rulebook(spec):
        detail = sentence.partition(": ")[2]
        key = _LINTED_KEY.match(detail)
        where = (*path, key[1]) if key else path
        if not told.setdefault(where, problems.has(where)):
            detail = detail[key.end() :] if key else detail
            problems.add(where, detail, detail)


def read_defaults(source: Source, problems: Problems) -> tuple[DefaultSpec, ...]:
    """Read every default reply, in file order."""
    raw_tables = as_tables(source.table.get("default_replies", []), ("default_replies",), problems)
    found: list[DefaultSpec] = []
    for index, raw in enumerate(raw_tables):
        default = read_table(_Default, raw, ("default_replies", index), source, problems)
        if default is not None:
            spec = DefaultSpec(
                reply=default.reply,
                lines=default.lines,
                items=default.items,
                limit=default.limit,
                per=default.per,
                is_enabled=default.enabled,
                order=index,
            )
            _lint(RulebookSpec(defaults=(spec,)), ("default_replies", index), problems)
            found.append(spec)
    return tuple(found)


def read_image(source: Source, name: str, path: KeyPath, problems: Problems) -> Image | None:
    """Read a rule's picture from the configuration's folder, or note why it cannot be used.

    An address (`https://…`) is taken as it is: whoever shows the picture fetches it.
    """
    if not name:
        return None
    if name.startswith(("http://", "https://")):
        return _read_address(name, path, problems)
    file = source.folder / name
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.add(path, f"无法读取 {file}：{reason}", f"cannot read {file}: {reason}")
        return None
    if len(data) > MAX_IMAGE_BYTES:
        problems.add(path, f"{file} 超过 10 MiB", f"{file} is larger than 10 MiB")
        return None
    if not is_picture(data):
        problems.add(
            path,
            f"{file} 不是 PNG、JPEG、GIF、WebP 或 BMP",
            f"{file} is none of PNG, JPEG, GIF, WebP, BMP",
        )
        return None
    return Image(data=data, name=Path(name).name)


def _read_address(url: str, path: KeyPath, problems: Problems) -> Image | None:
    if not _URL.fullmatch(url):
        problems.add(path, "不是有效的图片网址", "is not the address of a picture")
        return None
    return Image(url=url, name=Path(urlsplit(url).path).name)


def check_notices(
    rules: Iterable[RuleSpec],
    lines: Mapping[str, str],
    dialects: Mapping[str, Dialect],
    problems: Problems,
) -> None:
    """Warn of rules for a notice that no line of theirs ever reports: most likely a wrong letter.

    Args:
        lines: dialects by the line's name.
    """
    for rule in rules:
        spoken = {
            dialect
            for line, dialect in lines.items()
            if not rule.lines or any(fnmatchcase(line, pattern) for pattern in rule.lines)
        }
        told = [dialects[dialect].notices for dialect in sorted(spoken)]
        known = [name for names in told for name in names or ()]
        is_open = None in told or not told  # there only what is very near is surely a mistake
        for notice in rule.notices:
            if any(_is_about(notice, name) for name in known):
                continue
            near = difflib.get_close_matches(notice, known, 1, _SURE if is_open else _LIKELY)
            if is_open and not near:
                continue
            zh = f"；是不是 {near[0]}？" if near else ""
            en = f'; did you mean "{near[0]}"?' if near else ""
            problems.warn(
                ("rules", rule.order, "notice"),
                f"这些线路没有名为 {notice} 的通知{zh}",
                f"no notice of these lines is called {notice}{en}",
            )


def _is_about(notice: str, name: str) -> bool:
    """Whether what a rule names may be a notice of this name, or of this pattern of names."""
    return bool(is_named((notice,), name)) or bool(is_named((name,), notice))


def check_patterns(
    key: str,
    entries: Iterable[RuleSpec | DefaultSpec],
    lines: Iterable[str],
    problems: Problems,
) -> None:
    """Warn of entries that name a line which does not exist: they never hold."""
    names = list(lines)
    for entry in entries:
        for pattern in entry.lines:
            if any(fnmatchcase(name, pattern) for name in names):
                continue
            near = difflib.get_close_matches(pattern, names, 1)
            zh = f"；是不是 {near[0]}？" if near else ""
            en = f'; did you mean "{near[0]}"?' if near else ""
            problems.warn(
                (key, entry.order, "lines"),
                f"没有线路 {pattern}{zh}",
                f"no line is called {pattern}{en}",
            )
