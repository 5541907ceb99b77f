"""Whose figures a person may read live: their own domains, processes and units (TRUST.md B2)."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.catalogue.models import Capability
from portal.people.models import Person
from portal.people.roles import Role


def live_capabilities(
    tenant_id: int, *, person: Person, roles: frozenset[Role]
) -> QuerySet[Capability]:
    """Capabilities whose current figures the person may read.

    A service desk manager: those of the domains they run; a process owner: the ones they own; a
    business unit lead: those that serve their unit. Everybody else: none.
    """
    theirs = Q(pk__in=[])
    if Role.SERVICE_DESK_MANAGER in roles:
        theirs |= Q(domain__service_desk_manager=person)
    if Role.PROCESS_OWNER in roles:
        theirs |= Q(process_owner=person)
    if Role.BUSINESS_UNIT_LEAD in roles:
        theirs |= Q(business_unit__lead=person)
    return Capability.objects.for_tenant(tenant_id).filter(theirs)


def live_capability(
    tenant_id: int, slug: str, *, person: Person, roles: frozenset[Role]
) -> Capability | None:
    """The capability of that name, if it is among those; with its domain and organisation."""
    live = live_capabilities(tenant_id, person=person, roles=roles)
    return live.filter(slug=slug).select_related("domain", "tenant").first()


def policy_capabilities(
    tenant_id: int, *, person: Person, roles: frozenset[Role]
) -> QuerySet[Capability]:
    """Capabilities whose policy-denial figures, and only those, the person may read."""
    if Role.POLICY_OWNER not in roles:
        return Capability.objects.for_tenant(tenant_id).none()
    return Capability.objects.for_tenant(tenant_id).filter(policy_owner=person)
