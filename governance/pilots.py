"""The pilot of a new survey of a domain: what it showed, and what became of it (METRICS.md D6).

The survey of a domain is its wording. Evidence is read through the reader of the scorecard, over
all services of the domain: whether its answers react to fixes that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from governance.models import PilotDecision, SurveyPilot
from metrics import words
from metrics.comparing import Side
from metrics.definitions import find
from metrics.evaluating import NotOneFigure, answers, trusted
from metrics.evidence import mentioning
from metrics.hanging import held_and_reopened
from metrics.improving import Days
from metrics.measure import Reader, Slice
from metrics.periods import is_askable
from metrics.piloting import DAYS, MORE_DAYS, STANDARD, Answers, Pilot, Verdict, judge
from metrics.standing import Reliability
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability, Domain
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation, TenantQuerySet
from surveys.suggesting_themes import pattern_of

#: Answers a pilot needs, and how many of them on reopened items: the one place that says so.
ENOUGH = STANDARD
STARTED, DECIDED = "pilot.started", "pilot.decided"
FEWEST_DRIVERS, MOST_DRIVERS = 2, 3
#: A survey that was adopted on judgement is looked at again.
AGAIN_AFTER = timedelta(days=365)
Kind = PilotDecision.Kind
#: What may be decided, by what the evidence says.
MAY_BE: dict[Verdict, tuple[Kind, ...]] = {
    Verdict.PASSES: (Kind.PASSED,),
    Verdict.FAILS: (Kind.FAILED,),
    Verdict.EXTEND: (Kind.EXTENDED,),
    Verdict.CHOOSE: (Kind.FAILED, Kind.ADOPTED),
}
_WEEK = timedelta(days=7)


class NotPiloted(Exception):
    """A pilot or decision was not taken; the message says why. Nothing was kept."""


class NotTheirs(NotPiloted):
    """Only those who own a process of the domain and who run its desk decide."""


class TooEarly(NotPiloted):
    """The days of the pilot are not over, or its answers may still come."""


class NotWhatItShows(NotPiloted):
    """The evidence speaks for something else."""


class AlreadyDecided(NotPiloted):
    """This has been decided."""


def roles_in(domain: Domain, person: Person, roles: Iterable[Role]) -> list[Role]:
    """In which roles somebody decides about a domain's survey; one person may hold both."""
    held, found = set(roles), []
    owned = Capability.objects.for_tenant(domain.tenant_id).filter(
        domain=domain, process_owner=person
    )
    if Role.PROCESS_OWNER in held and owned.exists():
        found.append(Role.PROCESS_OWNER)
    if Role.SERVICE_DESK_MANAGER in held and domain.service_desk_manager_id == person.pk:
        found.append(Role.SERVICE_DESK_MANAGER)
    return found


@transaction.atomic
def start_pilot(
    *,
    tenant: Organisation,
    domain: Domain,
    begins: date,
    interviewed: str,
    interviewed_on: date,
    drivers: Sequence[Sequence[str]],
    by: Person,
    roles: Iterable[Role],
    at: datetime,
) -> SurveyPilot:
    """Record the interview and begin a pilot, today or later. Raises NotTheirs, NotPiloted."""
    if not roles_in(domain, by, roles):
        raise NotTheirs("Pilots are begun by the owner of a process or the desk's manager.")
    one_day = timedelta(days=1)
    if not is_askable(begins, begins + one_day, longest=one_day):
        raise NotPiloted("The first day is none of these times.")
    if begins < at.astimezone(tenant.zone).date():
        raise NotPiloted("A pilot begins today or later: what it shows has been seen otherwise.")
    if not interviewed.strip() or interviewed_on > begins:
        raise NotPiloted("The domain's lead is interviewed first; say who it was, and when.")
    if not FEWEST_DRIVERS <= len(drivers) <= MOST_DRIVERS:
        raise NotPiloted("Name the two or three drivers that the interview named.")
    try:
        for phrases in drivers:
            pattern_of(phrases)
    except ValueError as error:
        raise NotPiloted(str(error)) from error
    _one_at_a_time(tenant)
    of_domain = SurveyPilot.objects.for_tenant(tenant).filter(domain=domain)
    for other in of_domain.prefetch_related("decisions"):
        if closing(other) is None:
            raise AlreadyDecided(f"A pilot of {domain.name} is under way; decide that one first.")
    if of_domain.filter(begins=begins).exists():
        raise AlreadyDecided(f"A pilot of {domain.name} began on that day.")
    pilot = SurveyPilot.objects.create(
        tenant=tenant,
        domain=domain,
        begins=begins,
        interviewed=interviewed.strip(),
        interviewed_on=interviewed_on,
        drivers=[list(phrases) for phrases in drivers],
        recorded_by=by,
        printed_name=by.name,
        at=at,
    )
    record(
        tenant_id=tenant.pk,
        actor=Actor(by.actor_key, by.name),
        act=STARTED,
        subject_kind="domain",
        subject_id=domain.pk,
        at=at,
        detail={
            "pilot": pilot.pk,
            "begins": begins.isoformat(),
            "interviewed": pilot.interviewed,
            "interviewed_on": interviewed_on.isoformat(),
            "drivers": pilot.drivers,
        },
    )
    return pilot


