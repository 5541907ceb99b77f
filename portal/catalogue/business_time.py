"""Business time: seconds that passed, and deadlines, inside the hours of a calendar.

Pure (METRICS.md 1.3). A calendar is compiled into open intervals in UTC with running totals; one
question is a bisection, many are one `searchsorted`. Elapsed seconds are counted, so a calendar
that never closes equals calendar time on 23- and 25-hour days too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: How far ahead a deadline is looked for before it is said to be never.
FURTHEST_YEARS = 50

Span = tuple[time, time | None]
"""Local opening and closing; None closes at midnight (24:00)."""

Stretch = tuple[datetime, datetime | None]
"""A pause; None: still running."""


class BadCalendar(ValueError):
    """A calendar's rules cannot be read; the message names the field."""


class NeverReached(ValueError):
    """A calendar has not enough open hours ahead for a deadline."""


@dataclass(frozen=True, slots=True)
class CalendarRules:
    """The rules of one calendar version, in wall-clock terms of its zone."""

    zone: ZoneInfo
    #: By weekday, Monday 0.
    hours: Mapping[int, tuple[Span, ...]]
    #: Replace the weekly hours of a date.
    shifts: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    #: Removed from a date's hours.
    breaks: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    #: Whole local dates, once …
    holidays: frozenset[date] = frozenset()
    #: … or every year, as (month, day).
    yearly_holidays: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def from_dict(cls, rules: Mapping[str, Any]) -> CalendarRules:
        """Read rules as stored: time_zone, hours, shifts, breaks, holidays (CalendarVersion).

        Raises BadCalendar naming the field.
        """
        try:
            zone = ZoneInfo(str(rules["time_zone"]))
        except (KeyError, ValueError, OSError) as error:
            raise BadCalendar(f"time_zone: {rules.get('time_zone')!r} is no time zone") from error
        hours = _entries("hours", rules.get("hours"))
        unknown = sorted(set(hours) - set(DAYS))
        if unknown:
            raise BadCalendar(f"hours: {unknown[0]!r} is no day; days are {', '.join(DAYS)}")
        once, yearly = _holidays(rules.get("holidays"))
        return cls(
            zone=zone,
            hours={DAYS.index(day): _spans(f"hours.{day}", hours[day]) for day in hours},
            shifts=_dated("shifts", rules.get("shifts")),
            breaks=_dated("breaks", rules.get("breaks")),
            holidays=once,
            yearly_holidays=yearly,
        )

    def open_spans(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The open stretches of one local date, in UTC, ascending and apart."""
        if day in self.holidays or (day.month, day.day) in self.yearly_holidays:
            return
        spans = self.shifts.get(day, self.hours.get(day.weekday(), ()))
        opened = _joined(self._instants(day, spans))
        closed = _joined(self._instants(day, self.breaks.get(day, ())))
        yield from _without(opened, closed)

    def _instants(self, day: date, spans: Iterable[Span]) -> list[tuple[datetime, datetime]]:
        return [
            (self._instant(day, start), self._instant(day, end) if end else self._midnight(day))
            for start, end in spans
        ]

    def _instant(self, day: date, at: time) -> datetime:
        # fold=0: a time that does not exist moves forward by the gap, one that exists twice is
        # its first occurrence.
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)

    def _midnight(self, day: date) -> datetime:
        return self._instant(day + timedelta(days=1), time())


def _entries(name: str, said: Any) -> dict[str, Any]:
    if not isinstance(said or {}, Mapping):
        raise BadCalendar(f"{name}: {said!r} is no mapping from days to spans")
    return dict(said or {})


def _spans(name: str, said: Any) -> tuple[Span, ...]:
    if not isinstance(said, list | tuple):
        raise BadCalendar(f"{name}: {said!r} is no list of spans like [['09:00', '17:00']]")
    return tuple(_span(name, pair) for pair in said)


def _span(name: str, pair: Any) -> Span:
    try:
        opens, closes = pair
        start, end = _wall_clock(opens), None if closes == "24:00" else _wall_clock(closes)
    except (TypeError, ValueError) as error:
        raise BadCalendar(f"{name}: {pair!r} is no span like ['09:00', '17:00']") from error
    if end is not None and end <= start:
        raise BadCalendar(f"{name}: {pair!r} ends before it begins; split it at midnight (24:00)")
    return start, end


def _wall_clock(text: str) -> time:
    at = time.fromisoformat(text)
    if at.tzinfo is not None:
        raise ValueError(f"{text} has an offset; the calendar's zone holds")
    return at


def _dated(name: str, said: Any) -> dict[date, tuple[Span, ...]]:
    entries = _entries(name, said)
    return {_date(name, day): _spans(f"{name}.{day}", entries[day]) for day in entries}


def _date(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise BadCalendar(f"{name}: {text!r} is no date like 2026-12-25") from error


def _holidays(said: Any) -> tuple[frozenset[date], frozenset[tuple[int, int]]]:
    if not isinstance(said or [], list | tuple):
        raise BadCalendar(f"holidays: {said!r} is no list of dates")
    once, yearly = set(), set()
    for text in said or ():
        if isinstance(text, str) and len(text) == len("12-25"):
            leap = _date("holidays", f"2000-{text}")  # a leap year, so that 02-29 may be one
            yearly.add((leap.month, leap.day))
        else:
            once.add(_date("holidays", text))
    return frozenset(once), frozenset(yearly)


def _joined(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    return joined


def _without(
    opened: list[tuple[datetime, datetime]], closed: list[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, datetime]]:
    for start, end in opened:
        cursor = start
        for stop, resume in closed:
            if resume <= cursor or stop >= end:
                continue
            if stop > cursor:
                yield cursor, stop
            cursor = max(cursor, resume)
        if cursor < end:
            yield cursor, end


Version = tuple[datetime | None, datetime | None, CalendarRules]
"""Valid from (None: ever), valid until (None: ever), the rules."""


class BusinessTime:
    """Answers questions in business seconds; the version in force at each moment is used."""

    def __init__(self, versions: Sequence[Version]) -> None:
        self._versions = list(versions)
        self._first_year = self._last_year = 0  # nothing compiled yet
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._before: list[float] = []  # business seconds before each interval
        self._arrays: tuple[NDArray[np.int64], ...] | None = None

    @classmethod
    def of(cls, rules: CalendarRules) -> BusinessTime:
        """Business time of one version that is always in force."""
        return cls([(None, None, rules)])

    # --- one question -----------------------------------------------------------------------------

    def elapsed(self, start: datetime, end: datetime) -> float:
        """Business seconds from start to end; 0 if end is not after start."""
        if end <= start:
            return 0.0
        self._cover(start, end)
        return self._worked(_seconds(end)) - self._worked(_seconds(start))

    def is_open(self, at: datetime) -> bool:
        """Whether an instant is inside business time; the start is inside, the end is not."""
        self._cover(at, at)
        position = bisect_right(self._starts, _seconds(at)) - 1
        return position >= 0 and _seconds(at) < self._ends[position]

    def deadline(self, start: datetime, seconds: float) -> datetime:
        """The earliest instant at which the business seconds have elapsed.

        A budget used up exactly at closing time ends at closing time. For 0 seconds: the first open
        instant at or after start. Raises NeverReached.
        """
        reach = start
        for years in (1, 5, FURTHEST_YEARS):
            reach = start + timedelta(days=366 * years)
            self._cover(start, reach)
            found = self._deadline(_seconds(start), seconds)
            if found is not None:
                return _EPOCH + timedelta(seconds=found)
        raise NeverReached(
            f"{seconds} business seconds after {start} are not reached by {reach}: "
            "the calendar needs a version with open hours from then on."
        )

    def elapsed_with_pauses(
        self, start: datetime, end: datetime, pauses: Sequence[Stretch]
    ) -> float:
        """Business seconds from start to end outside the pauses."""
        paused = sum(
            self.elapsed(max(stop, start), min(resume or end, end))
            for stop, resume in _merged(pauses)
        )
        return self.elapsed(start, end) - paused

    def deadline_with_pauses(
        self, start: datetime, seconds: float, pauses: Sequence[Stretch]
    ) -> datetime | None:
        """The deadline when pauses do not count; None while a running pause keeps it away."""
        cursor, left = start, seconds
        for stop, resume in _merged(pauses):
            if resume is not None and resume <= cursor:
                continue
            used = self.elapsed(cursor, stop)
            if used >= left and used > 0:
                break
            if resume is None:
                return None
            cursor, left = max(cursor, resume), left - used
        return self.deadline(cursor, left)

    # --- many questions ---------------------------------------------------------------------------

    def elapsed_many(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Business seconds for pairs of UTC epoch seconds, shape (n,); 0 where end <= start."""
        if len(starts) == 0:
            return np.zeros(0, dtype=np.int64)
        low, high = int(min(starts.min(), ends.min())), int(max(starts.max(), ends.max()))
        self._cover(_EPOCH + timedelta(seconds=low), _EPOCH + timedelta(seconds=high))
        worked = self._worked_many(np.maximum(ends, starts)) - self._worked_many(starts)
        return np.asarray(worked, dtype=np.int64)

    # --- compiled intervals -----------------------------------------------------------------------

    def _cover(self, start: datetime, end: datetime) -> None:
        """Compile the local years around both instants, if that is not done yet."""
        first, last = start.year - 1, end.year + 2  # local dates reach into the neighbouring year
        if self._last_year and first >= self._first_year and last <= self._last_year:
            return
        if self._last_year:
            first, last = min(first, self._first_year), max(last, self._last_year)
        self._compile(first, last)

    def _compile(self, first: int, last: int) -> None:
        spans = sorted(
            (_seconds(opened), _seconds(closed))
            for valid_from, valid_until, rules in self._versions
            for opened, closed in _clipped(rules, first, last, valid_from, valid_until)
        )
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._before = []
        total = 0.0
        for start, end in spans:
            self._before.append(total)
            total += end - start
        for (_, end), (start, _) in pairwise(spans):
            if start < end:
                raise BadCalendar("valid_from: two versions are in force at the same moment")
        self._arrays = None
        self._first_year, self._last_year = first, last

    def _worked(self, at: float) -> float:
        """Business seconds from the beginning of what is compiled to an instant."""
        position = bisect_right(self._starts, at) - 1
        if position < 0:
            return 0.0
        return self._before[position] + min(at, self._ends[position]) - self._starts[position]

    def _worked_many(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self._starts:
            return np.zeros(len(at), dtype=np.int64)
        if self._arrays is None:
            self._arrays = tuple(
                np.asarray(values, dtype=np.int64)
                for values in (self._starts, self._ends, self._before)
            )
        starts, ends, before = self._arrays
        position = np.searchsorted(starts, at, side="right") - 1
        inside = np.maximum(position, 0)
        worked = before[inside] + np.minimum(at, ends[inside]) - starts[inside]
        return np.where(position < 0, 0, worked)

    def _deadline(self, start: float, seconds: float) -> float | None:
        position = bisect_right(self._starts, start) - 1
        inside = position >= 0 and start < self._ends[position]
        if seconds <= 0:
            if inside:
                return start
            return self._starts[position + 1] if position + 1 < len(self._starts) else None
        target = self._worked(start) + seconds
        # The interval in which the total is reached: the last one that begins with less.
        reached = bisect_left(self._before, target) - 1
        if reached < 0:
            return None
        at = self._starts[reached] + target - self._before[reached]
        return at if at <= self._ends[reached] else None


def _clipped(
    rules: CalendarRules,
    first: int,
    last: int,
    valid_from: datetime | None,
    valid_until: datetime | None,
) -> Iterator[tuple[datetime, datetime]]:
    day, end = date(max(first, 1), 1, 1), date(last, 1, 1)
    if valid_from is not None:
        day = max(day, valid_from.date() - timedelta(days=2))
    if valid_until is not None:
        end = min(end, valid_until.date() + timedelta(days=2))
    told_until = datetime.min.replace(tzinfo=UTC)
    while day < end:
        for opened, closed in rules.open_spans(day):
            # Where a zone skipped a whole date, its hours moved forward into the next one.
            start = max(opened, valid_from or opened, told_until)
            stop = min(closed, valid_until) if valid_until else closed
            if start < stop:
                yield start, stop
                told_until = stop
        day += timedelta(days=1)


def _merged(pauses: Sequence[Stretch]) -> list[Stretch]:
    """Pauses in order, overlapping ones as one, empty ones gone."""
    merged: list[Stretch] = []
    for stop, resume in sorted(pauses, key=lambda pause: pause[0]):
        if resume is not None and resume <= stop:
            continue
        if merged and (merged[-1][1] is None or stop <= merged[-1][1]):
            last_stop, last_resume = merged[-1]
            both = None if last_resume is None or resume is None else max(last_resume, resume)
            merged[-1] = (last_stop, both)
        else:
            merged.append((stop, resume))
    return merged


def _seconds(at: datetime) -> float:
    return (at - _EPOCH).total_seconds()


#: Every day, all day: the calendar of critical items unless an organisation says otherwise.
ROUND_THE_CLOCK = CalendarRules(
    zone=ZoneInfo("UTC"), hours={day: ((time(), None),) for day in range(7)}
)
