"""The profile that an organisation's own volumes propose (METRICS.md 1.16).

The handbook says what a profile sets and not where one ends: ours is where the windows of its
survey figures begin to suffice. If one in five of those who were served answers, a month of the
service in the middle is exact enough for *large*, and 90 days are for *standard*.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import Count

from metrics.standing import LOW_RATE, PRECISION, answers_required
from portal.tenancy.models import Organisation
from tickets.models import Ticket

#: Over which volumes are looked at.
WINDOW = timedelta(days=90)
MONTHS = 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """A profile, and the tickets a month of the service in the middle that propose it."""

    profile: str
    tickets_a_month: float
    services: int


def proposed(tenant: Organisation, now: datetime) -> Proposal | None:
    """What the volumes of the last 90 days propose; None where nothing was asked for."""
    counts = list(
        Ticket.objects.for_tenant(tenant)
        .counted()
        .filter(opened_at__gte=now - WINDOW, opened_at__lt=now, capability__isnull=False)
        .order_by()
        .values("capability")
        .annotate(number=Count("pk"))
        .values_list("number", flat=True)
    )
    if not counts:
        return None
    middle = median(counts)
    return Proposal(profile_of(round(middle)), middle / MONTHS, len(counts))


def profile_of(in_90_days: int) -> str:
    """The profile of a service with so many tickets in 90 days."""
    if _suffice(in_90_days // MONTHS, PRECISION["large"]):
        return "large"
    return "standard" if _suffice(in_90_days, PRECISION["standard"]) else "small"


def _suffice(asked: int, precision: float) -> bool:
    """Whether the answers of one in five of those asked are as many as are required."""
    return asked > 0 and asked * LOW_RATE >= answers_required(asked, precision)
