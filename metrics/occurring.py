"""Telling what happened, so that it is marked on the courses it touches (METRICS.md D4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from django.db import transaction

from metrics.answering_signals import may_answer
from metrics.models import Occurrence
from metrics.trends import Happened
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation

TOLD, TAKEN_BACK = "occurrence.told", "occurrence.taken_back"


class NotTold(Exception):
    """Nothing was marked; the message says why."""


@transaction.atomic
def tell(
    *,
    tenant: Organisation,
    capabilities: Sequence[Capability],
    kind: Occurrence.Kind,
    day: date,
    words: str,
    by: Person,
    roles: Iterable[Role],
    at: datetime,
) -> list[Occurrence]:
    """Mark a day for services; whoever answers for their signals may. Raises NotTold."""
    held = list(roles)
    if not capabilities:
        raise NotTold("Choose the services it touches.")
    if not all(may_answer(by, held, one) for one in capabilities):
        raise NotTold("Only the process owner and the desk's manager mark a service's charts.")
    if not words.strip():
        raise NotTold("Say what happened.")
    found = []
    for capability in capabilities:
        occurrence = Occurrence.objects.create(
            tenant=tenant,
            capability=capability,
            kind=kind,
            day=day,
            words=words.strip(),
            told_by=by,
            printed_name=by.name,
            at=at,
        )
        _record(occurrence, TOLD, by, at)
        found.append(occurrence)
    return found


@transaction.atomic
def take_back(*, occurrence: Occurrence, by: Person, roles: Iterable[Role], at: datetime) -> None:
    """Take a mark off again; the trail keeps that it stood. Raises NotTold."""
    if not may_answer(by, roles, occurrence.capability):
        raise NotTold("Only the process owner and the desk's manager mark a service's charts.")
    _record(occurrence, TAKEN_BACK, by, at)
    occurrence.delete()


def _record(occurrence: Occurrence, act: str, by: Person, at: datetime) -> None:
    record(
        tenant_id=occurrence.tenant_id,
        actor=Actor(by.actor_key, by.name),
        act=act,
        subject_kind="capability",
        subject_id=occurrence.capability_id,
        at=at,
        detail={
            "kind": str(occurrence.kind),
            "day": occurrence.day.isoformat(),
            "words": occurrence.words,
        },
    )


def occurrences_of(capability: Capability) -> list[Occurrence]:
    """What is marked for a service, the latest day first."""
    found = Occurrence.objects.for_tenant(capability.tenant_id).filter(capability=capability)
    return list(found.order_by("-day", "-pk"))


def happened(occurrences: Iterable[Occurrence]) -> list[Happened]:
    """As a course marks them."""
    return [
        Happened(one.day, f"{one.get_kind_display()} on {one.day:%d %B %Y}: {one.words}")
        for one in occurrences
    ]
