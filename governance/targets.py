"""Proposing targets, and reading how a sheet stands: status is computed here and stored nowhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.db import transaction

from governance import signing, terms
from governance.binding import is_unaltered
from governance.models import Signature, Target, TargetSheet
from governance.suggestions import Suggested
from metrics.deciding_settings import settings_of
from metrics.definitions import find
from metrics.kinds import Unit
from metrics.standing import Direction
from metrics.words import business, percent
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability, Domain
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation, TenantQuerySet

#: Domains whose targets the business unit always co-signs (TRUST.md D).
ALWAYS_COSIGNED = frozenset({"hr", "facilities", "legal", "finance"})


class NotProposable(Exception):
    """These targets cannot be proposed; the message says which one and why. Nothing was kept."""


class NotTheProcessOwner(Exception):
    """The person does not own every process on the sheet. Nothing was kept."""


class Status(StrEnum):
    """How a sheet stands."""

    PROPOSED = "proposed"
    PARTIALLY_SIGNED = "partially signed"
    SIGNED = "signed"
    ACTIVE = "active"
    LAPSED = "lapsed"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    DECLINED = "declined"
    ALTERED = "altered"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A target somebody proposes. Shares 0 to 1, durations in business seconds."""

    metric: str
    value: Decimal
    capability: Capability | None = None
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Starter:
    """A starter proposal, offered unsigned (METRICS.md Part 7)."""

    metric: str
    value: Decimal
    severity: str = ""


STARTERS = (
    Starter("should_have_been_self_service.share", Decimal("0.30")),
    Starter("csat_share.share", Decimal("0.90")),
    Starter("first_meaningful_response.attainment", Decimal("0.90")),
    Starter("sla_attainment.resolution", Decimal("0.95"), "high"),
    Starter("reopen_rate.rate", Decimal("0.20")),
)


@transaction.atomic
def propose(
    *,
    tenant: Organisation,
    domain: Domain,
    wanted: Sequence[Wanted],
    effective_from: date,
    effective_until: date,
    rationale: str,
    by: Person,
    at: datetime,
    reauthenticated_at: datetime,
    suggestions: Sequence[Suggested] = (),
) -> TargetSheet:
    """Propose a sheet and sign it as the process owner ("I set").

    What was suggested for its targets is kept in the trail beside what is proposed.
    Raises NotProposable, NotTheProcessOwner, or signing.ConfirmAgain.
    """
    _check_period(tenant, effective_from, effective_until, at)
    if not wanted or not rationale.strip():
        raise NotProposable("A sheet holds at least one target and a rationale. Nothing was kept.")
    if not signing.holds(by, tenant.pk, Role.PROCESS_OWNER):
        raise NotTheProcessOwner("Targets are proposed by process owners. Nothing was kept.")
    _check_owner(tenant, domain, wanted, by)
    predecessor = _predecessor(tenant, domain)
    described = [_terms(domain, target, position) for position, target in enumerate(wanted, 1)]
    manager, lead = _manager(domain), _lead(tenant, domain)
    persons = _persons(tenant, domain, lead)
    _check_distinct(domain, by, manager, lead, persons)
    own_terms = terms.canonical(
        {
            "organisation": tenant.slug,
            "domain": domain.key,
            "domain_id": domain.pk,
            "effective_from": effective_from.isoformat(),
            "effective_until": effective_until.isoformat(),
            "rationale": rationale,
            "process_owner": by.actor_key,
            "service_desk_manager": manager.actor_key,
            "business_unit_lead": lead.actor_key if lead else None,
            "persons": persons,
            "predecessor": bytes(predecessor.digest).hex() if predecessor else None,
        }
    )
    sheet = TargetSheet.objects.create(
        tenant=tenant,
        domain=domain,
        effective_from=effective_from,
        effective_until=effective_until,
        rationale=rationale,
        predecessor=predecessor,
        proposed_by=by,
        proposed_at=at,
        needs_business_unit_lead=lead is not None,
        persons=persons,
        manager=manager,
        lead=lead,
        terms=own_terms,
        digest=terms.sheet_digest(own_terms, [terms.digest(text) for text in described]),
    )
    for position, (target, text) in enumerate(zip(wanted, described, strict=True), 1):
        Target.objects.create(
            tenant=tenant,
            sheet=sheet,
            position=position,
            metric=target.metric,
            capability=target.capability,
            severity=target.severity,
            value=target.value,
            terms=text,
            digest=terms.digest(text),
        )
    record(
        tenant_id=tenant.pk,
        actor=Actor(by.actor_key, by.name),
        act="targets.proposed",
        subject_kind="target_sheet",
        subject_id=sheet.pk,
        at=at,
        detail={
            "digest": bytes(sheet.digest).hex(),
            "domain": domain.key,
            **_suggested(wanted, suggestions),
        },
    )
    signing.sign(
        sheet=sheet, role=Role.PROCESS_OWNER, by=by, at=at, reauthenticated_at=reauthenticated_at
    )
    return sheet


