"""Reading the event log: what was told of tickets, and the story it makes. Workers only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import connection

from portal.tenancy.context import acting_tenant_id
from tickets.accounts import keys_of_requesters
from tickets.canonical import ActorKind, Event, EventType
from tickets.models import Connection, Ticket
from tickets.storing import array
from tickets.timeline import until
from tickets.versions import changes
from tickets.words import lens_of


def events_of(ticket_ids: Sequence[int]) -> dict[int, list[Event]]:
    """The log of tickets as it stands, snapshots as told, by ticket id; unordered."""
    found: dict[int, list[Event]] = defaultdict(list)
    if not ticket_ids:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ticket_id, key, type, at, sequence, actor_kind, actor_key, public, data,"
            " fidelity, precision"
            ' FROM "tickets_ticketevent" WHERE tenant_id = %s AND ticket_id = ANY(%s)',
            [acting_tenant_id(), array(ticket_ids)],
        )
        for ticket_id, key, type_, at, sequence, kind, actor, public, data, *how in cursor:
            found[ticket_id].append(
                Event(
                    key,
                    EventType(type_),
                    at,
                    sequence,
                    ActorKind(kind),
                    str(actor) if actor else None,
                    public,
                    json.loads(data) if isinstance(data, str) else data,
                    *how,
                )
            )
    return found


def stories_of(
    ticket_ids: Sequence[int], *, as_of: datetime | None = None
) -> dict[int, list[Event]]:
    """The events of tickets as the fold takes them, in order; with `as_of` only those until then.

    For figures of the past: events after `as_of` do not exist for them (METRICS.md 1.2).
    """
    told = events_of(ticket_ids)
    if as_of is not None:
        told = {ticket_id: until(events, as_of) for ticket_id, events in told.items()}
    tickets = {
        pk: (connection, requester)
        for pk, connection, requester in Ticket.objects.for_tenant(acting_tenant_id() or 0)
        .filter(pk__in=list(told))
        .values_list("pk", "connection_id", "requester_id")
    }
    stories: dict[int, list[Event]] = {}
    for source in Connection.objects.filter(pk__in={c for c, _ in tickets.values()}):
        mine = {pk: asker for pk, (owner, asker) in tickets.items() if owner == source.pk}
        lens = lens_of(source, actors=unknown_actors(told[pk] for pk in mine))
        askers = keys_of_requesters(source, mine.values())
        for pk, asker in mine.items():
            story, _ = lens.story(told[pk], requester=askers.get(asker or 0))
            stories[pk] = changes(story)
    return stories


def unknown_actors(logs: Iterable[Iterable[Event]]) -> set[str]:
    """Keys of those whose role the log does not know."""
    return {
        event.actor_key
        for log in logs
        for event in log
        if event.actor_kind is ActorKind.UNKNOWN and event.actor_key
    }
