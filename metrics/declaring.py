"""Declaring comparisons before a period begins, and telling them when it is over (METRICS.md D2).

Whoever names a difference beforehand, with what they expect, need not pay for all the questions
that could be asked of the same figures. So up to five for a service and period are corrected by
Holm's rule, and nothing is told of them before the period is over and no longer changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from django.db import connection, transaction

from metrics.answering_signals import may_answer
from metrics.comparing import MOST_DECLARED, Comparison, Durations, Side, compare
from metrics.definitions import find
from metrics.measure import Reader, Slice
from metrics.models import DeclaredComparison
from metrics.parts import PARTS, SEVERITY, hidden, part
from metrics.periods import is_askable
from metrics.sides import TIMES, comparable, side
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation

DECLARED = "comparison.declared"
LONGEST = timedelta(days=366)


class NotDeclared(Exception):
    """A comparison was not taken; the message says why."""


class NotTheirs(NotDeclared):
    """Only the process owner and the manager of the service desk declare comparisons."""


class TooLate(NotDeclared):
    """The period has begun: what is looked for now has been seen."""


class EnoughDeclared(NotDeclared):
    """Five are declared for this service and period."""


class NoComparison(NotDeclared):
    """What was named are no two parts of one figure."""


@dataclass(frozen=True, slots=True)
class Named:
    """Two parts of a figure, and the days in which they are compared (start <= day < until)."""

    metric: str
    by: str
    one: str
    other: str
    start: date
    until: date
    severity: str = ""

    def check(self) -> None:
        """Raises NoComparison."""
        if self.metric not in comparable():
            raise NoComparison(f"{self.metric!r} is nothing that can be compared.")
        values = PARTS.get(self.by, ())
        if self.one not in values or self.other not in values or self.one == self.other:
            raise NoComparison("Choose two different parts of one sort.")
        if self.severity and self.severity not in PARTS[SEVERITY]:
            raise NoComparison(f"There is no severity {self.severity!r}.")
        if (self.metric in TIMES) != bool(self.severity):
            raise NoComparison("A duration is compared within one severity, a share over all.")
        if self.by == SEVERITY and self.severity:
            raise NoComparison("Severities are not compared within a severity.")
        if not is_askable(self.start, self.until, longest=LONGEST):
            raise NoComparison("The period is empty, longer than a year or none of these times.")


@transaction.atomic
def declare(
    *,
    tenant: Organisation,
    capability: Capability,
    named: Named,
    starts_at: datetime,
    expected: str,
    by: Person,
    roles: Iterable[Role],
    at: datetime,
) -> DeclaredComparison:
    """Keep a comparison for later. `starts_at` is the local midnight of the period's first day."""
    if not may_answer(by, roles, capability):
        raise NotTheirs("Comparisons are declared by the process owner or the desk's manager.")
    named.check()
    if not expected.strip():
        raise NoComparison("Say what you expect; the next reader sees it beside what came of it.")
    if at >= starts_at:
        raise TooLate("The period has begun. Declare it for one that lies ahead.")
    with connection.cursor() as cursor:  # two at once would be of one number
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('declared comparisons'), %s)", [tenant.pk]
        )
    there = DeclaredComparison.objects.for_tenant(tenant).filter(
        capability=capability, start=named.start, until=named.until
    )
    number = there.count() + 1
    if number > MOST_DECLARED:
        raise EnoughDeclared(f"{MOST_DECLARED} are declared for this period; more is exploring.")
    declared = DeclaredComparison.objects.create(
        tenant=tenant,
        capability=capability,
        metric=named.metric,
        severity=named.severity,
        by=named.by,
        one=named.one,
        other=named.other,
        start=named.start,
        until=named.until,
        starts_at=starts_at,
        number=number,
        expected=expected.strip(),
        declared_by=by,
        printed_name=by.name,
        at=at,
    )
    record(
        tenant_id=tenant.pk,
        actor=Actor(by.actor_key, by.name),
        act=DECLARED,
        subject_kind="capability",
        subject_id=capability.pk,
        at=at,
        detail={
            "metric": named.metric,
            "severity": named.severity,
            "by": named.by,
            "one": named.one,
            "other": named.other,
            "from": named.start.isoformat(),
            "until": named.until.isoformat(),
            "expected": declared.expected,
        },
    )
    return declared


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a declared comparison; `told_from` alone where that is not over.

    A part without a side is one of which nothing may be told, so few answered.
    """

    declared: DeclaredComparison
    #: The day from which it is told.
    told_from: date
    one: Side | Durations | None = None
    other: Side | Durations | None = None
    comparison: Comparison | None = None


def told(reader: Reader, declared: Sequence[DeclaredComparison]) -> list[Told]:
    """What came of the comparisons of one service, each corrected with those of its period."""
    found = []
    ordered = sorted(declared, key=lambda one: (one.start, one.until, one.number))
    for _, some in groupby(ordered, key=lambda one: (one.start, one.until)):
        found += _family(reader, list(some))
    return found


def _family(reader: Reader, declared: Sequence[DeclaredComparison]) -> list[Told]:
    """One period: told together, when the last of its figures no longer changes."""
    told_from = max(
        one.until + timedelta(days=find(one.metric)[0].matures_in(reader.settings))
        for one in declared
    )
    if reader.today() < told_from:
        return [Told(one, told_from) for one in declared]
    sides = {
        one.number: (_side(reader, one, one.one), _side(reader, one, one.other)) for one in declared
    }
    pairs: dict[int, Any] = {
        number: (one or _NOBODY, other or _NOBODY) for number, (one, other) in sides.items()
    }
    level = reader.settings.declared_level
    found = compare(pairs, declared=True, declared_level=level)
    return [Told(one, told_from, *sides[one.number], found[one.number]) for one in declared]


#: Stands in a comparison for a part of which nothing may be told.
_NOBODY = Side(0, 0)


def _side(reader: Reader, declared: DeclaredComparison, value: str) -> Side | Durations | None:
    """A part as it is compared; None where too few answered for anything to be told of it."""
    only = frozenset([declared.capability_id])
    cut = Slice(declared.start, declared.until, only, declared.severity or None)
    if value in hidden(reader, declared.metric, cut, declared.by):
        return None
    return side(reader, declared.metric, part(cut, declared.by, value))
