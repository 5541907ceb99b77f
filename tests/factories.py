"""Rows for tests: the cast everyone knows, and factories for the rest.

Factories write with whatever database role and acting organisation the test is in; set up inside
`as_role(OWNER)` and `acting(...)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import factory
from factory.django import DjangoModelFactory

from portal.catalogue.models import (
    BusinessCalendar,
    BusinessUnit,
    CalendarVersion,
    Capability,
    Domain,
)
from portal.people.models import Membership, Person
from portal.people.roles import Role
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from tickets.models import Connection, Requester, Ticket

PASSWORD = "a long enough password"
WEEKDAYS = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


class OrganisationFactory(DjangoModelFactory[Organisation]):
    class Meta:
        model = Organisation

    slug = factory.Sequence(lambda n: f"organisation-{n}")
    name = factory.LazyAttribute(lambda o: o.slug.title())
    time_zone = "Europe/Berlin"


class PersonFactory(DjangoModelFactory[Person]):
    class Meta:
        model = Person

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.LazyAttribute(lambda o: f"{o.name.lower().replace(' ', '.')}@example.org")
    password = factory.django.Password(PASSWORD)


class CalendarFactory(DjangoModelFactory[BusinessCalendar]):
    class Meta:
        model = BusinessCalendar

    name = factory.Sequence(lambda n: f"Calendar {n}")


class CalendarVersionFactory(DjangoModelFactory[CalendarVersion]):
    class Meta:
        model = CalendarVersion

    time_zone = "Europe/Berlin"
    hours = WEEKDAYS


class DomainFactory(DjangoModelFactory[Domain]):
    class Meta:
        model = Domain

    key = "it"
    name = "IT"


class BusinessUnitFactory(DjangoModelFactory[BusinessUnit]):
    class Meta:
        model = BusinessUnit

    name = "Sales"


class CapabilityFactory(DjangoModelFactory[Capability]):
    class Meta:
        model = Capability

    slug = factory.Sequence(lambda n: f"capability-{n}")
    name = factory.LazyAttribute(lambda o: o.slug.replace("-", " ").capitalize())


class ConnectionFactory(DjangoModelFactory[Connection]):
    class Meta:
        model = Connection

    name = factory.Sequence(lambda n: f"source-{n}")
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    live_since = created_at


class RequesterFactory(DjangoModelFactory[Requester]):
    class Meta:
        model = Requester

    external_id = factory.Sequence(lambda n: f"requester-{n}")
    email = factory.LazyAttribute(lambda o: f"{o.external_id}@example.org")


class TicketFactory(DjangoModelFactory[Ticket]):
    class Meta:
        model = Ticket

    external_id = factory.Sequence(lambda n: f"T{n}")
    subject = "The printer is on fire"
    opened_at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    last_event_at = factory.SelfAttribute("opened_at")
    state = "open"
    severity = "medium"


@dataclass
class Cast:
    """Who plays in every test."""

    acme: Organisation
    globex: Organisation
    olga: Person  # process owner
    sam: Person  # service desk manager
    bea: Person  # business unit lead
    agnes: Person  # agent
    arjun: Person  # agent
    rui: Person  # requester, a plain member
    pia: Person  # policy owner
    cleo: Person  # account manager
    ada: Person  # administrator
    aude: Person  # auditor
    eve: Person  # process owner of Globex
    it: Domain
    sales: BusinessUnit
    accounts: Capability
    network: Capability
    desk: Connection

    def everyone(self) -> dict[str, Person]:
        """Every person by name."""
        return {key: value for key, value in vars(self).items() if isinstance(value, Person)}


_ACME_ROLES = {
    "olga": Role.PROCESS_OWNER,
    "sam": Role.SERVICE_DESK_MANAGER,
    "bea": Role.BUSINESS_UNIT_LEAD,
    "agnes": Role.AGENT,
    "arjun": Role.AGENT,
    "rui": Role.MEMBER,
    "pia": Role.POLICY_OWNER,
    "cleo": Role.ACCOUNT_MANAGER,
    "ada": Role.ADMINISTRATOR,
    "aude": Role.AUDITOR,
}


def build_cast() -> Cast:
    """Create Acme and Globex with their people, one domain and two capabilities."""
    acme = OrganisationFactory(slug="acme", name="Acme")
    globex = OrganisationFactory(slug="globex", name="Globex")
    people = {
        name: PersonFactory(name=name.capitalize(), email=f"{name}@acme.example")
        for name in _ACME_ROLES
    }
    eve = PersonFactory(name="Eve", email="eve@globex.example")
    for name, role in _ACME_ROLES.items():
        Membership.objects.create(tenant=acme, person=people[name], role=role)
    Membership.objects.create(tenant=globex, person=eve, role=Role.PROCESS_OWNER)
    with acting(acme.pk):
        office = CalendarFactory(tenant=acme, name="Office hours")
        CalendarVersionFactory(tenant=acme, calendar=office)
        it = DomainFactory(tenant=acme, calendar=office, service_desk_manager=people["sam"])
        sales = BusinessUnitFactory(tenant=acme, lead=people["bea"])
        owned = {
            "tenant": acme,
            "domain": it,
            "business_unit": sales,
            "process_owner": people["olga"],
            "policy_owner": people["pia"],
        }
        accounts = CapabilityFactory(slug="accounts", self_service=True, **owned)
        network = CapabilityFactory(slug="network", **owned)
        desk = ConnectionFactory(tenant=acme, name="desk")
    return Cast(
        acme=acme,
        globex=globex,
        eve=eve,
        it=it,
        sales=sales,
        accounts=accounts,
        network=network,
        desk=desk,
        **people,
    )
