"""Observations: what somebody saw that no ticket tells, and what became of it.

An observation is evidence beside a figure (METRICS.md M12, M20, M21), never about who did the work:
readers learn in what role it was written, and its author alone finds it again under their name.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from metrics.answering_signals import may_answer
from metrics.definitions import BY_KEY, Metric
from metrics.models import Observation, ObservationAnswer, ObservationAuthor
from metrics.pairs import OBSERVED
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation

WRITTEN, ANSWERED = "observation.written", "observation.answered"
#: How long it is known who wrote one: as long as who did the work (TRUST.md E).
AUTHOR_KEPT = timedelta(days=396)

#: In what role somebody speaks; of several the first that they hold.
STANDPOINTS: dict[Role, Observation.Standpoint] = {
    Role.AGENT: Observation.Standpoint.AGENT,
    Role.ACCOUNT_MANAGER: Observation.Standpoint.ACCOUNT,
    Role.BUSINESS_UNIT_LEAD: Observation.Standpoint.BUSINESS_UNIT,
    Role.PROCESS_OWNER: Observation.Standpoint.SERVICE,
    Role.SERVICE_DESK_MANAGER: Observation.Standpoint.SERVICE,
    Role.POLICY_OWNER: Observation.Standpoint.SERVICE,
}


class NotObservable(ValueError):
    """What was written cannot be kept; `field` names what is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class NotTheirObservation(Exception):
    """Only the process owner and the manager of the service desk say what became of one."""


def observed_metrics() -> list[Metric]:
    """The metrics beside which observations are read."""
    return [metric for metric in BY_KEY.values() if OBSERVED & set(metric.pair)]


def standpoint_of(roles: Iterable[Role]) -> Observation.Standpoint:
    """In what role a member speaks. Raises NotObservable for one whose roles observe nothing."""
    held = set(roles)
    for role, standpoint in STANDPOINTS.items():
        if role in held:
            return standpoint
    raise NotObservable("standpoint", "No role of yours writes observations.")


@transaction.atomic
def write_observation(
    *,
    tenant: Organisation,
    capability: Capability,
    metric: str,
    standpoint: Observation.Standpoint,
    text: str,
    by: Actor,
    author: Person | None,
    at: datetime,
) -> Observation:
    """Keep an observation; the trail says that one was written, and by whom, but not what.

    `author` is None where a program tells it. Raises NotObservable.
    """
    words = text.strip()
    if not words:
        raise NotObservable("text", "Say what you saw.")
    if metric and metric not in {one.key for one in observed_metrics()}:
        raise NotObservable("metric", f"Nothing is read beside {metric!r}.")
    observation = Observation.objects.create(
        tenant=tenant,
        capability=capability,
        metric=metric,
        standpoint=standpoint,
        text=words,
        at=at,
    )
    if author is not None:
        ObservationAuthor.objects.create(tenant=tenant, observation=observation, person=author)
    record(
        tenant_id=tenant.pk,
        actor=by,
        act=WRITTEN,
        subject_kind="capability",
        subject_id=capability.pk,
        at=at,
        detail={"metric": metric, "standpoint": str(standpoint)},
    )
    return observation


@transaction.atomic
def answer_observation(
    *,
    observation: Observation,
    outcome: ObservationAnswer.Outcome,
    reason: str,
    by: Person,
    roles: Iterable[Role],
    at: datetime,
) -> ObservationAnswer:
    """Say what became of an observation: its author reads it. Another answer follows the first.

    Raises NotTheirObservation, NotObservable.
    """
    if not may_answer(by, roles, observation.capability):
        raise NotTheirObservation("The process owner or the desk's manager answers observations.")
    if not reason.strip():
        raise NotObservable("reason", "Say what becomes of it, or why nothing does.")
    answer = ObservationAnswer.objects.create(
        tenant=observation.tenant,
        observation=observation,
        outcome=outcome,
        reason=reason.strip(),
        answered_by=by,
        printed_name=by.name,
        at=at,
    )
    record(
        tenant_id=observation.tenant_id,
        actor=Actor(by.actor_key, by.name),
        act=ANSWERED,
        subject_kind="observation",
        subject_id=observation.pk,
        at=at,
        detail={"outcome": str(outcome), "reason": answer.reason},
    )
    return answer


def sweep(now: datetime) -> int:
    """Forget, as the worker, who wrote what is older than 13 months; return how many rows."""
    forgotten = 0
    for tenant_id in Organisation.objects.values_list("pk", flat=True):
        with acting(tenant_id):
            old = ObservationAuthor.objects.for_tenant(tenant_id).filter(
                observation__at__lt=now - AUTHOR_KEPT
            )
            forgotten += old.delete()[0]
    return forgotten
