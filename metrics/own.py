"""An agent's own figures, for that agent alone (TRUST.md B2, METRICS.md 1.11).

They are computed from the attribution table, of which the database shows the web role the acting
person's rows only; nothing here filters by person, so a mistake shows nothing instead of a
colleague. Over the agent's own rolling 90 days and all capabilities together; counts from 5 on,
shares from 10; never another person's value, rank or percentile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from metrics.deciding_settings import settings_of
from metrics.scales import SCALES
from metrics.words import percent
from portal.tenancy.models import Organisation
from surveys.models import Answer
from tickets.models import Attribution, Resolution, WorkItem

WINDOW = timedelta(days=90)
POINTS = 12
STEP = timedelta(days=30)
COUNTS_FROM = 5


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
    work = Work.read(tenant, since=now - STEP * (POINTS - 1) - WINDOW)
    moments = [now - STEP * back for back in range(POINTS - 1, -1, -1)]
    return [
        History(told(work, now), tuple((moment, told(work, moment)) for moment in moments))
        for told in (satisfied, first_reply, reopened)
    ]


def has_work(tenant: Organisation) -> bool:
    """Whether any work is known to be the acting person's."""
    return Attribution.objects.for_tenant(tenant).exists()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A resolution the person made."""

    at: datetime
    item: int
    reopened: bool
    policy_denial: bool


@dataclass(frozen=True, slots=True)
class Rated:
    """A released answer about one of them."""

    at: datetime
    released_at: datetime
    #: Until when the person could answer; None where nobody was asked.
    window_until: datetime | None
    scale: str
    satisfied: bool


@dataclass(frozen=True, slots=True)
class Replied:
    """An item the person was the first to answer."""

    opened_at: datetime
    in_time: bool


@dataclass(frozen=True, slots=True)
class Work:
    """The acting person's work since a moment, read once for every figure and point."""

    resolved: list[Resolved]
    rated: list[Rated]
    replied: list[Replied]
    reopen_days: float
    #: Items from which shares are told; counts below.
    shares_from: int

    @classmethod
    def read(cls, tenant: Organisation, *, since: datetime) -> Work:
        """Read it; five statements, whatever the number of points."""
        done = list(
            Attribution.objects.for_tenant(tenant)
            .filter(at__gte=since)
            .values_list("act", "ticket_id", "event_key", "work_item_id")
        )
        mine = {(t, key) for act, t, key, _ in done if act == Attribution.Act.RESOLVED}
        tickets = {ticket for ticket, _ in mine}
        items = {item for act, _, _, item in done if act == Attribution.Act.FIRST_RESPONDED}
        _, settings = settings_of(tenant)
        return cls(
            resolved=_resolved(tenant, mine, tickets),
            rated=_rated(tenant, mine, tickets),
            replied=_replied(tenant, items),
            reopen_days=settings.reopen_days,
            shares_from=int(settings.own_shares_from),
        )


def _resolved(
    tenant: Organisation, mine: set[tuple[int, int]], tickets: set[int]
) -> list[Resolved]:
    rows = (
        Resolution.objects.for_tenant(tenant)
        .filter(ticket__in=tickets)
        .values_list("ticket_id", "event_key", "at", "work_item_id", "reopened", "policy_denial")
    )
    return [
        Resolved(at, item, again, denied)
        for ticket, key, at, item, again, denied in rows
        if (ticket, key) in mine
    ]


def _rated(tenant: Organisation, mine: set[tuple[int, int]], tickets: set[int]) -> list[Rated]:
    rows = (
        Answer.objects.for_tenant(tenant)
        .filter(
            event__ticket__in=tickets,
            event__policy_denial=False,
            event__scale__in=SCALES,
            late=False,
            released_at__isnull=False,
        )
        .values_list(
            "event__ticket_id",
            "event__event_key",
            "event__at",
            "released_at",
            "event__invitation__window_until",
            "event__scale",
            "score",
        )
    )
    return [
        Rated(at, released_at, window_until, scale, score in SCALES[scale].satisfied)
        for ticket, key, at, released_at, window_until, scale, score in rows
        if (ticket, key) in mine and released_at is not None
    ]


def _replied(tenant: Organisation, items: set[int]) -> list[Replied]:
    rows = (
        WorkItem.objects.for_tenant(tenant)
        .filter(pk__in=items, first_response_at__isnull=False, first_response_in_time__isnull=False)
        .values_list("opened_at", "first_response_in_time")
    )
    return [Replied(opened_at, bool(in_time)) for opened_at, in_time in rows]


def satisfied(work: Work, until: datetime) -> Own:
    """M01 over events of resolutions the person made; answers released and mature by then."""
    rated = [
        answer
        for answer in work.rated
        if until - WINDOW <= answer.at < until
        and answer.released_at <= until
        and (answer.window_until is None or answer.window_until <= until)
    ]
    if len({answer.scale for answer in rated}) > 1:
        several = "Unknown: the answers came on several scales, which are never told as one figure."
        return Own("csat_share", "Satisfied", None, len(rated), several)
    happy = sum(answer.satisfied for answer in rated)
    return _share(
        "csat_share",
        "Satisfied",
        (happy, len(rated)),
        "of the answers were satisfied",
        work.shares_from,
    )


def reopened(work: Work, until: datetime) -> Own:
    """M18 over the person's resolutions whose reopen window is over; policy denials left out."""
    items: dict[int, bool] = {}
    for resolution in work.resolved:
        mature = until - WINDOW <= resolution.at <= until - timedelta(days=work.reopen_days)
        if mature and not resolution.policy_denial:
            items[resolution.item] = items.get(resolution.item, False) or resolution.reopened
    return _share(
        "reopen_rate",
        "Reopened",
        (sum(items.values()), len(items)),
        f"were reopened within {work.reopen_days:g} days",
        work.shares_from,
    )


def first_reply(work: Work, until: datetime) -> Own:
    """M12 over items the person was the first to answer: replied within the promised time.

    A median would pool severities, which no duration ever does (METRICS.md 1.5).
    """
    in_time = [r.in_time for r in work.replied if until - WINDOW <= r.opened_at < until]
    return _share(
        "first_response",
        "First reply in time",
        (sum(in_time), len(in_time)),
        "of those you answered first had your reply in time",
        work.shares_from,
    )


def _share(key: str, name: str, of: tuple[int, int], words: str, shares_from: int) -> Own:
    x, n = of
    if n < COUNTS_FROM:
        return Own(key, name, None, n, _too_few())
    if n < shares_from:
        return Own(key, name, None, n, f"{x} of {n} {words}.")
    return Own(key, name, x / n, n, f"{percent(x / n)} {words} ({x} of {n}).")


def _too_few() -> str:
    return "Fewer than five in these 90 days, so nothing is shown yet."
