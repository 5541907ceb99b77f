"""Workbooks: typed cells, the right sheet, and bombs that are refused before they are opened."""

from __future__ import annotations

import os
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
import xlsxwriter

from tickets import spreadsheets
from tickets.files import ExportFile, Layout, UnreadableFile
from tickets.mapping import Columns, Mapping

SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Two sheets: a report with its header in the first row, and another one below a title."""
    path = tmp_path / "export.xlsx"
    with xlsxwriter.Workbook(path) as workbook:
        day = workbook.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        sheet = workbook.add_worksheet("Tickets")
        sheet.write_row(0, 0, ["Key", "Opened", "Score", "Subject", "Urgent"])
        sheet.write(1, 0, 17)
        sheet.write_datetime(1, 1, datetime(2026, 3, 2, 9, 30), day)
        sheet.write(1, 2, 4.5)
        sheet.write_string(1, 3, "=1+1")
        sheet.write(1, 4, True)
        sheet.write(2, 0, "T2")
        sheet.write_datetime(2, 1, datetime(2026, 3, 3), day)
        other = workbook.add_worksheet("Old")
        other.write(0, 0, "A report of 2025")
        other.write_row(1, 0, ["Key", "Opened"])
        other.write_row(2, 0, ["T3", "02/03/2026"])
    return path


def rewritten(book: Path, **parts: bytes | None) -> Path:
    """The workbook with parts replaced or added; names in `parts` are keys of the archive."""
    target = book.with_name("hostile.xlsx")
    with (
        zipfile.ZipFile(book) as before,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for name in before.namelist():
            after.writestr(name, parts.pop(name, None) or before.read(name))
        for name, content in parts.items():
            after.writestr(name, content or b"")
    return target


def test_cells_have_types_and_dates_are_instants(book: Path) -> None:
    export = ExportFile(book)
    assert export.header() == ["Key", "Opened", "Score", "Subject", "Urgent"]
    rows = [row for _, row in export.rows()]
    assert rows[0] == {
        "Key": "17", "Opened": datetime(2026, 3, 2, 9, 30), "Score": "4.5", "Subject": "=1+1",
        "Urgent": "true",
    }  # fmt: skip
    assert rows[1] == {
        "Key": "T2", "Opened": datetime(2026, 3, 3), "Score": "", "Subject": "", "Urgent": "",
    }  # fmt: skip
    assert export.share_read == 1.0


def test_a_date_of_a_cell_is_meant_in_the_mappings_zone(book: Path) -> None:
    mapping = Mapping.parse(
        {
            "rows": "tickets",
            "time": {"zone": "Europe/Berlin", "formats": ["iso"]},
            "columns": {"ticket": "Key", "opened_at": "Opened", "subject": "Subject"},
        },
        name="book",
    )
    export = ExportFile(book)
    raw = next(row for _, row in export.rows())
    assert isinstance(raw, dict)
    row, problems = Columns(mapping, export.header()).read(raw, 1)
    assert problems == []
    assert row is not None
    assert row.values["opened_at"].isoformat() == "2026-03-02T08:30:00+00:00"
    assert row.values["subject"] == "=1+1"


def test_a_sheet_is_chosen_by_name_and_its_header_by_row(book: Path) -> None:
    export = ExportFile(book, Layout(sheet="Old", header_row=2))
    assert [row for _, row in export.rows()] == [{"Key": "T3", "Opened": "02/03/2026"}]
    with pytest.raises(UnreadableFile, match="no sheet 'New'; it has Tickets, Old"):
        list(ExportFile(book, Layout(sheet="New")).rows())


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({SHEET: b"<worksheet>" + b" " * 30_000_000 + b"</worksheet>"}, "100 times its size"),
        ({SHEET: b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1/">]><worksheet/>'}, "entity"),
        ({SHEET: '<!DOCTYPE a [<!ENTITY x "y">]><worksheet/>'.encode("utf-16")}, "entity"),
        (
            {SHEET: b'<worksheet><sheetData><row r="1048576"><c r="XFD1048576"/></row></sheetData>'
                    b"</worksheet>"},
            "1,048,576 rows",
        ),
        ({f"xl/media/{n}.png": b"x" for n in range(300)}, "parts"),
    ],
)  # fmt: skip
def test_a_hostile_workbook_is_refused_before_it_is_opened(
    book: Path, parts: dict[str, bytes], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(spreadsheets.python_calamine, "load_workbook", opened.append)
    with pytest.raises(UnreadableFile, match=said):
        list(ExportFile(rewritten(book, **parts)).rows())
    assert opened == []


def sheet_of(cells: bytes) -> bytes:
    space = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return b'<worksheet xmlns="%s"><sheetData>%s</sheetData></worksheet>' % (space, cells)


def row_of(number: int, row: bytes = b"<row>", cell: bytes = b"<c><v>1</v></c>") -> bytes:
    return row + cell * number + b"</row>"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (row_of(10) * 1_100, "1,100 rows and 10 columns"),
        (row_of(1) * 200 + row_of(60), "201 rows and 60 columns"),
        (b'<row r="1000"/>' + row_of(1) * 10 + row_of(10), "1,011 rows and 10 columns"),
        (row_of(10, b'<row r="5000">'), "5,000 rows and 10 columns"),
        (row_of(10_001, cell=b'<c r="A1"/>'), "more than 10,000 cells"),
        (row_of(1, cell=b'<c a="<" r="CV200"/>'), "201 rows and 101 columns"),
        (b"<si/>" * 10_001, "more than 10,000 cells"),
    ],
)
def test_cells_that_do_not_say_where_they_stand_are_counted(
    book: Path, monkeypatch: pytest.MonkeyPatch, cells: bytes, said: str
) -> None:
    monkeypatch.setattr(spreadsheets, "MOST_CELLS", 10_000)
    path = rewritten(book, **{SHEET: sheet_of(cells), "xl/media/a.png": os.urandom(20_000)})
    with pytest.raises(UnreadableFile, match=said):
        list(ExportFile(path).rows())


def test_a_sheet_under_another_name_is_counted_as_well(
    book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheets, "MOST_CELLS", 10_000)
    hidden = {"xl/media/a.png": sheet_of(row_of(10_001))}
    with pytest.raises(UnreadableFile, match="columns"):
        list(ExportFile(rewritten(book, **hidden)).rows())


def test_as_many_as_may_be_are_read(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: just below the limit, with places and without; a theme is no sheet."""
    monkeypatch.setattr(spreadsheets, "MOST_CELLS", 10_000)
    head = b'<c%s t="inlineStr"><is><t>a</t></is></c>'
    placed = (b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (n, n) for n in range(2, 9_002))
    for cells in (
        row_of(1, cell=head % b"") + row_of(1) * 9_000,
        row_of(1, b'<row r="1">', head % b' r="A1"') + b"".join(placed),
    ):
        content = {SHEET: sheet_of(cells), "xl/media/a.png": os.urandom(20_000)}
        assert len(list(ExportFile(rewritten(book, **content)).rows())) == 9_000


def test_a_workbook_whose_directory_lies_about_its_size_is_measured(book: Path) -> None:
    hostile = rewritten(book, **{SHEET: b"<worksheet>" + b" " * 30_000_000 + b"</worksheet>"})
    raw = bytearray(hostile.read_bytes())
    real = (30_000_000 + 23).to_bytes(4, "little")
    assert raw.count(real) >= 1
    hostile.write_bytes(bytes(raw).replace(real, (1_000).to_bytes(4, "little")))
    with pytest.raises(UnreadableFile):
        list(ExportFile(hostile).rows())


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_workbook_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match="not a workbook"):
        list(ExportFile(path).rows())
