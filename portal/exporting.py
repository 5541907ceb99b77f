"""Readings as a table to take away: CSV that a spreadsheet opens safely, XLSX, or JSON.

One list of columns for every format. The page's export and the REST endpoint write the readings
that `portal.readings.Answering` tells, so a figure is the same wherever it is read.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import xlsxwriter
from django.http import HttpResponse

from governance.guarding import but_see
from metrics.measure import Reading

Cell = str | int | float | bool | None

#: A cell that begins with one of these is read as a formula, or hides one (TRUST.md T13).
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\0")


def _list(told: Iterable[object]) -> str:
    return "; ".join(str(one) for one in told)


def _pairs(told: Mapping[str, Any] | None) -> str:
    return _list(f"{name}: {value}" for name, value in (told or {}).items())


#: Name of the column -> what it says of a reading; the names are those of the REST API.
COLUMNS: Mapping[str, Callable[[Reading], Cell]] = {
    "metric": lambda r: r.key,
    "name": lambda r: r.name,
    "capability": lambda r: r.slice["capability"],
    "severity": lambda r: r.slice["severity"],
    "domain": lambda r: r.slice["domain"],
    "segment": lambda r: r.slice["segment"],
    "from": lambda r: r.period["from"],
    "until": lambda r: r.period["until"],
    "value": lambda r: r.value,
    "unit": lambda r: r.unit,
    "numerator": lambda r: r.numerator,
    "denominator": lambda r: r.denominator,
    "interval_lower": lambda r: r.interval.lower,
    "interval_upper": lambda r: r.interval.upper,
    "reliability_state": lambda r: r.reliability_state,
    "response_rate": lambda r: r.response_rate,
    "sentence": lambda r: r.sentence,
    "flags": lambda r: _list(r.flags),
    "provisional": lambda r: r.provisional,
    "so_far": lambda r: _pairs(r.so_far),
    "still_open": lambda r: r.still_open,
    "left_out": lambda r: _pairs(r.left_out),
    "beside": lambda r: _pairs(r.beside),
    "target": lambda r: f"{r.target['words']} ({r.target['state']})" if r.target else None,
    "kept": lambda r: r.kept,
    "status": lambda r: r.status,
    "paired_evidence": lambda r: _list(r.paired_evidence),
    "guardrail": lambda r: _list(one.sentence for one in r.guardrail),
    "but_see": but_see,
    "data_quality": lambda r: _pairs(
        {flaw.title: flaw.extent if flaw.error_bar else flaw.tickets for flaw in r.data_quality}
    ),
    "data_quality_hint": lambda r: (
        f"{r.data_quality_hint.outcome}: {r.data_quality_hint.sentence}"
        if r.data_quality_hint
        else None
    ),
    "restated": lambda r: _list(f"{one.was} to {one.now}: {one.items}" for one in r.restated),
    "as_of": lambda r: r.as_of,
    "definition_version": lambda r: r.definition_version,
    "settings_version": lambda r: r.settings_version,
}


def rows(readings: Iterable[Reading]) -> list[list[Cell]]:
    """One row a reading, in the order of `COLUMNS`."""
    return [[cell(reading) for cell in COLUMNS.values()] for reading in readings]


def harmless(text: str) -> str:
    """The text with an apostrophe before a sign that would make a spreadsheet compute it.

    A negative number gets one too: no cell begins with such a sign.
    """
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def _in_words(cell: Cell) -> str:
    """A cell as text: nothing for None, yes and no as the API writes them, floats in full."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None else harmless(str(cell))


def as_csv(readings: Iterable[Reading]) -> bytes:
    """CSV in UTF-8 with the mark that spreadsheets look for, every cell quoted."""
    text = StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_in_words(cell) for cell in row] for row in rows(readings))
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(readings: Iterable[Reading]) -> bytes:
    """A workbook of one sheet: numbers are numbers, and no text is read as formula or link."""
    file = BytesIO()
    safe = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(file, {"in_memory": True, **safe}) as book:
        sheet = book.add_worksheet("Readings")
        head = book.add_format({"bold": True, "text_wrap": True})
        sheet.write_row(0, 0, list(COLUMNS), head)
        for number, row in enumerate(rows(readings), start=1):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(number, column, harmless(cell))
                elif cell is not None:
                    sheet.write(number, column, cell)
        sheet.freeze_panes(1, 2)
        sheet.set_column(0, len(COLUMNS) - 1, 18)
    return file.getvalue()


def as_json(readings: Iterable[Reading]) -> bytes:
    """The readings as the REST API tells each of them."""
    told = [reading.to_json() for reading in readings]
    return json.dumps(told, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Format:
    """How a table is written, and what a browser is told it is."""

    media_type: str
    write: Callable[[Iterable[Reading]], bytes]


FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv; charset=utf-8", as_csv),
    "xlsx": Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", as_xlsx),
    "json": Format("application/json", as_json),
}


def attachment(readings: Iterable[Reading], *, how: str, name: str) -> HttpResponse:
    """The readings as a file to keep; `how` is a key of `FORMATS`, `name` a slug."""
    chosen = FORMATS[how]
    return HttpResponse(
        chosen.write(readings),
        content_type=chosen.media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}.{how}"'},
    )
