"""What people of the demo said when they were asked, and why others were not asked."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import connection

from portal.demo import SEED
from portal.demo.world import SERVICES, Service
from surveys import fatigue
from surveys.links import digest, new_token
from surveys.models import (
    Answer,
    AnswerRevision,
    Campaign,
    Comment,
    Invitation,
    NotSent,
    SurveyedEvent,
)
from tickets.segmenting import segments_at
from tickets.timeline import HandledBy

WINDOW = timedelta(days=14)

_COMMENTS = {
    "denied": (
        "Polite, but the rule makes no sense for our team.",
        "I was told no without being told why the policy exists.",
        "The answer came fast. The policy behind it helps nobody.",
        "A friendly no is still a no, and nobody said who decides.",
    ),
    "back": (
        "It was closed, and the next morning it was back.",
        "Friendly, but it did not help: the problem is still there.",
        "Marked as solved and still not working here.",
        "Closed too early: it is still broken on my machine.",
        "Not fixed, only closed. I had to explain again what I wrote the first time.",
        "Third time I describe the same thing, and it is not solved.",
    ),
    "slow": (
        "I waited two days for a first useful word.",
        "Nobody told me when to expect anything, so I waited.",
        "It took ages until somebody looked at it.",
        "Waited a week, and the answer was one line.",
        "Passed around between two teams before anything moved.",
        "Much too slow for something that stops my work.",
    ),
    "self": (
        "Why can I not do this myself?",
        "A form would have been quicker for everyone.",
        "I waited for somebody to press a button I could press.",
    ),
    "good": (
        "Solved while I was still explaining.",
        "Quick answer, and it still works.",
        "Kind and quick, thank you.",
        "Explained what went wrong, that helped.",
        "Friendly on the phone and fixed right away.",
        "Quick and patient, even with my third question.",
        "Very helpful: I understood what was wrong.",
        "Clear steps, worked at once.",
    ),
    "odd": (
        "Five stars for the person. The system itself is still broken.",
        "Nice people. The program fails every Monday all the same.",
        "Great service, terrible software.",
    ),
}


def is_pleased(text: str) -> bool:
    """What a person reads in a comment of the demo: whether somebody was glad."""
    return text in _COMMENTS["good"]


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A resolution as the survey saw it."""

    ticket: int
    external_id: str
    event_key: int
    at: datetime
    opened_at: datetime
    capability: int
    slug: str
    severity: str
    channel: str
    requester: int
    has_address: bool
    policy_denial: bool
    reopened: bool
    late: bool
    handled_by: str
    replies: int


_RESOLVED = """
    SELECT r.ticket_id, t.external_id, r.event_key, r.at, w.opened_at, r.capability_id, c.slug,
           r.severity, t.channel, t.requester_id, q.email <> '', r.policy_denial, r.reopened,
           coalesce(r.clock_s > w.resolution_target_s, false), r.handled_by,
           (SELECT count(*) FROM "tickets_ticketevent" e
             WHERE e.tenant_id = r.tenant_id AND e.ticket_id = r.ticket_id AND e.at <= r.at
               AND e.type = 'ticket.message' AND e.public AND e.actor_kind = 'agent')
      FROM "tickets_resolution" r
      JOIN "tickets_workitem" w ON (w.tenant_id, w.id) = (r.tenant_id, r.work_item_id)
      JOIN "tickets_ticket" t ON (t.tenant_id, t.id) = (r.tenant_id, r.ticket_id)
      JOIN "tickets_requester" q ON (q.tenant_id, q.id) = (t.tenant_id, t.requester_id)
      JOIN "catalogue_capability" c ON (c.tenant_id, c.id) = (r.tenant_id, r.capability_id)
     WHERE r.tenant_id = %s AND r.at < %s
     ORDER BY r.at, t.external_id, r.event_key
"""


@dataclass
class _Rows:
    """Rows to write, table by table, in the order of their references."""

    events: list[SurveyedEvent] = field(default_factory=list)
    invitations: list[Invitation] = field(default_factory=list)
    not_sent: list[NotSent] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    revisions: list[AnswerRevision] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    def write(self) -> None:
        """Write everything."""
        SurveyedEvent.objects.bulk_create(self.events, batch_size=2000)
        Invitation.objects.bulk_create(self.invitations, batch_size=2000)
        NotSent.objects.bulk_create(self.not_sent, batch_size=2000)
        Answer.objects.bulk_create(self.answers, batch_size=2000)
        AnswerRevision.objects.bulk_create(self.revisions, batch_size=2000)
        Comment.objects.bulk_create(self.comments, batch_size=2000)


