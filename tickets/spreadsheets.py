"""Reading one sheet of an XLSX workbook, after looking at everything in it that could be a bomb.

A workbook is a zip archive of XML. Before it is opened, every part is unpacked once in passing and
measured: what the archive's directory says of sizes may be a lie. Nothing is written to disk.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import python_calamine

#: What a workbook may unpack to, in bytes, altogether and as a multiple of its size.
MOST_UNPACKED = 200 * 1024 * 1024
MOST_RATIO = 100
#: Parts of a workbook (sheets, styles, themes, relations).
MOST_PARTS = 200
#: Cells of the rectangle a sheet spans: it is held in memory as a whole, empty ones too. As many
#: cells and shared texts may be written.
MOST_CELLS = 5_000_000

_CHUNK = 1 << 20
#: A cell or a row says where it stands: r="AB12" or r="12".
_PLACE = re.compile(rb"""\br\s*=\s*["']\s*([A-Za-z]{0,4})([0-9]{1,12})\s*["']""")
_PREFIX = rb"<(?:[A-Za-z_][\w.-]{0,30}:)?"
#: Where the cells of a sheet begin, whatever the part is called.
_SHEET = re.compile(_PREFIX + rb"sheetData(?=[\s/>])")
#: What takes memory by being there: a cell, a shared text.
_HELD = re.compile(_PREFIX + rb"(?:c|si)(?=[\s/>])")
#: Rows, and cells that do not say where they stand: they follow the one before.
_ROW_OR_NEXT = re.compile(
    _PREFIX + rb"(?:(row)(?=[\s/>])([^<>]*?\br\s*=)?|c(?=[\s/>])(?![^<>]*?\br\s*=))"
)
#: A document type could name entities; workbooks have none.
_DOCTYPE = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class UnreadableSpreadsheet(ValueError):
    """A workbook is damaged, hostile, or has no such sheet; the message says which."""


class Sheet:
    """One sheet: `rows()` gives its cells as typed values, dates as instants without a zone."""

    def __init__(self, path: Path, name: str = "") -> None:
        inspect(path)
        try:
            workbook = python_calamine.load_workbook(str(path))
            if name and name not in workbook.sheet_names:
                listed = ", ".join(workbook.sheet_names)
                raise UnreadableSpreadsheet(f"it has no sheet {name!r}; it has {listed}")
            self._sheet = (
                workbook.get_sheet_by_name(name) if name else workbook.get_sheet_by_index(0)
            )
        except python_calamine.CalamineError as error:
            raise UnreadableSpreadsheet(f"not a workbook: {error}") from error
        self.height = max(self._sheet.height, 1)

    def rows(self) -> Iterator[list[Any]]:
        """Yield the cells of every row, from the first that holds anything."""
        for cells in self._sheet.iter_rows():
            yield [_value(cell) for cell in cells]


def inspect(path: Path) -> None:
    """Unpack everything in passing. Raises UnreadableSpreadsheet for what must not be opened."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS:
                raise UnreadableSpreadsheet(f"it holds {len(parts):,} parts; workbooks have few")
            declared = sum(part.file_size for part in parts)
            _refuse_bomb(declared, size)
            unpacked = 0
            for part in parts:
                if part.flag_bits & 1:
                    raise UnreadableSpreadsheet("it is locked by a password")
                with archive.open(part) as content:
                    unpacked = _look_through(content, part.filename, unpacked, size)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
    ) as error:
        raise UnreadableSpreadsheet(f"not a workbook: {error}") from error


def _look_through(content: Any, name: str, unpacked: int, size: int) -> int:
    """Measure one part; return the bytes unpacked so far."""
    is_xml = not name.lower().endswith((".bin", ".png", ".jpeg", ".jpg", ".emf", ".gif"))
    grid = _Grid()
    before = b""
    while chunk := content.read(_CHUNK):
        unpacked += len(chunk)
        _refuse_bomb(unpacked, size)
        seen = before + chunk
        # UTF-16 puts a nought between the letters.
        if is_xml and (_DOCTYPE.search(seen) or _DOCTYPE.search(seen.replace(b"\0", b""))):
            raise UnreadableSpreadsheet(f"{name} declares a document type or an entity")
        grid.look_at(seen)
        grid.refuse_large()
        before = seen[-64:]
    return unpacked


class _Grid:
    """How far the cells of a part reach, and how many there are, at most."""

    def __init__(self) -> None:
        self._last_row = self._last_column = 0
        #: Rows that do not say where they stand; cells of a row that do not, and the most of them.
        self._next_rows = self._next_cells = self._most_next_cells = 0
        self._held = 0
        self._is_sheet = False

    def look_at(self, piece: bytes) -> None:
        """Take in a piece of the part; what stands in two pieces may be counted twice."""
        self._held += len(_HELD.findall(piece))
        self._is_sheet = self._is_sheet or _SHEET.search(piece) is not None
        if not self._is_sheet:
            return
        for letters, digits in _PLACE.findall(piece):
            self._last_row = max(self._last_row, int(digits))
            self._last_column = max(self._last_column, _column(letters))
        for row, placed in _ROW_OR_NEXT.findall(piece):
            if row:
                self._next_rows += not placed
                self._next_cells = 0
            else:
                self._next_cells += 1
                self._most_next_cells = max(self._most_next_cells, self._next_cells)

    def refuse_large(self) -> None:
        """Raise UnreadableSpreadsheet for more than may be held."""
        rows = self._last_row + self._next_rows
        columns = self._last_column + self._most_next_cells
        if rows * max(columns, 1) > MOST_CELLS:
            said = f"the sheet spans {rows:,} rows and {columns:,} columns"
        elif self._held > MOST_CELLS:
            said = f"it holds more than {MOST_CELLS:,} cells"
        else:
            return
        raise UnreadableSpreadsheet(f"{said}; save it as CSV, which is read in bounded memory")


def _refuse_bomb(unpacked: int, size: int) -> None:
    if unpacked > MOST_UNPACKED:
        raise UnreadableSpreadsheet(
            f"it unpacks to more than {MOST_UNPACKED >> 20} MB; save it as CSV"
        )
    if unpacked > _CHUNK and unpacked > MOST_RATIO * size:
        raise UnreadableSpreadsheet(f"it unpacks to more than {MOST_RATIO} times its size")


def _column(letters: bytes) -> int:
    """The number of a column by its letters: A is 1, AA is 27; none is 0."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _value(cell: Any) -> Any:
    """A cell as the row path knows it: text as it stands, whole numbers without a point."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return datetime.combine(cell, time())  # the mapping states the zone
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, (time, timedelta)):
        return str(cell)
    return cell
