"""The API under generated calls by every kind of caller: no failure, leak or broken promise.

TRUST.md C12. Operations, parameters and bodies come from the OpenAPI document, valid and broken
alike; the answers are held against the same document.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.response import Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from portal.catalogue.api import CapabilityList
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory, TicketFactory
from tests.faults import tries
from tests.governance.sheets import propose_sheet
from tests.portal.test_permissions import key_of
from tests.tickets.events import event
from tests.tickets.test_ingest_api import FULL
from tickets.inbound import FAILED, receive, sweep
from tickets.models import InboundBody, InboundOutcome

pytestmark = pytest.mark.faults

#: Who calls: nobody, a key of each scope, one of all, one of another organisation.
ACTORS = ("nobody", *(scope.value for scope in Scope), "everything", "another organisation")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]
#: Asked of those who may call: whoever may not is refused before the call is looked at.
CHECKS_OF_THE_RIGHTFUL = [ignored_auth, missing_required_header, negative_data_rejection]

#: Deliveries that are there, for calls that name one.
MESSAGES: list[int] = []

#: As it is: nothing here unpacks an answer, and what is packed hides what it holds.
UNPACKED = {"Accept-Encoding": "identity"}

#: What no answer may hold.
LEAKS = re.compile(
    rb'Traceback|psycopg|django\.|rest_framework|File "|/site-packages/|\.py\b'
    rb"|\bSELECT .+ FROM\b|\bINSERT INTO\b|tickets_|people_|catalogue_|LINE \d+:"
)


@pytest.fixture
def world(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Something to find in two organisations; the secret of each actor. Nobody is throttled."""
    for signal in (
        request_started,
        request_finished,
    ):
        monkeypatch.setattr(signal, "receivers", [])
        signal.sender_receivers_cache.clear()
    monkeypatch.setattr("portal.rest.KeyRateThrottle.allow_request", lambda *_: True)
    monkeypatch.setattr("tickets.ingest_api.MOST_A_MINUTE", 10**9)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        TicketFactory(tenant=cast.acme, connection=cast.desk, external_id="T1")
    monkeypatch.setattr(f"{__name__}.MESSAGES", a_dead_letter_and_an_emptied_one(cast))
    with roles.as_role(roles.OWNER), acting(cast.globex.pk):
        desk = ConnectionFactory(tenant=cast.globex, name="desk")
        TicketFactory(tenant=cast.globex, connection=desk, external_id="G1")
    with acting(cast.acme.pk):
        propose_sheet(cast)
    secrets: dict[str, str | None] = {"nobody": None, "everything": key_of(cast, *Scope)[1]}
    secrets |= {scope.value: key_of(cast, scope)[1] for scope in Scope}
    secrets["another organisation"] = key_of(cast, *Scope, organisation="globex")[1]
    return secrets


def a_dead_letter_and_an_emptied_one(cast: Cast) -> list[int]:
    """The ids of two deliveries that could not be read; the bytes of the second are gone."""
    with acting(cast.acme.pk):
        found = [
            receive(
                tenant_id=cast.acme.pk, connection=cast.desk, delivery_id=name, topic="event",
                raw=b"{}", at=timezone.now(),
            ).message_id
            for name in ("kept", "emptied")
        ]  # fmt: skip
    with roles.as_role(roles.WORKER):
        sweep(timezone.now())
        with acting(cast.acme.pk):
            InboundBody.objects.filter(message=found[1]).delete()
    return found


def described() -> Any:
    """The API as its own document describes it, called in this process."""
    schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
    schema.app = get_wsgi_application()
    return schema


