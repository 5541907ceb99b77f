"""What people of the demo saw that no ticket tells, and how they found work handled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import batched
from random import Random

from metrics.models import Observation, ObservationAnswer
from metrics.observing import answer_observation, standpoint_of, write_observation
from metrics.reviewing_quality import release_ready, review_ticket
from metrics.rubric import RUBRIC, ErrorIn, Mark
from portal.audit.trail import Actor
from portal.catalogue.models import Capability
from portal.demo import SEED
from portal.people.models import Membership, Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation
from tickets.models import Resolution

#: Whose role, about which figure ("": the service in general), how many days ago, and the words;
#: two of each service, of which the second was answered.
_SEEN = (
    (Role.AGENT, "first_response", 40, "We answer fast because we answer first and look later."),
    (Role.AGENT, "reassignments", 33, "The form has no field for the building, so two teams ask."),
    (Role.ACCOUNT_MANAGER, "resolution_share", 26, "Two departments stopped asking: they ring us."),
    (
        Role.ACCOUNT_MANAGER,
        "",
        12,
        "People like the new page and do not find it by themselves.",
    ),
    (Role.BUSINESS_UNIT_LEAD, "sla_attainment", 19, "What is promised ends before our shift does."),
    (Role.SERVICE_DESK_MANAGER, "backlog", 8, "What is old here waits for one supplier."),
)
_NOTES = (
    "The two statuses look alike; the wrong one is chosen by habit.",
    "The article says the old path.",
    "",
    "The asset's owner was wrong in the directory.",
    "",
)
#: Resolutions of the last days that are reviewed, of each service.
REVIEWED, LOOKED_BACK = 8, timedelta(days=75)


def observe_and_review(*, organisation: Organisation, now: datetime) -> None:
    """Write, answer, review and release through the product's own acts."""
    served = Capability.objects.for_tenant(organisation).select_related("domain").order_by("pk")
    for capability, seen in zip(served[:3], batched(_SEEN, 2), strict=True):
        _observe(organisation, capability, seen, now)
        _review(organisation, capability, now)
    release_ready(tenant_id=organisation.pk, now=now)


def _observe(
    organisation: Organisation,
    capability: Capability,
    seen: Sequence[tuple[Role, str, int, str]],
    now: datetime,
) -> None:
    kept: list[Observation] = []
    for role, metric, days, text in seen:
        held = Membership.objects.filter(tenant=organisation, role=role).order_by("pk")
        membership = held.select_related("person").first()
        assert membership is not None, f"nobody of the demo is {role}"
        author = membership.person
        observation = write_observation(
            tenant=organisation,
            capability=capability,
            metric=metric,
            standpoint=standpoint_of([role]),
            text=text,
            by=Actor(author.actor_key, author.name),
            author=author,
            at=now - timedelta(days=days),
        )
        kept.append(observation)
    owner = capability.process_owner
    if owner is not None:
        answer_observation(
            observation=kept[1],
            outcome=ObservationAnswer.Outcome.ACTED,
            reason="The page and its form are changed next month.",
            by=owner,
            roles=[Role.PROCESS_OWNER],
            at=now - timedelta(days=2),
        )


def _review(organisation: Organisation, capability: Capability, now: datetime) -> None:
    reviewer: Person | None = capability.domain.service_desk_manager
    if reviewer is None:
        return
    dice = Random(SEED)
    found = (
        Resolution.objects.for_tenant(organisation)
        .filter(capability=capability, holds=True, at__gte=now - LOOKED_BACK, at__lt=now)
        .select_related("ticket")
        .order_by("ticket_id", "-at")
        .distinct("ticket_id")
    )
    for number, one in enumerate(found[:: max(1, found.count() // REVIEWED)][:REVIEWED]):
        wrong = number % 3 == 0
        marks = {criterion.key: Mark.YES for criterion in RUBRIC}
        if wrong:
            marks[dice.choice(RUBRIC).key] = Mark.NO
        review_ticket(
            tenant=organisation,
            ticket=one.ticket,
            marks=marks,
            error_in=dice.choice([place for place in ErrorIn if place]) if wrong else "",
            note=_NOTES[number % len(_NOTES)] if wrong else "",
            by=Actor(reviewer.actor_key, reviewer.name),
            at=now,
        )
