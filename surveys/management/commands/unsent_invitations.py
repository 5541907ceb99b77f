"""`manage.py unsent_invitations`: what failed or is uncertain, why, and sending it once more."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys import invitations
from surveys.models import Invitation

State = Invitation.State


class Command(BaseCommand):
    """Lists an organisation's invitations that did not go out; no address is shown."""

    help = "List invitations that failed or are uncertain; send an uncertain one again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which organisation, and which message to send again."""
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument(
            "--send-again",
            metavar="MESSAGE",
            type=uuid.UUID,
            help="queue this uncertain message once more: its receiver may get a second copy",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line for each, or queue one."""
        tenant = Organisation.objects.filter(slug=options["organisation"]).first()
        if tenant is None:
            raise CommandError(f"There is no organisation {options['organisation']!r}.")
        with acting(tenant.pk):
            if options["send_again"]:
                self._send_again(tenant, options["send_again"])
            else:
                self._list(tenant)

    def _list(self, tenant: Organisation) -> None:
        unsent = Invitation.objects.for_tenant(tenant).filter(
            state__in=(State.FAILED, State.UNCERTAIN, State.BOUNCED)
        )
        for one in unsent.order_by("due_at").iterator():
            self.stdout.write(
                f"{one.message_id}  {one.state:9}  due {one.due_at:%Y-%m-%d %H:%M} UTC,"
                f" {one.attempts} attempts: {one.last_error}"
            )
        self.stdout.write(f"{unsent.count()} invitations did not go out.")

    def _send_again(self, tenant: Organisation, message_id: uuid.UUID) -> None:
        found = Invitation.objects.for_tenant(tenant).filter(message_id=message_id).first()
        try:
            if found is None:
                raise invitations.NotUncertain
            invitations.send_again(tenant_id=tenant.pk, invitation_id=found.pk, at=timezone.now())
        except invitations.NotUncertain as error:
            raise CommandError(
                f"{message_id} is not an uncertain invitation; nothing was changed."
            ) from error
        self.stdout.write(f"{message_id} is queued; a worker sends it at its next tick.")
