"""Reading export files row by row: CSV, JSON lines (plain or gzipped) and XLSX, in bounded memory.

A row that is no row is `Damaged` and named; the rows behind it are read all the same. Only a file
that cannot be read any further stops.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from tickets import spreadsheets
from tickets.spreadsheets import UnreadableSpreadsheet
from tickets.storable import UNSTORABLE

#: The longest cell that is read, in characters; a row with a longer one is refused by name.
LONGEST_CELL = 65_536
#: The most a row may take in memory, in characters: a quote that nobody closes swallows no more.
LONGEST_ROW = 1_048_576
#: More columns than this are no export of tickets.
MOST_COLUMNS = 1_000
#: What gzip may unpack to, as a multiple of what was read, once it is more than LONGEST_ROW bytes.
MOST_UNPACKED = 100
#: Encodings a mapping may state; a byte order mark states UTF-8 or UTF-16 by itself.
ENCODINGS = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "cp1250", "cp1251", "cp850"),
    *("iso-8859-1", "iso-8859-2", "iso-8859-15", "mac-roman"),
)
DELIMITERS = (",", ";", "\t", "|")

#: JSON lines may leave out what is empty; so many are asked for the names of columns.
_LOOKED_AT = 1_000
#: What bytes that are no text are read as (PEP 383), and halves of characters in JSON.
_NO_TEXT = re.compile("[\ud800-\udfff]")


#: Kinds of files that come under other names, by how they begin, and what to do about it.
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive: unpack it and import the file inside (workbooks end in .xlsx)",
    b"\xd0\xcf\x11\xe0": "a workbook of the old kind: save it as .xlsx or CSV",
}
#: What stops the reading of a file.
_STOPS = (
    UnicodeError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    OSError,
    csv.Error,
    UnreadableSpreadsheet,
)


class UnreadableFile(ValueError):
    """A file cannot be read (further): not UTF-8, not CSV, without a header, without rows."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written, as far as it has to be said: `[file]` of a mapping."""

    #: One of ENCODINGS; empty: UTF-8, or what a byte order mark says.
    encoding: str = ""
    delimiter: str = ","
    #: The sheet of a workbook; empty: the first.
    sheet: str = ""
    #: The row of a sheet or CSV file that names the columns, from 1.
    header_row: int = 1


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row that is no row: its number and why."""

    number: int
    reason: str


class ExportFile:
    """One export file; iterate over `rows()`, watch `share_read`."""

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self.path = path
        self.layout = layout or Layout()
        self._size = max(path.stat().st_size, 1)
        self._raw: BinaryIO | None = None
        self._share: float | None = None

    @property
    def is_json(self) -> bool:
        """Whether each line is a JSON object (.jsonl, .ndjson, also .gz)."""
        return self.path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson"))

    @property
    def is_workbook(self) -> bool:
        """Whether it is an XLSX workbook."""
        return self.path.name.lower().endswith(".xlsx")

    @property
    def share_read(self) -> float:
        """How much of the file has been read, 0 to 1."""
        if self._share is not None:
            return self._share
        if self._raw is None:
            return 0.0
        return 1.0 if self._raw.closed else min(1.0, self._raw.tell() / self._size)

    def sha256(self) -> bytes:
        """Return the digest of the file as it lies there."""
        with self.path.open("rb") as raw:
            return hashlib.file_digest(raw, "sha256").digest()

    def header(self) -> list[str]:
        """Return the names of the columns: of JSON lines, those of the first thousand."""
        names: dict[str, None] = {}
        for _, row in islice(self.rows(), _LOOKED_AT if self.is_json else None):
            if isinstance(row, dict):
                names |= dict.fromkeys(row)
                if not self.is_json:
                    break
        if names:
            return list(names)
        raise UnreadableFile(f"{self.path.name} has no rows; nothing was imported.")

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | Damaged]]:
        """Yield (row number from 1, row). Raises UnreadableFile where reading cannot go on."""
        number = 0
        try:
            for number, row in enumerate(self._rows(), start=1):
                yield number, Damaged(number, row) if isinstance(row, str) else row
        except _STOPS as error:
            raise self._unreadable("row", number, error) from error

    def lines(self) -> Iterator[str | None]:
        """Yield the lines of a JSON lines file that are not blank; None for one that is too long.

        Raises UnreadableFile where reading cannot go on.
        """
        number = 0
        try:
            with self.text() as text:
                for line in _json_lines(text):
                    number += 1
                    yield line
        except _STOPS as error:
            raise self._unreadable("line", number, error) from error

    def _unreadable(self, what: str, number: int, error: Exception) -> UnreadableFile:
        remedy = "Mend the file and import it again"
        if isinstance(error, UnicodeError):
            remedy = "Say how it is written ([file] encoding of the mapping) and import it again"
        return UnreadableFile(
            f"{self.path.name} cannot be read behind {what} {number}: {error}. {remedy};"
            " batches that were kept before are recognised."
        )

    def _rows(self) -> Iterator[dict[str, Any] | str]:
        if self.is_workbook:
            yield from self._sheet_rows()
            return
        with self.text() as text:
            yield from _json_rows(text) if self.is_json else _csv_rows(text, self.layout)

    def _sheet_rows(self) -> Iterator[dict[str, Any] | str]:
        header: list[str] = []
        sheet = spreadsheets.Sheet(self.path, self.layout.sheet)
        for position, cells in enumerate(sheet.rows(), start=1):
            self._share = position / sheet.height
            if position < self.layout.header_row:
                continue
            if position == self.layout.header_row:
                header = _checked_header([str(cell) for cell in cells])
            elif any(cell not in ("", None) for cell in cells):
                # Cells behind the last named column are notes beside the table.
                named = dict(zip(header, cells, strict=False))
                named.pop("", None)
                overlong = _overlong(list(map(str, named.values())), list(named))
                yield overlong or named

    def text(self) -> io.TextIOWrapper:
        """The file's characters, unpacked; what is no text is read as lone surrogates."""
        raw = self.path.open("rb")
        if other := _OTHER_KINDS.get(raw.peek(4)[:4]):
            raw.close()
            raise UnreadableFile(f"{self.path.name} is {other}.")
        self._raw = raw
        gzipped = self.path.name.lower().endswith(".gz")
        buffered = _Unpacked(raw) if gzipped else raw
        try:
            mark, encoding = _by_mark(buffered), self.layout.encoding
            if not encoding or encoding.startswith(mark):  # a mark is no letter of the first name
                encoding = mark
        except BaseException:
            buffered.close()
            raise
        if encoding == "utf-8":
            encoding = "utf-8-sig"
        # Bytes that are no text are told row by row where somebody has said what they should be.
        errors = "surrogateescape" if self.layout.encoding else "strict"
        return io.TextIOWrapper(
            cast("BinaryIO", buffered), encoding=encoding, errors=errors, newline=""
        )


