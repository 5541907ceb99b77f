"""Time until something happened, when for some it has not happened yet (Kaplan-Meier).

Pure (METRICS.md 1.9, 1.10, M14). Items still open are censored at their clock, never dropped: a
figure over the resolved ones alone looks best when the hard ones stay open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.intervals import Interval, Z, wilson

#: Two values of S are the same stretch if they differ by less than the rounding of a long product;
#: true steps are never smaller than one in the number of items.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """S(t) at the event times, ascending, with the log-log band. Arrays of one shape (events,)."""

    n: int
    events: int
    times: NDArray[np.float64]
    survival: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    #: The largest time seen, of event or censoring; nan if nothing was.
    longest: float

    def at(self, t: float) -> float:
        """S(t): the share not yet done at time t."""
        position = int(np.searchsorted(self.times, t, side="right")) - 1
        return float(self.survival[position]) if position >= 0 else 1.0

    def done_by(self, t: float) -> float:
        """F(t) = 1 - S(t): the share done within t."""
        return 1 - self.at(t)

    def done_by_interval(self, t: float, *, watched: int) -> Interval:
        """The log-log band of F(t); `watched` is how many were seen at least until t.

        Where nobody is done by t, or everybody, the band has no width: it is then Wilson's, of
        those who were watched, or of all who are done.
        """
        position = int(np.searchsorted(self.times, t, side="right")) - 1
        if position < 0:
            return wilson(0, watched) if watched else Interval(0.0, None)
        if self.survival[position] <= _SAME:
            return wilson(self.events, self.events)
        return Interval(1 - float(self.upper[position]), 1 - float(self.lower[position]))

    def restricted_mean(self) -> float:
        """The area under the curve up to the longest time seen; nan where nothing was.

        The mean time, each counted up to there at most: what S has left then is longer.
        """
        steps = np.diff(self.times, prepend=0.0, append=self.longest)
        return float((steps * np.append(1.0, self.survival)).sum())

    def quantile(self, p: float) -> float | None:
        """The time by which the share p is done; None if the curve never gets there.

        Where S equals 1 - p on a flat stretch, its midpoint: with nothing open that is the ordinary
        median. The last stretch reaches to the longest time seen, as in R's survfit.
        """
        reached = np.flatnonzero(self.survival <= 1 - p + _SAME)
        if len(reached) == 0:
            return None
        first = int(reached[0])
        if abs(self.survival[first] - (1 - p)) > _SAME:
            return float(self.times[first])
        flat_until = self.times[first + 1] if first + 1 < len(self.times) else self.longest
        return float((self.times[first] + flat_until) / 2)

    def quantile_interval(self, p: float) -> Interval:
        """The log-log band inverted at 1 - p; None where it is not reached."""
        return Interval(
            _first_at(self.times, self.lower, 1 - p), _first_at(self.times, self.upper, 1 - p)
        )


def kaplan_meier(times: NDArray[np.float64], happened: NDArray[np.bool_]) -> Curve:
    """Estimate the curve from observed times and whether each ended in the event.

    Shapes (n,), (n,). At a shared time events come before censorings.
    """
    n = len(times)
    if n == 0:
        empty = np.zeros(0)
        return Curve(0, 0, empty, empty, empty, empty, float("nan"))
    ordered = np.sort(times)
    event_times, deaths = np.unique(times[happened], return_counts=True)
    at_risk = n - np.searchsorted(ordered, event_times, side="left")
    survival = np.cumprod(1 - deaths / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(deaths / (at_risk * (at_risk - deaths)))
        log_survival = np.log(survival)
        spread = Z * np.sqrt(greenwood) / log_survival
        lower = survival ** np.exp(-spread)
        upper = survival ** np.exp(spread)
    gone = survival <= _SAME  # nobody is left: the band is a point
    return Curve(
        n=n,
        events=int(happened.sum()),
        times=event_times.astype(np.float64),
        survival=survival,
        lower=np.where(gone, 0.0, lower),
        upper=np.where(gone, 0.0, upper),
        longest=float(ordered[-1]),
    )


def _first_at(times: NDArray[np.float64], band: NDArray[np.float64], level: float) -> float | None:
    reached = np.flatnonzero(band <= level + _SAME)
    return float(times[reached[0]]) if len(reached) else None
