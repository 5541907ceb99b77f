"""Puts the cast into an installation's database; run as a program with the owner's role."""

from datetime import timedelta

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from portal.tenancy.context import acting
    from surveys.models import Campaign
    from tests.factories import build_cast

    cast = build_cast()
    with acting(cast.acme.pk):
        Campaign.objects.create(
            tenant=cast.acme,
            name="After every resolution",
            starts_at=timezone.now() - timedelta(days=1),
            delay_minutes=0,
            effort_threshold_minutes=0,
        )
