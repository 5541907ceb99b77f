"""The figures of `by_sql` from the product's column blocks: loaded by it, cut and counted by numpy.

A cell is a capability, alone or with a severity, a segment or a week. Rows are grouped by cell and
neither sorted nor copied for it; quantiles are exact, by the same rule as `percentile_cont`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.reading.by_sql import WEEKS, Answer, Asked, Figures
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


#: How many severities a column of them tells apart, and weeks a window may touch: one may lie
#: before the trend.
_SEVERITIES = len(columns.SEVERITIES) + 1
_WEEKS = WEEKS + 1
#: What a capability is cut by, and how many parts that may have.
_SHAPE = {"severity": _SEVERITIES, "segment": 2, "week": _WEEKS}


@dataclass(frozen=True, slots=True)
class _There:
    """Cells of a cut that have rows: their numbers, capabilities and parts."""

    cells: NDArray[np.intp]
    capabilities: list[int]
    parts: list[int]


class _Cells:
    """Rows grouped by capability and by every part at once, for sums and quantiles of some column.

    A sum is counted once, in the cells where all parts meet; those of one cut are the sums of them.
    """

    def __init__(self, rows: Rows, segment: NDArray[np.bool_], asked: Asked) -> None:
        self.capabilities, capability = _places(rows["capability"])
        week = (rows["at"] - asked.trend) // 604800 + 1
        self.shape = (len(self.capabilities), *_SHAPE.values())
        parts = {"severity": rows["severity"], "segment": segment, "week": week}
        self.cell = capability
        #: Of each row: its cell in each cut.
        self.cells = {"all": capability}
        for cut, part in parts.items():
            self.cell = self.cell * _SHAPE[cut] + part
            self.cells[cut] = capability * _SHAPE[cut] + part
        self.size = int(np.prod(self.shape))
        self.counts = self.sums()
        self.there = self.of(self.counts)

    def sums(self, of: NDArray[np.bool_] | None = None) -> dict[str, NDArray[np.float64]]:
        """How many rows of each cell there are, or are of some; by the cut."""
        cell = self.cell if of is None else self.cell[of]
        joint = np.bincount(cell, minlength=self.size).reshape(self.shape)
        by_severity, by_week = joint.sum(axis=(2, 3)), joint.sum(axis=(1, 2))
        return {
            "all": by_severity.sum(axis=1),
            "severity": by_severity.ravel(),
            "segment": joint.sum(axis=(1, 3)).ravel(),
            "week": by_week.ravel(),
        }

    def put(
        self,
        told: _Told,
        figure: str,
        values: Mapping[str, NDArray[Any]],
        there: Mapping[str, _There] | None = None,
    ) -> None:
        """Tell a figure of the cells that have rows, or of some."""
        for cut, some in (there or self.there).items():
            found = values[cut][some.cells].tolist()
            told.append((cut, figure, some.capabilities, some.parts, found))

    def of(self, counts: Mapping[str, NDArray[Any]]) -> dict[str, _There]:
        """The cells that have rows, by the cut."""
        found = {}
        for cut, each in counts.items():
            cells = each.nonzero()[0]
            place, part = np.divmod(cells, _SHAPE.get(cut, 1))
            part -= cut == "week"
            found[cut] = _There(cells, self.capabilities[place].tolist(), part.tolist())
        return found

    def shares(self, of: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
        """The share of each cell's rows that are of some."""
        sums = self.sums(of)
        return {cut: sums[cut] / np.maximum(counts, 1) for cut, counts in self.counts.items()}

    def quantiles(
        self, told: _Told, values: NDArray[Any], of: NDArray[np.bool_], **shares: float
    ) -> None:
        """Quantiles of a column that is never negative, as `percentile_cont` tells them."""
        counts = self.sums(of)
        there = self.of(counts)
        found: dict[str, dict[str, NDArray[np.float64]]] = {figure: {} for figure in shares}
        some = values[of].astype(np.int64)
        for cut, cells in self.cells.items():
            # Sorted by cell and value: in one number, so that no order has to be kept beside them.
            ranked = cells[of] << 32
            ranked |= some
            ranked.sort()
            rows = counts[cut][there[cut].cells]
            first = rows.cumsum() - rows
            for figure, share in shares.items():
                place = share * (rows - 1)
                low = place.astype(np.int64)
                rest = place - low
                below = ranked[first + low] & _VALUE
                above = ranked[first + low + (rest > 0)] & _VALUE
                found[figure][cut] = np.zeros(len(counts[cut]))
                found[figure][cut][there[cut].cells] = below + rest * (above - below)
        for figure, each in found.items():
            self.put(told, figure, each, there)


#: The bits of a value below those of its cell.
_VALUE = 2**32 - 1


def _places(numbers: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different numbers, and the place of each among them; ids of an organisation lie close."""
    least = int(numbers.min()) if len(numbers) else 0
    there = np.flatnonzero(np.bincount(numbers - least))
    places = np.zeros(int(there[-1]) + 1 if len(there) else 1, np.int64)
    places[there] = np.arange(len(there))
    return there + least, places[numbers - least]


def _items(rows: Rows, asked: Asked, told: _Told) -> None:
    reply, clock = rows["first_response"], rows["clock"]
    cells = _Cells(rows, rows["first_reply"] == _MEANINGFUL, asked)
    cells.put(told, "item.opened", cells.counts)
    cells.put(told, "item.replied", cells.sums(reply >= 0))
    cells.put(told, "item.open", cells.sums(clock < 0))
    cells.quantiles(told, reply, reply >= 0, **{"item.reply_median": 0.5})


def _resolutions(rows: Rows, asked: Asked, told: _Told) -> None:
    holds = rows["holds"] == 1
    both = {"resolution.clock_median": 0.5, "resolution.clock_p90": 0.9}
    cells = _Cells(rows, rows["fcr_claimed"] == 1, asked)
    cells.put(told, "resolution.resolved", cells.sums(holds))
    cells.put(told, "resolution.reopened", cells.shares(rows["reopened"] == 1))
    cells.put(told, "resolution.bounced", cells.sums(holds & (rows["reassignments"] >= 2)))
    escalated = rows["functional"] + rows["hierarchical"] > 0
    cells.put(told, "resolution.escalated", cells.sums(holds & escalated))
    cells.quantiles(told, rows["clock"], holds, **both)


def _reply_promises(rows: Rows, asked: Asked, told: _Told) -> None:
    _promises("reply_promise", rows, rows["in_time"] == 1, asked, told)


def _resolution_promises(rows: Rows, asked: Asked, told: _Told) -> None:
    kept = (rows["outcome"] == _RESOLVED) & (rows["in_time"] == 1)
    _promises("resolution_promise", rows, kept, asked, told)


def _promises(fact: str, rows: Rows, kept: NDArray[np.bool_], asked: Asked, told: _Told) -> None:
    cells = _Cells(rows, rows["response_owed"] == 1, asked)
    cells.put(told, f"{fact}.decided", cells.counts)
    cells.put(told, f"{fact}.kept", cells.shares(kept))


_TELL: list[tuple[columns.Kind, Callable[[Rows, Asked, Figures], None]]] = [
    (columns.ITEMS, _items),
    (columns.RESOLUTIONS, _resolutions),
    (columns.FIRST_RESPONSES, _reply_promises),
    (columns.RESOLUTION_PROMISES, _resolution_promises),
]
