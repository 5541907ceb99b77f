"""Comments drawn by chance, for two people to say what they say (METRICS.md M08).

Of the reader's own capabilities only, masked, without score and suggestion: whoever reads them is
not to be led. Nothing leads to a ticket, a requester or an agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import BadRequest
from django.db.models import Count, QuerySet
from django.http import Http404

from metrics.masking import Mask
from portal.organisations import Member
from portal.voice import readable
from surveys.blind_reading import NEEDED, READERS, Agreement, AlreadyRead, agreement, read_blind
from surveys.models import DrawnComment, Sentiment

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A drawn comment as the page shows it."""

    id: int
    text: str
    capability: str


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows."""

    rows: list[Row]
    waiting: int
    agreement: Agreement
    needed: int = NEEDED


def page(member: Member, now: datetime) -> Page:
    """Comments that wait to be read by this member, the oldest draw first."""
    waiting = _waiting(member)
    mask = Mask.of(member.organisation)
    shown = waiting.select_related("comment__answer__event__capability")
    rows = [
        Row(one.pk, mask(one.comment.text), str(one.comment.answer.event.capability))
        for one in shown.order_by("week", "pk")[:SHOWN]
    ]
    return Page(rows, waiting.count(), agreement(member.organisation.pk, now))


def _waiting(member: Member) -> QuerySet[DrawnComment]:
    """Drawn comments that this member has not read, nor two others."""
    return (
        DrawnComment.objects.for_tenant(member.organisation)
        .filter(comment__in=readable(member).values("pk"))
        .exclude(readings__by_key=member.actor.key)
        .annotate(read=Count("readings"))
        .filter(read__lt=READERS)
    )


def read(member: Member, said: Mapping[str, str], *, at: datetime) -> None:
    """Keep what a member reads in a comment. Raises BadRequest; Http404 where none waits."""
    number, says = said.get("drawn", ""), said.get("says", "")
    if not number.isdecimal() or says not in Sentiment.values:
        raise BadRequest(f"Which comment, and does it say {', '.join(Sentiment.values)}?")
    drawn = _waiting(member).filter(pk=number).first()
    if drawn is None:
        raise Http404
    by = member.actor
    try:
        read_blind(drawn=drawn, sentiment=Sentiment(says), by_key=by.key, by_name=by.name, at=at)
    except AlreadyRead as refusal:
        raise Http404 from refusal
