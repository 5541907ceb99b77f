"""Whether what was open fits what came in and how long it stayed: Little's law (METRICS.md M22).

On average as many items are open as arrive in the time that one of them stays, L = λW, whatever
the times are, as long as as many go as come. W = L/λ is therefore compared with the mean of the
Kaplan-Meier curve. Where they differ the flow is changing, or openings or ends are missing in the
data: a hint where to look, and not a figure. What is missing now as it was before is missing from
both, and is not seen. As means of durations are never shown (1.10), it is told in numbers of open
items.

Time here is calendar time from the opening to the end that holds, resolved or withdrawn, with
everything in between: what is open is counted by that clock.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from metrics import words
from metrics.columns import ITEMS
from metrics.evaluating import epoch
from metrics.measure import Agreeing, Hint, Reader, Slice
from metrics.rows import Rows
from metrics.survival import kaplan_meier

#: The two differ where one is more than so many times the other.
APART = 2.0
#: Items opened in the period from which on it is looked at: of so few, with times as skewed as a
#: lognormal of sigma 1.5, chance alone takes fewer than one in twenty that far (the tests try it).
FEWEST = 30
#: The curve has to come down this far: beyond the longest time seen it says nothing, and its mean
#: is a restricted one, of the time up to there.
LEFT = 0.1


def by_littles_law(cut: Slice, reader: Reader) -> Hint:
    """The hint for what is open of a slice; asked once."""
    return reader.once(("Little's law", cut), lambda: _of_slice(cut, reader))


def _of_slice(cut: Slice, reader: Reader) -> Hint:
    if cut.severity is None:
        return _unknown("it is told of one severity only, as times are never pooled over several")
    return compared(
        reader.facts(cut).rows(ITEMS),
        lambda: reader.there_before(cut),
        start=epoch(reader.midnight(cut.start)),
        end=epoch(reader.end_of(cut)),
        as_of=epoch(reader.as_of),
    )


def compared(opened: Rows, before: Callable[[], Rows], *, start: int, end: int, as_of: int) -> Hint:
    """Compare L/λ between two moments with the mean of the curve of what was opened then.

    `opened` are items opened from `start` on, `before` those opened earlier and not over then; it
    is asked only where there is something to compare. Moments are UTC epoch seconds. What was
    opened is watched until `as_of`.
    """
    opened = opened[opened["at"] < end]
    number = len(opened)
    if number < FEWEST:
        return _unknown(f"{number} opened in this period are too few, it takes {FEWEST}")
    over = (opened["ended"] > 0) & (opened["ended"] <= as_of)
    times = np.maximum(np.where(over, opened["ended"], as_of) - opened["at"], 0)
    curve = kaplan_meier(times.astype(np.float64), over)
    left, mean = curve.at(curve.longest), curve.restricted_mean()
    if left > LEFT:
        return _unknown(
            f"{words.percent(left)} of what was opened in this period stays open for longer than it"
            " was watched, so how long on average is not known"
        )
    if not mean:
        return _unknown("everything opened in this period was over at once")
    there = _seconds_there(opened, opened["at"], end)
    earlier = before()
    there += _seconds_there(earlier, np.full(len(earlier), start), end)
    return _told(there / (end - start), number * mean / (end - start))


def _seconds_there(rows: Rows, since: NDArray[np.int64], end: int) -> int:
    """Seconds, added up, for which items were open since an instant each, until `end` at most."""
    until = np.where(rows["ended"] > 0, np.minimum(rows["ended"], end), end)
    return int(np.maximum(until - since, 0).sum())


def _told(were: float, expected: float) -> Hint:
    """How many were open on average, and how many by Little's law would have been."""
    ratio = were / expected
    said = (
        f"On average {words.rounded(were, 1)} were open, and by Little's law"
        f" {words.rounded(expected, 1)} would have been, from how many came in and the mean of"
        " their curve (a restricted mean, up to the longest time seen)"
    )
    if 1 / APART <= ratio <= APART:
        return Hint(Agreeing.AGREES, ratio, f"{said}.")
    why = (
        "older ones stay open, or are over and the data do not say so"
        if ratio > 1
        else "more comes in than before, or older ones are missing in the data"
    )
    return Hint(Agreeing.DIFFERS, ratio, f"{said}: {why}.")


def _unknown(why: str) -> Hint:
    return Hint(Agreeing.UNKNOWN, None, f"Unknown: {why}.")
