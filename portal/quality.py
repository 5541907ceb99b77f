"""Quality reviews on pages: what they found, tickets drawn for a review, and one ticket to review.

A ticket is opened by those who own or run its service, who review it there. It names nobody who
worked on it, and tickets to be reviewed are drawn by lot, so that nobody picks somebody's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Q

from metrics import words
from metrics.answering_signals import may_answer
from metrics.evidence import Piece, TicketName, quality_reviews_by_capability
from metrics.masking import Mask
from metrics.measure import Reader, Slice
from metrics.models import QualityReview
from metrics.reviewing_quality import AlreadyReviewed, NothingResolved, OwnWork, review_ticket
from metrics.rubric import RUBRIC, ErrorIn, Mark
from portal.catalogue.models import Capability
from portal.catalogue.scope import live_capabilities
from portal.organisations import Member
from tickets.models import Escalation, MessageText, Resolution, Ticket, WorkItem

DRAWN = 5
#: Among the resolutions of so many days, and so many of the latest of them, tickets are drawn.
LOOKED_BACK = timedelta(days=30)
AMONG = 500
OWN_SHOWN = 20
#: Reviews are told over so long: a batch takes its time.
PERIOD = timedelta(days=90)
MESSAGES = 50


@dataclass(frozen=True, slots=True)
class Drawn:
    """A ticket in a list."""

    name: TicketName
    words: str
    capability: str


@dataclass(slots=True)
class Page:
    """The list: what was found, what to review, what one reviewed."""

    found: list[tuple[str, Piece]]
    may_review: bool
    drawn: list[Drawn] = field(default_factory=list)
    own: list[Drawn] = field(default_factory=list)


def page(member: Member, now: datetime) -> Page:
    """The list as this member may see it; empty where no service's figures are theirs to read."""
    tenant = member.organisation
    served = list(
        live_capabilities(tenant.pk, person=member.person, roles=member.roles)
        .select_related("domain")
        .order_by("name")
    )
    reader = Reader(tenant, as_of=now)
    until = reader.today() + timedelta(days=1)
    cut = Slice(until - PERIOD, until, frozenset(one.pk for one in served))
    reviewed_of = quality_reviews_by_capability(reader, cut)
    found = [(one.name, reviewed_of[one.pk]) for one in served]
    theirs = [one for one in served if may_answer(member.person, member.roles, one)]
    shown = Page(found, bool(theirs))
    if theirs:
        mask = Mask.of(tenant)
        reviewed = (
            QualityReview.objects.for_tenant(tenant)
            .filter(by_key=member.actor.key)
            .select_related("ticket__connection", "capability")
        )
        shown.own = [_line(one.ticket, one.capability, mask) for one in reviewed[:OWN_SHOWN]]
        shown.drawn = [
            _line(one.ticket, one.capability, mask)
            for one in _draw(member, theirs, now)
            if one.capability is not None
        ]
    return shown


def _line(ticket: Ticket, capability: Capability, mask: Mask) -> Drawn:
    name = TicketName(ticket.connection.name, ticket.external_id)
    return Drawn(name, mask(ticket.subject) or "no subject", capability.name)


def _draw(member: Member, served: list[Capability], now: datetime) -> list[Resolution]:
    """By lot, the same for a reviewer all day: by a digest of reviewer, day and resolution."""
    tenant = member.organisation
    reviewed = QualityReview.objects.for_tenant(tenant).filter(by_key=member.actor.key)
    latest = (
        Resolution.objects.for_tenant(tenant)
        .filter(
            at__gte=now - LOOKED_BACK,
            at__lte=now,
            holds=True,
            capability__in=served,
            ticket__left_out="",
        )
        .exclude(ticket__in=reviewed.values("ticket"))
        .order_by("-at", "-id")
        .values_list("pk", flat=True)[:AMONG]
    )
    day = now.astimezone(tenant.zone).date()
    lots = sorted(latest, key=lambda pk: _lot(member, day, pk))[:DRAWN]
    found = Resolution.objects.for_tenant(tenant).select_related("ticket__connection", "capability")
    return sorted(found.filter(pk__in=lots), key=lambda one: lots.index(one.pk))


def _lot(member: Member, day: date, resolution: int) -> bytes:
    return hashlib.sha256(f"{member.person.pk}:{day}:{resolution}".encode()).digest()


# --- one ticket ----------------------------------------------------------------------------------


