"""Reopen bursts: many tickets of one source moved back within seconds, which no person did.

A workflow migration or a bulk edit looks like hundreds of reopens. Found from the instants of
reopens alone, whoever made them: a run in which no gap is longer than two seconds and which holds
twenty tickets. What is in a burst is a system change (METRICS.md 1.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection as database

from tickets.models import Connection, ReopenBurst

GAP = timedelta(seconds=2)
FEWEST_TICKETS = 20


@dataclass(frozen=True, slots=True)
class Burst:
    """A run of reopens, both ends included."""

    started_at: datetime
    ended_at: datetime
    tickets: frozenset[int]


def bursts_among(reopens: Sequence[tuple[datetime, int]]) -> list[Burst]:
    """The bursts in (instant, ticket) pairs, in any order. Pure."""
    runs: list[list[tuple[datetime, int]]] = []
    for at, ticket in sorted(reopens):
        if runs and at - runs[-1][-1][0] <= GAP:
            runs[-1].append((at, ticket))
        else:
            runs.append([(at, ticket)])
    found = [Burst(run[0][0], run[-1][0], frozenset(t for _, t in run)) for run in runs]
    return [burst for burst in found if len(burst.tickets) >= FEWEST_TICKETS]


def update_bursts(connection: Connection, instants: Sequence[datetime]) -> set[int]:
    """Look for bursts around these reopens; store new or grown ones and return their tickets.

    The tickets must be folded again. Runs after the resolutions of a batch are stored.
    """
    if not instants:
        return set()
    around: set[tuple[datetime, int]] = set()
    for start, end in _windows(instants):
        around.update(_reopens_between(connection, start, end))
    changed: set[int] = set()
    stored = {
        (burst.started_at, burst.ended_at, burst.tickets)
        for burst in ReopenBurst.objects.for_tenant(connection.tenant_id).filter(
            connection=connection
        )
    }
    for burst in bursts_among(list(around)):
        if (burst.started_at, burst.ended_at, len(burst.tickets)) in stored:
            continue
        ReopenBurst.objects.for_tenant(connection.tenant_id).filter(
            connection=connection, started_at__lte=burst.ended_at, ended_at__gte=burst.started_at
        ).delete()
        ReopenBurst.objects.create(
            tenant_id=connection.tenant_id,
            connection=connection,
            started_at=burst.started_at,
            ended_at=burst.ended_at,
            tickets=len(burst.tickets),
        )
        changed |= burst.tickets
    return changed


def _windows(instants: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Stretches to look at: a minute around each instant, joined where they touch."""
    windows: list[tuple[datetime, datetime]] = []
    margin = timedelta(minutes=1)
    for at in sorted(instants):
        if windows and at - margin <= windows[-1][1]:
            windows[-1] = (windows[-1][0], at + margin)
        else:
            windows.append((at - margin, at + margin))
    return windows


def _reopens_between(
    connection: Connection, start: datetime, end: datetime
) -> list[tuple[datetime, int]]:
    """Reopens of a connection in a stretch, the stretch grown while it cuts a run."""
    while True:
        with database.cursor() as cursor:
            cursor.execute(
                'SELECT r.reopen_at, r.ticket_id FROM "tickets_resolution" r'
                ' JOIN "tickets_ticket" t ON t.tenant_id = r.tenant_id AND t.id = r.ticket_id'
                " WHERE r.tenant_id = %s AND t.connection_id = %s"
                " AND r.reopen_at BETWEEN %s AND %s ORDER BY 1",
                [connection.tenant_id, connection.pk, start, end],
            )
            found = list(cursor.fetchall())
        cut_before = bool(found) and found[0][0] - start <= GAP
        cut_behind = bool(found) and end - found[-1][0] <= GAP
        if not cut_before and not cut_behind:
            return found
        margin = timedelta(minutes=1)
        start = start - margin if cut_before else start
        end = end + margin if cut_behind else end
