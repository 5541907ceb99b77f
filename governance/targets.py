"""Proposing targets, and reading how a sheet stands: status is computed here and stored nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.db import transaction

from governance import signing, terms
from governance.models import Signature, Target, TargetSheet
from metrics.definitions import find
from metrics.kinds import Unit
from metrics.standing import Direction
from metrics.words import business, percent
from portal.audit.trail import Actor, record
from portal.catalogue.models import Capability, Domain
from portal.people.models import Person
from portal.people.roles import Role
from portal.tenancy.models import Organisation

LONGEST = timedelta(days=366)


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
) -> TargetSheet:
    """Propose a sheet and sign it as the process owner ("I set").

    Raises NotProposable, NotTheProcessOwner, or signing.ConfirmAgain.
    """
    _check_period(tenant, effective_from, effective_until, at)
    if not wanted or not rationale.strip():
        raise NotProposable("A sheet holds at least one target and a rationale. Nothing was kept.")
    _check_owner(tenant, domain, wanted, by)
    predecessor = (
        TargetSheet.objects.for_tenant(tenant)
        .filter(domain=domain)
        .order_by("-proposed_at")
        .first()
    )
    described = [_terms(domain, target, position) for position, target in enumerate(wanted, 1)]
    lead = _lead(tenant, domain)
    own_terms = terms.canonical(
        {
            "organisation": tenant.slug,
            "domain": domain.key,
            "effective_from": effective_from.isoformat(),
            "effective_until": effective_until.isoformat(),
            "rationale": rationale,
            "process_owner": by.actor_key,
            "service_desk_manager": _key(domain.service_desk_manager),
            "business_unit_lead": _key(lead) if domain.needs_business_unit_lead else None,
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
        needs_business_unit_lead=domain.needs_business_unit_lead,
        manager=domain.service_desk_manager,
        lead=lead if domain.needs_business_unit_lead else None,
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
        detail={"digest": bytes(sheet.digest).hex(), "domain": domain.key},
    )
    signing.sign(
        sheet=sheet, role=Role.PROCESS_OWNER, by=by, at=at, reauthenticated_at=reauthenticated_at
    )
    return sheet


def _check_period(tenant: Organisation, start: date, until: date, at: datetime) -> None:
    if start < next_period(tenant, at):
        raise NotProposable(
            f"Targets begin with the next month at the earliest ({next_period(tenant, at)}):"
            " nothing is changed backwards. Nothing was kept."
        )
    if not start < until <= start + LONGEST:
        raise NotProposable("A sheet holds for 12 months at most. Nothing was kept.")


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
            "severity": target.severity or None,
            "metric": f"{metric.key}.{view.key}",
            "measurement_version": metric.version,
            "population": metric.population,
            "comparator": comparator(metric.direction_of(view)),
            "value": format(target.value, "f"),
            "unit": view.unit.value,
            "period": "calendar month",
            "guardrail": metric.guardrail,
            "calendar_hours": calendar.hours if calendar else None,
            "calendar_zone": calendar.time_zone if calendar else None,
        }
    )


def _lead(tenant: Organisation, domain: Domain) -> Person | None:
    leads = {
        capability.business_unit.lead
        for capability in Capability.objects.for_tenant(tenant)
        .filter(domain=domain, business_unit__isnull=False)
        .select_related("business_unit__lead")
        if capability.business_unit is not None and capability.business_unit.lead is not None
    }
    if domain.needs_business_unit_lead and len(leads) != 1:
        raise NotProposable(
            f"{domain.name} needs the signature of one business unit lead, and {len(leads)} are"
            " named for its services. Name one in the catalogue. Nothing was kept."
        )
    return next(iter(leads), None)


def _key(person: Person | None) -> str | None:
    return person.actor_key if person else None


def comparator(direction: Direction) -> str:
    """How a value is held against a target of a metric of this direction."""
    return "at_most" if direction is Direction.LOWER else "at_least"


# --- reading -------------------------------------------------------------------------------------


def needed(sheet: TargetSheet) -> list[tuple[Role, Person | None]]:
    """Who has to sign: role and person. One person may hold the first two roles at once."""
    signers: list[tuple[Role, Person | None]] = [(Role.PROCESS_OWNER, sheet.proposed_by)]
    if sheet.manager_id != sheet.proposed_by_id:
        signers.append((Role.SERVICE_DESK_MANAGER, sheet.manager))
    if sheet.needs_business_unit_lead:
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
    """The first day a fully signed sheet holds; None while a signature is missing.

    Never before the month after the last signature: nothing is changed backwards.
    """
    signatures = list(sheet.signatures.all())
    if missing(sheet, signatures) or len({s.person_id for s in signatures}) < 2:
        return None
    last = max(signature.at for signature in signatures)
    return max(sheet.effective_from, next_period(tenant, last))


def in_force_until(sheet: TargetSheet, tenant: Organisation) -> date:
    """The day on which a sheet ends: its own end, a revocation, or its successor's beginning."""
    ends = [sheet.effective_until]
    ends += [revocation.effective_from for revocation in sheet.revocations.all()]
    for later in TargetSheet.objects.for_tenant(tenant).filter(
        domain=sheet.domain_id, proposed_at__gt=sheet.proposed_at
    ):
        begins = in_force_from(later, tenant)
        if begins is not None:
            ends.append(begins)
    return min(ends)


def status_of(sheet: TargetSheet, tenant: Organisation, *, on: date) -> Status:
    """How a sheet stands on a day."""
    if sheet.declines.exists():
        return Status.DECLINED
    begins = in_force_from(sheet, tenant)
    if begins is None:
        signed = sheet.signatures.count()
        return Status.PARTIALLY_SIGNED if signed > 1 else Status.PROPOSED
    ends = in_force_until(sheet, tenant)
    if on < min(begins, ends):
        return Status.SIGNED
    if on < ends:
        return Status.ACTIVE
    if any(revocation.effective_from == ends for revocation in sheet.revocations.all()):
        return Status.REVOKED
    return Status.LAPSED if ends == sheet.effective_until else Status.SUPERSEDED


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
