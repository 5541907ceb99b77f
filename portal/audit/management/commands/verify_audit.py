"""`manage.py verify_audit`: recompute every organisation's audit chain."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.audit.trail import verify
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation


class Command(BaseCommand):
    help = "Recompute the audit chain; exits non-zero and names the first broken entry."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", help="slug; without it every organisation")

    def handle(self, *args: Any, organisation: str | None, **options: Any) -> None:
        chosen = Organisation.objects.all()
        if organisation:
            chosen = chosen.filter(slug=organisation)
            if not chosen:
                raise CommandError(f"There is no organisation {organisation!r}.")
        broken = False
        for tenant in chosen:
            with acting(tenant.pk):
                sound, fault = verify(tenant.pk)
            if fault:
                broken = True
                self.stderr.write(
                    f"{tenant.slug}: entry {fault.sequence} {fault.reason}; the {sound} before"
                    " it are sound"
                )
            else:
                self.stdout.write(f"{tenant.slug}: {sound} entries, chain sound")
        if broken:
            raise CommandError("The audit trail was altered. Keep this database as evidence.")