class _Unpacked(gzip.GzipFile):
    """A gzip file that stops where it unpacks to far more than anybody exports."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw)
        self._packed = raw

    def read1(self, size: int = -1) -> bytes:
        """Unpack some; raises BadGzipFile for a bomb."""
        data = super().read1(size)
        unpacked = self.tell()
        if unpacked > LONGEST_ROW * 16 and unpacked > MOST_UNPACKED * self._packed.tell():
            raise gzip.BadGzipFile(f"it unpacks to more than {MOST_UNPACKED} times its size")
        return data

    def close(self) -> None:
        """Close the packed file as well: nobody else holds it."""
        super().close()
        self._packed.close()


def _by_mark(raw: Any) -> str:
    """The encoding a byte order mark states, else UTF-8."""
    head = raw.peek(4)[:4]
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"


class _TooLong(Exception):
    """A row takes more memory than any row should."""


class _Lines:
    """Lines for csv.reader, and what there is to know of the row they belong to."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._readline = text.readline
        self.begin()

    def begin(self) -> None:
        """A new row begins with the next line."""
        self.taken = 0
        self.no_text = False
        self._in_quotes = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._readline(LONGEST_ROW)
        if not line:
            raise StopIteration
        self.taken += len(line)
        if line.count('"') & 1:
            self._in_quotes = not self._in_quotes
        if self.taken >= LONGEST_ROW:
            self._skip(line)
        if not line.isascii() and _NO_TEXT.search(line):
            self.no_text = True
        return line

    def _skip(self, piece: str) -> None:
        """Read on to the end of the row, keeping nothing: what it holds is not taken for rows."""
        lines = 1
        while piece and (self._in_quotes or not piece.endswith(("\n", "\r"))):
            piece = self._readline(LONGEST_ROW)
            lines += piece.endswith(("\n", "\r"))
            if piece.count('"') & 1:
                self._in_quotes = not self._in_quotes
        never = " and a quote in it is never closed" if self._in_quotes else ""
        raise _TooLong(
            f"the row is longer than {LONGEST_ROW:,} characters{never};"
            f" {lines:,} lines were left out with it"
        )


