"""A figure over time: the same reading for successive periods, told by one fetch of columns.

A course is drawn with the limits of what it usually does (METRICS.md D4). Only periods that are
over and mature are part of it. It begins anew where somebody rebased it with a reason, and where
the definition, the settings or the scale of the answers changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import inf

from metrics.charts import PLOTTED_FROM, Chart, Every, Plotted, every, individuals, shares
from metrics.definitions import find
from metrics.kinds import Unit
from metrics.measure import Reader, Reading, Slice

#: How many periods a course has, by their length.
LENGTH: Mapping[Every, int] = {Every.WEEK: 36, Every.MONTH: 24, Every.QUARTER: 12}


@dataclass(frozen=True, slots=True)
class Period:
    """A period of a trend, start <= day < until, and how it is labelled."""

    start: date
    until: date
    label: str


@dataclass(frozen=True, slots=True)
class Break:
    """From a day on a course is another one, and why."""

    day: date
    why: str


@dataclass(frozen=True, slots=True)
class Happened:
    """Something known that happened on a day, in words."""

    day: date
    words: str


@dataclass(frozen=True, slots=True)
class Course:
    """A figure by period with its chart; `breaks` are by the index of the period they begin.

    `happened` says by the index of a period what is known to have happened in it.
    """

    step: Every
    periods: Sequence[Period]
    readings: Sequence[Reading]
    chart: Chart
    breaks: Mapping[int, str]
    happened: Mapping[int, str]

    @property
    def plotted(self) -> Mapping[int, Plotted]:
        """The plotted points by the index of their period."""
        return {point.index: point for point in self.chart.points}


def periods_before(until: date, step: Every, count: int) -> list[Period]:
    """The last `count` whole periods that end at or before a day, oldest first."""
    end = _begin(until, step)
    periods = []
    for _ in range(count):
        start = _begin(end - timedelta(days=1), step)
        periods.append(Period(start, end, _label(start, step)))
        end = start
    return periods[::-1]


def months_before(until: date, count: int) -> list[Period]:
    """The last `count` calendar months that end at or before a day, oldest first."""
    return periods_before(until, Every.MONTH, count)


def _begin(day: date, step: Every) -> date:
    """The first day of the week (Monday), month or quarter a day lies in."""
    if step is Every.WEEK:
        return day - timedelta(days=day.weekday())
    month = day.month if step is Every.MONTH else 3 * ((day.month - 1) // 3) + 1
    return day.replace(month=month, day=1)


def _label(start: date, step: Every) -> str:
    if step is Every.WEEK:
        year, week, _ = start.isocalendar()
        return f"week {week}, {year}"
    if step is Every.MONTH:
        return start.strftime("%b %Y")
    return f"Q{(start.month + 2) // 3} {start.year}"


def trend(reader: Reader, name: str, cut: Slice, periods: Sequence[Period]) -> list[Reading]:
    """The reading of each period, everything else as in `cut`."""
    return [
        reader.tell(name, replace(cut, start=period.start, until=period.until))
        for period in periods
    ]


def mature_until(reader: Reader, name: str) -> date:
    """The day up to which a figure no longer changes by waiting."""
    metric, _ = find(name)
    return reader.today() - timedelta(days=metric.matures_in(reader.settings))


def course(
    reader: Reader,
    name: str,
    cut: Slice,
    step: Every,
    *,
    until: date,
    count: int = 0,
    breaks: Iterable[Break] = (),
    happened: Iterable[Happened] = (),
) -> Course:
    """The course of a view up to a day; `cut` says of which slice, whatever its period."""
    periods = periods_before(until, step, count or LENGTH[step])
    readings = trend(reader, name, cut, periods)
    whys = _by_period(periods, ((one.day, one.why) for one in breaks))
    found = {index: why for index, why in whys.items() if index}
    found |= _other_scales(reader, name, cut, periods)
    marks = _by_period(periods, ((one.day, one.words) for one in happened))
    return Course(step, periods, readings, _chart(reader, name, readings, found), found, marks)


def _by_period(periods: Sequence[Period], said: Iterable[tuple[date, str]]) -> dict[int, str]:
    """What is said of days, by the index of the period they lie in; each thing once."""
    found: dict[int, list[str]] = {}
    for day, words in sorted(said):
        for index, period in enumerate(periods):
            if period.start <= day < period.until and words not in found.get(index, []):
                found.setdefault(index, []).append(words)
    return {index: "; ".join(words) for index, words in found.items()}


def steps(reader: Reader, name: str, cut: Slice, until: date) -> Every | None:
    """The shortest step with ten or more in most periods (METRICS.md 1.16)."""
    for step in Every:
        readings = trend(reader, name, cut, periods_before(until, step, LENGTH[step]))
        sizes = [reading.denominator or 0 for reading in readings]
        known = sizes[next((at for at, size in enumerate(sizes) if size), len(sizes)) :]
        if every({step: known}) is step:
            return step
    return None


def _chart(
    reader: Reader, name: str, readings: Sequence[Reading], breaks: Mapping[int, str]
) -> Chart:
    _, view = find(name)
    decided = reader.settings
    rules = {
        "breaks": breaks,
        "baseline": int(decided.chart_baseline),
        "run": int(decided.chart_run),
    }
    if view.unit is Unit.SHARE and all(r.numerator is not None or not _many(r) for r in readings):
        counted = [(r.numerator or 0, r.denominator or 0) if _many(r) else (0, 0) for r in readings]
        return shares([x for x, _ in counted], [n for _, n in counted], **rules)  # type: ignore[arg-type]
    values = [reading.value if _many(reading) else None for reading in readings]
    low = -100.0 if view.unit is Unit.NET_POINTS else 0.0
    high = {Unit.NET_POINTS: 100.0, Unit.SHARE: 1.0}.get(view.unit, inf)
    return individuals(values, bounds=(low, high), **rules)  # type: ignore[arg-type]


def _many(reading: Reading) -> bool:
    """Whether a period is plotted: a count always is, anything else from ten on."""
    few = (reading.denominator or 0) < PLOTTED_FROM and reading.unit != Unit.COUNT
    return reading.value is not None and not few


def _other_scales(
    reader: Reader, name: str, cut: Slice, periods: Sequence[Period]
) -> dict[int, str]:
    """Periods in which answers came on another scale than before: a new series (METRICS.md M03)."""
    metric, _ = find(name)
    if not metric.from_answers:
        return {}
    found, before = {}, frozenset[str]()
    for index, period in enumerate(periods):
        scales = reader.scales(replace(cut, start=period.start, until=period.until))
        if scales and before and scales != before:
            found[index] = "answered on another scale from here"
        before = scales or before
    return found
