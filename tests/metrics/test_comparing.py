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

from metrics import comparing, intervals
from metrics.comparing import (
    Change,
    Durations,
    NothingToCompare,
    Part,
    Side,
    TooManyDeclared,
    Wording,
)
from metrics.intervals import Interval
from metrics.small_numbers import OTHERS
from metrics.standing import Direction, Reliability

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


@settings(max_examples=40)
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


def test_groups_that_all_took_the_same_time_do_not_differ() -> None:
    same = Durations(np.full(30, 5.0), np.ones(30, dtype=bool))
    assert comparing.log_rank(same, same).p == 1


def test_a_hundred_thousand_durations_are_tested_as_by_lifelines() -> None:
    rng = np.random.default_rng(5)
    one, other = (
        Durations(rng.exponential(scale, 100_000).round(2), rng.random(100_000) < 0.8)
        for scale in (10.0, 10.1)
    )
    got = comparing.log_rank(one, other)
    oracle = logrank_test(one.times, other.times, one.happened, other.happened)
    assert got.chi2 == pytest.approx(oracle.test_statistic, rel=1e-6)


@settings(max_examples=30)
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
    back, _ = comparing.difference_of_changes(Part(150, 200, 152, 198), Part(96, 160, 126, 168))
    assert back == pytest.approx(-beyond)


