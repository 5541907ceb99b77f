"""Comments read blind: masked, without score and suggestion, each by two people."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from portal.tenancy.context import acting
from surveys.models import BlindReading, DrawnComment
from tests.factories import Cast
from tests.metrics.told import commented
from tests.surveys.test_blind_reading import drawn
from tests.surveys.test_reading_comments import ANGRY, HAPPY, suggested

PAGE = "/acme/voice/drawn-comments/"


@pytest.fixture
def five(cast: Cast) -> Cast:
    comments = [commented(cast, 5, HAPPY) for _ in range(4)]
    comments.append(commented(cast, 5, f"Agnes said: {ANGRY}"))
    suggested(cast)
    drawn(cast, comments[3:], timezone.now())
    return cast


def as_person(cast: Cast, name: str) -> Client:
    client = Client()
    client.force_login(getattr(cast, name))
    return client


def number(five: Cast, text: str) -> int:
    with acting(five.acme.pk):
        return DrawnComment.objects.get(comment__text__contains=text).pk


def test_a_comment_is_shown_by_its_words_alone_until_two_have_read_it(five: Cast) -> None:
    angry = number(five, "Still broken")
    olga, sam = as_person(five, "olga"), as_person(five, "sam")
    shown = olga.get(PAGE).content.decode()
    assert "2 comments drawn by chance wait for you" in shown
    assert "Still broken" in shown
    assert "Agnes" not in shown
    assert "Rated" not in shown
    assert "seem" not in shown
    assert olga.post(PAGE, {"drawn": angry, "says": "negative"}).status_code == 302
    assert "Still broken" not in olga.get(PAGE).content.decode()
    assert olga.post(PAGE, {"drawn": angry, "says": "positive"}).status_code == 404
    assert "Still broken" in sam.get(PAGE).content.decode()
    assert sam.post(PAGE, {"drawn": angry, "says": "negative"}).status_code == 302
    assert "1 of 50 comments of the last quarter" in sam.get(PAGE).content.decode()
    with acting(five.acme.pk):
        said = BlindReading.objects.filter(drawn=angry).order_by("pk")
        assert [(one.sentiment, one.by_name) for one in said] == [
            ("negative", "Olga"),
            ("negative", "Sam"),
        ]


@pytest.mark.parametrize("said", [{"drawn": "x", "says": "positive"}, {"drawn": "1", "says": "so"}])
def test_what_nobody_can_mean_is_refused(five: Cast, said: dict[str, str]) -> None:
    assert as_person(five, "olga").post(PAGE, said).status_code == 400


def test_fewer_than_five_comments_of_a_capability_are_not_shown(cast: Cast) -> None:
    comment = commented(cast, 5, ANGRY)
    suggested(cast)
    drawn(cast, [comment])
    assert "Still broken" not in as_person(cast, "olga").get(PAGE).content.decode()


def test_the_page_asks_as_much_for_one_as_for_many(
    five: Cast, django_assert_max_num_queries: object
) -> None:
    comments = [commented(five, 5, HAPPY) for _ in range(20)]
    suggested(five)
    drawn(five, comments)
    olga = as_person(five, "olga")
    olga.get(PAGE)
    with django_assert_max_num_queries(24):  # type: ignore[operator]
        olga.get(PAGE)
