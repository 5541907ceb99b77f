"""`manage.py verify_audit`: recompute audit chains, digests of terms, and what binds signatures.

On the roof because it asks two rooms: the chain is the audit room's, the signatures governance's.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from governance.verifying import faults
from portal.audit.trail import verify
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation


class Command(BaseCommand):
    help = "Recompute the audit chain and every signature; exits non-zero and names what is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", help="slug; without it every organisation")

    def handle(self, *args: Any, organisation: str | None, **options: Any) -> None:
        chosen = Organisation.objects.all()
        if organisation:
            chosen = chosen.filter(slug=organisation)
            if not chosen:
                raise CommandError(
                    f"There is no organisation {organisation!r}. Nothing was checked."
                )
        altered = [tenant.slug for tenant in chosen if not self._verify(tenant)]
        if altered:
            raise CommandError("What was decided was altered. Keep this database as evidence.")

    def _verify(self, tenant: Organisation) -> bool:
        """Check one organisation and say so; whether all holds."""
        with acting(tenant.pk):
            sound, fault = verify(tenant.pk)
            wrong = list(faults(tenant))
        if fault:
            wrong.insert(
                0, f"entry {fault.sequence} {fault.reason}; the {sound} before it are sound"
            )
        for one in wrong:
            self.stderr.write(f"{tenant.slug}: {one}")
        if not wrong:
            self.stdout.write(f"{tenant.slug}: {sound} entries, chain sound, signatures match")
        return not wrong
