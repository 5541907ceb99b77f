"""Letting answers into the live figures, in batches that point at nobody (TRUST.md decision 1).

A batch is a capability's waiting answers on one scale; answers about policy denials are batches of
their own. It is released whole, once it holds 5 that count, on the work of 3 agents or more.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from portal.tenancy.context import acting
from surveys.models import Answer, SurveyedEvent
from surveys.sweeping import each_organisation
from tickets.canonical import ActorKind, EventType

ENOUGH_ANSWERS = 5
ENOUGH_AGENTS = 3

#: An agent with several accounts is one person; work nobody is known to have done adds none.
_RELEASE = """
WITH waiting AS (
    SELECT answer.id, answer.late, event.capability_id, event.policy_denial, event.scale,
        coalesce('person ' || act.person_id, 'account ' || act.agent_id) AS agent
    FROM "surveys_answer" AS answer
    JOIN "surveys_surveyedevent" AS event ON event.id = answer.event_id
    LEFT JOIN "tickets_attribution" AS act
        ON act.tenant_id = event.tenant_id AND act.ticket_id = event.ticket_id
        AND act.event_key = event.event_key AND act.act = 'resolved'
    WHERE answer.tenant_id = %(tenant)s
        AND (answer.released_at IS NULL OR answer.changed_score IS NOT NULL)
), ready AS (
    SELECT capability_id, policy_denial, scale FROM waiting
    GROUP BY capability_id, policy_denial, scale
    HAVING count(*) FILTER (WHERE NOT late) >= %(answers)s
        AND count(DISTINCT agent) FILTER (WHERE NOT late) >= %(agents)s
)
UPDATE "surveys_answer" AS answer SET
    released_at = coalesce(answer.released_at, %(at)s),
    score = coalesce(answer.changed_score, answer.score),
    changed_score = NULL
FROM waiting JOIN ready
    ON waiting.capability_id IS NOT DISTINCT FROM ready.capability_id
    AND waiting.policy_denial = ready.policy_denial AND waiting.scale = ready.scale
WHERE answer.tenant_id = %(tenant)s AND answer.id = waiting.id
RETURNING answer.id
"""

#: Of ratings given more than once: did the last one go up, after an agent had written to the
#: requester behind the first one (METRICS.md G4)? Said with the batch, like the rating itself. Each
#: rating's words are looked up by its key: after a first import, before PostgreSQL has counted
#: anything, it would otherwise compare every rating with every word.
_SAY_WHAT_CHANGED = """
WITH said AS MATERIALIZED (
    SELECT released.id, word.*, (
            SELECT event.ticket_id FROM "surveys_answer" AS answer
            JOIN "surveys_surveyedevent" AS event
                ON event.tenant_id = answer.tenant_id AND event.id = answer.event_id
            WHERE answer.tenant_id = %(tenant)s AND answer.id = released.id
        ) AS ticket_id
    FROM unnest(%(released)s::bigint[]) AS released (id)
    CROSS JOIN LATERAL (
        SELECT (array_agg(word.score ORDER BY word.at, word.id))[1] AS first,
            (array_agg(word.score ORDER BY word.at DESC, word.id DESC))[1] AS last,
            min(word.at) AS since, max(word.at) AS until
        FROM "surveys_answerrevision" AS word
        WHERE word.tenant_id = %(tenant)s AND word.answer_id = released.id
        HAVING count(DISTINCT word.score) > 1
        OFFSET 0
    ) AS word
)
UPDATE "surveys_answer" AS answer SET changed = CASE
    WHEN said.last > said.first AND EXISTS (
        SELECT 1 FROM "tickets_ticketevent" AS told
        WHERE told.tenant_id = %(tenant)s AND told.ticket_id = said.ticket_id
            AND told.type = %(message)s AND told.actor_kind = %(agent)s AND told.public
            AND told.at > said.since AND told.at <= said.until)
    THEN %(raised)s ELSE %(changed)s END
FROM said WHERE answer.tenant_id = %(tenant)s AND answer.id = said.id
"""


def sweep(now: datetime) -> int:
    """Release every organisation's ready batches; return how many answers were released."""
    return each_organisation("Releasing answers", lambda tenant_id: _release_for(tenant_id, now))


def _release_for(tenant_id: int, now: datetime) -> int:
    with acting(tenant_id):
        return release_ready(tenant_id=tenant_id, now=now)


@transaction.atomic
def release_ready(*, tenant_id: int, now: datetime) -> int:
    """Release an organisation's ready batches; return how many answers were released.

    Needs the acting context and the worker's role: only workers may ask who did the work.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('surveys.releasing'), %s)", [tenant_id]
        )
        cursor.execute(
            _RELEASE,
            {
                "tenant": tenant_id,
                "answers": ENOUGH_ANSWERS,
                "agents": ENOUGH_AGENTS,
                "at": now,
            },
        )
        released = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            _SAY_WHAT_CHANGED,
            {
                "tenant": tenant_id,
                "released": released,
                "message": EventType.MESSAGE,
                "agent": ActorKind.AGENT,
                "changed": Answer.Changed.CHANGED,
                "raised": Answer.Changed.RAISED_AFTER_MESSAGE,
            },
        )
        return len(released)


def still_needed(event: SurveyedEvent) -> int:
    """How many more answers the batch of an event lacks; 0: enough answers, perhaps not agents.

    Agents are not counted: whoever asks here may not know who did the work.
    """
    waiting = Answer.objects.for_tenant(event.tenant_id).filter(
        released_at=None,
        late=False,
        event__capability=event.capability_id,
        event__policy_denial=event.policy_denial,
        event__scale=event.scale,
    )
    return max(0, ENOUGH_ANSWERS - waiting.count())
