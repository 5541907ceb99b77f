"""Emptying what is kept for a while only: raw bodies, words of messages, and deleted tickets' text.

Facts stay: that a delivery came, when, how it was signed and its SHA-256; when a message was
written and by what kind of actor. A body whose delivery still waits to be entered is kept until it
is done with, because nothing else of it exists.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection as database

from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from tickets.canonical import State
from tickets.models import InboundBody, InboundWork, MessageText, Ticket

#: Rows emptied in one transaction.
BATCH = 2000


def sweep(now: datetime, *, days: int) -> int:
    """Empty what is older than `days`, everywhere, as the worker; return how many rows."""
    emptied = 0
    for tenant_id in Organisation.objects.values_list("pk", flat=True):
        emptied += empty_bodies(tenant_id, now - timedelta(days=days))
        emptied += empty_texts(tenant_id, now - timedelta(days=days))
        emptied += forget_deleted(tenant_id)
    return emptied


def empty_bodies(tenant_id: int, before: datetime) -> int:
    """Remove the bytes of deliveries received before an instant that nothing waits for."""
    emptied, last = 0, 0
    while True:
        with acting(tenant_id):
            page = list(
                InboundBody.objects.for_tenant(tenant_id)
                .filter(pk__gt=last)
                .order_by("pk")
                .values_list("pk", "message_id", "message__received_at")[:BATCH]
            )
            waiting = set(
                InboundWork.objects.for_tenant(tenant_id)
                .filter(message__in=[message for _, message, _ in page])
                .values_list("message_id", flat=True)
            )
            old = [pk for pk, message, at in page if at < before and message not in waiting]
            InboundBody.objects.for_tenant(tenant_id).filter(pk__in=old).delete()
        emptied += len(old)
        # Bodies come in the order of their receipt: behind a young one there are no old ones.
        if len(page) < BATCH or page[-1][2] >= before:
            return emptied
        last = page[-1][0]


def empty_texts(tenant_id: int, before: datetime) -> int:
    """Remove the words of messages written before an instant."""
    return _delete_texts(tenant_id, "text.at < %s", [before])


def forget_deleted(tenant_id: int) -> int:
    """Remove subject and words of tickets that were deleted at their source (INGEST.md 5)."""
    with acting(tenant_id):
        subjects = (
            Ticket.objects.for_tenant(tenant_id)
            .in_state(State.DELETED)
            .exclude(subject="")
            .update(subject="")
        )
    return subjects + _delete_texts(
        tenant_id,
        'EXISTS (SELECT FROM "tickets_ticket" ticket WHERE ticket.tenant_id = text.tenant_id'
        " AND ticket.id = text.ticket_id AND ticket.state = %s)",
        [State.DELETED.value],
    )


def _delete_texts(tenant_id: int, condition: str, values: list[Any]) -> int:
    """Remove messages' words batch by batch: no transaction holds many rows."""
    table = MessageText._meta.db_table
    removed = 0
    while True:
        with acting(tenant_id), database.cursor() as cursor:
            cursor.execute(
                f'DELETE FROM "{table}" WHERE ctid = ANY(ARRAY(SELECT text.ctid FROM "{table}" text'  # noqa: S608 - names of ours
                f" WHERE text.tenant_id = %s AND {condition} LIMIT %s))",
                [tenant_id, *values, BATCH],
            )
            found: int = cursor.rowcount
        removed += found
        if found < BATCH:
            return removed
