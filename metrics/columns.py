"""Facts as columns: what is packed of each fact kind, how blocks are read, marked and refreshed.

A kind is declared once (`KINDS`): the same declaration writes the SQL that packs a day of rows
into bytes, and reads a row that was folded in memory, so a reading of the present and one of the
past are evaluated alike. Blocks hold instants and flags, not verdicts, and never who did the work.

A day is clean when its block was packed with today's columns and zone and no mark stands against
it. A read takes clean blocks and packs every other day from the facts in the same statement: it is
right without waiting for anybody. Marks are written by triggers on the fact tables (migration
0003).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from hashlib import sha256
from typing import Any

import psycopg
from django.db import connection

from metrics.models import LAYOUT_DIGITS, Mark, SecondReading
from metrics.packing import (
    DATED,
    ENDS,
    LONGEST_MS,
    NO_SCORE,
    NONE_S,
    UNKNOWN,
    WHOLE,
    Column,
    Kind,
    Layout,
    Part,
    byte,
    capability,
    code,
    dating,
    days_until,
    elapsed,
    elapsed_sql,
    few,
    flag,
    identity,
    instant,
    number,
    seconds,
    seconds_of,
    segments,
    tenths,
)
from metrics.room import make_room
from metrics.rows import Rows
from metrics.scales import EFFORT_WORDINGS, SCALES
from portal.catalogue.severity import Severity
from portal.tenancy.context import NoActingTenant, acting, acting_tenant_id
from portal.tenancy.models import Organisation
from surveys.fatigue import Reason
from surveys.models import Answer, Sentiment, SurveyedEvent
from tickets.canonical import Meaning, ProblemKind, ResolutionKind, State, UsageType
from tickets.models import WorkItem
from tickets.timeline import Outcome, ReopenKind

__all__ = ["DATED", "NONE_S", "NO_SCORE", "UNKNOWN", "Column", "Kind"]

SEVERITIES = [severity.value for severity in Severity]
OUTCOMES = [outcome.value for outcome in Outcome]
STATES = [state.value for state in State]
FIRST_CONTACT_KINDS = [kind.value for kind in WorkItem.FirstContact]
RESOLUTION_KINDS = [kind.value for kind in ResolutionKind]
MEANINGS = [meaning.value for meaning in Meaning]
REOPEN_KINDS = [kind.value for kind in ReopenKind]
PROBLEM_KINDS = [kind.value for kind in ProblemKind]
SENTIMENTS = list(Sentiment.values)
SECOND_READINGS = list(SecondReading.Says.values)
DECISIONS = list(SurveyedEvent.Decision.values)
CHANGES = list(Answer.Changed.values)
DOWNGRADED = list(WorkItem.Downgraded.values)
REASONS = [reason.value for reason in Reason]
EFFORT_SCALES = {f"ces_{wording.key}": wording for wording in EFFORT_WORDINGS.values()}
RECOMMENDING = "nps_0_10"
SCALE_KEYS = [*SCALES, *EFFORT_SCALES, RECOMMENDING]
INVITATION_STATES = ("sent", "bounced")
BOUNCED = INVITATION_STATES.index("bounced") + 1


def _field(name: str) -> Callable[[Mapping[str, Any]], datetime | None]:
    return lambda row: row[name]


def _looked_up(table: str, alias: str, condition: str, join: str = "LEFT JOIN") -> str:
    """A join with one row of another table, by its key.

    Facts are packed day by day, and how few of them a day has is not known where the statement is
    planned: without OFFSET 0 the other table would be read as a whole for every day.
    """
    return (
        f" {join} LATERAL (SELECT * FROM {table} AS {alias} WHERE {condition} OFFSET 0)"  # noqa: S608
        f" AS {alias} ON true"
    )


#: Promises are made in quarters of an hour.
QUARTER = 900


def _helped_later(row: Mapping[str, Any]) -> int | None:
    if row["w.first_meaningful_s"] is None or row["w.first_response_s"] is None:
        return None
    return int(row["w.first_meaningful_s"] - row["w.first_response_s"])


def _reply_unworked(row: Mapping[str, Any]) -> int | None:
    if row["w.first_response_at"] is None or row["w.first_response_s"] is None:
        return None
    waited = elapsed(row["w.first_response_at"], row["w.opened_at"])
    return waited - int(row["w.first_response_s"])


def _help_unworked(row: Mapping[str, Any]) -> int | None:
    later = _helped_later(row)
    if later is None or None in (row["w.first_meaningful_at"], row["w.first_response_at"]):
        return None
    return elapsed(row["w.first_meaningful_at"], row["w.first_response_at"]) - later


_LATER = "(w.first_meaningful_s - w.first_response_s)"
#: How long after the first reply one came that helped, in business time, and how much of each wait
#: was none: most first replies help, and most of them come within the hours in which one works.
#: `evaluating` puts the times together.
_HELPED = (
    seconds_of("helped_later", _LATER, _helped_later, 2),
    seconds_of(
        "reply_unworked",
        f"{elapsed_sql('w.first_response_at', 'w.opened_at')} - w.first_response_s",
        _reply_unworked,
        2,
    ),
    seconds_of(
        "help_unworked",
        f"{elapsed_sql('w.first_meaningful_at', 'w.first_response_at')} - {_LATER}",
        _help_unworked,
        2,
    ),
)

_ITEM_TABLES = "tickets_workitem w"
ITEMS = Kind(
    "items",
    _ITEM_TABLES,
    "w",
    "w.opened_at",
    _field("w.opened_at"),
    (
        dating("w.opened_at"),
        identity("item", "w.id", 25),
        capability("w.capability_id"),
        code("severity", "w.severity", SEVERITIES),
        code("outcome", "w.outcome", OUTCOMES),
        code("state", "w.state", STATES, in_blocks=False),
        instant("ended", "w.ended_at", 21),
        seconds("clock", "w.clock_s"),
        seconds("paused", "w.paused_s", 2),
        instant("paused_since", "w.paused_since", 1),
        flag("response_owed", "w.response_owed"),
        seconds("first_response", "w.first_response_s", 14),
        *_HELPED,
        code("first_reply", "w.first_reply_meaning", MEANINGS),
        seconds("resolution_target", "w.resolution_target_s", 9, in_steps_of=QUARTER),
        instant("resolution_deadline", "w.resolution_deadline", in_blocks=False),
        flag("routine", "w.routine"),
        segments("w.segments", "w.handled_by"),
        few("late_pauses", "w.late_pauses", 1),
        few("late_pauses_unasked", "w.late_pauses_unasked", 1),
        code("downgraded", "w.downgraded", DOWNGRADED),
    ),
)

#: Items that share a problem are looked for this far apart (METRICS.md M26).
SHARED_WITHIN_DAYS = 90
PROBLEMS = Kind(
    "problems",
    "tickets_workitem w JOIN tickets_problem p"
    " ON p.tenant_id = w.tenant_id AND p.id = w.problem_id",
    "w",
    "w.opened_at",
    _field("w.opened_at"),
    (
        dating("w.opened_at"),
        identity("item", "w.id"),
        capability("w.capability_id"),
        code("severity", "w.severity", SEVERITIES),
        identity("requester", "w.requester_id"),
        identity("problem", "w.problem_id"),
        code("kind", "p.kind", PROBLEM_KINDS),
    ),
    reach_days=SHARED_WITHIN_DAYS,
)

CHECKS = Kind(
    "checks",
    "tickets_workitem w JOIN metrics_drawnitem q"
    " ON q.tenant_id = w.tenant_id AND q.ticket_id = w.ticket_id AND q.number = w.number"
    " JOIN metrics_secondreading x ON x.tenant_id = q.tenant_id AND x.drawn_id = q.id",
    "w",
    "w.opened_at",
    _field("w.opened_at"),
    (
        dating("w.opened_at"),
        capability("w.capability_id"),
        code("severity", "w.severity", SEVERITIES),
        flag("routine", "w.routine"),
        code("says", "x.says", SECOND_READINGS),
        instant("read", "x.at"),
    ),
)

_RESOLUTION_TABLES = (
    "tickets_resolution r JOIN tickets_workitem w"
    " ON w.tenant_id = r.tenant_id AND w.id = r.work_item_id"
    " LEFT JOIN surveys_surveyedevent e ON e.tenant_id = r.tenant_id"
    " AND e.ticket_id = r.ticket_id AND e.event_key = r.event_key"
)
RESOLUTIONS = Kind(
    "resolutions",
    _RESOLUTION_TABLES,
    "r",
    "r.at",
    _field("r.at"),
    (
        dating("r.at"),
        identity("item", "r.work_item_id", 25),
        capability("r.capability_id"),
        code("severity", "r.severity", SEVERITIES),
        code("kind", "r.kind", RESOLUTION_KINDS),
        number("number", "r.number", 3),
        flag("holds", "r.holds"),
        flag("policy_denial", "r.policy_denial"),
        seconds("clock", "r.clock_s"),
        seconds("elapsed", "w.requester_elapsed_s", 21),
        seconds("paused", "w.paused_s", 2),
        instant("reopen_at", "r.reopen_at", 1),
        code("reopen_kind", "r.reopen_kind", REOPEN_KINDS),
        flag("reopened", "r.reopened"),
        flag("fcr_claimed", "w.fcr_claimed"),
        instant("repeat_at", "w.repeat_contact_at", 1),
        number("reassignments", "w.reassignments", 3),
        number("functional", "w.escalations_functional", 2),
        number("hierarchical", "w.escalations_hierarchical", 2),
        number("messages", "w.requester_messages", 4),
        segments("w.segments", "r.handled_by"),
        tenths("r.clock_s", "w.resolution_target_s"),
        days_until("followed_on_day", "r.followed_at", "r.at"),
        few("burst", "r.burst", 1),
        few("slips", "r.slips", 1),
        # Whether it could be asked about, and was: G3 compares the asked with the others.
        code("asked", "e.decision", DECISIONS),
    ),
)


#: What HDI's rule for written channels makes of first resolutions (METRICS.md M16), a row each.
#: Apart from the resolutions: there are rows only where an organisation has added that line.
FIRST_CONTACTS = Kind(
    "first_contacts",
    "tickets_workitem w JOIN LATERAL (SELECT * FROM tickets_resolution AS r"
    " WHERE r.tenant_id = w.tenant_id AND r.work_item_id = w.id AND r.number = 1 OFFSET 0) AS r"
    " ON w.first_contact <> ''",
    "w",
    "w.first_resolution_at",
    _field("w.first_resolution_at"),
    (
        dating("w.first_resolution_at"),
        identity("item", "w.id", 25),
        capability("r.capability_id"),
        code("severity", "r.severity", SEVERITIES),
        code("contact", "w.first_contact", FIRST_CONTACT_KINDS),
        flag("reopened", "r.reopened"),
        instant("repeat_at", "w.repeat_contact_at", 1),
        segments("w.segments", "r.handled_by"),
    ),
)


def _decided_under(name: str) -> tuple[Column, Column]:
    """Capability and severity of a decision; the item's own where nothing else is said."""
    where, how = f"w.{name}_capability_id", f"w.{name}_severity"
    return (
        replace(
            capability(f"coalesce({where}, w.capability_id)"),
            of_row=lambda row: row[where] or row["w.capability_id"],
        ),
        replace(
            code("severity", f"coalesce(nullif({how}, ''), w.severity)", SEVERITIES),
            of_row=lambda row: row[how] or row["w.severity"],
        ),
    )


