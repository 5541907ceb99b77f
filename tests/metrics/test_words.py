"""Figures in words: rounded half-up, for display only."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from metrics import words


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.7465, "74.7 %"),
        (np.float64(0.7465), "74.7 %"),
        (0.00049, "0.0 %"),
        (0.0005, "0.1 %"),
        (1, "100.0 %"),
        (0, "0.0 %"),
    ],
)
def test_a_share_has_one_decimal_rounded_half_up(share: float, told: str) -> None:
    assert words.percent(share) == told


def test_every_share_of_counts_is_rounded_as_the_fraction_it_is() -> None:
    for n in [*range(1, 130), 400, 800, 2_000]:
        for x in range(n + 1):
            tenths = floor(Fraction(1000 * x, n) + Fraction(1, 2))
            assert words.percent(x / n) == f"{tenths // 10}.{tenths % 10} %"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3_600, "1 h"),
        (18_900, "5 h 15 min"),
        (18_929, "5 h 15 min"),
        (18_930, "5 h 16 min"),
        (200_000, "55 h 33 min"),
    ],
)
def test_a_business_duration_has_two_units_and_hours_at_most(seconds: float, told: str) -> None:
    assert words.business(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(280_800, "3 d 6 h"), (86_400, "1 d"), (86_399, "24 h"), (7_205, "2 h")],
)
def test_a_calendar_duration_has_days(seconds: float, told: str) -> None:
    assert words.calendar(seconds) == told


def test_a_number_agrees_with_its_noun() -> None:
    assert [words.count(n, "answer", "answers") for n in (0, 1, 1_200)] == [
        "0 answers",
        "1 answer",
        "1,200 answers",
    ]
