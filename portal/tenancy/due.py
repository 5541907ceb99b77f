"""Which organisations have work of a kind: noting it, finding it, claiming it, settling it.

A row of `Due` is only a hint where to look; the work itself is in the organisation's own tables.
A worker claims an organisation by moving its row into the future: a crash lets the claim run out
and the next sweep comes back, and news noted meanwhile moves the row to the front again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from portal.tenancy.models import Due

#: How long a claimed organisation is left to its worker.
LEASE = timedelta(minutes=5)


def note(tenant_id: int, kind: str, due_at: datetime) -> None:
    """Note that an organisation has work of a kind at `due_at`; an earlier note stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenancy_due (tenant_id, kind, due_at) VALUES (%s, %s, %s)"
            " ON CONFLICT (tenant_id, kind) DO UPDATE SET due_at = excluded.due_at"
            " WHERE tenancy_due.due_at > excluded.due_at",
            [tenant_id, kind, due_at],
        )


def tenants_due(kind: str, now: datetime) -> list[int]:
    """Organisations with work of a kind due at `now`, the longest waiting first."""
    due = Due.objects.filter(kind=kind, due_at__lte=now).order_by("due_at", "tenant_id")
    return list(due.values_list("tenant_id", flat=True))


def claim(tenant_id: int, kind: str, now: datetime) -> datetime | None:
    """Claim an organisation's due work; return the end of the lease, None if it is not due now.

    The row's new instant is the lease: pass it to `settle` when the work is done.
    """
    until = now + LEASE
    claimed = Due.objects.filter(tenant_id=tenant_id, kind=kind, due_at__lte=now)
    return until if claimed.update(due_at=until) else None


def settle(tenant_id: int, kind: str, lease: datetime, *, next_at: datetime | None = None) -> None:
    """Say that the claimed work is done, and when more is due, if known.

    News noted since the claim has moved the row before the lease, and is left standing.
    """
    mine = Due.objects.filter(tenant_id=tenant_id, kind=kind, due_at=lease)
    if next_at is None:
        mine.delete()
    else:
        mine.update(due_at=next_at)
        note(tenant_id, kind, next_at)
