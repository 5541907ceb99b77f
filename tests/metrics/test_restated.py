"""A figure says what of its period was told otherwise after it was over, and lists it (1.8)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from metrics.measure import Reader, Restated
from portal.readings import Answering, Asked
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    Happened,
    moved,
    news,
    promise,
    replied,
)
from tests.portal.test_one_number import browser
from tickets import ingest
from tickets.canonical import EventType
from tickets.news import TicketNews

KEPT = "sla_attainment.resolution"
SOLVED: tuple[Happened, ...] = (replied(1), moved(2, "resolved"))
#: Closed on 30 March, opened again on 4 April, when March was over.
END = MONDAY + 28 * DAY
BACK = (moved(120, "open"),)
NOTICED = END + 121 * HOUR


def heard(cast: Cast, at: datetime, *told: TicketNews) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        ingest.apply(tenant_id=cast.acme.pk, connection=cast.desk, news=told, at=at)


@pytest.fixture
def restated(cast: Cast) -> Cast:
    """Ten items are resolved in time at the end of March; three come back in April."""
    promise(cast)
    told = [news(f"T{n}", *SOLVED, opened_at=END) for n in range(10)]
    heard(cast, END + 3 * HOUR, *told)
    heard(cast, NOTICED, *(news(f"T{n}", *SOLVED, *BACK, opened_at=END) for n in range(3)))
    return cast


def told(
    cast: Cast,
    name: str = KEPT,
    *,
    start: date = MARCH,
    until: date = APRIL,
    as_of: datetime = MAY,
    **of: Any,
) -> Any:
    with acting(cast.acme.pk):
        answering = Answering(Reader(cast.acme, as_of=as_of))
        return answering.measure(name, Asked(start, until, **of))


def test_a_reading_is_served_with_what_was_restated_of_it(restated: Cast) -> None:
    reading = told(restated)
    assert (reading.numerator, reading.denominator) == (7, 7)
    # their time has run out in April since: as long as they wait, they are undecided in March
    assert reading.restated == (Restated("met", "undecided", 3, NOTICED.isoformat()),)
    assert reading.to_json()["restated"][0]["items"] == 3


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "sla_attainment.response"},  # the reply is what it was
        {"name": "reopen_rate.rate"},  # no promise of time
        {"start": date(2026, 2, 1), "until": MARCH},
        {"until": date(2026, 4, 10)},  # not over when it was noticed
        {"severity": "high"},
        {"capability": "accounts"},
        {"as_of": NOTICED - HOUR},
    ],
)
def test_no_other_reading_is(restated: Cast, asked: dict[str, Any]) -> None:
    assert told(restated, **asked).restated == ()


@pytest.mark.parametrize("asked", [{"severity": "medium"}, {"capability": "network"}])
def test_its_own_slices_are(restated: Cast, asked: dict[str, Any]) -> None:
    assert [one.items for one in told(restated, **asked).restated] == [3]


def test_what_moved_to_another_service_is_told_of_both(restated: Cast) -> None:
    """It was another's from the beginning."""
    other = (0.0, EventType.CATEGORY_CHANGED, {"to": "accounts"})
    heard(restated, NOTICED, news("T9", *SOLVED, other, opened_at=END))
    left, came = (told(restated, capability=one).restated for one in ("network", "accounts"))
    assert [(one.was, one.now, one.items) for one in left] == [
        ("met", "undecided", 3),
        ("met", "elsewhere", 1),
    ]
    assert [(one.was, one.now, one.items) for one in came] == [("elsewhere", "met", 1)]
    assert [(one.was, one.now, one.items) for one in told(restated).restated] == [
        ("met", "undecided", 3),
        ("met", "met", 1),
    ]


def test_the_figures_page_lists_it_and_the_scorecard_says_it(restated: Cast) -> None:
    period = {"from": "2026-03-01", "until": "2026-04-01"}
    page = "/acme/capabilities/network/tickets/"
    client = browser(restated)
    said = client.get(page, {"figure": KEPT} | period).content.decode()
    listed = said.split('id="restated"')[1]
    assert "3 decisions from met to undecided" in listed
    assert listed.count("/tickets/") == 3
    assert all(f">T{n}<" in listed for n in range(3))
    other = client.get(page, {"figure": "first_response.attainment"} | period).content.decode()
    assert 'id="restated"' not in other
    scorecard = client.get("/acme/capabilities/network/", period).content.decode()
    assert scorecard.count("3 decisions from met to undecided") == 2  # over all, and medium