API = described()
FUZZED = settings(
    max_examples=tries(100),
    derandomize=tries(100) < 100,
    database=None,
    phases=[Phase.generate] if tries(100) < 100 else [Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def aimed(case: Any) -> None:
    """Let a call hit what exists: a path's or event's source is our desk, a ticket is T1."""
    known = {"source": "desk", "external_id": "T1", "slug": "accounts"}
    for name in set(case.path_parameters or {}) & set(known):
        case.path_parameters[name] = known[name]
    if isinstance((case.path_parameters or {}).get("message"), int):
        case.path_parameters["message"] = MESSAGES[case.path_parameters["message"] % len(MESSAGES)]
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for body in bodies:
        if isinstance(body, dict) and "source" in body:
            body["source"] = "desk"


def holds_nothing_of_ours(response: Any) -> None:
    """Errors are problem documents, without SQL, paths or stack."""
    raw = response.content
    if response.status_code >= 400:
        assert response.headers["content-type"][0].startswith("application/problem+json"), raw
        said = json.loads(raw)
        assert said["status"] == response.status_code
    found = LEAKS.search(raw)
    assert found is None, (found, raw[:500])


def by(secret: str | None) -> dict[str, str]:
    """The headers of a caller with this key, or without one."""
    return UNPACKED | ({"Authorization": f"Bearer {secret}"} if secret else {})


@API.parametrize()
@FUZZED
def test_generated_calls_find_no_failure_and_no_leak(
    case: Any, world: dict[str, str | None]
) -> None:
    """Each call is made by everyone: nobody, a key of each scope, of all, and of others."""
    if case.meta is None or case.meta.generation.mode.is_positive:
        aimed(case)
    for actor in ACTORS:
        secret = world[actor]
        headers = by(secret)
        response = case.call(headers=headers)
        holds_nothing_of_ours(response)
        rightful = CHECKS_OF_THE_RIGHTFUL if actor == "everything" else []
        if case.operation.label == "POST /api/v1/ingest/events/":
            # Each event is answered for itself: a broken one is refused in the answer's rows.
            rightful = [check for check in rightful if check is not negative_data_rejection]
        case.validate_response(response, checks=[*CHECKS, *rightful], headers=headers)


def test_an_endpoint_that_fails_is_found(
    world: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A negative control."""

    def fails(self: Any, request: Request) -> Response:
        raise RuntimeError("boom")

    monkeypatch.setattr(CapabilityList, "get", fails)
    headers = by(world["everything"])
    with pytest.raises(FailureGroup, match="Server error"):
        API["/api/v1/capabilities/"]["GET"].Case().call_and_validate(headers=headers, checks=CHECKS)


def test_an_endpoint_that_tells_too_much_is_found(
    world: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A negative control."""

    def tells(self: Any, request: Request) -> Response:
        return Response({"results": ['SELECT id FROM "tickets_ticket"'], "next": 3})

    case = API["/api/v1/capabilities/"]["GET"].Case()
    headers = by(world["everything"])
    holds_nothing_of_ours(case.call(headers=headers))
    monkeypatch.setattr(CapabilityList, "get", tells)
    with pytest.raises(AssertionError):
        holds_nothing_of_ours(case.call(headers=headers))
    with pytest.raises(FailureGroup, match="violates schema"):
        case.call_and_validate(headers=headers, checks=CHECKS)


# --- what events hold -----------------------------------------------------------------------------

#: Values that have broken somebody's software.
HOSTILE: list[Any] = [
    *(None, True, [], {}, [[]], "", " ", "\u0000", "\ud800", "\u202e", "x" * 30_000),
    *(-1, 0, 2**31, 2**63, 2**64, 10**400, -(10**400), 1.5, 1e308, 4.0),
    *("NaN", "null", "__proto__", "' OR 1=1 --", "{{7*7}}", "%s%n", "../../etc/passwd"),
    *("2026-13-01T00:00:00Z", "0000-00-00T00:00:00Z", "2026-03-02T24:00:00Z", "9" * 40),
    *({"id": {"id": {}}}, {"$ref": "#"}, {"to": {"to": "open"}}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a value, objects and their fields."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += places(inner, (*path, name))
    return found


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """An event of some type with up to three places broken: changed, removed or added."""
    name = draw(st.sampled_from(sorted(FULL)))
    said = event(name, draw(st.text(min_size=1, max_size=5)), data=copy.deepcopy(FULL[name]))
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(places(said)))
        inside = said
        for part in path[:-1]:
            inside = inside[part]
        match draw(st.sampled_from(["change", "remove", "add"])):
            case "change":
                inside[path[-1]] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
            case "remove":
                del inside[path[-1]]
            case "add":
                inside[draw(st.text(max_size=5))] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
    return said


def test_broken_events_are_refused_or_folded_and_fail_nowhere(
    cast: Cast, world: dict[str, str | None]
) -> None:
    """2,000 broken events: each is answered, and what was taken in is folded without a failure."""
    seen: set[str] = set()

    @settings(FUZZED, max_examples=tries(2_000))
    @given(broken())
    def send(said: Any) -> None:
        answer = Client(raise_request_exception=False).post(
            "/api/v1/ingest/events/",
            data=json.dumps(said),
            content_type="application/json",
            headers={"Authorization": f"Bearer {world['ingest:events']}"},
        )
        assert answer.status_code in (200, 400, 409), answer.content
        assert LEAKS.search(answer.content) is None, answer.content
        if answer.status_code == 200:
            seen.update(one["status"] for one in answer.json()["results"])

    send()
    assert seen >= {"created", "rejected"}
    with roles.as_role(roles.WORKER):
        sweep(timezone.now())
        with acting(cast.acme.pk):
            failed = InboundOutcome.objects.filter(status=FAILED)
            assert list(failed.values_list("errors", flat=True)) == []
