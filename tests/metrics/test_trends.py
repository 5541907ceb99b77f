"""Successive periods of a trend."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from metrics.measure import Reader, Slice
from metrics.trends import months_before, trend
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import MAY, enter, month, moved, news


def test_months_are_whole_and_end_before_the_day() -> None:
    periods = months_before(date(2026, 3, 17), 3)
    assert [(p.start, p.until, p.label) for p in periods] == [
        (date(2025, 12, 1), date(2026, 1, 1), "Dec 2025"),
        (date(2026, 1, 1), date(2026, 2, 1), "Jan 2026"),
        (date(2026, 2, 1), date(2026, 3, 1), "Feb 2026"),
    ]
    assert months_before(date(2026, 3, 1), 1)[0].until == date(2026, 3, 1)


def test_a_trend_tells_the_readings_of_its_periods(cast: Cast) -> None:
    month(cast)
    enter(cast, news("later", moved(24 * 40, "resolved")))
    cut = Slice(date(2026, 1, 1), date(2026, 5, 1))
    periods = months_before(date(2026, 5, 1), 4)
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        reader.fetch(cut.start, cut.until)
        told = trend(reader, "escalation_rate", cut, periods)
        fresh = [
            Reader(cast.acme, as_of=MAY).measure(
                "escalation_rate", replace(cut, start=period.start, until=period.until)
            )
            for period in periods
        ]
    assert told == fresh
    assert [bool(reading.denominator) for reading in told] == [False, False, True, True]
