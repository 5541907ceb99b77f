"""Intervals and percentiles against scipy, statsmodels and numpy, and where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
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


def test_one_persons_twenty_answers_are_not_twenty_peoples() -> None:
    alone = intervals.clustered(np.array([20]), np.array([15]))
    assert (alone.n, alone.effective_n) == (20, 1)
    alike = intervals.clustered(np.array([20, 1, 1, 1, 1]), np.array([20, 1, 1, 1, 1]))
    assert (alike.n, alike.effective_n, alike.interval) == (24, 5, intervals.wilson(5, 5))
    nobody = intervals.clustered(np.array([2, 1]), np.array([0, 0]))
    assert nobody.interval.upper == pytest.approx(intervals.wilson(0, 2).upper)


def test_ratings_of_a_few_people_make_a_mean_as_wide_as_those_of_a_few() -> None:
    # Two people, two equal ratings each, 1 and 5: one of four varies by 4, four ratings count as 1.
    sizes, sums = np.array([2, 2]), np.array([2.0, 10.0])
    assert intervals.design_effect(sizes, sums, 4.0) == 4
    assert intervals.mean_interval(3, 2, 1, 1, 5) == Interval(None, None)
    one_each = intervals.design_effect(np.ones(4, dtype=np.int64), np.array([1.0, 1, 5, 5]), 4.0)
    assert one_each == 1


def test_a_weighted_mean_has_the_stratified_interval() -> None:
    parts = [intervals.Ratings(4.0, 1.0, 25), intervals.Ratings(2.0, 0.5, 100)]
    value, interval = intervals.weighted_mean([30, 10], parts, 1.5, 1, 5)
    assert value == 3.5
    half = intervals.Z * math.sqrt(0.75**2 / 25 + 0.25**2 * 0.25 / 100)
    assert (interval.lower, interval.upper) == pytest.approx((3.5 - half, 3.5 + half))
    for shows_none in (intervals.Ratings(2.0, None, 1), intervals.Ratings(2.0, 0.0, 1)):
        _, wider = intervals.weighted_mean([30, 10], [parts[0], shows_none], 1.5, 1, 5)
        half = intervals.Z * math.sqrt(0.75**2 / 25 + (0.25 * 1.5) ** 2)
        assert (wider.lower, wider.upper) == pytest.approx((3.5 - half, min(5, 3.5 + half)))


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


def test_where_everybody_is_satisfied_a_weighted_total_is_still_in_doubt() -> None:
    value, interval = intervals.weighted_total([1, 3], [6, 8], [6, 8])
    first, second = intervals.wilson(6, 6).lower, intervals.wilson(8, 8).lower
    assert first is not None
    assert second is not None
    assert (value, interval.upper) == (1, 1)
    below = math.hypot(0.25 * (1 - first), 0.75 * (1 - second))
    assert interval.lower == pytest.approx(1 - below)
    assert interval.lower < 0.8  # the plain normal interval would be 100 % to 100 %


@given(counts)
def test_a_total_of_one_capability_at_an_end_is_wilsons(count: tuple[int, int]) -> None:
    _, n = count
    for x in (0, n):
        _, interval = intervals.weighted_total([7], [x], [n])
        assert (interval.lower, interval.upper) == pytest.approx(
            (intervals.wilson(x, n).lower, intervals.wilson(x, n).upper)
        )


@given(st.lists(st.tuples(counts, st.integers(0, 10**9)), min_size=1, max_size=12), st.randoms())
def test_a_weighted_total_lies_inside_its_interval_in_any_order(
    rows: list[tuple[tuple[int, int], int]], random: object
) -> None:
    assume(sum(weight for _, weight in rows) > 0)

    def total(of: list[tuple[tuple[int, int], int]]) -> tuple[float, Interval]:
        return intervals.weighted_total([w for _, w in of], [x for (x, _), _ in of],
                                        [n for (_, n), _ in of])  # fmt: skip

    value, interval = total(rows)
    assert interval.lower is not None
    assert interval.upper is not None
    assert 0 <= interval.lower <= value + 1e-12
    assert value - 1e-12 <= interval.upper <= 1
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert total(mixed)[0] == pytest.approx(value)


@given(counts, st.floats(0.001, 0.999))
def test_a_binomial_tail_is_scipys(count: tuple[int, int], p: float) -> None:
    k, n = count
    assert intervals.binomial_tail(k, n, p) == pytest.approx(
        stats.binom.sf(k - 1, n, p), rel=1e-7, abs=1e-14
    )


@pytest.mark.parametrize(("k", "n"), [(500_500, 1_000_000), (50_000_000, 100_000_000)])
def test_a_binomial_tail_of_very_many_is_scipys(k: int, n: int) -> None:
    assert intervals.binomial_tail(k, n, 0.5) == pytest.approx(
        stats.binom.sf(k - 1, n, 0.5), rel=1e-6
    )


@given(st.floats(0, 30), st.floats(1, 1e6))
@example(7e-06, 1e6)
def test_the_tails_of_students_t_are_scipys(t: float, degrees: float) -> None:
    assert intervals.t_tails(t, degrees) == pytest.approx(
        2 * stats.t.sf(t, degrees), rel=1e-6, abs=1e-14
    )
    assert intervals.t_tails(-t, degrees) == intervals.t_tails(t, degrees)


@pytest.mark.parametrize("n", [1, 10**9, 10**15])
def test_wilson_is_careful_from_one_answer_to_a_million_billion(n: int) -> None:
    for x in (0, n // 2, n):
        got = intervals.wilson(x, n)
        assert got.lower is not None
        assert got.upper is not None
        assert 0 <= got.lower <= x / n <= got.upper <= 1


#: Every share printed in the handbook with its interval: x, n, percent, lower, upper.
PRINTED = {
    "M01 1-5": (112, 150, 74.7, 67.2, 81.0),
    "M01 1-7": (56, 100, 56.0, 46.2, 65.3),
    "M03": (93, 100, 93.0, 86.3, 96.6),
    "M04": (60, 80, 75.0, 64.5, 83.2),
    "M08": (8, 60, 13.3, 6.9, 24.2),
    "M09": (4, 22, 18.2, 7.3, 38.5),
    "M12": (171, 190, 90.0, 84.9, 93.5),
    "M13": (152, 190, 80.0, 73.7, 85.1),
    "M15": (182, 205, 88.8, 83.7, 92.4),
    "M15 ten items": (7, 9, 77.8, 45.3, 93.7),
    "M16 claimed": (260, 400, 65.0, 60.2, 69.5),
    "M16 verified": (228, 400, 57.0, 52.1, 61.8),
    "M16 net": (228, 340, 67.1, 61.9, 71.8),
    "M17": (22, 400, 5.5, 3.7, 8.2),
    "M18 met": (26, 200, 13.0, 9.0, 18.4),
    "M18 not met": (52, 200, 26.0, 20.4, 32.5),
    "M18 cannot tell": (40, 200, 20.0, 15.0, 26.1),
    "M19": (31, 250, 12.4, 8.9, 17.1),
    "M20": (27, 250, 10.8, 7.5, 15.3),
    "M20b": (36, 240, 15.0, 11.0, 20.1),
    "M21": (188, 210, 89.5, 84.6, 93.0),
    "M23": (640, 800, 80.0, 77.1, 82.6),
    "M25": (150, 400, 37.5, 32.9, 42.3),
    "M26": (61, 400, 15.3, 12.1, 19.1),
    "D7": (340, 400, 85.0, 81.2, 88.2),
    "D7 not met": (60, 100, 60.0, 50.2, 69.1),
}


@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED.keys())
def test_a_share_the_handbook_prints(printed: tuple[int, int, float, float, float]) -> None:
    x, n, *percent = printed
    got = intervals.wilson(x, n)
    assert got.lower is not None
    assert got.upper is not None
    assert [100 * x / n, 100 * got.lower, 100 * got.upper] == pytest.approx(percent, abs=0.0501)


#: Every difference printed: one side, other side, difference, lower, upper.
DIFFERENCES = {
    "D2": ((84, 100), (70, 100), 14.0, 2.3, 25.3),
    "D5 action": ((126, 168), (96, 160), 15.0, 4.9, 24.8),
    "D6 pass": ((62, 70), (5, 14), 52.9, 25.6, 73.0),
    "D6 fail": ((140, 190), (52, 60), -13.0, -22.3, -0.7),
    "G2": ((18, 60), (36, 340), 19.4, 8.6, 32.2),
    "G3": ((420, 500), (54, 100), 30.0, 19.9, 40.2),
    "G8": ((14, 90), (9, 410), 13.4, 7.0, 22.3),
}


@pytest.mark.parametrize("printed", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_difference_the_handbook_prints(
    printed: tuple[tuple[int, int], tuple[int, int], float, float, float],
) -> None:
    one, other, *percent = printed
    got = intervals.newcombe(*one, *other)
    assert got.lower is not None
    assert got.upper is not None
    difference = one[0] / one[1] - other[0] / other[1]
    told = [100 * difference, 100 * got.lower, 100 * got.upper]
    assert told == pytest.approx(percent, abs=0.0501)