def _decision(name: str, promise: str, fulfilled: str, deadline: str, *more: Column) -> Kind:
    """A promise of time, dated by the instant that decides it: kept, or run out (METRICS.md 1.7).

    A deadline that passes needs no event: the row stands on the deadline's day from the start, and
    is undecided until `as_of` has passed it.
    """
    in_time = f"w.{promise}_in_time"

    def at(row: Mapping[str, Any]) -> datetime | None:
        if row[in_time] is None:
            return None
        decided: datetime | None = row[f"w.{fulfilled if row[in_time] else deadline}"]
        return decided

    return Kind(
        name,
        _ITEM_TABLES,
        "w",
        f"(CASE {in_time} WHEN true THEN w.{fulfilled} WHEN false THEN w.{deadline} END)",
        at,
        (
            dating(),
            *_decided_under(promise),
            code("outcome", "w.outcome", OUTCOMES),
            flag("response_owed", "w.response_owed"),
            instant("ended", "w.ended_at"),
            instant("fulfilled", f"w.{fulfilled}", 2),
            flag("in_time", in_time),
            instant("deadline", f"w.{deadline}", 21),
            segments("w.segments", "w.handled_by"),
            *more,
        ),
    )


FIRST_RESPONSES = _decision(
    "first_responses", "first_response", "first_response_at", "response_deadline"
)
MEANINGFUL_RESPONSES = _decision(
    "meaningful_responses",
    "first_meaningful",
    "first_meaningful_at",
    "response_deadline",
    code("first_reply", "w.first_reply_meaning", MEANINGS),
    flag("replied_in_time", "w.first_response_in_time"),
)
RESOLUTION_PROMISES = _decision(
    "resolution_promises",
    "resolution",
    "ended_at",
    "resolution_deadline",
    seconds("clock", "w.clock_s"),
    seconds("target", "w.resolution_target_s", 9, in_steps_of=QUARTER),
)