def ask_and_answer(*, campaign: Campaign, now: datetime) -> int:
    """Ask about every resolution up to an hour ago as the rules say; return the answers given.

    Runs inside `acting()` as the owner. The worker itself asks about what is resolved from then on.
    """
    limits = fatigue.Limits(
        delay=timedelta(minutes=campaign.delay_minutes),
        per_7_days=campaign.limit_7_days,
        per_90_days=campaign.limit_90_days,
        effort_threshold=timedelta(minutes=campaign.effort_threshold_minutes),
        sampling=float(campaign.sampling),
    )
    services = {service.slug: service for service in SERVICES}
    asked: dict[int, list[datetime]] = defaultdict(list)
    rows = _Rows()
    everything = list(_resolutions(campaign.tenant_id, now - timedelta(hours=1)))
    people = segments_at(campaign.tenant_id, [(one.requester, one.at) for one in everything])
    for resolved, who in zip(everything, people, strict=True):
        event = _event(campaign, resolved)
        event.segments = replace(who, handled_by=HandledBy(resolved.handled_by)).packed
        rows.events.append(event)
        reason = _reason(resolved, limits, asked[resolved.requester])
        if reason is not None:
            event.decision = SurveyedEvent.Decision.NOT_SENT
            rows.not_sent.append(
                NotSent(tenant_id=campaign.tenant_id, event=event, reason=reason.value)
            )
            continue
        sent_at = resolved.at + limits.delay
        asked[resolved.requester].append(sent_at)
        rows.invitations.append(_invitation(campaign.tenant_id, event, resolved, sent_at))
        _answer(rows, event, resolved, service=services[resolved.slug], sent_at=sent_at, now=now)
    rows.write()
    return len(rows.answers)


def _resolutions(tenant_id: int, before: datetime) -> Iterator[_Resolved]:
    with connection.cursor() as cursor:
        cursor.execute(_RESOLVED, [tenant_id, before])
        for row in cursor.fetchall():
            yield _Resolved(*row)


def _event(campaign: Campaign, resolved: _Resolved) -> SurveyedEvent:
    return SurveyedEvent(
        tenant_id=campaign.tenant_id,
        ticket_id=resolved.ticket,
        event_key=resolved.event_key,
        at=resolved.at,
        decision=SurveyedEvent.Decision.INVITED,
        campaign=campaign,
        capability_id=resolved.capability,
        severity=resolved.severity,
        channel=resolved.channel,
        requester_id=resolved.requester,
        policy_denial=resolved.policy_denial,
    )


def _reason(
    resolved: _Resolved, limits: fatigue.Limits, asked_at: list[datetime]
) -> fatigue.Reason | None:
    event = fatigue.Event(
        at=resolved.at,
        took=resolved.at - resolved.opened_at,
        replies=resolved.replies,
        draw=fatigue.draw(resolved.external_id, resolved.event_key),
        has_address=resolved.has_address,
        asked_at=asked_at,
    )
    return fatigue.reason_not_to_ask(event, limits=limits, now=resolved.at)


def _invitation(
    tenant_id: int, event: SurveyedEvent, resolved: _Resolved, sent_at: datetime
) -> Invitation:
    name = f"{SEED}:{resolved.external_id}:{resolved.event_key}"
    message_id = uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16])
    bounced = _dice(resolved, "bounce").random() < 0.02
    return Invitation(
        tenant_id=tenant_id,
        event=event,
        state=Invitation.State.BOUNCED if bounced else Invitation.State.SENT,
        due_at=sent_at,
        attempts=1,
        message_id=message_id,
        token_digest=digest(new_token(message_id)),
        sent_at=sent_at,
        window_until=sent_at + WINDOW,
    )


def _answer(
    rows: _Rows,
    event: SurveyedEvent,
    resolved: _Resolved,
    *,
    service: Service,
    sent_at: datetime,
    now: datetime,
) -> None:
    dice = _dice(resolved, "answer")
    if dice.random() > 0.36:
        return
    answered_at = sent_at + timedelta(hours=dice.lognormvariate(1.2, 1.3))
    if answered_at >= now or answered_at > sent_at + WINDOW:
        return
    score = _score(dice, resolved, service)
    text = _text(dice, resolved, service, score)
    answer = Answer(
        tenant_id=event.tenant_id,
        event=event,
        score=score,
        answered_at=answered_at,
        complete=text is not None or dice.random() < 0.7,
    )
    rows.answers.append(answer)
    rows.revisions.append(
        AnswerRevision(tenant_id=event.tenant_id, answer=answer, score=score, at=answered_at)
    )
    if text is not None:
        rows.comments.append(
            Comment(tenant_id=event.tenant_id, answer=answer, text=text, at=answered_at)
        )


def _score(dice: random.Random, resolved: _Resolved, service: Service) -> int:
    pleased = service.pleased
    pleased -= 0.38 * resolved.reopened + 0.22 * resolved.late + 0.6 * resolved.policy_denial
    if dice.random() < max(0.05, pleased):
        return dice.choices((4, 5), (2, 3))[0]
    return dice.choices((3, 2, 1), (4, 3, 3))[0]


def _text(dice: random.Random, resolved: _Resolved, service: Service, score: int) -> str | None:
    if dice.random() > (0.4 if score >= 4 else 0.9):
        return None
    if resolved.policy_denial:
        kind = "denied"
    elif resolved.reopened:
        kind = "odd" if score >= 4 else "back"
    elif score >= 4:
        kind = "good"
    else:
        kind = "self" if service.self_service and dice.random() < 0.5 else "slow"
    return dice.choice(_COMMENTS[kind])


def _dice(resolved: _Resolved, purpose: str) -> random.Random:
    return random.Random(f"{SEED}:{purpose}:{resolved.external_id}:{resolved.event_key}")
