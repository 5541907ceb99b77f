"""Months of answers, an improvement action whose days are over, and a pilot to be decided.

Run with the owner's role, after the cast is there.
"""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from governance.improvements import Planned, record_action
    from governance.pilots import start_pilot
    from portal.catalogue.models import Capability, Domain
    from portal.people.models import Person
    from portal.people.roles import Role
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tests.metrics.many import answered
    from tickets.models import Connection

    now = timezone.now()
    acme = Organisation.objects.get(slug="acme")
    with acting(acme.pk):
        cast = SimpleNamespace(
            acme=acme,
            desk=Connection.objects.get(name="desk"),
            network=Capability.objects.get(slug="network"),
            accounts=Capability.objects.get(slug="accounts"),
        )
        it = Domain.objects.get(key="it")
        olga, sam = (Person.objects.get(email=f"{name}@acme.example") for name in ("olga", "sam"))
    for days, mine, theirs in ((120, (96, 160), (150, 200)), (70, (126, 168), (152, 198))):
        answered(cast, *mine, at=now - timedelta(days=days))
        answered(cast, *theirs, at=now - timedelta(days=days), capability=cast.accounts)
    for days in (165, 185):  # before the days that count
        answered(cast, 89, 120, at=now - timedelta(days=days))
    with acting(acme.pk):
        record_action(
            tenant=acme,
            capability=cast.network,
            planned=Planned(
                "csat_share.share",
                "A second line on Mondays",
                (now - timedelta(days=100)).date(),
                Decimal("0.10"),
                comparison=cast.accounts,
            ),
            by=olga,
            roles=[Role.PROCESS_OWNER],
            at=now - timedelta(days=110),
        )
        begins = now - timedelta(days=100)
        start_pilot(
            tenant=acme,
            domain=it,
            begins=begins.date(),
            interviewed="Sam, who runs the desk",
            interviewed_on=begins.date(),
            drivers=[["clear", "plain words"], ["quick"]],
            by=sam,
            roles=[Role.SERVICE_DESK_MANAGER],
            at=begins,
        )
