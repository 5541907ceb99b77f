"""The refused rows of an import as CSV that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from tickets.models import ImportRun, QuarantinedRow

HEADER = ("row", "ticket", "column", "value", "reason", "row refused")
#: What a spreadsheet takes for the beginning of a formula.
_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
_TOGETHER = 1_000
#: What one download holds; the quarantine keeps them all.
MOST = 100_000


def neutral(cell: str) -> str:
    """A cell that is text wherever it is opened (ASVS 1.2.10)."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_SIGNS) else cell


def lines(run: ImportRun) -> Iterator[str]:
    """Yield CSV lines, every cell in quotes, a thousand rows of the quarantine at a time."""
    yield _line(HEADER)
    behind = given = 0
    rows = QuarantinedRow.objects.for_tenant(run.tenant_id).filter(run=run).order_by("pk")
    while some := list(rows.filter(pk__gt=behind)[:_TOGETHER]):
        if given >= MOST:
            more = rows.filter(pk__gt=behind).count()
            yield _line(("", "", "", "", f"and {more:,} more: one download holds {MOST:,}", ""))
            return
        behind = some[-1].pk
        given += len(some)
        for row in some:
            yield _line(
                (
                    str(row.row_number),
                    neutral(row.ticket_external_id),
                    neutral(row.field),
                    neutral(row.value),
                    neutral(row.reason),
                    "yes" if row.row_refused else "no, this value only",
                )
            )


def _line(cells: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(cells)
    return text.getvalue()
