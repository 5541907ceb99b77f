"""Ratings from elsewhere: recorded once, released in batches, never with a response rate."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, ProgrammingError, transaction

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from surveys import imported_ratings
from surveys.models import Answer, AnswerRevision, Comment, Invitation, SurveyedEvent
from tests import roles
from tests.factories import Cast, TicketFactory
from tests.tickets.connectors.entering import connected
from tests.tickets.events import event
from tests.tickets.exports import SURVEY_HEADER, survey_row, write_csv
from tests.tickets.test_inbound import NOW, opened, resolved, send, swept, tell
from tickets.access import change_access
from tickets.models import (
    AgentAccount,
    Attribution,
    InboundOutcome,
    QuarantinedRow,
    RefoldWork,
    ToldRating,
    WorkItem,
)

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
    at, reason = more.pop("time"), more.pop("reason", "")
    if reason:
        said["outcome_reason"] = reason
    tell(cast, event(type_, id_, time=at, data=said, **more))


def said_in_order(
    cast: Cast, words: list[dict[str, Any]], order: tuple[int, ...], *, apart: bool
) -> None:
    """Ratings of a resolved ticket in this order, placed one by one or together."""
    opened(cast)
    resolved(cast)
    for index in order:
        rated(cast, **words[index])
        if apart:
            swept()
            placed()
    swept()
    placed()


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
    said_in_order(cast, WORDS, order, apart=apart)
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


# --- questions and agents -------------------------------------------------------------------------


def asked(cast: Cast, id_: str, score: int, question: str, **more: Any) -> None:
    """An answer to one question of a survey."""
    said = {"rating": "r1", "score": score, "scale": "csat_1_5", "question": question, **more}
    tell(cast, event("csat.responded", id_, time="2026-03-02T12:00:00Z", data=said))


def choose(cast: Cast, question: str) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        cast.desk.options = {"csat_question": question}
        cast.desk.save()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_only_the_question_that_asks_for_satisfaction_is_counted(
    cast: Cast, order: tuple[int, ...]
) -> None:
    choose(cast, "overall")
    opened(cast)
    resolved(cast)
    answers = [("a1", 2, "speed"), ("a2", 5, "overall"), ("a3", 1, "again")]
    for place in order:
        asked(cast, *answers[place])
    swept()
    assert placed() == 1
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert Answer.objects.get().score == 5
        kept = set(ToldRating.objects.values_list("question", "score"))
        assert kept == {(question, score) for _, score, question in answers}
        assert len(set(ToldRating.objects.values_list("key", flat=True))) == 3


def test_a_question_nobody_chose_is_kept_and_said_to_count_for_nothing(cast: Cast) -> None:
    opened(cast)
    resolved(cast)
    asked(cast, "a1", 5, "overall")
    swept()
    assert placed() == 0
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert ToldRating.objects.get().score == 5
        [told] = [one for one in InboundOutcome.objects.all() if one.errors]
        assert "csat_question" in told.errors[0]["reason"]
    rated(cast, "a2", 3, time="2026-03-02T12:00:00Z")  # the control: without a question it is
    swept()
    assert placed() == 1


def test_who_had_it_when_it_was_rated_is_a_random_key_and_figures_go_by_the_resolution(
    cast: Cast,
) -> None:
    opened(cast)
    resolved(cast)
    said = {"rating": "r1", "score": 4, "scale": "csat_1_5", "agent": "sam@acme.example"}
    tell(cast, event("csat.responded", "a1", time="2026-03-02T12:00:00Z", data=said))
    swept()
    assert placed() == 1
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        rating = ToldRating.objects.get()
        account = AgentAccount.objects.get(actor_key=rating.agent_key)
        assert account.external_id == "sam@acme.example"
        # In no column of the rating does it stand in clear.
        plain = [str(value) for value in ToldRating.objects.values().get().values()]
        assert not any("sam" in value for value in plain)
        resolver = Attribution.objects.get(act="resolved")
        assert resolver.agent_id != account.pk
        assert Answer.objects.get().event.event_key == resolver.event_key
    with roles.as_role(roles.WEB), acting(cast.acme.pk):
        with pytest.raises(ProgrammingError), transaction.atomic():
            ToldRating.objects.count()


def test_points_of_another_questions_scale_revise_no_answer(cast: Cast) -> None:
    choose(cast, "overall")
    opened(cast)
    resolved(cast)
    asked(cast, "a1", 5, "overall")
    swept()
    placed()
    choose(cast, "thumbs")
    said = {"rating": "r1", "score": 1, "scale": "two_point", "question": "thumbs"}
    tell(cast, event("csat.responded", "a2", time="2026-03-02T12:00:00Z", data=said))
    swept()
    assert placed() == 0
    with acting(cast.acme.pk):
        assert Answer.objects.get().latest_score == 5


@pytest.mark.parametrize(("question", "again"), [("01B", 1), ("01A", 0)])
def test_choosing_another_question_places_the_ratings_again(
    cast: Cast, question: str, again: int
) -> None:
    options = {"csat_question": "01A"}
    live = connected(cast, "zendesk", {"states": {}, "severities": {}}, options=options)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        TicketFactory(tenant=cast.acme, connection=live)
        RefoldWork.objects.all().delete()
        change_access(
            connection=live, base_url=live.base_url, answers={"csat_question": question},
            by=SYSTEM, at=NOW,
        )  # fmt: skip
        assert RefoldWork.objects.filter(connection=live).count() == again


# --- refusals by policy ---------------------------------------------------------------------------


REFUSED: list[dict[str, Any]] = [
    {"id_": "a1", "score": 2, "time": "2026-03-02T12:00:00Z"},
    {"id_": "a2", "score": 2, "time": "2026-03-02T12:30:00Z", "reason": "policy_denial"},
    {"id_": "a3", "score": 2, "time": "2026-03-02T13:00:00Z"},
]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(len(REFUSED)))))
def test_an_answer_about_a_refusal_by_policy_is_set_apart_however_its_words_come(
    cast: Cast, order: tuple[int, ...], apart: bool
) -> None:
    said_in_order(cast, REFUSED, order, apart=apart)
    with acting(cast.acme.pk):
        assert Answer.objects.get().event.policy_denial


def test_an_answer_nobody_called_a_refusal_is_one_about_the_service(cast: Cast) -> None:
    opened(cast)
    resolved(cast)
    rated(cast, **REFUSED[0])
    swept()
    placed()
    with acting(cast.acme.pk):
        assert not Answer.objects.get().event.policy_denial


def test_an_answer_that_is_in_figures_is_not_taken_out_of_them_by_a_later_reason(
    cast: Cast,
) -> None:
    opened(cast)
    resolved(cast)
    rated(cast, **REFUSED[0])
    swept()
    placed()
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Answer.objects.update(released_at=NOW)
    rated(cast, **REFUSED[1])
    swept()
    placed()
    with acting(cast.acme.pk):
        assert not Answer.objects.get().event.policy_denial


def test_a_reason_nobody_knows_is_refused_by_the_database(cast: Cast) -> None:
    opened(cast)
    resolved(cast)
    rated(cast, **REFUSED[1])
    swept()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        with pytest.raises(IntegrityError, match="told_rating_outcome_reason"):
            with transaction.atomic():
                ToldRating.objects.update(outcome_reason="weather")
        assert ToldRating.objects.get().outcome_reason == "policy_denial"
