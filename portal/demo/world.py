"""The demo's organisation: people, domains, calendars, capabilities and promised times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import holidays
from django.contrib.auth.hashers import make_password

from portal.catalogue.models import (
    BusinessCalendar,
    BusinessUnit,
    CalendarVersion,
    Capability,
    Domain,
    TimeTarget,
)
from portal.people.models import Membership, Person
from portal.people.roles import Role
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys.models import Campaign

SLUG = "northwind"
PASSWORD = "demo pass phrase 2026"
ZONE = "Europe/Berlin"

#: Who signs in as what: address, name, role.
PEOPLE = [
    ("olga@northwind.example", "Olga Brandt", Role.PROCESS_OWNER),
    ("henrik@northwind.example", "Henrik Voss", Role.PROCESS_OWNER),
    ("lena@northwind.example", "Lena Ortiz", Role.PROCESS_OWNER),
    ("sam@northwind.example", "Sam Okafor", Role.SERVICE_DESK_MANAGER),
    ("mona@northwind.example", "Mona Lind", Role.SERVICE_DESK_MANAGER),
    ("tariq@northwind.example", "Tariq Aziz", Role.SERVICE_DESK_MANAGER),
    ("bea@northwind.example", "Bea Castell", Role.BUSINESS_UNIT_LEAD),
    ("pia@northwind.example", "Pia Sorel", Role.POLICY_OWNER),
    ("cora@northwind.example", "Cora Nyman", Role.ACCOUNT_MANAGER),
    ("ada@northwind.example", "Ada Winter", Role.ADMINISTRATOR),
    ("aude@northwind.example", "Aude Martin", Role.AUDITOR),
    ("rui@northwind.example", "Rui Teixeira", Role.MEMBER),
]

_FIRST = (
    *("Agnes", "Arjun", "Birte", "Carlos", "Dana", "Emre", "Farah", "Goran", "Hanna", "Ines"),
    *("Jonas", "Kofi", "Lucia", "Mehmet", "Nadia", "Oskar", "Petra", "Quentin", "Ravi", "Sofia"),
    *("Tomas", "Ulla", "Viktor", "Wanda", "Yusuf"),
)
_LAST = (
    *("Berg", "Costa", "Dietz", "Engel", "Fabre", "Gallo", "Haas", "Ito", "Jansen", "Kaya"),
    *("Lorenz", "Moreau", "Novak"),
)


@dataclass(frozen=True, slots=True)
class Team:
    """A domain's desk: key, name, who runs it, who owns its processes, groups with their agents."""

    key: str
    name: str
    manager: str
    owner: str
    groups: tuple[tuple[str, int], ...]


