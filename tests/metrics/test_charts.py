"""Charts: Montgomery's and the handbook's series, and what may never make a point signal."""

from __future__ import annotations

import math
from itertools import groupby

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metrics import charts
from metrics.charts import Chart, Every, Method, Rule

#: METRICS.md D4: twelve weeks of baseline and eight after them.
SHIFT = [82, 85, 79, 84, 81, 86, 83, 80, 84, 82, 85, 81, 76, 77, 75, 78, 74, 77, 76, 75]
PERCENT = (0.0, 100.0)


def test_the_handbooks_weeks_have_these_limits() -> None:
    found = charts.individuals(SHIFT, bounds=PERCENT)
    [stretch] = found.stretches
    assert (stretch.mean, stretch.mean_range) == pytest.approx((82.67, 3.73), abs=0.005)
    assert (found.points[0].lower, found.points[0].upper) == pytest.approx(
        (72.75, 92.58), abs=0.005
    )
    assert (stretch.method, stretch.provisional) == (Method.XMR, False)


def test_the_handbooks_shift_is_seen_though_no_point_is_outside() -> None:
    found = charts.individuals(SHIFT, bounds=PERCENT)
    assert found.signalled(Rule.BEYOND_LIMITS) == []
    # three of four: from the first of the new weeks on
    assert found.signalled(Rule.THREE_OF_FOUR)[0] == 12
    # the run starts with the last point of the baseline and is complete at the seventh new week
    complete = [point.index for point in found.points if Rule.RUN_OF_EIGHT in point.completes]
    assert complete == [18, 19]
    assert found.signalled(Rule.RUN_OF_EIGHT) == list(range(11, 20))


def test_a_reader_of_the_third_new_week_already_saw_three_of_four() -> None:
    assert charts.individuals(SHIFT[:14], bounds=PERCENT).asks_now == frozenset()
    assert charts.individuals(SHIFT[:15], bounds=PERCENT).asks_now == {Rule.THREE_OF_FOUR}


def test_limits_stay_where_the_baseline_put_them() -> None:
    early, late = charts.individuals(SHIFT[:12]), charts.individuals([*SHIFT, 10, 10, 10])
    assert early.points[0].lower == late.points[-1].lower


@pytest.mark.parametrize(
    ("n", "limits", "provisional"), [(7, 0, None), (8, 1, True), (11, 1, True), (12, 1, False)]
)
def test_limits_need_eight_points_and_are_provisional_below_twelve(
    n: int, limits: int, provisional: bool | None
) -> None:
    found = charts.individuals(SHIFT[:n])
    assert len(found.stretches) == limits
    assert [stretch.provisional for stretch in found.stretches] == [provisional] * limits
    assert (found.points[0].mean is None) == (limits == 0)


@pytest.mark.parametrize(("baseline", "provisional"), [(14, False), (15, True)])
def test_limits_are_provisional_below_the_baseline_that_was_decided(
    baseline: int, provisional: bool
) -> None:
    [stretch] = charts.individuals(SHIFT[:14], baseline=baseline).stretches
    assert stretch.provisional is provisional


@pytest.mark.parametrize("values", [[], [5.0], [None, None]])
def test_nothing_and_next_to_nothing_have_no_limits(values: list[float | None]) -> None:
    found = charts.individuals(values)
    assert found.stretches == ()
    assert found.asks_now == frozenset()
    assert len(found.points) + len(found.left_out) == len(values)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 100.0, 0.0, 1e12, -1e-9])
def test_a_series_that_never_moves_never_signals(value: float) -> None:
    # 0.1 twelve times adds up to a mean below 0.1: a run of twelve, if rounding were believed
    found = charts.individuals([value] * 30)
    assert all(not point.signals for point in found.points)


def test_a_point_on_the_limit_does_not_signal_and_one_beyond_does() -> None:
    baseline = [0.0, 1.0] * 6
    upper = 0.5 + 2.66
    assert charts.individuals([*baseline, upper]).signalled(Rule.BEYOND_LIMITS) == []
    assert charts.individuals([*baseline, upper + 1e-6]).signalled(Rule.BEYOND_LIMITS) == [12]


