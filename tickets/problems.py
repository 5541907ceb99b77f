"""Problems of a source: the row behind each name, made on first sight (METRICS.md M26)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tickets.canonical import Event, EventType, ProblemKind
from tickets.models import Connection, Problem

Named = tuple[str, str]
"""Kind and the source's own id of a problem."""

#: Where an event's data holds what the ticket is linked to.
_WHERE = {
    EventType.PROBLEM_LINKED: "to",
    EventType.CREATED: "problem",
    EventType.SNAPSHOT: "problem",
}


def named_in(event: Event) -> Named | None:
    """What an event links its ticket to; None where it says nothing, or that it is linked to none.

    An opening or a snapshot says no kind: then it is a problem record.
    """
    said = event.data.get(_WHERE.get(event.type, ""))
    if not said:
        return None
    return str(event.data.get("kind", ProblemKind.PROBLEM)), str(said)


def with_ids(event: Event, data: dict[str, Any], ids: dict[Named, int]) -> None:
    """Put the row's id where the source's name stood; nothing stays an empty text."""
    if (where := _WHERE.get(event.type)) is None or where not in data:
        return
    named = named_in(event)
    data[where] = ids[named] if named else ""
    data.pop("kind", None)


def ensure(connection: Connection, names: Collection[Named]) -> dict[Named, int]:
    """The id of each problem named, by kind and name."""
    if not names:
        return {}
    tenant = connection.tenant_id
    known = Problem.objects.for_tenant(tenant).filter(
        connection=connection, external_id__in={name for _, name in names}
    )
    ids = {(kind, name): pk for pk, kind, name in known.values_list("pk", "kind", "external_id")}
    made = [
        Problem(tenant_id=tenant, connection=connection, kind=kind, external_id=name)
        for kind, name in sorted(set(names) - ids.keys())
    ]
    Problem.objects.bulk_create(made)
    return ids | {(one.kind, one.external_id): one.pk for one in made}
