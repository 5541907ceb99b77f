"""Suggested targets: the handbook's two, rounding and holding, and what would settle a status."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metrics import suggesting
from metrics.drivers import Shrinkage
from metrics.intervals import wilson
from metrics.standing import Direction, Reliability, Status, status
from metrics.suggesting import Period, Source

HIGHER, LOWER = Direction.HIGHER, Direction.LOWER


def test_the_handbooks_satisfaction_target() -> None:
    found = suggesting.suggest(
        0.74, better=HIGHER, benchmark=0.85, maturity=2, natural_limit=0.80, answers_a_month=120
    )
    assert found is not None
    assert (found.raw, found.target) == (pytest.approx(0.773), 0.77)
    assert (found.answers_needed, found.months_needed) == (756, 7)
    assert found.cannot_be_judged_monthly
    assert (found.needs_process_change, found.hold) == (False, False)


def test_the_handbooks_reopen_target_needs_a_process_change() -> None:
    found = suggesting.suggest(
        0.24, better=LOWER, benchmark=0.10, maturity=3, natural_limit=0.19, answers_a_month=200
    )
    assert found is not None
    assert (found.raw, found.target) == (pytest.approx(0.184), 0.18)
    assert found.needs_process_change
    assert not found.cannot_be_judged_monthly


def test_a_target_at_the_natural_limit_needs_no_change() -> None:
    found = suggesting.suggest(0.7, better=HIGHER, benchmark=0.8, maturity=1, natural_limit=0.72)
    assert found is not None
    assert (found.target, found.needs_process_change) == (0.72, False)


def test_half_a_point_is_rounded_up() -> None:
    found = suggesting.suggest(0.70, better=HIGHER, benchmark=0.75, maturity=4)
    assert found is not None
    assert (found.raw, found.target) == (pytest.approx(0.725), 0.73)


@pytest.mark.parametrize(
    ("now", "benchmark", "better", "target"),
    [
        (0.90, 0.85, HIGHER, 0.90),
        (0.85, 0.85, HIGHER, 0.85),
        (0.746, 0.70, HIGHER, 0.74),  # not 75: holding is not improving in disguise
        (0.742, 0.743, HIGHER, 0.74),  # the step is smaller than a point
        (0.082, 0.10, LOWER, 0.09),
    ],
)
def test_who_is_already_better_holds(
    now: float, benchmark: float, better: Direction, target: float
) -> None:
    found = suggesting.suggest(now, better=better, benchmark=benchmark, maturity=3)
    assert found is not None
    assert (found.target, found.hold, found.answers_needed) == (target, True, None)
    assert not found.cannot_be_judged_monthly


def test_without_a_benchmark_the_own_upper_quartile_is_suggested_and_marked() -> None:
    own = [0.6, 0.7, 0.8, 0.9, 1.0]
    found = suggesting.suggest(0.7, better=HIGHER, own=own)
    assert found is not None
    assert (found.target, found.source) == (0.9, Source.OWN_CAPABILITIES)
    fewer = suggesting.suggest(0.9, better=LOWER, own=own)
    assert fewer is not None
    assert fewer.target == 0.7


def test_there_is_no_suggestion_without_anything_to_go_by() -> None:
    assert suggesting.suggest(0.7, better=HIGHER) is None
    assert suggesting.suggest(0.7, better=HIGHER, own=[0.9, 0.9, 0.9]) is None


@pytest.mark.parametrize("maturity", [None, 0, 6])
def test_a_maturity_is_one_to_five(maturity: int | None) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        suggesting.suggest(0.7, better=HIGHER, benchmark=0.9, maturity=maturity)


def test_where_nobody_answers_no_number_of_months_is_named() -> None:
    found = suggesting.suggest(0.74, better=HIGHER, benchmark=0.85, maturity=2)
    assert found is not None
    assert (found.months_needed, found.cannot_be_judged_monthly) == (None, True)


def test_a_target_of_all_takes_the_spread_of_the_baseline() -> None:
    found = suggesting.suggest(0.99, better=HIGHER, benchmark=1.0, maturity=5, answers_a_month=10)
    assert found is not None
    assert found.target == 1.0
    assert found.answers_needed == 381  # z² · 0.99 · 0.01 / 0.01²


FIELD = Shrinkage(0.8, None, 20.0)


def test_a_baseline_is_the_shrunk_share_of_the_last_six_periods() -> None:
    periods = [Period(0, 100), *[Period(7, 10)] * 6]
    found = suggesting.baseline(periods, FIELD)
    assert found is not None
    assert (found.value, found.periods) == (pytest.approx((42 + 16) / 80), 6)


def test_unreliable_and_empty_periods_are_no_baseline() -> None:
    periods = [Period(9, 10), Period(9, 10), Period(0, 0), Period(9, 10, Reliability.UNRELIABLE)]
    assert suggesting.baseline(periods, FIELD) is None
    assert suggesting.baseline([*periods, Period(9, 10, Reliability.RELIABLE)], FIELD)
    assert suggesting.baseline([], FIELD) is None


shares = st.integers(1, 999).map(lambda n: n / 1000)


@given(shares, shares, st.integers(1, 5), st.sampled_from([HIGHER, LOWER]))
def test_a_suggestion_lies_between_here_and_the_benchmark(
    now: float, benchmark: float, maturity: int, better: Direction
) -> None:
    found = suggesting.suggest(now, better=better, benchmark=benchmark, maturity=maturity)
    assert found is not None
    sign = -1 if better is LOWER else 1
    assert round(100 * found.target) == pytest.approx(100 * found.target)
    if found.hold:
        assert sign * found.target <= sign * now + 1e-9
    else:
        assert sign * now < sign * found.target <= sign * benchmark + 0.005 + 1e-9


@given(st.integers(1, 99), st.integers(1, 99))
def test_the_answers_said_to_settle_a_status_do_settle_it(seen: int, aim: int) -> None:
    assume(seen != aim)
    value, target = seen / 100, aim / 100
    more = suggesting.answers_to_settle(value, target, so_far=0)
    assert more is not None
    enough = wilson(value * (more + 1), more + 1)
    assert status(enough, target, HIGHER) is (Status.MET if value > target else Status.NOT_MET)
    if more > 2:
        short = wilson(value * (more - 2), more - 2)
        assert status(short, target, HIGHER) is Status.CANNOT_TELL_YET


def test_what_stands_on_its_target_is_never_settled_by_more_of_the_same() -> None:
    assert suggesting.answers_to_settle(0.8, 0.8, 50) is None
    assert suggesting.answers_to_settle(0.9, 1.0, 50) is None
    assert suggesting.answers_to_settle(0.84, 0.80, 52) == 385 - 52


def test_three_undecided_periods_in_a_row_ask_for_more_data() -> None:
    open_, met = Status.CANNOT_TELL_YET, Status.MET
    assert suggesting.needs_more_data([met, open_, open_, open_])
    assert not suggesting.needs_more_data([open_, open_, met])
    assert not suggesting.needs_more_data([open_, open_])
    assert not suggesting.needs_more_data([])
