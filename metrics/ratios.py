"""Ratios: shares that differ in what they leave out, and numbers that are no share at all.

Pure (METRICS.md M16, M21-M25). Each is None where there is nothing to divide by; shares are 0 to 1
and have a Wilson interval, ratios that may exceed 100 % have none.
"""

from __future__ import annotations

from dataclasses import dataclass

from metrics.intervals import Interval, wilson
from metrics.standing import Reliability

#: Below these shares of classified items a figure about them is limited, or unreliable (M25).
WELL_CLASSIFIED, HARDLY_CLASSIFIED = 0.8, 0.5


@dataclass(frozen=True, slots=True)
class Share:
    """x of n, n > 0."""

    x: int
    n: int

    @property
    def value(self) -> float:
        """0 to 1."""
        return self.x / self.n

    @property
    def interval(self) -> Interval:
        """Wilson's."""
        return wilson(self.x, self.n)


def share(x: int, n: int) -> Share | None:
    """x of n; None of nothing."""
    return Share(x, n) if n > 0 else None


def resolution_share(resolved: int, opened: int, withdrawn: int) -> Share | None:
    """Of the items opened, those resolved and not open again; withdrawn ones leave it (M21)."""
    return share(resolved, opened - withdrawn)


def throughput(resolved: int, opened: int) -> float | None:
    """Resolved in the period to opened in it; below 1 the backlog grows (M21)."""
    return resolved / opened if opened else None


def self_service_completion(completed: int, failed: int) -> Share | None:
    """Attempts that ended without us; pending ones are in neither number (M23)."""
    return share(completed, completed + failed)


def self_service_share(completed: int, assisted: int) -> Share | None:
    """Of everything people got done where they could do it themselves, what they did (M24)."""
    return share(completed, completed + assisted)


def first_contact_net(solved: int, items: int, not_solvable: int) -> Share | None:
    """First-contact resolution without the items nobody can solve at once (M16)."""
    return share(solved, items - not_solvable)


def classified_enough(
    classified: int,
    opened: int,
    *,
    hardly: float = HARDLY_CLASSIFIED,
    well: float = WELL_CLASSIFIED,
) -> Reliability:
    """How far a figure over classified items may be trusted (M25); nothing opened: suppressed."""
    if not opened:
        return Reliability.SUPPRESSED
    coverage = classified / opened
    if coverage < hardly:
        return Reliability.UNRELIABLE
    return Reliability.RELIABLE if coverage >= well else Reliability.LIMITED_LOW_VOLUME


@dataclass(frozen=True, slots=True)
class DoubleCheck:
    """A random sample labelled again: of the truly flagged, flagged; of the others, not flagged."""

    sensitivity: float
    specificity: float


def corrected(flagged: float, check: DoubleCheck) -> float | None:
    """Rogan-Gladen: the true share behind a flagged one, clipped to 0 to 1 (M25).

    None where the flag is no better than a coin (sensitivity and specificity add up to at most 1):
    then it says nothing about the truth, and the formula would turn it round.
    """
    told_apart = check.sensitivity + check.specificity - 1
    if told_apart <= 1e-12:
        return None
    return min(1.0, max(0.0, (flagged + check.specificity - 1) / told_apart))
