"""Every address is in the permission matrix and answers each person as the matrix says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from governance.models import ImprovementAction, SurveyPilot
from metrics.rubric import RUBRIC
from portal.people.api_keys import create_key, revoke_key
from portal.people.models import ApiKey, Membership
from portal.people.roles import Role, Scope
from portal.tenancy.context import acting
from tests import permission_matrix as matrix
from tests.factories import Cast, ConnectionFactory, TicketFactory
from tests.governance.sheets import propose_sheet
from tests.roles import OWNER, as_role
from tests.tickets.events import event
from tickets.models import ImportRun, Resolution, Ticket, Upload, WorkItem

#: An import's number in addresses.
IMPORT = 4711
PEOPLE = ["olga", "sam", "bea", "agnes", "arjun", "rui", "pia", "cleo", "ada", "aude", "eve"]


def names(patterns: list[URLPattern | URLResolver], space: str = "") -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from names(pattern.url_patterns, inner)
        else:
            yield space + (pattern.name or "?")


def in_the_matrix() -> set[str]:
    admin = {f"{model}_{action}" for model in matrix.ADMIN for action in matrix.ADMIN_ACTIONS}
    admin |= matrix.ADMIN_OWN | matrix.ADMIN_FRAME
    return (
        set(matrix.PAGES)
        | set(matrix.ACTS)
        | {name for name, _ in {*matrix.API, *matrix.API_OPEN}}
        | matrix.OPEN
        | matrix.SIGNED_IN
        | matrix.BY_TOKEN
        | matrix.BY_HOOK
        | matrix.SIGN_IN
        | matrix.OWN_ACCOUNT
        | {f"admin:{name}" for name in admin}
    )


def test_every_address_is_in_the_matrix_and_the_matrix_has_no_other() -> None:
    assert set(names(get_resolver().url_patterns)) == in_the_matrix()


def test_an_address_that_is_missing_from_the_matrix_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The negative control."""
    monkeypatch.delitem(matrix.PAGES, "home")
    assert set(names(get_resolver().url_patterns)) - in_the_matrix() == {"home"}


#: The id of a pilot of Acme's.
PILOT = 7_003
#: The id of an improvement action of Acme's.
ACTION = 7_002
#: The id of an uploaded file of Acme's.
UPLOAD = 7_001


@pytest.fixture
def sheet(cast: Cast) -> int:
    with as_role(OWNER), acting(cast.acme.pk):
        ImportRun.objects.create(
            pk=IMPORT,
            tenant=cast.acme,
            connection=cast.desk,
            file_name="export.csv",
            file_sha256=bytes(32),
            started_at=timezone.now(),
        )
        Upload.objects.create(
            pk=UPLOAD,
            tenant=cast.acme,
            name="tickets.csv",
            stored_as="gone.csv",
            size=1,
            sha256=bytes(32),
            uploaded_at=timezone.now(),
            uploaded_by="Ada",
        )
        TicketFactory(
            tenant=cast.acme,
            connection=cast.desk,
            external_id="NW/7",
            capability=cast.accounts,
        )
        plans(cast)
    with acting(cast.acme.pk):
        return int(propose_sheet(cast).pk)


def plans(cast: Cast) -> None:
    """An improvement action about accounts that is still to come, and a pilot of IT's survey."""
    now = timezone.now()
    SurveyPilot.objects.create(
        pk=PILOT,
        tenant=cast.acme,
        domain=cast.it,
        begins=now.date(),
        interviewed="Sam",
        interviewed_on=now.date(),
        drivers=[["clear"], ["quick"]],
        recorded_by=cast.sam,
        printed_name="Sam",
        at=now,
    )
    ImprovementAction.objects.create(
        pk=ACTION,
        tenant=cast.acme,
        capability=cast.accounts,
        metric="reopen_rate.rate",
        words="Test before closing",
        acts_on=(now + timedelta(days=3)).date(),
        expected="-0.1",
        recorded_by=cast.olga,
        printed_name="Olga",
        at=now,
    )


