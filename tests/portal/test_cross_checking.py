"""What was decided in a period beside what became of what was opened in it (METRICS.md M15)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MONDAY, enter, moved, news, promise, replied
from tests.portal.test_one_number import browser, by_command, key, table
from tests.portal.test_readings import PERIOD

NAME = "sla_attainment.resolution"
MARCH = {"metric": NAME, "capability": "network", **PERIOD}
SHIFTS = "of what was opened 50.0 %: volume shifts, or a backlog is being cleared"


@pytest.fixture
def thursday(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Eight resolved within an hour on Monday; it is Thursday, two business hours from opening."""
    promise(cast)
    enter(cast, *(news(f"done {n}", replied(0.5), moved(1, "resolved")) for n in range(8)))
    monkeypatch.setattr(timezone, "now", lambda: MONDAY + 3 * DAY + 2 * HOUR)
    return cast


def by_api(cast: Cast, **question: str) -> Any:
    return Client(headers=key(cast)).get(reverse("api_readings"), MARCH | question).json()


def test_a_cohort_that_says_less_is_told_everywhere(thursday: Cast) -> None:
    enter(thursday, *(news(f"new {n}", opened_at=MONDAY + 3 * DAY) for n in range(8)))
    told = by_api(thursday, severity="medium")
    assert (told["value"], told["beside"]["cohort_within_target"]) == (1, pytest.approx(0.5))
    assert SHIFTS in told["flags"]
    assert SHIFTS in by_command(NAME, "medium")["flags"]
    client = browser(thursday)
    rows = table(client.get("/acme/capabilities/network/export/", PERIOD))
    assert SHIFTS in rows[NAME, "medium"]["flags"]
    assert "cohort_within_target" not in rows[NAME, None]["beside"]  # a curve has one severity
    assert SHIFTS in client.get("/acme/capabilities/network/", PERIOD).content.decode()


def test_one_that_says_the_same_stands_beside_it_without_a_word(thursday: Cast) -> None:
    told = by_api(thursday, severity="medium")
    assert (told["value"], told["beside"]["cohort_within_target"]) == (1, 1)
    assert told["flags"] == []


def test_where_nothing_was_decided_there_is_nothing_to_check(thursday: Cast) -> None:
    assert by_api(thursday, severity="high")["beside"] == {}
