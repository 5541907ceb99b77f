"""Promises of a resolution that nothing has decided yet, running or paused (METRICS.md M15).

One that runs belongs to the period in which its time would run out. One that is paused has no such
day; what decides it is still to come, so it belongs to the period that is under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Undecided:
    """How many promises run, and how many are paused."""

    running: int = 0
    paused: int = 0


def count_undecided(reader: Reader, cut: Slice) -> Undecided:
    """How many of a slice are undecided; asked once a period, for all severities."""
    if not _is_under_way(reader, cut):
        return Undecided()
    of_severity = reader.once(
        ("undecided promises", cut.start, cut.until, cut.capabilities),
        lambda: _by_severity(undecided(reader, replace(cut, severity=None))),
    )
    asked = [told for one, told in of_severity.items() if cut.severity in (None, one)]
    return Undecided(sum(one.running for one in asked), sum(one.paused for one in asked))


def _by_severity(found: QuerySet[WorkItem]) -> Mapping[str, Undecided]:
    counted = (
        found.order_by().values_list("severity").annotate(Count("resolution_deadline"), Count("pk"))
    )
    return {severity: Undecided(running, items - running) for severity, running, items in counted}


def with_paused(reading: Reading, cut: Slice, reader: Reader) -> Reading:
    """The reading of the promised time with paused promises among what is still open."""
    if reading.key != KEY:
        return reading
    paused = count_undecided(reader, cut).paused
    return replace(reading, still_open=reading.still_open + paused) if paused else reading


def _is_under_way(reader: Reader, cut: Slice) -> bool:
    local = reader.today()
    return cut.segment is None and cut.start <= local < cut.until and reader.tells_now
