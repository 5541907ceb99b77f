"""Ratings from elsewhere: recorded once, released in batches, never with a response rate."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from portal.tenancy.context import acting
from surveys import imported_ratings
from surveys.models import Answer, AnswerRevision, Comment, Invitation, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.tickets.events import event
from tests.tickets.exports import SURVEY_HEADER, survey_row, write_csv
from tests.tickets.test_inbound import NOW, opened, resolved, send, swept, tell
from tickets.models import InboundOutcome, QuarantinedRow, ToldRating, WorkItem

ROWS = [
    survey_row("S1", "5", agent="Ann", remark="Quick and kind"),
    survey_row("S2", "4", agent="Ben"),
    survey_row("S3", "1", agent="Cy", remark="Still broken"),
    survey_row("S4", "5", agent="Ann"),
    survey_row("S5", "2", agent="Ben", responded="01/03/2026 23:00"),
    survey_row("S6", "5", agent="Ann", category="Refunds"),
]


def bring(cast: Cast, path: Path, rows: list[tuple[str, ...]]) -> None:
    write_csv(path, SURVEY_HEADER, rows)
    call_command(
        "import_tickets", "--organisation", "acme", "--source", "survey", "--mapping",
        "flat_with_score", str(path),
    )  # fmt: skip


@pytest.fixture
def imported(cast: Cast, worker: None, tmp_path: Path) -> Cast:
    bring(cast, tmp_path / "survey.csv", ROWS)
    return cast


def test_scores_and_remarks_are_recorded_beside_their_resolution(imported: Cast) -> None:
    with acting(imported.acme.pk):
        assert set(Answer.objects.values_list("event__ticket__external_id", "score")) == {
            (row[0], int(row[8])) for row in ROWS
        }
        assert set(Comment.objects.values_list("text", flat=True)) == {
            "Quick and kind", "Still broken",
        }  # fmt: skip
        events = SurveyedEvent.objects.all()
        assert {event.decision for event in events} == {"imported"}
        assert {event.capability.slug for event in events if event.capability} == {
            "returns", "refunds",
        }  # fmt: skip
        assert AnswerRevision.objects.count() == len(ROWS)


def test_nobody_is_said_to_have_been_invited(imported: Cast) -> None:
    with acting(imported.acme.pk):
        assert not Invitation.objects.exists()


def test_a_response_before_the_report_loses_its_instant_and_keeps_the_score(imported: Cast) -> None:
    with acting(imported.acme.pk):
        lost = QuarantinedRow.objects.get()
        assert (lost.row_number, lost.field, lost.row_refused) == (5, "issue_responded", False)
        item = WorkItem.objects.get(ticket__external_id="S5")
        assert (item.first_response_at, item.ended_at) == (None, None)
        answer = Answer.objects.get(event__ticket__external_id="S5")
        assert (answer.score, answer.event.at.date().isoformat()) == (2, "2026-03-04")


def test_five_answers_on_three_agents_work_are_released_and_fewer_wait(imported: Cast) -> None:
    with acting(imported.acme.pk):
        assert set(
            Answer.objects.filter(released_at=None).values_list("event__ticket__external_id")
        ) == {("S6",)}


def test_importing_again_adds_nothing_and_a_changed_score_is_the_latest_word(
    imported: Cast, tmp_path: Path
) -> None:
    bring(imported, tmp_path / "again.csv", ROWS)
    with acting(imported.acme.pk):
        assert AnswerRevision.objects.count() == len(ROWS)
    bring(imported, tmp_path / "later.csv", [survey_row("S6", "3", category="Refunds")])
    with acting(imported.acme.pk):
        answer = Answer.objects.get(event__ticket__external_id="S6")
        assert answer.score == 3
        assert set(answer.revisions.values_list("score", flat=True)) == {5, 3}


def test_a_change_after_the_release_waits_for_the_next_batch(
    imported: Cast, tmp_path: Path
) -> None:
    bring(imported, tmp_path / "later.csv", [survey_row("S1", "1", agent="Ann")])
    with acting(imported.acme.pk):
        answer = Answer.objects.get(event__ticket__external_id="S1")
        assert (answer.score, answer.changed_score) == (5, 1)


def test_an_answer_by_api_is_about_the_last_resolution_before_it(cast: Cast) -> None:
    opened(cast)
    resolved(cast)
    said = {"type": "csat.responded", "scale": "csat_1_5", "score": 4, "comment": "Works again"}
    send(cast, "a1", time="2026-03-02T12:00:00Z", rating="r1", **said)
    send(cast, "a2", time="2026-03-02T08:30:00Z", rating="r2", **said)
    swept()
    placed()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        answer = Answer.objects.get()
        assert (answer.score, answer.comment.text) == (4, "Works again")
        assert InboundOutcome.objects.filter(status="folded").count() == 5
        [early] = ToldRating.objects.exclude(said_at=answer.answered_at)
        assert not early.waiting, "kept, about no resolution that is known"


def placed() -> int:
    """Ratings placed by a sweep of the worker."""
    with roles.as_role(roles.WORKER):
        return imported_ratings.sweep(NOW)


def test_an_answer_that_comes_before_its_ticket_is_placed_when_the_ticket_comes(
    cast: Cast,
) -> None:
    rated(cast, "a1", 4, time="2026-03-02T12:00:00Z")
    swept()
    assert placed() == 0
    resolved(cast)
    opened(cast)
    swept()
    assert placed() == 1
    assert placed() == 0
    with acting(cast.acme.pk):
        assert Answer.objects.get().score == 4


def rated(cast: Cast, id_: str, score: int | None, **more: Any) -> None:
    """News of one survey response: its score, or that nobody answered in time."""
    said: dict[str, Any] = {"rating": "r1"}
    type_ = "csat.expired"
    if score is not None:
        type_, said = "csat.responded", {**said, "score": score, "scale": "csat_1_5"}
    at = more.pop("time")
    tell(cast, event(type_, id_, time=at, data=said, **more))


#: The last word is a 2: later, or of the same instant and with the larger sequence.
WORDS: list[dict[str, Any]] = [
    {"id_": "a1", "score": 5, "time": "2026-03-02T12:00:00Z"},
    {"id_": "a2", "score": 4, "time": "2026-03-02T12:30:00Z", "sequence": "1"},
    {"id_": "a3", "score": 2, "time": "2026-03-02T12:30:00Z", "sequence": "2"},
    {"id_": "a4", "score": None, "time": "2026-03-09T12:00:00Z"},
]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(len(WORDS)))))
def test_the_last_word_on_a_rating_stands_however_the_words_come(
    cast: Cast, order: tuple[int, ...], apart: bool
) -> None:
    opened(cast)
    resolved(cast)
    for index in order:
        rated(cast, **WORDS[index])
        if apart:
            swept()
            placed()
    swept()
    placed()
    with acting(cast.acme.pk):
        assert Answer.objects.get().score == 2


@pytest.mark.parametrize("scores", [(5, 3), (3, 5)])
def test_two_words_of_one_instant_without_a_sequence_end_the_same_both_ways(
    cast: Cast, scores: tuple[int, ...]
) -> None:
    opened(cast)
    resolved(cast)
    for score in scores:
        rated(cast, f"a{score}", score, time="2026-03-02T12:00:00Z")
        swept()
        placed()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        larger = ToldRating.objects.order_by("word").last()
        assert ToldRating.objects.count() == 2
        assert larger is not None
        assert Answer.objects.get().score == larger.score
