"""What the requester waited, as the calendar counts it, beside business time (METRICS.md 1.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from metrics import columns, words
from metrics.keeping import KEPT
from tests import roles
from tests.factories import Cast
from tests.metrics.told import enter, moved, news, read, replied

#: Half past four on a Friday in Berlin; the domain works from nine to five.
FRIDAY = datetime(2026, 3, 6, 15, 30, tzinfo=UTC)
MINUTES = 1 / 60
#: Twenty to ten on the Monday.
MONDAY_MORNING = 65 + 10 * MINUTES
WAITED = 65 * 3600 + 10 * 60
PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}


@pytest.fixture
def example(cast: Cast) -> Cast:
    """The handbook's: "we're on it" after twenty minutes, a useful answer on Monday."""
    story = (replied(20 * MINUTES, "not_meaningful"), replied(MONDAY_MORNING))
    enter(cast, news("T1", *story, moved(MONDAY_MORNING + 1, "resolved"), opened_at=FRIDAY))
    return cast


def times(cast: Cast, name: str, severity: str = "medium") -> tuple[Any, Any]:
    KEPT.clear()
    found = read(cast, name, severity=severity)
    return found.value, found.beside.get("requester_elapsed")


@pytest.mark.parametrize("packed", [False, True])
def test_the_handbooks_reply_and_helpful_reply(example: Cast, packed: bool) -> None:
    if packed:
        with roles.as_role(roles.WORKER):
            columns.refresh(example.acme)
    assert times(example, "first_response.median") == (20 * 60, 20 * 60)
    assert times(example, "first_meaningful_response.median") == (70 * 60, WAITED)


def test_page_and_export_say_what_the_requester_waited(example: Cast) -> None:
    olga = Client()
    olga.force_login(example.olga)
    page = olga.get("/acme/capabilities/network/", PERIOD).content.decode()
    assert words.calendar(WAITED) == "2 d 17 h"
    assert "1 h 10 min of business time, 2 d 17 h on the calendar (1 item)." in page
    exported = olga.get("/acme/capabilities/network/export/", PERIOD | {"format": "json"}).json()
    told = {(one["key"], one["slice"]["severity"]): one["beside"] for one in exported}
    helped = told["first_meaningful_response.median", "medium"]
    assert helped["requester_elapsed"] == WAITED


def test_whoever_still_waits_is_censored_at_their_age_and_not_dropped(example: Cast) -> None:
    enter(example, *(news(f"W{number}", opened_at=FRIDAY) for number in range(2)))
    # One of three has a reply: half of them wait longer than anybody knows.
    assert times(example, "first_meaningful_response.median") == (None, None)
    enter(example, *(news(f"A{n}", replied(0.25), opened_at=FRIDAY) for n in range(2)))
    # Three of five have one; the third is the handbook's.
    assert times(example, "first_meaningful_response.median") == (70 * 60, WAITED)


def test_what_was_withdrawn_is_watched_until_then(example: Cast) -> None:
    enter(example, news("gone", moved(1, "withdrawn"), opened_at=FRIDAY))
    # Censored after an hour: the one that was answered is all that is known from there on.
    assert times(example, "first_meaningful_response.median") == (70 * 60, WAITED)
    enter(example, news("waits", opened_at=FRIDAY))
    # One that still waits is not: between the two that are left lies the median.
    assert times(example, "first_meaningful_response.median") != (70 * 60, WAITED)
