"""Self-service attempts: did people finish the job without us (METRICS.md M23)?

`attempts_among` is pure. An attempt begins with a start of a task by somebody who began no other
attempt at it in the 30 minutes before; a completion belongs to the latest attempt it could end.
How often the same person had tried before is a number of the attempt: whoever counts attempts need
not know whose they are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection as database

from portal.tenancy.context import acting_tenant_id
from tickets.canonical import UsageType
from tickets.models import SelfServiceAttempt, UsageEvent
from tickets.same_person import SAME_PERSON
from tickets.storing import Table, Written

SAME_ATTEMPT = timedelta(minutes=30)
TO_COMPLETE = timedelta(hours=24)
#: An assisted item of the same person and capability within this time makes the attempt a failure.
TO_ASK = timedelta(hours=72)

#: Another attempt at the same task within this time is a repeat, boundary included. As long as
#: another contact about the same is a repeat contact by the handbook (METRICS.md M17).
REPEATED_WITHIN = timedelta(days=14)

TASK = ("requester_id", "capability_id", "task")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task."""

    started_at: datetime
    #: Within 24 h of the start; None: not completed.
    completed_at: datetime | None
    #: Attempts of the same person at the same task in the 14 x 24 h before, whatever came of them:
    #: what was called completed and is begun again did not hold.
    earlier: int = 0


def attempts_among(starts: Iterable[datetime], completions: Iterable[datetime]) -> list[Attempt]:
    """The attempts of one person at one task, the earliest first, from events in any order."""
    begun: list[datetime] = []
    for start in sorted(starts):
        if not begun or start - begun[-1] >= SAME_ATTEMPT:
            begun.append(start)
    completed: dict[datetime, datetime] = {}
    for done in sorted(completions):
        of = max((start for start in begun if start <= done), default=None)
        if of is not None and done - of <= TO_COMPLETE:
            completed.setdefault(of, done)
    return [
        Attempt(start, completed.get(start), place - bisect_left(begun, start - REPEATED_WITHIN))
        for place, start in enumerate(begun)
    ]


_ATTEMPTS = Table(
    SelfServiceAttempt,
    ("id", "tenant_id", *TASK, "started_at", "completed_at", "assisted_at", "earlier"),
)


def write_attempts(requester_ids: Collection[int]) -> Written:
    """Bring the attempts of these people to what their events and items say; as the worker."""
    tenant_id = acting_tenant_id()
    assert tenant_id is not None
    events = UsageEvent.objects.for_tenant(tenant_id).filter(
        requester__in=requester_ids,
        type__in=(UsageType.STARTED, UsageType.COMPLETED),
    )
    told: dict[tuple[int, int, str], dict[str, list[datetime]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for *task, type_, at in events.values_list(*TASK, "type", "at"):
        told[tuple(task)][type_].append(at)
    if not told:
        return Written()
    asked = _items_of(tenant_id, {requester for requester, _, _ in told})
    wanted = {
        (tenant_id, *task, attempt.started_at): (
            tenant_id,
            *task,
            attempt.started_at,
            attempt.completed_at,
            _asked_us(asked.get((task[0], task[1]), ()), attempt.started_at),
            attempt.earlier,
        )
        for task, instants in told.items()
        for attempt in attempts_among(instants[UsageType.STARTED], instants[UsageType.COMPLETED])
    }
    stored = _ATTEMPTS.select("requester_id", sorted({task[0] for task in told}))
    written, _ = _ATTEMPTS.reconcile(stored, wanted, key=lambda row: tuple(row[:5]))
    return written


def _asked_us(openings: Iterable[datetime], start: datetime) -> datetime | None:
    within = [at for at in openings if start <= at <= start + TO_ASK]
    return min(within, default=None)


def _items_of(
    tenant_id: int, requester_ids: Collection[int]
) -> Mapping[tuple[int, int], list[datetime]]:
    """When these people opened items, by person and capability."""
    found: dict[tuple[int, int], list[datetime]] = defaultdict(list)
    with database.cursor() as cursor:
        cursor.execute(
            f"SELECT same.one, item.capability_id, item.opened_at FROM ({SAME_PERSON}) AS same"  # noqa: S608
            ' JOIN "tickets_workitem" item ON item.tenant_id = %(tenant)s'
            " AND item.requester_id = same.also WHERE item.capability_id IS NOT NULL",
            {"tenant": tenant_id, "ids": sorted(requester_ids)},
        )
        for requester, capability, opened_at in cursor:
            found[requester, capability].append(opened_at)
    return found


def people_like(requester_ids: Collection[int]) -> list[int]:
    """Requesters with attempts who are, by address or person, one of these."""
    if not requester_ids:
        return []
    tenant_id = acting_tenant_id()
    attempts = SelfServiceAttempt.objects.filter(tenant_id=tenant_id)
    if not attempts.exists():
        return []  # most organisations: nothing is asked of every batch
    with database.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT same.also FROM ({SAME_PERSON}) AS same"  # noqa: S608 - declared below
            ' WHERE EXISTS (SELECT 1 FROM "tickets_selfserviceattempt" attempt'
            " WHERE attempt.tenant_id = %(tenant)s AND attempt.requester_id = same.also)",
            {"tenant": tenant_id, "ids": sorted(requester_ids)},
        )
        return [row[0] for row in cursor.fetchall()]
