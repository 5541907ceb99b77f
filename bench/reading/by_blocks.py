"""The figures of `by_sql` from the product's column blocks: loaded by it, cut and counted by numpy.

A cell is a capability, alone or with a severity, a segment or a week. Rows are grouped by cell and
neither sorted nor copied for it; quantiles are exact, by the same rule as `percentile_cont`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.reading.by_sql import Answer, Asked, Figures
from metrics import columns
from metrics.keeping import Stretch, load_all
from metrics.rows import Rows

_MEANINGFUL = columns.MEANINGS.index("meaningful") + 1
_RESOLVED = columns.OUTCOMES.index("resolved") + 1


#: Cut and figure of some cells, their capabilities, their parts, and the values.
_Told = list[tuple[str, str, list[int], list[int], list[float]]]


def by_blocks(tenant: Any, asked: Asked) -> Answer:
    """The figures of every capability of an organisation, inside `acting()`."""
    # local days that touch the window; its edges are cut below
    start = datetime.fromtimestamp(asked.start, UTC).astimezone(tenant.zone).date()
    until = datetime.fromtimestamp(asked.end - 1, UTC).astimezone(tenant.zone).date()
    found = load_all(tenant, [Stretch(kind, start, until + timedelta(days=1)) for kind, _ in _TELL])
    told: _Told = []
    for kind, tell in _TELL:
        rows = found[kind.name].rows
        inside = (rows["at"] >= asked.start) & (rows["at"] < asked.end)
        tell(rows[inside], asked, told)
    return partial(_named, told)


def _named(told: _Told) -> Figures:
    into: Figures = {}
    for cut, figure, capabilities, parts, values in told:
        names = zip(repeat(cut), capabilities, parts, repeat(figure))
        into.update(zip(names, values, strict=True))
    return into


#: A cell in one number: the place of its capability times this, plus its part and one more: a week
#: may lie before the trend.
_PARTS = 64


def _cells(rows: Rows, segment: NDArray[Any], asked: Asked) -> Iterator[_Cells]:
    """Each way to cut."""
    capabilities, capability = np.unique(rows["capability"], return_inverse=True)
    first = capability * _PARTS + 1
    week = (rows["at"] - asked.trend) // 604800
    for cut, part in (
        ("all", 0),
        ("severity", rows["severity"]),
        ("segment", segment),
        ("week", week),
    ):
        yield _Cells(cut, capabilities, first + part)


@dataclass(frozen=True, slots=True)
class _There:
    """Cells that have rows: their numbers, capabilities and parts."""

    cells: NDArray[np.intp]
    capabilities: list[int]
    parts: list[int]


class _Cells:
    """Rows grouped by cell, for sums and quantiles of some column."""

    def __init__(self, cut: str, capabilities: NDArray[Any], cell: NDArray[np.int64]) -> None:
        self.cut, self.capabilities, self.cell = cut, capabilities, cell
        self.size = len(capabilities) * _PARTS
        self.counts = np.bincount(cell, minlength=self.size)
        self.all = self.of(self.counts)

    def of(self, counts: NDArray[Any]) -> _There:
        """The cells that have rows."""
        there = np.flatnonzero(counts)
        capabilities = self.capabilities[there // _PARTS].tolist()
        return _There(there, capabilities, (there % _PARTS - 1).tolist())

    def put(
        self, told: _Told, figure: str, values: NDArray[Any], there: _There | None = None
    ) -> None:
        """Tell a figure of the cells there are, or of some."""
        there = there or self.all
        found = values[there.cells].tolist()
        told.append((self.cut, figure, there.capabilities, there.parts, found))

    def sums(self, of: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How many rows of each cell are of some."""
        return np.bincount(self.cell, of, minlength=self.size)

    def shares(self, of: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The share of each cell's rows that are of some; cells without rows are not told."""
        return self.sums(of) / np.maximum(self.counts, 1)

    def quantiles(
        self, told: _Told, values: NDArray[Any], of: NDArray[np.bool_], **shares: float
    ) -> None:
        """Quantiles of a column that is never negative, as `percentile_cont` tells them."""
        cell = self.cell[of]
        # Sorted by cell and value: in one number, so that no order has to be kept beside them.
        ranked = np.sort(cell << 32 | values[of].astype(np.int64)) & (2**32 - 1)
        counts = np.bincount(cell, minlength=self.size)
        some = self.of(counts)
        first = (np.cumsum(counts) - counts)[some.cells]
        found = np.zeros(self.size)
        for figure, share in shares.items():
            place = share * (counts[some.cells] - 1)
            low = np.floor(place).astype(np.int64)
            below = ranked[first + low].astype(np.float64)
            above = ranked[first + np.ceil(place).astype(np.int64)]
            found[some.cells] = below + (place - low) * (above - below)
            self.put(told, figure, found, some)


def _items(rows: Rows, asked: Asked, told: _Told) -> None:
    reply, clock = rows["first_response"], rows["clock"]
    for cells in _cells(rows, rows["first_reply"] == _MEANINGFUL, asked):
        cells.put(told, "item.opened", cells.counts)
        cells.put(told, "item.replied", cells.sums(reply >= 0))
        cells.put(told, "item.open", cells.sums(clock < 0))
        cells.quantiles(told, reply, reply >= 0, **{"item.reply_median": 0.5})


def _resolutions(rows: Rows, asked: Asked, told: _Told) -> None:
    holds = rows["holds"] == 1
    bounced = holds & (rows["reassignments"] >= 2)
    escalated = holds & (rows["functional"] + rows["hierarchical"] > 0)
    both = {"resolution.clock_median": 0.5, "resolution.clock_p90": 0.9}
    for cells in _cells(rows, rows["fcr_claimed"] == 1, asked):
        cells.put(told, "resolution.resolved", cells.sums(holds))
        cells.put(told, "resolution.reopened", cells.shares(rows["reopened"] == 1))
        cells.put(told, "resolution.bounced", cells.sums(bounced))
        cells.put(told, "resolution.escalated", cells.sums(escalated))
        cells.quantiles(told, rows["clock"], holds, **both)


def _reply_promises(rows: Rows, asked: Asked, told: _Told) -> None:
    _promises("reply_promise", rows, rows["in_time"] == 1, asked, told)


def _resolution_promises(rows: Rows, asked: Asked, told: _Told) -> None:
    kept = (rows["outcome"] == _RESOLVED) & (rows["in_time"] == 1)
    _promises("resolution_promise", rows, kept, asked, told)


def _promises(fact: str, rows: Rows, kept: NDArray[np.bool_], asked: Asked, told: _Told) -> None:
    for cells in _cells(rows, rows["response_owed"] == 1, asked):
        cells.put(told, f"{fact}.decided", cells.counts)
        cells.put(told, f"{fact}.kept", cells.shares(kept))


_TELL: list[tuple[columns.Kind, Callable[[Rows, Asked, Figures], None]]] = [
    (columns.ITEMS, _items),
    (columns.RESOLUTIONS, _resolutions),
    (columns.FIRST_RESPONSES, _reply_promises),
    (columns.RESOLUTION_PROMISES, _resolution_promises),
]
