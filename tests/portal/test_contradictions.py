"""The reading queue: released comments in batches, masked, decided by those whose service it is."""

from __future__ import annotations

import pytest
from django.test import Client

from portal.tenancy.context import acting
from surveys.models import CommentLabel, CommentReading, Sentiment
from tests import roles
from tests.factories import Cast
from tests.metrics.told import commented
from tests.surveys.test_reading_comments import ANGRY, HAPPY, suggested

PAGE = "/acme/voice/contradictions/"


@pytest.fixture
def olga(cast: Cast, client: Client) -> Client:
    client.force_login(cast.olga)
    return client


@pytest.fixture
def five(cast: Cast) -> Cast:
    for _ in range(4):
        commented(cast, 5, HAPPY)
    commented(cast, 5, f"Agnes said: {ANGRY}")
    suggested(cast)
    return cast


def test_a_contradiction_is_shown_masked_and_leaves_the_queue_when_decided(
    five: Cast, olga: Client
) -> None:
    shown = olga.get(PAGE).content.decode()
    assert "1 comment seems to say something else" in shown
    assert "Still broken" in shown
    assert "Agnes" not in shown
    with acting(five.acme.pk):
        pk = CommentReading.objects.get(suggested="negative").comment_id
    assert olga.post(PAGE, {"comment": pk, "says": "positive"}).status_code == 302
    assert "Nothing waits to be read" in olga.get(PAGE).content.decode()
    with acting(five.acme.pk):
        said = CommentLabel.objects.get()
        assert (said.sentiment, said.by_name) == (Sentiment.POSITIVE, "Olga")
    assert olga.post(PAGE, {"comment": pk, "says": "negative"}).status_code == 404


def test_fewer_than_five_comments_of_a_capability_are_not_shown(cast: Cast, olga: Client) -> None:
    commented(cast, 5, ANGRY)
    suggested(cast)
    assert "Still broken" not in olga.get(PAGE).content.decode()


def test_somebody_elses_capability_is_not_shown(five: Cast, client: Client) -> None:
    with roles.as_role(roles.OWNER), acting(five.acme.pk):
        five.network.process_owner = None
        five.network.save()
    client.force_login(five.olga)
    assert "Still broken" not in client.get(PAGE).content.decode()


def test_the_queue_asks_as_much_for_one_as_for_twenty(
    five: Cast, olga: Client, django_assert_max_num_queries: object
) -> None:
    for _ in range(20):
        commented(five, 5, ANGRY)
    suggested(five)
    olga.get(PAGE)
    with django_assert_max_num_queries(24):  # type: ignore[operator]
        olga.get(PAGE)
