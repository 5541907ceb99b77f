"""What people of the demo saw that no ticket tells, and how they found work handled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import batched, cycle
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
#: two of each service in turn, of which the second was answered.
_SEEN = (
    (Role.AGENT, "first_response", 40, "We answer fast because we answer first and look later."),
    (Role.AGENT, "reassignments", 33, "The form has no field for the building, so two teams ask."),
    (Role.ACCOUNT_MANAGER, "resolution_share", 26, "Two departments stopped asking: they ring us."),
    (Role.ACCOUNT_MANAGER, "", 12, "People like the new page and do not find it by themselves."),
    (Role.BUSINESS_UNIT_LEAD, "sla_attainment", 19, "What is promised ends before our shift does."),
    (Role.SERVICE_DESK_MANAGER, "backlog", 8, "What is old here waits for one supplier."),
    (Role.BUSINESS_UNIT_LEAD, "", 54, "New starters share a laptop for their first week."),
    (Role.AGENT, "backlog", 22, "Half of what is open waits for a part that nobody has ordered."),
    (Role.ACCOUNT_MANAGER, "resolution_share", 45, "Sales keep a list of errors and send none."),
    (Role.AGENT, "reassignments", 15, "Nobody knows who owns the order form since the move."),
    (Role.AGENT, "", 37, "Most ask twice: the confirmation looks like an advertisement."),
    (Role.BUSINESS_UNIT_LEAD, "sla_attainment", 10, "Rights come in time, but one folder too few."),
    (Role.ACCOUNT_MANAGER, "", 29, "Teams buy small programs themselves and say so openly."),
    (
        Role.SERVICE_DESK_MANAGER,
        "backlog",
        17,
        "What is open here waits for a signature, not for us.",
    ),
    (Role.AGENT, "first_response", 31, "The first reply asks for the number that is on the form."),
    (
        Role.ACCOUNT_MANAGER,
        "",
        6,
        "Questions come in the week before pay day, and nobody is there.",
    ),
)
#: What became of those that were answered, in turn.
_BECAME = (
    (ObservationAnswer.Outcome.ACTED, "The page and its form are changed next month."),
    (ObservationAnswer.Outcome.NOTHING, "It is meant to be found by search; we look at that."),
    (ObservationAnswer.Outcome.ACTED, "A second supplier is asked for an offer."),
)
_NOTES = (
    "The two statuses look alike; the wrong one is chosen by habit.",
    "The article says the old path.",
    "The asset's owner was wrong in the directory.",
    "The category decides the group, and nobody sees that it does.",
    "The template promises a call that nobody is told to make.",
    "The form asks for a number that stands on the device's back.",
    "",
)
#: Resolutions of the last days that are reviewed, of each service: at least and at most.
REVIEWED, LOOKED_BACK = (6, 10), timedelta(days=75)


def observe_and_review(*, organisation: Organisation, now: datetime) -> None:
    """Write, answer, review and release through the product's own acts."""
    served = Capability.objects.for_tenant(organisation).select_related("domain").order_by("pk")
    # some services have more to be seen than others
    for capability, seen, became in zip(served, batched(_SEEN, 2), cycle(_BECAME)):
        _observe(organisation, capability, seen, became, now)
    for capability in served:
        _review(organisation, capability, now)
    release_ready(tenant_id=organisation.pk, now=now)


def _observe(
    organisation: Organisation,
    capability: Capability,
    seen: Sequence[tuple[Role, str, int, str]],
    became: tuple[ObservationAnswer.Outcome, str],
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
            outcome=became[0],
            reason=became[1],
            by=owner,
            roles=[Role.PROCESS_OWNER],
            at=now - timedelta(days=2),
        )


def _review(organisation: Organisation, capability: Capability, now: datetime) -> None:
    reviewer: Person | None = capability.domain.service_desk_manager
    if reviewer is None:
        return
    dice = Random(f"{SEED}:review:{capability.slug}")
    wanted = dice.randint(*REVIEWED)
    found = (
        Resolution.objects.for_tenant(organisation)
        .filter(capability=capability, holds=True, at__gte=now - LOOKED_BACK, at__lt=now)
        .select_related("ticket")
        .order_by("ticket_id", "-at")
        .distinct("ticket_id")
    )
    for one in found[:: max(1, found.count() // wanted)][:wanted]:
        wrong = dice.random() < 0.35
        marks = {criterion.key: Mark.YES for criterion in RUBRIC}
        if wrong:
            marks[dice.choice(RUBRIC).key] = Mark.NO
        review_ticket(
            tenant=organisation,
            ticket=one.ticket,
            marks=marks,
            error_in=dice.choice([place for place in ErrorIn if place]) if wrong else "",
            note=dice.choice(_NOTES) if wrong else "",
            by=Actor(reviewer.actor_key, reviewer.name),
            at=now,
        )
