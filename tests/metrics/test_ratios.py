"""Ratios: the handbook's examples, nothing to divide by, and what a flag's own errors do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import ratios
from metrics.intervals import percentile
from metrics.ratios import DoubleCheck
from metrics.standing import Reliability


def test_a_young_period_resolved_188_of_210() -> None:
    found = ratios.resolution_share(188, 214, withdrawn=4)
    assert found is not None
    told = (found.value, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((0.895, 0.846, 0.930), abs=5e-4)


def test_throughput_may_exceed_all() -> None:
    assert ratios.throughput(252, 240) == pytest.approx(1.05)
    assert ratios.throughput(3, 0) is None


def test_ages_of_a_backlog_are_told_by_median_and_ninetieth() -> None:
    ages = np.array([0.5, 1, 1.2, 2, 3, 3.5, 5, 8, 13, 40])
    assert percentile(ages, 0.5) == pytest.approx(3.25)
    assert percentile(ages, 0.9) == pytest.approx(15.7)


def test_self_service_by_attempt_and_by_share() -> None:
    found = ratios.self_service_completion(640, 160)
    assert found is not None
    told = (found.value, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((0.80, 0.771, 0.826), abs=5e-4)
    share = ratios.self_service_share(1_000, 4_000)
    assert share is not None
    assert share.value == 0.2


def test_first_contact_without_what_nobody_solves_at_once() -> None:
    found = ratios.first_contact_net(228, 400, 60)
    assert found is not None
    told = (found.value, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((0.671, 0.619, 0.718), abs=5e-4)


@pytest.mark.parametrize(
    "nothing",
    [
        ratios.share(0, 0),
        ratios.resolution_share(0, 5, withdrawn=5),
        ratios.self_service_completion(0, 0),
        ratios.self_service_share(0, 0),
        ratios.first_contact_net(0, 7, 7),
    ],
)
def test_a_share_of_nothing_is_unknown(nothing: ratios.Share | None) -> None:
    assert nothing is None


@pytest.mark.parametrize(
    ("classified", "opened", "state"),
    [
        (0, 0, Reliability.SUPPRESSED),
        (49, 100, Reliability.UNRELIABLE),
        (50, 100, Reliability.LIMITED_LOW_VOLUME),
        (79, 100, Reliability.LIMITED_LOW_VOLUME),
        (80, 100, Reliability.RELIABLE),
    ],
)
def test_a_figure_over_few_classified_items_is_not_trusted(
    classified: int, opened: int, state: Reliability
) -> None:
    assert ratios.classified_enough(classified, opened) is state


def test_a_flagged_share_is_corrected_for_the_flags_own_errors() -> None:
    assert ratios.corrected(0.375, DoubleCheck(0.85, 0.90)) == pytest.approx(0.367, abs=5e-4)


@pytest.mark.parametrize(
    "check", [DoubleCheck(0.5, 0.5), DoubleCheck(0.2, 0.3), DoubleCheck(0.3, 0.7)]
)
def test_a_flag_no_better_than_a_coin_corrects_nothing(check: DoubleCheck) -> None:
    assert ratios.corrected(0.4, check) is None


@given(st.floats(0, 1), st.floats(0.55, 1), st.floats(0.55, 1))
def test_the_correction_undoes_what_the_errors_did(
    truth: float, sensitivity: float, specificity: float
) -> None:
    flagged = truth * sensitivity + (1 - truth) * (1 - specificity)
    got = ratios.corrected(flagged, DoubleCheck(sensitivity, specificity))
    assert got == pytest.approx(truth, abs=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_corrected_share_is_a_share(flagged: float, one: float, other: float) -> None:
    got = ratios.corrected(flagged, DoubleCheck(one, other))
    assert got is None or 0 <= got <= 1