_OF_EVENT = "{one}.tenant_id = e.tenant_id AND {one}.event_id = e.id"
_ANSWER = "surveys_answer", "a", _OF_EVENT.format(one="a")
_OF_ANSWER = "k.tenant_id = a.tenant_id AND k.answer_id = a.id"
# A person's word outweighs a suggestion.
_READING = (
    "(SELECT *, coalesce(nullif(decided, ''), suggested) AS says FROM surveys_commentreading)"
)
#: What turned out to be spam, a test or part of another ticket is in no figure (METRICS.md 1.1):
#: few are, so that they are looked for in a small index, instead of every other in the whole table.
_COUNTED = (
    " JOIN LATERAL (SELECT WHERE NOT EXISTS (SELECT FROM tickets_ticket t"
    " WHERE t.tenant_id = e.tenant_id AND t.id = e.ticket_id"
    " AND t.left_out NOT IN ('', 'incomplete')) OFFSET 0) AS t ON true"
)
_SURVEYED_TABLES = "".join(
    (
        "surveys_surveyedevent e",
        _COUNTED,
        _looked_up("surveys_invitation", "i", _OF_EVENT.format(one="i")),
        _looked_up("surveys_notsent", "n", _OF_EVENT.format(one="n")),
        _looked_up(*_ANSWER),
        _looked_up("surveys_comment", "k", _OF_ANSWER),
        _looked_up(_READING, "x", "x.tenant_id = k.tenant_id AND x.comment_id = k.id"),
        _looked_up(
            "tickets_resolution",
            "r",
            "r.tenant_id = e.tenant_id AND r.ticket_id = e.ticket_id AND r.event_key = e.event_key"
            " AND r.denied_at IS NOT NULL",
        ),
    )
)
#: A denial said by somebody else, by whoever the ticket was assigned to (or nobody knows whom), and
#: by them after the answer had come (METRICS.md G9).
DENIALS = ("by_another", "by_assignee", "by_assignee_after_answer")


