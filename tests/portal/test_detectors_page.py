"""Detectors over columns: each pattern is found where it is, and not where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from metrics import columns
from metrics.detecting import LOOKS, NOT_LOOKED_FOR, Look, look
from metrics.detectors import DETECTORS, Outcome
from metrics.measure import Reader, Slice
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    enter,
    moved,
    news,
    promise,
    replied,
)
from tests.portal.test_one_number import PERIOD, browser

#: A resolution is promised within 16 business hours: Monday 9 to Tuesday 17 in Berlin.
SECOND_DAY = 24.0


def found(cast: Cast, key: str) -> Look:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        network = frozenset([cast.network.pk])
        looks = look(
            reader.facts(Slice(MARCH, APRIL, network)),
            reader.facts(Slice(MARCH - 30 * DAY, MARCH, network)),
        )
    return next(one for one in looks if one.detector.key == key)


def outcome(cast: Cast, key: str, check: int = 0) -> Outcome:
    finding = found(cast, key).finding
    assert finding is not None
    return finding.checks[check].outcome


def resolved(cast: Cast, name: str, at: list[float], *more: Any, **created: Any) -> None:
    """One ticket for each number of hours."""
    enter(
        cast,
        *(news(f"{name} {n}", moved(hours, "resolved"), *more, **created)
          for n, hours in enumerate(at)),
    )  # fmt: skip


def test_every_detector_is_looked_for_or_says_what_is_missing() -> None:
    assert set(LOOKS) | set(NOT_LOOKED_FOR) == set(DETECTORS)
    assert not set(LOOKS) & set(NOT_LOOKED_FOR)


def test_bunching_just_under_the_target(cast: Cast) -> None:
    """Far below 15 h, just below 15.5 h, just above 16.5 h, far above 18 h of 16."""
    promise(cast)
    shapes = {
        "far below": [SECOND_DAY + 5.5] * 10,
        "just below": [SECOND_DAY + 7.5] * 40,
        "just above": [2 * SECOND_DAY + 0.5] * 4,
        "far above": [2 * SECOND_DAY + 2.5] * 10,
    }
    for name in ("far below", "just above", "far above"):
        resolved(cast, name, shapes[name])
    assert outcome(cast, "G1") is Outcome.TOO_FEW
    resolved(cast, "just below", shapes["just below"])
    assert outcome(cast, "G1") is Outcome.FLAG


def test_no_bunching_where_the_course_is_smooth(cast: Cast) -> None:
    promise(cast)
    for name, hours, number in (
        ("far below", SECOND_DAY + 5.5, 14),
        ("just below", SECOND_DAY + 7.5, 12),
        ("just above", 2 * SECOND_DAY + 0.5, 11),
        ("far above", 2 * SECOND_DAY + 2.5, 10),
    ):
        resolved(cast, name, [hours] * number)
    assert outcome(cast, "G1") is Outcome.NOTHING


@pytest.mark.parametrize(("back", "expected"), [(20, Outcome.FLAG), (1, Outcome.NOTHING)])
def test_closing_early(cast: Cast, back: int, expected: Outcome) -> None:
    promise(cast)
    late = SECOND_DAY + 7.5
    again = (moved(late + 48, "open"), replied(late + 49), moved(late + 50, "resolved"))
    resolved(cast, "early", [2.0] * 35)
    resolved(cast, "late and back", [late] * back, *again)
    resolved(cast, "late", [late] * (40 - back))
    assert outcome(cast, "G2") is expected


@pytest.mark.parametrize(("useless", "expected"), [(20, Outcome.FLAG), (2, Outcome.NOTHING)])
def test_empty_first_replies(cast: Cast, useless: int, expected: Outcome) -> None:
    promise(cast)
    for number in range(40):
        meaning = "not_meaningful" if number < useless else "meaningful"
        enter(cast, news(f"R{number}", replied(1, meaning), replied(9), moved(10, "resolved")))
    assert outcome(cast, "G6", 0) is expected
    assert outcome(cast, "G6", 1) is expected


@pytest.mark.parametrize(("thanks", "expected"), [(30, Outcome.FLAG), (6, Outcome.NOTHING)])
def test_courtesy_reopens_that_double(cast: Cast, thanks: int, expected: Outcome) -> None:
    thanked = (moved(4, "open"), moved(5, "resolved"))
    back = (moved(4, "open"), replied(5), moved(6, "resolved"))
    february = MONDAY - 20 * DAY
    resolved(cast, "then thanked", [2.0] * 6, *thanked, opened_at=february)
    resolved(cast, "then back", [2.0] * 34, *back, opened_at=february)
    resolved(cast, "now thanked", [2.0] * thanks, *thanked)
    resolved(cast, "now back", [2.0] * (40 - thanks), *back)
    assert outcome(cast, "G5") is expected
    assert "not looked for" in found(cast, "G5").partly


@pytest.mark.parametrize(("step", "expected"), [(0.0, Outcome.FLAG), (0.01, Outcome.NOTHING)])
def test_clocks_at_one_exact_value(cast: Cast, step: float, expected: Outcome) -> None:
    resolved(cast, "same", [2.0 + step * n for n in range(40)])
    assert outcome(cast, "G10", 1) is expected


def test_closed_for_inactivity_more_often_than_before(cast: Cast) -> None:
    silent = {"resolution": "inactivity"}
    for name, opened, number in (("then", MONDAY - 20 * DAY, 2), ("now", MONDAY, 12)):
        for one in range(40):
            said = silent if one < number else {}
            enter(cast, news(f"{name} {one}", moved(2, "resolved", **said), opened_at=opened))
    assert outcome(cast, "G10", 0) is Outcome.FLAG


def test_the_page_asks_and_invites_an_innocent_reason(cast: Cast) -> None:
    resolved(cast, "same", [2.0] * 40)
    page = browser(cast).get("/acme/detectors/", PERIOD).content.decode()
    assert "Or is there an innocent reason? Did an outage end for many at once" in page
    assert page.index('id="G10"') < page.index('id="G1"')  # what asks stands first
    assert "Unknown: columns keep the last rating, not the ones before it." in page
    for agent in ("Agnes", "agnes@acme.example", "Arjun"):
        assert agent not in page


def test_a_page_reads_each_kind_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    promise(cast)
    resolved(cast, "same", [2.0] * 3, opened_at=MONDAY + HOUR)
    client = browser(cast)
    fetched: list[int] = []
    packed = columns._packed
    monkeypatch.setattr(columns, "_packed", lambda *a: fetched.append(1) or packed(*a))
    with django_assert_max_num_queries(20):
        assert client.get("/acme/detectors/", PERIOD).status_code == 200
    assert len(fetched) == len(columns.KINDS)
