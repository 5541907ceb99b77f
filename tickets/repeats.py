"""Repeat contacts of what a batch touched: `WorkItem.repeat_contact_at` (M17)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from tickets.repeat_contact import Contact, repeat_contacts
from tickets.storing import Written, array
from tickets.touched import StoredItem

#: Whatever a changed opening or resolution can have to do with: what was resolved a window before
#: it or later, and what was opened since.
_NEAR = """
    WITH asked AS (
        SELECT * FROM unnest(%(people)s::bigint[], %(capabilities)s::bigint[],
                             %(since)s::timestamptz[]) AS a(person, capability, since)
    )
    SELECT i.id, i.requester_id, i.capability_id, i.opened_at, i.first_resolution_at,
           i.repeat_contact_at
      FROM asked JOIN "tickets_workitem" i ON i.tenant_id = %(tenant)s
       AND i.requester_id = asked.person AND i.capability_id = asked.capability
     WHERE i.opened_at >= asked.since OR i.first_resolution_at >= asked.since
"""


def write_repeat_contacts[K: Hashable](
    tenant_id: int,
    asked: Mapping[tuple[int, int], datetime],
    stored: Mapping[K, StoredItem],
    wanted: Mapping[K, Contact],
    window: timedelta,
) -> tuple[dict[K, datetime | None], Written]:
    """When each requester came again, of the items that are about to take the place of stored ones.

    `asked` says since when the items of a requester for a capability are others than they were.
    Those of other tickets near them are computed again as well, and written where they differ.
    """
    if not asked:
        return {
            key: stored[key].repeat_contact_at if key in stored else None for key in wanted
        }, Written()
    replaced = {item.id: key for key, item in stored.items()}
    near = _near(tenant_id, asked, window)
    others = {row[0]: row for row in near if row[0] not in replaced}
    found = repeat_contacts(
        [*wanted.values(), *(Contact(*row[:5]) for row in others.values())], window
    )
    affected = {replaced[row[0]] for row in near if row[0] in replaced}
    told = {
        key: stored[key].repeat_contact_at
        if key in stored and key not in affected and stored[key].contact == contact
        else found.get(key)
        for key, contact in wanted.items()
    }
    return told, _write(
        tenant_id, {pk: found.get(pk) for pk, row in others.items() if found.get(pk) != row[5]}
    )


def _near(
    tenant_id: int, asked: Mapping[tuple[int, int], datetime], window: timedelta
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            _NEAR,
            {
                "tenant": tenant_id,
                "people": array(person for person, _ in asked),
                "capabilities": array(capability for _, capability in asked),
                "since": array(since - window for since in asked.values()),
            },
        )
        return list(cursor.fetchall())


def _write(tenant_id: int, differing: Mapping[int, datetime | None]) -> Written:
    if not differing:
        return Written()
    with connection.cursor() as cursor:
        cursor.execute(
            'UPDATE "tickets_workitem" AS item SET "repeat_contact_at" = found."at"'
            " FROM unnest(%s::bigint[], %s::timestamptz[]) AS found(id, at)"
            ' WHERE item."id" = found."id" AND item."tenant_id" = %s',
            [array(differing), array(differing.values()), tenant_id],
        )
    return Written(changed=len(differing))