def _suggested(wanted: Sequence[Wanted], suggestions: Sequence[Suggested]) -> dict[str, object]:
    """Each suggestion with its inputs, and what is proposed instead or after it."""
    kept = [
        {
            **one.inputs(),
            "proposed": format(target.value, "f"),
            "proposed_for": target.capability.slug if target.capability else None,
        }
        for one in suggestions
        for target in wanted
        if (target.metric, target.severity) == (one.wish.metric, one.wish.severity)
    ]
    return {"suggestions": kept} if kept else {}


def _check_period(tenant: Organisation, start: date, until: date, at: datetime) -> None:
    if start < next_period(tenant, at):
        raise NotProposable(
            f"Targets begin with the next month at the earliest ({next_period(tenant, at)}):"
            " nothing is changed backwards. Nothing was kept."
        )
    if not start < until <= _a_year_after(start):
        raise NotProposable("A sheet holds for 12 months at most. Nothing was kept.")


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year + 1, day=28)


def next_period(tenant: Organisation, at: datetime) -> date:
    """The first day of the next calendar month in the organisation's zone."""
    today = at.astimezone(tenant.zone).date()
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)


def _check_owner(
    tenant: Organisation, domain: Domain, wanted: Sequence[Wanted], by: Person
) -> None:
    served = Capability.objects.for_tenant(tenant).filter(domain=domain)
    named = [target.capability.pk for target in wanted if target.capability]
    if all(target.capability for target in wanted):
        served = served.filter(pk__in=named)
    if len(set(named) - set(served.values_list("pk", flat=True))):
        raise NotProposable("A capability on the sheet is not of this domain. Nothing was kept.")
    if not served or served.exclude(process_owner=by).exists():
        raise NotTheProcessOwner(
            "Targets are proposed by the owner of every process they are about. Nothing was kept."
        )


def _terms(domain: Domain, target: Wanted, position: int) -> str:
    metric, view = find(target.metric)
    if metric.direction_of(view) is Direction.NONE:
        raise NotProposable(f"{view.name} has no good direction, so it takes no target.")
    if view.added_by:
        raise NotProposable(f"{view.name} is a line beside its figure, so it takes no target.")
    if view.unit is Unit.SHARE and not 0 <= target.value <= 1:
        raise NotProposable(f"{view.name}: a share is between 0 and 100 %. Nothing was kept.")
    if view.per_severity and not target.severity:
        raise NotProposable(f"{view.name} is told per severity; name one. Nothing was kept.")
    calendar = domain.calendar.versions.order_by("-valid_from").first()
    return terms.canonical(
        {
            "position": position,
            "domain": domain.key,
            "capability": target.capability.slug if target.capability else None,
            "capability_id": target.capability.pk if target.capability else None,
            "severity": target.severity or None,
            "metric": f"{metric.key}.{view.key}",
            "measurement_version": metric.version,
            "population": metric.population,
            "comparator": comparator(metric.direction_of(view)),
            "value": format(target.value, "f"),
            "unit": view.unit.value,
            "period": "calendar month",
            "guardrail": metric.guardrail_words,
            "calendar_hours": calendar.hours if calendar else None,
            "calendar_zone": calendar.time_zone if calendar else None,
        }
    )


