"""Moves back that are no reopen stand beside M18 by their sort, wherever it is told (1.6)."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, MAY, enter, moved, news, replied, slipped
from tests.portal.test_one_number import browser, by_command, key, table
from tests.portal.test_readings import PERIOD
from tickets import ingest
from tickets.models import Resolution

NAME = "reopen_rate.rate"
SORTS = {"courtesy reopens": 1, "reopens by a bulk change": 2, "misclick reopens": 4}
TERM = "<dt>Left out: misclick reopens<dd>4"


@pytest.fixture
def told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    monkeypatch.setattr(timezone, "now", lambda: MAY)
    swept = (moved(30, "open", bulk=True), replied(31), moved(32, "resolved"))
    enter(
        cast,
        news("thanks", moved(2, "resolved"), moved(30, "open"), moved(31, "resolved")),
        *(news(f"swept {n}", moved(2, "resolved"), *swept) for n in range(2)),
        *(news(f"slip {n}", *slipped(1), moved(3, "resolved")) for n in range(3)),
        news("slip 3", *slipped(1), moved(3, "resolved"), severity="high"),
        news("elsewhere", *slipped(1), moved(3, "resolved"), capability="accounts"),
        news("nothing follows", *slipped(1)),
    )
    return cast


def by_api(cast: Cast, **question: str) -> Any:
    asked = {"metric": NAME, "capability": "network", **PERIOD, **question}
    return Client(headers=key(cast)).get(reverse("api_readings"), asked).json()


def test_page_api_export_and_command_count_them_by_their_sort(told: Cast) -> None:
    assert by_api(told)["left_out"] == SORTS
    assert by_command(NAME, None)["left_out"] == SORTS
    client = browser(told)
    rows = table(client.get("/acme/capabilities/network/export/", PERIOD))
    in_words = "; ".join(f"{sort}: {number}" for sort, number in SORTS.items())
    assert rows[NAME, None]["left_out"] == in_words
    assert TERM in client.get("/acme/capabilities/network/", PERIOD).content.decode()


def test_they_are_told_by_service_and_severity(told: Cast) -> None:
    assert by_api(told, severity="high")["left_out"] == {"misclick reopens": 1}
    assert by_api(told, capability="accounts")["left_out"] == {"misclick reopens": 1}


def test_they_are_listed_where_the_figure_leads_and_on_their_tickets(told: Cast) -> None:
    client = browser(told)
    question = {**PERIOD, "figure": NAME}
    listed = client.get("/acme/capabilities/network/tickets/", question).content.decode()
    for sort, number in (
        ("courtesy reopens", 1),
        ("reopens by a bulk change", 2),
        ("misclick reopens", 4),
    ):
        assert listed.count(f"counted, not for it ({sort}: 1)") == number
    ticket = client.get("/acme/tickets/desk/slip 3/").content.decode()
    assert ticket.count("after 1 resolution taken back within minutes (misclick)") == 1
    assert "misclick" not in client.get("/acme/tickets/desk/thanks/").content.decode()


def test_what_was_stored_before_is_folded_again(told: Cast) -> None:
    counted = "misclick reopens"
    with roles.as_role(roles.OWNER), acting(told.acme.pk):
        assert Resolution.objects.update(slips=0)
    assert counted not in by_api(told)["left_out"]
    queue = import_module("tickets.migrations.0030_slips")._QUEUE
    with roles.as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute(queue)
    with roles.as_role(roles.WORKER):
        assert (
            ingest.sweep_refolds(datetime.now(UTC) + DAY) > 0
        )  # it is due by the database's clock
    assert by_api(told)["left_out"] == SORTS


def test_what_was_reopened_by_another_hand_is_no_slip(cast: Cast) -> None:
    """The negative control: the same instants, and it was the requester who came back."""
    back = (moved(1, "resolved"), moved(1.05, "open"), replied(2), moved(3, "resolved"))
    enter(cast, *(news(f"back {n}", *back) for n in range(4)))
    told = by_api(cast)
    assert (told["numerator"], told["left_out"]) == (4, {})
    page = browser(cast).get("/acme/capabilities/network/", PERIOD).content.decode()
    assert "misclick" not in page
