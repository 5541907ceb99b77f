"""Storing repeat contacts: `WorkItem.repeat_contact_at` of the requesters a batch touched (M17)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db import connection

from tickets.repeat_contact import Contact, repeat_contacts
from tickets.storing import Written


def write_repeat_contacts(
    tenant_id: int, requester_ids: Collection[int], window: timedelta
) -> Written:
    """Recompute the items of these requesters (tickets/repeat_contact.py); write what differs."""
    if not requester_ids:
        return Written()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, requester_id, capability_id, opened_at, first_resolution_at,"
            ' repeat_contact_at FROM "tickets_workitem"'
            " WHERE tenant_id = %s AND requester_id = ANY(%s)",
            [tenant_id, list(requester_ids)],
        )
        rows = cursor.fetchall()
    found = repeat_contacts((Contact(*row[:5]) for row in rows), window)
    differing = [row[0] for row in rows if found.get(row[0]) != row[5]]
    if differing:
        with connection.cursor() as cursor:
            cursor.execute(
                'UPDATE "tickets_workitem" AS item SET "repeat_contact_at" = found."at"'
                " FROM unnest(%s::bigint[], %s::timestamptz[]) AS found(id, at)"
                ' WHERE item."id" = found."id" AND item."tenant_id" = %s',
                [differing, [found.get(pk) for pk in differing], tenant_id],
            )
    return Written(changed=len(differing))
