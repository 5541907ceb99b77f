"""Answering: one answer for one event, changeable until the window closes, with its history.

A link is all that is needed; it leads to its organisation. What cannot be answered is refused by
an exception that names the fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from portal.tenancy import context
from surveys import links
from surveys.asking_rules import WINDOW
from surveys.links import UnknownLink
from surveys.models import Answer, AnswerRevision, Comment, Invitation, SurveyedEvent
from surveys.wording import Wording, wording_of
from tickets.models import Attribution, Resolution

#: After the window an answer is still taken, as *late*: read, not counted (METRICS.md M01).
LATE = WINDOW
LONGEST_COMMENT = 4_000


class Refused(Exception):
    """An answer that is not taken; nothing was recorded."""


class Expired(Refused):
    """Nobody answered in time; the link has closed."""


class AlreadyAnswered(Refused):
    """The answer stands; the time for changing it is over."""


class OwnTicket(Refused):
    """Whoever resolved the ticket wants to answer about it (METRICS.md M01)."""


class NotAnswered(Refused):
    """Words came before any rating; the rating comes first."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a link leads to, as it stands."""

    token: str
    invitation: Invitation
    event: SurveyedEvent
    wording: Wording
    answer: Answer | None

    @property
    def window_until(self) -> datetime | None:
        """Answers count up to here; None while nobody knows when the mail went out."""
        return self.invitation.window_until

    @property
    def closes_at(self) -> datetime | None:
        """The last instant at which this question takes an answer or a change."""
        until = self.invitation.window_until
        if until is None or (self.answer is not None and not self.answer.late):
            return until
        return until + LATE

    def is_late(self, at: datetime) -> bool:
        """Whether an answer given at `at` is read but not counted; the boundary still counts."""
        until = self.invitation.window_until
        return until is not None and at > until

    def check_open(self, at: datetime) -> None:
        """Raises AlreadyAnswered or Expired where nothing is taken at `at`."""
        closes = self.closes_at
        if closes is not None and at > closes:
            raise AlreadyAnswered if self.answer is not None else Expired


def enter_question(token: str) -> Question:
    """Enter the organisation a token leads to and return its question. Raises UnknownLink.

    The context holds for the rest of the running transaction.
    """
    tenant_id = links.tenant_of(token)
    person_id = context.current()[1]
    context.enter(tenant_id, person_id=person_id)
    return _question(token, tenant_id)


def _question(token: str, tenant_id: int) -> Question:
    invitation = (
        Invitation.objects.for_tenant(tenant_id)
        .filter(token_digest=links.digest(token))
        .select_related("event__ticket", "event__capability__domain", "tenant")
        .first()
    )
    if invitation is None:
        raise UnknownLink
    event = invitation.event
    domain = event.capability.domain if event.capability else None
    return Question(
        token=token,
        invitation=invitation,
        event=event,
        wording=wording_of(domain.key if domain else None),
        answer=Answer.objects.for_tenant(tenant_id).filter(event=event).first(),
    )


#: One statement: the answer, or its change, and what was said each time. A change after the
#: release waits in `changed_score` for the next batch. The same score again changes nothing.
_RECORD = """
WITH kept AS (
    INSERT INTO "surveys_answer" AS mine
        (tenant_id, event_id, score, answered_at, late, contact_allowed, complete)
    VALUES (%(tenant)s, %(event)s, %(score)s, %(at)s, %(late)s, false, false)
    ON CONFLICT (event_id) DO UPDATE SET
        score = CASE WHEN mine.released_at IS NULL THEN excluded.score ELSE mine.score END,
        changed_score = CASE
            WHEN mine.released_at IS NULL OR excluded.score = mine.score THEN NULL
            ELSE excluded.score
        END,
        answered_at = excluded.answered_at
    WHERE coalesce(mine.changed_score, mine.score) <> excluded.score
    RETURNING mine.id
)
INSERT INTO "surveys_answerrevision" (tenant_id, answer_id, score, at)
SELECT %(tenant)s, id, %(score)s, %(at)s FROM kept
"""


@transaction.atomic
def answer(*, token: str, score: int, at: datetime, person_id: int | None = None) -> Question:
    """Record a rating, or a changed one; return the question with its answer.

    The last rating given in the window counts; a first one after it is kept as late. Many posts of
    one link make one answer. `person_id` is the signed-in reader, if any. Raises UnknownLink,
    Expired, AlreadyAnswered, OwnTicket and ScoreOutsideScale.
    """
    tenant_id = links.tenant_of(token)
    context.enter(tenant_id, person_id=person_id)
    question = _question(token, tenant_id)
    question.check_open(at)
    question.wording.question_type.check(score)
    if person_id is not None and _resolved_by(question.event, person_id):
        raise OwnTicket
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "tenant": tenant_id,
                "event": question.event.pk,
                "score": score,
                "at": at,
                "late": question.is_late(at),
            },
        )
    return _question(token, tenant_id)


def _resolved_by(event: SurveyedEvent, person_id: int) -> bool:
    """Whether the person resolved it; the database shows only their own attribution anyway."""
    return (
        Attribution.objects.for_tenant(event.tenant_id)
        .filter(
            act=Attribution.Act.RESOLVED,
            ticket_id=event.ticket_id,
            event_key=event.event_key,
            person_id=person_id,
        )
        .exists()
    )


@transaction.atomic
def add_words(
    *, token: str, text: str, reasons: Sequence[str], contact_allowed: bool, at: datetime
) -> Question:
    """Keep the comment, the reasons and whether we may get in touch; return the question.

    Reasons that are not offered for the score are dropped, and a longer text is cut at 4,000
    characters, as the form says. Raises UnknownLink, Expired, AlreadyAnswered and NotAnswered.
    """
    tenant_id = links.tenant_of(token)
    context.enter(tenant_id, person_id=context.current()[1])
    question = _question(token, tenant_id)
    question.check_open(at)
    given = question.answer
    if given is None:
        raise NotAnswered
    offered = question.wording.reasons_for(given.latest_score)
    kept = [key for key in offered if key in reasons]
    words = text.replace("\x00", "").strip()[:LONGEST_COMMENT]
    Comment.objects.bulk_create(
        [Comment(tenant_id=tenant_id, answer=given, text=words, at=at, reasons=kept)],
        update_conflicts=True,
        unique_fields=["answer"],
        update_fields=["text", "at", "reasons"],
    )
    given.contact_allowed = contact_allowed
    given.complete = bool(words and kept)
    given.save(update_fields=["contact_allowed", "complete"])
    return _question(token, tenant_id)


def comment_of(question: Question) -> Comment | None:
    """The words kept beside the answer so far."""
    if question.answer is None:
        return None
    return Comment.objects.filter(answer=question.answer).first()


def history(question: Question) -> list[tuple[datetime, int]]:
    """Every rating given, oldest first."""
    if question.answer is None:
        return []
    rows = AnswerRevision.objects.filter(answer=question.answer).order_by("at", "pk")
    return list(rows.values_list("at", "score"))


def reopened_since(question: Question) -> bool:
    """Whether the ticket came back after the resolution that was asked about."""
    resolutions = Resolution.objects.for_tenant(question.event.tenant_id)
    return resolutions.filter(
        ticket_id=question.event.ticket_id,
        event_key=question.event.event_key,
        reopen_at__isnull=False,
    ).exists()
