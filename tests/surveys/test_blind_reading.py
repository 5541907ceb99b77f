"""How far suggestions go: a random sample, read blind by two people, and said beside the figure."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from metrics.standing import Reliability
from portal.tenancy.context import acting
from surveys import blind_reading
from surveys.blind_reading import A_WEEK, AlreadyRead, agreement, agreement_of, read_blind
from surveys.models import Answer, BlindReading, Comment, CommentReading, DrawnComment, Sentiment
from tests import roles
from tests.factories import Cast
from tests.metrics.told import MAY, commented, read
from tests.surveys.test_reading_comments import ANGRY, HAPPY, decide, suggested

DAY = timedelta(days=1)
NEG, POS, UNCLEAR = Sentiment.NEGATIVE, Sentiment.POSITIVE, Sentiment.UNCLEAR


def draw(now: datetime = MAY) -> int:
    with roles.as_role(roles.WORKER):
        return blind_reading.sweep(now)


def drawn(cast: Cast, comments: list[Comment], at: datetime = MAY) -> list[DrawnComment]:
    """As if chance had drawn these."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return DrawnComment.objects.bulk_create(
            DrawnComment(tenant=cast.acme, comment=one, week=at.date(), drawn_at=at)
            for one in comments
        )


def say(cast: Cast, one: DrawnComment, *said: Sentiment) -> None:
    """So many people read it, in turn."""
    for person, sentiment in enumerate(said):
        with acting(cast.acme.pk):
            read_blind(
                drawn=one, sentiment=sentiment, by_key=f"person:{person}", by_name="Olga", at=MAY
            )


def test_five_classified_released_comments_are_drawn_a_week(cast: Cast) -> None:
    for _ in range(7):
        commented(cast, 5, HAPPY)
    unclear, waiting = commented(cast, 4, "Floor 2."), commented(cast, 5, HAPPY)
    unread = commented(cast, 5, HAPPY)
    suggested(cast)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Answer.objects.filter(comment=waiting).update(released_at=None)
        CommentReading.objects.filter(comment=unread).delete()
    assert draw() == A_WEEK
    assert draw() == 0, "this week is done"
    assert draw(MAY + 7 * DAY) == 2
    assert draw(MAY + 14 * DAY) == 0
    with acting(cast.acme.pk):
        found = set(DrawnComment.objects.values_list("comment", flat=True))
    assert found.isdisjoint({unclear.pk, waiting.pk, unread.pk})


def test_what_is_drawn_is_left_to_chance(cast: Cast) -> None:
    comments = [commented(cast, 5, HAPPY).pk for _ in range(60)]
    suggested(cast)
    draw()
    with acting(cast.acme.pk):
        found = sorted(DrawnComment.objects.values_list("comment", flat=True))
    # One time in two and a half million it is either end by chance.
    assert found not in (comments[:A_WEEK], comments[-A_WEEK:])


def test_comments_older_than_a_quarter_are_not_drawn(cast: Cast) -> None:
    commented(cast, 5, HAPPY)
    suggested(cast)
    assert draw(MAY + 91 * DAY) == 0


def test_before_fifty_are_read_by_two_and_below_four_in_five_the_figure_is_unreliable(
    cast: Cast,
) -> None:
    comments = [commented(cast, 5, HAPPY) for _ in range(50)]
    suggested(cast)
    sample = drawn(cast, comments)
    for one in sample[:49]:
        say(cast, one, POS, POS)
    say(cast, sample[49], NEG)
    early = read(cast, "score_comment_mismatch")
    assert early.reliability_state == Reliability.UNRELIABLE
    assert "unreliable: 49 of 50 comments read by two people" in early.flags
    with acting(cast.acme.pk):
        read_blind(drawn=sample[49], sentiment=NEG, by_key="person:7", by_name="Sam", at=MAY)
    told = read(cast, "score_comment_mismatch")
    assert told.reliability_state == Reliability.RELIABLE
    assert "people agree with 98.0 % of the suggestions" in told.flags
    assert (told.beside["negative_found"], told.beside["others_spared"]) == (0.0, 1.0)


def test_where_people_read_otherwise_the_figure_is_unreliable(cast: Cast) -> None:
    comments = [commented(cast, 5, HAPPY) for _ in range(50)]
    suggested(cast)
    for number, one in enumerate(drawn(cast, comments)):
        say(cast, one, *[NEG if number < 11 else POS] * 2)
    told = read(cast, "score_comment_mismatch")
    assert told.reliability_state == Reliability.UNRELIABLE
    assert "unreliable: people agree with 78.0 % of the suggestions" in told.flags


def test_decisions_of_the_queue_count_for_nothing(cast: Cast) -> None:
    comments = [commented(cast, 5, HAPPY) for _ in range(3)]
    suggested(cast)
    drawn(cast, comments)
    for comment in comments:
        decide(cast, comment, POS)
        decide(cast, comment, POS, by="person:2")
    with acting(cast.acme.pk):
        assert agreement(cast.acme.pk, MAY).labelled == 0


def test_agreement_is_told_over_what_two_people_read_alike() -> None:
    found = agreement_of(
        [(NEG, [NEG, NEG])] * 3
        + [(POS, [NEG, NEG])]
        + [(POS, [POS, POS])] * 5
        + [(NEG, [POS, POS]), (NEG, [NEG, POS]), (POS, [UNCLEAR, UNCLEAR]), (POS, [POS])]
    )
    assert (found.labelled, found.alike, found.agreeing, found.share) == (12, 10, 8, None)
    assert (found.sensitivity, found.specificity) == (0.75, 5 / 6)
    assert agreement_of([]).sensitivity is None


def test_the_sample_of_an_earlier_quarter_is_forgotten(cast: Cast) -> None:
    comment = commented(cast, 5, HAPPY)
    suggested(cast)
    say(cast, *drawn(cast, [comment]), POS, POS)
    with acting(cast.acme.pk):
        assert agreement(cast.acme.pk, MAY + 90 * DAY).labelled == 1
        assert agreement(cast.acme.pk, MAY + 91 * DAY).labelled == 0
        assert agreement(cast.acme.pk, MAY - DAY).labelled == 0, "not read by then"


def test_what_somebody_read_is_final_and_two_are_enough(cast: Cast) -> None:
    comment = commented(cast, 5, ANGRY)
    suggested(cast)
    [one] = drawn(cast, [comment])
    say(cast, one, NEG)
    with pytest.raises(AlreadyRead, match="You have read"):
        say(cast, one, POS)
    with acting(cast.acme.pk):
        read_blind(drawn=one, sentiment=POS, by_key="person:5", by_name="Sam", at=MAY)
        with pytest.raises(AlreadyRead, match="Two people"):
            read_blind(drawn=one, sentiment=POS, by_key="person:6", by_name="Bea", at=MAY)
        with pytest.raises(DatabaseError), transaction.atomic():
            BlindReading.objects.update(sentiment=POS)
