"""Comparing: is one group different from another, and what of a change is only a change of mix.

Pure (METRICS.md D2, D3, D5, D9). Differences of shares stand in intervals.py; here are the tests
beside them, the correction for asking many questions at once, the words for what came of it, and
the decomposition of a change. What an improvement action did stands in improving.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import erfc, fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from metrics.intervals import Interval, mover, newcombe
from metrics.small_numbers import OTHERS, SMALLEST
from metrics.standing import Direction, Reliability
from metrics.survival import Curve, kaplan_meier

#: What each side of a comparison needs.
SMALLEST_SIDE = 10
#: Exploring asks for the false discovery rate, questions declared beforehand for the error of any.
DISCOVERY_RATE, FAMILY_ERROR, MOST_DECLARED = 0.10, 0.05, 5
#: Effects smaller than this are rounding.
_ROUNDING = 1e-12


class NothingToCompare(ValueError):
    """A period without a single unit was to be compared."""


class TooManyDeclared(ValueError):
    """More than five comparisons were declared beforehand: that is exploring."""


@dataclass(frozen=True, slots=True)
class ChiSquared:
    """A chi-squared statistic of one degree of freedom, and how often chance alone exceeds it."""

    chi2: float
    p: float
    #: What the first group had beyond what it would have if both were alike: which way it differs.
    excess: float = 0.0


def _of_one_degree(chi2: float, excess: float = 0.0) -> ChiSquared:
    return ChiSquared(chi2, erfc(sqrt(chi2 / 2)), excess)


def n_minus_1(x1: float, n1: float, x2: float, n2: float) -> ChiSquared:
    """N-1 chi-squared of two independent shares x1/n1 and x2/n2; n1, n2 > 0.

    Where one person gave several answers the counts are effective ones and not whole.
    Where everybody or nobody did, the shares are the same and nothing speaks against that: p = 1.
    """
    n, x = n1 + n2, x1 + x2
    if x in (0, n):
        return _of_one_degree(0.0)
    crossed = x1 * (n2 - x2) - x2 * (n1 - x1)
    return _of_one_degree((n - 1) * crossed**2 / (n1 * n2 * x * (n - x)))


@dataclass(frozen=True, slots=True)
class Durations:
    """Observed times of a group and whether each ended in the event; shapes (n,), (n,)."""

    times: NDArray[np.float64]
    happened: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """How many there are, open ones included."""
        return len(self.times)

    @property
    def curve(self) -> Curve:
        """Their Kaplan-Meier curve."""
        return kaplan_meier(self.times, self.happened)

    @property
    def why_not(self) -> str:
        """Why this side cannot be compared; empty if it can."""
        return f"fewer than {SMALLEST_SIDE}" if self.n < SMALLEST_SIDE else ""

    def against(self, other: Durations) -> Difference:
        """Log-rank, and the difference of the medians; it has no interval, each median has one.

        Longer or shorter goes by the whole course: fewer ends than expected take longer.
        """
        tested = log_rank(self, other)
        mine, theirs = self.curve.quantile(0.5), other.curve.quantile(0.5)
        difference = None if mine is None or theirs is None else mine - theirs
        return Difference(difference, None, tested.p, tested.excess < 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """One side less the other, before anything is corrected for asking much."""

    #: None where a median is not reached.
    value: float | None
    interval: Interval | None
    p: float
    #: Whether the first side is the higher one, or takes longer.
    higher: bool


def log_rank(one: Durations, other: Durations) -> ChiSquared:
    """Log-rank test of two groups' durations, with what is still open censored.

    Where no event happens while both groups are at risk nothing can differ: p = 1.
    """
    everybody = Durations(
        np.concatenate((one.times, other.times)), np.concatenate((one.happened, other.happened))
    )
    at = np.unique(everybody.times[everybody.happened])
    events, at_risk = _events(everybody, at), _at_risk(everybody, at)
    mine, mine_at_risk = _events(one, at), _at_risk(one, at)
    share = mine_at_risk / at_risk
    variance = events * share * (1 - share) * (at_risk - events) / np.maximum(at_risk - 1, 1)
    if variance.sum() == 0:
        return _of_one_degree(0.0)
    excess = float((mine - events * share).sum())
    return _of_one_degree(excess**2 / float(variance.sum()), excess)


def _events(group: Durations, at: NDArray[np.float64]) -> NDArray[np.int64]:
    ended = np.sort(group.times[group.happened])
    return np.searchsorted(ended, at, side="right") - np.searchsorted(ended, at, side="left")


def _at_risk(group: Durations, at: NDArray[np.float64]) -> NDArray[np.int64]:
    return len(group.times) - np.searchsorted(np.sort(group.times), at, side="left")


def mid_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: those <= q pass at false discovery rate q."""
    ordered, order = _ordered(p)
    scaled = ordered * len(ordered) / np.arange(1, len(ordered) + 1)
    from_the_end = np.minimum.accumulate(scaled[::-1])[::-1]
    return _restored(from_the_end, order)


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: those <= alpha pass at family-wise error alpha."""
    ordered, order = _ordered(p)
    scaled = ordered * np.arange(len(ordered), 0, -1)
    return _restored(np.maximum.accumulate(scaled), order)


def _ordered(p: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], order


def _restored(adjusted: NDArray[np.float64], order: NDArray[np.int64]) -> list[float]:
    restored = np.empty_like(adjusted)
    restored[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in restored]


# --- a family of comparisons ---------------------------------------------------------------------


def family(
    p: Sequence[float],
    *,
    declared: bool = False,
    discovery_rate: float = DISCOVERY_RATE,
    declared_level: float = FAMILY_ERROR,
) -> list[tuple[float, bool]]:
    """Adjusted p-value and whether it passes, for all comparisons of one page or report.

    Exploring: Benjamini-Hochberg at 0.10. Up to five `declared` beforehand: Holm at 0.05.
    """
    if declared and len(p) > MOST_DECLARED:
        raise TooManyDeclared(f"{len(p)} comparisons were declared; at most {MOST_DECLARED} are.")
    adjusted, limit = (
        (holm(p), declared_level) if declared else (benjamini_hochberg(p), discovery_rate)
    )
    return [(value, value <= limit) for value in adjusted]


class Wording(StrEnum):
    """How one side stands to the other; never "the same"."""

    HIGHER = "higher"
    LOWER = "lower"
    NO_CLEAR_DIFFERENCE = "no clear difference"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Side:
    """Satisfied of answered on one side; `reliability` is None for figures over all tickets."""

    x: int
    n: int
    reliability: Reliability | None = None
    #: Why the figure cannot be computed there; empty where it can.
    unknown: str = ""
    #: The scale of the answers; empty for figures over all tickets, and without an answer.
    scale: str = ""
    #: As how many answers those of this side count, where one person gave several; None: as all.
    effective: float | None = None

    @property
    def why_not(self) -> str:
        """Why this side cannot be compared; empty if it can."""
        if self.unknown:
            return self.unknown
        if self.n < SMALLEST_SIDE:
            return f"fewer than {SMALLEST_SIDE}"
        return str(self.reliability) if self.reliability is Reliability.UNRELIABLE else ""

    @property
    def counted(self) -> tuple[float, float]:
        """Satisfied of answered as the interval counts them (METRICS.md 1.9)."""
        if self.effective is None:
            return self.x, self.n
        return self.x / self.n * self.effective, self.effective

    def against(self, other: Side) -> Difference:
        """N-1 chi-squared, and the difference with Newcombe's interval."""
        value = self.x / self.n - other.x / other.n
        both = *self.counted, *other.counted
        return Difference(value, newcombe(*both), n_minus_1(*both).p, value > 0)


