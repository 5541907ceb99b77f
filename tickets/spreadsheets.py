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
#: Cells of the rectangle a sheet spans: it is held in memory as a whole, empty ones too.
MOST_CELLS = 5_000_000

_CHUNK = 1 << 20
#: A cell or a row says where it stands: r="AB12" or r="12".
_PLACE = re.compile(rb"""\br\s*=\s*["']\s*([A-Za-z]{0,4})([0-9]{1,12})\s*["']""")
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
    is_sheet = "worksheets/" in name.lower()
    last_row = last_column = 0
    before = b""
    while chunk := content.read(_CHUNK):
        unpacked += len(chunk)
        _refuse_bomb(unpacked, size)
        seen = before + chunk
        # UTF-16 puts a nought between the letters.
        if is_xml and (_DOCTYPE.search(seen) or _DOCTYPE.search(seen.replace(b"\0", b""))):
            raise UnreadableSpreadsheet(f"{name} declares a document type or an entity")
        if is_sheet:
            for letters, digits in _PLACE.findall(seen):
                last_row = max(last_row, int(digits))
                last_column = max(last_column, _column(letters))
            if last_row * max(last_column, 1) > MOST_CELLS:
                raise UnreadableSpreadsheet(
                    f"the sheet spans {last_row:,} rows and {last_column:,} columns; save it as"
                    " CSV, which is read in bounded memory"
                )
        before = seen[-64:]
    return unpacked


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
