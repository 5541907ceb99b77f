"""Segments at the event: the edges of each rule, and that later days change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import segments
from metrics.segments import HandledBy, Segments, Tenure, Usage, Use

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("days", "tenure"),
    [
        (None, Tenure.UNKNOWN),
        (0, Tenure.NEW),
        (89, Tenure.NEW),
        (90, Tenure.ESTABLISHED),
        (365, Tenure.ESTABLISHED),
        (366, Tenure.EXPERIENCED),
    ],
)
def test_tenure_turns_at_90_and_after_365_days(days: int | None, tenure: Tenure) -> None:
    assert segments.tenure(days) is tenure


@pytest.mark.parametrize(
    ("days", "usage"),
    [
        (0, Usage.DORMANT),
        (1, Usage.OCCASIONAL),
        (3, Usage.OCCASIONAL),
        (4, Usage.REGULAR),
        (11, Usage.REGULAR),
        (12, Usage.HEAVY),
        (28, Usage.HEAVY),
    ],
)
def test_usage_turns_at_1_4_and_12_days(days: int, usage: Usage) -> None:
    assert segments.usage(days) is usage


@pytest.mark.parametrize(
    ("who", "handled"),
    [
        ([], HandledBy.UNKNOWN),
        ([True], HandledBy.AUTOMATION),
        ([False, False], HandledBy.PERSON),
        ([True, False, True], HandledBy.BOTH),
    ],
)
def test_who_handled_it_is_told_from_replies_and_resolver(
    who: list[bool], handled: HandledBy
) -> None:
    assert segments.handled_by(who) is handled


def at_event(*uses: Use, items: tuple[datetime, ...] = ()) -> Segments:
    return segments.at_event(AT, items_opened=items, uses=uses, zone=BERLIN)


def test_the_event_itself_does_not_count() -> None:
    found = at_event(Use(AT, advanced=True), items=(AT,))
    assert found == Segments(Tenure.UNKNOWN, Usage.DORMANT, advanced=False)


def test_a_first_item_begins_a_tenure_as_a_first_use_does() -> None:
    assert at_event(items=(AT - timedelta(days=400),)).tenure is Tenure.EXPERIENCED
    assert at_event(Use(AT - timedelta(days=90))).tenure is Tenure.ESTABLISHED


def test_a_day_is_a_local_day() -> None:
    # 21:30 and 22:30 UTC are either side of midnight in Berlin
    evening = datetime(2026, 5, 20, 21, 30, tzinfo=UTC)
    night = [Use(evening), Use(evening + timedelta(hours=1))]
    assert at_event(*night, *(Use(AT - timedelta(days=n)) for n in (1, 2))).usage is Usage.REGULAR
    morning = [Use(evening), Use(evening - timedelta(hours=1))]
    assert (
        at_event(*morning, *(Use(AT - timedelta(days=n)) for n in (1, 2))).usage is Usage.OCCASIONAL
    )


def test_windows_are_28_and_90_days_long() -> None:
    just, over = timedelta(days=28), timedelta(days=28, seconds=1)
    assert at_event(Use(AT - just)).usage is Usage.OCCASIONAL
    assert at_event(Use(AT - over)).usage is Usage.DORMANT
    just, over = timedelta(days=90), timedelta(days=90, seconds=1)
    assert at_event(Use(AT - just, advanced=True)).advanced is True
    assert at_event(Use(AT - over, advanced=True)).advanced is False


def test_without_telemetry_usage_is_not_known_rather_than_dormant() -> None:
    found = segments.at_event(AT, items_opened=[], uses=None, zone=BERLIN)
    assert found == Segments(Tenure.UNKNOWN, None, None)


@given(st.lists(st.tuples(st.integers(-400 * 24, 400 * 24), st.booleans()), max_size=40))
def test_what_happens_later_changes_nothing(hours: list[tuple[int, bool]]) -> None:
    uses = [Use(AT + timedelta(hours=hour), advanced) for hour, advanced in hours]
    assert at_event(*uses) == at_event(*(use for use in uses if use.at < AT))
