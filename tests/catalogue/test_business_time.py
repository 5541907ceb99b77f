"""Business time: hand-calculated cases, laws that always hold, and an oracle that walks minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.catalogue.business_time import (
    ROUND_THE_CLOCK,
    BadCalendar,
    BusinessTime,
    CalendarRules,
    NeverReached,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600
WEEKDAYS = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
#: Split days, a break, a shift on a Saturday, holidays, and a night that ends at midnight.
UNEVEN = {
    "time_zone": "Europe/Berlin",
    "hours": WEEKDAYS
    | {"wed": [["08:00", "12:00"], ["13:00", "24:00"]], "sun": [["00:00", "06:00"]]},
    "shifts": {"2026-03-28": [["10:00", "14:00"]], "2026-10-26": []},
    "breaks": {"2026-03-24": [["12:00", "12:45"]]},
    "holidays": ["2026-10-23", "03-25"],
}


def rules(**said: Any) -> CalendarRules:
    return CalendarRules.from_dict({"time_zone": "Europe/Berlin", "hours": WEEKDAYS} | said)


@cache
def uneven() -> BusinessTime:
    return BusinessTime.of(CalendarRules.from_dict(UNEVEN))


OFFICE = BusinessTime.of(rules())


def at(text: str) -> datetime:
    """A wall-clock time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-03-02 10:00", "2026-03-02 12:00", 2),
        ("2026-03-02 16:00", "2026-03-03 10:00", 2),  # over a night
        ("2026-03-06 16:00", "2026-03-09 10:00", 2),  # over a weekend
        ("2026-03-07 10:00", "2026-03-08 10:00", 0),  # within one
        ("2026-03-02 08:00", "2026-03-02 20:00", 8),
        ("2026-03-02 12:00", "2026-03-02 12:00", 0),
        ("2026-03-02 12:00", "2026-03-02 11:00", 0),  # backwards
    ],
)
def test_elapsed_counts_open_hours_only(start: str, end: str, hours: float) -> None:
    assert OFFICE.elapsed(at(start), at(end)) == hours * HOUR


@pytest.mark.parametrize(
    ("start", "hours", "deadline"),
    [
        ("2026-03-02 10:00", 2, "2026-03-02 12:00"),
        ("2026-03-02 15:00", 2, "2026-03-02 17:00"),  # closing time, not the next opening
        ("2026-03-02 16:00", 2, "2026-03-03 10:00"),
        ("2026-03-07 10:00", 0, "2026-03-09 09:00"),  # the first open instant
        ("2026-03-02 10:00", 0, "2026-03-02 10:00"),
        ("2026-03-06 17:00", 1, "2026-03-09 10:00"),
    ],
)
def test_a_deadline_is_the_earliest_instant(start: str, hours: float, deadline: str) -> None:
    assert OFFICE.deadline(at(start), hours * HOUR) == at(deadline)


def test_the_start_of_a_span_is_inside_and_its_end_is_not() -> None:
    assert OFFICE.is_open(at("2026-03-02 09:00"))
    assert not OFFICE.is_open(at("2026-03-02 17:00"))


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_calendar_that_never_closes_is_calendar_time_when_clocks_change(
    day: str, hours: int
) -> None:
    zoned = BusinessTime.of(
        rules(hours={name: [["00:00", "24:00"]] for name in ("sat", "sun", "mon")})
    )
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    end = start + timedelta(days=1)  # the same wall-clock time
    assert zoned.elapsed(start, end) == hours * HOUR
    always = BusinessTime.of(ROUND_THE_CLOCK)
    assert always.elapsed(start.astimezone(UTC), end.astimezone(UTC)) == hours * HOUR


def test_a_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    calendar = BusinessTime.of(rules(hours={"sun": [["02:30", "04:00"]]}))
    # 02:30 is skipped on 29 March: the span opens at 03:30 summer time, 01:30 UTC.
    assert calendar.is_open(datetime(2026, 3, 29, 1, 30, tzinfo=UTC))
    assert not calendar.is_open(datetime(2026, 3, 29, 1, 29, 59, tzinfo=UTC))
    assert calendar.elapsed(at("2026-03-29 00:00"), at("2026-03-30 00:00")) == HOUR / 2


