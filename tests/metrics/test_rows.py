"""Rows cut column by column are the rows that numpy would have cut whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.rows import Rows
from tests.metrics.told import listed


def records(length: int) -> np.ndarray:
    told = np.zeros(length, dtype=[("at", "i8"), ("clock", "i4"), ("kind", "i2")])
    told["at"], told["clock"] = np.arange(length) * 7, np.arange(length)[::-1]
    told["kind"] = np.arange(length) % 3
    return told


@given(
    st.integers(0, 30),
    st.lists(st.sampled_from(["mask", "places", "stretch", "whole"]), max_size=5),
    st.randoms(use_true_random=False),
)
def test_cuts_of_cuts_are_those_of_records(length: int, cuts: list[str], chance) -> None:
    expected = records(length)
    rows = Rows.of(expected)
    for cut in cuts:
        n = len(expected)
        if cut == "mask":
            which = np.array([chance.random() < 0.5 for _ in range(n)], dtype=bool)
        elif cut == "places":
            which = np.array([chance.randrange(n) for _ in range(n)], dtype=np.intp)
        elif cut == "stretch":
            which = slice(chance.randrange(n + 1), chance.randrange(n + 1))
        else:
            which = np.ones(n, dtype=bool)
        expected, rows = expected[which], rows[which]
    assert len(rows) == len(expected)
    assert listed(rows) == expected.tolist()
    assert all(rows[name].dtype == expected[name].dtype for name in rows.names)


def test_parts_lie_one_after_the_other() -> None:
    told = records(9)
    rows = Rows.of(told)
    parts = [rows[:4], rows[4:4], rows[4:]]
    assert listed(Rows.together(parts)) == told.tolist()
    assert listed(Rows.together([rows[:0], rows[:0]])) == []


def test_other_values_leave_the_rows_they_came_from_alone() -> None:
    rows = Rows.of(records(3))
    other = rows.replaced(clock=np.zeros(3, np.int32))
    assert other["clock"].tolist() == [0, 0, 0]
    assert rows["clock"].tolist() == [2, 1, 0]
    assert other["at"].tolist() == rows["at"].tolist()


def test_a_column_that_is_not_there_is_an_error() -> None:
    rows = Rows.of(records(3))
    assert "clock" in rows[:1]
    assert "state" not in rows[:1]
    with pytest.raises(KeyError, match="state"):
        rows[:1]["state"]