def page(name: str, sheet: int, organisation: str = "acme") -> str:
    home = f"/{organisation}/"
    return {
        "home": home,
        "scorecard": f"{home}capabilities/accounts/",
        "scorecard_export": f"{home}capabilities/accounts/export/",
        "trends": f"{home}capabilities/accounts/trends/",
        "figure_tickets": f"{home}capabilities/accounts/tickets/",
        "declared": f"{home}capabilities/accounts/declared/",
        "happenings": f"{home}capabilities/accounts/happened/",
        "improvements": f"{home}capabilities/accounts/improvements/",
        "improvement": f"{home}capabilities/accounts/improvements/{ACTION}/",
        "pilots": f"{home}surveys/pilots/",
        "pilot": f"{home}surveys/pilots/{PILOT}/",
        "compare": f"{home}compare/",
        "detectors": f"{home}detectors/",
        "drivers": f"{home}drivers/",
        "method": f"{home}method/",
        "own_readings": f"{home}my-readings/",
        "mailbox": f"{home}mailbox/",
        "targets": f"{home}targets/",
        "target_sheet": f"{home}targets/{sheet}/",
        "propose_targets": f"{home}targets/propose/",
        "accept_sheet": f"{home}targets/{sheet}/accept/",
        "contradictions": f"{home}voice/contradictions/",
        "drawn_comments": f"{home}voice/drawn-comments/",
        "observations": f"{home}voice/observations/",
        "quality_reviews": f"{home}voice/quality-reviews/",
        "ticket": f"{home}tickets/desk/NW/7/",
        "themes": f"{home}voice/themes/",
        "routine_check": f"{home}self-service/second-reading/",
        "sources": f"{home}sources/",
        "connect_source": f"{home}sources/connect/",
        "data_quality": f"{home}sources/quality/",
        "source": f"{home}sources/desk/",
        "source_access": f"{home}sources/desk/access/",
        "source_hook": f"{home}sources/desk/hook/",
        "source_mapping": f"{home}sources/desk/mapping/",
        "mapping_versions": f"{home}sources/desk/mapping/versions/",
        "source_roles": f"{home}sources/desk/roles/",
        "source_import": f"{home}sources/desk/imports/{IMPORT}/",
        "uploads": f"{home}sources/upload/",
        "upload": f"{home}sources/upload/{UPLOAD}/",
        "upload_refused": f"{home}sources/upload/{UPLOAD}/refused.csv",
    }[name]


def client_of(cast: Cast, person: str) -> Client:
    client = Client()
    client.force_login(getattr(cast, person))
    return client


