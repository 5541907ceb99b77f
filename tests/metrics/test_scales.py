"""What counts as good on each scale, and what a scale refuses."""

from __future__ import annotations

import pytest

from metrics.intervals import NetPromoter
from metrics.scales import EFFORT_WORDINGS, SCALES, net_promoter
from metrics.standing import Direction


@pytest.mark.parametrize(
    ("scale", "satisfied", "neutral", "dissatisfied"),
    [
        ("csat_1_5", {4, 5}, {3}, {1, 2}),
        ("csat_1_7", {6, 7}, {4, 5}, {1, 2, 3}),
        ("csat_1_3", {3}, {2}, {1}),
        ("two_point", {1}, set(), {0}),
        ("freshdesk", {101, 102, 103}, {100}, {-101, -102, -103}),
    ],
)
def test_the_classes_of_each_scale(
    scale: str, satisfied: set[int], neutral: set[int], dissatisfied: set[int]
) -> None:
    found = SCALES[scale]
    assert (found.satisfied, found.neutral, found.dissatisfied) == (
        satisfied,
        neutral,
        dissatisfied,
    )
    assert len(found.values) == len(satisfied) + len(neutral) + len(dissatisfied)


def test_a_scale_free_mean_runs_from_the_lowest_answer_to_the_highest() -> None:
    assert [SCALES["csat_1_5"].pomp(mean) for mean in (1, 3, 5)] == [0, 50, 100]
    with pytest.raises(ValueError, match="good or bad"):
        SCALES["two_point"].pomp(0.5)


def test_ease_is_the_high_end_of_one_wording_and_the_low_end_of_the_other() -> None:
    ease, effort = EFFORT_WORDINGS["ease"], EFFORT_WORDINGS["effort"]
    assert (ease.better, effort.better) == (Direction.HIGHER, Direction.LOWER)
    assert (ease.ease_pomp(7), ease.ease_pomp(1)) == (100, 0)
    assert (effort.ease_pomp(1), effort.ease_pomp(5)) == (100, 0)
    assert effort.ease_pomp(2.1) == pytest.approx(72.5)


def test_promoters_passives_and_detractors_are_counted_at_their_borders() -> None:
    assert net_promoter([0, 6, 7, 8, 9, 10]) == NetPromoter(2, 2, 2)


@pytest.mark.parametrize("rating", [-1, 11, 7.5, True, "9"])
def test_what_is_no_rating_is_refused(rating: object) -> None:
    with pytest.raises(ValueError, match="no whole number from 0 to 10"):
        net_promoter([5, rating])  # type: ignore[list-item]
