"""`manage.py load_demo`: put the demo's year into the database, once."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from itertools import batched
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand
from django.db import connection
from django.utils import timezone

from metrics import columns
from portal.catalogue.business_time import BusinessTime, CalendarRules
from portal.catalogue.models import CalendarVersion
from portal.demo import lives, world
from portal.demo.answers import ask_and_answer
from portal.demo.decided import decide
from portal.demo.seen import observe_and_review
from portal.demo.signed import sign_targets
from portal.tenancy.context import acting, tenant_tables
from portal.tenancy.models import Organisation
from surveys.models import Campaign
from surveys.releasing import release_ready
from tickets.ingest import apply
from tickets.models import Connection

WEEKS = 52
BATCH = 1000


class Command(BaseCommand):
    help = "Load a plausible year of one organisation; does nothing where it is loaded already."

    def handle(self, *args: Any, **options: Any) -> None:
        if Organisation.objects.filter(slug=world.SLUG).exists():
            self.stdout.write("The demo's organisation is there already; nothing was changed.")
            return
        now = timezone.now()
        starts_at = first_monday(now)
        organisation = world.build(starts_at=starts_at, campaign_from=starts_at)
        with acting(organisation.pk):
            count = self._load(organisation, starts_at, now)
            given = ask_and_answer(
                campaign=Campaign.objects.for_tenant(organisation).get(), now=now
            )
            release_ready(tenant_id=organisation.pk, now=now)
            observe_and_review(organisation=organisation, now=now)
            sign_targets(organisation=organisation, now=now)
        decide(organisation=organisation, now=now)
        columns.sweep(now)
        with connection.cursor() as cursor:  # the first page is asked for before autovacuum comes
            cursor.execute(f"ANALYZE {', '.join(sorted(tenant_tables()))}")
        self.stdout.write(f"Loaded {count} tickets and {given} answers of {organisation.name}.")

    def _load(self, organisation: Organisation, starts_at: datetime, now: datetime) -> int:
        rules = CalendarVersion.objects.for_tenant(organisation).values(
            "time_zone", "hours", "shifts", "breaks", "holidays"
        )[0]
        business = BusinessTime.of(CalendarRules.from_dict(rules))
        desk = Connection.objects.create(
            tenant=organisation, name="desk", kind="api", created_at=now
        )
        count = 0
        told = lives.tell_all(starts_at=starts_at, ends_at=now, business=business)
        for news in batched(told, BATCH):
            apply(tenant_id=organisation.pk, connection=desk, news=news, at=now)
            count += len(news)
            if sys.stderr.isatty():
                self.stderr.write(f"\r{count} tickets", ending="")
        return count


def first_monday(now: datetime) -> datetime:
    """Local midnight of the Monday 52 weeks before the current week's."""
    here = now.astimezone(ZoneInfo(world.ZONE))
    monday = here.date() - timedelta(days=here.weekday(), weeks=WEEKS)
    return datetime(monday.year, monday.month, monday.day, tzinfo=here.tzinfo)