def told(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    """What an answer tells: status, body and headers, without what differs by the moment."""
    headers = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status_code, answer.content, headers


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("name", sorted(matrix.PAGES))
def test_a_page_opens_for_those_whom_the_matrix_names(
    cast: Cast, sheet: int, name: str, person: str
) -> None:
    answer = client_of(cast, person).get(page(name, sheet))
    assert answer.status_code == (200 if person in matrix.PAGES[name] else 404)


@pytest.mark.parametrize("name", sorted(matrix.PAGES))
def test_whoever_is_signed_out_is_led_to_sign_in(cast: Cast, sheet: int, name: str) -> None:
    answer = Client().get(page(name, sheet))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/account/sign-in/")


@pytest.mark.parametrize("name", sorted(matrix.PAGES))
def test_another_organisations_page_is_as_if_it_did_not_exist(
    cast: Cast, sheet: int, name: str
) -> None:
    eve = client_of(cast, "eve")
    theirs = told(eve.get(page(name, sheet)))
    nowhere = told(eve.get(page(name, sheet, organisation="nowhere")))
    assert theirs == nowhere
    assert theirs[0] == 404


def test_another_organisations_row_is_as_if_it_did_not_exist(cast: Cast, sheet: int) -> None:
    with as_role(OWNER):
        Membership.objects.create(tenant=cast.acme, person=cast.eve, role=Role.PROCESS_OWNER)
    eve = client_of(cast, "eve")
    assert eve.get(f"/acme/targets/{sheet}/").status_code == 200
    theirs = told(eve.get(f"/globex/targets/{sheet}/"))
    assert theirs == told(eve.get("/globex/targets/999999/"))
    assert theirs[0] == 404
    capability = told(eve.get("/globex/capabilities/accounts/"))
    assert capability == told(eve.get("/globex/capabilities/never/"))


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("name", sorted(matrix.PAGES))
def test_an_act_is_refused_to_everybody_else(
    cast: Cast, sheet: int, name: str, person: str
) -> None:
    """Those who may act are told what is missing in their form; nobody else gets as far."""
    answer = client_of(cast, person).post(page(name, sheet), {})
    if person in matrix.ACTS.get(name, ()):
        assert answer.status_code == 400
    elif name in matrix.ACTS or person not in matrix.PAGES[name]:
        assert answer.status_code == 404
    else:
        assert answer.status_code in (200, 405)  # a page that only shows has nothing to do


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("model", sorted(matrix.ADMIN))
def test_the_administration_shows_each_model_to_whom_the_matrix_names(
    cast: Cast, model: str, person: str
) -> None:
    lists, adds = matrix.ADMIN[model]
    base = f"/acme/admin/{model.replace('_', '/', 1)}/"
    client = client_of(cast, person)
    refused = {403, 404} if person in matrix.ADMINISTERS else {404}
    assert client.get(base).status_code in ({200} if person in lists else refused)
    assert client.get(f"{base}add/").status_code in ({200} if person in adds else refused)


@pytest.mark.parametrize("person", [*PEOPLE, None])
@pytest.mark.parametrize("name", ["", "jsi18n/"])
def test_the_frame_of_the_administration_is_for_those_who_administer(
    cast: Cast, name: str, person: str | None
) -> None:
    client = client_of(cast, person) if person else Client()
    answer = client.get(f"/acme/admin/{name}")
    expected = 302 if person is None else 200 if person in matrix.ADMINISTERS else 404
    assert answer.status_code == expected
    assert client.get(f"/admin/{name}").status_code == 404


@pytest.mark.parametrize("path", ["/account/password/change/", "/account/two-step/", "/"])
def test_ones_own_account_needs_a_signed_in_person(cast: Cast, path: str) -> None:
    assert Client().get(path).status_code == 302
    assert client_of(cast, "rui").get(path, follow=True).status_code == 200


@pytest.mark.parametrize("path", ["/account/sign-in/", "/account/password/reset/", "/healthz"])
def test_anybody_may_sign_in(cast: Cast, path: str) -> None:
    assert Client().get(path).status_code == 200


@pytest.mark.parametrize("rest", ["", "thanks/", "unsubscribe/"])
def test_a_survey_page_needs_a_token_that_was_given_out(cast: Cast, rest: str) -> None:
    assert Client().get(f"/s/{'x' * 43}/{rest}").status_code == 404


# --- REST ----------------------------------------------------------------------------------------


def resolved(cast: Cast, ticket: Ticket) -> Resolution:
    """The resolution of a ticket about accounts."""
    more = {
        "tenant": cast.acme,
        "ticket": ticket,
        "severity": "medium",
        "capability": cast.accounts,
    }
    item = WorkItem.objects.create(
        number=1, opened_at=ticket.opened_at, state="open", outcome="open", **more
    )
    return Resolution.objects.create(
        work_item=item,
        event_key=ticket.pk,
        number=1,
        at=ticket.opened_at,
        kind="normal",
        clock_s=0,
        holds=True,
        **more,
    )


@pytest.fixture
def ticket(cast: Cast) -> None:
    with as_role(OWNER), acting(cast.acme.pk):
        plans(cast)
        TicketFactory(tenant=cast.acme, connection=cast.desk, external_id="T1")
        resolved(cast, TicketFactory(tenant=cast.acme, connection=cast.desk, external_id="T2"))
    with as_role(OWNER), acting(cast.globex.pk):
        desk = ConnectionFactory(tenant=cast.globex, name="desk")
        TicketFactory(tenant=cast.globex, connection=desk, external_id="G1")


def key_of(cast: Cast, *scopes: Scope, organisation: str = "acme") -> tuple[ApiKey, str]:
    tenant = getattr(cast, organisation)
    now = timezone.now()
    with acting(tenant.pk):
        return create_key(
            tenant_id=tenant.pk,
            name=f"{organisation} {'+'.join(scopes)}",
            scopes=scopes,
            expires_at=now + timedelta(days=30),
            by=cast.ada if organisation == "acme" else cast.eve,
            at=now,
        )


CALLS: dict[tuple[str, str], tuple[str, dict[str, Any] | None]] = {
    ("api_tickets", "GET"): ("tickets/", None),
    ("api_ticket", "GET"): ("tickets/desk/T1/", None),
    ("api_events", "POST"): (
        "ingest/events/",
        event("ticket.snapshot", "m1", data={"status": "open"}),
    ),
    ("api_ticket_upsert", "PUT"): (
        "ingest/tickets/desk/T1/",
        {"updated_at": "2026-03-02T09:00:00+01:00", "status": "open"},
    ),
    ("api_rating_upsert", "PUT"): (
        "ingest/csat/desk/R1/",
        {
            "ticket": "T1",
            "updated_at": "2026-03-02T09:00:00+01:00",
            "score": 4,
            "scale": "csat_1_5",
        },
    ),
    ("api_message", "GET"): ("ingest/messages/999999/", None),
    ("api_messages", "GET"): ("ingest/messages/?status=quarantined&source=desk", None),
    ("api_replay", "POST"): ("ingest/messages/999999/replay/", None),
    ("api_capabilities", "GET"): ("capabilities/", None),
    ("api_capability", "GET"): ("capabilities/accounts/", None),
    ("api_readings", "GET"): (
        "readings/?metric=reopen_rate&capability=accounts&from=2026-01-01&until=2026-02-01",
        None,
    ),
    ("api_readings_export", "GET"): (
        "readings/export/?metric=reopen_rate&from=2026-01-01&until=2026-02-01",
        None,
    ),
    ("api_evidence", "GET"): (
        "evidence/?metric=reopen_rate&capability=accounts&from=2026-01-01&until=2026-02-01",
        None,
    ),
    ("api_observations", "GET"): ("observations/?capability=accounts", None),
    ("api_observations", "POST"): (
        "observations/",
        {"capability": "accounts", "standpoint": "account", "text": "They call us instead."},
    ),
    ("api_quality_reviews", "GET"): ("quality-reviews/?capability=accounts", None),
    ("api_quality_reviews", "POST"): (
        "quality-reviews/",
        {
            "ticket": {"source": "desk", "external_id": "T2"},
            "marks": {criterion.key: "yes" for criterion in RUBRIC},
        },
    ),
    ("api_data_quality", "GET"): ("data-quality/", None),
    ("api_improvements", "GET"): ("improvements/?capability=accounts", None),
    ("api_improvement", "GET"): (f"improvements/{ACTION}/", None),
    ("api_pilots", "GET"): ("pilots/", None),
    ("api_pilot", "GET"): (f"pilots/{PILOT}/", None),
    ("api_target_suggestion", "GET"): (
        "targets/suggestion/?capability=accounts&metric=reopen_rate.rate",
        None,
    ),
    ("api_targets", "GET"): ("targets/", None),
}


def call(operation: tuple[str, str], secret: str | None, path: str = "") -> Any:
    default, body = CALLS[operation]
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    if operation[1] == "POST" and operation[0] != "api_events":
        headers["Idempotency-Key"] = "once"
    return Client().generic(
        operation[1],
        f"/api/v1/{path or default}",
        data=json.dumps(body) if body else "",
        content_type="application/json",
        headers=headers,
    )


def test_every_operation_of_the_schema_is_in_the_matrix(db: None) -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    told_by_schema = sum(len(operations) for operations in schema["paths"].values())
    assert told_by_schema == len(matrix.API) + len(matrix.API_OPEN)
    assert set(CALLS) == set(matrix.API)


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("operation", sorted(CALLS))
def test_a_call_needs_one_of_its_scopes(
    cast: Cast, ticket: None, operation: tuple[str, str], scope: Scope
) -> None:
    _, secret = key_of(cast, scope)
    answer = call(operation, secret)
    if scope.value in matrix.API[operation]:
        # nobody sent a message of that number
        missing = operation in (("api_message", "GET"), ("api_replay", "POST"))
        assert answer.status_code in ((404,) if missing else (200, 201, 202)), answer.content
    else:
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("operation", sorted(CALLS))
def test_a_call_without_a_live_key_is_refused(
    cast: Cast, ticket: None, operation: tuple[str, str]
) -> None:
    key, secret = key_of(cast, *Scope)
    assert call(operation, secret).status_code in (200, 201, 202, 404)
    with acting(cast.acme.pk):
        revoke_key(key=key, by=cast.ada, at=timezone.now())
    for wrong in (None, secret, secret[:-1], "qp_" + "x" * 49, "nonsense"):
        answer = call(operation, wrong)
        assert answer.status_code in (401, 403)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert b"SELECT" not in answer.content


def test_another_organisations_row_by_key_is_as_if_it_did_not_exist(
    cast: Cast, ticket: None
) -> None:
    _, secret = key_of(cast, *Scope)
    theirs = call(("api_ticket", "GET"), secret, "tickets/desk/G1/")
    nowhere = call(("api_ticket", "GET"), secret, "tickets/desk/X1/")
    assert told(theirs) == told(nowhere)
    assert theirs.status_code == 404
    _, other = key_of(cast, *Scope, organisation="globex")
    assert call(("api_ticket", "GET"), other, "tickets/desk/G1/").status_code == 200
    listed = call(("api_tickets", "GET"), secret).json()["results"]
    assert {row["external_id"] for row in listed} == {"T1", "T2"}


def test_answers_are_written_and_never_read(cast: Cast, ticket: None) -> None:
    _, secret = key_of(cast, *Scope)
    assert call(("api_rating_upsert", "PUT"), secret).status_code == 200
    address = "/api/v1/ingest/csat/desk/R1/"
    answer = Client().get(address, headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 405


@pytest.mark.parametrize("path", ["", "com.wellserved.ticket.created.v1/"])
def test_the_schemas_of_events_are_open_and_may_be_kept(db: None, path: str) -> None:
    answer = Client().get(f"/api/v1/ingest/schemas/{path}")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert Client().get("/api/v1/ingest/schemas/nothing/").status_code == 404


@pytest.mark.parametrize("query", ["assignee=x", "connection__tenant=1", "ordering=score"])
def test_a_parameter_nobody_declared_is_an_error(cast: Cast, ticket: None, query: str) -> None:
    _, secret = key_of(cast, *Scope)
    for path in ("tickets/", "capabilities/"):
        answer = call(("api_tickets", "GET"), secret, f"{path}?{query}")
        assert answer.status_code == 400
        assert query.partition("=")[0] in answer.content.decode()


# --- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/account/sign-in/", "/acme/", "/nowhere/", "/api/v1/tickets/"])
def test_every_answer_carries_the_headers(cast: Cast, path: str) -> None:
    headers = client_of(cast, "olga").get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert "no-store" in headers["Cache-Control"]
