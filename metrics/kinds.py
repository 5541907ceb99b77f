"""What an estimate is: a share, a duration, a mean or a level, with what must stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from metrics.intervals import Interval
from metrics.standing import Reliability


class Unit(StrEnum):
    """What a value is counted in."""

    SHARE = "share"
    SECONDS = "seconds"
    SCALE_POINTS = "scale_points"
    #: -100 to 100.
    NET_POINTS = "net_points"
    #: One number over another; may exceed 1.
    RATIO = "ratio"
    DAYS = "days"
    COUNT = "count"


NO_INTERVAL = Interval(None, None)


@dataclass(frozen=True, slots=True)
class SoFar:
    """What an open period says at once: so many of so many, or a value of so many answers."""

    #: None where there is none: of a mean, or of a score.
    numerator: int | None
    denominator: int
    #: The mean or score, in the view's unit; a share is its numerator of its denominator.
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The outcome of one evaluation, before anybody decides how much of it may be shown.

    `value` is in the view's unit; None together with `why` where it cannot be computed.
    `denominator` is the n of the figure; `numerator` is None where there is none (a median).
    """

    value: float | None
    denominator: int
    numerator: int | None = None
    interval: Interval = NO_INTERVAL
    #: As how many answers the interval counts those of the denominator, where it is from answers:
    #: several of one person are fewer (METRICS.md 1.9).
    effective: float | None = None
    why: str = ""
    #: A duration that is not reached by the longest clock seen: "more than" this.
    more_than: float | None = None
    so_far: SoFar | None = None
    still_open: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    #: Invitations behind a survey figure; None where nobody knows, or it is no survey figure.
    sent: int | None = None
    #: Answers to those invitations where the denominator is only some of them, as of comments.
    answered: int | None = None
    reliability: Reliability | None = None
    #: Further figures of the same evaluation, by name.
    beside: Mapping[str, float | int | None] = field(default_factory=dict)


def unknown(why: str, **known: int) -> Estimate:
    """A figure that cannot be computed, and why."""
    return Estimate(None, known.get("denominator", 0), why=why, still_open=known.get("open", 0))