def _denial(row: Mapping[str, Any]) -> int:
    if row["r.denied_at"] is None:
        return 0
    if row["r.denied_by_assignee"] is False:
        return 1
    answered = row["a.answered_at"]
    return 3 if answered is not None and row["r.denied_at"] > answered else 2


#: How far back it matters how often somebody was asked (METRICS.md M07).
BURDEN_DAYS = 90
SURVEYED = Kind(
    "surveyed",
    _SURVEYED_TABLES,
    "e",
    "e.at",
    _field("e.at"),
    (
        dating("e.at"),
        identity("event", "e.id", 25),
        capability("e.capability_id"),
        identity("requester", "e.requester_id", 25),
        code("severity", "e.severity", SEVERITIES),
        code("decision", "e.decision", DECISIONS),
        code("reason", "n.reason", REASONS),
        flag("policy_denial", "e.policy_denial"),
        code("scale", "e.scale", SCALE_KEYS),
        instant("sent", "i.sent_at", 13),
        code("invitation", "i.state", INVITATION_STATES),
        instant("window_until", "i.window_until", 21),
        number("score", "a.score", 4, missing=NO_SCORE),
        instant("answered", "a.answered_at", 1),
        flag("late", "a.late"),
        flag("complete", "a.complete"),
        instant("released", "a.released_at", 1),
        code("sentiment", "x.says", SENTIMENTS),
        byte("segments", "e.segments", "coalesce(e.segments, 0)", lambda value: int(value or 0)),
        code("changed", "a.changed", CHANGES),
        byte(
            "denial",
            WHOLE,
            "CASE WHEN r.denied_at IS NULL THEN 0 WHEN r.denied_by_assignee IS FALSE THEN 1"
            " WHEN r.denied_at > a.answered_at THEN 3 ELSE 2 END",
            _denial,
            2,
        ),
    ),
    reach_days=BURDEN_DAYS,
)

