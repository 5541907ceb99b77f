"""The estimate from telemetry: what people who never answer would probably say.

Pure (METRICS.md M10). It is never merged into the satisfied share and is shown only where it has
been checked against people who did answer; otherwise it is "not calibrated", and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from metrics.intervals import Interval, weighted_total

PAIRS, PAIRS_A_CLASS = 100, 10
SMALLEST_AUC = 0.65


class EventClass(StrEnum):
    """What an event lets one expect, best first."""

    LIKELY_SATISFIED = "likely_satisfied"
    UNCLEAR = "unclear"
    LIKELY_DISSATISFIED = "likely_dissatisfied"


def event_class(
    *, success: bool, duration: float, threshold: float, errors_shown: int
) -> EventClass:
    """The class of one event; duration and the capability's threshold in the same unit, > 0."""
    if not success or duration > 4 * threshold or errors_shown >= 3:
        return EventClass.LIKELY_DISSATISFIED
    if duration <= threshold and errors_shown == 0:
        return EventClass.LIKELY_SATISFIED
    return EventClass.UNCLEAR


def apdex(satisfied: int, tolerating: int, frustrated: int) -> float | None:
    """The raw index, 0 to 1: (satisfied + half of those between) of all; None without events."""
    n = satisfied + tolerating + frustrated
    return (satisfied + tolerating / 2) / n if n else None


def raw_index(volumes: Mapping[EventClass, int]) -> float | None:
    """The raw index of events by class."""
    return apdex(*(volumes.get(each, 0) for each in EventClass))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Events of a class with an explicit answer: satisfied, of how many."""

    satisfied: int
    n: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The estimated satisfied share of all events, with its interval."""

    value: float
    interval: Interval


def calibrated(
    volumes: Mapping[EventClass, int], paired: Mapping[EventClass, Pairs]
) -> Calibrated | None:
    """Weight the satisfied share of each class with its share among all events.

    `paired` are the last 90 days. None where there is no event, or a class that has events has no
    answer to tell its satisfied share from.
    """
    classes = [each for each in EventClass if volumes.get(each, 0)]
    told = [paired[each] for each in classes if each in paired and paired[each].n]
    if not classes or len(told) < len(classes):
        return None
    weights = [volumes[each] for each in classes]
    found = weighted_total(weights, [pair.satisfied for pair in told], [pair.n for pair in told])
    return Calibrated(*found)


def auc(paired: Mapping[EventClass, Pairs]) -> float | None:
    """How often a satisfied event's class is better than another's, ties counting half; 0 to 1.

    None where everybody or nobody was satisfied.
    """
    happy = [paired[each].satisfied if each in paired else 0 for each in EventClass]
    rest = [paired[each].n - paired[each].satisfied if each in paired else 0 for each in EventClass]
    pairs = sum(happy) * sum(rest)
    if not pairs:
        return None
    # in halves, so that the count stays whole however many events there are
    halves = sum(h * (2 * sum(rest[at + 1 :]) + rest[at]) for at, h in enumerate(happy))
    return halves / (2 * pairs)


def why_not_shown(
    last_period: Mapping[EventClass, Pairs],
    others: Mapping[EventClass, Pairs],
    *,
    pairs: int = PAIRS,
    smallest_auc: float = SMALLEST_AUC,
) -> list[str]:
    """Everything that speaks against showing the estimate; empty if it may be shown.

    `last_period` are the pairs of the last complete period, `others` the rest of the 90 days. What
    the others foretell of the people of the last period must hold what those said themselves
    (calibration in the large): an estimate made of the same answers could not fail.
    """
    reasons = []
    paired = {
        each: Pairs(
            sum(some[each].satisfied for some in (last_period, others) if each in some),
            sum(some[each].n for some in (last_period, others) if each in some),
        )
        for each in EventClass
    }
    total = sum(pair.n for pair in paired.values())
    if total < pairs:
        reasons.append(f"{total} of {pairs} events that also have an answer")
    reasons += [
        f"{paired[each].n} of {PAIRS_A_CLASS} answers for {each.value}"
        for each in EventClass
        if paired[each].n < PAIRS_A_CLASS
    ]
    sharpness = auc(paired)
    if sharpness is None:
        reasons.append("every answer says the same: nothing tells satisfied events from others")
    elif sharpness < smallest_auc:
        reasons.append(f"the classes hardly tell satisfied from others (AUC {sharpness:.2f})")
    return reasons + _why_off(others, last_period)


def _why_off(
    others: Mapping[EventClass, Pairs], last_period: Mapping[EventClass, Pairs]
) -> list[str]:
    answered = sum(pair.n for pair in last_period.values())
    if not answered:
        return ["nobody answered in the last period"]
    expected = calibrated({each: pair.n for each, pair in last_period.items()}, others)
    if expected is None:
        return ["a class of the last period has no other answers to foretell it from"]
    told = sum(pair.satisfied for pair in last_period.values()) / answered
    low, high = expected.interval.lower, expected.interval.upper
    assert low is not None
    assert high is not None
    if low <= told <= high:
        return []
    said = f"the last period's answers say {told:.1%}"
    return [f"{said}, the estimate for the same people {low:.1%} to {high:.1%}"]
