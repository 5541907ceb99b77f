"""Tickets that are in no figure, counted with the reason (METRICS.md 1.1, rule 2)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Count

from tickets.models import Ticket

#: What `Ticket.left_out` may say, in the order in which it is counted.
REASONS = ("spam", "test", "merged", "deleted", "migration")


def left_out_between(
    tenant_id: int,
    start: datetime,
    end: datetime,
    *,
    capabilities: Collection[int] | None = None,
) -> dict[tuple[str, str], int]:
    """Tickets left out by reason and severity, opened in start <= t < end.

    One query. A ticket that nobody has said the capability of is counted where those of all
    capabilities are. What only has not arrived in full yet is a flaw of the data, not left out.
    """
    found = Ticket.objects.for_tenant(tenant_id).exclude(left_out__in=["", "incomplete"])
    found = found.filter(opened_at__gte=start, opened_at__lt=end)
    if capabilities is not None:
        found = found.filter(capability__in=capabilities)
    counted = found.order_by().values_list("left_out", "severity").annotate(tickets=Count("pk"))
    return {(reason, severity): tickets for reason, severity, tickets in counted}