@transaction.atomic
def decide_pilot(
    *,
    tenant: Organisation,
    shown: Shown,
    kind: Kind,
    reason: str,
    by: Person,
    roles: Iterable[Role],
    at: datetime,
) -> PilotDecision:
    """Keep what somebody decides about a pilot as they saw it, with the reason.

    Raises NotTheirs, TooEarly, NotWhatItShows, AlreadyDecided, NotPiloted.
    """
    pilot = shown.pilot
    mine = roles_in(pilot.domain, by, roles)
    if not mine:
        raise NotTheirs("A pilot is decided by the owner of a process and the desk's manager.")
    if not reason.strip():
        raise NotPiloted("Say why; the next reader sees the reason and your name.")
    _one_at_a_time(tenant)
    decisions = list(PilotDecision.objects.for_tenant(tenant).filter(pilot=pilot))
    if closed(decisions) is not None or extensions(decisions) != shown.extensions:
        raise AlreadyDecided("This was decided meanwhile.")
    if shown.result is None:
        raise TooEarly(f"Nothing is decided before {words.day(shown.told_from)}.")
    if kind not in MAY_BE[shown.result.verdict]:
        raise NotWhatItShows("The evidence speaks for something else.")
    round_ = shown.extensions + 1
    spoken = {one.role for one in decisions if one.round == round_}
    role = next((one for one in mine if one.value not in spoken), None)
    if role is None:
        raise AlreadyDecided("Somebody in your role has said so already; the other one is awaited.")
    decision = PilotDecision.objects.create(
        tenant=tenant,
        pilot=pilot,
        round=round_,
        kind=kind,
        reason=reason.strip(),
        role=role.value,
        decided_by=by,
        printed_name=by.name,
        at=at,
    )
    record(
        tenant_id=tenant.pk,
        actor=Actor(by.actor_key, by.name),
        act=DECIDED,
        subject_kind="domain",
        subject_id=pilot.domain_id,
        at=at,
        detail={
            "pilot": pilot.pk,
            "round": round_,
            "kind": kind.value,
            "reason": decision.reason,
            "role": role.value,
            "evidence": shown.result.verdict.value,
        },
    )
    return decision


