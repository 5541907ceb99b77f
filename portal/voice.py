"""The reading queue: comments that say something else than their score, for a person to decide.

Comments of released batches only, of the reader's own capabilities with five of them or more,
masked, with the week and nothing that leads to a ticket, a requester or an agent (TRUST.md B2).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import BadRequest
from django.db.models import Count, QuerySet
from django.http import Http404

from metrics.evidence import SMALLEST_BATCH, contradicting, week_of
from metrics.masking import Mask
from metrics.scales import SCALES
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member
from surveys.models import Comment, Sentiment
from surveys.reading_comments import label

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A comment in the queue."""

    id: int
    text: str
    capability: str
    score: str
    week: str
    suggested: str


@dataclass(frozen=True, slots=True)
class Queue:
    """What the page shows."""

    rows: list[Contradiction]
    waiting: int


def queue(member: Member) -> Queue:
    """Undecided contradictions this member may read, the latest first."""
    tenant = member.organisation
    found = _undecided(member)
    mask = Mask.of(tenant)
    rows = [
        Contradiction(
            comment.pk,
            mask(comment.text),
            str(comment.answer.event.capability),
            f"{comment.answer.score} on the scale {SCALES[comment.answer.event.scale].name}",
            week_of(comment.at),
            comment.reading.suggested,
        )
        for comment in found.order_by("-at", "-pk")[:SHOWN]
    ]
    return Queue(rows, found.count())


def readable(member: Member) -> QuerySet[Comment]:
    """Released comments of the member's own capabilities, of those that have five or more."""
    tenant = member.organisation
    mine = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    released = Comment.objects.readable(tenant).filter(answer__event__capability__in=mine)
    enough = (
        released.values("answer__event__capability")
        .annotate(number=Count("pk"))
        .filter(number__gte=SMALLEST_BATCH)
        .values("answer__event__capability")
    )
    return released.filter(answer__event__capability__in=enough)


def _undecided(member: Member) -> QuerySet[Comment]:
    """Comments whose suggestion contradicts their score and that nobody has decided about."""
    return (
        readable(member)
        .filter(contradicting("reading__suggested"), reading__decided="")
        .select_related("answer__event__capability", "reading")
    )


def decide(member: Member, *, comment: str, says: str, at: datetime) -> None:
    """Say what a comment of the queue says. Raises BadRequest; Http404 for any other comment."""
    if says not in Sentiment.values or not comment.isdecimal():
        raise BadRequest(f"Which comment, and does it say {', '.join(Sentiment.values)}?")
    found = _undecided(member).filter(pk=comment).first()
    if found is None:
        raise Http404
    label(
        comment=found,
        sentiment=Sentiment(says),
        by_key=member.actor.key,
        by_name=member.actor.name,
        at=at,
    )
