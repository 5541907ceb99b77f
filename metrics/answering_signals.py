"""Answering a signal: a named person explains it, or begins its limits anew, with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from metrics.charts import Every
from metrics.models import SignalAnswer
from metrics.trends import Course
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation

ANSWERED = "signal.answered"


class NotTheirSignal(Exception):
    """Only the process owner and the manager of the service desk answer signals."""


class NoSignalThere(Exception):
    """The period named is none of the course, or nothing in it asks for a look."""


class NoReason(Exception):
    """An answer without a reason was given."""


@dataclass(frozen=True, slots=True)
class About:
    """Which course: a view of a metric, of a capability, of one severity or all ("")."""

    capability: Capability
    metric: str
    severity: str = ""


def may_answer(person: Person, roles: Iterable[Role], capability: Capability) -> bool:
    """Whether somebody is the capability's process owner or runs its domain's desk."""
    held = set(roles)
    return (Role.PROCESS_OWNER in held and capability.process_owner_id == person.pk) or (
        Role.SERVICE_DESK_MANAGER in held and capability.domain.service_desk_manager_id == person.pk
    )


@transaction.atomic
def answer_signal(
    *,
    tenant: Organisation,
    about: About,
    course: Course,
    day: date,
    kind: SignalAnswer.Kind,
    reason: str,
    by: Person,
    roles: Iterable[Role],
    at: datetime,
) -> SignalAnswer:
    """Keep what somebody says about the period that begins on `day` of a course as they saw it.

    An explanation needs a signal; limits may begin anew at any point that is plotted.
    """
    if not may_answer(by, roles, about.capability):
        raise NotTheirSignal("Signals are answered by the process owner or the desk's manager.")
    if not reason.strip():
        raise NoReason("Say why; the next reader sees the reason and your name.")
    points = {course.periods[point.index].start: point for point in course.chart.points}
    point = points.get(day)
    if point is None or (kind == SignalAnswer.Kind.EXPLAINED and not point.signals):
        raise NoSignalThere(f"Nothing in the period of {day} asks for an answer.")
    answer = SignalAnswer.objects.create(
        tenant=tenant,
        capability=about.capability,
        metric=about.metric,
        severity=about.severity,
        step=course.step.value,
        day=day,
        kind=kind,
        reason=reason.strip(),
        answered_by=by,
        printed_name=by.name,
        at=at,
    )
    record(
        tenant_id=tenant.pk,
        actor=Actor(by.actor_key, by.name),
        act=ANSWERED,
        subject_kind="capability",
        subject_id=about.capability.pk,
        at=at,
        detail={
            "metric": about.metric,
            "severity": about.severity,
            "step": course.step.value,
            "day": day.isoformat(),
            "kind": str(kind),
            "signals": sorted(point.signals),
            "reason": answer.reason,
        },
    )
    return answer


def answers_about(about: About) -> list[SignalAnswer]:
    """What was said about a course, the latest first."""
    return list(
        SignalAnswer.objects.for_tenant(about.capability.tenant_id).filter(
            capability=about.capability, metric=about.metric, severity=about.severity
        )
    )


def answers_by_metric(capability: Capability) -> dict[str, list[SignalAnswer]]:
    """What was said about a capability's courses over all severities, by view."""
    found: dict[str, list[SignalAnswer]] = {}
    for answer in SignalAnswer.objects.for_tenant(capability.tenant_id).filter(
        capability=capability, severity=""
    ):
        found.setdefault(answer.metric, []).append(answer)
    return found


def step_of(text: str) -> Every | None:
    """The step a query names; None for no or another word."""
    return Every(text) if text in set(Every) else None
