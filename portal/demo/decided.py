"""What those who run the demo's services decided: about comments, drawn items, and beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from django.db import connection

from metrics import double_checking
from metrics.declaring import Named, declare
from metrics.evidence import contradicting
from metrics.models import DrawnItem, SecondReading
from portal.audit.trail import Actor
from portal.catalogue.models import Capability
from portal.demo import SEED
from portal.demo.answers import is_pleased
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys import blind_reading, reading_comments, themes
from surveys.models import Comment, DrawnComment, Sentiment, Theme
from tickets.models import WorkItem

#: Comments younger than this still wait to be decided about.
UNDECIDED = timedelta(days=28)
#: Weeks whose drawn items were read again; of the one after them some wait.
WEEKS_READ, WAITING = 8, 3
#: Weeks in which comments were drawn to be read blind, and how often a reader sees what is meant.
WEEKS_DRAWN, READ_ALIKE = 12, 0.97
#: How often a second person agrees with the flag, and how often the words do not say.
AGREES, UNCLEAR = 0.9, 0.04

#: Figure, what it is told apart by, two parts, a severity for durations, and what was expected.
_EXPECTED = (
    ("reopen_rate.rate", "severity", "high", "low", "", "What is urgent is patched, not mended."),
    ("csat_share.share", "severity", "medium", "low", "", "Small things are answered by heart."),
    (
        "resolution_time.cohort_median", "tenure", "new", "established", "medium",
        "Who knows us writes what we need to know, and waits less.",
    ),
)  # fmt: skip


def decide(*, organisation: Organisation, now: datetime) -> None:
    """Let the product suggest and draw, and decide as people do. Outside `acting()`, as owner."""
    reading_comments.sweep(now)
    themes.sweep(now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [SEED / 10_000])  # the same lots in every clone
    for weeks_ago in range(WEEKS_READ, -1, -1):
        double_checking.sweep(now - timedelta(weeks=weeks_ago))
    for weeks_ago in range(WEEKS_DRAWN, -1, -1):
        blind_reading.sweep(now - timedelta(weeks=weeks_ago))
    with acting(organisation.pk):
        _decide_about_contradictions(organisation, now)
        _read_comments_blind(organisation, now)
        _decide_about_themes(organisation, now)
        _read_again(organisation, now)
        _declare(organisation, now)


def _decide_about_contradictions(organisation: Organisation, now: datetime) -> None:
    waiting = Comment.objects.readable(organisation).filter(
        contradicting("reading__suggested"), at__lt=now - UNDECIDED
    )
    for comment in waiting.select_related("answer__event__capability__domain").order_by("pk"):
        capability = comment.answer.event.capability
        assert capability is not None, "every ticket of the demo is about a service"
        reader = _actor(capability.domain.service_desk_manager)
        reading_comments.label(
            comment=comment,
            sentiment=Sentiment.POSITIVE if is_pleased(comment.text) else Sentiment.NEGATIVE,
            by_key=reader.key,
            by_name=reader.name,
            at=now - timedelta(days=1),
        )


def _read_comments_blind(organisation: Organisation, now: datetime) -> None:
    """What the two who run and own a service read; a few they do not read alike, and some wait."""
    dice = Random(f"{SEED}:read blind")
    drawn = DrawnComment.objects.for_tenant(organisation).order_by("week", "comment")
    newest = drawn.order_by("-week").values_list("week", flat=True).first()
    for one in drawn.select_related(
        "comment__answer__event__capability__domain__service_desk_manager",
        "comment__answer__event__capability__process_owner",
    ):
        if one.week == newest:
            continue
        capability = one.comment.answer.event.capability
        assert capability is not None, "every ticket of the demo is about a service"
        for person in (capability.domain.service_desk_manager, capability.process_owner):
            pleased = is_pleased(one.comment.text) == (dice.random() < READ_ALIKE)
            reader = _actor(person)
            blind_reading.read_blind(
                drawn=one,
                sentiment=Sentiment.POSITIVE if pleased else Sentiment.NEGATIVE,
                by_key=reader.key,
                by_name=reader.name,
                at=min(one.drawn_at + timedelta(days=2), now),
            )


def _decide_about_themes(organisation: Organisation, now: datetime) -> None:
    """The theme of most people counts; the others of a service wait."""
    for capability in _served(organisation):
        suggested = Theme.objects.for_tenant(organisation).filter(capability=capability)
        theme = suggested.order_by("-people", "name").first()
        if theme is not None:
            owner = _actor(capability.process_owner)
            themes.confirm(theme=theme, name=theme.name, by=owner, at=now)


def _read_again(organisation: Organisation, now: datetime) -> None:
    """What a second person says, who does not see the flag and mostly agrees with it."""
    drawn = DrawnItem.objects.for_tenant(organisation)
    flagged = {
        (ticket, number): routine
        for ticket, number, routine in WorkItem.objects.for_tenant(organisation)
        .filter(ticket__in=drawn.values("ticket"))
        .values_list("ticket", "number", "routine")
    }
    newest = drawn.order_by("-week").values_list("week", flat=True).first()
    for capability in _served(organisation):
        reader = _actor(capability.domain.service_desk_manager)
        dice = Random(f"{SEED}:read again:{capability.slug}")
        mine = list(drawn.filter(capability=capability).order_by("week", "ticket", "number"))
        waiting = [one for one in mine if one.week == newest][:WAITING]
        for item in mine:
            if item not in waiting:
                says = _says(dice, is_routine=bool(flagged[item.ticket_id, item.number]))
                at = item.drawn_at + timedelta(hours=3)
                double_checking.read_again(drawn=item, says=says, by=reader, at=min(at, now))


def _says(dice: Random, *, is_routine: bool) -> SecondReading.Says:
    if dice.random() < UNCLEAR:
        return SecondReading.Says.UNCLEAR
    says = is_routine == (dice.random() < AGREES)
    return SecondReading.Says.ROUTINE if says else SecondReading.Says.OURS


def _declare(organisation: Organisation, now: datetime) -> None:
    """Three named before a quarter that is over and told, and before the one that comes."""
    today = now.astimezone(organisation.zone).date()
    for capability in _served(organisation):
        owner = capability.process_owner
        assert owner is not None
        for start in (_quarter(today, -2), _quarter(today, 1)):
            starts_at = datetime.combine(start, time(), tzinfo=organisation.zone).astimezone(UTC)
            for figure, by, one, other, severity, expected in _EXPECTED:
                declare(
                    tenant=organisation,
                    capability=capability,
                    named=Named(figure, by, one, other, start, _quarter(start, 1), severity),
                    starts_at=starts_at,
                    expected=expected,
                    by=owner,
                    roles=[Role.PROCESS_OWNER],
                    at=min(starts_at - timedelta(days=6), now),
                )


def _quarter(day: date, ahead: int) -> date:
    """The first day of a quarter, so many after the one a day lies in."""
    quarter = 4 * day.year + (day.month - 1) // 3 + ahead
    return date(quarter // 4, 3 * (quarter % 4) + 1, 1)


def _served(organisation: Organisation) -> Iterable[Capability]:
    found = Capability.objects.for_tenant(organisation).order_by("pk")
    return found.select_related("process_owner", "domain__service_desk_manager")


def _actor(person: Person | None) -> Actor:
    assert person is not None, "the demo's services are owned and run by somebody"
    return Actor(person.actor_key, person.name)
