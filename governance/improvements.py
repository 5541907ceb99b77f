"""Recording an improvement action before acting, and how it is marked on courses (METRICS.md D5).

A record is never changed. One that was wrong is corrected by another that names it; if that came
after the days had begun, whoever reads the result is told so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from governance.models import ImprovementAction
from metrics import words
from metrics.answering_signals import may_answer
from metrics.definitions import find
from metrics.improving import WINDOW, Days, windows
from metrics.periods import is_askable
from metrics.sides import shares
from metrics.standing import Direction
from metrics.trends import Happened
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation, TenantQuerySet

RECORDED = "improvement.recorded"
#: Days of a window, and of the transition between the two.
SHORTEST, LONGEST, LONGEST_TRANSITION = 7, 366, 180
#: The most a share can change by, and whole hundredths of a point.
_MOST, _PLACES = Decimal(1), Decimal("0.0001")


class NotRecorded(Exception):
    """An action was not taken; the message says why. Nothing was kept."""


class NotTheirs(NotRecorded):
    """Only the process owner and the manager of the service desk record actions."""


class TooLate(NotRecorded):
    """The day of acting has begun: what would be expected has been seen."""


class AlreadyCorrected(NotRecorded):
    """Another record corrects this one."""


class NoAction(NotRecorded):
    """What was named cannot be judged."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What somebody means to do, and how it will be judged. `expected` is a change of a share."""

    metric: str
    words: str
    acts_on: date
    expected: Decimal
    comparison: Capability | None = None
    days_before: int = WINDOW.days
    days_after: int = WINDOW.days
    transition_days: int = 1

    def check(self, capability: Capability) -> None:
        """Raises NoAction."""
        if self.metric not in judged():
            raise NoAction(f"{self.metric!r} is no share with a good direction.")
        if not self.words.strip():
            raise NoAction("Say what is done; the next reader sees it beside what came of it.")
        for days in (self.days_before, self.days_after):
            if not SHORTEST <= days <= LONGEST:
                raise NoAction(f"A window has {SHORTEST} to {LONGEST} days.")
        if not 0 <= self.transition_days <= LONGEST_TRANSITION:
            raise NoAction(f"The transition takes 0 to {LONGEST_TRANSITION} days.")
        one_day, after = timedelta(days=1), timedelta(days=self.transition_days + self.days_after)
        if not is_askable(self.acts_on, self.acts_on + one_day, longest=one_day) or not is_askable(
            self.acts_on, self.acts_on + after, longest=after
        ):
            raise NoAction("The day of acting is none of these times.")
        metric, view = find(self.metric)
        lower = metric.direction_of(view) is Direction.LOWER
        told = abs(self.expected) <= _MOST and self.expected.quantize(_PLACES)
        if not told or (told < 0) != lower:
            raise NoAction(
                f"Say by how many points you expect {view.name} to"
                f" {'fall, as a negative number' if lower else 'rise'}."
            )
        if self.comparison is not None:
            self._check_comparison(capability, self.comparison)

    def _check_comparison(self, capability: Capability, other: Capability) -> None:
        metric, _ = find(self.metric)
        if other.pk == capability.pk:
            raise NoAction("Compare with another service, where nobody acts.")
        if metric.from_answers and other.domain_id != capability.domain_id:
            raise NoAction(
                f"{other.name} is of another domain, which is asked in other words: answers are"
                " compared within one wording only."
            )


def judged() -> list[str]:
    """The figures an action can be about: shares with a good direction."""
    return [name for name in shares() if _direction(name) is not Direction.NONE]


def _direction(name: str) -> Direction:
    metric, view = find(name)
    return metric.direction_of(view)


@transaction.atomic
def record_action(
    *,
    tenant: Organisation,
    capability: Capability,
    planned: Planned,
    by: Person,
    roles: Iterable[Role],
    at: datetime,
    corrects: ImprovementAction | None = None,
) -> ImprovementAction:
    """Keep what will be done and expected. A correction names its record and may come late.

    Raises NotTheirs, NoAction, TooLate, AlreadyCorrected.
    """
    if not may_answer(by, roles, capability):
        raise NotTheirs("Actions are recorded by the process owner or the desk's manager.")
    planned.check(capability)
    if corrects is None and at.astimezone(tenant.zone).date() >= planned.acts_on:
        raise TooLate("An action is recorded before the day of acting.")
    with connection.cursor() as cursor:  # two at once would correct one record twice
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('improvement actions'), %s)", [tenant.pk]
        )
    if corrects is not None:
        _check_correction(tenant, capability, corrects)
    action = ImprovementAction.objects.create(
        tenant=tenant,
        capability=capability,
        metric=planned.metric,
        words=planned.words.strip(),
        acts_on=planned.acts_on,
        transition_days=planned.transition_days,
        days_before=planned.days_before,
        days_after=planned.days_after,
        comparison=planned.comparison,
        expected=planned.expected.quantize(_PLACES),
        corrects=corrects,
        recorded_by=by,
        printed_name=by.name,
        at=at,
    )
    record(
        tenant_id=tenant.pk,
        actor=Actor(by.actor_key, by.name),
        act=RECORDED,
        subject_kind="capability",
        subject_id=capability.pk,
        at=at,
        detail={
            "action": action.pk,
            "metric": action.metric,
            "words": action.words,
            "acts_on": action.acts_on.isoformat(),
            "transition_days": action.transition_days,
            "days_before": action.days_before,
            "days_after": action.days_after,
            "comparison": action.comparison_id,
            "expected": format(action.expected, "f"),
            "corrects": action.corrects_id,
        },
    )
    return action


def _check_correction(
    tenant: Organisation, capability: Capability, corrects: ImprovementAction
) -> None:
    if corrects.capability_id != capability.pk:
        raise NoAction("A correction is about the service of the record it corrects.")
    if ImprovementAction.objects.for_tenant(tenant).filter(corrects=corrects).exists():
        raise AlreadyCorrected("Another record corrects this one; correct that one.")


# --- reading -------------------------------------------------------------------------------------


def actions_of(capability: Capability) -> list[ImprovementAction]:
    """Every record of a service with what it is compared with, the latest day of acting first."""
    found: TenantQuerySet[ImprovementAction] = ImprovementAction.objects.for_tenant(
        capability.tenant_id
    )
    return list(found.filter(capability=capability).select_related("comparison"))


def corrected_by(actions: Iterable[ImprovementAction]) -> dict[int, int]:
    """Record -> the record that corrects it."""
    return {one.corrects_id: one.pk for one in actions if one.corrects_id is not None}


def windows_of(action: ImprovementAction) -> tuple[Days, Days]:
    """The days before acting, and those after the transition."""
    return windows(
        action.acts_on,
        action.acts_on + timedelta(days=action.transition_days),
        before=timedelta(days=action.days_before),
        after=timedelta(days=action.days_after),
    )


def recorded_late(action: ImprovementAction, tenant: Organisation) -> bool:
    """Whether a correction was written when the day of acting had come."""
    return action.at.astimezone(tenant.zone).date() >= action.acts_on


def marks(capability: Capability) -> list[Happened]:
    """As every course of the service marks its actions; what was corrected is not marked twice."""
    actions = actions_of(capability)
    corrected = corrected_by(actions)
    return [
        Happened(
            one.acts_on,
            f"improvement action on {words.day(one.acts_on)}: {one.words} (expected"
            f" {words.points(float(one.expected))} of {find(one.metric)[1].name})",
        )
        for one in actions
        if one.pk not in corrected
    ]
