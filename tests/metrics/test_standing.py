"""How far a figure may be trusted, and when it meets a target."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrics.intervals import Interval
from metrics.settings import SIGNERS, SURVEY_WINDOW
from metrics.standing import (
    PRECISION,
    Direction,
    Reliability,
    ResponseRates,
    Status,
    answers_required,
    five_negatives_drop,
    is_fragile,
    kept,
    reliability,
    silent,
    status,
)


@pytest.mark.parametrize(
    ("sent", "required"), [(20, 17), (50, 34), (100, 50), (500, 81), (1_000, 88), (5_000, 95)]
)
def test_required_answers_grow_slowly_with_volume(sent: int, required: int) -> None:
    assert answers_required(sent) == required


@given(st.integers(1, 100_000))
def test_nobody_needs_more_answers_than_were_asked_for(sent: int) -> None:
    z = stats.norm.ppf(0.975)
    assert 1 <= answers_required(sent) <= min(sent, math.ceil(z**2 * 0.25 / 0.01))


@pytest.mark.parametrize(
    ("sent", "answered", "state"),
    [
        (10, 4, Reliability.SUPPRESSED),
        (None, 4, Reliability.SUPPRESSED),
        (None, 500, Reliability.RATE_UNKNOWN),
        (1_000, 99, Reliability.UNRELIABLE),  # below 10 %, however many
        (100, 19, Reliability.UNRELIABLE),  # below 20 % and too few
        (1_000, 100, Reliability.LIMITED_HIGH_VOLUME),
        (100, 20, Reliability.LIMITED_LOW_VOLUME),
        (100, 49, Reliability.LIMITED_LOW_VOLUME),
        (100, 50, Reliability.RELIABLE),
    ],
)
def test_the_first_state_that_holds_wins(
    sent: int | None, answered: int, state: Reliability
) -> None:
    assert reliability(sent, answered) is state


def test_a_share_is_fragile_if_five_angry_people_could_move_it_by_more_than_five_points() -> None:
    assert is_fragile(50, 60)
    assert not is_fragile(70, 100)


@pytest.mark.parametrize("precision", [0.10, 0.15, 0.05])
@pytest.mark.parametrize("sent", [1, 2, 3, 10, 100, 10**6, 10**15])
def test_at_any_precision_nobody_is_asked_to_answer_twice(sent: int, precision: float) -> None:
    assert 1 <= answers_required(sent, precision) <= sent


def test_a_small_organisation_needs_fewer_answers() -> None:
    assert set(PRECISION) == set(SURVEY_WINDOW) == set(SIGNERS) == {"small", "standard", "large"}
    small = PRECISION["small"]
    assert (answers_required(50), answers_required(50, small)) == (34, 24)
    assert reliability(50, 24) is Reliability.LIMITED_LOW_VOLUME
    assert reliability(50, 24, small) is Reliability.RELIABLE


@pytest.mark.parametrize(
    ("sent", "answered", "state"),
    [
        (420, 118, Reliability.RELIABLE),
        (1_500, 180, Reliability.LIMITED_HIGH_VOLUME),
        (1_000, 95, Reliability.UNRELIABLE),
        (60, 8, Reliability.UNRELIABLE),
        (20, 6, Reliability.LIMITED_LOW_VOLUME),
        (40, 4, Reliability.SUPPRESSED),
        (300, 84, Reliability.RELIABLE),  # the pilot of D6
    ],
)
def test_the_handbooks_surveys_are_in_these_states(
    sent: int, answered: int, state: Reliability
) -> None:
    assert reliability(sent, answered) is state


def test_the_handbooks_silent_could_move_101_of_420_between_24_and_96_percent() -> None:
    found = silent(420, 118, 101, target=0.8)
    told = (found.lower, found.upper, found.needed)
    assert told == pytest.approx((0.240, 0.960, 0.778), abs=5e-4)


def test_where_nobody_was_asked_everything_is_possible() -> None:
    assert reliability(0, 7) is Reliability.RATE_UNKNOWN
    assert reliability(0, 0) is Reliability.SUPPRESSED
    assert answers_required(0) == 0
    nothing = silent(0, 0, 0, target=0.8)
    assert (nothing.lower, nothing.upper, nothing.needed) == (0, 1, None)
    assert five_negatives_drop(0, 0) == 0
    assert not is_fragile(0, 0)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_drop_of_five_negatives_is_that_of_counting_them(count: tuple[int, int]) -> None:
    satisfied, n = count
    assert five_negatives_drop(satisfied, n) == pytest.approx(
        satisfied / n * (1 - n / (n + 5)), abs=1e-12
    )
    assert not is_fragile(0, n)


def test_the_silent_bound_what_everybody_would_have_said() -> None:
    found = silent(100, 40, 36, target=0.8)
    assert (found.lower, found.upper) == (0.36, 0.96)
    assert found.needed == pytest.approx(44 / 60)
    assert silent(10, 10, 9, target=0.8).needed is None


@pytest.mark.parametrize(
    ("interval", "direction", "expected"),
    [
        (Interval(0.90, 0.95), Direction.HIGHER, Status.MET),
        (Interval(0.80, 0.95), Direction.HIGHER, Status.CANNOT_TELL_YET),
        (Interval(0.80, 0.90), Direction.HIGHER, Status.CANNOT_TELL_YET),  # 0.90 is still possible
        (Interval(0.80, 0.89), Direction.HIGHER, Status.NOT_MET),
        (Interval(0.10, 0.90), Direction.LOWER, Status.MET),
        (Interval(0.91, 0.99), Direction.LOWER, Status.NOT_MET),
        (Interval(0.85, 0.95), Direction.LOWER, Status.CANNOT_TELL_YET),
        (Interval(None, None), Direction.HIGHER, Status.CANNOT_TELL_YET),
        (Interval(0.95, None), Direction.LOWER, Status.NOT_MET),
        (Interval(None, 0.85), Direction.LOWER, Status.MET),
    ],
)
def test_a_target_of_90_is_met_only_beyond_doubt(
    interval: Interval, direction: Direction, expected: Status
) -> None:
    assert status(interval, 0.90, direction) is expected


@pytest.mark.parametrize(
    "state", [Reliability.SUPPRESSED, Reliability.RATE_UNKNOWN, Reliability.UNRELIABLE]
)
def test_a_figure_that_cannot_be_trusted_decides_nothing(state: Reliability) -> None:
    assert status(Interval(0.99, 1.0), 0.5, Direction.HIGHER, state) is Status.CANNOT_TELL_YET
    assert status(Interval(0.99, 1.0), 0.5, Direction.HIGHER, Reliability.RELIABLE) is Status.MET


def test_a_target_is_kept_when_the_value_is_exactly_on_it() -> None:
    assert kept(0.9, 0.9, Direction.HIGHER)
    assert kept(0.9, 0.9, Direction.LOWER)
    assert not kept(0.9, 0.8, Direction.LOWER)


def test_response_rates_count_bounced_invitations_as_asked_only_where_they_say_so() -> None:
    rates = ResponseRates(eligible=200, sent=100, bounced=20, complete=30, answered=40)
    assert (rates.response_rate, rates.complete_rate) == (0.4, 0.3)
    assert (rates.participation_rate, rates.coverage, rates.effective_coverage) == (0.5, 0.5, 0.2)