def other_scale(one: object, other: object) -> str:
    """Why two sides are of two scales, which are never told across (METRICS.md M03); else empty."""
    if isinstance(one, Side) and isinstance(other, Side):
        scales = {one.scale, other.scale} - {""}
        if len(scales) > 1:
            return f"the answers came on two scales, {' and '.join(sorted(scales))}"
    return ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One side against another, with what may be said of it; figures None if not compared."""

    wording: Wording
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    adjusted_p: float | None = None
    why_not: str = ""


def compare[Key: Hashable](
    pairs: Mapping[Key, tuple[Side, Side] | tuple[Durations, Durations]],
    *,
    declared: bool = False,
    discovery_rate: float = DISCOVERY_RATE,
    declared_level: float = FAMILY_ERROR,
) -> dict[Key, Comparison]:
    """Compare the first side of each pair with the second, as one family (METRICS.md D2, D9).

    The interval is shown in any case; the words follow the corrected test.
    """
    why_not = {
        name: one.why_not or other.why_not or other_scale(one, other)
        for name, (one, other) in pairs.items()
    }
    asked = [name for name in pairs if not why_not[name]]
    found = [_difference(*pairs[name]) for name in asked]
    corrected = family(
        [one.p for one in found],
        declared=declared,
        discovery_rate=discovery_rate,
        declared_level=declared_level,
    )
    told = {
        name: _worded(difference, *adjusted)
        for name, difference, adjusted in zip(asked, found, corrected, strict=True)
    }
    return {
        name: told.get(name, Comparison(Wording.NOT_COMPARED, why_not=why_not[name]))
        for name in pairs
    }


def _difference(one: Side | Durations, other: Side | Durations) -> Difference:
    if isinstance(one, Side) and isinstance(other, Side):
        return one.against(other)
    assert isinstance(one, Durations)
    assert isinstance(other, Durations)
    return one.against(other)


def _worded(found: Difference, adjusted: float, passes: bool) -> Comparison:
    wording = Wording.HIGHER if found.higher else Wording.LOWER
    return Comparison(
        wording if passes else Wording.NO_CLEAR_DIFFERENCE,
        found.value,
        found.interval,
        found.p,
        adjusted,
    )


# --- a change, and its mix -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a slice in two periods: how many did, of how many."""

    x_before: int
    n_before: int
    x_after: int
    n_after: int
    #: As how many answers they count, where one person gave several; None: as all.
    effective_before: float | None = None
    effective_after: float | None = None


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A change of a share, as changes of the parts' own shares and of their weights."""

    before: float
    after: float
    #: By part; the sums are the rate effect and the mix effect and add up to the change.
    rate_by_part: tuple[float, ...]
    mix_by_part: tuple[float, ...]

    @property
    def change(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def rate_effect(self) -> float:
        """What the parts' own changes did."""
        return fsum(self.rate_by_part)

    @property
    def mix_effect(self) -> float:
        """What growing and shrinking parts did."""
        return fsum(self.mix_by_part)

    @property
    def is_mostly_mix(self) -> bool:
        """Whether a page leads with "mostly a change of mix": it did more than the rates did."""
        return abs(self.mix_effect) > abs(self.rate_effect) + _ROUNDING


def decompose(parts: Sequence[Part]) -> Decomposition:
    """Split a change of a total share after Kitagawa (METRICS.md D3).

    A part that is there in one period only has no rate of its own in the other; its coming or going
    is a change of mix. Raises NothingToCompare where a period is empty. Join small parts first
    (`joined_small`).
    """
    n_before, n_after = sum(part.n_before for part in parts), sum(part.n_after for part in parts)
    if not n_before or not n_after:
        raise NothingToCompare("A period without a single unit has no share to compare.")
    rate, mix = [], []
    for part in parts:
        rates = _rates(part)
        weights = part.n_before / n_before, part.n_after / n_after
        rate.append(sum(weights) / 2 * (rates[1] - rates[0]))
        mix.append(sum(rates) / 2 * (weights[1] - weights[0]))
    return Decomposition(
        before=sum(part.x_before for part in parts) / n_before,
        after=sum(part.x_after for part in parts) / n_after,
        rate_by_part=tuple(rate),
        mix_by_part=tuple(mix),
    )


def _rates(part: Part) -> tuple[float, float]:
    if not part.n_before and not part.n_after:
        return 0.0, 0.0
    before = part.x_before / part.n_before if part.n_before else part.x_after / part.n_after
    after = part.x_after / part.n_after if part.n_after else before
    return before, after


def joined_small(parts: Mapping[str, Part], smallest: int = SMALLEST) -> dict[str, Part]:
    """The parts with at least 5 in both periods, and the rest as "others" (METRICS.md D3)."""
    large = {name: part for name, part in parts.items() if _n(part) >= smallest}
    small = [part for part in parts.values() if _n(part) < smallest]
    if not small:
        return large
    others = Part(
        sum(part.x_before for part in small),
        sum(part.n_before for part in small),
        sum(part.x_after for part in small),
        sum(part.n_after for part in small),
    )
    return {**large, OTHERS: others}


def _n(part: Part) -> int:
    return min(part.n_before, part.n_after)


class Change(StrEnum):
    """How a period stands to the one before, in words."""

    IMPROVED = "improved"
    WORSE = "worse"
    ROSE = "rose"
    FELL = "fell"
    NO_CLEAR_CHANGE = "no clear change"


def change_in_words(difference: Interval, better: Direction) -> Change:
    """The word for after minus before; a figure without a good direction rose or fell."""
    if difference.lower is not None and difference.lower > 0:
        up = True
    elif difference.upper is not None and difference.upper < 0:
        up = False
    else:
        return Change.NO_CLEAR_CHANGE
    if better is Direction.NONE:
        return Change.ROSE if up else Change.FELL
    return Change.IMPROVED if up == (better is Direction.HIGHER) else Change.WORSE


def change(part: Part) -> tuple[float, Interval]:
    """A share after minus before, with its Newcombe interval; both totals > 0."""
    after = Side(part.x_after, part.n_after, effective=part.effective_after)
    before = Side(part.x_before, part.n_before, effective=part.effective_before)
    found = after.against(before)
    assert found.value is not None
    assert found.interval is not None
    return found.value, found.interval


def difference_of_changes(action: Part, comparison: Part) -> tuple[float, Interval]:
    """The change of one slice minus that of another, with its interval (METRICS.md D5).

    Square-and-add (MOVER) on the two Newcombe intervals.
    """
    (acted, of_action), (compared, of_comparison) = change(action), change(comparison)
    return acted - compared, mover(acted, of_action, compared, of_comparison)
