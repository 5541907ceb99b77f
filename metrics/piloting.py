"""Piloting: does a new survey measure what matters here, after its 60 days?

Pure (METRICS.md D6). The evidence is at the item: were people whose resolution failed less
satisfied? Eight weekly points carry no decision; their correlation may only speak against one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

import numpy as np

from metrics.comparing import Side, mid_ranks
from metrics.intervals import Interval
from metrics.small_numbers import SMALLEST
from metrics.standing import Reliability

#: An upper limit below this means that satisfaction does not react to failed fixes.
SMALLEST_REACTION = 0.05
#: A weekly correlation above this contradicts: satisfaction would rise with reopening.
LARGEST_CORRELATION = 0.3
LAGS = (0, 1, 2)
#: Days of a pilot, and of each extension.
DAYS, MORE_DAYS = 60, 30
MOST_EXTENSIONS = 2


class Verdict(StrEnum):
    """What becomes of a pilot."""

    PASSES = "pass"
    FAILS = "fail"
    EXTEND = "extend"
    #: Extended twice and still not clear: lead and process owner choose, with a reason on record.
    CHOOSE = "choose"


@dataclass(frozen=True, slots=True)
class Enough:
    """Answers a pilot needs, of them on reopened items; a small organisation needs fewer (1.16)."""

    answers: int = 30
    on_reopened: int = 8


STANDARD, SMALL = Enough(), Enough(20, 4)


@dataclass(frozen=True, slots=True)
class Answers:
    """Satisfied of answered, mature resolutions only."""

    satisfied: int
    n: int
    #: As how many answers they count, where one person gave several; None: as all.
    effective: float | None = None


@dataclass(frozen=True, slots=True)
class Pilot:
    """What a pilot showed; shares 0 to 1."""

    verdict: Verdict
    #: Satisfied where the resolution held minus satisfied where it was reopened.
    difference: float | None
    interval: Interval | None
    #: Spearman's rho of weekly satisfaction with the reopen rate so many weeks later.
    correlations: tuple[float | None, ...]
    #: What keeps it from passing.
    reasons: tuple[str, ...]


def judge(
    held: Answers,
    reopened: Answers,
    *,
    reliability: Reliability,
    weekly_satisfied: Sequence[float | None],
    weekly_reopened: Sequence[float | None],
    enough: Enough = STANDARD,
    extensions: int = 0,
) -> Pilot:
    """Judge a pilot. The weekly series are of the same weeks, None where nothing is counted.

    `extensions` were granted already. Where both hold, proven but proven smaller than five points,
    the pilot fails. An unreliable figure decides nothing (1.12), so it neither passes nor fails.
    """
    difference, interval = _difference(held, reopened)
    correlations = tuple(lagged(weekly_satisfied, weekly_reopened, lag) for lag in LAGS)
    missing = _missing(held, reopened, reliability, enough)
    reasons = missing + _doubts(interval, correlations[0])
    reacts_not = interval is not None and _below(interval.upper, SMALLEST_REACTION)
    if not missing and reacts_not:
        verdict = Verdict.FAILS
    elif not reasons:
        verdict = Verdict.PASSES
    else:
        verdict = Verdict.EXTEND if extensions < MOST_EXTENSIONS else Verdict.CHOOSE
    return Pilot(verdict, difference, interval, correlations, tuple(reasons))


def _difference(held: Answers, reopened: Answers) -> tuple[float | None, Interval | None]:
    if not held.n or not reopened.n:
        return None, None
    sides = [Side(one.satisfied, one.n, effective=one.effective) for one in (held, reopened)]
    found = sides[0].against(sides[1])
    return found.value, found.interval


def _missing(
    held: Answers, reopened: Answers, reliability: Reliability, enough: Enough
) -> list[str]:
    answers, reasons = held.n + reopened.n, []
    if answers < enough.answers:
        reasons.append(f"{answers} of {enough.answers} answers")
    if reopened.n < enough.on_reopened:
        there = reopened.n if reopened.n >= SMALLEST else f"fewer than {SMALLEST}"
        reasons.append(f"{there} of {enough.on_reopened} answers on reopened items")
    if reliability in {Reliability.UNRELIABLE, Reliability.SUPPRESSED}:
        reasons.append("too few of those asked answered")
    return reasons


def _doubts(interval: Interval | None, same_week: float | None) -> list[str]:
    reasons = []
    if interval is None or interval.lower is None or interval.lower <= 0:
        reasons.append("it is not proven that reopening lowers satisfaction")
    if same_week is None:
        reasons.append("the weekly series are too short or do not vary")
    elif same_week > LARGEST_CORRELATION:
        reasons.append("satisfaction is higher in weeks with more reopening")
    return reasons


def _below(limit: float | None, level: float) -> bool:
    return limit is not None and limit < level


def lagged(
    earlier: Sequence[float | None], later: Sequence[float | None], lag: int
) -> float | None:
    """Spearman's rho of one weekly series with another `lag` weeks later, where both are known."""
    both = [
        (one, other)
        for one, other in zip(earlier, later[lag:], strict=False)
        if one is not None and other is not None
    ]
    return spearman([one for one, _ in both], [other for _, other in both])


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Rank correlation, ties sharing ranks; None below three points or where one never varies."""
    if len(one) < 3:
        return None
    x, y = (mid_ranks(np.asarray(values, dtype=np.float64)) for values in (one, other))
    x, y = x - x.mean(), y - y.mean()
    spread = float((x * x).sum()) * float((y * y).sum())
    if spread == 0:
        return None
    return max(-1.0, min(1.0, float((x * y).sum()) / sqrt(spread)))
