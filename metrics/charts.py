"""Charts: what a series usually does, and which of its points ask for a look (XmR, p-prime).

Pure (METRICS.md D4). Limits come from the first points of a stretch and stay where they are until
somebody breaks the series with a reason; a signal opens a question and gives no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import fsum, inf, sqrt

#: Points the limits are taken from; with fewer than the second number there are none.
BASELINE, FEWEST = 12, 8
#: A share of fewer than this is not plotted.
PLOTTED_FROM = 10
RUN = 8
#: Wheeler's rounded constants of the mean moving range.
_LIMITS, _RANGES, _SPREAD = 2.66, 3.268, 1.128
#: Values that differ by less than rounding does are the same.
_SAME = 1e-12


class Rule(StrEnum):
    """Why a point asks for a look."""

    BEYOND_LIMITS = "beyond_limits"
    RUN_OF_EIGHT = "run_of_eight"
    THREE_OF_FOUR = "three_of_four"


class Method(StrEnum):
    """Where the limits come from: equal sizes, or sizes that differ more than twofold."""

    XMR = "xmr"
    P_PRIME = "p_prime"


class Every(StrEnum):
    """How long one point of a chart lasts, shortest first."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


@dataclass(frozen=True, slots=True)
class Stretch:
    """The limits of the points from one break to the next, in the unit of the values."""

    first: int
    method: Method
    mean: float
    #: Mean absolute difference of neighbours; of standardised shares under p-prime.
    mean_range: float
    #: A single step larger than this is unusual; in the unit of `mean_range`.
    range_limit: float
    #: Fewer than 12 points so far: the limits may still move.
    provisional: bool


@dataclass(frozen=True, slots=True)
class Plotted:
    """A point with the limits that hold for it; None where its stretch has too few points."""

    index: int
    value: float
    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    #: Rules whose pattern this point belongs to.
    signals: frozenset[Rule] = frozenset()
    #: Rules whose pattern is there once this point is known: what a reader of that day saw.
    completes: frozenset[Rule] = frozenset()


@dataclass(frozen=True, slots=True)
class Chart:
    """The plotted points in order, the stretches that have limits, and what is not plotted."""

    points: tuple[Plotted, ...]
    stretches: tuple[Stretch, ...]
    #: Indexes of the series that are not plotted: no value, or fewer than 10 behind it.
    left_out: tuple[int, ...]

    def signalled(self, rule: Rule) -> list[int]:
        """Indexes of the points that belong to a pattern."""
        return [point.index for point in self.points if rule in point.signals]

    @property
    def asks_now(self) -> frozenset[Rule]:
        """Rules that the latest point completes."""
        return self.points[-1].completes if self.points else frozenset()


@dataclass(frozen=True, slots=True)
class _Point:
    index: int
    value: float
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Limited:
    """A point against its limits: how far the limit is, and whether either side can signal."""

    point: _Point
    mean: float
    half: float
    bounds: tuple[float, float]

    @property
    def side(self) -> int:
        """1 above the mean, -1 below, 0 on it."""
        gap = self.point.value - self.mean
        if abs(gap) <= _SAME * max(abs(self.point.value), abs(self.mean)):
            return 0
        return 1 if gap > 0 else -1

    @property
    def clipped(self) -> bool:
        """Whether the limit on the point's side lies beyond what is possible: it cannot signal."""
        low, high = self.bounds
        reach = self.mean + self.side * self.half
        return not low - _SAME <= reach <= high + _SAME

    def beyond(self, share: float) -> bool:
        """Whether the point lies strictly further out than that share of the way to the limit."""
        gap = abs(self.point.value - self.mean) - share * self.half
        rounding = _SAME * max(abs(self.point.value), abs(self.mean))
        return self.side != 0 and not self.clipped and gap > rounding

    def plotted(self, signals: frozenset[Rule], completes: frozenset[Rule]) -> Plotted:
        low, high = self.bounds
        return Plotted(
            self.point.index,
            self.point.value,
            self.mean,
            max(low, self.mean - self.half),
            min(high, self.mean + self.half),
            signals,
            completes,
        )


def individuals(
    values: Sequence[float | None],
    *,
    breaks: Iterable[int] = (),
    baseline: int = BASELINE,
    screened: bool = False,
    bounds: tuple[float, float] = (-inf, inf),
    run: int = RUN,
) -> Chart:
    """XmR chart of a series; None where a period has no value.

    `breaks` are the indexes at which somebody rebased, or the definition, scale or trigger changed:
    limits and runs begin anew there. `screened` drops baseline steps beyond the range limit once.
    Limits are clipped to `bounds`; a clipped side cannot be crossed and rules 1 and 3 are silent
    on it.
    """
    points = [_Point(at, value) for at, value in enumerate(values) if value is not None]
    return _chart(points, len(values), breaks, baseline, screened=screened, bounds=bounds, run=run)


