"""Tickets to be fetched whole: what hints ask for, until a worker has asked the help desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.tenancy import due
from portal.tenancy.hints import hint
from tickets.models import Connection, FetchWork

#: The kind of `Due` row that leads a worker to connections that have something to pull.
PULL = "pull"


def ask(connection: Connection, tickets: Sequence[str], *, at: datetime) -> None:
    """Let these tickets be fetched at the next pull; asking twice asks once."""
    if not tickets:
        return
    FetchWork.objects.bulk_create(
        (
            FetchWork(
                tenant_id=connection.tenant_id,
                connection=connection,
                external_id=ticket,
                asked_at=at,
            )
            for ticket in sorted(set(tickets))
        ),
        # Asked again while it is being fetched, it is fetched once more (tickets/pulling.py).
        update_conflicts=True,
        unique_fields=["tenant", "connection", "external_id"],
        update_fields=["asked_at"],
    )
    due.note(connection.tenant_id, PULL, at)
    hint("pull_help_desks")
