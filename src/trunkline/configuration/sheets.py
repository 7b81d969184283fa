"""Keyword tables as people keep them: three columns – keyword, item id, reply – in CSV or XLSX.

`openpyxl` lives in this file only and is imported on first use. A cell that a spreadsheet would
take for a formula is written behind an apostrophe, which is taken off when it is read again
(Source: reliability 8 "Console output"; the columns: xianyu 19).
"""

from __future__ import annotations

import csv
import importlib
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile, ZipFile

import msgspec

from trunkline.errors import ConfigError

MAX_BYTES: Final = 10 << 20
MAX_UNPACKED_BYTES: Final = 100 << 20
MAX_ROWS: Final = 20_000
HEADER: Final = ("关键词", "商品ID", "回复")
_HEADS: Final = frozenset({"关键词", "关键字", "keyword", "keywords"})
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
    """Read a table; a first row with the columns' names is skipped, and so are empty rows.

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
    for place, raw in enumerate(cells, 1):
        if place > MAX_ROWS:
            raise ConfigError([f"{path}: 超过 {MAX_ROWS} 行 | has more than {MAX_ROWS} rows"])
        texts = [_unquote(text) for text in raw]
        if not any(text.strip() for text in texts):
            continue
        if place == 1 and texts[0].strip().lower() in _HEADS:
            continue
        keyword, item, reply = (*texts[:3], "", "", "")[:3]
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
        book = library.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        for row in sheet.iter_rows(max_col=3, max_row=MAX_ROWS + 1, values_only=True):
            yield [_text(value) for value in row]
    except _BROKEN as error:
        raise ConfigError([f"{path}: 不是 XLSX：{error} | is no XLSX: {error}"]) from error


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
