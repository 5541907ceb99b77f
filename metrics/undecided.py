"""Promises of a resolution that nothing has decided yet, running or paused (METRICS.md M15).

One that runs belongs to the period in which its time would run out. One that is paused has no such
day; what decides it is still to come, so it belongs to the period that is under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from django.db.models import Count, F, Q, QuerySet

from metrics.measure import Reader, Reading, Slice
from tickets.models import WorkItem

KEY = "sla_attainment.resolution"


def undecided(reader: Reader, cut: Slice) -> QuerySet[WorkItem]:
    """Open items of a slice whose promise is undecided, the next to run out first, then the paused.

    As they stand now; of a period that is over, and of a segment, there are none.
    """
    found = WorkItem.objects.for_tenant(reader.tenant).filter(
        ticket__left_out="", ended_at__isnull=True, resolution_in_time=False
    )
    if not _is_under_way(reader, cut):
        return found.none()
    runs = Q(
        resolution_deadline__gte=max(reader.as_of, reader.midnight(cut.start)),
        resolution_deadline__lt=reader.midnight(cut.until),
    )
    found = found.filter(runs | Q(resolution_deadline__isnull=True, paused_since__isnull=False))
    if cut.capabilities is not None:
        found = found.filter(capability__in=cut.capabilities)
    if cut.severity is not None:
        found = found.filter(severity=cut.severity)
    return found.order_by(F("resolution_deadline").asc(nulls_last=True), "paused_since", "id")


def with_paused(reading: Reading, cut: Slice, reader: Reader) -> Reading:
    """The reading of the promised time with paused promises among what is still open."""
    if reading.key != KEY or not _is_under_way(reader, cut):
        return reading
    of_severity = reader.once(
        ("paused promises", cut.start, cut.until, cut.capabilities),
        lambda: _paused_by_severity(reader, replace(cut, severity=None)),
    )
    paused = sum(n for one, n in of_severity.items() if cut.severity in (None, one))
    return replace(reading, still_open=reading.still_open + paused) if paused else reading


def _paused_by_severity(reader: Reader, cut: Slice) -> Mapping[str, int]:
    paused = undecided(reader, cut).filter(resolution_deadline__isnull=True)
    return dict(paused.order_by().values_list("severity").annotate(items=Count("pk")))


def _is_under_way(reader: Reader, cut: Slice) -> bool:
    local = reader.today()
    return cut.segment is None and cut.start <= local < cut.until and reader.tells_now