@pytest.mark.parametrize("size", [10**7, 10**9])
def test_huge_groups_are_compared_without_overflow(size: int) -> None:
    same = comparing.n_minus_1(size // 2, size, size // 2, size)
    assert (same.chi2, same.p) == (0, 1)
    other = comparing.n_minus_1(size // 2, size, size // 2 + size // 1000, size)
    assert other.chi2 == pytest.approx(2 * size * 1e-6, rel=0.01)
    assert 0 <= other.p < 1e-3


chances = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(chances, st.randoms())
def test_the_order_of_questions_does_not_matter(p: list[float], random: object) -> None:
    mixed = list(p)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for correct in (comparing.benjamini_hochberg, comparing.holm):
        one = dict(zip(p, correct(p), strict=True))
        assert one == pytest.approx(dict(zip(mixed, correct(mixed), strict=True)))


@given(chances)
def test_corrections_keep_the_order_and_only_ever_doubt_more(p: list[float]) -> None:
    for correct in (comparing.benjamini_hochberg, comparing.holm):
        pairs = sorted(zip(p, correct(p), strict=True))
        adjusted = [after for _, after in pairs]
        assert adjusted == sorted(adjusted)
        assert all(before <= after + 1e-12 and after <= 1 for before, after in pairs)


def test_a_family_of_exploring_is_corrected_for_discoveries_a_declared_one_for_any_error() -> None:
    p = [0.019, 0.004, 0.21, 0.03, 0.60]
    assert [passes for _, passes in comparing.family(p)] == [True, True, False, True, False]
    declared = [passes for _, passes in comparing.family(p, declared=True)]
    assert declared == [False, True, False, False, False]
    assert comparing.family([]) == []
    with pytest.raises(TooManyDeclared):
        comparing.family([*p, 0.5], declared=True)


def test_the_handbooks_new_people_are_less_satisfied_than_experienced_ones() -> None:
    found = comparing.compare({"tenure": (Side(70, 100), Side(84, 100))})["tenure"]
    assert found.interval is not None
    assert found.wording is Wording.LOWER
    told = (found.difference, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((-0.14, -0.253, -0.023), abs=5e-4)
    assert (found.p, found.adjusted_p) == pytest.approx((0.019, 0.019), abs=5e-4)


def test_among_many_questions_the_same_difference_is_no_longer_clear() -> None:
    none = (Side(50, 100), Side(50, 100))
    pairs = {"tenure": (Side(70, 100), Side(84, 100)), **{str(n): none for n in range(9)}}
    found = comparing.compare(pairs)
    assert found["tenure"].wording is Wording.NO_CLEAR_DIFFERENCE
    assert found["tenure"].interval is not None  # the interval is shown in any case
    assert found["3"].wording is Wording.NO_CLEAR_DIFFERENCE


def test_small_and_unreliable_sides_are_not_compared_and_do_not_weigh_on_the_others() -> None:
    good = (Side(70, 100), Side(84, 100))
    found = comparing.compare(
        {
            "tenure": good,
            "small": (Side(9, 9), Side(1, 100)),
            "nobody": (Side(0, 0), Side(0, 0)),
            "silent": (Side(70, 100, Reliability.UNRELIABLE), Side(84, 100)),
            "imported": (Side(70, 100, Reliability.RATE_UNKNOWN), Side(84, 100)),
            "heard": (Side(70, 100, Reliability.LIMITED_LOW_VOLUME), Side(84, 100)),
        }
    )
    not_compared = [name for name, told in found.items() if told.wording is Wording.NOT_COMPARED]
    assert not_compared == ["small", "nobody", "silent"]
    assert found["small"].why_not == "fewer than 10"
    assert found["silent"].why_not == "unreliable"
    assert found["tenure"].adjusted_p == comparing.compare({"a": good, "b": good})["a"].adjusted_p


def test_answers_of_a_few_people_are_compared_as_those_of_a_few() -> None:
    many, few = (Side(40, 80), Side(60, 80)), (Side(40, 80, effective=4), Side(60, 80, effective=4))
    found = comparing.compare({"many": many, "few": few})
    assert found["many"].wording is Wording.LOWER
    assert found["few"].wording is Wording.NO_CLEAR_DIFFERENCE
    assert found["few"].difference == found["many"].difference == -0.25
    assert found["few"].interval == intervals.newcombe(2, 4, 3, 4)
    assert found["few"].p == comparing.n_minus_1(2, 4, 3, 4).p
    assert comparing.change(Part(40, 80, 60, 80, 4, 4))[1] == intervals.newcombe(3, 4, 2, 4)
    assert comparing.change(Part(40, 80, 60, 80))[1] == intervals.newcombe(60, 80, 40, 80)


def test_a_part_that_comes_or_goes_is_a_change_of_mix() -> None:
    stays, goes = Part(50, 100, 50, 100), Part(90, 100, 0, 0)
    found = comparing.decompose([stays, goes])
    assert found.rate_effect == 0
    assert found.mix_effect == pytest.approx(found.change)
    comes = comparing.decompose([stays, Part(0, 0, 90, 100), Part(0, 0, 0, 0)])
    assert comes.mix_effect == pytest.approx(0.2)


@pytest.mark.parametrize("parts", [[], [Part(0, 0, 5, 9)], [Part(5, 9, 0, 0)]])
def test_an_empty_period_is_not_compared(parts: list[Part]) -> None:
    with pytest.raises(NothingToCompare):
        comparing.decompose(parts)


maybe_empty = st.integers(0, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
any_parts = st.lists(st.tuples(maybe_empty, maybe_empty), min_size=1, max_size=8).map(
    lambda pairs: [Part(*before, *after) for before, after in pairs]
)


@given(any_parts, st.randoms())
def test_rate_and_mix_add_up_in_any_order_with_parts_that_come_and_go(
    found: list[Part], random: object
) -> None:
    if not sum(part.n_before for part in found) or not sum(part.n_after for part in found):
        return
    got = comparing.decompose(found)
    assert got.rate_effect + got.mix_effect == pytest.approx(got.change, abs=1e-12)
    mixed = list(found)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    other = comparing.decompose(mixed)
    assert other.mix_effect == pytest.approx(got.mix_effect, abs=1e-12)
    assert other.is_mostly_mix == got.is_mostly_mix


def test_rounding_is_no_change_of_mix() -> None:
    # one rate everywhere: weights may shift as they will, their effects cancel to the last digit
    level = [Part(28, 40, 14, 20), Part(56, 80, 7, 10), Part(49, 70, 49, 70)]
    risen = [Part(72, 90, 45, 50), Part(64, 80, 9, 10), Part(64, 80, 63, 70), Part(8, 10, 36, 40)]
    for parts in (level, risen):
        found = comparing.decompose(parts)
        assert found.mix_effect == pytest.approx(0, abs=1e-12)
        assert not found.is_mostly_mix


def test_mix_leads_only_beyond_half_of_the_change() -> None:
    half = comparing.Decomposition(0.5, 0.6, (0.05,), (0.05,))
    more = comparing.Decomposition(0.5, 0.6, (0.04,), (0.06,))
    assert (half.is_mostly_mix, more.is_mostly_mix) == (False, True)


def test_mix_that_works_against_the_rates_leads_only_where_it_does_more() -> None:
    against = comparing.Decomposition(0.129, 0.094, (-0.038,), (0.003,))
    hiding = comparing.Decomposition(0.8, 0.727, (0.025,), (-0.098,))  # the handbook's example
    assert (against.is_mostly_mix, hiding.is_mostly_mix) == (False, True)


def test_parts_with_fewer_than_five_are_joined() -> None:
    large, small = Part(9, 10, 9, 10), Part(1, 4, 40, 50)
    joined = comparing.joined_small({"a": large, "b": small, "c": Part(7, 60, 2, 3)})
    assert joined == {"a": large, OTHERS: Part(8, 64, 42, 53)}
    assert comparing.joined_small({"a": large}) == {"a": large}
    assert comparing.joined_small({}) == {}


@pytest.mark.parametrize(
    ("interval", "better", "word"),
    [
        (Interval(0.01, 0.2), Direction.HIGHER, Change.IMPROVED),
        (Interval(0.01, 0.2), Direction.LOWER, Change.WORSE),
        (Interval(0.01, 0.2), Direction.NONE, Change.ROSE),
        (Interval(-0.2, -0.01), Direction.HIGHER, Change.WORSE),
        (Interval(-0.2, -0.01), Direction.LOWER, Change.IMPROVED),
        (Interval(-0.2, -0.01), Direction.NONE, Change.FELL),
        (Interval(0.0, 0.2), Direction.HIGHER, Change.NO_CLEAR_CHANGE),
        (Interval(None, None), Direction.HIGHER, Change.NO_CLEAR_CHANGE),
    ],
)
def test_a_change_is_worded_only_beyond_doubt(
    interval: Interval, better: Direction, word: Change
) -> None:
    assert comparing.change_in_words(interval, better) is word
