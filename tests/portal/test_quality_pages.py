"""Quality reviews on pages: drawn by lot, written on the ticket's page, read in batches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from metrics import reviewing_quality
from metrics.models import QualityReview
from metrics.rubric import RUBRIC
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.test_reviewing_quality import known
from tests.metrics.told import enter, moved, news, replied
from tickets.canonical import EventType
from tickets.models import Ticket
from tickets.news import event_key

LIST = "/acme/voice/quality-reviews/"
GOOD = {criterion.key: "yes" for criterion in RUBRIC}


def client_of(cast: Cast, name: str) -> Client:
    client = Client()
    client.force_login(getattr(cast, name))
    return client


@pytest.fixture
def week(cast: Cast) -> Cast:
    """Seven tickets of three agents, resolved in the last days."""
    opened = timezone.now() - timedelta(days=5)
    told = []
    for number in range(7):
        name = f"T{number}"
        one = news(
            name,
            replied(1),
            (2, EventType.ESCALATED, {"kind": "functional", "reason": "Agnes had no access"}),
            moved(3, "resolved"),
            opened_at=opened,
            by=f"agent{number % 3}@acme.example",
        )
        one.texts[event_key(name, 1)] = "Agnes here: please restart"
        told.append(one)
    enter(cast, *told)
    return cast


def test_tickets_are_drawn_the_same_all_day_and_open_to_be_reviewed(week: Cast) -> None:
    olga = client_of(week, "olga")
    page = olga.get(LIST).content.decode()
    drawn = [f"T{n}" for n in range(7) if f"/acme/tickets/desk/T{n}/" in page]
    assert len(drawn) == 5
    assert olga.get(LIST).content.decode().count("/acme/tickets/desk/") == 5
    shown = olga.get(f"/acme/tickets/desk/{drawn[0]}/").content.decode()
    for part in ("Opened", "First reply", "Escalated: [name] had no access", "Resolved"):
        assert part in shown
    assert "[name] here: please restart" in shown
    assert "Agnes" not in shown
    assert "agent" not in shown.split("<main")[1].split("Review how")[0].lower()
    assert olga.post(f"/acme/tickets/desk/{drawn[0]}/", GOOD).status_code == 302
    page = olga.get(LIST).content.decode()
    drawn_now = page.split('id="found"')[0]
    assert f"/acme/tickets/desk/{drawn[0]}/" not in drawn_now
    assert f"/acme/tickets/desk/{drawn[0]}/" in page.split('id="own"')[1]


def test_reviews_are_read_once_their_batch_is_released(week: Cast) -> None:
    sam = client_of(week, "sam")
    for number in range(5):
        said = GOOD | {"correct": "no", "error_in": "usability", "note": "Sort by date"}
        assert sam.post(f"/acme/tickets/desk/T{number}/", said).status_code == 302
    for reader in ("olga", "bea"):
        assert "Sort by date" not in client_of(week, reader).get(LIST).content.decode()
    with roles.as_role(roles.WORKER):
        assert reviewing_quality.sweep(timezone.now()) == 5
    for reader in ("olga", "bea"):
        page = client_of(week, reader).get(LIST).content.decode()
        assert "Sort by date" in page
        assert "correct and complete: 0 of 5" in page
        assert "the software is easily misused (5 times)" in page


@pytest.mark.parametrize("said", [{}, GOOD | {"clear": "x"}, GOOD | {"error_in": "x"}])
def test_a_review_needs_every_answer(week: Cast, said: dict[str, str]) -> None:
    answer = client_of(week, "olga").post("/acme/tickets/desk/T1/", said)
    assert answer.status_code == 400
    with acting(week.acme.pk):
        assert not QualityReview.objects.exists()


def test_a_second_review_of_the_same_resolution_is_refused_in_words(week: Cast) -> None:
    olga = client_of(week, "olga")
    olga.post("/acme/tickets/desk/T1/", GOOD)
    again = olga.post("/acme/tickets/desk/T1/", GOOD)
    assert again.status_code == 400
    assert "You have reviewed this resolution before" in again.content.decode()


def test_an_agent_reads_what_is_said_of_their_own_work(week: Cast) -> None:
    known(week, week.agnes, "agent1@acme.example")
    client_of(week, "sam").post("/acme/tickets/desk/T1/", GOOD | {"note": "Said well"})
    client_of(week, "sam").post("/acme/tickets/desk/T2/", GOOD | {"note": "Of somebody else"})
    page = client_of(week, "agnes").get("/acme/my-readings/").content.decode()
    assert "Said well" in page
    assert "Of somebody else" not in page
    assert "Sam" not in page.split("<main")[1]
    assert "Said well" not in client_of(week, "arjun").get("/acme/my-readings/").content.decode()


def test_a_ticket_of_somebody_elses_service_is_as_if_it_did_not_exist(week: Cast) -> None:
    olga = client_of(week, "olga")
    assert olga.get("/acme/tickets/desk/T1/").status_code == 200
    with roles.as_role(roles.OWNER), acting(week.acme.pk):
        week.network.process_owner = None
        week.network.save()
    assert olga.get("/acme/tickets/desk/T1/").status_code == 404
    with roles.as_role(roles.OWNER), acting(week.acme.pk):
        Ticket.objects.filter(external_id="T1").update(capability=week.accounts)
    assert olga.get("/acme/tickets/desk/T1/").status_code == 200  # it is theirs now
    assert olga.get("/acme/tickets/desk/never/").status_code == 404
    assert olga.get("/acme/tickets/desk/%00/").status_code == 404
    assert client_of(week, "sam").get("/acme/tickets/desk/T1/").status_code == 200


def test_evidence_leads_to_tickets_only_for_those_who_may_open_them(week: Cast) -> None:
    today = timezone.now().date()
    query = {"from": today - timedelta(days=9), "until": today + timedelta(days=1)}
    for reader, leads in (("olga", True), ("bea", False)):
        page = client_of(week, reader).get("/acme/capabilities/network/", query).content.decode()
        assert "[name] had no access" in page
        assert ("/acme/tickets/desk/" in page) is leads


@pytest.mark.parametrize("path", [LIST, "/acme/tickets/desk/T1/"])
def test_pages_ask_little(week: Cast, path: str, django_assert_max_num_queries: Any) -> None:
    sam = client_of(week, "sam")
    for number in range(5):
        sam.post(f"/acme/tickets/desk/T{number}/", GOOD)
    with django_assert_max_num_queries(26):
        sam.get(path)
