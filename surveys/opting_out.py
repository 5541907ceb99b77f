"""Saying no: nobody who asked not to be asked is asked again, by one domain or by any."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from surveys.models import OptOut, SurveyedEvent


@transaction.atomic
def opt_out(*, event: SurveyedEvent, of_everything: bool, at: datetime) -> None:
    """Stop the questions to whom an event's invitation went: of its domain, or all of them.

    Doing it again changes nothing. An event without a capability has no domain: then all stop.
    """
    assert event.requester_id is not None, "nobody was invited"
    domain_id = event.capability.domain_id if event.capability else None
    OptOut.objects.bulk_create(
        [
            OptOut(
                tenant_id=event.tenant_id,
                requester_id=event.requester_id,
                domain_id=None if of_everything else domain_id,
                at=at,
            )
        ],
        ignore_conflicts=True,
    )


def has_opted_out(event: SurveyedEvent) -> bool:
    """Whether the event's requester has said no to its domain or to all questions."""
    if event.requester_id is None:
        return False
    domain_id = event.capability.domain_id if event.capability else None
    return (
        OptOut.objects.for_tenant(event.tenant_id)
        .filter(
            Q(domain__isnull=True) | Q(domain_id=domain_id),
            requester_id=event.requester_id,
        )
        .exists()
    )
