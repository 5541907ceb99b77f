"""One answer for one event, changeable until the window closes, with its history."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.tenancy.context import acting
from surveys import answering, links
from surveys.answering import AlreadyAnswered, Expired, NotAnswered, OwnTicket
from surveys.models import Answer, AnswerRevision, Comment
from surveys.question_types import ScoreOutsideScale
from tests import roles
from tests.factories import Cast
from tests.surveys.asking import (
    HOUR,
    NOON,
    agent_account,
    answer_of,
    invitation_of,
    invited,
)

WINDOW = timedelta(hours=14 * 24)
SECOND = timedelta(seconds=1)


@pytest.fixture
def token(cast: Cast, asking: None) -> str:
    return invited(cast)


def test_many_posts_of_one_link_make_one_answer(cast: Cast, token: str) -> None:
    for _ in range(5):
        answering.answer(token=token, score=4, at=NOON + HOUR)
    with acting(cast.acme.pk):
        assert Answer.objects.get().score == 4
        assert AnswerRevision.objects.count() == 1


def test_a_changed_answer_counts_and_the_earlier_one_is_kept(cast: Cast, token: str) -> None:
    answering.answer(token=token, score=2, at=NOON + HOUR)
    answering.answer(token=token, score=5, at=NOON + 2 * HOUR)
    question = answering.answer(token=token, score=5, at=NOON + 3 * HOUR)
    assert answer_of(token, cast).score == 5
    with acting(cast.acme.pk):
        assert answering.history(question) == [(NOON + HOUR, 2), (NOON + 2 * HOUR, 5)]


def test_the_window_closes_after_fourteen_days_its_last_instant_included(
    cast: Cast, token: str
) -> None:
    until = invitation_of(token, cast).window_until
    assert until == invitation_of(token, cast).sent_at + WINDOW  # type: ignore[operator]
    answering.answer(token=token, score=3, at=until)
    assert answer_of(token, cast).late is False
    with pytest.raises(AlreadyAnswered):
        answering.answer(token=token, score=1, at=until + SECOND)
    assert answer_of(token, cast).score == 3


def test_a_first_answer_after_the_window_is_kept_as_late_and_stays_late(
    cast: Cast, token: str
) -> None:
    until = invitation_of(token, cast).window_until
    assert until is not None
    answering.answer(token=token, score=3, at=until + SECOND)
    answering.answer(token=token, score=4, at=until + HOUR)
    late = answer_of(token, cast)
    assert (late.score, late.late) == (4, True)


def test_a_link_nobody_answered_closes_for_good(cast: Cast, token: str) -> None:
    until = invitation_of(token, cast).window_until
    assert until is not None
    with pytest.raises(Expired):
        answering.answer(token=token, score=3, at=until + WINDOW + SECOND)
    with acting(cast.acme.pk):
        assert not Answer.objects.exists()


def test_an_unknown_token_opens_nothing(cast: Cast, token: str) -> None:
    for wrong in ("", token[:-1], token.swapcase(), "x" * 43):
        with pytest.raises(links.UnknownLink):
            answering.answer(token=wrong, score=3, at=NOON)


@pytest.mark.parametrize("score", [0, 6, -1])
def test_a_score_outside_the_scale_is_refused(cast: Cast, token: str, score: int) -> None:
    with pytest.raises(ScoreOutsideScale):
        answering.answer(token=token, score=score, at=NOON + HOUR)
    with acting(cast.acme.pk):
        assert not Answer.objects.exists()


def test_whoever_resolved_it_may_not_answer_a_forwarded_link_and_a_colleague_may(
    cast: Cast, asking: None
) -> None:
    token = invited(cast, agent=agent_account(cast, cast.agnes))
    with pytest.raises(OwnTicket):
        answering.answer(token=token, score=5, at=NOON + HOUR, person_id=cast.agnes.pk)
    answering.answer(token=token, score=2, at=NOON + HOUR, person_id=cast.arjun.pk)
    assert answer_of(token, cast).score == 2


def test_words_are_kept_beside_the_rating_and_reasons_only_where_they_fit(
    cast: Cast, token: str
) -> None:
    with pytest.raises(NotAnswered):
        answering.add_words(token=token, text="hm", reasons=[], contact_allowed=False, at=NOON)
    answering.answer(token=token, score=1, at=NOON + HOUR)
    answering.add_words(
        token=token,
        text="  It still smokes\x00 " + "x" * 5_000,
        reasons=["not_working", "works", "made-up"],
        contact_allowed=True,
        at=NOON + HOUR,
    )
    with acting(cast.acme.pk):
        comment = Comment.objects.get()
        assert comment.text.startswith("It still smokes x")
        assert len(comment.text) == 4_000
        assert comment.reasons == ["not_working"]
    given = answer_of(token, cast)
    assert (given.contact_allowed, given.complete) == (True, True)
    answering.add_words(token=token, text="", reasons=[], contact_allowed=False, at=NOON + 2 * HOUR)
    assert answer_of(token, cast).complete is False
    with acting(cast.acme.pk):
        assert Comment.objects.get().text == ""


def test_a_change_after_the_release_waits_and_the_figures_keep_the_first(
    cast: Cast, token: str
) -> None:
    answering.answer(token=token, score=2, at=NOON + HOUR)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        Answer.objects.update(released_at=NOON + HOUR)
    answering.answer(token=token, score=5, at=NOON + 2 * HOUR)
    changed = answer_of(token, cast)
    assert (changed.score, changed.changed_score, changed.latest_score) == (2, 5, 5)
    question = answering.answer(token=token, score=2, at=NOON + 3 * HOUR)
    back = answer_of(token, cast)
    assert (back.score, back.changed_score) == (2, None)
    with acting(cast.acme.pk):
        assert [score for _, score in answering.history(question)] == [2, 5, 2]


def test_a_token_leads_to_its_own_organisation_whatever_was_entered_before(
    cast: Cast, token: str
) -> None:
    with acting(cast.globex.pk):
        answering.answer(token=token, score=4, at=NOON + HOUR)
    with acting(cast.globex.pk):
        assert not Answer.objects.exists()
    assert answer_of(token, cast).tenant_id == cast.acme.pk
