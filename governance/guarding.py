"""The guardrail of a reading: what gets worse where a figure is pushed unfairly (METRICS.md 1.15).

Each figure a metric names as its guardrail is told with every reading, of the same slice and
period. Where the reading's target is met or was kept, it is also asked whether one of them asks for
a look: its own target is not met, it is above the line of the organisation, or it left its usual
range on the bad side within the period. The summary then reads "met, but see …".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from governance.comparing import Standing, against
from metrics import parts, words
from metrics.answering_signals import About, answers_about
from metrics.breaks import breaks_of, changes_of
from metrics.charts import Every
from metrics.definitions import find
from metrics.evaluating import NotOneFigure, SeveritiesPooled
from metrics.kinds import unknown
from metrics.measure import Guard, Reader, Reading, Slice, reading
from metrics.standing import Direction, Reliability, Status, status
from metrics.trends import course, months_before
from portal.catalogue.models import Capability

#: Calendar months behind the limits of what a guardrail usually does.
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Among:
    """Among which targets and of which capability guardrails are looked at."""

    found: Sequence[Standing]
    #: None where several are told together: no target is met then.
    capability_id: int | None


def guarded(told: Reading, cut: Slice, reader: Reader, among: Among) -> Reading:
    """The reading with its guardrail; `told` has its target already.

    Where that is met, or was kept, its sentence says what of the guardrail asks for a look.
    """
    metric, _ = find(told.key)
    good = told.status == Status.MET or told.kept is True
    others = (name for name in metric.guards if name != told.key)  # no figure guards itself
    guards = tuple(_guard(name, cut, reader, among, good) for name in others)
    told = replace(told, guardrail=guards)
    if not (seen := but_see(told)):
        return told
    verdict = "Met" if told.status == Status.MET else "Kept"
    return replace(told, sentence=f"{told.sentence} {verdict}, but see {seen}.")


def but_see(told: Reading) -> str:
    """What of its guardrail asks for a look although a target is met; empty where nothing does."""
    return "; ".join(f"{one.name}: {one.signals}" for one in told.guardrail if one.signals)


def _guard(name: str, cut: Slice, reader: Reader, among: Among, good: bool) -> Guard:
    told = reader.once(("guard", name, cut), lambda: _tell(reader, name, cut))
    signals = ""
    if good:
        signals = reader.once(("signals", name, cut), lambda: _signals(told, cut, reader, among))
    return Guard(
        told.key,
        told.name,
        told.value,
        told.numerator,
        told.denominator,
        told.sentence,
        signals,
    )


def _tell(reader: Reader, name: str, cut: Slice) -> Reading:
    try:
        return parts.tell(reader, name, cut)
    except SeveritiesPooled:
        metric, view = find(name)
        why = unknown("a duration is told of one severity at a time")
        return reading(metric, view, why, cut=cut, reader=reader)


def _signals(told: Reading, cut: Slice, reader: Reader, among: Among) -> str:
    metric, view = find(told.key)
    own = against(
        told,
        among.found,
        capability_id=among.capability_id,
        severity=cut.severity,
        period=(cut.start, cut.until),
    )
    if own.status == Status.NOT_MET:
        return f"its own target, {own.target['words'] if own.target else ''}, is not met"
    state = Reliability(told.reliability_state) if told.reliability_state else None
    if told.value is None:
        return ""  # nothing is told of it, so nothing follows from it either
    if metric.line and view is metric.headline:
        line = float(getattr(reader.settings, metric.line))
        if status(told.interval, line, metric.direction_of(view), state) is Status.NOT_MET:
            return f"above the line of {words.percent(line)}"
    if metric.from_answers and cut.severity:
        return ""  # a month of a part may be of so few answers that the whole hides it
    return "it left its usual range" if _left_its_range(told.key, cut, reader, among) else ""


def _left_its_range(name: str, cut: Slice, reader: Reader, among: Among) -> bool:
    """Whether a month of the period belongs to a pattern (METRICS.md D4) on the bad side."""
    pk = among.capability_id
    if pk is None:
        return False
    metric, view = find(name)
    severity = cut.severity or ""
    capability = reader.once(
        ("capability", pk),
        lambda: (
            Capability.objects.for_tenant(reader.tenant)
            .select_related("domain", "tenant")
            .get(pk=pk)
        ),
    )
    breaks = breaks_of(
        name,
        answers_about(About(capability, name, severity)),
        reader.once(("changes", pk, severity), lambda: changes_of(capability, severity)),
    )
    first = months_before(cut.until, MONTHS)[0].start
    reader.reach(min(first, cut.start), cut.until, cut.capabilities)
    try:
        found = course(reader, name, cut, Every.MONTH, until=cut.until, count=MONTHS, breaks=breaks)
    except NotOneFigure:
        return False
    bad = -1 if metric.direction_of(view) is Direction.HIGHER else 1
    return any(
        point.signals and point.mean is not None and (point.value - point.mean) * bad > 0
        for index, point in found.plotted.items()
        if _overlap(found.periods[index].start, found.periods[index].until, cut)
    )


def _overlap(start: date, until: date, cut: Slice) -> bool:
    return start < cut.until and until > cut.start
