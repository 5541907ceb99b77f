"""The rating scales and what counts as satisfied on each: one list (METRICS.md M01, M03).

Scales are never pooled: a share belongs to the scale it was asked on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
