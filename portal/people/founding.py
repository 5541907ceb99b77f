"""Founding an organisation: its first row, its first administrator, its first audit entry."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit.trail import SYSTEM, record
from portal.people.models import Membership, Person
from portal.people.roles import Role
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation


class OrganisationExists(Exception):
    """There is an organisation of this slug; it was left as it is."""


@transaction.atomic
def found_organisation(
    *, slug: str, name: str, time_zone: str, administrator: str, at: datetime
) -> tuple[Organisation, Person]:
    """Create an organisation and make the person of that address its administrator.

    The person is created without a usable password if unknown: they set one by the reset link.
    Raises OrganisationExists, or ValidationError for a bad slug or time zone.
    """
    if Organisation.objects.filter(slug=slug).exists():
        raise OrganisationExists(slug)
    organisation = Organisation(slug=slug, name=name, time_zone=time_zone)
    organisation.full_clean()
    organisation.save()
    address = administrator.strip().lower()
    person = Person.objects.filter(email=address).first() or Person.objects.create_user(
        address, name=address.partition("@")[0]
    )
    Membership.objects.create(tenant=organisation, person=person, role=Role.ADMINISTRATOR)
    with acting(organisation.pk):
        record(
            tenant_id=organisation.pk,
            actor=SYSTEM,
            act="organisation.founded",
            subject_kind="organisation",
            subject_id=organisation.slug,
            at=at,
            detail={"name": name, "time_zone": time_zone, "administrator": person.actor_key},
        )
    return organisation, person
