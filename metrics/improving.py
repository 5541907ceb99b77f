"""Improving: did an improvement action work, beyond what would have come by itself?

Pure (METRICS.md D5). A capability that was picked for looking bad rises a little without any
action; the rate before is therefore also given shrunk towards that of its group, and the change is
held against that of a capability where nobody acted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from metrics.comparing import SMALLEST_SIDE, Part, Side, change, difference_of_changes
from metrics.drivers import Shrinkage
from metrics.intervals import Interval, answers_needed, wilson
from metrics.standing import Direction

WINDOW = timedelta(days=60)


class DifferentQuestions(ValueError):
    """Scale or wording changed between the windows: there is no comparison across that (M03)."""


class Effect(StrEnum):
    """What an improvement action is shown to have done."""

    IMPROVED = "improved"
    LIKELY_IMPROVED = "likely_improved"
    WORSE = "worse"
    CANNOT_TELL_YET = "cannot_tell_yet"

    @property
    def words(self) -> str:
        """As the handbook words it."""
        return "improved, proven" if self is Effect.IMPROVED else self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Days:
    """Whole local days, start <= day < until."""

    start: date
    until: date


def windows(
    acted_from: date,
    acted_until: date,
    *,
    before: timedelta = WINDOW,
    after: timedelta = WINDOW,
) -> tuple[Days, Days]:
    """The window before an action and the one after it, without the days of transition between.

    `acted_until` is the first day on which the action was complete.
    """
    return Days(acted_from - before, acted_from), Days(acted_until, acted_until + after)


@dataclass(frozen=True, slots=True)
class Result:
    """Everything the result page shows, in its order; shares 0 to 1, in the metric's direction."""

    verdict: Effect
    before: float | None
    after: float | None
    difference: float | None
    interval: Interval | None
    #: The rate before, drawn towards its group's, and the change expected without any action.
    shrunk_before: float | None
    expected_drift: float | None
    #: The difference minus that of the comparison; None without one.
    beyond: float | None
    beyond_interval: Interval | None
    #: Answers in each window that would settle it; None where that is settled or not known.
    answers_needed: int | None = None


def judge(
    action: Part,
    comparison: Part | None,
    shrinkage: Shrinkage,
    *,
    better: Direction = Direction.HIGHER,
    expected: float | None = None,
    questions: Iterable[object] = (),
) -> Result:
    """Judge an action from the counts of its windows and those of its comparison capability.

    `shrinkage` is that of the groups the capability was picked from, before (M11). `expected` is
    the change that was written down before acting. `questions` are the scales and wordings that
    were asked in any window: more than one raises DifferentQuestions.
    """
    if len(set(questions)) > 1:
        raise DifferentQuestions("Before and after were asked differently: no comparison.")
    parts = [action] if comparison is None else [action, comparison]
    if any(min(part.n_before, part.n_after) < SMALLEST_SIDE for part in parts):
        return Result(Effect.CANNOT_TELL_YET, *[None] * 8)
    difference, interval = change(action)
    before, shrunk = action.x_before / action.n_before, _shrunk(action, shrinkage)
    beyond, around_beyond = (
        difference_of_changes(action, comparison) if comparison else (None, None)
    )
    verdict = _verdict(action, shrunk, interval, around_beyond, better)
    needed = None
    if verdict in {Effect.CANNOT_TELL_YET, Effect.LIKELY_IMPROVED}:
        needed = _needed(before, difference if expected is None else expected)
    return Result(
        verdict,
        before,
        action.x_after / action.n_after,
        difference,
        interval,
        shrunk,
        shrunk - before,
        beyond,
        around_beyond,
        needed,
    )


def _shrunk(action: Part, shrinkage: Shrinkage) -> float:
    return shrinkage.rate(action.x_before, action.n_before)


def _needed(rate: float, gap: float) -> int | None:
    """z²·p(1-p)/δ²; None where there is no gap, or no spread to tell it from."""
    return answers_needed(rate, gap) if gap and 0 < rate < 1 else None


def _verdict(
    action: Part, shrunk: float, interval: Interval, beyond: Interval | None, better: Direction
) -> Effect:
    after = action.x_after / action.n_after
    answers = Side(action.x_after, action.n_after, effective=action.effective_after)
    around_after = wilson(*answers.counted)
    change_, after_, beyond_ = (_upwards(each, better) for each in (interval, around_after, beyond))
    assert change_ is not None
    assert after_ is not None
    sign = -1 if better is Direction.LOWER else 1
    if beyond_ is not None:
        proven = effect_beyond_comparison(beyond_)
    else:
        proven = _without_comparison(change_, after_, sign * shrunk)
    if proven is not Effect.CANNOT_TELL_YET:
        return proven
    rose = change_.lower is not None and change_.lower > 0
    return Effect.LIKELY_IMPROVED if rose and sign * after > sign * shrunk else proven


def _upwards(interval: Interval | None, better: Direction) -> Interval | None:
    """The interval turned so that more is better."""
    if interval is None or better is not Direction.LOWER:
        return interval
    lower, upper = interval.lower, interval.upper
    return Interval(None if upper is None else -upper, None if lower is None else -lower)


def effect_beyond_comparison(difference: Interval) -> Effect:
    """What the difference of changes proves by itself, where higher is better."""
    if difference.lower is not None and difference.lower > 0:
        return Effect.IMPROVED
    if difference.upper is not None and difference.upper < 0:
        return Effect.WORSE
    return Effect.CANNOT_TELL_YET


def _without_comparison(change_: Interval, after: Interval, shrunk: float) -> Effect:
    """After's interval against the shrunk rate before; worse only if it fell beyond doubt too.

    A rate picked for being low is shrunk upwards: staying where it is would otherwise read worse.
    """
    if after.lower is not None and after.lower > shrunk:
        return Effect.IMPROVED
    fell = change_.upper is not None and change_.upper < 0
    below = after.upper is not None and after.upper < shrunk
    return Effect.WORSE if fell and below else Effect.CANNOT_TELL_YET


def expected_drift(observed: float, mean: float, *, between: float, within: float) -> float:
    """By how much a value picked for standing out would move towards its group's mean anyway.

    `between` and `within` are variances, not both nought.
    """
    return within / (within + between) * (mean - observed)
