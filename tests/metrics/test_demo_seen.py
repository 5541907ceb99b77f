"""The demo's observations and reviews come through the acts of the product itself."""

from __future__ import annotations

from django.db.models import F

from metrics.models import (
    DeclaredComparison,
    DrawnItem,
    Observation,
    ObservationAnswer,
    QualityRelease,
    QualityReview,
    SecondReading,
)
from portal.demo.decided import WAITING, WEEKS_READ, decide
from portal.demo.seen import REVIEWED, observe_and_review
from portal.tenancy.context import acting
from surveys.models import Answer, BlindReading, CommentLabel, DrawnComment, Theme
from tests import roles
from tests.factories import CapabilityFactory, Cast
from tests.metrics.test_reviewing_quality import worked
from tests.metrics.told import DAY, HOUR, MONDAY, commented, enter, moved, news
from tickets.canonical import EventType


def test_what_the_demo_saw_is_written_answered_reviewed_and_released(cast: Cast) -> None:
    worked(cast, 20, 3)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        CapabilityFactory(tenant=cast.acme, domain=cast.it, process_owner=cast.olga)
        observe_and_review(organisation=cast.acme, now=MONDAY + 30 * DAY)
        assert Observation.objects.count() == 6
        assert ObservationAnswer.objects.count() == 3
        fewest, most = REVIEWED
        assert fewest <= QualityReview.objects.count() <= most
        assert QualityRelease.objects.count() == QualityReview.objects.count()


def test_what_the_demo_decided_goes_by_the_products_own_acts(cast: Cast) -> None:
    now = MONDAY + 64 * DAY
    enter(
        cast,
        *(
            news(
                f"{week} {n}",
                (1.0, EventType.FLAGGED, {"flag": "routine", "value": n % 2 == 0}),
                moved(2, "resolved"),
                opened_at=MONDAY + (7 * week + 2) * DAY,
            )
            for week in range(9)
            for n in range(5)
        ),
    )
    for _ in range(7):  # five are drawn to be read blind in their week, two in the next
        commented(cast, 5, "It is still broken, a terrible program.")
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Answer.objects.update(released_at=now - HOUR)  # looked at for themes since yesterday
    with roles.as_role(roles.OWNER):
        decide(organisation=cast.acme, now=now)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        assert [one.sentiment for one in CommentLabel.objects.all()] == ["negative"] * 7
        assert DrawnComment.objects.count() == 7
        assert BlindReading.objects.count() == 2 * 5
        assert Theme.objects.get(state="confirmed").decided_by == "Olga"
        drawn = DrawnItem.objects.count()
        assert drawn == 5 * (WEEKS_READ + 1)
        assert SecondReading.objects.count() == drawn - WAITING
        assert DeclaredComparison.objects.filter(at__gte=F("starts_at")).count() == 0
        assert DeclaredComparison.objects.count() == 2 * 2 * 3  # services, periods, of each