def _predecessor(tenant: Organisation, domain: Domain) -> TargetSheet | None:
    """The sheet that would be replaced: the last one that everybody signed."""
    for sheet in full_sheets(tenant).filter(domain=domain).order_by("-proposed_at", "-id"):
        if in_force_from(sheet, tenant):
            return sheet
    return None


def _manager(domain: Domain) -> Person:
    if domain.service_desk_manager is None:
        raise NotProposable(
            f"Nobody is named to be accountable for {domain.name}. Name a service desk manager in"
            " the catalogue. Nothing was kept."
        )
    return domain.service_desk_manager


def _lead(tenant: Organisation, domain: Domain) -> Person | None:
    """The business unit's lead where their signature is needed."""
    if not (domain.needs_business_unit_lead or domain.key in ALWAYS_COSIGNED):
        return None
    leads = {
        capability.business_unit.lead
        for capability in Capability.objects.for_tenant(tenant)
        .filter(domain=domain, business_unit__isnull=False)
        .select_related("business_unit__lead")
        if capability.business_unit is not None and capability.business_unit.lead is not None
    }
    if len(leads) != 1:
        raise NotProposable(
            f"{domain.name} needs the signature of one business unit lead, and {len(leads)} are"
            " named for its services. Name one in the catalogue. Nothing was kept."
        )
    return leads.pop()


def _persons(tenant: Organisation, domain: Domain, lead: Person | None) -> int:
    """How many different persons sign, as the organisation or its profile decides (1.16)."""
    _, decided = settings_of(tenant)
    asks_three = decided.signers == "three" or (
        decided.signers == "three or two" and domain.key in ALWAYS_COSIGNED
    )
    return 3 if lead is not None and asks_three else 2


def _check_distinct(
    domain: Domain, by: Person, manager: Person, lead: Person | None, persons: int
) -> None:
    if lead is not None and lead in (by, manager):
        raise NotProposable(
            f"{lead.name} leads the business unit and cannot propose or accept its targets too:"
            f" somebody else has to. Nothing was kept."
        )
    if persons > 2 and manager == by:
        raise NotProposable(
            f"{by.name} owns the process and runs {domain.name}, and its targets need three people"
            " to sign: name another manager, or decide otherwise in the settings. Nothing was kept."
        )
    if lead is None and manager == by:
        raise NotProposable(
            f"{by.name} would be the only one to sign for {domain.name}. Targets need two people:"
            " let the business unit lead co-sign, or name another manager. Nothing was kept."
        )


def comparator(direction: Direction) -> str:
    """How a value is held against a target of a metric of this direction."""
    return "at_most" if direction is Direction.LOWER else "at_least"


# --- reading -------------------------------------------------------------------------------------


def needed(sheet: TargetSheet) -> list[tuple[Role, Person]]:
    """Who has to sign: role and person. One person may hold the first two roles at once."""
    signers = [(Role.PROCESS_OWNER, sheet.proposed_by)]
    if sheet.manager_id != sheet.proposed_by_id:
        signers.append((Role.SERVICE_DESK_MANAGER, sheet.manager))
    if sheet.lead is not None:
        signers.append((Role.BUSINESS_UNIT_LEAD, sheet.lead))
    return signers


def missing(sheet: TargetSheet, signatures: Sequence[Signature]) -> list[Role]:
    """Roles whose signature on the current digest is not there."""
    given = {
        signature.role
        for signature in signatures
        if bytes(signature.sheet_digest) == bytes(sheet.digest)
    }
    return [role for role, _ in needed(sheet) if role not in given]


