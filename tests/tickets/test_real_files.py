"""The public data sets, where they lie beside the checkout: counts and figures known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import Count, Q
from django.test import Client
from django.utils import timezone

from metrics.intervals import wilson
from portal.catalogue.models import Capability
from portal.people.founding import found_organisation
from portal.people.models import Membership
from portal.people.roles import Role
from portal.tenancy.context import acting
from scripts import tour
from surveys.models import Answer, Invitation
from tests import roles
from tests.factories import Cast
from tickets import explaining, ingest
from tickets.explaining import Explanation, Reason
from tickets.models import QuarantinedRow, Ticket, TicketEvent, WorkItem

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LOG = DATA / "uci_incident_events_dev.csv.gz"
SURVEY = DATA / "csat_survey_dev.csv.gz"
#: Tables whose keys an import looks up.
WRITTEN = (
    "tickets_ticket",
    "tickets_workitem",
    "tickets_resolution",
    "tickets_attribution",
    "tickets_requester",
    "tickets_agentaccount",
)
TOUR = Path(__file__).resolve().parents[2] / "docs" / "tour.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not DATA.exists(), reason="the public data sets are not beside the checkout"
    ),
]


def expected(name: str) -> dict[str, Any]:
    with (DATA / "expected" / name).open() as file:
        return dict(json.load(file))


def bring(source: str, path: Path, mapping: str, organisation: str = "acme") -> None:
    call_command(
        "import_tickets", "--organisation", organisation, "--source", source, "--mapping", mapping,
        str(path),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def statistics_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What autovacuum does beside an import cannot be done beside a test's one transaction.

    It knows these tables as empty, from the tests before: keys would be looked up row by row.
    """
    batches = 0

    def analyse() -> None:
        nonlocal batches
        batches += 1
        with roles.as_role(roles.OWNER), connection.cursor() as cursor:
            if batches.bit_count() == 1:  # the second, the fourth, the eighth …
                cursor.execute(f"ANALYZE {', '.join(WRITTEN)}")
            cursor.execute("DISCARD PLANS")

    monkeypatch.setattr(ingest, "_forget_plans", analyse)


@pytest.fixture
def explained(cast: Cast, worker: None) -> Explanation:
    bring("log", LOG, "servicenow_incident_log")
    return explaining.explain(tenant_id=cast.acme.pk, source="log", path=LOG, mapping=None)


def test_an_audit_log_of_120_000_rows_is_imported_and_every_difference_explained(
    cast: Cast, explained: Explanation, capsys: pytest.CaptureFixture[str]
) -> None:
    known = expected("uci_dev_prefix.json")
    theirs = explained.theirs
    assert theirs["events"] == known["events"]
    assert theirs["incidents"] == known["incidents"]
    assert theirs["last_state"] == known["last_state"]
    assert theirs["final_priority"] == {p["priority"]: p["n"] for p in known["by_priority_last"]}
    assert theirs["reopen_events"] == known["reopen_events"]
    assert theirs["reopened_incidents"] == known["reopen_cases"]
    assert theirs["reopened_incidents_within_14_days"] == known["reopen_cases_le14d"]
    assert theirs["by_priority_event_resolution"] == known["by_priority_event_resolution"]

    assert explained.unexplained == []
    assert explained.differing
    assert sum(explained.counts().values()) == len(explained.differing)
    items = [reason for why in explained.differing.values() for reason in why]
    assert items.count(Reason.NEW_ITEM) == known["reopen_cases"] - known["reopen_cases_le14d"]
    with acting(cast.acme.pk):
        assert TicketEvent.objects.filter(type="ticket.snapshot").count() == known["events"]
        assert Ticket.objects.count() == known["incidents"]
        states = Ticket.objects.values_list("state").annotate(Count("pk"))
        assert dict(states) == {
            word.lower(): number for word, number in known["last_state"].items()
        }
        assert WorkItem.objects.count() == known["incidents"] + 2
        assert QuarantinedRow.objects.count() == known["bad_state_rows"]

    capsys.readouterr()
    bring("log", LOG, "servicenow_incident_log")
    assert "nothing was changed" in capsys.readouterr().out


def test_the_tour_is_what_the_log_says_and_every_scorecard_opens(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with roles.as_role(roles.OWNER):
        log, owner = found_organisation(
            slug="log", name="An incident log", time_zone="UTC",
            administrator="ann@log.example", at=timezone.now(),
        )  # fmt: skip
    with roles.as_role(roles.WORKER):
        bring("log", LOG, "servicenow_incident_log", organisation="log")
        with acting(log.pk):
            told = tour.write(log)
    assert told == TOUR.read_text(), "write docs/tour.md anew (scripts/tour.py)"

    with roles.as_role(roles.OWNER), acting(log.pk):
        Membership.objects.create(tenant=log, person=owner, role=Role.PROCESS_OWNER)
        Capability.objects.update(process_owner=owner)
        slugs = list(Capability.objects.order_by("slug").values_list("slug", flat=True))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does after an import
    assert len(slugs) > 40
    client, leading = Client(), 0
    with roles.as_role(roles.WEB):
        client.force_login(owner)
        for slug in slugs:
            answer = client.get(f"/log/capabilities/{slug}/?from=2016-03-01&until=2016-06-01")
            assert answer.status_code == 200, slug
            assert b"np.float" not in answer.content
            leading += answer.content.count(b"tickets/?figure=")
    assert leading > 1_000, "figures of the log lead to their tickets"


def test_imported_ratings_give_the_known_shares_and_limits(cast: Cast, worker: None) -> None:
    bring("survey", SURVEY, "flat_with_score")
    known = expected("csat_dev.json")
    with acting(cast.acme.pk):
        assert QuarantinedRow.objects.filter(row_refused=False).count() == 310
        assert not QuarantinedRow.objects.filter(row_refused=True).exists()
        assert not Invitation.objects.exists()
        assert not Answer.objects.filter(released_at=None).exists()
        found = {
            row["event__capability__name"]: (row["n"], row["satisfied"])
            for row in Answer.objects.values("event__capability__name").annotate(
                n=Count("pk"), satisfied=Count("pk", filter=Q(score__gte=4))
            )
        }
        scores = dict(Answer.objects.values_list("score").annotate(Count("pk")))
    assert scores == {int(score): number for score, number in known["scores"].items()}
    assert found.keys() == {entry["category"] for entry in known["by_category"]}
    for entry in known["by_category"]:
        n, satisfied = found[entry["category"]]
        assert n == entry["n"]
        assert 100 * satisfied / n == pytest.approx(entry["top2_pct"], abs=0.005)
        limits = wilson(satisfied, n)
        assert [100 * limits.lower, 100 * limits.upper] == pytest.approx(entry["ci95"], abs=0.0051)
