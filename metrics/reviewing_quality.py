"""Quality reviews: how a resolution was handled, by the rubric, and their release in batches.

They are read beside satisfaction (METRICS.md M01) to find what in the software and the process
makes errors likely. They never say who did the work, are never added up to a score, and leave their
author's hands in batches only: five reviews on three agents' work, as answers do (TRUST.md B).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import connection, transaction

from metrics.models import QualityReview
from metrics.rubric import VERSION, ErrorIn, NotMarked, marks_of
from portal.audit.trail import Actor, record
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys.releasing import ENOUGH_AGENTS, ENOUGH_ANSWERS
from surveys.sweeping import each_organisation
from tickets.models import Attribution, Resolution, Ticket

REVIEWED = "quality.reviewed"


class NothingResolved(Exception):
    """The ticket was never resolved, or serves no capability: there is nothing to review."""


class OwnWork(Exception):
    """Nobody reviews what they handled themselves."""


class AlreadyReviewed(Exception):
    """The same reviewer has reviewed this resolution."""


@transaction.atomic
def review_ticket(
    *,
    tenant: Organisation,
    ticket: Ticket,
    marks: Mapping[str, object],
    error_in: str,
    note: str,
    by: Actor,
    at: datetime,
) -> QualityReview:
    """Keep a review of the ticket's last resolution.

    Raises NothingResolved, OwnWork, AlreadyReviewed, NotMarked. Whether the acting person handled
    it is asked of the rows that the database shows them: their own.
    """
    given = marks_of(marks)
    if error_in not in set(ErrorIn):
        raise NotMarked("error_in", f"There is no such place; {', '.join(filter(None, ErrorIn))}.")
    resolution = (
        Resolution.objects.for_tenant(tenant)
        .filter(ticket=ticket, capability__isnull=False, at__lte=at)
        .order_by("-at", "-id")
        .first()
    )
    if resolution is None or resolution.capability_id is None:
        raise NothingResolved("This ticket was never resolved: there is nothing to review yet.")
    with connection.cursor() as cursor:  # two of one reviewer at once would both find none
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('quality'), %s)", [tenant.pk])
    if _is_their_own(tenant, ticket):
        raise OwnWork("You worked on this ticket yourself: somebody else reviews it.")
    said = QualityReview.objects.for_tenant(tenant).filter(
        ticket=ticket, event_key=resolution.event_key, by_key=by.key
    )
    if said.exists():
        raise AlreadyReviewed("You have reviewed this resolution before; a review is not changed.")
    review = QualityReview.objects.create(
        tenant=tenant,
        ticket=ticket,
        event_key=resolution.event_key,
        resolved_at=resolution.at,
        capability_id=resolution.capability_id,
        rubric=VERSION,
        marks=given,
        error_in=error_in,
        note=note.strip(),
        at=at,
        by_key=by.key,
        by_name=by.name,
    )
    record(
        tenant_id=tenant.pk,
        actor=by,
        act=REVIEWED,
        subject_kind="ticket",
        subject_id=ticket.pk,
        at=at,
        detail={"rubric": VERSION},
    )
    return review


def _is_their_own(tenant: Organisation, ticket: Ticket) -> bool:
    """Whether the acting person worked on a ticket; a worker, who sees everybody's, is nobody."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nullif(current_setting('app.person', true), '')::bigint")
        person = cursor.fetchone()[0]
    own = Attribution.objects.for_tenant(tenant).filter(ticket=ticket, person=person)
    return person is not None and own.exists()


def own_reviews(tenant: Organisation) -> list[QualityReview]:
    """Reviews of resolutions that the acting person made, the latest first: theirs to read.

    The database shows the web role its own person's attribution only, so nothing here filters by
    person.
    """
    mine = set(
        Attribution.objects.for_tenant(tenant)
        .filter(act=Attribution.Act.RESOLVED)
        .values_list("ticket_id", "event_key")
    )
    found = (
        QualityReview.objects.for_tenant(tenant)
        .filter(ticket__in={ticket for ticket, _ in mine})
        .select_related("ticket", "capability")
    )
    return [review for review in found if (review.ticket_id, review.event_key) in mine]


# --- release -------------------------------------------------------------------------------------

#: A batch is a capability's waiting reviews by one version of the rubric. An agent with several
#: accounts is one person; work nobody is known to have done adds none (surveys/releasing.py).
_RELEASE = """
WITH waiting AS (
    SELECT review.id, review.capability_id, review.rubric,
        coalesce('person ' || act.person_id, 'account ' || act.agent_id) AS agent
    FROM "metrics_qualityreview" AS review
    LEFT JOIN "tickets_attribution" AS act
        ON act.tenant_id = review.tenant_id AND act.ticket_id = review.ticket_id
        AND act.event_key = review.event_key AND act.act = 'resolved'
    WHERE review.tenant_id = %(tenant)s AND NOT EXISTS (
        SELECT FROM "metrics_qualityrelease" AS release
        WHERE release.tenant_id = review.tenant_id AND release.review_id = review.id)
), ready AS (
    SELECT capability_id, rubric FROM waiting GROUP BY capability_id, rubric
    HAVING count(*) >= %(reviews)s AND count(DISTINCT agent) >= %(agents)s
)
INSERT INTO "metrics_qualityrelease" (tenant_id, review_id, at)
SELECT %(tenant)s, waiting.id, %(at)s FROM waiting JOIN ready USING (capability_id, rubric)
"""


def sweep(now: datetime) -> int:
    """Release every organisation's ready batches; return how many reviews were released."""
    return each_organisation("Releasing reviews", lambda tenant_id: _release_for(tenant_id, now))


def _release_for(tenant_id: int, now: datetime) -> int:
    with acting(tenant_id):
        return release_ready(tenant_id=tenant_id, now=now)


@transaction.atomic
def release_ready(*, tenant_id: int, now: datetime) -> int:
    """Release an organisation's ready batches; return how many reviews were released.

    Needs the acting context and the worker's role: only workers may ask who did the work.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('quality'), %s)", [tenant_id])
        cursor.execute(
            _RELEASE,
            {
                "tenant": tenant_id,
                "reviews": ENOUGH_ANSWERS,
                "agents": ENOUGH_AGENTS,
                "at": now,
            },
        )
        return int(cursor.rowcount)
