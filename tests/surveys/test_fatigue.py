"""Nobody is asked more often than the limits say, and every silence has its reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveys.fatigue import (
    Event,
    Limits,
    Reason,
    draw,
    due_at,
    mailbox,
    reason_not_to_ask,
    same_mailbox,
)

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LIMITS = Limits(
    delay=timedelta(minutes=5),
    per_7_days=1,
    per_90_days=3,
    effort_threshold=timedelta(minutes=10),
    sampling=1.0,
)
EVENT = Event(at=NOON, took=timedelta(hours=2), replies=2, draw=0.5, has_address=True)


def decide(event: Event = EVENT, now: datetime = NOON, limits: Limits = LIMITS) -> Reason | None:
    return reason_not_to_ask(event, limits=limits, now=now)


def test_an_event_without_a_reason_against_it_is_asked_about() -> None:
    assert decide() is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"own_ticket": True}, Reason.OWN_TICKET),
        ({"has_address": False}, Reason.NO_ADDRESS),
        ({"opted_out": True}, Reason.OPTED_OUT),
        ({"at": NOON - timedelta(hours=24, seconds=1)}, Reason.TOO_LATE),
        ({"at": NOON - timedelta(hours=24)}, None),
        ({"took": timedelta(minutes=9, seconds=59), "replies": 1}, Reason.LOW_EFFORT),
        ({"took": timedelta(minutes=10), "replies": 1}, None),
        ({"took": timedelta(minutes=2), "replies": 2}, None),
        ({"asked_at": [NOON - timedelta(days=6)]}, Reason.ASKED_RECENTLY),
    ],
)
def test_each_reason_has_its_boundary(change: dict[str, object], reason: Reason | None) -> None:
    assert decide(replace(EVENT, **change)) is reason


def test_sampling_takes_the_draws_below_its_share() -> None:
    half = replace(LIMITS, sampling=0.5)
    assert decide(replace(EVENT, draw=0.4999), limits=half) is None
    assert decide(replace(EVENT, draw=0.5), limits=half) is Reason.SAMPLING


def test_the_same_event_is_always_drawn_alike_and_draws_spread_evenly() -> None:
    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert draw(1, 23) != draw(12, 3)
    below = sum(draw(7, number) < 0.3 for number in range(10_000))
    assert 2_850 < below < 3_150


def test_exactly_seven_days_later_the_next_question_is_allowed() -> None:
    due = due_at(NOON, limits=LIMITS, now=NOON)
    assert decide(replace(EVENT, asked_at=[due - timedelta(days=7)])) is None
    almost = due - timedelta(days=7) + timedelta(seconds=1)
    assert decide(replace(EVENT, asked_at=[almost])) is Reason.ASKED_RECENTLY


def test_a_question_is_due_after_the_delay_and_at_once_when_heard_of_late() -> None:
    assert due_at(NOON, limits=LIMITS, now=NOON) == NOON + timedelta(minutes=5)
    later = NOON + timedelta(hours=3)
    assert due_at(NOON, limits=LIMITS, now=later) == later


@given(
    minutes=st.lists(st.integers(0, 200 * 24 * 60), min_size=1, max_size=60),
    heard=st.lists(st.integers(0, 23 * 60), min_size=60, max_size=60),
    per_7_days=st.integers(1, 3),
    per_90_days=st.integers(1, 6),
)
def test_no_week_and_no_quarter_ever_holds_more_invitations_than_its_limit(
    minutes: list[int], heard: list[int], per_7_days: int, per_90_days: int
) -> None:
    """Events happen at any time and are heard of up to a day late, in the order of hearing."""
    limits = replace(LIMITS, per_7_days=per_7_days, per_90_days=per_90_days)
    news = sorted(
        (NOON + timedelta(minutes=at + late), NOON + timedelta(minutes=at))
        for at, late in zip(minutes, heard, strict=False)
    )
    asked: list[datetime] = []
    for now, at in news:
        event = replace(EVENT, at=at, asked_at=asked)
        if reason_not_to_ask(event, limits=limits, now=now) is None:
            asked.append(due_at(at, limits=limits, now=now))
    for start in asked:
        week = [at for at in asked if start <= at < start + timedelta(days=7)]
        quarter = [at for at in asked if start <= at < start + timedelta(days=90)]
        assert len(week) <= per_7_days
        assert len(quarter) <= per_90_days
    assert asked, "the first event of all is always asked about"


def test_a_plus_alias_and_capitals_are_the_same_mailbox() -> None:
    assert same_mailbox("Agnes+survey@Acme.example", "agnes@acme.example")
    assert not same_mailbox("agnes@acme.example", "agnes@globex.example")
    assert not same_mailbox("", "")
    assert mailbox(" A+b+c@x.example ") == "a@x.example"
