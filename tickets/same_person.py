"""Who is the same somebody: one person may be known to several sources."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

#: Pairs of requesters who are the same somebody: the portal and the help desk may know a person by
#: different names, but by one address, or linked to one person here.
SAME_PERSON = """
    SELECT id AS one, id AS also FROM "tickets_requester"
     WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s)
    UNION
    SELECT one.id, also.id FROM "tickets_requester" one JOIN "tickets_requester" also
        ON also.tenant_id = one.tenant_id AND also.email = one.email
     WHERE one.tenant_id = %(tenant)s AND one.id = ANY(%(ids)s)
       AND one.email <> '' AND also.email <> ''
    UNION
    SELECT one.id, also.id FROM "tickets_requester" one JOIN "tickets_requester" also
        ON also.tenant_id = one.tenant_id AND also.person_id = one.person_id
     WHERE one.tenant_id = %(tenant)s AND one.id = ANY(%(ids)s)
"""


def everybody_who_is(tenant_id: int, requester_ids: Iterable[int]) -> list[int]:
    """These requesters and those who are the same persons; inside `acting()`."""
    ids = sorted(set(requester_ids))
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT also FROM ({SAME_PERSON}) AS same ORDER BY also",  # noqa: S608
            {"tenant": tenant_id, "ids": ids},
        )
        return [row[0] for row in cursor.fetchall()]
