"""The demo's observations and reviews come through the acts of the product itself."""

from __future__ import annotations

from metrics.models import Observation, ObservationAnswer, QualityRelease, QualityReview
from portal.demo.seen import REVIEWED, observe_and_review
from portal.tenancy.context import acting
from tests import roles
from tests.factories import CapabilityFactory, Cast
from tests.metrics.test_reviewing_quality import worked
from tests.metrics.told import DAY, MONDAY


def test_what_the_demo_saw_is_written_answered_reviewed_and_released(cast: Cast) -> None:
    worked(cast, 20, 3)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        CapabilityFactory(tenant=cast.acme, domain=cast.it, process_owner=cast.olga)
        observe_and_review(organisation=cast.acme, now=MONDAY + 30 * DAY)
        assert Observation.objects.count() == 6
        assert ObservationAnswer.objects.count() == 3
        assert QualityReview.objects.count() == REVIEWED
        assert QualityRelease.objects.count() == REVIEWED
