"""A database of its own for the storm, and processes that enter what comes until they are killed.

    python -m tests.tickets.storming stage            prints the address of a hook
    python -m tests.tickets.storming sweep 3 [careless]
    python -m tests.tickets.storming drain [careless]
    python -m tests.tickets.storming deliver 2000 [quietly]

The number behind `sweep` counts starts: each sees a clock that is further ahead, so that what a
killed one held is due again. `careless` takes deliveries off the queue before they are entered, or
does not lock them: the ways that must fail. `deliver` receives payloads itself, without HTTP.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta
from typing import Any

SECRET = "a signing secret of sixteen"
#: Steps of one ticket.
STEPS = 10
LEAP = timedelta(seconds=31)


def event(number: int) -> bytes:
    """The payload of an event, the same in every run."""
    from tests.tickets import hostile

    return hostile.payload(f"T{number // STEPS}", number % STEPS)


def stage() -> None:
    """Write the cast and a connection with a hook; print the hook's path."""
    from django.db.backends.signals import connection_created

    from portal.audit.trail import SYSTEM
    from portal.tenancy.context import acting
    from tests import roles
    from tests.factories import ConnectionFactory, build_cast
    from tests.tickets import hostile
    from tickets.connecting import open_hook

    connection_created.connect(roles.set_role)
    cast = build_cast()
    with acting(cast.acme.pk):
        desk = ConnectionFactory(tenant=cast.acme, name="storm", kind=hostile.KEY)
        hook = open_hook(connection=desk, by=SYSTEM, at=desk.created_at, secret=SECRET)
    sys.stdout.write(hook.url[hook.url.index("/hooks/") :])


def _now(ahead: timedelta) -> datetime:
    from django.utils import timezone

    return timezone.now() + ahead


def sweep(starts: int, *, careless: bool) -> None:
    """Enter what comes, for ever."""
    reader = _reader()
    enter = losing_sweep if careless else _sweep(reader)
    _ready()
    while True:
        if not enter(_now(starts * LEAP)):
            time.sleep(0.02)


def drain(*, careless: bool) -> None:
    """Enter what waits, whatever its pause, until nothing is left."""
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tickets import inbound
    from tickets.models import InboundWork

    reader = _reader()
    if careless:
        without_locks()
    _ready()
    acme = Organisation.objects.get(slug="acme").pk
    for days in range(100):
        while inbound.sweep(_now(timedelta(days=days)), read=reader):
            pass
        with acting(acme):
            if not InboundWork.objects.exists():
                return
    raise AssertionError("something waits for ever")


def _reader() -> Any:
    from tickets import apart

    return apart.Apart("tests.tickets.hostile")


def _sweep(reader: Any) -> Any:
    from tickets import inbound

    return lambda now: inbound.sweep(now, read=reader)


def losing_sweep(now: datetime) -> int:
    """The sweep that must fail: it takes deliveries off the queue, and enters them then."""
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tickets import inbound, ingest, reading
    from tickets.models import InboundWork
    from tickets.news import Told

    acme = Organisation.objects.get(slug="acme").pk
    with acting(acme):
        works = list(
            InboundWork.objects.for_tenant(acme)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("message__body", "connection")[:50]
        )
        InboundWork.objects.filter(pk__in=[work.pk for work in works]).delete()
    told = Told()
    for read in reading.read([inbound._unread(work, frozenset()) for work in works]):
        assert read.told is not None
        told.extend(read.told)
    if works:
        with acting(acme):
            ingest.enter(tenant_id=acme, connection=works[0].connection, told=told, at=now)
    return len(works)


def without_locks() -> None:
    """Let two sweepers choose and enter the same deliveries: the way that must fail."""
    from tickets import inbound
    from tickets.models import InboundWork

    def choose(tenant_id: int, now: datetime) -> list[int]:
        waiting = InboundWork.objects.for_tenant(tenant_id).order_by("message_id")
        return list(waiting.values_list("message_id", flat=True)[: inbound.BATCH])

    def take(tenant_id: int, message_ids: Any) -> list[InboundWork]:
        works = InboundWork.objects.for_tenant(tenant_id).filter(message__in=message_ids)
        return list(works.select_related("connection").order_by("message_id"))

    inbound._count_tries, inbound._taken = choose, take


def deliver(number: int, *, quietly: bool) -> None:
    """Receive payloads in small batches, as the web role."""
    import portal.celery  # noqa: F401 - hints go out through this app, as in portal/wsgi.py
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tests.tickets import hostile
    from tickets.inbound import Incoming, receive_many
    from tickets.models import Connection

    acme = Organisation.objects.get(slug="acme").pk
    for first in range(0, number, 50):
        if not quietly:
            time.sleep(0.1)
        batch = range(first, min(first + 50, number))
        with acting(acme):
            desk = Connection.objects.get(kind=hostile.KEY)
            receive_many(
                tenant_id=acme,
                connection=desk,
                deliveries=[Incoming(f"hook:{one}", "ticket", event(one)) for one in batch],
                at=_now(timedelta(0)),
            )


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    from tests.tickets import hostile

    hostile.register()
    match sys.argv[1]:
        case "stage":
            stage()
        case "sweep":
            sweep(int(sys.argv[2]), careless="careless" in sys.argv)
        case "drain":
            drain(careless="careless" in sys.argv)
        case "deliver":
            deliver(int(sys.argv[2]), quietly="quietly" in sys.argv)
