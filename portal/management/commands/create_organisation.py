"""`manage.py create_organisation`: the first step on one's own installation."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone

from portal.people.founding import OrganisationExists, found_organisation
from portal.people.models import Person


class Command(BaseCommand):
    help = "Create an organisation and print its administrator's one-time link to set a password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--slug", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--time-zone", default="UTC")
        parser.add_argument("--administrator", required=True, help="e-mail address")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            organisation, person = found_organisation(
                slug=options["slug"],
                name=options["name"],
                time_zone=options["time_zone"],
                administrator=options["administrator"],
                at=timezone.now(),
            )
        except OrganisationExists as error:
            raise CommandError(f"There is an organisation {error}; nothing was changed.") from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages) + " Nothing was created.") from error
        self.stdout.write(
            f"Created {organisation.name} at {settings.PUBLIC_URL}/{organisation.slug}/"
        )
        self.stdout.write(f"{person.email} sets a password at {settings.PUBLIC_URL}{_link(person)}")


def _link(person: Person) -> str:
    """The same one-time link that the sign-in library mails when a password was forgotten."""
    return reverse(
        "account_reset_password_from_key",
        kwargs={
            "uidb36": user_pk_to_url_str(person),
            "key": default_token_generator.make_token(person),
        },
    )