class ReviewForm(forms.Form):
    """The rubric: every question, where an error lies, and a note."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for criterion in RUBRIC:
            self.fields[criterion.key] = forms.ChoiceField(
                label=criterion.question,
                choices=[(mark.value, mark.label) for mark in Mark],
                widget=forms.RadioSelect,
            )
        self.fields["error_in"] = forms.ChoiceField(
            label="If there was an error: what let it happen?",
            choices=[(place.value, place.label) for place in ErrorIn],
            required=False,
        )
        self.fields["note"] = forms.CharField(
            label="What should change",
            required=False,
            max_length=1000,
            widget=forms.Textarea(attrs={"rows": 3}),
            help_text="About the software and the process, not about a person.",
        )


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened to a ticket."""

    at: datetime
    what: str
    words: str = ""


@dataclass(slots=True)
class TicketPage:
    """A ticket as the page shows it."""

    ticket: Ticket
    capability: Capability
    subject: str
    happened: list[Happened]
    messages: list[Happened]
    form: ReviewForm
    reviewed: bool


def ticket_page(
    member: Member,
    *,
    source: str,
    external_id: str,
    form: ReviewForm | None = None,
) -> TicketPage | None:
    """A ticket of a service that the member owns or runs; None for any other."""
    tenant = member.organisation
    if "\x00" in external_id:
        return None  # no row holds this character, and PostgreSQL refuses to look
    ticket = (
        Ticket.objects.for_tenant(tenant)
        .filter(connection__name=source, external_id=external_id)
        .select_related("connection")
        .first()
    )
    served = None if ticket is None else _served(member, ticket)
    if ticket is None or served is None:
        return None
    mask = Mask.of(tenant)
    texts = MessageText.objects.filter(tenant=tenant, ticket=ticket).order_by("at", "key")
    reviewed = QualityReview.objects.for_tenant(tenant).filter(
        ticket=ticket, by_key=member.actor.key
    )
    return TicketPage(
        ticket=ticket,
        capability=served,
        subject=mask(ticket.subject) or "No subject",
        happened=_happened(ticket, mask),
        messages=[
            Happened(at, "Message", mask(text))
            for at, text in texts.values_list("at", "text")[:MESSAGES]
        ],
        form=form or ReviewForm(),
        reviewed=reviewed.exists(),
    )


def _served(member: Member, ticket: Ticket) -> Capability | None:
    """The service the ticket is or was counted for that the member owns or runs, if any."""
    own = Capability.objects.for_tenant(member.organisation)
    items = WorkItem.objects.filter(tenant=member.organisation, ticket=ticket)
    resolutions = Resolution.objects.filter(tenant=member.organisation, ticket=ticket)
    counted = own.filter(
        Q(pk=ticket.capability_id)
        | Q(pk__in=items.values("capability"))
        | Q(pk__in=resolutions.values("capability"))
    )
    for one in counted.select_related("domain").order_by("name"):
        if may_answer(member.person, member.roles, one):
            return one
    return None


def _happened(ticket: Ticket, mask: Mask) -> list[Happened]:
    """What is known of its course, oldest first; nobody who did it."""
    items = list(WorkItem.objects.for_tenant(ticket.tenant_id).filter(ticket=ticket))
    told = [Happened(item.opened_at, "Opened") for item in items]
    told += [
        Happened(item.first_response_at, "First reply")
        for item in items
        if item.first_response_at is not None
    ]
    for escalation in Escalation.objects.for_tenant(ticket.tenant_id).filter(work_item__in=items):
        reason = mask(escalation.reason) or "no reason given"
        told.append(Happened(escalation.at, "Escalated", reason))
    for one in Resolution.objects.for_tenant(ticket.tenant_id).filter(ticket=ticket):
        told.append(Happened(one.at, "Resolved", _resolved(one)))
        if one.reopen_at is not None:
            kind = "" if one.reopened else f"not counted: {one.reopen_kind}"
            told.append(Happened(one.reopen_at, "Came back", kind))
    return sorted(told, key=lambda one: one.at)


def _resolved(one: Resolution) -> str:
    """What is not ordinary about a resolution: its kind, and the void ones that it follows."""
    said = [] if one.kind == "normal" else [one.kind]
    if one.slips:
        before = words.count(one.slips, "resolution", "resolutions")
        said.append(f"after {before} taken back within minutes (misclick)")
    return ", ".join(said)


def review(member: Member, shown: TicketPage, at: datetime) -> bool:
    """Keep what the form of the page says; False, with its errors, where it cannot be kept."""
    form = shown.form
    if not form.is_valid():
        return False
    said = form.cleaned_data
    try:
        review_ticket(
            tenant=member.organisation,
            ticket=shown.ticket,
            marks={criterion.key: said[criterion.key] for criterion in RUBRIC},
            error_in=said["error_in"],
            note=said["note"],
            by=member.actor,
            at=at,
        )
    except (NothingResolved, OwnWork, AlreadyReviewed) as refused:
        form.add_error(None, str(refused))
        return False
    return True
