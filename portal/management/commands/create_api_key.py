"""`manage.py create_api_key`: a key for an external tool, printed once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.people.api_keys import BadKeyRequest, create_key
from portal.people.models import Membership
from portal.people.roles import Role, Scope
from portal.tenancy.context import acting


class Command(BaseCommand):
    help = "Make an API key in the name of an administrator and print it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", required=True, help="slug")
        parser.add_argument("--administrator", required=True, help="e-mail address")
        parser.add_argument("--name", required=True)
        parser.add_argument("--scope", action="append", choices=list(Scope), required=True)
        parser.add_argument("--days", type=int, default=90)

    def handle(self, *args: Any, **options: Any) -> None:
        membership = (
            Membership.objects.filter(
                tenant__slug=options["organisation"],
                person__email=options["administrator"].lower(),
                role=Role.ADMINISTRATOR,
            )
            .select_related("person")
            .first()
        )
        if membership is None:
            raise CommandError(
                f"{options['administrator']} is no administrator of {options['organisation']!r}."
                " No key was made."
            )
        now = timezone.now()
        with acting(membership.tenant_id):
            try:
                _, secret = create_key(
                    tenant_id=membership.tenant_id,
                    name=options["name"],
                    scopes=[Scope(scope) for scope in options["scope"]],
                    expires_at=now + timedelta(days=options["days"]),
                    by=membership.person,
                    at=now,
                )
            except BadKeyRequest as error:
                raise CommandError(str(error)) from error
        self.stdout.write(secret)
