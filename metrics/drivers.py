"""Drivers: which capability or reason causes most dissatisfaction, busy ones told from bad ones.

Pure (METRICS.md M11). The rates of small groups are shrunk towards the overall rate, as far as the
groups' own differences say: three dissatisfied of five do not lead a ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from metrics.small_numbers import OTHERS, SMALLEST

#: Bounds of the strength of shrinking, in answers; and what holds for fewer than five groups.
WEAKEST, STRONGEST, FOR_FEW_GROUPS = 5.0, 500.0, 20.0
FEW_GROUPS = 5


@dataclass(frozen=True, slots=True)
class Group:
    """A capability or reason: answers, of them dissatisfied, and the eligible events behind them.

    `answered` may be 0; `dissatisfied` is at most that.
    """

    name: str
    answered: int
    dissatisfied: int
    volume: int


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """The overall rate and how many answers' weight it has in each group."""

    overall: float
    #: The groups' likeness within (intraclass correlation); None where it is not estimated.
    rho: float | None
    strength: float

    def rate(self, x: int, n: int) -> float:
        """The shrunk rate of x of n: between x/n and the overall rate; n may be 0."""
        return (x + self.strength * self.overall) / (n + self.strength)


@dataclass(frozen=True, slots=True)
class Driver:
    """A group with what it contributes. People are numbers of eligible events, not whole."""

    group: Group
    rate: float
    #: Estimated dissatisfied people: volume times rate.
    people: float
    #: Its share of all of them; None where nobody is estimated to be dissatisfied.
    contribution: float | None
    #: People more than if it were like the average event: above 0 "worse than the rest",
    #: below 0 "big because busy".
    excess: float

    @property
    def is_others(self) -> bool:
        """Whether this is the groups too small to be named."""
        return self.group.name == OTHERS


@dataclass(frozen=True, slots=True)
class Ranking:
    """Groups by contribution, largest first; "others" last, because they are no one thing."""

    shrinkage: Shrinkage
    drivers: tuple[Driver, ...]

    def by_excess(self) -> list[Driver]:
        """Groups by how much worse than the rest they are."""
        return sorted(self.drivers, key=lambda driver: (-driver.excess, driver.group.name))


def rank(groups: Sequence[Group], smallest: int = SMALLEST) -> Ranking | None:
    """Rank groups by what they contribute to dissatisfaction; None without a single answer.

    Groups with fewer than 5 answers are counted in "others" only. Reasons may be ticked several at
    a time: their contributions then refer to mentions, which the page says.
    """
    joined = joined_small(groups, smallest)
    if not sum(group.answered for group in joined):
        return None
    shrinkage = shrink(joined)
    rates = [shrinkage.rate(group.dissatisfied, group.answered) for group in joined]
    people = [group.volume * rate for group, rate in zip(joined, rates, strict=True)]
    total, volume = fsum(people), sum(group.volume for group in joined)
    mean = total / volume if volume else 0.0
    drivers = [
        Driver(group, rate, count, count / total if total else None, group.volume * (rate - mean))
        for group, rate, count in zip(joined, rates, people, strict=True)
    ]
    drivers.sort(key=lambda driver: (driver.is_others, -driver.people, driver.group.name))
    return Ranking(shrinkage, tuple(drivers))


def joined_small(groups: Sequence[Group], smallest: int = SMALLEST) -> list[Group]:
    """The groups with at least 5 answers, and the rest as one."""
    large = [group for group in groups if group.answered >= smallest]
    small = [group for group in groups if group.answered < smallest]
    if not small:
        return large
    return [
        *large,
        Group(
            OTHERS,
            answered=sum(group.answered for group in small),
            dissatisfied=sum(group.dissatisfied for group in small),
            volume=sum(group.volume for group in small),
        ),
    ]


def shrink(groups: Sequence[Group]) -> Shrinkage:
    """How strongly the groups' rates are drawn to their common one; at least one answer."""
    answered = sum(group.answered for group in groups)
    overall = sum(group.dissatisfied for group in groups) / answered
    counted = [group for group in groups if group.answered]
    if len(counted) < FEW_GROUPS:
        return Shrinkage(overall, None, FOR_FEW_GROUPS)
    rho = _likeness(counted, answered, overall)
    if rho is None or rho <= 0:
        return Shrinkage(overall, rho, STRONGEST)
    return Shrinkage(overall, rho, min(STRONGEST, max(WEAKEST, 1 / rho - 1)))


def _likeness(groups: Sequence[Group], answered: int, overall: float) -> float | None:
    """The moment estimate of the beta-binomial rho; None where nothing varies."""
    others = len(groups) - 1
    # in whole numbers as far as possible: N - sum(n²)/N cancels where one group is huge
    room = (answered**2 - sum(g.answered**2 for g in groups) - others * answered) / answered
    variance = overall * (1 - overall)
    if variance == 0 or room <= 0:
        return None
    spread = fsum(g.answered * (g.dissatisfied / g.answered - overall) ** 2 for g in groups)
    return (spread / variance - others) / room