def _one_at_a_time(tenant: Organisation) -> None:
    """Acts on pilots follow each other: what was read is what is acted on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('survey pilots'), %s)", [tenant.pk])


# --- reading -------------------------------------------------------------------------------------


def extensions(decisions: Iterable[PilotDecision]) -> int:
    """How often a pilot was extended."""
    return sum(one.kind == Kind.EXTENDED for one in decisions)


def closed(decisions: Sequence[PilotDecision]) -> PilotDecision | None:
    """The decision that ended a pilot, if one did.

    After two extensions both have to choose the same: whoever owns a process and who runs the desk.
    """
    last = [one for one in decisions if one.kind != Kind.EXTENDED]
    for one in last:
        alone = one.round <= 2 or one.kind == Kind.PASSED
        if alone or any(o.kind == one.kind and o.role != one.role for o in last):
            return one
    return None


def closing(pilot: SurveyPilot) -> PilotDecision | None:
    """As `closed`, of a pilot with its decisions."""
    return closed(list(pilot.decisions.all()))


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A driver, and how many comments mention it of how many; None below five comments."""

    name: str
    comments: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A pilot with its evidence; `result` is None before it no longer changes."""

    pilot: SurveyPilot
    days: Days
    told_from: date
    extensions: int
    decisions: tuple[PilotDecision, ...]
    closed: PilotDecision | None
    held: Side
    reopened: Side
    reliability: Reliability
    weeks: int
    drivers: tuple[Mentioned, ...]
    result: Pilot | None
    #: Why there is no evidence at all.
    unknown: str = ""

    @property
    def again_on(self) -> date | None:
        """The day on which a survey adopted on judgement is looked at again."""
        if self.closed is None or self.closed.kind != Kind.ADOPTED:
            return None
        return self.closed.at.date() + AGAIN_AFTER


def pilots_of(tenant: Organisation) -> TenantQuerySet[SurveyPilot]:
    """Every pilot with its domain and decisions, the latest first."""
    found: TenantQuerySet[SurveyPilot] = SurveyPilot.objects.for_tenant(tenant)
    return found.select_related("domain").prefetch_related("decisions")


def shown(reader: Reader, pilot: SurveyPilot) -> Shown:
    """What a pilot shows as things stand."""
    decisions = tuple(pilot.decisions.all())
    granted = extensions(decisions)
    days = Days(pilot.begins, pilot.begins + timedelta(days=DAYS + granted * MORE_DAYS))
    served = frozenset(
        pk for pk, domain in reader.calendars.domains.items() if domain == pilot.domain_id
    )
    cut = Slice(days.start, days.until, served)
    waits = max(find(name)[0].matures_in(reader.settings) for name in (_SATISFIED, _REOPENED))
    told_from = days.until + timedelta(days=waits)
    reader.fetch(days.start, days.until)
    found = Shown(
        pilot,
        days,
        told_from,
        granted,
        decisions,
        closed(decisions),
        held=Side(0, 0),
        reopened=Side(0, 0),
        reliability=Reliability.SUPPRESSED,
        weeks=0,
        drivers=_mentioned(reader, cut, pilot),
        result=None,
    )
    return _with_evidence(reader, found, cut)


def _mentioned(reader: Reader, cut: Slice, pilot: SurveyPilot) -> tuple[Mentioned, ...]:
    told = mentioning(reader, cut, [pattern_of(phrases) for phrases in pilot.drivers])
    return tuple(
        Mentioned(phrases[0], None if told is None else (told[0][place], told[1]))
        for place, phrases in enumerate(pilot.drivers)
    )


_SATISFIED, _REOPENED = "csat_share.share", "reopen_rate.rate"


def _with_evidence(reader: Reader, found: Shown, cut: Slice) -> Shown:
    try:
        held, reopened = held_and_reopened(reader, cut)
    except NotOneFigure as error:
        return replace(found, unknown=str(error))
    facts = reader.facts(cut)
    given = answers(facts, policy_denial=False)
    state = trusted(facts, given.sent, len(given.rows))
    weeks = [
        replace(cut, start=start, until=start + _WEEK)
        for number in range((cut.until - cut.start) // _WEEK)
        if (start := cut.start + number * _WEEK)
    ]
    found = replace(found, held=held, reopened=reopened, reliability=state, weeks=len(weeks))
    if reader.today() < found.told_from:
        return found
    result = judge(
        Answers(held.x, held.n, held.effective),
        Answers(reopened.x, reopened.n, reopened.effective),
        reliability=state,
        weekly_satisfied=[_value(reader, _SATISFIED, week) for week in weeks],
        weekly_reopened=[_value(reader, _REOPENED, week) for week in weeks],
        enough=ENOUGH,
        extensions=found.extensions,
    )
    return replace(found, result=result)


def _value(reader: Reader, name: str, cut: Slice) -> float | None:
    _, view = find(name)
    return reader.estimate(view, cut).value
