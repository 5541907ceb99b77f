"""What tools tell by API: events, batches and upserts, answered one by one and folded later."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from metrics.scales import SCALES
from portal.audit.trail import Actor
from portal.catalogue.models import Capability
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.portal.test_permissions import key_of
from tests.tickets.events import event
from tickets import event_types, inbound, ingest_api
from tickets.canonical import Event, EventType
from tickets.connectors import GENERIC, connector_of
from tickets.connectors.base import Connector, Context, Unusable
from tickets.connectors.signatures import STANDARD
from tickets.event_types import PREFIX, TYPES, VERSION
from tickets.inbound import sweep
from tickets.lens import Lens, Words
from tickets.models import (
    InboundMessage,
    Resolution,
    Ticket,
    TicketEvent,
    TicketFlaw,
    ToldRating,
    UsageEvent,
    WorkItem,
)
from tickets.words import save_version

EVENTS = "/api/v1/ingest/events/"
USER = {"id": "rui", "email": "rui@acme.example"}


@pytest.fixture
def key(cast: Cast) -> str:
    from portal.people.roles import Scope

    return key_of(cast, Scope.INGEST_EVENTS)[1]


def call(
    key: str,
    path: str,
    body: Any,
    method: str = "POST",
    media: str = "application/json",
    **more: Any,
) -> Any:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    headers = {"Authorization": f"Bearer {key}", **more}
    return Client().generic(method, path, data=raw, content_type=media, headers=headers)


def told(key: str, *events: Any) -> list[dict[str, Any]]:
    """What became of each event of a batch."""
    answer = call(key, EVENTS, list(events))
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def swept() -> int:
    with roles.as_role(roles.WORKER):
        return sweep(timezone.now())


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [one["status"] for one in results]


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    return said


# --- every type -----------------------------------------------------------------------------------

ACTOR = {"id": "agnes@acme.example", "kind": "agent"}
#: For each type data that says everything it can (its own words apart).
FULL: dict[str, dict[str, Any]] = {
    "ticket.created": {
        "subject": "No sound",
        "requester": USER,
        "channel": "mail",
        "status": "new",
        "severity": "high",
        "capability": "network",
        "group": "First line",
        "actor": {"id": "rui", "kind": "requester"},
    },
    "ticket.status_changed": {
        "to": "resolved",
        "resolution": "normal",
        "bulk": False,
        "migration": False,
        "actor": ACTOR,
    },
    "ticket.assigned": {"to": "agnes@acme.example", "actor": ACTOR},
    "ticket.group_changed": {"to": "Second line", "automatic": True, "actor": ACTOR},
    "ticket.priority_changed": {
        "to": "low",
        "reason": "a workaround exists",
        "approved_by": "sam",
        "actor": ACTOR,
    },
    "ticket.category_changed": {"to": "accounts", "actor": ACTOR},
    "ticket.message": {
        "public": True,
        "actor": ACTOR,
        "text": "Which headset is it?",
        "meaning": "meaningful",
        "template": False,
    },
    "ticket.escalated": {
        "kind": "functional",
        "reason": "tier 2",
        "planned": False,
        "actor": ACTOR,
    },
    "ticket.merged": {"into": "T2", "actor": ACTOR},
    "ticket.deleted": {"actor": ACTOR},
    "ticket.followup_of": {"parent": "T0"},
    "ticket.flagged": {"flag": "policy_denial", "value": True, "actor": ACTOR},
    "ticket.problem_linked": {"to": "PRB1", "kind": "problem", "actor": ACTOR},
    "ticket.snapshot": {
        "status": "open",
        "severity": "low",
        "agent": "arjun",
        "previous_read_at": "2026-03-02T08:55:00+01:00",
        "actor": ACTOR,
    },
    "csat.offered": {"rating": "r1", "offered_at": "2026-03-02T09:00:00Z"},
    "csat.responded": {"rating": "r1", "score": 4, "scale": "csat_1_5", "comment": "Thanks"},
    "csat.revised": {
        "rating": "r1",
        "score": 1,
        "scale": "two_point",
        "raw": "good",
        "agent": "arjun",
    },
    "csat.declined": {"rating": "r1", "agent": "arjun"},
    "csat.expired": {"rating": "r1"},
    "selfservice.started": {"capability": "accounts", "user": USER, "task": "reset"},
    "selfservice.completed": {"capability": "accounts", "user": USER, "duration_ms": 40_000},
    "selfservice.abandoned": {"capability": "accounts", "user": USER, "errors_shown": 3},
    "telemetry.outcome": {
        "capability": "network",
        "user": USER,
        "success": False,
        "task": "join",
        "duration_ms": 12,
        "errors_shown": 1,
    },
}


def test_there_is_an_example_of_every_type_and_no_other() -> None:
    assert {f"{PREFIX}{name}{VERSION}" for name in FULL} == set(TYPES)
    tellable = {type_.value for type_ in EventType} - {EventType.OBSERVED.value}
    assert tellable == {name for name in FULL if name.startswith("ticket.")}


@pytest.mark.parametrize("name", sorted(FULL))
def test_each_type_is_taken_in_and_folded(cast: Cast, key: str, name: str) -> None:
    [result] = told(key, event(name, "e1", data=FULL[name]))
    assert (result["status"], result["errors"]) == ("created", [])
    swept()
    answer = call(key, f"/api/v1/ingest/messages/{result['message']}/", "", method="GET").json()
    assert (answer["status"], answer["errors"]) == ("folded", [])
    assert (answer["source"], answer["id"]) == ("desk", "e1")


@pytest.mark.parametrize("name", sorted(FULL))
def test_a_misspelt_field_and_a_missing_one_are_named(cast: Cast, key: str, name: str) -> None:
    data = FULL[name]
    schema = TYPES[f"{PREFIX}{name}{VERSION}"].data
    results = told(key, event(name, "e1", data=data | {"tpyo": 1}))
    assert statuses(results) == ["rejected"]
    assert [one["field"] for one in results[0]["errors"]] == ["data.tpyo"]
    for missing in schema.get("required", ()):
        left = {field: value for field, value in data.items() if field != missing}
        [result] = told(key, event(name, "e2", data=left))
        assert {"field": f"data.{missing}", "reason": "is missing"} in result["errors"]
    with acting(cast.acme.pk):
        assert not InboundMessage.objects.exists()


@pytest.mark.parametrize("name", sorted(FULL))
def test_the_published_schema_says_what_the_door_says(db: None, name: str) -> None:
    type_ = f"{PREFIX}{name}{VERSION}"
    index = Client().get("/api/v1/ingest/schemas/").json()
    [address] = [one["dataschema"] for one in index["types"] if one["type"] == type_]
    answer = Client().get(address.removeprefix("http://127.0.0.1:8000"))
    assert answer.headers["Content-Type"] == "application/schema+json"
    published = json.loads(answer.content)
    assert published["$id"] == address
    validator = Draft202012Validator(published)
    assert validator.is_valid(FULL[name])
    assert not validator.is_valid(FULL[name] | {"tpyo": 1})
    envelope = Draft202012Validator(index["envelope"])
    said = event(
        name, "e1", data=FULL[name], dataschema=address, specversion="1.0", traceparent="0"
    )
    assert envelope.is_valid(said)
    assert event_types.mistakes(said) == []
    other = said | {"dataschema": address.replace(".v1", ".v2")}
    assert [one["field"] for one in event_types.mistakes(other)] == ["dataschema"]


def test_the_scales_are_those_of_the_figures() -> None:
    assert {key: frozenset(values) for key, values in event_types.SCALES.items()} == {
        key: scale.values for key, scale in SCALES.items()
    }


# --- one event, a batch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "many"),
    [
        ("application/cloudevents+json", False),
        ("application/cloudevents-batch+json", True),
        ("application/json", False),
        ("application/json; charset=utf-8", True),
    ],
)
def test_an_event_comes_structured_in_a_batch_or_as_plain_json(
    cast: Cast, key: str, media: str, many: bool
) -> None:
    said = event("ticket.created", "e1", data={"severity": "low"}, specversion="1.0")
    answer = call(key, EVENTS, [said] if many else said, media=media)
    assert answer.status_code == 200
    [result] = answer.json()["results"]
    assert result["status"] == "created"
    assert problem(call(key, EVENTS, said, media="text/csv"), 415)


def test_one_bad_row_never_loses_the_batch(cast: Cast, key: str) -> None:
    good = event("ticket.created", "e1", data={"severity": "low"})
    results = told(
        key,
        good,
        "nonsense",
        event("ticket.created", "e2", data={"severity": "urgent"}),
        event("ticket.created", "e3", source="elsewhere"),
        event("ticket.merged", "e4", data={}),
        good,
        good | {"data": {"severity": "high"}},
        event("ticket.created", "e5", subject="T2", data={"severity": "low"}),
        {"id": 7},
    )
    assert statuses(results) == [
        *("created", "rejected", "rejected", "rejected", "rejected"),
        *("duplicate", "conflict", "created", "rejected"),
    ]
    assert [one["index"] for one in results] == list(range(9))
    assert [one["id"] for one in results[:3]] == ["e1", None, "e2"]
    assert results[5]["message"] == results[6]["message"] == results[0]["message"]
    swept()
    with acting(cast.acme.pk):
        assert list(
            Ticket.objects.order_by("external_id").values_list("external_id", flat=True)
        ) == [
            "T1",
            "T2",
        ]
        assert WorkItem.objects.get(ticket__external_id="T1").severity == "low"


def test_the_same_id_with_another_body_is_a_conflict_that_names_both(cast: Cast, key: str) -> None:
    first = event("ticket.created", "e1", data={"severity": "low"})
    [created] = told(key, first)
    [again] = told(key, dict(reversed(first.items())))
    assert (created["status"], again["status"]) == ("created", "duplicate")
    [other] = told(key, first | {"time": "2026-03-02T10:00:00Z"})
    assert other["status"] == "conflict"
    assert len(set(re.findall(r"[0-9a-f]{64}", other["errors"][0]["reason"]))) == 2


def test_a_single_event_that_came_before_with_another_body_is_refused_with_both_hashes(
    cast: Cast, key: str
) -> None:
    first = event("ticket.created", "e1", data={"severity": "low"})
    assert call(key, EVENTS, first).json()["results"][0]["status"] == "created"
    again = call(key, EVENTS, first)
    assert (again.status_code, again.json()["results"][0]["status"]) == (200, "duplicate")
    refused = problem(call(key, EVENTS, first | {"time": "2026-03-02T10:00:00Z"}), 409)
    assert len(set(re.findall(r"[0-9a-f]{64}", refused["detail"]))) == 2
    with acting(cast.acme.pk):
        assert InboundMessage.objects.count() == 1


BREAKS = ("T\n1", "T1\n", "T\r1", "T\x1b[1m", "T\u2028", "\t")
#: Where an event names something, and what the door calls that place.
NAMED: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "id": ("ticket.deleted", lambda name: {"id": name}),
    "subject": ("ticket.deleted", lambda name: {"subject": name}),
    "revises": ("ticket.deleted", lambda name: {"revises": name}),
    "data.actor.id": ("ticket.deleted", lambda name: {"data": {"actor": {"id": name}}}),
    "data.into": ("ticket.merged", lambda name: {"data": {"into": name}}),
    "data.parent": ("ticket.followup_of", lambda name: {"data": {"parent": name}}),
    "data.to": ("ticket.assigned", lambda name: {"data": {"to": name}}),
    "data.problem": ("ticket.snapshot", lambda name: {"data": {"problem": name}}),
    "data.rating": ("csat.offered", lambda name: {"data": {"rating": name}}),
    "data.requester.id": ("ticket.snapshot", lambda name: {"data": {"requester": {"id": name}}}),
}


@pytest.mark.parametrize("field", sorted(NAMED))
def test_no_id_holds_a_character_that_breaks_a_line(cast: Cast, key: str, field: str) -> None:
    type_, with_name = NAMED[field]

    def of(name: str, number: int) -> dict[str, Any]:
        return {**event(type_, f"e{number}"), **with_name(name)}

    fine = ("owner/repo#12", "ä 1", "..")
    results = told(key, *(of(name, n) for n, name in enumerate((*fine, *BREAKS))))
    assert statuses(results) == ["created"] * len(fine) + ["rejected"] * len(BREAKS)
    for result in results[len(fine) :]:
        [error] = result["errors"]
        assert error["field"] == field
        assert "a character that controls" in error["reason"]


def test_an_address_for_mail_ends_without_a_line_break(cast: Cast, key: str) -> None:
    people = ({"id": "rui", "email": f"rui@acme.example{end}"} for end in ("", "\n"))
    results = told(
        key,
        *(
            event("ticket.snapshot", f"e{n}", data={"requester": who})
            for n, who in enumerate(people)
        ),
    )
    assert statuses(results) == ["created", "rejected"]
    assert results[1]["errors"][0]["field"] == "data.requester.email"


@pytest.mark.parametrize("name", ["owner/repo#12", "a/b", "a//b/", "a?b", "ä"])
def test_a_ticket_is_told_and_read_by_whatever_its_source_calls_it(
    cast: Cast, key: str, name: str
) -> None:
    from portal.people.roles import Scope

    reader = key_of(cast, Scope.READ_INTERNAL)[1]
    path = f"tickets/desk/{quote(name, safe='')}"
    assert put(key, path, **STOOD[0]).json()["status"] == "created"
    at = {"updated_at": "2026-03-02T12:00:00Z"}
    assert put(key, f"csat/desk/{quote(name, safe='')}", ticket=name, outcome="offered", **at)
    swept()
    found = call(reader, f"/api/v1/{path}/", b"", method="GET")
    assert found.status_code == 200
    assert found.json()["external_id"] == name


def test_a_ticket_whose_name_breaks_a_line_is_refused_by_its_address(cast: Cast, key: str) -> None:
    wrong = problem(put(key, "tickets/desk/T%0A1", **STOOD[0]), 400)
    assert list(wrong["errors"]) == ["subject"]


def test_a_batch_of_many_is_refused_whole(cast: Cast, key: str) -> None:
    events = [event("ticket.created", f"e{n}", data={"severity": "low"}) for n in range(501)]
    assert "at most 500" in str(problem(call(key, EVENTS, events), 400)["errors"])
    with acting(cast.acme.pk):
        assert not InboundMessage.objects.exists()
    assert set(statuses(told(key, *events[:500]))) == {"created"}


def test_the_statements_of_a_batch_do_not_depend_on_its_size(cast: Cast, key: str) -> None:
    numbers = []
    assert told(key) == []  # the key's first use of the minute is noted apart
    for size in (1, 500):
        events = [
            event("ticket.created", f"{size} {n}", data={"severity": "low"}) for n in range(size)
        ]
        with CaptureQueriesContext(connection) as queries:
            assert set(statuses(told(key, *events))) == {"created"}
        numbers.append(len([one for one in queries if "SAVEPOINT" not in one["sql"]]))
    assert numbers[0] == numbers[1]
    assert numbers[0] <= 20, numbers


def test_another_organisations_source_is_as_if_it_did_not_exist(cast: Cast, key: str) -> None:
    with roles.as_role(roles.OWNER), acting(cast.globex.pk):
        ConnectionFactory(tenant=cast.globex, name="theirs")
    data = {"severity": "low"}
    theirs = told(key, event("ticket.created", "e1", source="theirs", data=data))
    nowhere = told(key, event("ticket.created", "e1", source="nobody", data=data))
    assert [one["errors"] for one in theirs] != []
    assert str(theirs).replace("theirs", "nobody") == str(nowhere)
    body = {"updated_at": "2026-03-02T09:00:00Z"}
    for source in ("theirs", "nobody"):
        problem(call(key, f"/api/v1/ingest/tickets/{source}/T1/", body, method="PUT"), 404)


def test_a_help_desks_own_connection_is_not_told_from_outside(
    cast: Cast, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = event("ticket.created", "e1", data={"severity": "low"})
    monkeypatch.setattr(ingest_api, "connector_of", lambda kind: Connector())
    [refused] = told(key, said)
    assert refused["errors"][0]["field"] == "source"
    monkeypatch.setattr(ingest_api, "connector_of", connector_of)
    assert statuses(told(key, said)) == ["created"]


@pytest.mark.parametrize(
    ("time", "status"),
    [
        ("1970-01-01T00:00:00Z", "rejected"),  # a nought of another clock, as files know it
        ("1970-12-31T23:59:59Z", "rejected"),
        ("1971-01-01T00:00:00Z", "created"),
    ],
)
def test_a_nought_of_a_clock_is_no_instant(cast: Cast, key: str, time: str, status: str) -> None:
    [result] = told(key, event("ticket.created", "e1", time=time, data={"severity": "low"}))
    assert result["status"] == status
    assert [one["field"] for one in result["errors"]] == ["time"] * (status == "rejected")


def test_what_mapping_finds_later_stands_under_the_message(cast: Cast, key: str) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        short_lived = Capability.objects.get(slug="network")
        short_lived.pk = None
        short_lived.slug = "short-lived"
        short_lived.save()
    data = {"severity": "low", "capability": "short-lived"}
    [result] = told(key, event("ticket.created", "e1", data=data))
    assert result["status"] == "created"
    address = f"/api/v1/ingest/messages/{result['message']}/"
    assert call(key, address, "", method="GET").json()["status"] == "waiting"
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Capability.objects.filter(slug="short-lived").delete()
    swept()
    later = call(key, address, "", method="GET").json()
    assert later["status"] == "quarantined"
    assert [one["field"] for one in later["errors"]] == ["data.capability"]


# --- when -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "zone", "taken"),
    [
        ("2026-03-02T09:00:00Z", None, "2026-03-02T09:00:00"),
        ("2026-03-02t09:00:00.123456789+01:30", None, "2026-03-02T07:30:00.123456"),
        ("2026-03-02T09:00:00", None, None),
        ("2026-03-02", None, None),
        ("20260302T090000Z", None, None),
        ("2026-W10-1", "Europe/Berlin", None),
        ("2026-02-30T09:00:00Z", None, None),
        ("0001-01-01T00:00:00+14:00", None, None),
        ("9999-12-31T23:59:59-14:00", None, None),
        ("2099-01-01T00:00:00Z", None, None),
        ("2026-03-02T09:00:00", "Europe/Berlin", "2026-03-02T08:00:00"),
        ("2026-03-02", "Europe/Berlin", "2026-03-01T23:00:00"),
        ("2026-03-29T02:30:00", "Europe/Berlin", None),  # never shown
        ("2026-10-25T02:30:00", "Europe/Berlin", None),  # shown twice
        ("2026-10-25T02:30:00+01:00", "Europe/Berlin", "2026-10-25T01:30:00"),
    ],
)
def test_a_time_needs_its_offset_unless_the_connection_declares_a_zone(
    cast: Cast, key: str, time: str, zone: str | None, taken: str | None
) -> None:
    if zone:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            cast.desk.options = {"zone": zone}
            cast.desk.save()
    [result] = told(key, event("ticket.created", "e1", time=time, data={"severity": "low"}))
    assert result["status"] == ("created" if taken else "rejected"), result
    if taken is None:
        assert [one["field"] for one in result["errors"]] == ["time"]
        return
    swept()
    with acting(cast.acme.pk):
        assert Ticket.objects.get().opened_at == datetime.fromisoformat(taken).replace(tzinfo=UTC)


def folded(key: str, *events: Any) -> None:
    assert set(statuses(told(key, *events))) == {"created"}
    swept()


OPENED = event("ticket.created", "o", data={"severity": "low", "status": "new"})


def test_an_unknown_ticket_is_a_stub_that_later_events_complete(cast: Cast, key: str) -> None:
    folded(key, event("ticket.message", "e1", data=FULL["ticket.message"]))
    with acting(cast.acme.pk):
        assert Ticket.objects.get().left_out == "incomplete"
    folded(key, OPENED | {"time": "2026-03-02T07:00:00Z"})
    with acting(cast.acme.pk):
        assert Ticket.objects.get().left_out == ""
        assert WorkItem.objects.get().first_response_at is not None


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_revision_takes_the_place_of_what_it_revises_in_any_order(
    cast: Cast, key: str, order: tuple[int, ...]
) -> None:
    at = "2026-03-02T11:00:00Z"
    events = [
        OPENED,
        event("ticket.status_changed", "e1", time=at, data={"to": "resolved"}),
        event(
            "ticket.status_changed",
            "e2",
            time="2026-03-02T10:00:00Z",
            revises="e1",
            data={"to": "resolved"},
        ),
    ]
    for index in order:
        folded(key, events[index])
    with acting(cast.acme.pk):
        assert [one.at.hour for one in Resolution.objects.all()] == [10]


def test_without_the_revision_the_first_word_would_stand(cast: Cast, key: str) -> None:
    """The negative control: the lens that drops nothing tells the later resolution too."""
    first = Event(
        1, EventType.STATUS_CHANGED, datetime(2026, 3, 2, tzinfo=UTC), data={"to": "open"}
    )
    second = Event(2, EventType.STATUS_CHANGED, first.at, data={"to": "closed", "revises": 1})
    assert [one.key for one in Lens().story([first, second])[0]] == [2]
    plain = Event(2, EventType.STATUS_CHANGED, first.at, data={"to": "closed"})
    assert [one.key for one in Lens().story([first, plain])[0]] == [1, 2]


@pytest.mark.parametrize(
    ("name", "revises"), [("ticket.deleted", "e1"), ("telemetry.outcome", "e0")]
)
def test_an_event_takes_neither_its_own_place_nor_one_it_cannot(
    cast: Cast, key: str, name: str, revises: str
) -> None:
    [result] = told(key, event(name, "e1", revises=revises, data=FULL[name]))
    assert [one["field"] for one in result["errors"]] == ["revises"]


def test_the_senders_own_words_are_kept_and_read_once_somebody_maps_them(
    cast: Cast, key: str
) -> None:
    data = {"status_said": "Frisch", "severity_said": "P1", "facets": {"queue": "WLAN"}}
    folded(
        key,
        event("ticket.created", "e1", data=data),
        event(
            "ticket.status_changed",
            "e2",
            time="2026-03-02T11:00:00Z",
            data={"said": "Erledigt"},
        ),
    )
    with acting(cast.acme.pk):
        assert Ticket.objects.get().left_out == "incomplete"
        assert set(TicketFlaw.objects.values_list("kind", "detail")) == {
            ("unmapped_state", "Frisch"),
            ("unmapped_state", "Erledigt"),
            ("unmapped_severity", "P1"),
        }
    words = Words.parse(
        {
            "states": {"Frisch": "new", "Erledigt": "resolved"},
            "severities": {"P1": "critical"},
            "capabilities": {"queue": {"WLAN": "network"}},
        }
    )
    with acting(cast.acme.pk):
        save_version(connection=cast.desk, words=words, by=Actor("ada", "Ada"), at=timezone.now())
    from tickets.ingest import sweep_refolds

    with roles.as_role(roles.WORKER):
        sweep_refolds(timezone.now())
    with acting(cast.acme.pk):
        item = WorkItem.objects.get()
        assert (item.severity, item.outcome) == ("critical", "resolved")
        assert item.capability_id == cast.network.pk


# --- upserts --------------------------------------------------------------------------------------


def put(key: str, path: str, **body: Any) -> Any:
    return call(key, f"/api/v1/ingest/{path}/", body, method="PUT")


STOOD = [
    {"updated_at": "2026-03-02T08:00:00Z", "severity": "low", "status": "new", "subject": "A"},
    {"updated_at": "2026-03-02T10:00:00Z", "status": "resolved", "subject": "B"},
    {"updated_at": "2026-03-02T09:00:00Z", "status": "open", "severity": "high", "subject": "C"},
    {"updated_at": "2026-03-02T09:00:00Z", "sequence": "4", "severity": "medium", "subject": "D"},
]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_an_older_word_on_a_ticket_is_kept_and_does_not_overwrite(
    cast: Cast, key: str, order: tuple[int, ...]
) -> None:
    for index in order:
        assert put(key, "tickets/desk/T1", **STOOD[index]).json()["status"] == "created"
    swept()
    with acting(cast.acme.pk):
        ticket = Ticket.objects.get()
        assert (ticket.state, ticket.severity, ticket.subject) == ("resolved", "medium", "B")
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert TicketEvent.objects.count() == 4, "the history stays"


def test_an_upsert_again_is_a_duplicate_and_a_wrong_one_is_refused_whole(
    cast: Cast, key: str
) -> None:
    first = put(key, "tickets/desk/T1", **STOOD[0])
    again = put(key, "tickets/desk/T1", **STOOD[0])
    assert again.json() == first.json() | {"status": "duplicate"}
    wrong = problem(put(key, "tickets/desk/T1", **STOOD[0], colour="red"), 400)
    assert list(wrong["errors"]) == ["data.colour"]
    missing = problem(put(key, "tickets/desk/T1", status="open"), 400)
    assert list(missing["errors"]) == ["updated_at"]


def test_a_survey_response_is_upserted_by_its_own_id(cast: Cast, key: str) -> None:
    at = "2026-03-02T12:00:00Z"
    said = {"ticket": "T1", "updated_at": at}
    assert put(key, "csat/desk/R1", **said, outcome="offered").status_code == 200
    score = {"score": 5, "scale": "csat_1_5", "comment": "Fine"}
    assert put(key, "csat/desk/R1", **said | {"updated_at": "2026-03-02T13:00:00Z"}, **score)
    assert list(problem(put(key, "csat/desk/R1", updated_at=at), 400)["errors"]) == ["ticket"]
    for wrong in ({"outcome": "lost"}, {"score": 9, "scale": "csat_1_5"}, {"rating": "R2"}, {}):
        problem(put(key, "csat/desk/R1", **said, **wrong), 400)
    swept()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        rows = ToldRating.objects.order_by("said_at").values_list("outcome", "score", "remark")
        assert list(rows) == [("offered", None, ""), ("responded", 5, "Fine")]
        assert len(set(ToldRating.objects.values_list("key", flat=True))) == 1


# --- use without us -------------------------------------------------------------------------------


def test_use_is_kept_once_whoever_tells_it_and_how_often(cast: Cast, key: str) -> None:
    said = event("telemetry.outcome", "u1", data=FULL["telemetry.outcome"])
    folded(key, said)
    assert statuses(told(key, said)) == ["duplicate"]
    hooked(cast, "h1", [said])
    swept()
    with acting(cast.acme.pk):
        use = UsageEvent.objects.get()
        assert (use.type, use.success, use.duration_ms, use.errors_shown, use.task) == (
            *("outcome", False, 12, 1),
            "join",
        )
        assert use.capability_id == cast.network.pk


def test_use_of_an_unknown_capability_is_refused_with_the_reason(cast: Cast, key: str) -> None:
    data = FULL["telemetry.outcome"] | {"capability": "gardening"}
    [result] = told(key, event("telemetry.outcome", "u1", data=data))
    assert result["status"] == "rejected"
    assert "'gardening'" in result["errors"][0]["reason"]


# --- the signed webhook ---------------------------------------------------------------------------

SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()


def hooked(cast: Cast, name: str, body: Any) -> int:
    """A webhook's request as the door keeps it; the message's number."""
    raw = json.dumps(body).encode()
    delivery = GENERIC.delivery({"webhook-id": name}, raw)
    with acting(cast.acme.pk):
        return inbound.receive(
            tenant_id=cast.acme.pk,
            connection=cast.desk,
            delivery_id=delivery.id,
            topic=delivery.topic,
            raw=raw,
            at=timezone.now(),
            signature="valid",
        ).message_id


def test_a_request_signed_as_standard_webhooks_says_is_authentic() -> None:
    raw = json.dumps([OPENED])
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "h1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("h1", now, raw),
    }
    assert GENERIC.hooks
    assert GENERIC.scheme is STANDARD
    assert STANDARD.verify(headers, raw.encode(), [SECRET], now)
    assert not STANDARD.verify(headers, raw.encode() + b" ", [SECRET], now)
    assert not STANDARD.verify(headers, raw.encode(), [SECRET], now + timedelta(seconds=302))


def test_a_hooked_batch_is_entered_like_the_apis(cast: Cast, key: str) -> None:
    done = event(
        "ticket.status_changed", "e1", time="2026-03-02T11:00:00Z", data={"to": "resolved"}
    )
    message = hooked(cast, "h1", [OPENED, {"id": "broken"}, done])
    swept()
    assert statuses(told(key, OPENED, done)) == ["created", "created"]
    swept()
    with acting(cast.acme.pk):
        assert WorkItem.objects.get().outcome == "resolved"
        assert Resolution.objects.count() == 1
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert TicketEvent.objects.count() == 2, "by hook and by API they are the same events"
    later = call(key, f"/api/v1/ingest/messages/{message}/", "", method="GET").json()
    assert later["status"] == "folded"
    assert {one["field"] for one in later["errors"]} >= {"1.time", "1.type"}


def errors_of(key: str, message: int) -> list[dict[str, str]]:
    answer = call(key, f"/api/v1/ingest/messages/{message}/", "", method="GET").json()
    assert answer["status"] == "folded"
    errors: list[dict[str, str]] = answer["errors"]
    return errors


def test_of_many_mistakes_it_is_said_how_many_are_not_told(cast: Cast, key: str) -> None:
    def wrong(number: int) -> list[Any]:
        return [event("ticket.created", f"e{n}", data={"severity": "no"}) for n in range(number)]

    many, few = hooked(cast, "h1", [OPENED, *wrong(300)]), hooked(cast, "h2", [OPENED, *wrong(20)])
    swept()
    errors = errors_of(key, many)
    assert len(errors) == 21
    assert errors[-1] == {"field": "", "reason": "and 280 more"}
    assert len(errors_of(key, few)) == 20


def moved_to(state: str, **more: Any) -> Any:
    return event("ticket.status_changed", "e1", data={"to": state}, **more)


OTHERWISE: dict[str, Any] = {
    "another state": moved_to("withdrawn"),
    "another instant": moved_to("resolved", time="2026-03-02T10:00:00+01:00"),
    "another type": event("ticket.deleted", "e1"),
    "another actor": moved_to("resolved") | {
        "data": {"to": "resolved", "actor": {"id": "x", "kind": "bot"}}
    },
    "more": moved_to("resolved") | {"data": {"to": "resolved", "bulk": True}},
}  # fmt: skip


@pytest.mark.parametrize("how", ["one delivery", "a later one", "an earlier call", "one sweep"])
@pytest.mark.parametrize("what", sorted(OTHERWISE))
def test_an_id_that_is_known_otherwise_is_said_and_the_first_word_stands(
    cast: Cast, key: str, what: str, how: str
) -> None:
    first, other = moved_to("resolved"), OTHERWISE[what]
    match how:
        case "one delivery":
            message = hooked(cast, "h1", [OPENED, first, other])
        case "a later one" | "one sweep":
            hooked(cast, "h1", [OPENED, first])
            if how == "a later one":
                swept()
            message = hooked(cast, "h2", [other])
        case "an earlier call":
            assert statuses(told(key, OPENED, first)) == ["created", "created"]
            swept()
            message = hooked(cast, "h2", [other])
    swept()
    [error] = errors_of(key, message)
    assert error["field"] == f"ticket T1: {TYPES[other['type']].name}"
    assert "known with other content" in error["reason"]
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert TicketEvent.objects.get(type="ticket.status_changed").data["to"] == "resolved"


def test_what_is_said_again_alike_is_no_conflict(cast: Cast, key: str) -> None:
    """The negative control: everything each type can say, by hook, by API and twice at once."""
    every = [
        event(name, f"id of {name}", data=data) for name, data in FULL.items() if "csat" not in name
    ]
    messages = [hooked(cast, "h1", [*every, *every]), hooked(cast, "h2", every)]
    swept()
    told(key, *every)
    messages.append(hooked(cast, "h3", every))
    swept()
    assert [errors_of(key, message) for message in messages] == [[], [], []]


def test_a_use_that_is_known_otherwise_is_said(cast: Cast, key: str) -> None:
    said = event("telemetry.outcome", "u1", data=FULL["telemetry.outcome"])
    hooked(cast, "h1", [said])
    swept()
    message = hooked(cast, "h2", [said | {"data": said["data"] | {"success": True}}])
    swept()
    [error] = errors_of(key, message)
    assert error["field"].startswith("use event u1")


@pytest.mark.parametrize("raw", [b"{", b"[[1]]", b"{}", json.dumps([{}] * 501).encode()])
def test_a_hooked_body_of_which_nothing_can_be_read_is_unusable(raw: bytes) -> None:
    with pytest.raises(Unusable):
        GENERIC.tell("events", raw, Context())


def test_a_hook_without_an_id_is_unusable() -> None:
    with pytest.raises(Unusable):
        GENERIC.delivery({}, b"[]")


# --- limits ---------------------------------------------------------------------------------------

Bomb = Callable[[], bytes]
BOMBS: dict[str, tuple[Bomb, int]] = {
    "too large": (lambda: b'"' + b"x" * 2**20 + b'"', 413),
    "too deep": (lambda: b"[" * 21 + b"]" * 21, 400),
    "bottomless": (lambda: b"[" * 500_000, 400),
    "NUL": (lambda: b'{"id": "\\u0000"}', 400),
    "half a pair": (lambda: b'{"id": "\\ud800"}', 400),
    "twice": (lambda: b'{"id": 1, "id": 2}', 400),
    "not a number": (lambda: b'{"id": NaN}', 400),
    "infinite": (lambda: b'{"id": 1e999}', 400),
    "endless digits": (lambda: b"9" * 10_000, 400),
    "no text": (lambda: b"\xff\xfe", 400),
    "no JSON": (lambda: b"{", 400),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_hostile_body_is_a_problem_and_nothing_else(cast: Cast, key: str, name: str) -> None:
    make, status = BOMBS[name]
    said = problem(call(key, EVENTS, make()), status)
    assert "Traceback" not in str(said)
    with acting(cast.acme.pk):
        assert not InboundMessage.objects.exists()


def test_a_body_of_a_million_names_is_answered(cast: Cast, key: str) -> None:
    """As many names as fit: one event whose attributes nobody knows."""
    names = ",".join(f'"{n:x}":0' for n in range(90_000))
    answer = call(key, EVENTS, "{" + names + "}")
    assert answer.status_code == 200
    assert statuses(answer.json()["results"]) == ["rejected"]
    assert len(answer.content) < 100_000


def test_a_name_that_stands_twice_among_very_many_is_found_at_once(cast: Cast, key: str) -> None:
    """Looked for name by name it takes minutes, of every web process that is asked."""
    names = ",".join(f'"{n:x}":0' for n in (*range(90_000), 89_999))
    began = time.monotonic()
    said = problem(call(key, EVENTS, "{" + names + "}"), 400)
    assert "stands twice" in str(said)
    assert time.monotonic() - began < 10


def test_an_organisation_that_tells_too_much_is_asked_to_wait(
    cast: Cast, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_api, "MOST_A_MINUTE", 3)
    events = [event("ticket.created", f"e{n}", data={"severity": "low"}) for n in range(3)]
    assert statuses(told(key, *events)) == ["created"] * 3
    answer = call(key, EVENTS, [OPENED])
    problem(answer, 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    with acting(cast.acme.pk):
        assert InboundMessage.objects.count() == 3
    monkeypatch.setattr(ingest_api, "MOST_A_MINUTE", 4)
    assert statuses(told(key, OPENED)) == ["created"], "the control: within the rate"


def test_a_key_that_calls_too_often_is_asked_to_wait(
    cast: Cast, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core.cache import cache

    from portal.rest import KeyRateThrottle

    cache.clear()
    monkeypatch.setattr(KeyRateThrottle, "rate", "2/min")
    assert [call(key, EVENTS, []).status_code for _ in range(2)] == [200, 200]
    answer = call(key, EVENTS, [])
    problem(answer, 429)
    assert int(answer.headers["Retry-After"]) > 0
    cache.clear()


def test_a_problem_is_told_by_an_event_or_with_the_ticket_and_taken_back(
    cast: Cast, key: str
) -> None:
    ticket = {"severity": "medium", "capability": "network", "problem": "PRB1"}

    def linked(id_: str, to: str | None, time: str, **more: Any) -> Any:
        return event("ticket.problem_linked", id_, time=time, data={"to": to, **more})

    def problem() -> str:
        swept()
        with acting(cast.acme.pk):
            item = WorkItem.objects.select_related("problem").get()
            return f"{item.problem.kind} {item.problem}" if item.problem else "none"

    told(key, event("ticket.created", "e1", data=ticket))
    assert problem() == "problem PRB1"
    told(key, linked("e2", "BUG-4", "2026-03-02T10:00:00Z", kind="defect"))
    assert problem() == "defect BUG-4"
    told(key, linked("e3", None, "2026-03-02T11:00:00Z"))
    assert problem() == "none"
    [refused] = told(key, linked("e4", "BUG-4", "2026-03-02T12:00:00Z", kind="rumour"))
    assert refused["errors"][0]["field"] == "data.kind"
