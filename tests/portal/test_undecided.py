"""Promises that nothing has decided yet are counted beside the attainment, and lead to tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import Cast
from tests.metrics.told import HOUR, MONDAY, enter, moved, news, promise, replied
from tests.portal.test_one_number import browser, by_command, key, table
from tests.portal.test_readings import PERIOD

MARCH = {"metric": "sla_attainment.resolution", "capability": "network", **PERIOD}
NOW = MONDAY + 3 * HOUR


@pytest.fixture
def told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Three resolved, two that run and one that waits for its requester; it is Monday noon."""
    promise(cast)
    enter(
        cast,
        *(news(f"done {n}", replied(0.5), moved(1, "resolved")) for n in range(3)),
        *(news(f"runs {n}", replied(0.5)) for n in range(2)),
        news("waits", replied(0.5), moved(1, "waiting_on_requester")),
    )
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return cast


def by_api(cast: Cast, **question: str) -> Any:
    return Client(headers=key(cast)).get(reverse("api_readings"), MARCH | question).json()


def test_running_and_paused_promises_are_counted_everywhere(told: Cast) -> None:
    reading = by_api(told)
    assert (reading["numerator"], reading["denominator"], reading["still_open"]) == (3, 3, 3)
    assert by_command("sla_attainment.resolution", None)["still_open"] == 3
    rows = table(browser(told).get("/acme/capabilities/network/export/", PERIOD))
    assert rows["sla_attainment.resolution", None]["still_open"] == "3"
    assert rows["sla_attainment.resolution", "medium"]["still_open"] == "3"
    assert rows["sla_attainment.resolution", "high"]["still_open"] == "0"


def test_the_scorecard_lists_them_with_their_tickets(told: Cast) -> None:
    page = browser(told).get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "3 promises are undecided: 2 running, 1 paused." in page
    assert "paused since 2 March 2026" in page
    for name in ("runs 0", "runs 1", "waits"):
        assert reverse("ticket", args=["acme", "desk", name]) in page
    assert reverse("ticket", args=["acme", "desk", "done 0"]) not in page


def test_a_period_that_is_over_has_none_that_are_paused(
    told: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: what decides a paused promise lies in a later period."""
    later = datetime(2026, 5, 4, 10, tzinfo=MONDAY.tzinfo)
    monkeypatch.setattr(timezone, "now", lambda: later)
    reading = by_api(told)
    assert (reading["denominator"], reading["still_open"]) == (5, 0)  # both that ran are missed
    assert by_api(told, **{"from": "2026-05-01", "until": "2026-06-01"})["still_open"] == 1
    page = browser(told).get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "No promise of this period is still undecided." in page
