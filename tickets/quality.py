"""The flaws of tickets' data, counted: for the quality page, the API, and the figures they touch.

What each kind means and what to do about it stands in tickets/flaws.py; this module only counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, F, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber

from tickets.flaws import DIRECTIONS, FLAWS, Explanation, FlawKind
from tickets.leaving_out import REASONS
from tickets.models import TicketFlaw

#: Examples and different details named for each kind.
EXAMPLES, DETAILS = 3, 5
#: Where a ticket of no capability may belong to any: a figure of one may miss it.
HIDING = (FlawKind.UNMAPPED_CAPABILITY, FlawKind.UNMAPPED_SEVERITY)


@dataclass(frozen=True, slots=True)
class Example:
    """A ticket that has a flaw, by its source and its number there."""

    source: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Issue:
    """A kind of flaw with everything a person needs to mend it."""

    kind: FlawKind
    tickets: int
    #: What exactly, in the source's words, the most frequent first, with numbers of tickets.
    details: tuple[tuple[str, int], ...]
    examples: tuple[Example, ...]
    #: Sources whose tickets have it, for the way to where it is mended.
    sources: tuple[str, ...]

    @property
    def explanation(self) -> Explanation:
        """Title, consequence and remedy."""
        return FLAWS[self.kind]

    @property
    def mended_by_mapping(self) -> bool:
        """Whether the mapping page is where it is mended."""
        return self.kind.value.startswith("unmapped_")

    @property
    def mended_by_roles(self) -> bool:
        """Whether the roles page is where it is mended."""
        return self.kind is FlawKind.UNKNOWN_ACTOR


def issues(
    tenant_id: int, *, capabilities: Collection[int] | None = None, source: str | None = None
) -> list[Issue]:
    """Every kind of flaw there is, the one on most tickets first; three queries.

    With `capabilities` those of their tickets and of tickets nobody has said the capability of.
    """
    flaws = _within(tenant_id, capabilities, source)
    counted = flaws.values_list("kind", "ticket__connection__name").annotate(
        tickets=Count("ticket", distinct=True)
    )
    numbers: dict[FlawKind, int] = defaultdict(int)
    sources: dict[FlawKind, list[str]] = defaultdict(list)
    for kind, name, tickets in counted.order_by("ticket__connection__name"):
        numbers[FlawKind(kind)] += tickets
        sources[FlawKind(kind)].append(name)
    if not numbers:
        return []
    details = _details(flaws)
    examples = _examples(flaws)
    return [
        Issue(
            kind,
            number,
            tuple(details[kind]),
            tuple(examples[kind]),
            tuple(sources[kind]),
        )
        for kind, number in sorted(numbers.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def _flaws(tenant_id: int) -> QuerySet[TicketFlaw]:
    """Flaws of tickets that could be in a figure; `flawed` finds them by its index."""
    flaws: QuerySet[TicketFlaw] = TicketFlaw.objects.for_tenant(tenant_id).filter(
        ticket__flawed=True
    )
    # Incomplete tickets are missing because of their flaws, those left out whatever theirs are.
    return flaws.exclude(ticket__left_out__in=REASONS)


def _within(
    tenant_id: int, capabilities: Collection[int] | None, source: str | None
) -> QuerySet[TicketFlaw]:
    flaws = _flaws(tenant_id)
    if capabilities is not None:
        flaws = flaws.filter(
            Q(ticket__capability__in=capabilities) | Q(ticket__capability__isnull=True)
        )
    return flaws if source is None else flaws.filter(ticket__connection__name=source)


def _details(flaws: QuerySet[TicketFlaw]) -> dict[FlawKind, list[tuple[str, int]]]:
    counted = flaws.exclude(detail="").values("kind", "detail").annotate(tickets=Count("pk"))
    ranked = counted.annotate(
        place=Window(
            RowNumber(), partition_by=F("kind"), order_by=[F("tickets").desc(), F("detail").asc()]
        )
    ).filter(place__lte=DETAILS)
    found: dict[FlawKind, list[tuple[str, int]]] = defaultdict(list)
    for row in ranked.order_by("kind", "place"):
        found[FlawKind(row["kind"])].append((row["detail"], row["tickets"]))
    return found


def _examples(flaws: QuerySet[TicketFlaw]) -> dict[FlawKind, list[Example]]:
    """The latest tickets of each kind; a ticket may have several flaws of one."""
    ranked = (
        flaws.values("kind", "ticket", "ticket__external_id", "ticket__connection__name")
        .distinct()
        .annotate(place=Window(RowNumber(), partition_by=F("kind"), order_by=F("ticket").desc()))
        .filter(place__lte=EXAMPLES * DETAILS)
    )
    found: dict[FlawKind, list[Example]] = defaultdict(list)
    for row in ranked.order_by("kind", "place"):
        example = Example(row["ticket__connection__name"], row["ticket__external_id"])
        mine = found[FlawKind(row["kind"])]
        if example not in mine and len(mine) < EXAMPLES:
            mine.append(example)
    return found


def flaws_between(
    tenant_id: int,
    start: datetime,
    end: datetime,
    *,
    capabilities: Collection[int] | None = None,
) -> dict[tuple[FlawKind, str, str], int]:
    """Tickets with a flaw by kind, severity and error bar, of those alive in start <= t < end.

    One query. The error bar is empty where a flaw is not about times. A ticket that nobody has said
    the capability of counts for every one where that, or its severity, is what is missing: the
    figure may lack it.
    """
    flaws = _flaws(tenant_id).filter(ticket__opened_at__lt=end, ticket__last_event_at__gte=start)
    if capabilities is not None:
        flaws = flaws.filter(
            Q(ticket__capability__in=capabilities)
            | Q(ticket__capability__isnull=True, kind__in=HIDING)
        )
    bar = Case(When(kind__in=DIRECTIONS, then=F("detail")), default=Value(""))
    counted = flaws.values_list("kind", "ticket__severity", bar).annotate(
        tickets=Count("ticket", distinct=True)
    )
    return {(FlawKind(kind), severity, bar): n for kind, severity, bar, n in counted.order_by()}
