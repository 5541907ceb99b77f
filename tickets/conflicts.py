"""Events whose id is known with other content: the first word stands, and the later one is said.

The API answers such an id with `conflict` (INGEST.md 5); what comes in a webhook's batch is looked
at when it is entered. Looked at is what the log keeps of an event in the sender's words: neither
who is named in it nor a message's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from portal.catalogue.models import Capability
from tickets.canonical import Event, EventType
from tickets.models import Connection, TicketEvent, UsageEvent
from tickets.news import Remark, Told, UsageTold, event_key

#: Where the log holds keys and ids in place of the sender's names.
_NAMES = frozenset({"requester", "agent", "approved_by", "problem"})
_NAMED = {EventType.ASSIGNED: {"to"}, EventType.PROBLEM_LINKED: {"to", "kind"}}

Name = tuple[str, int]
"""A ticket's external id, or nothing, and the key of an event of it."""


def conflicts(connection: Connection, messages: Sequence[Told]) -> list[list[Remark]]:
    """For each message what it says otherwise than one that is stored or stands before it.

    Asked before they are entered, while no other writer of the source enters any (`take_turn`).
    """
    slugs: Mapping[str, int] = dict(
        Capability.objects.for_tenant(connection.tenant_id).values_list("slug", "pk")
    )
    known = _stored(connection, messages)
    found: list[list[Remark]] = []
    for told in messages:
        remarks = []
        for name, about, at, content in _told(told, slugs):
            before = known.setdefault(name, (at, content))
            if before != (at, content):
                remarks.append(Remark(about, _reason(at, before[0])))
        found.append(remarks)
    return found


def _reason(at: datetime, before: datetime) -> str:
    return (
        f"its id is known with other content (of {before.isoformat()}, now of {at.isoformat()}); it"
        " was left out. A correction is an event with an id of its own that `revises` the first"
    )


def _told(
    told: Told, slugs: Mapping[str, int]
) -> list[tuple[Name, str, datetime, tuple[Any, ...]]]:
    """Name, words for a person, instant and content of everything that has an id."""
    events = [
        (
            (news.external_id, event.key),
            f"ticket {news.external_id}: {event.type}",
            event.at,
            _content(event.type, event.sequence, event.actor_kind, event.public,
                     _with_ids(event, slugs)),
        )
        for news in told.tickets
        for event in news.events
    ]  # fmt: skip
    return events + [
        (("", event_key(use.id)), f"use {use.id}: {use.type}", use.at, _use(use, slugs))
        for use in told.usage
    ]


def _stored(
    connection: Connection, messages: Sequence[Told]
) -> dict[Name, tuple[datetime, tuple[Any, ...]]]:
    """What is stored of the ids that these messages hold."""
    keys = {event.key for told in messages for news in told.tickets for event in news.events}
    tickets = {news.external_id for told in messages for news in told.tickets}
    uses = {event_key(use.id) for told in messages for use in told.usage}
    tenant = connection.tenant_id
    found: dict[Name, tuple[datetime, tuple[Any, ...]]] = {}
    events = TicketEvent.objects.for_tenant(tenant).filter(
        ticket__connection=connection, ticket__external_id__in=tickets, key__in=keys
    )
    for ticket, key, type_, at, sequence, kind, public, data in events.values_list(
        "ticket__external_id", "key", "type", "at", "sequence", "actor_kind", "public", "data"
    ):
        content = _content(EventType(type_), sequence, kind, public, data)
        found[ticket, key] = at, content
    stored = UsageEvent.objects.for_tenant(tenant).filter(connection=connection, key__in=uses)
    for key, at, *content in stored.values_list("key", "at", *_USE) if uses else ():
        found["", key] = at, tuple(content)
    return found


def _content(
    type_: EventType, sequence: str, kind: str, public: bool, data: Mapping[str, Any]
) -> tuple[Any, ...]:
    left_out = _NAMES | _NAMED.get(type_, set())
    said = {name: value for name, value in data.items() if name not in left_out}
    return type_, sequence, str(kind), public, said


def _with_ids(event: Event, slugs: Mapping[str, int]) -> dict[str, Any]:
    """The data of an event with a capability's id in place of its slug, as the log holds it."""
    data = dict(event.data)
    name = "to" if event.type is EventType.CATEGORY_CHANGED else "capability"
    if data.get(name) is not None:
        data[name] = slugs.get(data[name])
    return data


_USE = ("type", "capability_id", "task", "success", "duration_ms", "errors_shown")


def _use(use: UsageTold, slugs: Mapping[str, int]) -> tuple[Any, ...]:
    return (
        *(use.type, slugs.get(use.capability), use.task[:200]),
        *(use.success, use.duration_ms, use.errors_shown),
    )
