"""Versions of a calendar: bad rules and two versions for one moment are refused at the form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from portal.catalogue.models import BusinessCalendar, CalendarVersion
from portal.tenancy.context import acting
from tests.factories import WEEKDAYS, Cast

pytestmark = pytest.mark.django_db

MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))


def version(calendar: BusinessCalendar, **said: Any) -> CalendarVersion:
    return CalendarVersion(
        **{
            "tenant_id": calendar.tenant_id,
            "calendar": calendar,
            "time_zone": "Europe/Berlin",
            "hours": WEEKDAYS,
        }
        | said
    )


def new_calendar(cast: Cast) -> BusinessCalendar:
    return BusinessCalendar.objects.create(tenant=cast.acme, name="Legal")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"hours": {"monday": []}}, "hours: 'monday' is no day"),
        ({"holidays": ["25.12.2026"]}, "holidays"),
        ({"valid_from": JUNE, "valid_until": MAY}, "ends before it begins"),
    ],
)
def test_a_version_that_cannot_be_used_is_refused(
    cast: Cast, said: dict[str, Any], complaint: str
) -> None:
    with acting(cast.acme.pk), pytest.raises(ValidationError, match=complaint):
        version(new_calendar(cast), **said).full_clean()


def test_a_version_may_follow_another_and_not_overlap_it(cast: Cast) -> None:
    with acting(cast.acme.pk):
        calendar = new_calendar(cast)
        first = version(calendar, valid_until=JUNE)
        first.full_clean()
        first.save()
        first.full_clean()  # it does not stand in its own way
        version(calendar, valid_from=JUNE).full_clean()
        for said in ({}, {"valid_from": MAY}, {"valid_from": MAY, "valid_until": JULY}):
            with pytest.raises(ValidationError, match="end that one first"):
                version(calendar, **said).full_clean()


def test_another_calendar_is_not_in_the_way(cast: Cast) -> None:
    with acting(cast.acme.pk):
        version(new_calendar(cast)).full_clean()  # the office calendar of the cast is in force