THEMES = Kind(
    "themes",
    # A comment stands once for each confirmed theme it speaks of, or once for none.
    "surveys_surveyedevent e"
    + _COUNTED
    + _looked_up(*_ANSWER, join="JOIN")
    + _looked_up("surveys_comment", "k", f"{_OF_ANSWER} AND k.text <> ''", join="JOIN")
    + " LEFT JOIN surveys_theme th ON th.tenant_id = e.tenant_id"
    " AND th.capability_id = e.capability_id AND th.state = 'confirmed'"
    " AND k.text ~* ('\\m(?:' || th.pattern || ')\\M')",
    "e",
    "e.at",
    _field("e.at"),
    (
        dating("e.at"),
        identity("event", "e.id"),
        capability("e.capability_id"),
        code("severity", "e.severity", SEVERITIES),
        identity("theme", "th.id"),
    ),
)

ATTEMPTS = Kind(
    "attempts",
    "tickets_selfserviceattempt s",
    "s",
    "s.started_at",
    _field("s.started_at"),
    (
        dating("s.started_at"),
        capability("s.capability_id"),
        instant("completed", "s.completed_at", 13),
        instant("assisted", "s.assisted_at", 1),
        few("earlier", "s.earlier", 1),
    ),
)
USAGE_TYPES = [one.value for one in UsageType]
#: Over how many days events that were answered about tell what others think (METRICS.md M10).
PAIRED_DAYS = 90
USAGE = Kind(
    "usage",
    "tickets_usageevent u",
    "u",
    "u.at",
    _field("u.at"),
    (
        dating("u.at"),
        identity("requester", "u.requester_id"),
        capability("u.capability_id"),
        code("type", "u.type", USAGE_TYPES),
        flag("success", "u.success"),
        number("duration", "u.duration_ms", 14, missing=NONE_S, most=LONGEST_MS, wide=True),
        number("errors", "u.errors_shown", 3, missing=UNKNOWN, most=32_767),
    ),
    reach_days=PAIRED_DAYS,
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        ITEMS,
        PROBLEMS,
        CHECKS,
        RESOLUTIONS,
        FIRST_CONTACTS,
        FIRST_RESPONSES,
        MEANINGFUL_RESPONSES,
        RESOLUTION_PROMISES,
        SURVEYED,
        THEMES,
        ATTEMPTS,
        USAGE,
    )
}


# --- reading -------------------------------------------------------------------------------------

MIDNIGHT = "date_part('epoch', {day}::timestamp AT TIME ZONE %(zone)s)::bigint"


