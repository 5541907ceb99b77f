"""Gaming detectors: each rule just below and just above its line, and never about a person."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrics import detectors
from metrics.detectors import (
    DETECTORS,
    Bins,
    Closing,
    Denials,
    FirstReplies,
    Of,
    Outcome,
    Reopens,
    Risen,
    TwoShares,
)

FLAG, NOTHING, TOO_FEW = Outcome.FLAG, Outcome.NOTHING, Outcome.TOO_FEW
NONE = Of(0, 0)


def outcome(key: str, facts: object) -> Outcome:
    return DETECTORS[key].judge(facts, detectors.DEFAULTS).outcome


def test_every_pattern_of_the_handbook_is_there_with_its_question_and_its_innocent_reason() -> None:
    assert list(DETECTORS) == [*(f"G{n}" for n in range(1, 11)), "M16", "M23"]
    for detector in DETECTORS.values():
        assert detector.question.endswith("?")
        assert detector.innocent.endswith("?")
        assert detector.rule
        assert detector.pattern


def test_a_detector_has_no_place_for_an_agent() -> None:
    looked_at = [Bins, Closing, Denials, FirstReplies, Of, Reopens, Risen, TwoShares]
    returned = [detectors.Finding, detectors.Check]
    names = {field.name for kind in looked_at + returned for field in dataclasses.fields(kind)}
    assert not [name for name in names if "agent" in name or "person" in name or "who" in name]
    assert {cut.value for cut in detectors.Cut} == {"group", "capability"}


def test_the_handbooks_bunching_is_flagged_and_its_even_clocks_are_not() -> None:
    bunched, even = Bins(40, 58, 9, 30), Bins(40, 37, 33, 30)
    [check] = DETECTORS["G1"].judge(bunched).checks
    assert detectors.expected_just_below(bunched) == pytest.approx(0.524, abs=5e-4)
    assert (check.outcome, check.value) == (FLAG, pytest.approx(22.9, abs=0.05))
    assert check.p == pytest.approx(3e-9, abs=5e-10)
    [check] = DETECTORS["G1"].judge(even).checks
    assert (check.outcome, check.value) == (NOTHING, pytest.approx(0.3, abs=0.05))
    assert check.p == pytest.approx(0.52, abs=5e-3)


def test_bunching_needs_thirty_items_and_ten_too_many() -> None:
    assert outcome("G1", Bins(0, 29, 0, 0)) is TOO_FEW
    assert outcome("G1", Bins(0, 30, 0, 0)) is FLAG
    # improbable, but nine items too many
    few = Bins(6, 19, 1, 6)
    [check] = DETECTORS["G1"].judge(few).checks
    assert check.p is not None
    assert check.p < 0.01
    assert check.value is not None
    assert check.value < 10
    assert check.outcome is NOTHING


def test_clocks_are_sorted_by_the_second_around_a_target() -> None:
    clocks = [79, 80, 89, 90, 100, 101, 110, 111, 120, 121]
    assert detectors.bins(clocks, 100) == Bins(2, 2, 2, 2)
    assert detectors.bins([], 100) == Bins(0, 0, 0, 0)
    # 0.9 of 7 seconds is 6.3: no clock of whole seconds is cut in two
    assert detectors.bins([5, 6, 7, 8], 7) == Bins(1, 1, 0, 1)


@given(st.integers(0, 200), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 200))
def test_the_chance_of_bunching_is_scipys(b2: int, b: int, a: int, a2: int) -> None:
    found = Bins(b2, b, a, a2)
    [check] = DETECTORS["G1"].judge(found).checks
    if found.n < 30:
        assert check.outcome is TOO_FEW
        return
    below, above = math.log(b2 or 0.5), math.log(a2 or 0.5)
    p0 = 1 / (1 + math.exp((above - below) / 3))
    assert detectors.expected_just_below(found) == pytest.approx(p0)
    oracle = stats.binomtest(b, a + b, p0, alternative="greater").pvalue if a + b else 1.0
    assert check.p == pytest.approx(oracle, rel=1e-6, abs=1e-12)
    assert check.outcome is (FLAG if oracle < 0.01 and b - p0 * (a + b) >= 10 else NOTHING)


@pytest.mark.parametrize(
    ("key", "first", "second", "expected"),
    [
        ("G2", Of(18, 60), Of(36, 340), (0.194, 0.086, 0.322)),
        ("G3", Of(420, 500), Of(54, 100), (0.300, 0.199, 0.402)),
        ("G8", Of(14, 90), Of(9, 410), (0.134, 0.070, 0.223)),
    ],
)
def test_the_handbooks_pairs_of_shares_are_flagged(
    key: str, first: Of, second: Of, expected: tuple[float, float, float]
) -> None:
    [check] = DETECTORS[key].judge(TwoShares(first, second)).checks
    assert check.interval is not None
    told = (check.value, check.interval.lower, check.interval.upper)
    assert told == pytest.approx(expected, abs=5e-4)
    assert check.outcome is FLAG
    assert outcome(key, TwoShares(second, first)) is NOTHING
    assert outcome(key, TwoShares(first, first)) is NOTHING
    assert outcome(key, TwoShares(Of(29, 29), second)) is TOO_FEW
    assert outcome(key, TwoShares(NONE, NONE)) is TOO_FEW


@pytest.mark.parametrize(("key", "limit"), [("G4", 5), ("G7", 3)])
def test_lists_are_flagged_above_a_share_of_at_least_ten(key: str, limit: int) -> None:
    assert outcome(key, Of(limit, 10)) is NOTHING
    assert outcome(key, Of(limit + 1, 10)) is FLAG
    assert outcome(key, Of(9, 9)) is TOO_FEW


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Reopens(Of(12, 60), Of(6, 60), 0, 0), FLAG),  # exactly doubled
        (Reopens(Of(11, 60), Of(6, 60), 0, 0), NOTHING),
        (Reopens(Of(1, 60), Of(0, 60), 0, 0), FLAG),
        (Reopens(Of(0, 60), Of(0, 60), 0, 0), NOTHING),
        (Reopens(Of(29, 29), Of(0, 60), 0, 0), TOO_FEW),
        (Reopens(NONE, NONE, 15, 16), FLAG),
        (Reopens(NONE, NONE, 15, 15), NOTHING),
        (Reopens(NONE, NONE, 2, 27), TOO_FEW),
    ],
)
def test_courtesy_and_late_follow_ups_are_watched(facts: Reopens, expected: Outcome) -> None:
    assert outcome("G5", facts) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (FirstReplies(Of(80, 100), Of(65, 100), NONE), NOTHING),  # 15 points are not more than 15
        (FirstReplies(Of(81, 100), Of(65, 100), NONE), FLAG),
        (FirstReplies(NONE, NONE, Of(20, 100)), NOTHING),
        (FirstReplies(NONE, NONE, Of(21, 100)), FLAG),
        (FirstReplies(Of(29, 29), Of(0, 29), Of(29, 29)), TOO_FEW),
    ],
)
def test_replies_that_do_not_help_are_watched(facts: FirstReplies, expected: Outcome) -> None:
    assert outcome("G6", facts) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Denials(Of(1, 5), NONE, NONE, group_decides=False), FLAG),
        (Denials(Of(0, 5), NONE, NONE, group_decides=False), NOTHING),
        # fewer than five would say what their people answered
        (Denials(Of(4, 4), NONE, NONE, group_decides=False), TOO_FEW),
        (Denials(NONE, Of(20, 40), Of(1, 40), group_decides=False), TOO_FEW),
        (Denials(NONE, Of(8, 40), Of(4, 40), group_decides=True), FLAG),
        (Denials(NONE, Of(7, 40), Of(4, 40), group_decides=True), NOTHING),
        (Denials(NONE, Of(29, 29), Of(0, 40), group_decides=True), TOO_FEW),
    ],
)
def test_denials_that_follow_dissatisfaction_are_watched(facts: Denials, expected: Outcome) -> None:
    assert outcome("G9", facts) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Closing(20, Of(20, 100), Of(10, 100), Of(30, 100)), NOTHING),
        (Closing(21, NONE, NONE, NONE), FLAG),
        (Closing(0, Of(21, 100), Of(10, 100), NONE), FLAG),
        (Closing(0, NONE, NONE, Of(31, 100)), FLAG),
        (Closing(0, Of(29, 29), Of(0, 29), Of(29, 29)), NOTHING),
    ],
)
def test_bulk_closing_is_watched(facts: Closing, expected: Outcome) -> None:
    assert outcome("G10", facts) is expected


def test_heaping_is_counted_at_the_commonest_value() -> None:
    assert detectors.commonest([60, 60, 61, 0]) == Of(2, 4)
    assert detectors.commonest([]) == NONE


@given(st.integers(30, 10**9), st.integers(0, 10**9))
def test_equal_shares_are_never_flagged_however_many(n: int, x: int) -> None:
    share = Of(min(x, n), n)
    for key in ("G2", "G3", "G8"):
        assert outcome(key, TwoShares(share, share)) is NOTHING


@pytest.mark.parametrize(
    ("key", "facts", "stricter"),
    [
        ("G1", Bins(40, 58, 9, 30), {"bunching_excess": 30.0}),
        ("G2", TwoShares(Of(18, 60), Of(36, 340)), {"smallest_set": 61.0}),
        ("G4", Of(7, 10), {"raised_ratings": 0.8}),
        ("G5", Reopens(Of(12, 60), Of(6, 60), 0, 0), {"times": 3.0}),
        ("G6", FirstReplies(NONE, NONE, Of(21, 100)), {"empty_replies": 0.3}),
        ("G7", Of(4, 10), {"smallest_list": 11.0}),
        ("G9", Denials(NONE, Of(8, 40), Of(4, 40), group_decides=True), {"times": 2.5}),
        ("G10", Closing(21, NONE, NONE, NONE), {"burst": 30.0}),
    ],
)
def test_a_limit_that_was_moved_acts_and_is_told(
    key: str, facts: object, stricter: dict[str, float]
) -> None:
    detector = DETECTORS[key]
    moved = dataclasses.replace(detectors.DEFAULTS, **stricter)
    assert detector.judge(facts, detectors.DEFAULTS).is_flag
    assert not detector.judge(facts, moved).is_flag
    assert detector.rule_words(moved) != detector.rule_words(detectors.DEFAULTS)


RISEN, FLAT = TwoShares(Of(60, 100), Of(30, 100)), TwoShares(Of(31, 100), Of(30, 100))
YOUNG = TwoShares(Of(29, 29), Of(0, 100))


@pytest.mark.parametrize(
    ("key", "found", "expected"),
    [
        ("M16", Risen(RISEN, FLAT), FLAG),
        ("M16", Risen(RISEN, RISEN), NOTHING),  # more is solved, indeed
        ("M16", Risen(FLAT, FLAT), NOTHING),
        ("M16", Risen(YOUNG, FLAT), TOO_FEW),
        ("M23", Risen(RISEN, RISEN), FLAG),
        ("M23", Risen(RISEN, FLAT), NOTHING),  # more finish, and nobody gives up for it
        ("M23", Risen(FLAT, RISEN), NOTHING),
        ("M23", Risen(RISEN, YOUNG), TOO_FEW),
    ],
)
def test_what_rises_without_what_should_rise_with_it(
    key: str, found: Risen, expected: Outcome
) -> None:
    assert outcome(key, found) is expected
