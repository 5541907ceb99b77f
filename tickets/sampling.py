"""The beginning of an export file, read for a guess: how it is written, its columns, some rows."""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from tickets.files import DELIMITERS, Damaged, ExportFile, Layout, UnreadableFile

#: Rows that are looked at: enough for a day above the 12th to turn up in any column of dates.
ROWS = 2_000
#: Encodings that are offered where a file is not UTF-8, with the same piece of it in each.
OFFERED = ("cp1252", "iso-8859-15", "cp850", "mac-roman", "cp1250", "cp1251")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What a guess is made of."""

    layout: Layout
    header: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    #: Rows among those looked at that are no rows.
    damaged: list[Damaged] = field(default_factory=list)
    #: What the file could be written in, with a piece of it, where it is not UTF-8.
    encodings: dict[str, str] = field(default_factory=dict)
    #: Whether dates are typed cells of a workbook.
    typed: bool = False

    @property
    def is_records(self) -> bool:
        """Whether these are raw records with an extractor's own frame around them."""
        first = self.rows[0] if self.rows else {}
        return "_airbyte_data" in first or (
            "type" in first and ("record" in self.header or "schema" in first)
        )


def sample(path: Path, layout: Layout | None = None, *, rows: int = ROWS) -> Sample:
    """Read the beginning of a file; what `layout` states is believed. Raises UnreadableFile."""
    export = ExportFile(path, layout)
    encodings: dict[str, str] = {}
    chosen = export.layout
    if not export.is_workbook and not chosen.encoding:
        encodings = _other_encodings(path)
        if encodings:  # read as the most usual one until somebody has said which it is
            chosen = replace(chosen, encoding=OFFERED[0])
    if layout is None and not export.is_json and not export.is_workbook:
        chosen = replace(chosen, delimiter=_delimiter(path, chosen))
    export = ExportFile(path, chosen)
    found: list[dict[str, Any]] = []
    damaged: list[Damaged] = []
    for _, row in islice(export.rows(), rows):
        if isinstance(row, Damaged):
            damaged.append(row)
        else:
            found.append(row)
    header = list(dict.fromkeys(name for row in found for name in row if name))
    if not header:
        raise UnreadableFile(f"{path.name} has no rows below a header; there is nothing to guess.")
    return Sample(chosen, header, found, damaged, encodings, export.is_workbook)


def _bytes_of(path: Path) -> Iterator[bytes]:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as raw:
            while chunk := raw.read(_CHUNK):
                yield chunk
    except (OSError, EOFError) as error:
        raise UnreadableFile(f"{path.name} cannot be read: {error}.") from error


def _other_encodings(path: Path) -> dict[str, str]:
    """What a file that is neither UTF-8 nor marked as UTF-16 may be, with a piece in each."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for number, chunk in enumerate(_bytes_of(path)):
        if number == 0 and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return {}
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            piece = chunk[max(0, error.start - 20) : error.start + 30]
            return {name: piece.decode(name, "replace").strip() for name in OFFERED}
    return {}


def _delimiter(path: Path, layout: Layout) -> str:
    """The sign that parts the cells: the one that gives most lines the same number of them."""
    with ExportFile(path, layout).text() as text:
        lines = list(islice(iter(lambda: text.readline(65_536), ""), 60))
    best, most = ",", (0, 0)
    for sign in DELIMITERS:
        try:
            widths = [len(cells) for cells in csv.reader(lines[:50], delimiter=sign) if cells]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) * 1_000 // len(widths), widths[0])
        if score > most:
            best, most = sign, score
    return best
