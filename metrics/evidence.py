"""What to read beside a number: the comments, reopen messages and reasons behind a reading.

Comments come from released batches only, at least five at a time, with the week they were written
in and nothing that leads to a ticket, a requester or an agent (TRUST.md T14, B2); names, addresses
and handles of the staff are masked.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db.models import OuterRef, QuerySet, Subquery

from metrics import words
from metrics.measure import Reader, Slice
from portal.people.models import Person
from portal.people.roles import Role
from surveys.models import Comment
from tickets.models import Escalation, MessageText, Resolution, WorkItem

#: Fewer comments than this are not shown: a single one leads to its author.
SMALLEST_BATCH = 5
#: A help desk tells the message and the reopen it causes as two events, not quite at once.
AROUND = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of evidence in words, and where it comes from."""

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A kind of evidence: rows, or words that say why there are none."""

    title: str
    rows: tuple[Row, ...] = ()
    words: str = ""


def comments(reader: Reader, cut: Slice, *, policy_denial: bool = False, limit: int = 4) -> Piece:
    """Released comments of the slice, the least satisfied first."""
    title = "What people wrote"
    found = (
        Comment.objects.for_tenant(reader.tenant)
        .filter(
            answer__released_at__isnull=False,
            answer__late=False,
            answer__event__at__gte=reader.midnight(cut.start),
            answer__event__at__lt=reader.midnight(cut.until),
            answer__event__policy_denial=policy_denial,
        )
        .exclude(text="")
        .order_by("answer__score", "-at", "id")
    )
    if cut.capabilities is not None:
        found = found.filter(answer__event__capability__in=cut.capabilities)
    told = list(found.values_list("text", "answer__score", "at"))
    if len(told) < SMALLEST_BATCH:
        return Piece(title, words="Comments are shown once at least five are there.")
    mask = Mask.of(reader)
    rows = tuple(
        Row(mask(text), f"rated {score}, week {week_of(at)}") for text, score, at in told[:limit]
    )
    return Piece(title, rows, f"{len(told)} comments in this period, the least satisfied first.")


def reopen_messages(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """What was written when work came back: the message at the reopen, the latest first."""
    came_back = _resolutions(reader, cut).filter(reopened=True, policy_denial=False)
    at_reopen = MessageText.objects.filter(
        tenant=OuterRef("tenant"),
        ticket=OuterRef("ticket"),
        at__gte=OuterRef("reopen_at") - AROUND,
        at__lte=OuterRef("reopen_at") + AROUND,
    )
    told = (
        came_back.annotate(text=Subquery(at_reopen.order_by("at", "key").values("text")[:1]))
        .exclude(text=None)
        .order_by("-reopen_at", "-id")
        .values_list("text", flat=True)
    )
    count = words.count(came_back.count(), "item came", "items came")
    mask = Mask.of(reader)
    rows = tuple(Row(mask(str(text))) for text in told[:limit])
    title = "What they said when they came back"
    if not rows:
        return Piece(title, words=f"{count} back; their messages are not kept here.")
    return Piece(title, rows, f"{count} back in this period.")


def repeat_contacts(reader: Reader, cut: Slice, *, limit: int = 3) -> Piece:
    """What the second ticket was about where somebody needed us again (METRICS.md M17)."""
    again = WorkItem.objects.for_tenant(reader.tenant).filter(
        repeat_contact_at__isnull=False,
        first_resolution_at__gte=reader.midnight(cut.start),
        first_resolution_at__lt=reader.midnight(cut.until),
    )
    if cut.capabilities is not None:
        again = again.filter(capability__in=cut.capabilities)
    second = WorkItem.objects.filter(
        tenant=OuterRef("tenant"),
        requester=OuterRef("requester"),
        capability=OuterRef("capability"),
        opened_at=OuterRef("repeat_contact_at"),
    )
    subjects = (
        again.annotate(subject=Subquery(second.order_by("id").values("ticket__subject")[:1]))
        .exclude(subject__in=("", None))
        .order_by("-repeat_contact_at", "-id")
        .values_list("subject", flat=True)
    )
    mask = Mask.of(reader)
    rows = tuple(Row(mask(str(subject))) for subject in subjects[:limit])
    needed = words.count(again.count(), "item was", "items were")
    return Piece("What they came back with", rows, f"{needed} followed by another.")


def escalation_reasons(reader: Reader, cut: Slice) -> Piece:
    """Why help was needed from further up, the most frequent reason first."""
    found = Escalation.objects.for_tenant(reader.tenant).filter(
        at__gte=reader.midnight(cut.start), at__lt=reader.midnight(cut.until)
    )
    if cut.capabilities is not None:
        found = found.filter(work_item__capability__in=cut.capabilities)
    if cut.severity is not None:
        found = found.filter(work_item__severity=cut.severity)
    reasons = Counter(
        reason or "no reason given" for reason in found.values_list("reason", flat=True)
    )
    rows = tuple(
        Row(reason, words.count(count, "time", "times")) for reason, count in reasons.most_common(4)
    )
    return Piece("Why it was escalated", rows, "" if rows else "Nothing was escalated.")


#: What is read beside a metric, by its key; the others name their evidence and have none here yet.
BESIDE: Mapping[str, Callable[[Reader, Slice], Piece]] = {
    "csat_share": comments,
    "policy_denial_satisfaction": partial(comments, policy_denial=True),
    "resolution_time": escalation_reasons,
    "repeat_contact": repeat_contacts,
    "reopen_rate": reopen_messages,
    "escalation_rate": escalation_reasons,
}


def beside(reader: Reader, cut: Slice, metric: str) -> list[Piece]:
    """The evidence of a metric, by its key; empty where none is collected."""
    found = BESIDE.get(metric)
    return [found(reader, cut)] if found else []


def _resolutions(reader: Reader, cut: Slice) -> QuerySet[Resolution]:
    found = Resolution.objects.for_tenant(reader.tenant).filter(
        at__gte=reader.midnight(cut.start), at__lt=reader.midnight(cut.until)
    )
    if cut.capabilities is not None:
        found = found.filter(capability__in=cut.capabilities)
    return found


def week_of(at: datetime) -> str:
    """The week somebody wrote in: the day would lead to them."""
    year, week, _ = at.isocalendar()
    return f"{week} of {year}"


class Mask:
    """Replaces names, addresses and handles of the staff in free text."""

    def __init__(self, words: set[str]) -> None:
        listed = sorted((re.escape(word) for word in words if len(word) > 2), key=len, reverse=True)
        self._pattern = re.compile(rf"(?i)\b(?:{'|'.join(listed)})\b") if listed else None

    @classmethod
    def of(cls, reader: Reader) -> Mask:
        """The mask of an organisation's agents."""
        agents = Person.objects.filter(
            memberships__tenant=reader.tenant, memberships__role=Role.AGENT
        ).values_list("name", "email")
        words: set[str] = set()
        for name, email in agents:
            words |= {name, email, email.partition("@")[0], *name.split()}
        return cls({_plain(word) for word in words})

    def __call__(self, text: str) -> str:
        plain = _plain(text)
        return self._pattern.sub("[name]", plain) if self._pattern else plain


def _plain(text: str) -> str:
    """One spelling of a text: compatibility forms folded, no invisible characters."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if unicodedata.category(c) != "Cf")
