"""Intervals and percentiles against scipy, statsmodels and numpy, and where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from metrics import intervals
from metrics.intervals import Interval

counts = st.integers(1, 5_000).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n)),
)


@given(counts)
def test_wilson_equals_statsmodels(count: tuple[int, int]) -> None:
    got = intervals.wilson(*count)
    assert (got.lower, got.upper) == pytest.approx(
        proportion_confint(*count, method="wilson"), abs=1e-12
    )


@given(counts)
def test_wilson_holds_the_share_and_stays_within_0_and_1(count: tuple[int, int]) -> None:
    x, n = count
    got = intervals.wilson(x, n)
    assert got.lower is not None
    assert got.upper is not None
    assert 0 <= got.lower <= x / n <= got.upper <= 1
    assert (got.lower == 0) == (x == 0)
    assert (got.upper == 1) == (x == n)


@given(counts, counts)
def test_newcombe_equals_statsmodels(first: tuple[int, int], second: tuple[int, int]) -> None:
    got = intervals.newcombe(*first, *second)
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    assert (got.lower, got.upper) == pytest.approx(expected, abs=1e-9)


def test_a_difference_from_an_undetermined_limit_is_undetermined() -> None:
    open_ended = Interval(0.2, None)
    assert intervals.mover(0.5, open_ended, 0.4, Interval(0.3, 0.5)) == Interval(None, None)


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 9, 29, 99, 1_000, 50_000])
def test_students_t_equals_scipy(degrees: int) -> None:
    assert intervals.student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


def test_a_mean_of_equal_ratings_has_an_interval_of_no_width() -> None:
    assert intervals.mean_interval(4.0, 0.0, 12, 1, 5) == Interval(4.0, 4.0)


def test_a_mean_at_the_top_of_the_scale_is_clipped_there() -> None:
    got = intervals.mean_interval(4.9, 1.0, 10, 1, 5)
    assert got.upper == 5
    assert got.lower == pytest.approx(4.9 - stats.t.ppf(0.975, 9) / math.sqrt(10))


values = st.lists(st.floats(0, 1e9, allow_nan=False), min_size=1, max_size=200)


@given(values, st.sampled_from([0.1, 0.5, 0.9]))
def test_percentiles_are_those_of_type_7(found: list[float], p: float) -> None:
    ordered = sorted(found)
    place = p * (len(ordered) - 1)
    below, share = math.floor(place), place - math.floor(place)
    above = ordered[min(below + 1, len(ordered) - 1)]
    expected = ordered[below] + share * (above - ordered[below])
    assert intervals.percentile(np.array(found), p) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 35, 36, 200, 3_000])
def test_order_statistics_cover_a_percentile_as_the_binomial_says(n: int, p: float) -> None:
    lower, upper = intervals.order_statistic_ranks(n, p)
    if lower is not None:
        assert stats.binom.cdf(lower - 1, n, p) <= 0.025 < stats.binom.cdf(lower, n, p)
    else:
        assert stats.binom.cdf(0, n, p) > 0.025
    if upper is not None:
        assert stats.binom.cdf(upper - 2, n, p) < 0.975 <= stats.binom.cdf(upper - 1, n, p)
    else:
        assert stats.binom.cdf(n - 1, n, p) < 0.975


def test_36_is_the_smallest_number_with_an_upper_limit_for_nine_in_ten() -> None:
    assert intervals.order_statistic_ranks(35, 0.9)[1] is None
    assert intervals.order_statistic_ranks(36, 0.9)[1] == 36


def test_the_percentile_of_equal_values_is_that_value_without_doubt() -> None:
    assert intervals.percentile_interval(np.full(50, 7.0), 0.5) == Interval(7.0, 7.0)


def test_one_value_alone_has_no_interval() -> None:
    assert intervals.percentile_interval(np.array([7.0]), 0.5) == Interval(None, None)


people = st.lists(
    st.integers(1, 6).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m))), min_size=1
)


@given(people)
def test_several_answers_of_one_person_never_narrow_an_interval(
    found: list[tuple[int, int]],
) -> None:
    sizes, satisfied = np.array(found, dtype=np.int64).T
    got = intervals.clustered(sizes, satisfied)
    plain = intervals.wilson(got.satisfied, got.n)
    assert (got.n, got.satisfied) == (sizes.sum(), satisfied.sum())
    assert got.effective_n <= got.n
    assert got.interval.lower <= plain.lower + 1e-12
    assert got.interval.upper >= plain.upper - 1e-12


def test_one_answer_a_person_is_the_plain_interval() -> None:
    got = intervals.clustered(np.ones(10, dtype=np.int64), np.array([1] * 7 + [0] * 3))
    assert (got.design_effect, got.interval) == (1.0, intervals.wilson(7, 10))


def test_a_hand_calculated_design_effect() -> None:
    # Two people, two answers each, one wholly happy, one not at all: p = 1/2, n = 4, k = 2;
    # v = 2 * ((2 - 1)^2 + (0 - 1)^2) / 16 = 1/4, plain = 1/16, so 4 answers count as 1.
    got = intervals.clustered(np.array([2, 2]), np.array([2, 0]))
    assert (got.design_effect, got.effective_n) == (4.0, 1.0)


def test_a_weighted_total_is_the_share_of_the_stretch_when_weights_are_answers() -> None:
    value, interval = intervals.weighted_total([10, 30], [5, 24], [10, 30])
    assert value == pytest.approx(29 / 40)
    half = intervals.Z * math.sqrt((0.25**2) * 0.25 / 10 + (0.75**2) * 0.16 / 30)
    assert (interval.lower, interval.upper) == pytest.approx((value - half, value + half))


def test_answers_needed_for_a_gap() -> None:
    assert intervals.answers_needed(0.5, 0.1) == 97


def test_a_net_promoter_score_of_100_people_is_hardly_above_zero() -> None:
    found = intervals.NetPromoter(promoters=40, passives=35, detractors=25)
    assert (found.score, found.margin) == (15.0, pytest.approx(15.26, abs=0.005))
    # the same from three answers added: 40.75 and 25.75 of 103
    signs = np.repeat([1.0, 0.0, -1.0], [4075, 3650, 2575])
    half = intervals.Z * 100 * signs.std() / math.sqrt(103)
    assert found.interval.lower == pytest.approx(100 * signs.mean() - half)
    assert found.interval.upper == pytest.approx(100 * signs.mean() + half)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_net_promoter_interval_stays_on_the_scale(up: int, middle: int, down: int) -> None:
    assume(up + middle + down > 0)
    found = intervals.NetPromoter(up, middle, down)
    assert -100 <= found.interval.lower <= found.adjusted <= found.interval.upper <= 100
    ratings = [1] * up + [0] * middle + [-1] * down
    assert found.variance == pytest.approx(np.var(ratings))
    turned = intervals.NetPromoter(down, middle, up)
    assert turned.interval.lower == pytest.approx(-found.interval.upper)


def test_a_score_does_not_differ_from_itself() -> None:
    found = intervals.NetPromoter(40, 35, 25)
    difference, interval = intervals.net_promoter_difference(found, found)
    assert difference == 0
    assert interval.upper == pytest.approx(-interval.lower)
    assert interval.upper == pytest.approx(found.margin * math.sqrt(2))
