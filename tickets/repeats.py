"""Repeat contacts: the same requester, the same capability, another item within 14 days (M17)."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection

from tickets.storing import Written

#: The next item of the same requester and capability opened in (0, 14 x 24 h] after the first
#: resolution, on another ticket (a later item of the same ticket is linked to it).
_SQL = """
    UPDATE "tickets_workitem" AS item SET "repeat_contact_at" = found."at"
    FROM (
        SELECT one."id", (
            SELECT min(next."opened_at") FROM "tickets_workitem" AS next
            WHERE next."tenant_id" = one."tenant_id"
              AND next."requester_id" = one."requester_id"
              AND next."capability_id" = one."capability_id"
              AND next."ticket_id" <> one."ticket_id"
              AND next."opened_at" > one."first_resolution_at"
              AND next."opened_at" <= one."first_resolution_at" + interval '336 hours'
        ) AS "at"
        FROM "tickets_workitem" AS one
        WHERE one."tenant_id" = %s AND one."requester_id" = ANY(%s)
    ) AS found
    WHERE item."id" = found."id" AND item."tenant_id" = %s
      AND item."repeat_contact_at" IS DISTINCT FROM found."at"
"""


def write_repeat_contacts(tenant_id: int, requester_ids: Collection[int]) -> Written:
    """Recompute `WorkItem.repeat_contact_at` for all items of these requesters."""
    if not requester_ids:
        return Written()
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [tenant_id, sorted(requester_ids), tenant_id])
        return Written(changed=cursor.rowcount)
