"""Time until something happened against lifelines; with nothing open it is the plain percentile."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from metrics.intervals import Interval, Z, wilson
from metrics.survival import kaplan_meier

observed = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=80).map(
    lambda rows: tuple(np.array(part) for part in zip(*rows, strict=True))
)


def fitted(times: np.ndarray, happened: np.ndarray) -> KaplanMeierFitter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return KaplanMeierFitter().fit(times, happened)


@settings(max_examples=60)
@given(observed)
def test_the_curve_equals_lifelines(rows: tuple[np.ndarray, np.ndarray]) -> None:
    times, happened = rows
    curve, oracle = kaplan_meier(times.astype(float), happened.astype(bool)), fitted(*rows)
    for t in range(62):
        assert curve.at(t) == pytest.approx(float(oracle.predict(t)), abs=1e-9)
    assert (curve.n, curve.events, curve.longest) == (len(times), happened.sum(), times.max())


@settings(max_examples=60)
@given(observed)
def test_the_band_equals_lifelines_where_it_is_determined(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    curve, oracle = kaplan_meier(rows[0].astype(float), rows[1].astype(bool)), fitted(*rows)
    band = oracle.confidence_interval_
    for place, time in enumerate(curve.times):
        if 1e-9 < curve.survival[place] < 1:
            lower, upper = band.loc[time]
            assert curve.lower[place] == pytest.approx(lower, abs=1e-6)
            assert curve.upper[place] == pytest.approx(upper, abs=1e-6)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=101).filter(lambda v: len(v) % 2))
def test_with_nothing_open_an_odd_number_has_the_ordinary_median(values: list[int]) -> None:
    curve = kaplan_meier(np.array(values, dtype=float), np.ones(len(values), dtype=bool))
    assert curve.quantile(0.5) == np.median(values)


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=100, unique=True))
def test_with_nothing_open_any_number_of_different_values_has_the_ordinary_median(
    values: list[int],
) -> None:
    curve = kaplan_meier(np.array(values, dtype=float), np.ones(len(values), dtype=bool))
    assert curve.quantile(0.5) == pytest.approx(np.median(values))


def test_what_is_still_open_lengthens_the_median_instead_of_vanishing() -> None:
    times = np.array([1.0, 2.0, 3.0, 10.0, 10.0])
    resolved = np.array([True, True, True, False, False])
    assert kaplan_meier(times, resolved).quantile(0.5) == 3
    assert kaplan_meier(times[:3], resolved[:3]).quantile(0.5) == 2


def test_half_done_and_the_rest_still_open_is_the_middle_of_what_was_seen() -> None:
    # S is exactly 1/2 from 2 on; the longest item has been open for 10 (R's survfit says 6 too).
    times, resolved = np.array([1.0, 2.0, 8.0, 10.0]), np.array([True, True, False, False])
    assert kaplan_meier(times, resolved).quantile(0.5) == 6


def test_rounding_of_a_long_product_does_not_hide_a_flat_stretch() -> None:
    n = 400_000
    curve = kaplan_meier(np.arange(n, dtype=float), np.ones(n, dtype=bool))
    assert curve.quantile(0.5) == (n - 1) / 2
    assert curve.quantile(0.9) == pytest.approx(0.9 * n - 0.5)


def test_the_share_done_by_a_time_has_the_bands_interval() -> None:
    """Eight of ten done, at 1 to 8, two open at 9: Greenwood by hand at 4 is 0.4 / (10 * 0.6)."""
    curve = kaplan_meier(np.arange(1.0, 11), np.array([True] * 8 + [False] * 2))
    got = curve.done_by_interval(4, watched=6)
    theta = Z * math.sqrt(4 / (10 * 6)) / math.log(0.6)
    assert got.lower == pytest.approx(1 - 0.6 ** math.exp(theta))
    assert got.upper == pytest.approx(1 - 0.6 ** math.exp(-theta))
    assert got.lower < curve.done_by(4) < got.upper


def test_where_nobody_or_everybody_is_done_the_share_is_not_certain() -> None:
    done = kaplan_meier(np.array([1.0, 2, 3]), np.array([True] * 3))
    assert done.done_by_interval(3, watched=1) == wilson(3, 3)
    assert done.done_by_interval(0.5, watched=3) == wilson(0, 3)
    assert done.done_by_interval(0.5, watched=0) == Interval(0.0, None)


def test_a_quantile_that_is_not_reached_is_unknown() -> None:
    curve = kaplan_meier(np.array([1.0, 5.0, 5.0]), np.array([True, False, False]))
    assert curve.quantile(0.5) is None
    assert curve.longest == 5


def test_nothing_at_all_is_an_empty_curve() -> None:
    curve = kaplan_meier(np.zeros(0), np.zeros(0, dtype=bool))
    assert (curve.n, curve.quantile(0.5), curve.at(3)) == (0, None, 1.0)
    assert math.isnan(curve.longest)


def test_the_restricted_mean_is_the_area_up_to_the_longest_time() -> None:
    """At 1, 2 and 4 done, one left at 3: 1 x 1 + 1 x 3/4 + 2 x 1/2, and with 4 left as well."""
    times = np.array([1.0, 2, 3, 4])
    done = np.array([True, True, False, True])
    assert kaplan_meier(times, done).restricted_mean() == 2.75
    assert kaplan_meier(times, done & (times < 4)).restricted_mean() == 2.75
    assert kaplan_meier(times, np.zeros(4, dtype=bool)).restricted_mean() == 4
    assert math.isnan(kaplan_meier(np.zeros(0), np.zeros(0, dtype=bool)).restricted_mean())


def test_equal_times_give_that_time() -> None:
    curve = kaplan_meier(np.full(8, 4.0), np.ones(8, dtype=bool))
    assert (curve.quantile(0.5), curve.quantile(0.9), curve.at(3.9)) == (4, 4, 1)


@pytest.mark.parametrize("n", [1, 2, 50])
def test_items_that_all_took_the_same_time_have_that_time_as_every_quantile(n: int) -> None:
    curve = kaplan_meier(np.full(n, 7.0), np.ones(n, dtype=bool))
    assert [curve.quantile(p) for p in (0.1, 0.5, 0.9)] == [7.0] * 3
    assert (curve.at(6.9), curve.at(7.0)) == (1.0, 0.0)
    still_open = kaplan_meier(np.full(n, 7.0), np.zeros(n, dtype=bool))
    assert (still_open.quantile(0.5), still_open.at(100.0)) == (None, 1.0)


def test_a_quarter_of_a_million_items_have_the_curve_of_lifelines() -> None:
    rng = np.random.default_rng(11)
    times, happened = rng.integers(1, 5_000, 250_000), rng.random(250_000) < 0.7
    curve, oracle = kaplan_meier(times.astype(float), happened), fitted(times, happened)
    at = np.arange(1, 5_000, 97)
    assert [curve.at(float(t)) for t in at] == pytest.approx(oracle.predict(at).tolist(), abs=1e-9)
    assert curve.quantile(0.5) == oracle.median_survival_time_
