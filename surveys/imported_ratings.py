"""Ratings from elsewhere, by import or API: recorded beside our own, response rate unknown.

Nobody here knows whom the other system asked, so there is no invitation: the event's decision is
`imported` and figures over it read "response rate unknown" (METRICS.md 1.12). The answers wait for
their batch like all others (TRUST.md decision 1, surveys/releasing.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.models import Due
from surveys.models import Answer, AnswerRevision, Comment, SurveyedEvent
from tickets.canonical import Flag
from tickets.models import Connection, Resolution, Ticket, ToldRating
from tickets.news import Rating, event_key
from tickets.ratings import PLACE, is_satisfaction
from tickets.segmenting import segments_at
from tickets.segments import Segments
from tickets.timeline import HandledBy

LONGEST_REMARK = 4_000
#: Tickets whose ratings are placed in one transaction.
BATCH = 500


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
    new = [key for key in fresh if key not in decided]
    who = segments_at(tenant_id, [(by_id[key[0]].requester_id, fresh[key].at) for key in new])
    decided |= {
        (event.ticket_id, event.event_key): event
        for event in SurveyedEvent.objects.bulk_create(
            SurveyedEvent(
                **_event(tenant_id, by_id[key[0]], resolutions.get(key), fresh[key], key[1]),
                segments=_with_handler(segments, resolutions.get(key)).packed,
            )
            for key, segments in zip(new, who, strict=True)
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
    _set_apart(known, wanted)
    return len(answers) + _revise(tenant_id, known, wanted, at)


def _key(rating: Rating) -> int:
    """The event a rating is about: its resolution, else the rating itself."""
    return rating.event_key if rating.event_key is not None else event_key(rating.ticket, "rated")


def _with_handler(segments: Segments, resolution: Resolution | None) -> Segments:
    if resolution is None:
        return segments
    return replace(segments, handled_by=HandledBy(resolution.handled_by))


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
        "policy_denial": rating.policy_denial
        or (resolution is not None and resolution.policy_denial),
        "scale": rating.scale,
    }


def _set_apart(known: dict[tuple[int, int], Answer], wanted: dict[tuple[int, int], Rating]) -> None:
    """Take over that a policy refused what was rated, before its answer is in any figure."""
    events = [
        answer.event
        for key, answer in known.items()
        if (rating := wanted.get(key))
        and rating.policy_denial
        and not answer.event.policy_denial
        and answer.released_at is None
    ]
    for event in events:
        event.policy_denial = True
    SurveyedEvent.objects.bulk_update(events, ["policy_denial"])


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
        if rating.scale != answer.event.scale:
            continue  # another question's: points of two scales are not each other's revision
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


def sweep(now: datetime) -> int:
    """Place the ratings that wait, as the worker; return how many were new or changed.

    A rating is about the last resolution before it was given. One whose ticket or resolution is not
    known yet is looked at again when news of the ticket comes.
    """
    placed = 0
    for tenant_id in due.tenants_due(PLACE, now):
        with acting(tenant_id):
            connections = list(Connection.objects.for_tenant(tenant_id))
        for connection in connections:
            while True:
                with acting(tenant_id):
                    names, number = _place_some(connection, now)
                placed += number
                if names < BATCH:
                    break
        with acting(tenant_id):
            Due.objects.filter(tenant_id=tenant_id, kind=PLACE, due_at__lte=now).delete()
            if ToldRating.objects.for_tenant(tenant_id).filter(waiting=True).exists():
                due.note(tenant_id, PLACE, now)
    return placed


def _place_some(connection: Connection, now: datetime) -> tuple[int, int]:
    """Place the ratings of some tickets; return how many tickets and how many ratings."""
    ratings = ToldRating.objects.for_tenant(connection.tenant_id).filter(connection=connection)
    waiting = ratings.filter(waiting=True)
    names = set(waiting.values_list("ticket_external_id", flat=True).distinct()[:BATCH])
    mine = ratings.filter(ticket_external_id__in=names)
    told = list(mine.order_by("said_at", "sequence", "word"))
    mine.filter(waiting=True).update(waiting=False)
    # The later word on a rating stands; that nobody answered in time takes no answer back.
    rated = (one for one in told if one.score is not None and is_satisfaction(one, connection))
    latest = {one.key: one for one in rated}
    denied = {one.key for one in told if one.outcome_reason == Flag.POLICY_DENIAL}
    resolutions: dict[str, list[Resolution]] = defaultdict(list)
    for resolution in (
        Resolution.objects.for_tenant(connection.tenant_id)
        .filter(ticket__connection=connection, ticket__external_id__in=names)
        .select_related("ticket")
        .order_by("at")
    ):
        resolutions[resolution.ticket.external_id].append(resolution)
    found = [
        rating
        for one in sorted(latest.values(), key=lambda one: (one.said_at, one.key))
        if (rating := _about(one, resolutions[one.ticket_external_id], one.key in denied))
        is not None
    ]
    number = record(tenant_id=connection.tenant_id, connection=connection, ratings=found, at=now)
    return len(names), number


def _about(
    told: ToldRating, resolutions: Sequence[Resolution], policy_denial: bool
) -> Rating | None:
    """The rating as one of the last resolution before it was given; None without score or one."""
    before = [resolution for resolution in resolutions if resolution.at <= told.said_at]
    if told.score is None or not before:
        return None
    return Rating(
        ticket=told.ticket_external_id,
        event_key=before[-1].event_key,
        at=before[-1].at,
        answered_at=told.said_at,
        score=told.score,
        remark=told.remark,
        scale=told.scale,
        policy_denial=policy_denial,
    )
