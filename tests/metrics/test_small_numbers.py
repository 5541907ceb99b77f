"""What may be shown of few answers, and what must be hidden with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.small_numbers import SMALLEST, Shown, hidden_parts, median, ninetieth, proportion


@pytest.mark.parametrize(
    ("n", "of_share", "of_median", "of_p90"),
    [
        (0, Shown.NOTHING, Shown.NOTHING, Shown.NOTHING),
        (4, Shown.NOTHING, Shown.NOTHING, Shown.NOTHING),
        (5, Shown.COUNTS, Shown.VALUE, Shown.NOTHING),
        (6, Shown.COUNTS, Shown.FULL, Shown.NOTHING),
        (9, Shown.COUNTS, Shown.FULL, Shown.NOTHING),
        (10, Shown.FULL, Shown.FULL, Shown.ROUGH),
        (35, Shown.FULL, Shown.FULL, Shown.ROUGH),
        (36, Shown.FULL, Shown.FULL, Shown.FULL),
    ],
)
def test_the_table_of_small_numbers(
    n: int, of_share: Shown, of_median: Shown, of_p90: Shown
) -> None:
    assert (proportion(n), median(n), ninetieth(n)) == (of_share, of_median, of_p90)


def test_a_single_hidden_part_takes_the_next_smallest_along() -> None:
    assert hidden_parts({"a": 3, "b": 40, "c": 12}) == ["a", "c"]


def test_parts_of_equal_size_are_hidden_by_name() -> None:
    assert hidden_parts({"z": 3, "b": 12, "a": 12}) == ["a", "z"]


def test_two_hidden_parts_protect_each_other() -> None:
    assert hidden_parts({"a": 3, "b": 4, "c": 12}) == ["a", "b"]


def test_nothing_small_hides_nothing() -> None:
    assert hidden_parts({"a": 5, "b": 12}) == []
    assert hidden_parts({}) == []


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 40), min_size=2))
def test_what_is_hidden_can_never_be_found_by_subtraction(parts: dict[str, int]) -> None:
    hidden = hidden_parts(parts)
    assert {name for name, n in parts.items() if n < SMALLEST} <= set(hidden)
    assert len(hidden) != 1