def shares(
    successes: Sequence[int],
    sizes: Sequence[int],
    *,
    breaks: Iterable[int] = (),
    baseline: int = BASELINE,
    screened: bool = False,
    run: int = RUN,
) -> Chart:
    """Chart of shares, 0 to 1, of mature units; shares of fewer than 10 are not plotted.

    In a stretch whose largest size exceeds twice its smallest the limits are p-prime: each point
    has its own, wider where fewer answered. Mean and spread still come from the baseline alone.
    """
    points = [
        _Point(at, x / n, n)
        for at, (x, n) in enumerate(zip(successes, sizes, strict=True))
        if n >= PLOTTED_FROM
    ]
    bounds = (0.0, 1.0)
    return _chart(points, len(sizes), breaks, baseline, screened=screened, bounds=bounds, run=run)


def every(sizes: Mapping[Every, Sequence[int]]) -> Every | None:
    """The shortest step of a chart with 10 or more in most periods; None if there is none (1.16).

    `sizes` holds the denominators of the past periods, by step.
    """
    for step in Every:
        counts = sizes.get(step, ())
        if 2 * sum(n >= PLOTTED_FROM for n in counts) > len(counts):
            return step
    return None


def _chart(
    points: list[_Point],
    length: int,
    breaks: Iterable[int],
    baseline: int,
    *,
    screened: bool,
    bounds: tuple[float, float],
    run: int,
) -> Chart:
    plotted: list[Plotted] = []
    stretches = []
    edges = [0, *sorted(set(breaks) - {0}), max(length, 1)]
    for start, end in pairwise(edges):
        part = [point for point in points if start <= point.index < end]
        if len(part) < FEWEST:
            plotted += [Plotted(point.index, point.value) for point in part]
            continue
        stretch, limited = _limits(part, baseline, screened, bounds)
        stretches.append(stretch)
        plotted += _judged(limited, run)
    shown = {point.index for point in points}
    left_out = tuple(at for at in range(length) if at not in shown)
    return Chart(tuple(plotted), tuple(stretches), left_out)


def _limits(
    points: list[_Point], baseline: int, screened: bool, bounds: tuple[float, float]
) -> tuple[Stretch, list[_Limited]]:
    first = points[:baseline]
    sizes = [point.size for point in points]
    if max(sizes) > 2 * min(sizes):
        method, mean = Method.P_PRIME, _pooled(first)
        errors = [sqrt(mean * (1 - mean) / point.size) for point in points]
        # where nobody or everybody did, every share is the mean and there is no spread
        scores = [
            (point.value - mean) / error if error else 0.0
            for point, error in zip(first, errors, strict=False)
        ]
        mean_range = _mean_range(scores, screened)
        halves = [3 * error * mean_range / _SPREAD for error in errors]
    else:
        method, mean = Method.XMR, fsum(point.value for point in first) / len(first)
        mean_range = _mean_range([point.value for point in first], screened)
        halves = [_LIMITS * mean_range] * len(points)
    stretch = Stretch(
        points[0].index, method, mean, mean_range, _RANGES * mean_range, len(first) < baseline
    )
    pairs = zip(points, halves, strict=True)
    return stretch, [_Limited(point, mean, half, bounds) for point, half in pairs]


def _pooled(points: list[_Point]) -> float:
    return sum(round(point.value * point.size) for point in points) / sum(p.size for p in points)


def _mean_range(values: list[float], screened: bool) -> float:
    steps = [abs(after - before) for before, after in pairwise(values)]
    mean = fsum(steps) / len(steps)
    if screened:
        kept = [step for step in steps if step <= _RANGES * mean]
        mean = fsum(kept) / len(kept)  # the smallest step is never beyond: some are kept
    return mean


def _judged(points: list[_Limited], run: int) -> list[Plotted]:
    signals: list[set[Rule]] = [set() for _ in points]
    completes: list[set[Rule]] = [set() for _ in points]
    for at, point in enumerate(points):
        if point.beyond(1):
            signals[at].add(Rule.BEYOND_LIMITS)
            completes[at].add(Rule.BEYOND_LIMITS)
    for rule, pattern in (*_runs(points, run), *_threes(points)):
        completes[pattern[-1]].add(rule)
        for at in pattern:
            signals[at].add(rule)
    return [
        point.plotted(frozenset(signals[at]), frozenset(completes[at]))
        for at, point in enumerate(points)
    ]


def _runs(points: list[_Limited], long: int) -> list[tuple[Rule, list[int]]]:
    """Every run long enough so far; a point on the mean neither extends nor breaks one."""
    found, run, side = [], list[int](), 0
    for at, point in enumerate(points):
        if point.side == 0:
            continue
        run = [*run, at] if point.side == side else [at]
        side = point.side
        if len(run) >= long:
            found.append((Rule.RUN_OF_EIGHT, run))
    return found


def _threes(points: list[_Limited]) -> list[tuple[Rule, list[int]]]:
    """Three of four successive points on one side, each nearer to the limit than to the mean."""
    found = []
    for at, point in enumerate(points):
        if not point.beyond(0.5):
            continue
        window = range(max(0, at - 3), at + 1)
        far = [i for i in window if points[i].side == point.side and points[i].beyond(0.5)]
        if len(far) >= 3:
            found.append((Rule.THREE_OF_FOUR, far))
    return found
