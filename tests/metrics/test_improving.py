"""Improvement actions: the handbook's example, and that nothing is called proven that is not."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import improving
from metrics.comparing import Part
from metrics.drivers import Shrinkage
from metrics.improving import DifferentQuestions, Effect
from metrics.intervals import Interval
from metrics.standing import Direction

#: Picked from a field whose rates are drawn to 75 %.
FIELD = Shrinkage(overall=0.75, rho=None, strength=20.0)
ACTION, COMPARISON = Part(96, 160, 126, 168), Part(150, 200, 152, 198)


def test_the_handbooks_action_improved_barely() -> None:
    found = improving.judge(ACTION, COMPARISON, FIELD)
    assert found.interval is not None
    assert found.beyond_interval is not None
    told = (found.difference, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((0.150, 0.049, 0.248), abs=5e-4)
    beyond = (found.beyond, found.beyond_interval.lower, found.beyond_interval.upper)
    assert beyond == pytest.approx((0.132, 0.001, 0.261), abs=5e-4)
    assert found.verdict is Effect.IMPROVED
    assert found.answers_needed is None


def test_what_was_picked_for_standing_out_drifts_back_by_itself() -> None:
    assert improving.expected_drift(65, 75, between=16, within=36) == pytest.approx(6.923, abs=5e-4)
    assert improving.expected_drift(75, 75, between=16, within=36) == 0
    found = improving.judge(ACTION, None, FIELD)
    assert found.shrunk_before == pytest.approx((96 + 20 * 0.75) / 180)
    assert found.expected_drift == pytest.approx((96 + 15) / 180 - 0.6)


def test_the_shrunk_rate_is_the_expected_drift_of_the_handbook() -> None:
    # with a within-variance p(1-p)/n and a between-variance p(1-p)/M both say the same
    spread = 0.75 * 0.25
    drift = improving.expected_drift(0.6, 0.75, between=spread / 20, within=spread / 160)
    assert improving.judge(ACTION, None, FIELD).expected_drift == pytest.approx(drift)


def test_without_a_comparison_the_rate_after_must_exceed_the_shrunk_one_beyond_doubt() -> None:
    # 126 of 168 is at least 67.9 %; the shrunk rate before is 61.7 %
    assert improving.judge(ACTION, None, FIELD).verdict is Effect.IMPROVED
    strongly = Shrinkage(overall=0.75, rho=None, strength=500.0)
    likely = improving.judge(ACTION, None, strongly)
    assert likely.shrunk_before == pytest.approx(0.714, abs=5e-4)
    assert likely.verdict is Effect.LIKELY_IMPROVED


def test_several_answers_of_one_person_prove_less() -> None:
    assert improving.judge(ACTION, None, FIELD).verdict is Effect.IMPROVED
    few = Part(96, 160, 126, 168, effective_after=60.0)
    # the drawn figure before is 61.7 %: 45 of 60 is at least 62.8 %, 22.5 of 30 only 57.3 %
    assert improving.judge(few, None, FIELD).verdict is Effect.IMPROVED
    fewer = Part(96, 160, 126, 168, effective_after=30.0)
    assert improving.judge(fewer, None, FIELD).verdict is Effect.CANNOT_TELL_YET


def test_the_windows_may_be_of_other_lengths() -> None:
    before, after = improving.windows(
        date(2026, 3, 2), date(2026, 3, 16), before=timedelta(days=30), after=timedelta(days=90)
    )
    assert (before.start, before.until) == (date(2026, 1, 31), date(2026, 3, 2))
    assert (after.start, after.until) == (date(2026, 3, 16), date(2026, 6, 14))


def test_a_rise_that_its_comparison_shares_is_likely_and_not_proven() -> None:
    found = improving.judge(ACTION, Part(150, 200, 160, 198), FIELD)
    assert found.verdict is Effect.LIKELY_IMPROVED
    assert found.answers_needed == 41  # z² · 0.6 · 0.4 / 0.15²


def test_the_answers_needed_go_by_the_change_that_was_expected() -> None:
    found = improving.judge(Part(60, 100, 62, 100), None, FIELD, expected=0.05)
    assert (found.verdict, found.answers_needed) == (Effect.CANNOT_TELL_YET, 369)
    unmoved = improving.judge(Part(60, 100, 60, 100), None, FIELD)
    assert (unmoved.verdict, unmoved.answers_needed) == (Effect.CANNOT_TELL_YET, None)


def test_a_fall_is_worse_with_a_comparison_and_without() -> None:
    fell = Part(126, 168, 90, 168)
    assert improving.judge(fell, COMPARISON, FIELD).verdict is Effect.WORSE
    assert improving.judge(fell, None, FIELD).verdict is Effect.WORSE


def test_a_rate_that_stays_where_it_was_is_not_worse_for_having_been_picked() -> None:
    strongly = Shrinkage(overall=0.95, rho=None, strength=500.0)
    found = improving.judge(Part(600, 1000, 610, 1000), None, strongly)
    assert found.shrunk_before is not None
    assert found.shrunk_before > 0.7  # beyond what was reached after
    assert found.verdict is Effect.CANNOT_TELL_YET


def test_a_rise_that_was_to_be_expected_anyway_is_not_even_likely() -> None:
    strongly = Shrinkage(overall=0.95, rho=None, strength=500.0)
    found = improving.judge(Part(300, 1000, 400, 1000), None, strongly)
    assert found.interval is not None
    assert found.interval.lower is not None
    assert found.interval.lower > 0
    assert found.shrunk_before == pytest.approx(775 / 1500)  # more than the 40 % after
    assert found.verdict is Effect.CANNOT_TELL_YET


def test_fewer_reopens_are_better() -> None:
    fewer, field = Part(64, 160, 42, 168), Shrinkage(0.25, None, 20.0)
    lower = improving.judge(fewer, Part(50, 200, 46, 198), field, better=Direction.LOWER)
    assert lower.verdict is Effect.IMPROVED
    assert lower.difference == pytest.approx(-0.15)
    assert improving.judge(fewer, None, field).verdict is Effect.WORSE
    assert improving.judge(fewer, None, field, better=Direction.LOWER).verdict is Effect.IMPROVED


def test_windows_of_fewer_than_ten_tell_nothing_yet() -> None:
    found = improving.judge(Part(0, 9, 100, 100), None, FIELD)
    assert (found.verdict, found.difference) == (Effect.CANNOT_TELL_YET, None)
    assert improving.judge(Part(0, 0, 0, 0), None, FIELD).verdict is Effect.CANNOT_TELL_YET
    assert improving.judge(ACTION, Part(9, 9, 9, 9), FIELD).verdict is Effect.CANNOT_TELL_YET


def test_before_and_after_are_asked_alike_or_not_compared() -> None:
    asked = improving.judge(ACTION, None, FIELD, questions=["1-5, v1", "1-5, v1"])
    assert asked.verdict is Effect.IMPROVED
    with pytest.raises(DifferentQuestions):
        improving.judge(ACTION, None, FIELD, questions=["1-5, v1", "1-7, v1"])


def test_the_days_of_transition_are_in_neither_window() -> None:
    before, after = improving.windows(date(2026, 3, 2), date(2026, 3, 16))
    assert (before.until, after.start) == (date(2026, 3, 2), date(2026, 3, 16))
    assert before.until - before.start == after.until - after.start == timedelta(days=60)


@pytest.mark.parametrize(
    ("interval", "effect"),
    [
        (Interval(0.0, 0.2), Effect.CANNOT_TELL_YET),
        (Interval(-0.2, 0.0), Effect.CANNOT_TELL_YET),
        (Interval(-0.2, -0.1), Effect.WORSE),
        (Interval(0.1, 0.2), Effect.IMPROVED),
        (Interval(None, None), Effect.CANNOT_TELL_YET),
    ],
)
def test_an_effect_is_told_only_beyond_doubt(interval: Interval, effect: Effect) -> None:
    assert improving.effect_beyond_comparison(interval) is effect


window = st.integers(10, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
change = st.tuples(window, window).map(lambda pair: Part(*pair[0], *pair[1]))


@given(change, st.none() | change, st.floats(0.01, 0.99), st.floats(5, 500))
def test_turning_good_and_bad_round_keeps_the_verdict(
    action: Part, comparison: Part | None, overall: float, strength: float
) -> None:
    def turned(part: Part) -> Part:
        return Part(
            part.n_before - part.x_before, part.n_before, part.n_after - part.x_after, part.n_after
        )

    field, opposite = Shrinkage(overall, None, strength), Shrinkage(1 - overall, None, strength)
    plain = improving.judge(action, comparison, field)
    other = improving.judge(
        turned(action),
        comparison and turned(comparison),
        opposite,
        better=Direction.LOWER,
    )
    assert plain.verdict is other.verdict


@given(change, st.floats(0.01, 0.99))
def test_an_improvement_is_never_called_on_a_fall(action: Part, overall: float) -> None:
    found = improving.judge(action, None, Shrinkage(overall, None, 5.0))
    if action.x_after / action.n_after <= action.x_before / action.n_before:
        assert found.verdict is not Effect.LIKELY_IMPROVED
