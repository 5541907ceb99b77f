"""Intervals and percentiles: what a figure tells about the process behind it.

Pure (METRICS.md 1.9, 1.10). Every interval is two-sided 95 %; a limit that cannot be had is None.
Proportions are 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, fsum, lgamma, log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

#: The standard normal quantile of 0.975.
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """Lower and upper limit; None where the data cannot determine one."""

    lower: float | None
    upper: float | None


def wilson(successes: float, n: float) -> Interval:
    """Score interval of one proportion, without continuity correction. `n` > 0."""
    p = successes / n
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(lower, upper)


def newcombe(x1: float, n1: float, x2: float, n2: float) -> Interval:
    """Difference p1 - p2 of independent proportions (hybrid score, Newcombe's method 10).

    Where one person gave several answers the counts are effective ones and not whole.
    """
    p1, p2 = x1 / n1, x2 / n2
    first, second = wilson(x1, n1), wilson(x2, n2)
    return mover(p1, first, p2, second)


def mover(estimate1: float, first: Interval, estimate2: float, second: Interval) -> Interval:
    """Difference of two estimates from their own intervals (square-and-add)."""
    if None in (first.lower, first.upper, second.lower, second.upper):
        return Interval(None, None)
    l1, u1, l2, u2 = first.lower, first.upper, second.lower, second.upper
    assert l1 is not None
    assert u1 is not None
    assert l2 is not None
    assert u2 is not None
    difference = estimate1 - estimate2
    return Interval(
        difference - sqrt((estimate1 - l1) ** 2 + (u2 - estimate2) ** 2),
        difference + sqrt((u1 - estimate1) ** 2 + (estimate2 - l2) ** 2),
    )


@dataclass(frozen=True, slots=True)
class Clustered:
    """A proportion whose answers come several from one person."""

    n: int
    satisfied: int
    design_effect: float
    effective_n: float
    interval: Interval


def clustered(sizes: NDArray[np.int64], satisfied: NDArray[np.int64]) -> Clustered:
    """Wilson with the effective sample size; one entry a person: answers given, of them satisfied.

    At least one answer. The displayed counts stay the real ones. With one answer a person the
    design effect is 1. Where all answers say the same, or come from one person, the formula is
    nought by nought and says nothing about how much a person's answers echo each other; each
    person then counts once, so that one person's twenty answers are not twenty people's.
    """
    n, x = int(sizes.sum()), int(satisfied.sum())
    p = x / n
    effect = design_effect(sizes, satisfied, p * (1 - p))
    effective = n / max(1.0, effect)
    return Clustered(n, x, effect, effective, wilson(p * effective, effective))


def design_effect(
    sizes: NDArray[np.int64], sums: NDArray[np.int64] | NDArray[np.float64], variance: float
) -> float:
    """How much wider answers that come several from one person make an interval, squared.

    One entry a person: answers given, and their sum; `variance` is that of one answer among all.
    """
    n, k = int(sizes.sum()), int((sizes > 0).sum())
    if k == n:
        return 1.0
    if k == 1 or variance == 0:
        return n / k
    spread = float(((sums - sums.sum() / n * sizes) ** 2).sum())
    return (k / (k - 1) * spread / n**2) / (variance / n)


def mean_interval(mean: float, sd: float, n: float, low: float, high: float) -> Interval:
    """Student t interval of a mean rating, clipped to the scale.

    `n` may be an effective number of answers; of one alone nothing can be said.
    """
    if n <= 1:
        return Interval(None, None)
    half = student_t(n - 1) * sd / sqrt(n)
    return Interval(max(low, mean - half), min(high, mean + half))


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings of one part: their mean and spread, and how many answers they count as."""

    mean: float
    #: Standard deviation; None of a single answer.
    sd: float | None
    effective_n: float


def weighted_mean(
    weights: Sequence[float], parts: Sequence[Ratings], sd: float, low: float, high: float
) -> tuple[float, Interval]:
    """Stratified mean of ratings: value and normal interval, clipped (METRICS.md 1.9, M01).

    Weights are eligible events and not all nought. `sd` is the spread of all ratings: a part with a
    single answer, or whose answers all say the same, takes it, since it shows none of its own.
    """
    shares = [weight / sum(weights) for weight in weights]
    value = fsum(w * part.mean for w, part in zip(shares, parts, strict=True))
    half = Z * sqrt(
        fsum(
            (w * (part.sd or sd)) ** 2 / part.effective_n
            for w, part in zip(shares, parts, strict=True)
        )
    )
    return value, Interval(max(low, value - half), min(high, value + half))


@dataclass(frozen=True, slots=True)
class NetPromoter:
    """A net promoter score, -100 to 100, from counts; at least one answer (METRICS.md M05).

    Effective counts are not whole: several answers of one person are fewer.
    """

    promoters: float
    passives: float
    detractors: float

    @property
    def n(self) -> float:
        """Everybody who answered."""
        return self.promoters + self.passives + self.detractors

    @property
    def score(self) -> float:
        """Promoters minus detractors, per hundred."""
        return 100 * (self.promoters - self.detractors) / self.n

    @property
    def variance(self) -> float:
        """Of one answer, as 1, 0 or -1: the two shares are not independent."""
        return _variance_of_signs(self.promoters / self.n, self.detractors / self.n)

    @property
    def adjusted(self) -> float:
        """The centre of the interval: the score with three answers added, 3/4 on either side."""
        return 100 * (self.promoters - self.detractors) / (self.n + 3)

    @property
    def adjusted_error(self) -> float:
        """The standard error of the adjusted score, in points."""
        n = self.n + 3
        spread = _variance_of_signs((self.promoters + 0.75) / n, (self.detractors + 0.75) / n)
        return 100 * sqrt(spread / n)

    @property
    def margin(self) -> float:
        """Half the width of the interval before it is clipped, in points."""
        return Z * self.adjusted_error

    @property
    def interval(self) -> Interval:
        """Adjusted Wald, clipped to the scale."""
        return Interval(
            max(-100.0, self.adjusted - self.margin), min(100.0, self.adjusted + self.margin)
        )


def net_promoter_difference(one: NetPromoter, other: NetPromoter) -> tuple[float, Interval]:
    """One adjusted score minus another, in points, with its interval (METRICS.md M05)."""
    difference = one.adjusted - other.adjusted
    half = Z * sqrt(one.adjusted_error**2 + other.adjusted_error**2)
    return difference, Interval(difference - half, difference + half)


def _variance_of_signs(up: float, down: float) -> float:
    return up + down - (up - down) ** 2


def weighted_total(
    weights: Sequence[float], successes: Sequence[float], totals: Sequence[float]
) -> tuple[float, Interval]:
    """Stratified total of shares: value and interval (METRICS.md 1.9, M01, M10).

    Weights are eligible events and not all nought; every total is positive, and not whole where
    answers of one person count as fewer. The half-widths of the
    parts are squared and added, weighted. A part's own is the normal one, z·sqrt(p(1-p)/n), so that
    the interval is the handbook's wherever every part has both satisfied and others. A part at
    nought or at all has a normal variance of nought: where everybody was satisfied the plain normal
    interval has no width and six answers would prove 100 %. Such a part adds its Wilson width
    towards the inside instead (MOVER for a sum of independent estimates).
    """
    shares = [weight / sum(weights) for weight in weights]
    rates = [x / n for x, n in zip(successes, totals, strict=True)]
    value = fsum(w * p for w, p in zip(shares, rates, strict=True))
    widths = [_widths(x, n) for x, n in zip(successes, totals, strict=True)]
    down = sqrt(fsum((w * lower) ** 2 for w, (lower, _) in zip(shares, widths, strict=True)))
    up = sqrt(fsum((w * upper) ** 2 for w, (_, upper) in zip(shares, widths, strict=True)))
    return value, Interval(max(0.0, value - down), min(1.0, value + up))


def _widths(x: float, n: float) -> tuple[float, float]:
    """How far a part's share may lie below and above what was seen."""
    p = x / n
    if 0 < x < n:
        half = Z * sqrt(p * (1 - p) / n)
        return half, half
    score = wilson(x, n)
    assert score.lower is not None
    assert score.upper is not None
    return p - score.lower, score.upper - p


def percentile(values: NDArray[np.float64], p: float) -> float:
    """Type 7: linear interpolation between order statistics, as percentile_cont. Not empty."""
    return float(np.percentile(values, 100 * p))


def order_statistic_ranks(n: int, p: float) -> tuple[int | None, int | None]:
    """1-based ranks that bound the p-quantile of n values at 95 %; None if not attainable."""
    cumulative = _binomial_cdf(n, p)
    below = np.flatnonzero(cumulative <= 0.025)
    lower = int(below[-1]) + 1 if len(below) else None
    above = np.flatnonzero(cumulative >= 0.975)
    upper = int(above[0]) + 1
    return lower, upper if upper <= n else None


def percentile_interval(values: NDArray[np.float64], p: float) -> Interval:
    """Distribution-free interval of a percentile of fully observed values."""
    ordered = np.sort(values)
    lower, upper = order_statistic_ranks(len(ordered), p)
    return Interval(
        float(ordered[lower - 1]) if lower else None, float(ordered[upper - 1]) if upper else None
    )


def answers_needed(rate: float, gap: float) -> int:
    """Answers that tell a rate from another one `gap` away; `gap` is not 0 (METRICS.md D8)."""
    return ceil(round(Z * Z * rate * (1 - rate) / gap**2, 6))


def _binomial_cdf(n: int, p: float) -> NDArray[np.float64]:
    k = np.arange(n + 1)
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    log_mass = (
        log_factorial[n]
        - log_factorial[k]
        - log_factorial[n - k]
        + k * log(p)
        + (n - k) * log(1 - p)
    )
    return np.minimum(np.cumsum(np.exp(log_mass)), 1.0)


# --- distributions, so that scipy is no dependency at run time -----------------------------------


def binomial_tail(k: int, n: int, p: float) -> float:
    """How often chance gives k or more of n, each with probability p. 0 <= k <= n, 0 < p < 1."""
    return 1.0 if k == 0 else _regularised_beta(p, k, n - k + 1)


def t_tails(t: float, degrees: float) -> float:
    """How often chance alone gives a Student's t at least as far from nought, either way."""
    square = t * t
    if square < 1:  # close to nought the other argument would be one, to the last digit
        return 1 - _regularised_beta(square / (degrees + square), 0.5, degrees / 2)
    return _regularised_beta(degrees / (degrees + square), degrees / 2, 0.5)


def student_t(degrees: float) -> float:
    """The 0.975 quantile of Student's t, by bisection on its distribution function."""
    low, high = 0.0, 20.0
    for _ in range(200):
        middle = (low + high) / 2
        if t_tails(middle, degrees) > 0.05:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=2**14)
def _regularised_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b) by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _beta_fraction(1 - x, b, a) / b
    return front * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 1000 + int(5 * sqrt(max(a, b)))):  # it converges in some sqrt(a) steps
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + numerator * d, tiny)
            c = _away_from_zero(1 + numerator / c, tiny)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return fraction


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
