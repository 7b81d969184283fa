"""Keyword tables as people keep them: keyword, item id and reply in columns of CSV or XLSX.

A first row with the columns' names says which is which; without one they are three, in this order.

`openpyxl` lives in this file only and is imported on first use. A cell that a spreadsheet would
take for a formula is written behind an apostrophe, which is taken off when it is read again
(Source: reliability 8 "Console output"; the columns: xianyu 19).
"""

from __future__ import annotations

import csv
import importlib
import io
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import msgspec

from trunkline.errors import ConfigError

MAX_BYTES: Final = 10 << 20
MAX_UNPACKED_BYTES: Final = 100 << 20
MAX_ROWS: Final = 20_000
HEADER: Final = ("关键词", "商品ID", "回复")
MAX_COLUMNS: Final = 16
# What a column may be called, folded; the first of each language is the one that people are told.
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "keyword": ("关键词", "keyword", "关键字", "keywords"),
    "item": ("商品id", "item", "商品", "itemid", "商品编号"),
    "reply": ("回复", "reply", "回复内容", "replies"),
}
_FIELDS: Final = {name: field for field, names in _NAMES.items() for name in names}
_ACCEPTED: Final = "; ".join(" / ".join(names) for names in _NAMES.values())
_IN_ORDER: Final = {"keyword": 0, "item": 1, "reply": 2}
# What the library raises for a broken archive: it names no common class.
_BROKEN: Final = (
    BadZipFile, OSError, ValueError, LookupError, TypeError, AttributeError, SyntaxError,
    zlib.error, NotImplementedError,
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class SheetRow(msgspec.Struct, frozen=True):
    """One row.

    Args:
        keyword: several, one on each line, all mean the same rule.
        item: "" = any item.
        reply: "" = deliberate silence.
        place: its number in the sheet, from 1.
    """

    keyword: str
    item: str
    reply: str
    place: int = 0


def read_sheet(path: Path) -> list[SheetRow]:
    """Read a table; empty rows are skipped. A first row with the columns' names orders them.

    Raises:
        ConfigError: it is no such table, with every row that is wrong.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError([f"{path}: 超过 10 MiB | is larger than 10 MiB"])
    cells = _read_xlsx(path, data) if path.suffix.lower() == ".xlsx" else _read_csv(path, data)
    rows: list[SheetRow] = []
    problems: list[str] = []
    columns: Mapping[str, int] | None = None
    for place, raw in enumerate(cells, 1):
        if place > MAX_ROWS:
            raise ConfigError([f"{path}: 超过 {MAX_ROWS} 行 | has more than {MAX_ROWS} rows"])
        texts = [_unquote(text) for text in raw]
        if not any(text.strip() for text in texts):
            continue
        if columns is None:
            columns = _columns_of(path, place, texts)
            if columns is not None:
                continue
            columns = _in_order(path, place, texts)
        keyword, item, reply = (_at(texts, columns.get(field)) for field in _IN_ORDER)
        if not keyword.strip():
            problems.append(f"{path}:{place}: 没有关键词 | no keyword")
        rows.append(SheetRow(keyword.strip(), item.strip(), reply, place))
    if problems:
        raise ConfigError(problems)
    return rows


def write_sheet(path: Path, rows: Iterable[SheetRow]) -> None:
    """Write a table with the columns' names on top.

    Raises:
        ConfigError: the library for XLSX is not there.
    """
    table = [HEADER, *((_quote(row.keyword), _quote(row.item), _quote(row.reply)) for row in rows)]
    if path.suffix.lower() == ".xlsx":
        _write_xlsx(path, table)
        return
    text = io.StringIO()
    csv.writer(text).writerows(table)
    # With its mark a spreadsheet takes the file for UTF-8, without it for something else.
    path.write_bytes(text.getvalue().encode("utf-8-sig"))


def _columns_of(path: Path, place: int, texts: Sequence[str]) -> Mapping[str, int] | None:
    """Return the columns that a row of names stands for, None when it is no such row.

    Raises:
        ConfigError: it has a name that nobody knows, one twice, or not all that are needed.
    """
    names = {nth: text.strip() for nth, text in enumerate(texts) if text.strip()}
    known = {nth: _FIELDS[_fold(name)] for nth, name in names.items() if _fold(name) in _FIELDS}
    if len(known) < 2 and "keyword" not in known.values():
        return None
    strange = ", ".join(f"“{name[:40]}”" for nth, name in names.items() if nth not in known)
    columns = {field: nth for nth, field in known.items()}
    wrong = ()
    if strange:
        wrong = (f"不认识的列名 {strange}", f"unknown column names {strange}")
    elif len(columns) < len(known):
        wrong = ("有两列意思相同", "two columns mean the same")
    elif not {"keyword", "reply"} <= columns.keys():
        wrong = ("缺少关键词列或回复列", "the column of keywords or of replies is missing")
    if wrong:
        raise ConfigError([
            f"{path}:{place}: {wrong[0]}；可用：{_ACCEPTED} | {wrong[1]}; there are: {_ACCEPTED}"
        ])  # fmt: skip
    return columns


def _in_order(path: Path, place: int, texts: Sequence[str]) -> Mapping[str, int]:
    """Return the columns of a table without names.

    Raises:
        ConfigError: there are two, which may be keyword and reply or keyword and item id.
    """
    if len(texts) == 2 and texts[1].strip():
        raise ConfigError([
            f"{path}:{place}: 只有两列，不知道第二列是什么；第一行写上列名，例如 关键词,回复 | "
            "two columns, and nothing says what the second is; "
            "put the columns' names on top, as in: keyword,reply"
        ])  # fmt: skip
    return _IN_ORDER


def _at(texts: Sequence[str], column: int | None) -> str:
    return texts[column] if column is not None and column < len(texts) else ""


def _fold(name: str) -> str:
    """Fold a column's name: case, width, spaces and underscores say nothing."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(folded.replace("_", "").split())


def _read_csv(path: Path, data: bytes) -> Iterator[Sequence[str]]:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            yield from csv.reader(io.StringIO(text, newline=""), strict=True)
        except csv.Error as error:
            raise ConfigError([f"{path}: 不是 CSV：{error} | is no CSV: {error}"]) from error
        return
    raise ConfigError([f"{path}: 编码不是 UTF-8 或 GB18030 | is neither UTF-8 nor GB18030"])


def _read_xlsx(path: Path, data: bytes) -> Iterator[Sequence[str]]:
    library = _openpyxl()
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            if sum(one.file_size for one in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise ValueError("it unpacks to more than 100 MiB")
        values, formulas = (_rows(library, data, is_computed=one) for one in (True, False))
        for place, (row, written) in enumerate(zip(values, formulas, strict=False), 1):
            unknown = [
                f"{path}:{chr(65 + nth)}{place}: 公式没有存下结果；用表格软件打开并保存一次 | "
                "a formula without its result; open the file in a spreadsheet program and save it"
                for nth, value in enumerate(row)
                if value is None and written[nth] is not None
            ]
            if unknown:
                raise ConfigError(unknown)
            yield _cut_end([_text(value) for value in row])
    except _BROKEN as error:
        raise ConfigError([f"{path}: 不是 XLSX：{error} | is no XLSX: {error}"]) from error


def _rows(library: Any, data: bytes, *, is_computed: bool) -> Iterator[Sequence[object]]:
    """Return the rows of the first sheet: results of formulas, or the formulas themselves."""
    book = library.load_workbook(io.BytesIO(data), read_only=True, data_only=is_computed)
    rows: Iterator[Sequence[object]] = book.worksheets[0].iter_rows(
        max_col=MAX_COLUMNS, max_row=MAX_ROWS + 1, values_only=True
    )
    return rows


def _cut_end(texts: list[str]) -> list[str]:
    """Take off the empty cells at the end of a row: the sheet is wider than the table."""
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _write_xlsx(path: Path, table: Iterable[Sequence[str]]) -> None:
    book = _openpyxl().Workbook(write_only=True)
    sheet = book.create_sheet("rules")
    for row in table:
        sheet.append(list(row))
    book.save(path)


def _openpyxl() -> Any:
    try:
        return importlib.import_module("openpyxl")
    except ImportError as error:
        raise ConfigError([
            "XLSX 需要 openpyxl，这里没有安装；请改用 CSV | "
            "XLSX needs openpyxl, which is not installed here; use CSV"
        ]) from error  # fmt: skip


def _text(value: object) -> str:
    if value is None:
        return ""
    # A long item id that was typed as a number comes as one.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _quote(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _unquote(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