def _packed_sql(layout: Layout, kind: Kind, days: str, condition: str) -> str:
    """SELECT of packed days, from the facts: day, base, rows, capabilities, ends, packed, far.

    `days` selects `day` and `base`, `condition` says which rows are those of a day `d`. Days are
    packed one by one, also those without rows: what is sorted and summed at once stays small.
    """
    rows = layout.rows_sql(
        kind.at, f"{kind.tables} WHERE {kind.alias}.tenant_id = %(tenant)s AND {condition}"
    )
    return f"""
        SELECT d.day, d.base, coalesce(f.rows, 0)::integer AS rows,
               coalesce(f.capabilities, '{{}}') AS capabilities, coalesce(f.ends, '{{}}') AS ends,
               coalesce(f.packed, '') AS packed, coalesce(f.far, '') AS far
          FROM ({days} OFFSET 0) AS d CROSS JOIN LATERAL (
            SELECT sum(g.rows) AS rows,
                   array_agg(g.capability ORDER BY g.capability) AS capabilities,
                   array_agg(g.rows_end * {ENDS} + g.far_end ORDER BY g.capability) AS ends,
                   string_agg(g.packed, ''::bytea ORDER BY g.capability) AS packed,
                   string_agg(g.far, ''::bytea ORDER BY g.capability) AS far
              FROM (SELECT p.*, sum(p.rows) OVER before::bigint AS rows_end,
                           sum(octet_length(p.far)) OVER before::bigint AS far_end
                      FROM (SELECT r.capability, count(*) AS rows,
                                   string_agg(r.packed, ''::bytea) AS packed,
                                   string_agg(r.far, ''::bytea) AS far
                              FROM ({rows}) AS r GROUP BY r.capability) AS p
                    WINDOW before AS (ORDER BY p.capability)) AS g) AS f
    """  # noqa: S608 - every part is declared above


def days_sql(kind: Kind, days: str, *, sliced: bool = False) -> str:
    """Packed days from the facts; `days` selects them as `day`. `sliced`: one capability's part."""
    found = next(column for column in kind.columns if column.name == "capability")
    only = f" AND coalesce({found.source}, 0) = %(capability)s" if sliced else ""
    return _packed_sql(
        kind.block,
        kind,
        f"SELECT day, {MIDNIGHT.format(day='day')} AS base FROM ({days}) AS n",  # noqa: S608
        f"{kind.at} >= d.day::timestamp AT TIME ZONE %(zone)s"
        f" AND {kind.at} < (d.day + 1)::timestamp AT TIME ZONE %(zone)s{only}",
    )


def load_where(tenant: Organisation, kind: Kind, condition: str, **values: Any) -> Rows:
    """Rows of a kind that satisfy a condition over its tables, whatever their day."""
    packed = _packed_sql(kind.whole, kind, "SELECT NULL AS day, 0::bigint AS base", condition)
    statement = f"SELECT ARRAY[base], capabilities, ends, packed, far FROM ({packed}) AS f"  # noqa: S608
    asked = ask(statement, {"tenant": tenant.pk, "zone": tenant.time_zone, **values})
    parts = [Part(*told) for told in asked]
    make_room(kind.whole.rows_of(parts) * kind.whole.dtype.itemsize)
    return kind.whole.unpack(parts)


