"""Comparisons against scipy, lifelines and statsmodels, and the handbook's worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.statistics import logrank_test
from scipy import stats
from statsmodels.stats.multitest import multipletests

from metrics import comparing
from metrics.comparing import Durations, Effect, Part
from metrics.intervals import Interval

counts = st.integers(1, 2_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts)
def test_the_test_of_two_shares_is_pearsons_less_one_person(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    got = comparing.n_minus_1(*one, *other)
    (x1, n1), (x2, n2) = one, other
    if x1 + x2 in (0, n1 + n2):
        assert (got.chi2, got.p) == (0, 1)
        return
    pearson = stats.chi2_contingency([[x1, n1 - x1], [x2, n2 - x2]], correction=False).statistic
    chi2 = pearson * (n1 + n2 - 1) / (n1 + n2)
    assert got.chi2 == pytest.approx(chi2, rel=1e-9, abs=1e-12)
    assert got.p == pytest.approx(stats.chi2.sf(chi2, 1), rel=1e-7, abs=1e-300)


def test_the_handbooks_new_and_experienced_people_differ() -> None:
    got = comparing.n_minus_1(70, 100, 84, 100)
    assert (got.chi2, got.p) == (pytest.approx(5.51, abs=0.005), pytest.approx(0.019, abs=0.0005))


group = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=40).map(
    lambda rows: Durations(
        np.array([time for time, _ in rows], dtype=float), np.array([done for _, done in rows])
    )
)


@settings(deadline=None, max_examples=40)
@given(group, group)
def test_the_test_of_two_groups_of_durations_is_that_of_lifelines(
    one: Durations, other: Durations
) -> None:
    got = comparing.log_rank(one, other)
    swapped = comparing.log_rank(other, one)
    assert got.chi2 == pytest.approx(swapped.chi2, abs=1e-9)
    if not _tells_apart(one, other):
        assert got.p == 1  # lifelines divides by nothing here
        return
    oracle = logrank_test(one.times, other.times, one.happened, other.happened)
    assert got.chi2 == pytest.approx(oracle.test_statistic, rel=1e-7, abs=1e-9)
    assert got.p == pytest.approx(oracle.p_value, rel=1e-6, abs=1e-12)


def _tells_apart(one: Durations, other: Durations) -> bool:
    """Whether something happened while both groups were at risk, and not to everybody at once."""
    times = np.concatenate((one.times, other.times))
    happened = np.concatenate((one.happened, other.happened))
    return any(
        at <= min(one.times.max(), other.times.max())
        and (happened & (times == at)).sum() < (times >= at).sum()
        for at in times[happened]
    )


def test_groups_in_which_nothing_happened_do_not_differ() -> None:
    still_open = Durations(np.array([3.0, 9.0]), np.array([False, False]))
    nobody = Durations(np.zeros(0), np.zeros(0, dtype=bool))
    assert comparing.log_rank(still_open, still_open).p == 1
    assert comparing.log_rank(nobody, still_open).p == 1
    assert comparing.log_rank(nobody, nobody).p == 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_corrections_for_many_questions_are_those_of_statsmodels(p: list[float]) -> None:
    for ours, theirs in ((comparing.benjamini_hochberg, "fdr_bh"), (comparing.holm, "holm")):
        assert ours(p) == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-12)


def test_no_question_needs_no_correction() -> None:
    assert (comparing.benjamini_hochberg([]), comparing.holm([])) == ([], [])


def test_the_handbooks_five_segments() -> None:
    p = [0.019, 0.004, 0.21, 0.03, 0.60]
    adjusted = comparing.benjamini_hochberg(p)
    assert [value <= 0.10 for value in adjusted] == [True, True, False, True, False]
    assert adjusted[:2] == pytest.approx([0.0475, 0.020])
    assert [value <= 0.05 for value in comparing.holm(p)] == [False, True, False, False, False]


parts = st.lists(
    st.tuples(counts, counts).map(lambda pair: Part(*pair[0], *pair[1])), min_size=1, max_size=8
)


@given(parts)
def test_rate_and_mix_add_up_to_the_change(found: list[Part]) -> None:
    got = comparing.decompose(found)
    assert got.rate_effect + got.mix_effect == pytest.approx(got.change, abs=1e-12)
    assert math.isclose(
        comparing.decompose([found[0]]).mix_effect, 0, abs_tol=1e-12
    )  # one part alone has no mix


def test_a_total_may_fall_while_every_part_improves() -> None:
    got = comparing.decompose([Part(180, 200, 92, 100), Part(60, 100, 126, 200)])
    assert got.change == pytest.approx(-0.0733, abs=5e-5)
    assert (got.rate_effect, got.mix_effect) == pytest.approx((0.025, -0.0983), abs=5e-5)
    assert got.is_mostly_mix
    assert not comparing.decompose([Part(10, 20, 15, 20), Part(9, 20, 14, 20)]).is_mostly_mix


def test_a_change_is_judged_beyond_that_of_its_comparison() -> None:
    beyond, interval = comparing.difference_of_changes(
        Part(96, 160, 126, 168), Part(150, 200, 152, 198)
    )
    assert beyond == pytest.approx(0.132, abs=0.0005)
    assert (interval.lower, interval.upper) == pytest.approx((0.001, 0.261), abs=0.0005)
    assert comparing.effect_beyond_comparison(interval) is Effect.IMPROVED
    back, _ = comparing.difference_of_changes(Part(150, 200, 152, 198), Part(96, 160, 126, 168))
    assert back == pytest.approx(-beyond)


@pytest.mark.parametrize(
    ("interval", "effect"),
    [
        (Interval(0.0, 0.2), Effect.CANNOT_TELL_YET),
        (Interval(-0.2, 0.0), Effect.CANNOT_TELL_YET),
        (Interval(-0.2, -0.1), Effect.WORSE),
        (Interval(None, None), Effect.CANNOT_TELL_YET),
    ],
)
def test_an_effect_is_told_only_beyond_doubt(interval: Interval, effect: Effect) -> None:
    assert comparing.effect_beyond_comparison(interval) is effect


def test_what_was_picked_for_standing_out_drifts_back_by_itself() -> None:
    assert comparing.expected_drift(65, 75, between=16, within=36) == pytest.approx(6.923, abs=5e-4)
    assert comparing.expected_drift(75, 75, between=16, within=36) == 0