TEAMS = (
    Team(
        "it", "IT", "sam@northwind.example", "olga@northwind.example",
        (("Service desk", 8), ("Network", 4), ("Applications", 4)),
    ),
    Team(
        "hr", "HR", "mona@northwind.example", "henrik@northwind.example",
        (("HR services", 4), ("Payroll", 2)),
    ),
    Team("legal", "Legal", "tariq@northwind.example", "lena@northwind.example",
         (("Legal desk", 3),)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Service:
    """A capability and how its tickets live. Rates are 0 to 1, hours are business hours."""

    slug: str
    name: str
    domain: str
    group: str
    weekly: float
    hours: float
    reopen: float
    escalate: float
    deny: float
    routine: float
    #: Chance that a person is satisfied when all went well.
    pleased: float
    #: Chance that the first reply only says that somebody is looking into it.
    hollow: float
    self_service: bool = False
    first_contact: bool = True
    severities: tuple[float, float, float, float] = (0.03, 0.17, 0.5, 0.3)


SERVICES = (
    Service("accounts-and-passwords", "Accounts and passwords", "it", "Service desk",
            24, 0.6, 0.05, 0.02, 0.0, 0.72, 0.93, 0.10, self_service=True),
    Service("email-and-calendar", "E-mail and calendar", "it", "Service desk",
            13, 2.5, 0.09, 0.06, 0.02, 0.30, 0.88, 0.25),
    Service("network-and-wifi", "Network and Wi-Fi", "it", "Network",
            10, 4.0, 0.20, 0.22, 0.0, 0.08, 0.78, 0.35, severities=(0.10, 0.30, 0.45, 0.15)),
    Service("laptops-and-devices", "Laptops and devices", "it", "Service desk",
            9, 9.0, 0.10, 0.08, 0.05, 0.15, 0.84, 0.20, first_contact=False),
    Service("business-applications", "Business applications", "it", "Applications",
            12, 7.0, 0.27, 0.28, 0.02, 0.10, 0.72, 0.60),
    Service("access-rights", "Access rights", "it", "Applications",
            11, 5.0, 0.08, 0.06, 0.24, 0.45, 0.86, 0.15, self_service=True, first_contact=False),
    Service("software-requests", "Software requests", "it", "Service desk",
            8, 12.0, 0.07, 0.05, 0.30, 0.40, 0.85, 0.20, first_contact=False),
    Service("payroll-questions", "Payroll questions", "hr", "Payroll",
            8, 6.0, 0.12, 0.08, 0.04, 0.25, 0.82, 0.20),
    Service("leave-and-absence", "Leave and absence", "hr", "HR services",
            9, 2.0, 0.05, 0.02, 0.06, 0.65, 0.90, 0.10, self_service=True),
    Service("contracts-and-letters", "Contracts and letters", "hr", "HR services",
            6, 14.0, 0.09, 0.05, 0.02, 0.35, 0.85, 0.25),
    Service("onboarding", "Onboarding", "hr", "HR services",
            5, 18.0, 0.14, 0.10, 0.0, 0.10, 0.80, 0.30, first_contact=False),
    Service("contract-review", "Contract review", "legal", "Legal desk",
            5, 26.0, 0.10, 0.14, 0.05, 0.05, 0.87, 0.30, first_contact=False),
    Service("data-protection", "Data protection", "legal", "Legal desk",
            3, 16.0, 0.08, 0.10, 0.12, 0.10, 0.84, 0.20),
)  # fmt: skip

#: Business seconds promised by default (METRICS.md Part 7).
RESPONSE = {"critical": 3600, "high": 14400, "medium": 14400, "low": 14400}
RESOLUTION = {"critical": 14400, "high": 28800, "medium": 86400, "low": 144000}


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent of the demo, with the group they work in."""

    email: str
    name: str
    group: str


def agents() -> list[Agent]:
    """All 25 agents, in a fixed order."""
    groups = [group for team in TEAMS for group, size in team.groups for _ in range(size)]
    return [
        Agent(f"{first.lower()}@northwind.example", f"{first} {_LAST[n % len(_LAST)]}", group)
        for n, (first, group) in enumerate(zip(_FIRST, groups, strict=True))
    ]


def requesters(count: int = 420) -> list[tuple[str, str]]:
    """External id and address of the people who ask for help; Rui is the first."""
    others = [(f"u{n:04}", f"person{n:04}@northwind.example") for n in range(1, count)]
    return [("u0000", "rui@northwind.example"), *others]


def build(*, starts_at: datetime, campaign_from: datetime) -> Organisation:
    """Create the organisation with everything but tickets. Runs as the owner."""
    organisation = Organisation.objects.create(slug=SLUG, name="Northwind", time_zone=ZONE)
    people = _people(organisation)
    with acting(organisation.pk):
        calendar = _calendar(organisation, starts_at)
        unit = BusinessUnit.objects.create(
            tenant=organisation, name="Sales and operations", lead=people["bea@northwind.example"]
        )
        for team in TEAMS:
            _domain(organisation, team, calendar, unit, people)
        Campaign.objects.create(
            tenant=organisation, name="After every resolution", starts_at=campaign_from
        )
    return organisation


def _people(organisation: Organisation) -> dict[str, Person]:
    wanted = PEOPLE + [(agent.email, agent.name, Role.AGENT) for agent in agents()]
    made = {}
    hashed = make_password(PASSWORD)  # once: it takes long on purpose, and is the same for all
    for email, name, role in wanted:
        person = Person.objects.create_user(email, name=name, time_zone=ZONE)
        person.password = hashed
        person.save(update_fields=["password"])
        Membership.objects.create(tenant=organisation, person=person, role=role)
        made[email] = person
    return made


def _calendar(organisation: Organisation, starts_at: datetime) -> BusinessCalendar:
    calendar = BusinessCalendar.objects.create(tenant=organisation, name="Office hours")
    years = range(starts_at.year, starts_at.year + 3)
    closed: list[date] = sorted(holidays.country_holidays("DE", years=years))
    spans: list[Any] = [["08:00", "17:00"]]
    CalendarVersion.objects.create(
        tenant=organisation,
        calendar=calendar,
        time_zone=ZONE,
        hours={**dict.fromkeys(("mon", "tue", "wed", "thu"), spans), "fri": [["08:00", "16:00"]]},
        holidays=[day.isoformat() for day in closed],
    )
    return calendar


def _domain(
    organisation: Organisation,
    team: Team,
    calendar: BusinessCalendar,
    unit: BusinessUnit,
    people: dict[str, Person],
) -> None:
    domain = Domain.objects.create(
        tenant=organisation,
        key=team.key,
        name=team.name,
        calendar=calendar,
        service_desk_manager=people[team.manager],
    )
    for clock, seconds in (("first_meaningful_response", RESPONSE), ("resolution", RESOLUTION)):
        TimeTarget.objects.bulk_create(
            TimeTarget(
                tenant=organisation, domain=domain, severity=severity, clock=clock, seconds=allowed
            )
            for severity, allowed in seconds.items()
        )
    for service in SERVICES:
        if service.domain == team.key:
            Capability.objects.create(
                tenant=organisation,
                slug=service.slug,
                name=service.name,
                domain=domain,
                business_unit=unit,
                process_owner=people[team.owner],
                policy_owner=people["pia@northwind.example"],
                self_service=service.self_service,
                first_contact_resolvable=service.first_contact,
            )
