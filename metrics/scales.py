"""The rating scales and what counts as good on each: one list (METRICS.md M01, M03-M05).

Scales are never pooled: a share belongs to the scale it was asked on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metrics.intervals import NetPromoter
from metrics.standing import Direction


@dataclass(frozen=True, slots=True)
class Scale:
    """A rating scale. Values are the raw ones of the source."""

    key: str
    name: str
    satisfied: frozenset[int]
    neutral: frozenset[int]
    dissatisfied: frozenset[int]
    #: Smallest and largest value where a mean makes sense; None on a two-point scale.
    bounds: tuple[int, int] | None

    @property
    def values(self) -> frozenset[int]:
        """Every value that can be given."""
        return self.satisfied | self.neutral | self.dissatisfied

    def pomp(self, mean: float) -> float:
        """Percent of the maximum possible: a scale-free form of a mean, for orientation only."""
        if self.bounds is None:
            raise ValueError(f"A mean is not defined on the scale {self.name}.")
        low, high = self.bounds
        return 100 * (mean - low) / (high - low)


def _numbered(key: str, name: str, satisfied: int, dissatisfied: int, top: int) -> Scale:
    values = range(1, top + 1)
    return Scale(
        key,
        name,
        satisfied=frozenset(v for v in values if v >= satisfied),
        neutral=frozenset(v for v in values if dissatisfied < v < satisfied),
        dissatisfied=frozenset(v for v in values if v <= dissatisfied),
        bounds=(1, top),
    )


SCALES: Mapping[str, Scale] = {
    scale.key: scale
    for scale in (
        _numbered("csat_1_5", "1 to 5", satisfied=4, dissatisfied=2, top=5),
        _numbered("csat_1_7", "1 to 7", satisfied=6, dissatisfied=3, top=7),
        _numbered("csat_1_3", "1 to 3", satisfied=3, dissatisfied=1, top=3),
        Scale("two_point", "good or bad", frozenset({1}), frozenset(), frozenset({0}), None),
        Scale(
            "freshdesk",
            "Freshdesk",
            frozenset({101, 102, 103}),
            frozenset({100}),
            frozenset({-101, -102, -103}),
            None,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class EffortWording:
    """A question about effort; its direction belongs to its wording (METRICS.md M04)."""

    key: str
    name: str
    #: Answers that say it was easy.
    easy: frozenset[int]
    bounds: tuple[int, int]
    #: Which way the mean is good.
    better: Direction

    def ease_pomp(self, mean: float) -> float:
        """Percent of the greatest ease, whichever way the wording runs."""
        low, high = self.bounds
        return 100 * (mean - low if self.better is Direction.HIGHER else high - mean) / (high - low)


EFFORT_WORDINGS: Mapping[str, EffortWording] = {
    wording.key: wording
    for wording in (
        EffortWording("ease", "made it easy", frozenset({5, 6, 7}), (1, 7), Direction.HIGHER),
        EffortWording("effort", "how much effort", frozenset({1, 2}), (1, 5), Direction.LOWER),
    )
}


def net_promoter(ratings: Iterable[int]) -> NetPromoter:
    """Count promoters (9, 10), passives (7, 8) and detractors (0-6) (METRICS.md M05).

    Raises ValueError for anything but a whole number from 0 to 10.
    """
    given = list(ratings)
    for rating in given:
        if isinstance(rating, bool) or rating not in range(11):
            raise ValueError(f"{rating!r} is no whole number from 0 to 10.")
    promoters = sum(rating >= 9 for rating in given)
    detractors = sum(rating <= 6 for rating in given)
    return NetPromoter(promoters, len(given) - promoters - detractors, detractors)
