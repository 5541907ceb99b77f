"""The estimate from telemetry: the handbook's example, scipy's AUC, and when it is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrics import telemetry
from metrics.telemetry import EventClass, Pairs

GOOD, MIDDLE, BAD = EventClass
#: METRICS.md M10.
VOLUMES = {GOOD: 700, MIDDLE: 200, BAD: 100}
PAIRED = {GOOD: Pairs(55, 60), MIDDLE: Pairs(15, 25), BAD: Pairs(3, 15)}
#: The same pairs, those of the last month apart.
LAST_MONTH = {GOOD: Pairs(18, 20), MIDDLE: Pairs(5, 8), BAD: Pairs(1, 5)}
OTHERS = {GOOD: Pairs(37, 40), MIDDLE: Pairs(10, 17), BAD: Pairs(2, 10)}


@pytest.mark.parametrize(
    ("success", "duration", "errors", "expected"),
    [
        (True, 10, 0, GOOD),
        (True, 10.1, 0, MIDDLE),
        (True, 10, 1, MIDDLE),
        (True, 40, 2, MIDDLE),
        (True, 40.1, 0, BAD),
        (True, 1, 3, BAD),
        (False, 1, 0, BAD),
    ],
)
def test_an_event_is_classed_by_outcome_time_and_errors(
    success: bool, duration: float, errors: int, expected: EventClass
) -> None:
    found = telemetry.event_class(
        success=success, duration=duration, threshold=10, errors_shown=errors
    )
    assert found is expected


def test_the_handbooks_estimate() -> None:
    found = telemetry.calibrated(VOLUMES, PAIRED)
    assert found is not None
    assert telemetry.raw_index(VOLUMES) == pytest.approx(0.8)
    told = (found.value, found.interval.lower, found.interval.upper)
    assert told == pytest.approx((0.782, 0.716, 0.847), abs=5e-4)
    assert telemetry.auc(PAIRED) == pytest.approx(0.82, abs=5e-3)
    assert telemetry.why_not_shown(LAST_MONTH, OTHERS) == []


def test_no_event_has_no_index_and_no_estimate() -> None:
    assert telemetry.raw_index({}) is None
    assert telemetry.calibrated({}, PAIRED) is None


def test_a_class_nobody_answered_for_leaves_the_estimate_unknown() -> None:
    assert telemetry.calibrated(VOLUMES, PAIRED | {BAD: Pairs(0, 0)}) is None
    assert telemetry.calibrated({GOOD: 7, MIDDLE: 2}, {GOOD: Pairs(5, 6), MIDDLE: Pairs(1, 2)})


def test_an_estimate_from_unanimous_answers_is_not_certain() -> None:
    found = telemetry.calibrated({GOOD: 10}, {GOOD: Pairs(10, 10)})
    assert found is not None
    assert found.interval.lower == pytest.approx(0.7225, abs=5e-5)  # Wilson's for 10 of 10


@pytest.mark.parametrize(
    ("last", "others", "why"),
    [
        (LAST_MONTH, OTHERS | {GOOD: Pairs(36, 39)}, "99 of 100 events"),
        (
            LAST_MONTH,
            OTHERS | {BAD: Pairs(1, 4), GOOD: Pairs(50, 60)},
            "9 of 10 answers for likely_dis",
        ),
        (
            {GOOD: Pairs(4, 6), MIDDLE: Pairs(2, 3), BAD: Pairs(1, 1)},
            {GOOD: Pairs(36, 54), MIDDLE: Pairs(18, 27), BAD: Pairs(6, 9)},
            "hardly tell",
        ),
        ({GOOD: Pairs(9, 9)}, {GOOD: Pairs(80, 80), MIDDLE: Pairs(20, 20)}, "the same"),
        ({GOOD: Pairs(30, 60)}, OTHERS, "the last period's answers say 50.0%"),
        ({BAD: Pairs(8, 10)}, OTHERS, "the last period's answers say 80.0%"),
        ({}, PAIRED, "nobody answered in the last period"),
        (PAIRED, {}, "no other answers to foretell it from"),
        ({BAD: Pairs(1, 10)}, {GOOD: Pairs(90, 100)}, "no other answers to foretell it from"),
    ],
)
def test_the_estimate_is_not_shown_unless_it_was_checked(
    last: dict[EventClass, Pairs], others: dict[EventClass, Pairs], why: str
) -> None:
    assert why in "; ".join(telemetry.why_not_shown(last, others))


pairs = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(st.lists(pairs, min_size=3, max_size=3))
def test_the_auc_is_mann_whitneys(counts: list[tuple[int, int]]) -> None:
    paired = {each: Pairs(*count) for each, count in zip(EventClass, counts, strict=True)}
    happy = [2 - at for at, (x, _) in enumerate(counts) for _ in range(x)]
    rest = [2 - at for at, (x, n) in enumerate(counts) for _ in range(n - x)]
    got = telemetry.auc(paired)
    if not happy or not rest:
        assert got is None
        return
    statistic = stats.mannwhitneyu(happy, rest, method="asymptotic").statistic
    assert got == pytest.approx(statistic / (len(happy) * len(rest)))


@given(pairs, pairs, pairs, st.tuples(*[st.integers(0, 10**9)] * 3))
def test_an_estimate_lies_among_its_classes_and_inside_its_interval(
    one: tuple[int, int], two: tuple[int, int], three: tuple[int, int], sizes: tuple[int, int, int]
) -> None:
    paired = {each: Pairs(*c) for each, c in zip(EventClass, (one, two, three), strict=True)}
    found = telemetry.calibrated(dict(zip(EventClass, sizes, strict=True)), paired)
    if found is None:
        return
    rates = [
        paired[each].satisfied / paired[each].n
        for each, n in zip(EventClass, sizes, strict=True)
        if n
    ]
    assert min(rates) - 1e-9 <= found.value <= max(rates) + 1e-9
    assert found.interval.lower is not None
    assert found.interval.upper is not None
    assert 0 <= found.interval.lower <= found.value + 1e-12
    assert found.value - 1e-12 <= found.interval.upper <= 1