def test_a_point_on_the_mean_neither_extends_nor_breaks_a_run() -> None:
    baseline = [0.0, 4.0] * 6
    found = charts.individuals([*baseline, 2, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1])
    # 4 ends the baseline; below it come eight, with points on the mean between them
    assert found.signalled(Rule.RUN_OF_EIGHT) == [13, 14, 15, 17, 18, 19, 20, 22]


def test_three_of_four_needs_one_side() -> None:
    baseline = [0.0, 1.0] * 6
    far = 0.5 + 1.5  # further than 1.33 steps of 1, within 2.66
    assert charts.individuals([*baseline, far, far, 0.4, far]).signalled(Rule.THREE_OF_FOUR) == [
        12,
        13,
        15,
    ]
    assert charts.individuals([*baseline, far, -1.0, 0.4, far]).signalled(Rule.THREE_OF_FOUR) == []
    assert (
        charts.individuals([*baseline, far, far, 0.4, 0.4, far]).signalled(Rule.THREE_OF_FOUR) == []
    )


def test_a_side_whose_limit_is_out_of_reach_cannot_signal() -> None:
    baseline = [94.0, 97.0] * 6
    found = charts.individuals([*baseline, 100, 100, 100, 90], bounds=PERCENT)
    assert found.points[0].upper == 100
    assert found.signalled(Rule.THREE_OF_FOUR) == []
    unbounded = charts.individuals([*baseline, 100, 100, 100, 90])
    assert unbounded.signalled(Rule.THREE_OF_FOUR) == [12, 13, 14]
    # the other side is within reach and signals
    assert charts.individuals([*baseline, 80], bounds=PERCENT).signalled(Rule.BEYOND_LIMITS) == [12]


def test_limits_begin_anew_after_a_break() -> None:
    after = [10.0, 12.0] * 6
    found = charts.individuals([*SHIFT[:12], *after], breaks=[12])
    alone = charts.individuals(after)
    assert [stretch.first for stretch in found.stretches] == [0, 12]
    assert found.points[12:][0].upper == alone.points[0].upper
    assert all(not point.signals for point in found.points)
    unbroken = charts.individuals([*SHIFT[:12], *after])
    assert unbroken.signalled(Rule.BEYOND_LIMITS) == list(range(12, 24))


def test_a_short_stretch_after_a_break_has_no_limits_of_its_own() -> None:
    found = charts.individuals([*SHIFT, 50.0, 50.0], breaks=[20])
    assert [(point.mean, point.signals) for point in found.points[-2:]] == [(None, frozenset())] * 2


def test_screening_drops_one_wild_step_of_the_baseline() -> None:
    wild = [10.0, 11, 10, 11, 10, 20, 10, 11, 10, 11, 10, 11]
    plain, screened = charts.individuals(wild), charts.individuals(wild, screened=True)
    # steps: nine of 1 and two of 10; their mean is 2.6, the limit 8.6, so both go
    assert screened.stretches[0].mean_range == 1
    assert plain.stretches[0].mean_range == pytest.approx((9 + 10 + 10) / 11)
    assert screened.signalled(Rule.BEYOND_LIMITS) == [5]


def test_shares_of_few_are_not_plotted() -> None:
    found = charts.shares([5] * 12 + [9, 9], [12] * 12 + [9, 10])
    assert (len(found.points), found.left_out) == (13, (12,))


def test_shares_of_like_sizes_have_one_pair_of_limits() -> None:
    found = charts.shares([10, 12] * 6, [20, 40] * 6)
    assert found.stretches[0].method is Method.XMR
    assert len({point.upper for point in found.points}) == 1


def test_shares_of_unlike_sizes_have_wider_limits_where_fewer_answered() -> None:
    found = charts.shares([10, 30] * 6, [20, 50] * 6)
    [stretch] = found.stretches
    assert (stretch.method, stretch.mean) == (Method.P_PRIME, pytest.approx(40 / 70))
    few, many = found.points[0], found.points[1]
    assert few.mean is not None
    assert many.mean is not None
    assert few.upper is not None
    assert many.upper is not None
    assert (few.upper - few.mean) / (many.upper - many.mean) == pytest.approx(math.sqrt(50 / 20))


