"""The figures of `by_sql` from the product's column blocks: loaded by it, cut and counted by numpy.

A cell is a capability, alone or with a severity, a segment or a week. Rows are sorted once a fact
kind and cut by cell; quantiles are exact, by the same rule as `percentile_cont`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.reading.by_sql import Asked, Figures
from metrics import columns

_MEANINGFUL = columns.MEANINGS.index("meaningful") + 1
_RESOLVED = columns.OUTCOMES.index("resolved") + 1


def by_blocks(tenant: Any, asked: Asked) -> Figures:
    """The figures of every capability of an organisation, inside `acting()`."""
    told: Figures = {}
    for kind, tell in (
        (columns.ITEMS, _items),
        (columns.RESOLUTIONS, _resolutions),
        (columns.FIRST_RESPONSES, _reply_promises),
        (columns.RESOLUTION_PROMISES, _resolution_promises),
    ):
        # local days that touch the window; its edges are cut below
        start = datetime.fromtimestamp(asked.start, UTC).astimezone(tenant.zone).date()
        until = datetime.fromtimestamp(asked.end - 1, UTC).astimezone(tenant.zone).date()
        rows = columns.load(tenant, kind, start, until + timedelta(days=1))
        inside = (rows["at"] >= asked.start) & (rows["at"] < asked.end)
        if not inside.all():
            rows = rows[inside]
        tell(rows, asked, told)
    return told


def _cells(
    rows: NDArray[Any], segment: NDArray[Any], asked: Asked
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each way to cut, and the cell of every row: capability and part in one number."""
    capability = rows["capability"] << 20
    week = (rows["at"] - asked.trend) // 604800
    for cut, part in (
        ("all", np.zeros(len(rows), np.int64)),
        ("severity", rows["severity"].astype(np.int64)),
        ("segment", segment.astype(np.int64)),
        ("week", week),
    ):
        yield cut, capability + part + 1024  # a week may lie before the trend


class _Cell:
    """Rows grouped by cell, for sums and quantiles of some column."""

    def __init__(self, cut: str, cell: NDArray[np.int64], into: Figures, fact: str) -> None:
        self.names, self.group = np.unique(cell, return_inverse=True)
        self.cut, self.into, self.fact = cut, into, fact
        self.keys = [(name >> 20, (name & (2**20 - 1)) - 1024) for name in self.names.tolist()]

    def put(self, figure: str, values: NDArray[Any], where: NDArray[Any] | None = None) -> None:
        name = f"{self.fact}.{figure}"
        told = values.tolist()
        for place, key in enumerate(self.keys):
            if where is None or where[place]:
                self.into[self.cut, *key, name] = told[place]

    def sums(self, values: NDArray[Any] | None = None) -> NDArray[np.float64]:
        counted = np.bincount(self.group, values, minlength=len(self.names))
        return counted.astype(np.float64)

    def quantiles(self, values: NDArray[Any], of: NDArray[np.bool_], **shares: float) -> None:
        group, chosen = self.group[of], values[of]
        order = np.argsort(group.astype(np.int64) << 32 | chosen.astype(np.int64))
        ranked = chosen[order].astype(np.float64)
        counts = np.bincount(group, minlength=len(self.names))
        first = np.cumsum(counts) - counts
        there = counts > 0
        for figure, share in shares.items():
            place = share * (counts[there] - 1)
            low = np.floor(place).astype(np.int64)
            high = np.ceil(place).astype(np.int64)
            below, above = ranked[first[there] + low], ranked[first[there] + high]
            told = np.zeros(len(self.names))
            told[there] = below + (place - low) * (above - below)
            self.put(figure, told, there)


def _items(rows: NDArray[Any], asked: Asked, told: Figures) -> None:
    reply, clock = rows["first_response"], rows["clock"]
    for cut, cell in _cells(rows, rows["first_reply"] == _MEANINGFUL, asked):
        cells = _Cell(cut, cell, told, "item")
        cells.put("opened", cells.sums())
        cells.put("replied", cells.sums(reply >= 0))
        cells.put("open", cells.sums(clock < 0))
        cells.quantiles(reply, reply >= 0, reply_median=0.5)


def _resolutions(rows: NDArray[Any], asked: Asked, told: Figures) -> None:
    holds = rows["holds"] == 1
    bounced = holds & (rows["reassignments"] >= 2)
    escalated = holds & (rows["functional"] + rows["hierarchical"] > 0)
    for cut, cell in _cells(rows, rows["fcr_claimed"] == 1, asked):
        cells = _Cell(cut, cell, told, "resolution")
        cells.put("resolved", cells.sums(holds))
        cells.put("reopened", cells.sums(rows["reopened"] == 1) / cells.sums())
        cells.put("bounced", cells.sums(bounced))
        cells.put("escalated", cells.sums(escalated))
        cells.quantiles(rows["clock"], holds, clock_median=0.5, clock_p90=0.9)


def _reply_promises(rows: NDArray[Any], asked: Asked, told: Figures) -> None:
    kept = (rows["fulfilled"] > 0) & (rows["clock"] <= rows["target"])
    _promises("reply_promise", rows, kept, asked, told)


def _resolution_promises(rows: NDArray[Any], asked: Asked, told: Figures) -> None:
    kept = (rows["outcome"] == _RESOLVED) & (rows["clock"] <= rows["target"])
    _promises("resolution_promise", rows, kept, asked, told)


def _promises(
    fact: str, rows: NDArray[Any], kept: NDArray[Any], asked: Asked, told: Figures
) -> None:
    for cut, cell in _cells(rows, rows["response_owed"] == 1, asked):
        cells = _Cell(cut, cell, told, fact)
        cells.put("decided", cells.sums())
        cells.put("kept", cells.sums(kept) / cells.sums())
