"""A campaign that has begun asks as it began: another way of asking is another campaign."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from metrics.breaks import ASKING, changes_of
from portal.admin_site import site
from portal.catalogue.models import Capability
from portal.tenancy.context import acting
from surveys import triggers
from surveys.models import Campaign, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.governance import test_attacks as real
from tests.surveys.asking import DAY, HOUR, NOON, campaign, resolved

committed = real.committed

#: What another value of each would change: whom is asked, when, and how often.
OTHERWISE: dict[str, Any] = {
    "starts_at": NOON,
    "delay_minutes": 30,
    "sampling": "0.5",
    "effort_threshold_minutes": 0,
    "limit_7_days": 2,
    "limit_90_days": 6,
}
LABELS = {"id", "tenant", "name", "ends_at"}


def change(asking: Campaign, **values: Any) -> None:
    with acting(asking.tenant_id), transaction.atomic():
        Campaign.objects.filter(pk=asking.pk).update(**values)


def test_every_column_that_says_whom_to_ask_is_looked_at() -> None:
    assert {field.name for field in Campaign._meta.local_fields} == LABELS | set(OTHERWISE)


@pytest.mark.parametrize("role", [roles.WEB, roles.OWNER])
@pytest.mark.parametrize("column", OTHERWISE)
def test_what_a_campaign_that_has_begun_asks_for_is_not_changed(
    cast: Cast, role: str, column: str
) -> None:
    begun = campaign(cast)
    to_come = campaign(cast, starts_at=timezone.now() + DAY)
    with roles.as_role(role):
        with pytest.raises(IntegrityError, match="end it and begin another"):
            change(begun, **{column: OTHERWISE[column]})
        change(to_come, **{column: OTHERWISE[column]})  # nobody was asked by it yet
    with acting(cast.acme.pk):
        now = Campaign.objects.get(pk=begun.pk)
        assert getattr(now, column) == getattr(begun, column)
        assert str(getattr(Campaign.objects.get(pk=to_come.pk), column)) != str(
            getattr(to_come, column)
        )


def test_a_campaign_that_asked_somebody_has_begun_whenever_it_says_so(cast: Cast) -> None:
    asking = campaign(cast, starts_at=timezone.now() + DAY)
    about = resolved(cast)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        SurveyedEvent.objects.create(
            tenant=cast.acme,
            ticket=about.ticket,
            event_key=about.event_key,
            at=about.at,
            decision="not_sent",
            campaign=asking,
            severity="medium",
        )
    with pytest.raises(IntegrityError, match="end it and begin another"):
        change(asking, sampling="0.5")


def test_a_campaign_is_ended_and_renamed_and_never_begun_again(cast: Cast) -> None:
    asking = campaign(cast)
    resolved(cast, at=NOON)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert triggers.decide_new(tenant_id=cast.acme.pk, now=NOON + HOUR) == 1
    change(asking, name="Spring")
    change(asking, ends_at=timezone.now() + DAY)
    change(asking, ends_at=None)
    with pytest.raises(IntegrityError, match="before what it asked about"):
        change(asking, ends_at=NOON)
    over = timezone.now() - HOUR
    change(asking, ends_at=over)
    for later in (None, timezone.now() + DAY, over + timedelta(minutes=1)):
        with pytest.raises(IntegrityError, match="is not begun again"):
            change(asking, ends_at=later)
    with acting(cast.acme.pk):
        told = Campaign.objects.get(pk=asking.pk)
        assert (told.name, told.ends_at) == ("Spring", over)
        network = Capability.objects.select_related("domain", "tenant").get(pk=cast.network.pk)
        asked = [one.broken.why for one in changes_of(network) if ASKING in one.changed]
        assert "no longer asked by “Spring” from here" in asked


def test_a_campaign_does_not_end_before_it_began(cast: Cast) -> None:
    asking = campaign(cast)
    with pytest.raises(IntegrityError, match="before what it asked about"):
        change(asking, ends_at=asking.starts_at)


def test_no_page_of_the_administration_changes_campaigns() -> None:
    assert Capability in site._registry
    assert Campaign not in site._registry


@pytest.mark.faults
def test_no_campaign_changes_while_somebody_decides_whom_to_ask(committed: Cast) -> None:
    """Whoever decides has read the campaign: what they decide is not to contradict it."""

    def at_once() -> None:
        asking = campaign(committed)
        with roles.as_role(roles.WORKER), acting(committed.acme.pk):
            assert triggers._alone(committed.acme.pk)
            with pytest.raises(DatabaseError, match="lock timeout"):
                real.aside(lambda: impatient(asking))
        impatient(asking)

    def impatient(asking: Campaign) -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
            change(asking, name="Meanwhile")

    real.aside(at_once)