def test_a_time_that_exists_twice_is_its_first_occurrence() -> None:
    calendar = BusinessTime.of(rules(hours={"sun": [["02:30", "04:00"]]}))
    # 02:30 comes twice on 25 October: the span opens at the first, in summer time, 00:30 UTC.
    assert calendar.is_open(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert calendar.elapsed(at("2026-10-25 00:00"), at("2026-10-26 00:00")) == 2.5 * HOUR


def test_a_date_that_a_zone_skipped_is_counted_once() -> None:
    # Samoa went from 29 to 31 December 2011 at midnight; no second is open twice.
    daily = {day: [["09:00", "17:00"]] for day in (*WEEKDAYS, "sat", "sun")}
    samoa = BusinessTime.of(rules(time_zone="Pacific/Apia", hours=daily))
    start = datetime(2011, 12, 29, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC)
    assert samoa.elapsed(start, start + timedelta(days=2)) == 2 * 8 * HOUR


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("2026-03-24", 7.25),  # a break
        ("2026-03-25", 0),  # a yearly holiday
        ("2026-03-28", 4),  # a shift on a Saturday
        ("2026-03-29", 5),  # midnight to six on the day that loses an hour
        ("2026-10-26", 0),  # a shift that closes a Monday
        ("2026-10-23", 0),  # a holiday
        ("2026-10-21", 15),  # a split Wednesday until midnight
    ],
)
def test_shifts_breaks_and_holidays_change_a_day(day: str, hours: float) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
    end = start + timedelta(days=1)
    assert uneven().elapsed(start.astimezone(UTC), end.astimezone(UTC)) == hours * HOUR


def test_the_version_in_force_at_each_moment_is_used() -> None:
    change = at("2026-03-03 12:00")
    long = rules(hours={day: [["08:00", "20:00"]] for day in WEEKDAYS})
    calendar = BusinessTime([(None, change, rules()), (change, None, long)])
    # Monday 8 h by the old rules, Tuesday 3 h by the old and 8 h by the new.
    assert calendar.elapsed(at("2026-03-02 00:00"), at("2026-03-04 00:00")) == 19 * HOUR


def test_two_versions_at_one_moment_are_refused() -> None:
    calendar = BusinessTime([(None, None, rules()), (at("2026-03-03 12:00"), None, rules())])
    with pytest.raises(BadCalendar, match="same moment"):
        calendar.elapsed(at("2026-03-02 00:00"), at("2026-03-09 00:00"))


def test_pauses_are_merged_and_taken_out() -> None:
    start, end = at("2026-03-02 09:00"), at("2026-03-02 17:00")
    pauses = [
        (at("2026-03-02 10:00"), at("2026-03-02 12:00")),
        (at("2026-03-02 11:00"), at("2026-03-02 13:00")),
        (at("2026-03-02 16:00"), None),
    ]
    assert OFFICE.elapsed_with_pauses(start, end, pauses) == 4 * HOUR
    assert OFFICE.deadline_with_pauses(start, 4 * HOUR, pauses) == at("2026-03-02 16:00")
    assert OFFICE.deadline_with_pauses(start, 5 * HOUR, pauses) is None


def test_a_deadline_that_never_comes_is_said() -> None:
    closed = BusinessTime.of(rules(hours={}))
    assert closed.elapsed(at("2026-03-02 00:00"), at("2026-04-02 00:00")) == 0
    with pytest.raises(NeverReached):
        closed.deadline(at("2026-03-02 00:00"), 1)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"hours": {"monday": []}}, "hours"),
        ({"hours": {"mon": [["17:00", "09:00"]]}}, "hours.mon"),
        ({"hours": {"mon": [["nine", "five"]]}}, "hours.mon"),
        ({"hours": {"mon": [["09:00"]]}}, "hours.mon"),
        ({"hours": {"mon": [["09:00+02:00", "17:00"]]}}, "hours.mon"),
        ({"hours": {"mon": [[9, 17]]}}, "hours.mon"),
        ({"hours": {"mon": "09:00-17:00"}}, "hours.mon"),
        ({"hours": [["09:00", "17:00"]]}, "hours"),
        ({"shifts": ["2026-12-24"]}, "shifts"),
        ({"breaks": {"2026-13-01": []}}, "breaks"),
        ({"holidays": ["12-32"]}, "holidays"),
        ({"holidays": "12-25"}, "holidays"),
        ({"holidays": [20261225]}, "holidays"),
    ],
)
def test_rules_that_cannot_be_read_name_their_field(said: dict[str, Any], field: str) -> None:
    with pytest.raises(BadCalendar, match=f"^{field}"):
        rules(**said)


