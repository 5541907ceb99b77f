"""Pilots of a survey: the handbook's three, scipy's correlation, and what holds a verdict back."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrics import piloting
from metrics.piloting import SMALL, Answers, Pilot, Verdict
from metrics.standing import Reliability

WEEKS_SATISFIED = [84, 80, 78, 82, 75, 79, 83, 81]
WEEKS_REOPENED = [9, 11, 14, 10, 16, 13, 10, 12]


def judged(held: Answers, reopened: Answers, **more: object) -> Pilot:
    told: dict[str, object] = {
        "reliability": Reliability.RELIABLE,
        "weekly_satisfied": WEEKS_SATISFIED,
        "weekly_reopened": WEEKS_REOPENED,
        **more,
    }
    return piloting.judge(held, reopened, **told)  # type: ignore[arg-type]


def test_the_handbooks_pilot_passes() -> None:
    found = judged(Answers(62, 70), Answers(5, 14))
    assert found.interval is not None
    told = (found.difference, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((0.529, 0.256, 0.730), abs=5e-4)
    assert found.correlations[0] == pytest.approx(-0.97, abs=5e-3)
    assert (found.verdict, found.reasons) == (Verdict.PASSES, ())


def test_the_handbooks_thin_pilot_is_extended() -> None:
    found = judged(Answers(20, 24), Answers(3, 4))
    assert found.verdict is Verdict.EXTEND
    assert found.reasons[:2] == ("28 of 30 answers", "fewer than 5 of 8 answers on reopened items")


def test_the_handbooks_third_pilot_fails() -> None:
    found = judged(Answers(140, 190), Answers(52, 60))
    assert found.interval is not None
    told = (found.difference, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((-0.130, -0.223, -0.007), abs=5e-4)
    assert found.verdict is Verdict.FAILS


def test_a_reaction_proven_to_be_tiny_fails() -> None:
    found = judged(Answers(90_000, 100_000), Answers(88_000, 100_000))
    assert found.interval is not None
    assert found.interval.lower is not None
    assert found.interval.lower > 0
    assert found.verdict is Verdict.FAILS


def test_an_unreliable_pilot_decides_nothing() -> None:
    unreliable = {"reliability": Reliability.UNRELIABLE}
    assert judged(Answers(62, 70), Answers(5, 14), **unreliable).verdict is Verdict.EXTEND
    assert judged(Answers(140, 190), Answers(52, 60), **unreliable).verdict is Verdict.EXTEND


def test_satisfaction_that_rises_with_reopening_speaks_against_a_pass() -> None:
    found = judged(Answers(62, 70), Answers(5, 14), weekly_reopened=WEEKS_SATISFIED)
    assert (found.verdict, found.correlations[0]) == (Verdict.EXTEND, pytest.approx(1))


def test_weeks_that_do_not_vary_are_no_support() -> None:
    found = judged(Answers(62, 70), Answers(5, 14), weekly_reopened=[10.0] * 8)
    assert (found.verdict, found.correlations) == (Verdict.EXTEND, (None, None, None))


def test_after_two_extensions_people_choose() -> None:
    assert judged(Answers(20, 24), Answers(3, 4), extensions=1).verdict is Verdict.EXTEND
    assert judged(Answers(20, 24), Answers(3, 4), extensions=2).verdict is Verdict.CHOOSE
    assert judged(Answers(62, 70), Answers(5, 14), extensions=2).verdict is Verdict.PASSES


def test_a_small_organisation_needs_fewer_answers() -> None:
    thin = Answers(17, 18), Answers(0, 6)
    assert judged(*thin).verdict is Verdict.EXTEND
    assert judged(*thin, enough=SMALL).verdict is Verdict.PASSES


def test_a_pilot_nobody_answered_is_extended() -> None:
    found = judged(
        Answers(0, 0),
        Answers(0, 0),
        reliability=Reliability.SUPPRESSED,
        weekly_satisfied=[],
        weekly_reopened=[],
    )
    assert (found.verdict, found.difference, found.interval) == (Verdict.EXTEND, None, None)


weeks = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=60)


@given(weeks)
def test_the_correlation_of_ranks_is_scipys(found: list[tuple[int, int]]) -> None:
    one, other = zip(*found, strict=True)
    got = piloting.spearman(one, other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        oracle = stats.spearmanr(one, other).statistic
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert got is None
    else:
        assert got == pytest.approx(oracle, abs=1e-9)


def test_a_later_series_is_shifted_by_whole_weeks() -> None:
    assert piloting.lagged([1, 2, 3, 9], [7, 1, 2, 3], 1) == pytest.approx(1)
    assert piloting.lagged([1, 2, 3], [1, 2, 3], 1) is None  # two weeks are left
    assert piloting.lagged([1, 2], [1, 2], 5) is None
    assert piloting.lagged([], [], 0) is None
