"""A realistic target for a service, suggested with every input of it (METRICS.md D8).

The figures are read through the reader of the scorecard. It is a proposal: the process owner
decides, and what was suggested is kept in the trail when a target is proposed with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from metrics.among import field, shrinkage
from metrics.answering_signals import About, answers_about
from metrics.breaks import breaks_of, changes_of
from metrics.charts import Every
from metrics.comparing import SMALLEST_SIDE, Side
from metrics.definitions import find
from metrics.measure import Reader, Slice
from metrics.sides import shares, side
from metrics.standing import UNDECIDABLE, Direction, Reliability
from metrics.suggesting import (
    FEWEST_PERIODS,
    PERIODS,
    SMALLEST_FIELD,
    STEPS,
    Baseline,
    Suggestion,
    baseline,
    suggest,
)
from metrics.suggesting import Period as Counted
from metrics.trends import LENGTH, course, mature_until, months_before
from portal.catalogue.models import Capability


class NotSuggestable(ValueError):
    """There is nothing to suggest for what was asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where others stand, a share of the same scale and definition, and who says so of when."""

    value: float
    source: str
    on: date


@dataclass(frozen=True, slots=True)
class Wish:
    """The figure a target is wanted for; `maturity` 1 to 5 is what a step to a benchmark needs."""

    metric: str
    severity: str = ""
    benchmark: Benchmark | None = None
    maturity: int | None = None

    def check(self) -> None:
        """Raises NotSuggestable."""
        if self.metric not in shares() or _direction(self.metric) is Direction.NONE:
            raise NotSuggestable(f"{self.metric!r} is no share with a good direction.")
        if self.maturity is not None and not 1 <= self.maturity <= len(STEPS):
            raise NotSuggestable(f"The maturity of a process is 1 to {len(STEPS)}.")
        if self.benchmark is None:
            return
        if self.maturity is None:
            raise NotSuggestable("A step towards a benchmark needs the maturity of the process.")
        if not 0 <= self.benchmark.value <= 1 or not self.benchmark.source.strip():
            raise NotSuggestable("A benchmark is a share of 0 to 100 % with its source and date.")


@dataclass(frozen=True, slots=True)
class Month:
    """One complete period of the baseline; `why_not` says why it is left out, if it is."""

    label: str
    x: int
    n: int
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Suggested:
    """A suggestion with its inputs, or why there is none. Shares 0 to 1."""

    capability: Capability
    wish: Wish
    months: tuple[Month, ...]
    baseline: Baseline | None = None
    #: Answers or items in an ordinary month of the baseline.
    a_month: int = 0
    natural_limit: float | None = None
    #: The organisation's services on the same scale whose upper quartile was looked at.
    services: int = 0
    suggestion: Suggestion | None = None
    why_not: str = ""

    def inputs(self) -> dict[str, Any]:
        """Everything it was made of, as the audit trail keeps it and the API tells it."""
        found, benchmark = self.suggestion, self.wish.benchmark
        return {
            "capability": self.capability.slug,
            "metric": self.wish.metric,
            "severity": self.wish.severity or None,
            "suggested": _told(found.target if found else None),
            "source": found and found.source.value,
            "before_rounding": _told(found.raw if found else None),
            "hold": found and found.hold,
            "needs_process_change": found and found.needs_process_change,
            "cannot_be_judged_monthly": found and found.cannot_be_judged_monthly,
            "answers_needed": found and found.answers_needed,
            "months_needed": found and found.months_needed,
            "baseline": _told(self.baseline.value if self.baseline else None),
            "periods": [
                {"period": one.label, "counted": one.x, "of": one.n}
                for one in self.months
                if not one.why_not
            ],
            "answers_a_month": self.a_month,
            "natural_limit": _told(self.natural_limit),
            "maturity": self.wish.maturity,
            "benchmark": _told(benchmark.value if benchmark else None),
            "benchmark_source": benchmark and benchmark.source,
            "benchmark_date": benchmark and benchmark.on.isoformat(),
            "services_compared": self.services,
            "why_not": self.why_not,
        }


def _told(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _direction(name: str) -> Direction:
    metric, view = find(name)
    return metric.direction_of(view)


def suggested(reader: Reader, capability: Capability, wishes: Sequence[Wish]) -> list[Suggested]:
    """A suggestion for each wish about a service. Raises NotSuggestable."""
    for wish in wishes:
        wish.check()
    today = reader.today()
    longest = months_before(today, LENGTH[Every.MONTH] + 2)[0].start
    reader.fetch(longest, today, capabilities=frozenset([capability.pk]))
    limits = [_natural_limit(reader, capability, wish) for wish in wishes]
    # From here on every service of the organisation is looked at, over half a year only.
    reader.fetch(months_before(today, PERIODS + 2)[0].start, today)
    return [
        _suggested(reader, capability, wish, limit)
        for wish, limit in zip(wishes, limits, strict=True)
    ]


def _natural_limit(reader: Reader, capability: Capability, wish: Wish) -> float | None:
    """The limit of what the process does by itself, in the good direction (METRICS.md D4)."""
    until = mature_until(reader, wish.metric)
    about = About(capability, wish.metric, wish.severity)
    found = course(
        reader,
        wish.metric,
        _cut(capability, wish, until - timedelta(days=1), until),
        Every.MONTH,
        until=until,
        breaks=breaks_of(wish.metric, answers_about(about), changes_of(capability, wish.severity)),
    )
    if not found.chart.points:
        return None
    last = found.chart.points[-1]
    return last.lower if _direction(wish.metric) is Direction.LOWER else last.upper


def _suggested(
    reader: Reader, capability: Capability, wish: Wish, limit: float | None
) -> Suggested:
    periods = months_before(mature_until(reader, wish.metric), PERIODS)
    cuts = [_cut(capability, wish, one.start, one.until) for one in periods]
    sides = [_side(reader, wish, cut) for cut in cuts]
    scale, first = _one_scale(reader, wish, cuts)
    months = tuple(
        Month(period.label, one.x, one.n, _left_out(one, other_scale=number < first))
        for number, (period, one) in enumerate(zip(periods, sides, strict=True))
    )
    found = Suggested(capability, wish, months, natural_limit=limit)
    used = [one for one, month in zip(sides, months, strict=True) if not month.why_not]
    among: Mapping[int, Side] = {}
    if used:
        among = field(
            reader,
            wish.metric,
            _cut(capability, wish, periods[first].start, periods[-1].until),
            scale=scale,
        )
    drawn = shrinkage(among)
    counted = [Counted(one.x, one.n, one.reliability) for one in used]
    start = None if drawn is None else baseline(counted, drawn)
    if start is None:
        return replace(
            found,
            why_not=f"of the last {PERIODS} complete months {len(used)} can be used, and"
            f" {FEWEST_PERIODS} are needed",
        )
    own = [
        one.x / one.n
        for one in among.values()
        if one.n >= SMALLEST_SIDE and one.reliability not in UNDECIDABLE
    ]
    a_month = sum(one.n for one in used) // len(used)
    told = suggest(
        start.value,
        better=_direction(wish.metric),
        benchmark=wish.benchmark.value if wish.benchmark else None,
        maturity=wish.maturity,
        own=own,
        natural_limit=limit,
        answers_a_month=a_month,
    )
    return replace(
        found,
        baseline=start,
        a_month=a_month,
        services=len(own),
        suggestion=told,
        why_not=""
        if told
        else f"there is no benchmark, and {len(own)} of the organisation's services have a figure"
        f" to go by; {SMALLEST_FIELD} are needed",
    )


def _cut(capability: Capability, wish: Wish, start: date, until: date) -> Slice:
    return Slice(start, until, frozenset([capability.pk]), wish.severity or None)


def _side(reader: Reader, wish: Wish, cut: Slice) -> Side:
    found = side(reader, wish.metric, cut)
    assert isinstance(found, Side)
    return found


def _one_scale(reader: Reader, wish: Wish, cuts: Sequence[Slice]) -> tuple[str, int]:
    """The scale of the latest answers, and the first month since which no other was in use."""
    if not find(wish.metric)[0].from_answers:
        return "", 0
    scales = [reader.scales(cut) for cut in cuts]
    latest = next((one for one in reversed(scales) if one), frozenset[str]())
    others = (n for n, one in enumerate(scales) if one and (one != latest or len(one) > 1))
    return "".join(latest), 1 + max(others, default=-1)


def _left_out(one: Side, *, other_scale: bool) -> str:
    """Why a month is no part of the baseline; empty if it is."""
    if other_scale:
        return "before the answers' scale changed"
    if one.unknown:
        return one.unknown.rstrip(".")
    if one.reliability in (Reliability.SUPPRESSED, Reliability.UNRELIABLE):
        return "too few answers" if one.reliability is Reliability.SUPPRESSED else "unreliable"
    return "" if one.n else "nothing is counted"
