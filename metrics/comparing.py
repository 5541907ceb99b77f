"""Comparing: is one group different from another, and what of a change is only a change of mix.

Pure (METRICS.md D2, D3, D5). Differences of shares stand in intervals.py; here are the tests beside
them, the correction for asking many questions at once, and the decomposition of a change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from metrics.intervals import Interval, mover, newcombe


@dataclass(frozen=True, slots=True)
class ChiSquared:
    """A chi-squared statistic of one degree of freedom, and how often chance alone exceeds it."""

    chi2: float
    p: float


def _of_one_degree(chi2: float) -> ChiSquared:
    return ChiSquared(chi2, erfc(sqrt(chi2 / 2)))


def n_minus_1(x1: int, n1: int, x2: int, n2: int) -> ChiSquared:
    """N-1 chi-squared of two independent shares x1/n1 and x2/n2; n1, n2 > 0.

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
    return _of_one_degree(excess**2 / float(variance.sum()))


def _events(group: Durations, at: NDArray[np.float64]) -> NDArray[np.int64]:
    ended = np.sort(group.times[group.happened])
    return np.searchsorted(ended, at, side="right") - np.searchsorted(ended, at, side="left")


def _at_risk(group: Durations, at: NDArray[np.float64]) -> NDArray[np.int64]:
    return len(group.times) - np.searchsorted(np.sort(group.times), at, side="left")


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


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a slice in two periods: how many did, of how many; both totals > 0."""

    x_before: int
    n_before: int
    x_after: int
    n_after: int


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
        return sum(self.rate_by_part)

    @property
    def mix_effect(self) -> float:
        """What growing and shrinking parts did."""
        return sum(self.mix_by_part)

    @property
    def is_mostly_mix(self) -> bool:
        """Whether a page leads with "mostly a change of mix"."""
        opposite = self.rate_effect * self.mix_effect < 0
        return opposite or abs(self.mix_effect) > abs(self.change) / 2


def decompose(parts: Sequence[Part]) -> Decomposition:
    """Split a change of a total share after Kitagawa (METRICS.md D3). At least one part.

    Parts with fewer than 5 in a period are joined into "others" by the caller beforehand.
    """
    n_before, n_after = sum(part.n_before for part in parts), sum(part.n_after for part in parts)
    rate, mix = [], []
    for part in parts:
        rates = part.x_before / part.n_before, part.x_after / part.n_after
        weights = part.n_before / n_before, part.n_after / n_after
        rate.append(sum(weights) / 2 * (rates[1] - rates[0]))
        mix.append(sum(rates) / 2 * (weights[1] - weights[0]))
    return Decomposition(
        before=sum(part.x_before for part in parts) / n_before,
        after=sum(part.x_after for part in parts) / n_after,
        rate_by_part=tuple(rate),
        mix_by_part=tuple(mix),
    )


def change(part: Part) -> tuple[float, Interval]:
    """A share after minus before, with its Newcombe interval."""
    return (
        part.x_after / part.n_after - part.x_before / part.n_before,
        newcombe(part.x_after, part.n_after, part.x_before, part.n_before),
    )


def difference_of_changes(action: Part, comparison: Part) -> tuple[float, Interval]:
    """The change of one slice minus that of another, with its interval (METRICS.md D5).

    Square-and-add (MOVER) on the two Newcombe intervals.
    """
    (acted, of_action), (compared, of_comparison) = change(action), change(comparison)
    return acted - compared, mover(acted, of_action, compared, of_comparison)


class Effect(StrEnum):
    """What an improvement action is shown to have done."""

    IMPROVED = "improved"
    WORSE = "worse"
    CANNOT_TELL_YET = "cannot_tell_yet"


def effect_beyond_comparison(difference: Interval) -> Effect:
    """What the difference of changes proves by itself, where higher is better (METRICS.md D5)."""
    if difference.lower is not None and difference.lower > 0:
        return Effect.IMPROVED
    if difference.upper is not None and difference.upper < 0:
        return Effect.WORSE
    return Effect.CANNOT_TELL_YET


def expected_drift(observed: float, mean: float, *, between: float, within: float) -> float:
    """By how much a value picked for standing out would move towards its group's mean anyway.

    `between` and `within` are variances; their sum is positive (METRICS.md D5).
    """
    return within / (within + between) * (mean - observed)
