"""How far suggestions about comments can be trusted: a random sample, read blind (METRICS.md M08).

Every week some classified comments are drawn by chance: fifty and more a quarter. Two people read
each of them, who see neither its score nor the suggestion, and say once what it says. Decisions in
the reading queue count for nothing here: it holds only what seems to contradict its score.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction

from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys.models import BlindReading, Comment, DrawnComment, Sentiment
from surveys.sweeping import each_organisation

#: Comments drawn of a week: 65 in a quarter, because of some people will not agree what they say.
A_WEEK = 5
READERS = 2
QUARTER = timedelta(days=91)
#: So many comments read by two people are needed to say how well the classifier does.
NEEDED = 50
AGREEMENT_NEEDED = 0.80
CLASSIFIED = (Sentiment.POSITIVE, Sentiment.NEGATIVE)


class AlreadyRead(ValueError):
    """This person has read the comment before, or two others have; what was said is final."""


def sweep(now: datetime) -> int:
    """Draw comments of a new week where that has not been done; return how many."""
    return each_organisation("Drawing comments", lambda tenant_id: _draw(tenant_id, now))


def _draw(tenant_id: int, now: datetime) -> int:
    today = now.astimezone(Organisation.objects.get(pk=tenant_id).zone).date()
    week = today - timedelta(days=today.weekday())
    with acting(tenant_id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('surveys.blind_reading'), %s)", [tenant_id]
        )
        if DrawnComment.objects.for_tenant(tenant_id).filter(week=week).exists():
            return 0
        classified = Comment.objects.readable(tenant_id).filter(
            reading__suggested__in=CLASSIFIED, at__gt=now - QUARTER, at__lte=now, drawn=None
        )
        drawn = DrawnComment.objects.bulk_create(
            DrawnComment(tenant_id=tenant_id, comment_id=pk, week=week, drawn_at=now)
            for pk in classified.order_by("?").values_list("pk", flat=True)[:A_WEEK]
        )
    return len(drawn)


def read_blind(
    *, drawn: DrawnComment, sentiment: Sentiment, by_key: str, by_name: str, at: datetime
) -> BlindReading:
    """Keep what somebody reads in a drawn comment. Raises AlreadyRead."""
    mine = BlindReading.objects.for_tenant(drawn.tenant_id).filter(drawn=drawn)
    if mine.count() >= READERS:
        raise AlreadyRead("Two people have read this comment before.")
    try:
        with transaction.atomic():
            return BlindReading.objects.create(
                tenant_id=drawn.tenant_id,
                drawn=drawn,
                sentiment=sentiment,
                by_key=by_key,
                by_name=by_name,
                at=at,
            )
    except IntegrityError as error:
        if mine.filter(by_key=by_key).exists():
            raise AlreadyRead("You have read this comment before.") from error
        raise


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often suggestions and people agree, over comments drawn in a quarter."""

    #: Comments that two people have read.
    labelled: int
    #: Of those, the ones in which both read the same feeling; the others say nothing either way.
    alike: int
    #: Of those, the ones whose suggestion is the same.
    agreeing: int
    #: Of the comments people read as negative, the share suggested negative; None without any.
    sensitivity: float | None
    #: Of the others, the share not suggested negative.
    specificity: float | None

    @property
    def share(self) -> float | None:
        """0 to 1; None where too few are read to say."""
        return self.agreeing / self.alike if self.labelled >= NEEDED and self.alike else None


NOBODY_READ = Agreement(0, 0, 0, None, None)


def agreement(tenant_id: int, at: datetime) -> Agreement:
    """The agreement over the comments drawn in the quarter before an instant."""
    found = (
        BlindReading.objects.for_tenant(tenant_id)
        .filter(drawn__drawn_at__gt=at - QUARTER, at__lte=at)
        .order_by("at", "pk")
        .values_list("drawn", "drawn__comment__reading__suggested", "sentiment")
    )
    by_comment: dict[tuple[int, str], list[str]] = defaultdict(list)
    for drawn, suggested, sentiment in found:
        by_comment[drawn, suggested].append(sentiment)
    return agreement_of([(said, read[:READERS]) for (_, said), read in by_comment.items()])


def agreement_of(comments: list[tuple[str, list[str]]]) -> Agreement:
    """The agreement over (suggested, what people read) of each comment; pure."""
    by_two = [(suggested, read) for suggested, read in comments if len(read) == READERS]
    alike = [
        (suggested, read[0])
        for suggested, read in by_two
        if len(set(read)) == 1 and read[0] in CLASSIFIED
    ]
    of_negative = [suggested for suggested, read in alike if read == Sentiment.NEGATIVE]
    of_others = [suggested for suggested, read in alike if read != Sentiment.NEGATIVE]
    found = of_negative.count(Sentiment.NEGATIVE)
    spared = len(of_others) - of_others.count(Sentiment.NEGATIVE)
    return Agreement(
        labelled=len(by_two),
        alike=len(alike),
        agreeing=sum(suggested == read for suggested, read in alike),
        sensitivity=found / len(of_negative) if of_negative else None,
        specificity=spared / len(of_others) if of_others else None,
    )
