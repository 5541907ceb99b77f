"""What people did without us: self-service and telemetry events, kept once each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.catalogue.models import Capability
from tickets.accounts import ensure_requesters, later_email
from tickets.attempts import write_attempts
from tickets.models import Connection, UsageEvent
from tickets.news import UsageTold, event_key
from tickets.segmenting import write_segments


def store(connection: Connection, told: Sequence[UsageTold], *, at: datetime) -> int:
    """Keep events of known capabilities; the same id is kept once. Returns how many were told."""
    if not told:
        return 0
    served = Capability.objects.for_tenant(connection.tenant_id).values_list(
        "slug", "pk", "advanced"
    )
    slugs = {slug: (pk, advanced) for slug, pk, advanced in served}
    emails: dict[str, tuple[str, datetime | None]] = {}
    for one in told:
        said = (one.requester_email, one.at)
        emails[one.requester] = later_email(emails.get(one.requester, ("", None)), said)
    requesters, readdressed = ensure_requesters(connection, emails)
    UsageEvent.objects.bulk_create(
        (
            UsageEvent(
                tenant_id=connection.tenant_id,
                connection=connection,
                key=event_key(one.id),
                type=one.type,
                at=one.at,
                recorded_at=at,
                requester_id=requesters[one.requester],
                capability_id=slugs[one.capability][0],
                advanced=slugs[one.capability][1],
                task=one.task[:200],
                success=one.success,
                duration_ms=one.duration_ms,
                errors_shown=one.errors_shown,
            )
            for one in told
        ),
        ignore_conflicts=True,
    )
    write_attempts(requesters.values())
    write_segments(connection.tenant_id, {*requesters.values(), *readdressed})
    return len(told)
