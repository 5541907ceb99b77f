"""An agent's own figures, for that agent alone (TRUST.md B2, METRICS.md 1.11).

They are computed from the attribution table, of which the database shows the web role the acting
person's rows only; nothing here filters by person, so a mistake shows nothing instead of a
colleague. Over the agent's own rolling 90 days and all capabilities together; counts from 5 on,
shares from 10; never another person's value, rank or percentile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from metrics.scales import SCALES
from metrics.words import percent
from portal.tenancy.models import Organisation
from surveys.models import Answer
from tickets.models import Attribution, Resolution, WorkItem
from tickets.timeline import REOPEN_WINDOW

WINDOW = timedelta(days=90)
POINTS = 12
STEP = timedelta(days=30)
COUNTS_FROM, SHARES_FROM = 5, 10


@dataclass(frozen=True, slots=True)
class Own:
    """One of the agent's own figures at one moment."""

    key: str
    name: str
    #: A share, 0 to 1; None where too few are there for a value.
    value: float | None
    n: int
    sentence: str


@dataclass(frozen=True, slots=True)
class History:
    """One figure now and at earlier moments, oldest first."""

    now: Own
    points: tuple[tuple[datetime, Own], ...]


def own_readings(tenant: Organisation, *, now: datetime) -> list[History]:
    """Satisfied (M01), first reply (M12) and reopened (M18) over the acting person's own work."""
    moments = [now - STEP * back for back in range(POINTS - 1, -1, -1)]
    return [
        History(told(tenant, now), tuple((moment, told(tenant, moment)) for moment in moments))
        for told in (satisfied, first_reply, reopened)
    ]


def has_work(tenant: Organisation) -> bool:
    """Whether any work is known to be the acting person's."""
    return Attribution.objects.for_tenant(tenant).exists()


def satisfied(tenant: Organisation, until: datetime) -> Own:
    """M01 over events of resolutions the person made; released answers only."""
    mine = Attribution.objects.for_tenant(tenant).filter(
        act=Attribution.Act.RESOLVED,
        ticket=OuterRef("event__ticket"),
        event_key=OuterRef("event__event_key"),
    )
    answers = Answer.objects.for_tenant(tenant).filter(
        Exists(mine),
        event__at__gte=until - WINDOW,
        event__at__lt=until,
        event__policy_denial=False,
        late=False,
        released_at__lte=until,
    )
    rated = list(answers.values_list("event__scale", "score"))
    happy = sum(score in SCALES[scale].satisfied for scale, score in rated)
    return _share("csat_share", "Satisfied", happy, len(rated), "answers were satisfied")


def reopened(tenant: Organisation, until: datetime) -> Own:
    """M18 over the person's resolutions whose 14 days are over; policy denials left out."""
    resolutions = Resolution.objects.for_tenant(tenant).filter(
        Exists(_mine(tenant, Attribution.Act.RESOLVED)),
        at__gte=until - WINDOW,
        at__lt=until - REOPEN_WINDOW,
        policy_denial=False,
    )
    items: dict[int, bool] = {}
    for item, again in resolutions.values_list("work_item_id", "reopened"):
        items[item] = items.get(item, False) or again
    return _share(
        "reopen_rate", "Reopened", sum(items.values()), len(items), "were reopened within 14 days"
    )


def first_reply(tenant: Organisation, until: datetime) -> Own:
    """M12 over items the person was the first to answer: replied within the promised time."""
    mine = Attribution.objects.for_tenant(tenant).filter(
        act=Attribution.Act.FIRST_RESPONDED, work_item=OuterRef("pk")
    )
    replies = (
        WorkItem.objects.for_tenant(tenant)
        .filter(Exists(mine), opened_at__gte=until - WINDOW, opened_at__lt=until)
        .exclude(first_response_s=None)
        .exclude(response_target_s=None)
        .values_list("first_response_s", "response_target_s")
    )
    # A median would pool severities, which no duration ever does (METRICS.md 1.5).
    in_time = [seconds <= target for seconds, target in replies if seconds is not None and target]
    return _share(
        "first_response",
        "First reply in time",
        sum(in_time),
        len(in_time),
        "of those you answered first had your reply in time",
    )


def _mine(tenant: Organisation, act: Attribution.Act) -> QuerySet[Attribution]:
    found: QuerySet[Attribution] = Attribution.objects.for_tenant(tenant).filter(
        act=act, ticket=OuterRef("ticket"), event_key=OuterRef("event_key")
    )
    return found


def _share(key: str, name: str, x: int, n: int, words: str) -> Own:
    if n < COUNTS_FROM:
        return Own(key, name, None, n, _too_few())
    if n < SHARES_FROM:
        return Own(key, name, None, n, f"{x} of {n} {words}.")
    return Own(key, name, x / n, n, f"{percent(x / n)} {words} ({x} of {n}).")


def _too_few() -> str:
    return "Fewer than five in these 90 days, so nothing is shown yet."
