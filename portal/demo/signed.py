"""The demo's targets: IT's signed by all three half a year ago, HR's proposed and waiting."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from governance import cosigning
from governance.models import TargetSheet
from governance.targets import STARTERS, Wanted, next_period, propose
from portal.catalogue.models import Domain
from portal.people.models import Person
from portal.tenancy.models import Organisation

_WHY = "The handbook's starting points; to be looked at again after two quarters."


def sign_targets(*, organisation: Organisation, now: datetime) -> None:
    """Propose and sign through the product's own acts, with the clock of that day."""
    then = now - timedelta(days=210)
    sheet = _propose(organisation, "it", then)
    manager, lead = sheet.manager, sheet.lead
    assert manager is not None
    assert lead is not None
    accepted = then + timedelta(days=1)
    cosigning.accept(sheet_id=sheet.pk, by=manager, at=accepted, reauthenticated_at=accepted)
    cosigned = then + timedelta(days=2)
    cosigning.cosign(sheet_id=sheet.pk, by=lead, at=cosigned, reauthenticated_at=cosigned)
    _propose(organisation, "hr", now - timedelta(days=3))


def _propose(organisation: Organisation, key: str, at: datetime) -> TargetSheet:
    domain = Domain.objects.for_tenant(organisation).get(key=key)
    owner = Person.objects.filter(pk__in=domain.capabilities.values("process_owner")).get()
    start = next_period(organisation, at)
    return propose(
        tenant=organisation,
        domain=domain,
        wanted=[Wanted(s.metric, s.value, severity=s.severity) for s in STARTERS],
        effective_from=start,
        effective_until=_a_year_later(start),
        rationale=_WHY,
        by=owner,
        at=at,
        reauthenticated_at=at,
    )


def _a_year_later(start: date) -> date:
    return start.replace(year=start.year + 1)