def ask(statement: str, values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement, read with a binary cursor.

    Django's own asks for text, twice as long and slow to decode. What these statements cost is
    for a good part their planning: a connection plans each of them a few times and no more. This
    goes past Django's wrappers, so the acting context is asked for here.
    """
    if acting_tenant_id() is None:
        raise NoActingTenant("Columns were read outside acting(); no rows would be found.")
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, values, binary=True, prepare=True)
        yield from cursor


@cache
def _layout(kind: str, zone: str) -> str:
    packing = KINDS[kind].block.rows_sql(KINDS[kind].at, KINDS[kind].tables)
    return sha256(f"{zone} {packing}".encode()).hexdigest()[:LAYOUT_DIGITS]


def layout(kind: Kind, zone: str) -> str:
    """What a block depends on besides the facts: how it is packed, and whose local day it is."""
    return _layout(kind.name, zone)


# --- refreshing ----------------------------------------------------------------------------------

#: They are deleted by their numbers, in a second statement: where both were one, PostgreSQL, which
#: cannot know how many there are, may look for each mark among all the others.
_LOCK_MARKS = """
    SELECT id, kind, day FROM metrics_mark WHERE tenant_id = %s
     ORDER BY kind, day LIMIT %s FOR UPDATE SKIP LOCKED
"""
#: Microseconds since 1970: the least a version is (`Packing`).
_NOW = "(date_part('epoch', clock_timestamp()) * 1000000)::bigint"
#: Marks taken in one transaction.
BATCH = 10_000


def refresh(tenant: Organisation) -> int:
    """Pack marked days anew and take their marks away; return how many days. Runs as the worker.

    The marks go in the transaction that writes the blocks, so a reader sees either the mark or the
    new block. A kind is locked before its days are read again, so that of two refreshers the second
    one reads what the first one's writers committed.
    """
    with acting(tenant.pk), connection.cursor() as cursor:
        cursor.execute(_LOCK_MARKS, [tenant.pk, BATCH])
        marks = cursor.fetchall()
        cursor.execute(
            "DELETE FROM metrics_mark WHERE id = ANY(%s::bigint[])",
            [[number for number, _, _ in marks]],
        )
        days = sorted({(kind, day) for _, kind, day in marks if kind in KINDS})
        for name in sorted({kind for kind, _ in days}):
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s::integer, hashtext(%s))", [tenant.pk, name]
            )
            _pack(cursor, tenant, KINDS[name], [day for kind, day in days if kind == name])
    return len(days)


def _pack(cursor: Any, tenant: Organisation, kind: Kind, days: Sequence[date]) -> None:
    """Pack days of a kind under its next version; the kind is locked (`refresh`)."""
    values = {
        "tenant": tenant.pk,
        "kind": kind.name,
        "layout": layout(kind, tenant.time_zone),
        "zone": tenant.time_zone,
        "days": list(days),
    }
    cursor.execute(
        f"""
        WITH next AS (
            INSERT INTO metrics_packing AS p (tenant_id, kind, version)
            VALUES (%(tenant)s, %(kind)s, {_NOW})
            ON CONFLICT (tenant_id, kind) DO UPDATE SET version = greatest(p.version + 1, {_NOW})
            RETURNING version
        )
        INSERT INTO metrics_block (tenant_id, kind, day, rows, layout, capabilities, ends, columns,
               far, version)
        SELECT %(tenant)s, %(kind)s, p.day, p.rows, %(layout)s, p.capabilities, p.ends, p.packed,
               p.far, next.version
          FROM ({days_sql(kind, "SELECT unnest(%(days)s::date[]) AS day")}) AS p CROSS JOIN next
        ON CONFLICT (tenant_id, kind, day) DO UPDATE
           SET rows = excluded.rows, layout = excluded.layout, ends = excluded.ends,
               capabilities = excluded.capabilities, columns = excluded.columns,
               far = excluded.far, version = excluded.version
        """,  # noqa: S608 - every part is declared above
        values,
    )


def _mark_outdated(tenant: Organisation) -> None:
    """Mark days whose block has another layout: a release or a change of zone brings that about."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_mark (tenant_id, kind, day) SELECT b.tenant_id, b.kind, b.day"
            " FROM metrics_block b JOIN unnest(%s::text[], %s::text[]) AS k(kind, layout)"
            " ON k.kind = b.kind AND k.layout <> b.layout WHERE b.tenant_id = %s",
            [list(KINDS), [layout(kind, tenant.time_zone) for kind in KINDS.values()], tenant.pk],
        )


def sweep(now: datetime) -> int:
    """Refresh every organisation that has marks; return how many days were packed."""
    packed = 0
    for tenant in Organisation.objects.all():
        with acting(tenant.pk):
            _mark_outdated(tenant)
            marked = Mark.objects.for_tenant(tenant).exists()
        while marked:
            days = refresh(tenant)
            packed += days
            marked = days > 0
    return packed