# --- laws and the oracle --------------------------------------------------------------------------

_FIRST = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
instants = st.integers(0, 300 * 86_400).map(
    lambda second: datetime.fromtimestamp(_FIRST + second, tz=UTC)
)


@given(instants, instants, instants)
def test_stretches_add_up(first: datetime, second: datetime, third: datetime) -> None:
    a, b, c = sorted((first, second, third))
    assert uneven().elapsed(a, b) + uneven().elapsed(b, c) == uneven().elapsed(a, c)


@given(instants, instants)
def test_business_time_never_outruns_the_wall_clock(first: datetime, second: datetime) -> None:
    a, b = sorted((first, second))
    assert 0 <= uneven().elapsed(a, b) <= (b - a).total_seconds()


@given(instants, st.integers(1, 200 * HOUR))
def test_a_deadline_and_the_time_to_it_agree(start: datetime, seconds: int) -> None:
    deadline = uneven().deadline(start, seconds)
    assert uneven().elapsed(start, deadline) == seconds
    assert uneven().elapsed(start, deadline - timedelta(seconds=1)) == seconds - 1  # the earliest


pauses_after = st.lists(
    st.tuples(st.integers(-10 * HOUR, 200 * HOUR), st.integers(0, 100 * HOUR)), max_size=4
)


@given(instants, st.integers(1, 60 * HOUR), pauses_after)
def test_a_deadline_with_pauses_and_the_clock_that_stands_in_them_agree(
    start: datetime, seconds: int, found: list[tuple[int, int]]
) -> None:
    pauses = [
        (start + timedelta(seconds=after), start + timedelta(seconds=after + length))
        for after, length in found
    ]
    deadline = uneven().deadline_with_pauses(start, seconds, pauses)
    assert uneven().elapsed_with_pauses(start, deadline, pauses) == seconds
    a_second_less = uneven().elapsed_with_pauses(start, deadline - timedelta(seconds=1), pauses)
    assert a_second_less == seconds - 1  # the earliest


@given(instants, st.integers(0, 100 * HOUR), st.integers(0, 100 * HOUR))
def test_a_larger_budget_never_ends_earlier(start: datetime, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert uneven().deadline(start, less) <= uneven().deadline(start, more)


@given(st.lists(st.tuples(instants, instants), min_size=1, max_size=20))
def test_many_questions_get_the_answers_of_one(pairs: list[tuple[datetime, datetime]]) -> None:
    starts, ends = (
        np.array([int(pair[side].timestamp()) for pair in pairs], dtype=np.int64) for side in (0, 1)
    )
    told = uneven().elapsed_many(starts, ends)
    assert told.tolist() == [uneven().elapsed(*pair) for pair in pairs]


def _open_by_the_book(moment: datetime) -> bool:
    """Whether a wall-clock minute is open, read off the rules as written."""
    local = moment.astimezone(BERLIN)
    day, month_day = local.date().isoformat(), local.strftime("%m-%d")
    if day in UNEVEN["holidays"] or month_day in UNEVEN["holidays"]:
        return False
    spans = UNEVEN["shifts"].get(day, UNEVEN["hours"].get(local.strftime("%a").lower(), []))
    clock = local.strftime("%H:%M")

    def within(found: list[list[str]]) -> bool:
        return any(start <= clock < end for start, end in found)

    return within(spans) and not within(UNEVEN["breaks"].get(day, []))


@settings(max_examples=25)
@given(st.integers(0, 290 * 1440), st.integers(1, 4 * 1440))
def test_walking_minute_by_minute_gives_the_same(first: int, length: int) -> None:
    start = datetime.fromtimestamp(_FIRST + first * 60, tz=UTC)
    walked = sum(_open_by_the_book(start + timedelta(minutes=n)) for n in range(length))
    assert uneven().elapsed(start, start + timedelta(minutes=length)) == walked * 60


@pytest.mark.parametrize("change", ["2026-03-28", "2026-10-24"])
def test_walking_over_a_change_of_clocks_gives_the_same(change: str) -> None:
    start = at(f"{change} 00:00")
    walked = sum(_open_by_the_book(start + timedelta(minutes=n)) for n in range(3 * 1440))
    assert uneven().elapsed(start, start + timedelta(days=3)) == walked * 60
