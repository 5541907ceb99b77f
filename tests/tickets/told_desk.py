"""A small help desk for tests of sources: its own words for everything, and no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tickets import ingest, surveying
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors import CONNECTORS, signatures
from tickets.connectors.base import Asked, Connector, Context, Page, Unusable
from tickets.connectors.http import Http, HttpTrouble
from tickets.inbound import receive
from tickets.inbound import sweep as enter
from tickets.models import Connection
from tickets.news import AccountTold, TicketNews, Told, event_key


class ToldDesk(Connector):
    """Says tickets as `{tickets: [{id, at, status, priority, group, then: [[hours, status]]}]}`."""

    key = "told"
    name = "Told Desk"
    asks = (
        Asked("user", "User", "The account that reads."),
        Asked("token", "Token", secret=True),
    )
    rights = "read tickets and users"
    scheme = signatures.STANDARD
    pulls = True
    hooks = True
    facets = ("group",)

    def http(self, base_url: str, secrets: Mapping[str, str], options: Mapping[str, Any]) -> Http:
        if secrets.get("token") != "let me in please":
            raise HttpTrouble("The desk does not know these credentials (401): enter them again.")
        return Http(base_url)

    def pull(self, http: Http, cursor: Mapping[str, Any], **_: Any) -> Iterator[Page]:
        yield from ()

    def check(self, http: Http, *, options: Mapping[str, Any]) -> str:
        return f"Works: {options['user']} reads {http.base.hostname}."

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        body = json.loads(raw)
        if "tickets" not in body:
            raise Unusable({"field": "tickets", "reason": "there are none"})
        told = Told(tickets=[_ticket(one) for one in body["tickets"]])
        for name, role in body.get("accounts", {}).items():
            since = datetime.fromisoformat(body["tickets"][0]["at"])
            told.accounts.append(AccountTold(name, ActorKind(role), since, name.title()))
        return told


def _ticket(one: Mapping[str, Any]) -> TicketNews:
    name, at = one["id"], datetime.fromisoformat(one["at"])
    data = {"state_said": one["status"], "facets": {"group": one["group"]}}
    if "priority" in one:
        data["severity_said"] = one["priority"]
    events = [Event(event_key(name, "opened"), EventType.CREATED, at, data=data)]
    for step, (hours, status) in enumerate(one.get("then", ())):
        moved = {"actor_key": one["agent"]} if "agent" in one else {"actor_kind": ActorKind.AGENT}
        events.append(
            Event(
                event_key(name, step),
                EventType.STATUS_CHANGED,
                at + timedelta(hours=hours),
                data={"said": status},
                **moved,
            )
        )
    if "reply" in one:
        events.append(
            Event(
                event_key(name, "reply"),
                EventType.MESSAGE,
                at + timedelta(hours=one["reply"]),
                actor_key=one["agent"],
                public=True,
            )
        )
    return TicketNews(name, events, requester=f"who asked for {name}")


def connected(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """The desk, connected and waiting for its first mapping."""
    monkeypatch.setitem(CONNECTORS, "told", ToldDesk())
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return Connection.objects.create(
            tenant=cast.acme,
            name="told",
            kind="told",
            base_url="https://told.example",
            options={"user": "reader"},
            created_at=datetime.fromisoformat("2026-01-01T00:00:00+00:00"),
        )


def deliver(desk: Connection, at: datetime, *tickets: Mapping[str, Any], **more: Any) -> None:
    """A page of tickets at the door, as the web role."""
    raw = json.dumps({"tickets": list(tickets), **more}).encode()
    with acting(desk.tenant_id):
        receive(
            tenant_id=desk.tenant_id,
            connection=desk,
            delivery_id=str(event_key(raw)),
            topic="tickets",
            raw=raw,
            at=at,
        )


def fold(at: datetime) -> None:
    """Everything that waits is entered and folded, by the worker."""
    with roles.as_role(roles.WORKER):
        enter(at)
        ingest.sweep_refolds(at)


def answer_surveys(at: datetime) -> int:
    """A worker answers what was asked."""
    with roles.as_role(roles.WORKER):
        return surveying.sweep(at)
