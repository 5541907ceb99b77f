"""What a test module of a connector provides, and the ways to let it speak.

`tests/tickets/connectors/<key>.py` of each connector holds, for the battery in
test_every_connector.py:

* `DELIVERIES`: a small set of `Recorded` deliveries that tell a few tickets;
* `WORDS`: what an administrator says its words mean (the document of tickets/lens.py), with the
  capabilities `network` and `accounts`;
* `OPTIONS` and `SECRETS`: of the connection, as an administrator enters them;
* `DUMP`: the same tickets as extractors hold them, records by stream, none of its topics missing;
* `desk()`: a `Desk` that answers the connector, with more than one page in a stream, and links that
  name another host where the vendor's do; only where it can be pulled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.connectors.desk import BASE_URL
from tickets import inbound, ingest
from tickets.canonical import ActorKind, Event, EventType
from tickets.connectors.base import Connector, Context
from tickets.flaws import flaws_of
from tickets.lens import Lens, RoleSpan, Words
from tickets.models import (
    AccountRole,
    AgentAccount,
    Connection,
    Escalation,
    Resolution,
    Ticket,
    TicketEvent,
    ToldRating,
    WorkItem,
)
from tickets.news import Told, event_key
from tickets.timeline import TicketLog, fold
from tickets.versions import changes
from tickets.words import save_version

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Recorded:
    """One delivery: what it is, its body, and when it came."""

    topic: str
    body: Any
    received_at: datetime = NOW
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def tell(connector: Connector, one: Recorded, options: Mapping[str, Any] | None = None) -> Told:
    """What the connector's mapper makes of a delivery."""
    context = Context(
        options=options or {},
        headers=one.headers,
        received_at=one.received_at,
        delivery_id="d",
        arrival="000000000001",
        base_url=BASE_URL,
        capabilities=frozenset({"network", "accounts"}),
    )
    return connector.tell(one.topic, one.raw, context)


# --- without a database --------------------------------------------------------------------------


@dataclass
class _Heap:
    """What was told so far, kept as the stored log keeps it: the first of a key stands."""

    events: dict[str, dict[int, Event]] = field(default_factory=dict)
    labels: dict[str, dict[str, tuple[str, int, str]]] = field(default_factory=dict)
    spans: dict[tuple[str, datetime], ActorKind] = field(default_factory=dict)
    ratings: dict[tuple[str, datetime], tuple[Any, ...]] = field(default_factory=dict)

    def take(self, told: Told) -> None:
        for account in told.accounts:
            self.spans.setdefault((account.external_id, account.since), account.role)
        for news in told.tickets:
            mine = self.events.setdefault(news.external_id, {})
            for event in news.events:
                nameless = event.actor_kind is ActorKind.REQUESTER
                kept = replace(event, actor_key=None) if nameless else event
                mine.setdefault(event.key, kept)
            if news.said_at is None:
                continue
            moment = news.said_at.astimezone(UTC).isoformat(timespec="microseconds")
            for name in ("subject", "channel", "requester"):
                value = getattr(news, name)
                label = (moment, event_key(value) & 0xFFFFFFFF, value)
                known = self.labels.setdefault(news.external_id, {})
                if value and label > known.get(name, ("", 0, "")):
                    known[name] = label
        for one in told.ratings:
            words = (one.ticket, one.outcome, one.score, one.scale, one.raw, one.remark)
            self.ratings.setdefault((one.id, one.said_at), (*words, one.offered_at))


def state_of(told: Iterable[Told], words: Words) -> bytes:
    """Everything that was told, merged, read through the lens and folded: as bytes."""
    heap = _Heap()
    for one in told:
        heap.take(one)
    spans: dict[str, list[RoleSpan]] = {}
    for (account, since), role in sorted(heap.spans.items()):
        spans.setdefault(account, []).append(RoleSpan(since, role))
    lens = Lens(words, {"network": 1, "accounts": 2}, spans)
    stories: dict[str, list[Event]] = {}
    flaws: dict[str, set[Any]] = {}
    for ticket, events in sorted(heap.events.items()):
        asker = heap.labels.get(ticket, {}).get("requester")
        story, flaws[ticket] = lens.story(events.values(), requester=asker[2] if asker else None)
        stories[ticket] = changes(story)
    parents = {
        ticket: next((str(e.data["parent"]) for e in s if e.type is EventType.FOLLOWUP_OF), None)
        for ticket, s in stories.items()
    }
    logs = [
        TicketLog(ticket, story, parents[ticket])
        for ticket, story in stories.items()
        if any(e.type is EventType.CREATED and e.data.get("severity") for e in story)
    ]
    timelines = fold(logs)
    for ticket, story in stories.items():
        flaws[ticket] |= flaws_of(
            story, [t for t in timelines if ticket in (t.ticket, *t.continued_by)]
        )
    state = {
        "timelines": [asdict(t) for t in sorted(timelines, key=lambda t: str(t.ticket))],
        "stories": {ticket: [repr(e) for e in story] for ticket, story in stories.items()},
        "labels": {ticket: dict(sorted(v.items())) for ticket, v in sorted(heap.labels.items())},
        "flaws": {ticket: sorted(map(repr, found)) for ticket, found in flaws.items()},
        "ratings": sorted(map(repr, heap.ratings.items())),
    }
    return json.dumps(state, default=str).encode()