def in_force_from(sheet: TargetSheet, tenant: Organisation) -> date | None:
    """The first day a fully signed sheet holds.

    None while a signature is missing, after a refusal, and if the stored terms are not the ones
    that were signed. Never before the month after the last signature: nothing changes backwards.
    """
    signatures = list(sheet.signatures.all())
    signers = {signature.person_id for signature in signatures}
    if missing(sheet, signatures) or len(signers) < sheet.persons:
        return None
    if list(sheet.declines.all()) or not is_unaltered(sheet):
        return None
    last = max(signature.at for signature in signatures)
    return max(sheet.effective_from, next_period(tenant, last))


def full_sheets(tenant: Organisation) -> TenantQuerySet[TargetSheet]:
    """Sheets with everything their standing is computed from, fetched ahead."""
    sheets: TenantQuerySet[TargetSheet] = TargetSheet.objects.for_tenant(tenant)
    return sheets.select_related(
        "domain", "proposed_by", "manager", "lead", "predecessor"
    ).prefetch_related("targets__capability", "signatures", "declines", "revocations")


@dataclass(frozen=True, slots=True)
class Life:
    """When a sheet is in force: begin <= day < end; begin is None where it is not (yet)."""

    sheet: TargetSheet
    begins: date | None
    ends: date

    def status(self, on: date) -> Status:
        """How the sheet stands on a day."""
        if list(self.sheet.declines.all()):
            return Status.DECLINED
        if not is_unaltered(self.sheet):
            return Status.ALTERED
        if self.begins is None:
            signed = list(self.sheet.signatures.all())
            return Status.PARTIALLY_SIGNED if len(signed) > 1 else Status.PROPOSED
        if on < min(self.begins, self.ends):
            return Status.SIGNED
        if on < self.ends:
            return Status.ACTIVE
        if any(one.effective_from == self.ends for one in self.sheet.revocations.all()):
            return Status.REVOKED
        return Status.LAPSED if self.ends == self.sheet.effective_until else Status.SUPERSEDED


def lives(tenant: Organisation, *, domain_id: int | None = None) -> list[Life]:
    """Every sheet of the organisation, or of one domain, the newest first, in six statements."""
    sheets = full_sheets(tenant).order_by("-proposed_at", "-id")
    if domain_id is not None:
        sheets = sheets.filter(domain=domain_id)
    found: list[Life] = []
    successors: dict[int, date] = {}  # by domain: when a later sheet begins, the earliest
    for sheet in sheets:
        begins = in_force_from(sheet, tenant)
        ends = [sheet.effective_until]
        ends += [revocation.effective_from for revocation in sheet.revocations.all()]
        if sheet.domain_id in successors:
            ends.append(successors[sheet.domain_id])
        found.append(Life(sheet, begins, min(ends)))
        if begins is not None:
            successors[sheet.domain_id] = min(begins, successors.get(sheet.domain_id, begins))
    return found


def life_of(sheet: TargetSheet, tenant: Organisation) -> Life:
    """When one sheet is in force, by its own end, a revocation, or its successor's beginning."""
    of_domain = lives(tenant, domain_id=sheet.domain_id)
    return next(life for life in of_domain if life.sheet.pk == sheet.pk)


def status_of(sheet: TargetSheet, tenant: Organisation, *, on: date) -> Status:
    """How a sheet stands on a day."""
    return life_of(sheet, tenant).status(on)


def measurement_changed(target: Target) -> bool:
    """Whether the definition changed what the number means since the target was signed.

    Such a target is to be signed again from the next period (TRUST.md D, "The sheet").
    """
    signed: int = json.loads(target.terms)["measurement_version"]
    return signed != find(target.metric)[0].version


def in_words(target: Target) -> str:
    """A target's value in words: "at least 90.0 %"."""
    metric, view = find(target.metric)
    bound = "at most" if metric.direction_of(view) is Direction.LOWER else "at least"
    value = float(target.value)
    if view.unit is Unit.SHARE:
        return f"{bound} {percent(value)}"
    if view.unit is Unit.SECONDS:
        return f"{bound} {business(value)} of business time"
    return f"{bound} {value:g}"
