"""A figure over time: the same reading for successive periods, told by one fetch of columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from metrics.measure import Reader, Reading, Slice


@dataclass(frozen=True, slots=True)
class Period:
    """A period of a trend, start <= day < until, and how it is labelled."""

    start: date
    until: date
    label: str


def months_before(until: date, count: int) -> list[Period]:
    """The last `count` calendar months that end at or before a day, oldest first."""
    end = until.replace(day=1)
    periods = []
    for _ in range(count):
        start = (end - timedelta(days=1)).replace(day=1)
        periods.append(Period(start, end, start.strftime("%b %Y")))
        end = start
    return periods[::-1]


def trend(reader: Reader, name: str, cut: Slice, periods: list[Period]) -> list[Reading]:
    """The reading of each period, everything else as in `cut`."""
    return [
        reader.tell(name, replace(cut, start=period.start, until=period.until))
        for period in periods
    ]