# --- through the door ----------------------------------------------------------------------------


def connect(
    cast: Cast,
    connector: Connector,
    words: Mapping[str, Any],
    options: Mapping[str, Any],
    name: str,
) -> Connection:
    """A live connection, with a mapping that was saved as an administrator saves it."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        connection = ConnectionFactory(
            tenant=cast.acme,
            name=name,
            kind=connector.key,
            base_url=BASE_URL,
            options=dict(options),
            live_since=None,
        )
        save_version(connection=connection, words=Words.parse(words), by=SYSTEM, at=NOW)
    return connection


def receive(cast: Cast, connection: Connection, deliveries: Sequence[Recorded]) -> None:
    """Deliveries at the door, as the web role; the same one again is a duplicate there."""
    with acting(cast.acme.pk):
        for one in deliveries:
            inbound.receive(
                tenant_id=cast.acme.pk,
                connection=connection,
                delivery_id=f"{one.topic}:{hash_of(one)}",
                topic=one.topic,
                raw=one.raw,
                at=one.received_at,
                headers=one.headers,
            )


def hash_of(one: Recorded) -> int:
    """What tells a delivery from others."""
    return event_key(one.topic, one.raw)


def sweep() -> None:
    """What the worker does until nothing waits."""
    with roles.as_role(roles.WORKER):
        inbound.sweep(NOW)
        ingest.sweep_refolds(NOW)


def enter(cast: Cast, connection: Connection, deliveries: Sequence[Recorded]) -> None:
    """Receive and fold."""
    receive(cast, connection, deliveries)
    sweep()


@contextmanager
def reading(cast: Cast) -> Iterator[None]:
    """What the worker sees."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        yield


def item_of(cast: Cast, connection: Connection, ticket: str, number: int = 1) -> WorkItem:
    """A work item of a ticket."""
    with reading(cast):
        return WorkItem.objects.get(
            ticket__connection=connection, ticket__external_id=ticket, number=number
        )


def resolutions_of(cast: Cast, connection: Connection, ticket: str) -> list[tuple[Any, ...]]:
    """When a ticket was resolved, and what kind of reopen followed."""
    with reading(cast):
        return list(
            Resolution.objects.filter(ticket__connection=connection, ticket__external_id=ticket)
            .order_by("at")
            .values_list("at", "reopen_at", "reopen_kind", "reopened")
        )


def stored_state(cast: Cast, connection: Connection) -> bytes:
    """Everything that is stored of a connection, without the ids and random keys of this run."""
    with reading(cast):
        accounts = {
            str(key): name
            for key, name in AgentAccount.objects.filter(connection=connection).values_list(
                "actor_key", "external_id"
            )
        }

        def rows(queryset: Any, *columns: str) -> list[str]:
            return sorted(repr(row) for row in queryset.values_list(*columns))

        def named(data: Mapping[str, Any]) -> dict[str, Any]:
            return {
                k: accounts.get(str(v), "a requester" if k == "requester" else v)
                for k, v in sorted(data.items())
            }

        events = TicketEvent.objects.filter(ticket__connection=connection)
        of = {"ticket__connection": connection}
        state = {
            "tickets": rows(
                Ticket.objects.filter(connection=connection),
                *("external_id", "subject", "channel", "opened_at", "last_event_at", "state"),
                *("severity", "capability__slug", "group", "left_out", "follows", "labelled"),
                *("requester__external_id", "requester__email", "continues__external_id"),
            ),
            "events": sorted(
                repr((e.ticket.external_id, e.key, e.type, e.at, e.sequence, e.actor_kind))
                + repr((accounts.get(str(e.actor_key)), e.public, named(e.data), e.fidelity))
                for e in events.select_related("ticket")
            ),
            "items": rows(
                WorkItem.objects.filter(**of),
                *("ticket__external_id", "number", "severity", "state", "outcome", "opened_at"),
                *("ended_at", "clock_s", "paused_s", "paused_since", "first_response_at"),
                *("first_meaningful_at", "first_reply_meaning", "reassignments", "fcr_claimed"),
                *("requester_messages", "group", "channel", "capability__slug"),
            ),
            "resolutions": rows(
                Resolution.objects.filter(**of),
                *("ticket__external_id", "event_key", "number", "at", "kind", "holds", "clock_s"),
                *("reopen_at", "reopen_kind", "reopened", "group", "severity"),
            ),
            "escalations": rows(
                Escalation.objects.filter(work_item__ticket__connection=connection),
                *("event_key", "at", "kind", "reason"),
            ),
            "flaws": rows(
                Ticket.objects.filter(connection=connection),
                "external_id",
                "flaws__kind",
                "flaws__detail",
            ),
            "ratings": rows(
                ToldRating.objects.filter(connection=connection),
                *("ticket_external_id", "key", "said_at", "outcome", "score", "scale", "remark"),
            ),
            "roles": rows(
                AccountRole.objects.filter(connection=connection), "external_id", "since", "role"
            ),
        }
    return json.dumps(state, default=str).encode()
