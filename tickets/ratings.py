"""Ratings that help desks told: kept whenever they come; surveys place them (surveys)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple
from datetime import datetime

from django.db import connection as database

from portal.tenancy import due
from portal.tenancy.hints import hint
from tickets.accounts import ensure_accounts
from tickets.connectors import connector_of
from tickets.lens import NAMED
from tickets.models import Connection, ToldRating
from tickets.news import RatingTold, event_key

#: The kind of `Due` row that leads a worker to ratings that have to be placed.
PLACE = "ratings"


def store(connection: Connection, told: Sequence[RatingTold], *, at: datetime) -> None:
    """Keep ratings; the same word on the same rating is kept once."""
    if not told:
        return
    agents = ensure_accounts(connection, {one.agent for one in told if one.agent})
    ToldRating.objects.bulk_create(
        (
            ToldRating(
                tenant_id=connection.tenant_id,
                connection=connection,
                ticket_external_id=one.ticket,
                key=event_key(one.id) if one.alone else event_key(one.id, one.question),
                said_at=one.said_at,
                sequence=one.sequence[:40],
                word=_word(one, agents),
                offered_at=one.offered_at,
                outcome=one.outcome,
                score=one.score,
                scale=one.scale,
                raw=one.raw[:100],
                remark=one.remark,
                question=one.question,
                alone=one.alone,
                agent_key=agents.get(one.agent),
                outcome_reason=one.outcome_reason,
            )
            for one in told
        ),
        ignore_conflicts=True,
    )
    _wake(connection, at)


def _word(one: RatingTold, agents: dict[str, str]) -> int:
    """Of everything it says, its agent by their random key: a hash of names could be guessed."""
    *said, question, alone, _, reason = astuple(one)
    more = (question, alone, agents.get(one.agent, ""))
    reasons = (reason,) if reason else ()
    return event_key(*said, *(more if one.question or one.agent else ()), *reasons)


def is_satisfaction(told: ToldRating, connection: Connection) -> bool:
    """Whether a rating answers the question that asks for satisfaction.

    It is the one that the connection's options name, else the help desk's own, else the only one
    its survey asks. Answers to others are kept, and are in no figure of satisfaction.
    """
    if not told.question:
        return True
    connector = connector_of(connection.kind)
    chosen = connection.options.get(connector.question_option) or connector.satisfaction
    identity, _, name = told.question.partition(NAMED)
    return " ".join(str(chosen).split()) in (identity, name) if chosen else told.alone


def tickets_changed(connection: Connection, names: Collection[str], *, at: datetime) -> None:
    """Let the ratings of these tickets be placed again: their resolutions may have changed."""
    with database.cursor() as cursor:
        cursor.execute(
            'UPDATE "tickets_toldrating" SET waiting = true WHERE tenant_id = %s'
            " AND connection_id = %s AND ticket_external_id = ANY(%s) AND NOT waiting",
            [connection.tenant_id, connection.pk, list(names)],
        )
        changed = cursor.rowcount
    if changed:
        _wake(connection, at)


def _wake(connection: Connection, at: datetime) -> None:
    due.note(connection.tenant_id, PLACE, at)
    hint("place_ratings")
