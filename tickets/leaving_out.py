"""Tickets that are in no figure, counted with the reason (METRICS.md 1.1, rule 2)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import models
from django.db.models import Count, ExpressionWrapper, Q

from tickets.models import Ticket

#: What `Ticket.left_out` may say, in the order in which it is counted.
REASONS = ("spam", "test", "merged", "deleted", "migration")
#: What is added where it is counted for a capability although nobody has said which it was about.
OF_NO_SERVICE = ", of no known service"


def left_out_between(
    tenant_id: int,
    start: datetime,
    end: datetime,
    *,
    capabilities: Collection[int] | None = None,
) -> dict[tuple[str, str, bool], int]:
    """Tickets left out, opened in start <= t < end: by reason, severity, and whether a capability
    is known.

    One query. One that nobody has said the capability of is counted for each: spam seldom has one,
    and it may have been about any. What only has not arrived in full yet is a flaw of the data, not
    left out.
    """
    found = Ticket.objects.for_tenant(tenant_id).exclude(left_out__in=["", "incomplete"])
    found = found.filter(opened_at__gte=start, opened_at__lt=end)
    if capabilities is not None:
        found = found.filter(Q(capability__in=capabilities) | Q(capability__isnull=True))
    known = ExpressionWrapper(Q(capability__isnull=False), models.BooleanField())
    counted = (
        found.order_by().values_list("left_out", "severity", known).annotate(tickets=Count("pk"))
    )
    return {(reason, severity, known): tickets for reason, severity, known, tickets in counted}
