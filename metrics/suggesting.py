"""Suggesting: a realistic target from where one stands, where others stand, and how mature one is.

Pure (METRICS.md D8). A suggestion is a proposal for the process owner with its inputs beside it.
Shares are 0 to 1 and suggestions whole points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor

import numpy as np

from metrics.drivers import Shrinkage
from metrics.intervals import answers_needed, percentile
from metrics.standing import Direction, Reliability, Status

#: How far to go towards the benchmark, by maturity 1 to 5.
STEPS = (0.2, 0.3, 0.4, 0.5, 0.6)
#: Periods a baseline is taken from, and the fewest that will do.
PERIODS, FEWEST_PERIODS = 6, 3
#: A quartile of fewer capabilities than this is just the best one.
SMALLEST_FIELD = 4
#: After so many in a row a longer window or a larger sample is proposed (D7).
UNDECIDED_IN_A_ROW = 3


class Source(StrEnum):
    """What a suggestion goes by."""

    BENCHMARK = "benchmark"
    OWN_CAPABILITIES = "own_capabilities"


@dataclass(frozen=True, slots=True)
class Period:
    """One complete, mature period: x of n; `reliability` is None for figures over all tickets."""

    x: int
    n: int
    reliability: Reliability | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where one stands: the shrunk share and the periods it is from."""

    value: float
    periods: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A target with everything it was made of."""

    target: float
    source: Source
    #: Before it was rounded to whole points.
    raw: float
    #: The baseline is at least as good as what it is held against: hold it.
    hold: bool
    #: It lies beyond what the process does by itself; None where no natural limit is known.
    needs_process_change: bool | None
    #: Answers that tell the target from the baseline; None where they are the same.
    answers_needed: int | None
    #: Months until so many have come; None where nobody answers or nothing is to be told.
    months_needed: int | None

    @property
    def cannot_be_judged_monthly(self) -> bool:
        """Whether a month's answers are too few to tell the target from the baseline."""
        return self.answers_needed is not None and self.months_needed != 1


def baseline(periods: Sequence[Period], shrinkage: Shrinkage) -> Baseline | None:
    """The shrunk share of the last six usable periods, oldest first; None with fewer than three."""
    usable = [
        period
        for period in periods
        if period.n and period.reliability not in {Reliability.UNRELIABLE, Reliability.SUPPRESSED}
    ][-PERIODS:]
    if len(usable) < FEWEST_PERIODS:
        return None
    x, n = sum(period.x for period in usable), sum(period.n for period in usable)
    return Baseline(shrinkage.rate(x, n), len(usable))


def upper_quartile(others: Sequence[float], better: Direction) -> float | None:
    """The value a quarter of the own capabilities reach; None with fewer than four."""
    if len(others) < SMALLEST_FIELD:
        return None
    return percentile(np.asarray(others), 0.25 if better is Direction.LOWER else 0.75)


def suggest(
    now: float,
    *,
    better: Direction,
    benchmark: float | None = None,
    maturity: int | None = None,
    own: Sequence[float] = (),
    natural_limit: float | None = None,
    answers_a_month: int = 0,
) -> Suggestion | None:
    """Suggest a target for a share that now is `now`; None where there is nothing to go by.

    With a benchmark of the same scale and definition and a `maturity` of 1 to 5: a step towards it.
    Without: the upper quartile of the `own` capabilities on the same scale. `natural_limit` is the
    limit of the process in the good direction. Raises ValueError for a maturity outside 1 to 5.
    """
    if benchmark is not None:
        if maturity is None or not 1 <= maturity <= len(STEPS):
            raise ValueError("The maturity of a process is 1 to 5.")
        source, aim = Source.BENCHMARK, benchmark
        raw = now + STEPS[maturity - 1] * (benchmark - now)
    else:
        quartile = upper_quartile(own, better)
        if quartile is None:
            return None
        source, aim, raw = Source.OWN_CAPABILITIES, quartile, quartile
    target = _whole_points(raw)
    hold = not _is_better(aim, now, better) or not _is_better(target, now, better)
    if hold:
        raw, target = now, _held(now, better)
    needed = None if hold else _needed(now, target)
    return Suggestion(
        target,
        source,
        raw,
        hold,
        None if natural_limit is None else _is_better(target, natural_limit, better),
        needed,
        ceil(needed / answers_a_month) if needed and answers_a_month > 0 else None,
    )


def _is_better(one: float, other: float, better: Direction) -> bool:
    gap = other - one if better is Direction.LOWER else one - other
    return gap > 1e-12


def _whole_points(share: float) -> float:
    """Half up, in points."""
    return floor(round(100 * share, 9) + 0.5) / 100


def _held(share: float, better: Direction) -> float:
    """Whole points on the easy side, so that holding is not improving in disguise."""
    points = round(100 * share, 9)
    return (ceil(points) if better is Direction.LOWER else floor(points)) / 100


def _needed(now: float, target: float) -> int:
    """z²·t(1-t)/(t-b)²; a target of nought or all has no spread, the baseline's is taken."""
    spread = target if 0 < target < 1 else now
    return max(1, answers_needed(spread, target - now))


def answers_to_settle(value: float, target: float, so_far: int) -> int | None:
    """How many more answers would settle a status if their share stayed as it is (D7).

    The spread is the target's, as in D8: Wilson's limit reaches a target exactly when
    n = z²·t(1-t)/(t-p)². None where the share stands on the target, or the target is nought or all,
    which no number of answers proves. At least one: what is there did not settle it.
    """
    if abs(value - target) <= 1e-12 or not 0 < target < 1:
        return None
    return max(1, answers_needed(target, target - value) - so_far)


def needs_more_data(statuses: Sequence[Status]) -> bool:
    """Whether the last three periods, oldest first, could all not tell yet (METRICS.md D7)."""
    last = statuses[-UNDECIDED_IN_A_ROW:]
    return len(last) == UNDECIDED_IN_A_ROW and set(last) == {Status.CANNOT_TELL_YET}
