"""Ratings from elsewhere, by import or API: recorded beside our own, response rate unknown.

Nobody here knows whom the other system asked, so there is no invitation: the event's decision is
`imported` and figures over it read "response rate unknown" (METRICS.md 1.12). The answers wait for
their batch like all others (TRUST.md decision 1, surveys/releasing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from surveys.models import Answer, AnswerRevision, Comment, SurveyedEvent
from tickets.inbound import Unusable, handles, instant
from tickets.models import Connection, InboundMessage, Resolution, Ticket
from tickets.news import Rating, event_key

LONGEST_REMARK = 4_000


@transaction.atomic
def record(
    *, tenant_id: int, connection: Connection, ratings: Sequence[Rating], at: datetime
) -> int:
    """Record ratings of tickets that are stored; return how many were new or changed.

    Recording the same ratings again changes nothing. A rating that differs from the stored one is
    the respondent's latest word: it counts, and the earlier one stays in the history. `at` is when
    the import heard of it, which dates such a change.
    """
    named = {rating.ticket for rating in ratings}
    tickets = {
        ticket.external_id: ticket
        for ticket in Ticket.objects.for_tenant(tenant_id).filter(
            connection=connection, external_id__in=named
        )
    }
    resolutions = {
        (resolution.ticket_id, resolution.event_key): resolution
        for resolution in Resolution.objects.for_tenant(tenant_id).filter(
            ticket__in=[ticket.pk for ticket in tickets.values()]
        )
    }
    wanted: dict[tuple[int, int], Rating] = {}
    for rating in ratings:
        ticket = tickets[rating.ticket]
        wanted[(ticket.pk, _key(rating))] = rating
    known = {
        (answer.event.ticket_id, answer.event.event_key): answer
        for answer in Answer.objects.for_tenant(tenant_id)
        .filter(event__ticket__in={ticket_id for ticket_id, _ in wanted})
        .select_related("event")
    }
    by_id = {ticket.pk: ticket for ticket in tickets.values()}
    fresh = {key: rating for key, rating in wanted.items() if key not in known}
    decided = {
        (event.ticket_id, event.event_key): event
        for event in SurveyedEvent.objects.for_tenant(tenant_id).filter(
            ticket__in={ticket_id for ticket_id, _ in fresh}
        )
    }
    decided |= {
        (event.ticket_id, event.event_key): event
        for event in SurveyedEvent.objects.bulk_create(
            [
                SurveyedEvent(
                    **_event(tenant_id, by_id[key[0]], resolutions.get(key), rating, key[1])
                )
                for key, rating in fresh.items()
                if key not in decided
            ]
        )
    }
    events = [decided[key] for key in fresh]
    answers = Answer.objects.bulk_create(
        [
            Answer(
                tenant_id=tenant_id,
                event=event,
                score=rating.score,
                answered_at=rating.answered_at,
            )
            for event, rating in zip(events, fresh.values(), strict=True)
        ]
    )
    AnswerRevision.objects.bulk_create(
        AnswerRevision(
            tenant_id=tenant_id, answer=answer, score=answer.score, at=answer.answered_at
        )
        for answer in answers
    )
    Comment.objects.bulk_create(
        Comment(
            tenant_id=tenant_id,
            answer=answer,
            text=rating.remark[:LONGEST_REMARK],
            at=answer.answered_at,
        )
        for answer, rating in zip(answers, fresh.values(), strict=True)
        if rating.remark
    )
    return len(answers) + _revise(tenant_id, known, wanted, at)


def _key(rating: Rating) -> int:
    """The event a rating is about: its resolution, else the rating itself."""
    return rating.event_key if rating.event_key is not None else event_key(rating.ticket, "rated")


def _event(
    tenant_id: int, ticket: Ticket, resolution: Resolution | None, rating: Rating, key: int
) -> dict[str, Any]:
    """The values that held at the rated resolution, or as the ticket stands where it is unknown."""
    held: Resolution | Ticket = resolution or ticket
    return {
        "tenant_id": tenant_id,
        "ticket": ticket,
        "event_key": key,
        "at": rating.at,
        "decision": SurveyedEvent.Decision.IMPORTED,
        "capability_id": held.capability_id,
        "severity": held.severity,
        "channel": ticket.channel,
        "requester_id": ticket.requester_id,
        "policy_denial": resolution.policy_denial if resolution else False,
        "scale": rating.scale,
    }


def _revise(
    tenant_id: int,
    known: dict[tuple[int, int], Answer],
    wanted: dict[tuple[int, int], Rating],
    at: datetime,
) -> int:
    """Take over scores that changed since they were recorded."""
    changed = []
    for key, answer in known.items():
        rating = wanted.get(key)
        if rating is None or rating.score == answer.latest_score:
            continue
        if answer.released_at is None:
            answer.score = rating.score
        else:  # waits for the next batch, like every change after the release
            answer.changed_score = None if rating.score == answer.score else rating.score
        answer.answered_at = at
        changed.append(answer)
    Answer.objects.bulk_update(changed, ["score", "changed_score", "answered_at"])
    AnswerRevision.objects.bulk_create(
        AnswerRevision(tenant_id=tenant_id, answer=answer, score=answer.latest_score, at=at)
        for answer in changed
    )
    return len(changed)


@handles("answer")
def enter_answer(message: InboundMessage, connection: Connection) -> list[dict[str, str]]:
    """Enter an answer another tool collected, about the last resolution before it was given.

    Raises Unusable where the ticket or a resolution of it is not known.
    """
    body = message.body
    answered_at = instant(body.get("time"))
    score = body.get("score")
    if not isinstance(score, int) or not 1 <= score <= 5:
        raise Unusable({"field": "score", "reason": f"{score!r} is not a whole number from 1 to 5"})
    resolution = (
        Resolution.objects.for_tenant(message.tenant_id)
        .filter(
            ticket__connection=connection,
            ticket__external_id=str(body.get("ticket")),
            at__lte=answered_at,
        )
        .select_related("ticket")
        .order_by("-at")
        .first()
    )
    if resolution is None:
        raise Unusable(
            {
                "field": "ticket",
                "reason": "no resolution of this ticket before the answer is known;"
                " send the ticket first, then the answer again under a new id",
            }
        )
    rating = Rating(
        ticket=resolution.ticket.external_id,
        event_key=resolution.event_key,
        at=resolution.at,
        answered_at=answered_at,
        score=score,
        remark=str(body.get("comment") or ""),
        scale="csat_1_5",
    )
    record(
        tenant_id=message.tenant_id,
        connection=connection,
        ratings=[rating],
        at=message.received_at,
    )
    return []
