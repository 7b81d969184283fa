"""Keyword tables: CSV and XLSX, read and written."""

from __future__ import annotations

import io
import zipfile

import openpyxl
import pytest

from trunkline.configuration import sheets
from trunkline.configuration.sheets import SheetRow, read_sheet, write_sheet
from trunkline.errors import ConfigError

ROWS = [
    SheetRow("在吗\n有人吗", "", "在的", 2),
    SheetRow("价格", "900000000001", '页面价，\n不议价 "真的"', 3),
    SheetRow("=1+1", "", "+SUM(A1)", 4),
    SheetRow("广告", "", "", 5),
]


@pytest.mark.parametrize("kind", [".csv", ".xlsx"])
def test_what_is_written_is_read(tmp_path, kind):
    path = tmp_path / f"k{kind}"
    write_sheet(path, ROWS)
    assert read_sheet(path) == ROWS


def test_a_spreadsheet_takes_no_cell_for_a_formula(tmp_path):
    path = tmp_path / "k.csv"
    write_sheet(path, ROWS)
    text = path.read_bytes().decode("utf-8-sig")
    assert "'=1+1" in text
    assert ",'+SUM(A1)" in text
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("a,,b\r\n", [("a", "", "b", 1)]),
        ("关键词,商品ID,回复\na,1,b\n", [("a", "1", "b", 2)]),
        ("Keyword,item,reply\na,1,b\n", [("a", "1", "b", 2)]),
        ("关键词,回复\na,b\n", [("a", "", "b", 2)]),
        ("回复内容,关键字,商品ID\nb,a,1\n", [("a", "1", "b", 2)]),
        ("\nREPLY, Item_ID ,,keywords\nb,1,,a\n", [("a", "1", "b", 3)]),
        ("关键词,回复\na\n", [("a", "", "", 2)]),
        ("回复,,b\n", [("回复", "", "b", 1)]),
        ("a\n", [("a", "", "", 1)]),
        (" a , 1 , b ,more\n\n,,\nc,,d", [("a", "1", " b ", 1), ("c", "", "d", 4)]),
        ("", []),
    ],
)
def test_rows_of_a_csv(tmp_path, data, rows):
    path = tmp_path / "k.csv"
    path.write_text(data, "utf-8")
    assert read_sheet(path) == [SheetRow(*row) for row in rows]


def test_a_table_of_an_old_spreadsheet_program_is_read(tmp_path):
    path = tmp_path / "k.csv"
    path.write_bytes("价格,,页面价\r\n".encode("gb18030"))
    assert read_sheet(path) == [SheetRow("价格", "", "页面价", 1)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("关键词,备注,回复\na,b,c\n".encode(), ["“备注”; there are: 关键词 / keyword /"]),
        ("触发词,商品ID,回复\na,1,c\n".encode(), ["“触发词”; there are"]),
        ("关键词,商品ID\na,1\n".encode(), ["is missing; there are"]),
        (b"keyword,reply,reply\na,b,c\n", ["two columns mean the same"]),
        (b"a,b\n", ["as in: keyword,reply"]),
        (b"a,,b\n,1,c\n , ,d\n", [":2", ":3"]),
        (b'a,"b', ["is no CSV"]),
        (b"\xff\xff\xff", ["UTF-8"]),
        (b"x" * ((10 << 20) + 1), ["10 MiB"]),
        (b"a,,b\n" * 20_001, ["20000"]),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path, data, said):
    path = tmp_path / "k.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_sheet(path)
    assert len(caught.value.problems) == len(said)
    for word, problem in zip(said, caught.value.problems, strict=True):
        assert word in problem


def test_numbers_of_a_workbook_are_texts(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["价格", 900000000001, 12.5])
    book.active.append([None, None, None])
    book.active.append(["货", 1.0, None])
    path = tmp_path / "k.xlsx"
    book.save(path)
    assert read_sheet(path) == [
        SheetRow("价格", "900000000001", "12.5", 1),
        SheetRow("货", "1", "", 3),
    ]


def test_a_formula_without_its_result_is_refused_where_it_stands(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["回复", "关键词"])
    book.active.append(["好", "在吗"])
    book.active.append(['=A2&"!"', "价格"])
    path = tmp_path / "k.xlsx"
    book.save(path)
    with pytest.raises(ConfigError, match=r"A3: .*formula without its result"):
        read_sheet(path)


def test_columns_of_a_workbook_go_by_their_names(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["回复", "关键词"])
    book.active.append(["好", "在吗"])
    path = tmp_path / "k.xlsx"
    book.save(path)
    assert read_sheet(path) == [SheetRow("在吗", "", "好", 2)]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"nonsense"])
def test_a_broken_workbook_is_told(tmp_path, data):
    path = tmp_path / "k.xlsx"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="is no XLSX"):
        read_sheet(path)


def test_a_workbook_that_unpacks_to_very_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_UNPACKED_BYTES", 1000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", b" " * 2000)
    path = tmp_path / "k.xlsx"
    path.write_bytes(packed.getvalue())
    with pytest.raises(ConfigError, match="unpacks"):
        read_sheet(path)


def test_without_its_library_a_workbook_is_refused_with_the_way_out(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(sheets.importlib, "import_module", missing)
    path = tmp_path / "k.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(ConfigError, match="use CSV"):
        read_sheet(path)
    with pytest.raises(ConfigError, match="use CSV"):
        write_sheet(path, ROWS)