def _csv_rows(text: io.TextIOWrapper, layout: Layout) -> Iterator[dict[str, Any] | str]:
    csv.field_size_limit(2 * LONGEST_ROW)  # cells are measured below, row by row
    lines = _Lines(text)
    reader = csv.reader(lines, strict=True, delimiter=layout.delimiter)
    header: list[str] = []
    try:
        for _ in range(layout.header_row):
            lines.begin()
            header = next(reader)
    except StopIteration:
        return
    except _TooLong as error:
        raise csv.Error(str(error)) from None
    header = _checked_header(header)
    while True:
        lines.taken, lines.no_text, lines._in_quotes = 0, False, False
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _TooLong as error:
            yield str(error)
            continue
        except csv.Error as error:
            yield _not_csv(error, reader.line_num)
            continue
        if lines.no_text:
            yield f"holds bytes that are not {layout.encoding}"
        elif len(cells) != len(header):
            if cells:
                yield f"{len(cells)} cells where the header names {len(header)}"
        elif lines.taken > LONGEST_CELL and (overlong := _overlong(cells, header)):
            yield overlong
        else:
            yield dict(zip(header, cells, strict=True))


def _not_csv(error: csv.Error, line: int) -> str:
    if "unexpected end" in str(error):
        return f"a quote is not closed when the file ends (line {line:,})"
    return f"not CSV in line {line:,}: {error}"


def _overlong(cells: list[str], header: list[str]) -> str:
    """What is said of a row with a cell that is too long; empty where there is none."""
    for name, cell in zip(header, cells, strict=False):
        if len(cell) > LONGEST_CELL:
            return f"the cell of {name[:80]!r} is longer than {LONGEST_CELL:,} characters"
    return ""


def _unstorable(names: Iterable[str]) -> str:
    """What is said of a column that no mapping can name; empty where there is none."""
    for name in names:
        if UNSTORABLE.search(name):
            return f"the name of a column, {name[:80]!r}, holds a character that cannot be kept"
    return ""


def _checked_header(cells: list[str]) -> list[str]:
    """The names of the columns. Raises csv.Error where a name stands for two of them."""
    header = [name.strip() for name in cells]
    if len(header) > MOST_COLUMNS:
        raise csv.Error(f"the header names {len(header):,} columns; {MOST_COLUMNS:,} are read")
    if unstorable := _unstorable(header):
        raise csv.Error(unstorable)
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated:
        raise csv.Error(f"the header names {', '.join(sorted(repeated))} twice")
    return header


def _json_lines(text: io.TextIOWrapper) -> Iterator[str | None]:
    """The lines that are not blank; None for one that is too long."""
    while line := text.readline(LONGEST_ROW):
        if len(line) >= LONGEST_ROW:
            while line and not line.endswith(("\n", "\r")):
                line = text.readline(LONGEST_ROW)
            yield None
        elif not line.isspace():
            yield line


def _json_rows(text: io.TextIOWrapper) -> Iterator[dict[str, Any] | str]:
    for line in _json_lines(text):
        if line is None:
            yield f"the line is longer than {LONGEST_ROW:,} characters"
            continue
        row = json_object(line)
        if isinstance(row, str):
            yield row
        elif ("\\u" in line or not line.isascii()) and (unstorable := _unstorable(row)):
            yield unstorable
        elif len(line) > LONGEST_CELL:
            yield _overlong([str(value) for value in row.values()], list(row)) or row
        else:
            yield row


def json_object(line: str) -> dict[str, Any] | str:
    """The object a line holds, or why it holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"[:300]
    return row if isinstance(row, dict) else "not a JSON object"
