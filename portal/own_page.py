"""My readings: what the signed-in agent sees of their own work, and who else does: nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse

from metrics.models import QualityReview
from metrics.own import History, has_work, own_readings
from metrics.reviewing_quality import own_reviews
from metrics.rubric import RUBRIC, ErrorIn, Mark
from portal.cards import Card
from portal.drawing import Point, Series
from portal.organisations import Member

#: Quality reviews of one's work that are listed, the latest first.
REVIEWS = 20


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a quality review says of a resolution of one's own; its author is not named."""

    heading: str
    marks: tuple[tuple[str, str], ...]
    error: str
    note: str


@dataclass(slots=True)
class Page:
    """Everything the template shows."""

    who_sees: str
    period_words: str
    cards: list[Card] = field(default_factory=list)
    reviews: list[Reviewed] = field(default_factory=list)


def page(*, member: Member, now: datetime) -> Page:
    """The acting person's own figures; the context's person decides whose (metrics/own.py)."""
    shown = Page(
        who_sees=f"Only you, {member.person.name}, can see this page. The database shows these rows"
        " to no other account here; nobody is told whether you looked.",
        period_words="Your last 90 days over all services, and the same at earlier moments.",
    )
    if has_work(member.organisation):
        method_url = reverse("method", args=[member.organisation.slug])
        shown.cards = [
            _card(history, method_url) for history in own_readings(member.organisation, now=now)
        ]
        shown.reviews = [_reviewed(one) for one in own_reviews(member.organisation)[:REVIEWS]]
    return shown


def _reviewed(review: QualityReview) -> Reviewed:
    return Reviewed(
        heading=f"{review.capability.name}, {review.ticket.external_id}",
        marks=tuple(
            (criterion.question, Mark(review.marks[criterion.key]).label)
            for criterion in RUBRIC
            if criterion.key in review.marks
        ),
        error=ErrorIn(review.error_in).label if review.error_in else "",
        note=review.note,
    )


def _card(history: History, method_url: str) -> Card:
    own = history.now
    return Card(
        anchor=own.key.replace("_", "-"),
        label=own.name,
        sentence=own.sentence,
        method_url=f"{method_url}#{own.key}",
        definitions=(("Counted over", "your last 90 days"), ("n", str(own.n))),
        series=Series(
            title=f"{own.name}, each point over 90 days",
            points=[
                Point(
                    f"{moment:%b %Y}",
                    100 * earlier.value if earlier.value is not None else None,
                    earlier.n,
                )
                for moment, earlier in history.points
            ],
            unit="%",
            counted="of your own",
        ),
    )
