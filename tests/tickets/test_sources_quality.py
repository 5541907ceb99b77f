"""What is wrong with the data: on the page, in the API, beside every figure that rests on it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from metrics.data_quality import CONCERNS, WITHOUT_TICKETS, flaws_in_words, with_data_quality
from metrics.definitions import METRICS
from metrics.measure import Reader, Slice
from portal.people.api_keys import create_key
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, TicketFactory
from tickets.flaws import FLAWS, FlawKind
from tickets.models import TicketFlaw
from tickets.quality import issues

OPENED = datetime(2026, 3, 2, 8, tzinfo=UTC)
MARCH = ("2026-03-01", "2026-04-01")


def flawed(cast: Cast, name: str, kind: FlawKind, detail: str = "", **ticket: Any) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        made = TicketFactory(
            tenant=cast.acme,
            connection=cast.desk,
            external_id=name,
            **{"opened_at": OPENED, "capability": cast.accounts, "flawed": True, **ticket},
        )
        TicketFlaw.objects.create(tenant=cast.acme, ticket=made, kind=kind, detail=detail)


@pytest.fixture
def flaws(cast: Cast) -> Cast:
    for n in range(5):
        flawed(cast, f"S{n}", FlawKind.UNMAPPED_STATE, "On ice" if n else "Lost")
    flawed(cast, "R1", FlawKind.REOPENS_DIFFER, "theirs 3, ours 1", severity="high")
    flawed(cast, "C1", FlawKind.UNMAPPED_CAPABILITY, "group: Canteen", capability=None)
    flawed(cast, "U1", FlawKind.UNKNOWN_ACTOR, capability=None)
    flawed(cast, "N1", FlawKind.NO_PROMISE, capability=cast.network)
    flawed(cast, "Z1", FlawKind.CLOCK_SKEW, left_out="spam")
    flawed(cast, "O1", FlawKind.CLOCK_SKEW, opened_at=OPENED - timedelta(days=300))
    return cast


def client_of(cast: Cast, person: str) -> Client:
    client = Client()
    client.force_login(getattr(cast, person))
    return client


def test_every_kind_is_told_with_its_tickets_and_what_to_do(flaws: Cast) -> None:
    with acting(flaws.acme.pk):
        found = {issue.kind: issue for issue in issues(flaws.acme.pk)}
    assert {kind: issue.tickets for kind, issue in found.items()} == {
        FlawKind.UNMAPPED_STATE: 5,
        FlawKind.REOPENS_DIFFER: 1,
        FlawKind.UNMAPPED_CAPABILITY: 1,
        FlawKind.UNKNOWN_ACTOR: 1,
        FlawKind.NO_PROMISE: 1,
        FlawKind.CLOCK_SKEW: 1,  # spam is in no figure and counts for nothing
    }
    states = found[FlawKind.UNMAPPED_STATE]
    assert states.details == (("On ice", 4), ("Lost", 1))
    assert [example.ticket for example in states.examples] == ["S4", "S3", "S2"]
    page = client_of(flaws, "ada").get("/acme/sources/quality/").content.decode()
    for kind in found:
        assert FLAWS[kind].remedy in page.replace("&#x27;", "'")
    assert 'href="/acme/sources/desk/mapping/"' in page
    assert 'href="/acme/sources/desk/roles/"' in page


def test_others_see_their_own_services_and_no_way_to_change_anything(flaws: Cast) -> None:
    page = client_of(flaws, "olga").get("/acme/sources/quality/")
    assert {issue.tickets for issue in page.context["issues"]} == {5, 1}
    assert "/sources/desk/" not in page.content.decode()
    with roles.as_role(roles.OWNER):
        flaws.it.service_desk_manager = flaws.bea
        with acting(flaws.acme.pk):
            flaws.it.save()
    page = client_of(flaws, "sam").get("/acme/sources/quality/")
    assert {issue.kind for issue in page.context["issues"]} == {
        FlawKind.UNMAPPED_CAPABILITY,
        FlawKind.UNKNOWN_ACTOR,  # of tickets that belong to nobody yet
    }


def test_nothing_wrong_is_said_as_such(cast: Cast) -> None:
    page = client_of(cast, "ada").get("/acme/sources/quality/").content.decode()
    assert "Nothing is known to be wrong" in page


def test_the_page_asks_the_same_number_of_questions_however_much_is_wrong(
    flaws: Cast, django_assert_num_queries: Any
) -> None:
    ada = client_of(flaws, "ada")
    ada.get("/acme/sources/quality/")
    for n in range(2):
        with django_assert_num_queries(10):
            ada.get("/acme/sources/quality/")
        flawed(flaws, f"more {n}", FlawKind.BULK_CHANGE)


# --- the API -------------------------------------------------------------------------------------


def ask(cast: Cast, query: str = "") -> Any:
    with acting(cast.acme.pk):
        _, secret = create_key(
            tenant_id=cast.acme.pk,
            name=f"quality {query}",
            scopes=[Scope.READ_INTERNAL],
            expires_at=timezone.now() + timedelta(days=1),
            by=cast.ada,
            at=timezone.now(),
        )
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().get(f"/api/v1/data-quality/{query}", headers=headers)


def test_the_api_tells_the_same(flaws: Cast) -> None:
    first = ask(flaws).json()[0]
    assert (first["kind"], first["tickets"]) == ("unmapped_state", 5)
    assert first["remedy"] == FLAWS[FlawKind.UNMAPPED_STATE].remedy
    assert first["details"][0] == {"detail": "On ice", "tickets": 4}
    assert first["examples"][0] == {"source": "desk", "ticket": "S4"}
    network = ask(flaws, "?capability=network").json()
    assert {issue["kind"] for issue in network} == {
        "no_promise",
        "unmapped_capability",
        "unknown_actor",
    }
    assert len(ask(flaws, "?source=desk").json()) == 6


@pytest.mark.parametrize("query", ["?source=never", "?capability=never", "?agent=amy"])
def test_the_api_refuses_what_is_not_there(flaws: Cast, query: str) -> None:
    assert ask(flaws, query).status_code == 400


# --- figures -------------------------------------------------------------------------------------


def rests_on(
    cast: Cast, metric: str, severity: str | None = None, capability: int | None = None
) -> dict[str, int]:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=datetime(2026, 4, 20, tzinfo=UTC))
        cut = Slice(
            OPENED.date().replace(day=1),
            OPENED.date().replace(month=4, day=1),
            frozenset([capability or cast.accounts.pk]),
            severity,
        )
        reading = with_data_quality(reader.measure(metric, cut), cut, reader)
        return {one.kind: one.tickets for one in reading.data_quality}


def test_a_figure_carries_the_flaws_it_can_rest_on(flaws: Cast) -> None:
    assert rests_on(flaws, "reopen_rate.rate") == {
        "unmapped_state": 5,
        "reopens_differ": 1,
        "unmapped_capability": 1,  # it might be one of theirs
    }
    assert "reopens_differ" not in rests_on(flaws, "csat_share.share")
    assert rests_on(flaws, "sla_attainment.resolution", capability=flaws.network.pk) == {
        "no_promise": 1,
        "unmapped_capability": 1,
    }


def test_what_people_do_without_us_rests_on_no_ticket(flaws: Cast) -> None:
    assert rests_on(flaws, "self_service_completion") == {}


def test_a_severity_carries_its_own(flaws: Cast) -> None:
    assert rests_on(flaws, "reopen_rate.rate", "high") == {
        "reopens_differ": 1,
        "unmapped_capability": 1,
    }


def test_a_figure_of_sound_data_carries_nothing(cast: Cast) -> None:
    assert rests_on(cast, "reopen_rate.rate") == {}


def test_every_metric_that_is_named_exists() -> None:
    named = WITHOUT_TICKETS.union(*CONCERNS.values())
    assert named <= {metric.key for metric in METRICS}


def test_flaws_are_counted_once_for_all_figures_of_a_period(
    flaws: Cast, django_assert_num_queries: Any
) -> None:
    with acting(flaws.acme.pk):
        reader = Reader(flaws.acme, as_of=datetime(2026, 4, 20, tzinfo=UTC))
        start = OPENED.date().replace(day=1)
        cut = Slice(start, start.replace(month=4), frozenset([flaws.accounts.pk]))
        readings = [reader.measure(f"fcr.{view}", cut) for view in ("claimed", "verified")]
        with django_assert_num_queries(1):
            told = [with_data_quality(reading, cut, reader) for reading in readings]
    assert flaws_in_words(told[0]) == (
        "Flaws in the data: a status nobody has mapped (5 tickets), and 2 more kinds"
    )


def test_a_card_says_it_in_a_line_that_leads_to_the_page(flaws: Cast) -> None:
    page = client_of(flaws, "olga").get(
        "/acme/capabilities/accounts/?from=2026-03-01&until=2026-04-01"
    )
    text = page.content.decode()
    line = "Flaws in the data: a status nobody has mapped (5 tickets), and 2 more kinds"
    assert f'<a href="/acme/sources/quality/">{line}</a>' in text


def test_the_command_and_the_endpoint_tell_the_same_flaws(flaws: Cast) -> None:
    said = ["--organisation", "acme", "--metric", "reopen_rate.rate", "--where"]
    said += ["capability=accounts", "--from", MARCH[0], "--until", MARCH[1]]
    out = io.StringIO()
    call_command("read", *said, "--json", stdout=out)
    told = json.loads(out.getvalue())["data_quality"]
    assert told[0] == {
        "kind": "unmapped_state",
        "title": FLAWS[FlawKind.UNMAPPED_STATE].title,
        "tickets": 5,
        "error_bar": "",
    }
    with acting(flaws.acme.pk):
        _, secret = create_key(
            tenant_id=flaws.acme.pk,
            name="readings",
            scopes=[Scope.READ_INTERNAL],
            expires_at=timezone.now() + timedelta(days=1),
            by=flaws.ada,
            at=timezone.now(),
        )
    query = f"metric=reopen_rate.rate&capability=accounts&from={MARCH[0]}&until={MARCH[1]}"
    answer = Client().get(
        f"/api/v1/readings/?{query}", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.json()["data_quality"] == told
    out = io.StringIO()
    call_command("read", *said, stdout=out)
    assert "Flaws in the data: a status nobody has mapped (5 tickets)" in out.getvalue()
