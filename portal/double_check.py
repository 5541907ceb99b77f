"""Items drawn for the double-check of routine work, for a second person to read (METRICS.md M25).

Of the reader's own capabilities only, masked, and without what they were classified as: whoever
reads them is not to be led. Nothing leads to whoever worked on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import Http404

from metrics.double_checking import AlreadyRead, read_again
from metrics.masking import Mask
from metrics.models import DrawnItem, SecondReading
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member
from tickets.models import MessageText

SHOWN = 10
#: Characters of the first message; the rest is in the help desk.
LONGEST = 1_200


@dataclass(frozen=True, slots=True)
class Row:
    """A drawn item as the page shows it."""

    id: int
    subject: str
    text: str
    capability: str
    #: The Monday of the week it was opened in.
    week: date


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows."""

    rows: list[Row]
    waiting: int
    read: int


def page(member: Member) -> Page:
    """Items that wait to be read by this member, the oldest first: their words go soonest."""
    drawn = _mine(member)
    waiting = drawn.filter(reading=None)
    shown = list(waiting.select_related("ticket", "capability").order_by("week", "pk")[:SHOWN])
    first = (
        MessageText.objects.for_tenant(member.organisation)
        .filter(ticket__in=[one.ticket_id for one in shown])
        .order_by("ticket", "at", "key")
        .distinct("ticket")
    )
    texts = dict(first.values_list("ticket", "text"))
    mask = Mask.of(member.organisation)
    rows = [
        Row(
            one.pk,
            mask(one.ticket.subject),
            mask(texts.get(one.ticket_id, ""))[:LONGEST],
            str(one.capability),
            one.week,
        )
        for one in shown
    ]
    count = waiting.count()
    return Page(rows, count, drawn.count() - count)


def _mine(member: Member) -> QuerySet[DrawnItem]:
    """Drawn items of the member's own capabilities."""
    tenant = member.organisation
    mine = live_capabilities(tenant.pk, person=member.person, roles=member.roles)
    return DrawnItem.objects.for_tenant(tenant).filter(capability__in=mine)


def decide(member: Member, said: Mapping[str, str], *, at: datetime) -> None:
    """Keep what a member reads in an item. Raises BadRequest; Http404 for any but a waiting one."""
    number, says = said.get("item", ""), said.get("says", "")
    if not number.isdecimal() or says not in SecondReading.Says.values:
        raise BadRequest(f"Which item, and is it {', '.join(SecondReading.Says.values)}?")
    drawn = _mine(member).filter(pk=number).first()
    if drawn is None:
        raise Http404
    try:
        read_again(drawn=drawn, says=SecondReading.Says(says), by=member.actor, at=at)
    except AlreadyRead as refusal:
        raise Http404 from refusal
