"""How far a figure may be trusted, and how it stands against a target (METRICS.md 1.12, 1.13)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from metrics.intervals import Interval, Z
from metrics.small_numbers import SMALLEST


class Reliability(StrEnum):
    """The states of 1.12, worst first as they are asked."""

    SUPPRESSED = "suppressed"
    RATE_UNKNOWN = "rate_unknown"
    UNRELIABLE = "unreliable"
    LIMITED_HIGH_VOLUME = "limited_high_volume"
    LIMITED_LOW_VOLUME = "limited_low_volume"
    RELIABLE = "reliable"


class Status(StrEnum):
    """What a period tells about the next one."""

    MET = "met"
    NOT_MET = "not_met"
    CANNOT_TELL_YET = "cannot_tell_yet"


class Direction(StrEnum):
    """Which way is good."""

    HIGHER = "higher"
    LOWER = "lower"
    NONE = "none"


#: Figures of these states never decide anything.
UNDECIDABLE = frozenset({Reliability.SUPPRESSED, Reliability.RATE_UNKNOWN, Reliability.UNRELIABLE})
#: How exact a survey figure has to be, by the organisation's profile (METRICS.md 1.12, 1.16).
PRECISION = {"small": 0.15, "standard": 0.10, "large": 0.10}
#: Below the first response rate a figure is unreliable, below the second it needs enough answers.
LOWEST_RATE, LOW_RATE = 0.10, 0.20
FRAGILE_DROP = 0.05
NEGATIVES = 5


def answers_required(sent: int, precision: float = PRECISION["standard"]) -> int:
    """Answers that give +-precision for a population of that many invitations."""
    n0 = Z * Z * 0.25 / precision**2
    return ceil(n0 / (1 + (n0 - 1) / sent)) if sent else 0


def reliability(
    sent: int | None,
    answered: int,
    precision: float = PRECISION["standard"],
    *,
    lowest_rate: float = LOWEST_RATE,
    low_rate: float = LOW_RATE,
) -> Reliability:
    """The state of a survey figure; `sent` is None where nobody knows who was asked.

    Answers without a single invitation are of unknown rate, too.
    """
    if answered < SMALLEST:
        return Reliability.SUPPRESSED
    if not sent:
        return Reliability.RATE_UNKNOWN
    rate, required = answered / sent, answers_required(sent, precision)
    if rate < lowest_rate or (rate < low_rate and answered < required):
        return Reliability.UNRELIABLE
    if rate < low_rate:
        return Reliability.LIMITED_HIGH_VOLUME
    return Reliability.RELIABLE if answered >= required else Reliability.LIMITED_LOW_VOLUME


def five_negatives_drop(satisfied: int, answered: int, more: int = NEGATIVES) -> float:
    """By how much the share would fall if five more people answered, all dissatisfied.

    Where nobody answered there is no share to fall: 0.
    """
    if not answered:
        return 0.0
    return satisfied / answered - satisfied / (answered + more)


def is_fragile(
    satisfied: int, answered: int, drop: float = FRAGILE_DROP, more: int = NEGATIVES
) -> bool:
    """Whether five dissatisfied answers more would move the share by more than 5 points."""
    return five_negatives_drop(satisfied, answered, more) > drop


@dataclass(frozen=True, slots=True)
class Silent:
    """What the silent could change: bounds, and the share they would need for a target."""

    lower: float
    upper: float
    needed: float | None


def silent(sent: int, answered: int, satisfied: int, target: float | None = None) -> Silent:
    """Worst-case bounds if everybody had answered; `needed` is None where nobody was silent.

    Where nobody was asked everything is possible. A need below 0 or above 1 is told as it is: the
    target is then safe, or out of reach, whatever the silent think.
    """
    if not sent:
        return Silent(0.0, 1.0, None)
    quiet = sent - answered
    needed = (target * sent - satisfied) / quiet if target is not None and quiet else None
    return Silent(satisfied / sent, (satisfied + quiet) / sent, needed)


def status(
    interval: Interval, target: float, direction: Direction, state: Reliability | None = None
) -> Status:
    """Met, not met, or cannot tell yet; `state` is None for figures over all tickets."""
    if state in UNDECIDABLE:
        return Status.CANNOT_TELL_YET
    good, bad = interval.lower, interval.upper
    if direction is Direction.LOWER:
        good = None if interval.upper is None else -interval.upper
        bad = None if interval.lower is None else -interval.lower
        target = -target
    if good is not None and good >= target:
        return Status.MET
    if bad is not None and bad < target:
        return Status.NOT_MET
    return Status.CANNOT_TELL_YET


def kept(value: float, target: float, direction: Direction) -> bool:
    """Whether the observed value of a closed, mature period is on the good side of the target."""
    return value <= target if direction is Direction.LOWER else value >= target


@dataclass(frozen=True, slots=True)
class ResponseRates:
    """Who answered, of whom (METRICS.md M06, M07; AAPOR names in brackets). Counts."""

    eligible: int
    sent: int
    bounced: int
    #: Every question answered.
    complete: int
    #: The core question answered, complete ones included.
    answered: int

    @property
    def response_rate(self) -> float:
        """Answered of sent, bounced ones included [RR2]."""
        return self.answered / self.sent

    @property
    def complete_rate(self) -> float:
        """Complete of sent [RR1]."""
        return self.complete / self.sent

    @property
    def participation_rate(self) -> float:
        """Answered of delivered."""
        return self.answered / (self.sent - self.bounced)

    @property
    def coverage(self) -> float:
        """Sent of eligible."""
        return self.sent / self.eligible

    @property
    def effective_coverage(self) -> float:
        """Answered of eligible."""
        return self.answered / self.eligible