def test_p_prime_is_worked_out_by_hand() -> None:
    # 8 of 16 and 36 of 64, pooled 264 of 480 = 0.55; errors sqrt(.2475/16), sqrt(.2475/64)
    found = charts.shares([8, 36] * 6, [16, 64] * 6)
    errors = math.sqrt(0.2475 / 16), math.sqrt(0.2475 / 64)
    step = abs((0.5 - 0.55) / errors[0] - (0.5625 - 0.55) / errors[1])
    [stretch], first = found.stretches, found.points[0]
    assert stretch.mean_range == pytest.approx(step)
    assert first.lower == pytest.approx(0.55 - 3 * errors[0] * step / 1.128)
    assert found.points[1].upper == pytest.approx(0.55 + 3 * errors[1] * step / 1.128)


@pytest.mark.parametrize("share", [0, 1])
def test_shares_that_nobody_or_everybody_has_do_not_divide_by_nothing(share: int) -> None:
    sizes = [20, 50] * 8
    found = charts.shares([share * n for n in sizes], sizes)
    assert found.stretches[0].method is Method.P_PRIME
    assert all(not point.signals for point in found.points)


series = st.lists(st.integers(0, 100), min_size=12, max_size=60)


@given(series, st.integers(-5, 5), st.sampled_from([0.5, 1.0, 3.0, -1.0]))
def test_another_unit_or_origin_gives_the_same_signals(
    found: list[int], shift: int, scale: float
) -> None:
    plain = charts.individuals(found)
    moved = charts.individuals([scale * value + shift for value in found])
    assert [point.signals for point in moved.points] == [point.signals for point in plain.points]


@given(series)
def test_runs_are_those_of_counting_on_fingers(found: list[int]) -> None:
    chart = charts.individuals(found)
    mean = sum(found[:12]) / 12
    sides = [(value > mean, at) for at, value in enumerate(found) if abs(value - mean) > 1e-9]
    runs = (list(run) for _, run in groupby(sides, key=lambda one: one[0]))
    assert chart.signalled(Rule.RUN_OF_EIGHT) == [
        at for run in runs if len(run) >= 8 for _, at in run
    ]


@given(series)
def test_threes_are_those_of_looking_at_every_four(found: list[int]) -> None:
    chart = charts.individuals(found)
    [stretch] = chart.stretches
    far = 1.33 * stretch.mean_range
    seen: set[int] = set()
    for start in range(len(found)):
        window = range(start, min(start + 4, len(found)))
        for sign in (1, -1):
            out = [at for at in window if sign * (found[at] - stretch.mean) > far + 1e-9]
            if len(out) >= 3:
                seen.update(out)
    assert chart.signalled(Rule.THREE_OF_FOUR) == sorted(seen)


@given(series, series)
def test_a_break_separates_what_stands_on_either_side(one: list[int], other: list[int]) -> None:
    whole = charts.individuals([*one, *other], breaks=[len(one)])
    assert signals(whole) == signals(charts.individuals(one)) + signals(charts.individuals(other))


def signals(chart: Chart) -> list[frozenset[Rule]]:
    return [point.signals for point in chart.points]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(100, 10**9)), min_size=12, max_size=40))
def test_limits_of_shares_stay_between_nought_and_all(rows: list[tuple[int, int]]) -> None:
    found = charts.shares([x for x, _ in rows], [n for _, n in rows])
    assume(found.stretches)
    for point in found.points:
        assert point.mean is not None
        assert point.lower is not None
        assert point.upper is not None
        assert 0 <= point.lower <= point.mean <= point.upper <= 1


def test_a_chart_takes_the_shortest_step_with_enough_behind_most_points() -> None:
    sizes = {
        Every.WEEK: [3, 12, 4, 11],
        Every.MONTH: [30, 8, 14],
        Every.QUARTER: [52],
    }
    assert charts.every(sizes) is Every.MONTH  # two of four weeks are not most
    assert charts.every({Every.WEEK: [3], Every.QUARTER: [9, 9]}) is None
    assert charts.every({}) is None
