"""Folding stored tickets again: when a mapping version, a role or a burst changed under them.

`RefoldWork` is the queue: a row a ticket, added in the transaction of the change and taken away in
that of the fold.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import connection as database

from portal.tenancy import due
from portal.tenancy.hints import hint
from tickets.models import Connection

#: The kind of `Due` row that leads a worker to tickets to be folded again.
REFOLD = "refold"
#: Tickets folded again in one transaction.
BATCH = 500


def refold_connection(connection: Connection, *, at: datetime) -> None:
    """Let every ticket of a connection be folded again."""
    with database.cursor() as cursor:
        cursor.execute(
            'INSERT INTO "tickets_refoldwork" (tenant_id, connection_id, ticket_id)'
            ' SELECT tenant_id, connection_id, id FROM "tickets_ticket"'
            " WHERE tenant_id = %s AND connection_id = %s ON CONFLICT DO NOTHING",
            [connection.tenant_id, connection.pk],
        )
    wake(connection.tenant_id, at)


def refold_tickets(connection: Connection, ticket_ids: Collection[int], *, at: datetime) -> None:
    """Let these tickets be folded again."""
    if not ticket_ids:
        return
    with database.cursor() as cursor:
        cursor.execute(
            'INSERT INTO "tickets_refoldwork" (tenant_id, connection_id, ticket_id)'
            " SELECT %s, %s, unnest(%s::bigint[]) ON CONFLICT DO NOTHING",
            [connection.tenant_id, connection.pk, sorted(ticket_ids)],
        )
    wake(connection.tenant_id, at)


def wake(tenant_id: int, at: datetime) -> None:
    """Note that tickets wait to be folded again."""
    due.note(tenant_id, REFOLD, at)
    hint("fold_again")


def take(connection: Connection) -> list[int]:
    """Take a batch of waiting tickets off the queue; they come back if the transaction fails."""
    with database.cursor() as cursor:
        cursor.execute(
            'DELETE FROM "tickets_refoldwork" WHERE tenant_id = %s AND connection_id = %s'
            ' AND ticket_id IN (SELECT ticket_id FROM "tickets_refoldwork" WHERE tenant_id = %s'
            " AND connection_id = %s ORDER BY ticket_id LIMIT %s FOR UPDATE SKIP LOCKED)"
            " RETURNING ticket_id",
            [connection.tenant_id, connection.pk, connection.tenant_id, connection.pk, BATCH],
        )
        return [row[0] for row in cursor.fetchall()]
