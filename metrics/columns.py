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

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from math import ceil
from typing import Any

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray

from metrics.models import LAYOUT_DIGITS, Mark, SecondReading
from metrics.scales import EFFORT_WORDINGS, SCALES
from portal.catalogue.severity import Severity
from portal.tenancy.context import NoActingTenant, acting, acting_tenant_id
from portal.tenancy.models import Organisation
from surveys.fatigue import Reason
from surveys.models import Answer, Sentiment, SurveyedEvent
from tickets import segments as segmenting
from tickets.canonical import Meaning, ProblemKind, ResolutionKind, State, UsageType
from tickets.models import WorkItem
from tickets.timeline import Outcome, ReopenKind

SEVERITIES = [severity.value for severity in Severity]
OUTCOMES = [outcome.value for outcome in Outcome]
STATES = [state.value for state in State]
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

NONE_S = -1
"""A duration that is not there."""
UNKNOWN = -1
"""A yes or no that nobody said."""
NO_SCORE = -32768


#: The source of the dating instant where it is no field of its own.
DATED = "@at"
#: The source of a column that is made of several fields: the row itself.
WHOLE = "@row"
#: `alias.field` in a column's SQL.
_FIELD = re.compile(r"\b[a-z]\.[a-z_]+")


@dataclass(frozen=True, slots=True)
class Column:
    """A fixed-width column: where it comes from, and how it is written."""

    name: str
    #: `alias.field` of the kind's FROM clause.
    source: str
    #: As it lies in a block: big-endian and narrow.
    packed: str
    #: As it is evaluated: this machine's own order, and wide enough to be added and subtracted.
    dtype: str
    sql: str
    from_row: Callable[[Any], int]


#: Instants outside 1970 to 2106 are held at that edge; four bytes reach no further.
LAST_INSTANT = 2**32 - 1


def instant(name: str, source: str, sql: str = "") -> Column:
    """UTC epoch seconds; 0 where there is none. `sql` where the source is no field."""
    at = sql or source
    held = f"least(greatest(floor(date_part('epoch', {at})), 1), {LAST_INSTANT})::bigint"
    return Column(
        name,
        source,
        ">u4",
        "i8",
        f"substr(int8send(CASE WHEN {at} IS NULL THEN 0 ELSE {held} END), 5)",
        lambda value: min(max(int(value.timestamp() // 1), 1), LAST_INSTANT) if value else 0,
    )


def seconds(name: str, source: str) -> Column:
    """A duration in seconds; NONE_S where there is none."""
    return Column(
        name,
        source,
        ">i4",
        "i4",
        f"int4send(coalesce({source}, {NONE_S}))",
        lambda value: NONE_S if value is None else int(value),
    )


#: The longest duration that is held in milliseconds: 24 days.
LONGEST_MS = 2**31 - 1


def milliseconds(name: str, source: str) -> Column:
    """A duration in milliseconds; NONE_S where there is none."""
    return Column(
        name,
        source,
        ">i4",
        "i8",
        f"int4send(least(coalesce({source}, {NONE_S}), {LONGEST_MS})::integer)",
        lambda value: NONE_S if value is None else min(int(value), LONGEST_MS),
    )


def identity(name: str, source: str) -> Column:
    """A database id; 0 where there is none."""
    return Column(
        name,
        source,
        ">i8",
        "i8",
        f"int8send(coalesce({source}, 0)::bigint)",
        lambda value: int(value or 0),
    )


def capability(source: str) -> Column:
    """The id of a capability; 0 where there is none. There are never two thousand million."""
    return Column(
        "capability",
        source,
        ">i4",
        "i8",
        f"int4send(coalesce({source}, 0)::integer)",
        lambda value: int(value or 0),
    )


def small(name: str, source: str, missing: int = 0) -> Column:
    """A small number."""
    return Column(
        name,
        source,
        ">i2",
        "i2",
        f"int2send(coalesce({source}, {missing})::smallint)",
        lambda value: missing if value is None else int(value),
    )


def flag(name: str, source: str) -> Column:
    """1, 0, or UNKNOWN for null."""
    return Column(
        name,
        source,
        "i1",
        "i2",
        _one_byte(f"coalesce({source}::integer, {UNKNOWN})"),
        lambda value: UNKNOWN if value is None else int(bool(value)),
    )


def code(name: str, source: str, words: Sequence[str]) -> Column:
    """The place of a word in a list, from 1; 0 for a word that is empty or not there."""
    listed = ", ".join(f"'{word}'" for word in words)
    return Column(
        name,
        source,
        "i1",
        "i2",
        _one_byte(f"coalesce(array_position(ARRAY[{listed}]::text[], {source}::text), 0)"),
        lambda value: words.index(str(value)) + 1 if value else 0,
    )


def byte(name: str, source: str, sql: str, from_row: Callable[[Any], int]) -> Column:
    """A whole number from 0 to 255."""
    return Column(name, source, "u1", "i2", _one_byte(sql), from_row)


def few(name: str, source: str) -> Column:
    """A count; from 255 on it is 255."""
    return byte(
        name, source, f"least(coalesce({source}, 0), 255)", lambda value: min(int(value or 0), 255)
    )


def segments(packed: str, handled_by: str) -> Column:
    """Who somebody was to us, and who handled it, as one number (tickets/segments.py)."""
    words = segmenting.DIMENSIONS["handled_by"]
    listed = ", ".join(f"'{word}'" for word in words)
    weight = segmenting.WEIGHTS["handled_by"]
    return byte(
        "segments",
        WHOLE,
        f"coalesce({packed}, 0) + {weight}"
        f" * (array_position(ARRAY[{listed}]::text[], {handled_by}::text) - 1)",
        lambda row: (row[packed] or 0) + weight * words.index(row[handled_by]),
    )


#: Tenths of a target that are told apart; anything beyond is as late.
MOST_TENTHS = 100


def tenths(clock: str, target: str) -> Column:
    """1 and how many tenths of the target a clock has begun; 0 without a target.

    11 is the last tenth in which the target is kept, more is too late.
    """
    return byte(
        "tenths",
        WHOLE,
        f"CASE WHEN {target} > 0 THEN 1 + least((10::bigint * {clock} + {target} - 1) / {target},"
        f" {MOST_TENTHS}) ELSE 0 END",
        lambda row: (
            1 + min((10 * row[clock] + row[target] - 1) // row[target], MOST_TENTHS)
            if row[target]
            else 0
        ),
    )


def days_until(name: str, later: str, since: str) -> Column:
    """Days that have begun between two instants, 1 to 255; 0 where the later one is not there."""
    return byte(
        name,
        WHOLE,
        f"CASE WHEN {later} IS NULL THEN 0 ELSE"
        f" least(greatest(ceil(extract(epoch FROM {later} - {since}) / 86400), 1), 255) END",
        lambda row: (
            min(max(ceil((row[later] - row[since]).total_seconds() / 86_400), 1), 255)
            if row[later]
            else 0
        ),
    )


def _one_byte(number: str) -> str:
    """SQL of the low byte of a number; PostgreSQL sends no integer of one byte."""
    return f"substr(int2send(({number})::smallint), 2)"


@dataclass(frozen=True, slots=True)
class Kind:
    """A fact kind: its rows, the instant that dates them, and its columns."""

    name: str
    #: FROM clause without the organisation; the first alias owns `tenant_id`.
    tables: str
    alias: str
    #: SQL of the dating instant; indexed, so that one day is found without reading the others.
    at: str
    at_of_row: Callable[[Mapping[str, Any]], datetime | None]
    columns: tuple[Column, ...]
    #: Days before a period that a figure of the period also looks at.
    reach_days: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """One row as it is evaluated."""
        return np.dtype([(column.name, column.dtype) for column in self.columns])

    @property
    def packed(self) -> np.dtype[Any]:
        """One row as it lies in a block."""
        return np.dtype([(column.name, column.packed) for column in self.columns])

    @property
    def sources(self) -> list[str]:
        """The fields its columns are made of, without the dating instant's own."""
        told = {column.source for column in self.columns} - {DATED, WHOLE}
        for column in self.columns:  # one that is made of several fields names them in its SQL
            if column.source == WHOLE:
                told |= set(_FIELD.findall(column.sql))
        return sorted(told)

    @property
    def packing(self) -> str:
        """SQL of one row's bytes."""
        return " || ".join(column.sql for column in self.columns)

    def layout(self, zone: str) -> str:
        """What a block depends on besides the facts: its columns, and whose local day it is."""
        return sha256(f"{zone} {self.packing}".encode()).hexdigest()[:LAYOUT_DIGITS]

    def pack(self, rows: Iterable[Mapping[str, Any]]) -> NDArray[Any]:
        """Rows folded in memory, by `alias.field`, as the same columns."""
        dated = ({**row, DATED: self.at_of_row(row)} for row in rows)
        packed = [
            tuple(
                column.from_row(row if column.source == WHOLE else row[column.source])
                for column in self.columns
            )
            for row in dated
            if row[DATED] is not None
        ]
        return np.array(packed, dtype=self.dtype)

    def unpack(self, block: bytes) -> NDArray[Any]:
        """The rows of a block."""
        packed = np.frombuffer(block, dtype=self.packed)
        rows = np.empty(len(packed), dtype=self.dtype)
        for column in self.columns:
            rows[column.name] = packed[column.name]
        return rows


def _field(name: str) -> Callable[[Mapping[str, Any]], datetime | None]:
    return lambda row: row[name]


_ITEM_TABLES = "tickets_workitem w"
ITEMS = Kind(
    "items",
    _ITEM_TABLES,
    "w",
    "w.opened_at",
    _field("w.opened_at"),
    (
        instant("at", "w.opened_at"),
        identity("item", "w.id"),
        capability("w.capability_id"),
        code("severity", "w.severity", SEVERITIES),
        code("outcome", "w.outcome", OUTCOMES),
        code("state", "w.state", STATES),
        instant("ended", "w.ended_at"),
        seconds("clock", "w.clock_s"),
        seconds("paused", "w.paused_s"),
        instant("paused_since", "w.paused_since"),
        flag("response_owed", "w.response_owed"),
        seconds("first_response", "w.first_response_s"),
        seconds("first_meaningful", "w.first_meaningful_s"),
        code("first_reply", "w.first_reply_meaning", MEANINGS),
        seconds("resolution_target", "w.resolution_target_s"),
        instant("resolution_deadline", "w.resolution_deadline"),
        flag("routine", "w.routine"),
        segments("w.segments", "w.handled_by"),
        few("late_pauses", "w.late_pauses"),
        few("late_pauses_unasked", "w.late_pauses_unasked"),
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
        instant("at", "w.opened_at"),
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
        instant("at", "w.opened_at"),
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
        instant("at", "r.at"),
        identity("item", "r.work_item_id"),
        capability("r.capability_id"),
        code("severity", "r.severity", SEVERITIES),
        code("kind", "r.kind", RESOLUTION_KINDS),
        small("number", "r.number"),
        flag("holds", "r.holds"),
        flag("policy_denial", "r.policy_denial"),
        seconds("clock", "r.clock_s"),
        seconds("elapsed", "w.requester_elapsed_s"),
        seconds("paused", "w.paused_s"),
        instant("reopen_at", "r.reopen_at"),
        code("reopen_kind", "r.reopen_kind", REOPEN_KINDS),
        flag("reopened", "r.reopened"),
        flag("fcr_claimed", "w.fcr_claimed"),
        instant("repeat_at", "w.repeat_contact_at"),
        small("reassignments", "w.reassignments"),
        small("functional", "w.escalations_functional"),
        small("hierarchical", "w.escalations_hierarchical"),
        small("messages", "w.requester_messages"),
        segments("w.segments", "r.handled_by"),
        tenths("r.clock_s", "w.resolution_target_s"),
        days_until("followed_on_day", "r.followed_at", "r.at"),
        few("burst", "r.burst"),
        # Whether it could be asked about, and was: G3 compares the asked with the others.
        code("asked", "e.decision", DECISIONS),
    ),
)


def _decision(
    name: str, fulfilled: str, clock: str, target: str, deadline: str, *more: Column
) -> Kind:
    """A promise of time, dated by the instant that decides it: kept, or run out (METRICS.md 1.7).

    A deadline that passes needs no event: the row stands on the deadline's day from the start, and
    is undecided until `as_of` has passed it.
    """
    in_time = f"w.{fulfilled} IS NOT NULL AND w.{clock} <= w.{target}"

    def at(row: Mapping[str, Any]) -> datetime | None:
        if row[f"w.{target}"] is None:
            return None
        kept = row[f"w.{fulfilled}"] is not None and row[f"w.{clock}"] <= row[f"w.{target}"]
        decided: datetime | None = row[f"w.{fulfilled if kept else deadline}"]
        return decided

    at_sql = (
        f"(CASE WHEN {in_time} THEN w.{fulfilled} WHEN w.{target} IS NOT NULL"
        f" THEN w.{deadline} END)"
    )
    return Kind(
        name,
        _ITEM_TABLES,
        "w",
        at_sql,
        at,
        (
            instant("at", DATED, at_sql),
            capability("w.capability_id"),
            code("severity", "w.severity", SEVERITIES),
            code("outcome", "w.outcome", OUTCOMES),
            flag("response_owed", "w.response_owed"),
            instant("ended", "w.ended_at"),
            instant("fulfilled", f"w.{fulfilled}"),
            seconds("clock", f"w.{clock}"),
            seconds("target", f"w.{target}"),
            instant("deadline", f"w.{deadline}"),
            segments("w.segments", "w.handled_by"),
            *more,
        ),
    )


FIRST_RESPONSES = _decision(
    "first_responses",
    "first_response_at",
    "first_response_s",
    "response_target_s",
    "response_deadline",
)
MEANINGFUL_RESPONSES = _decision(
    "meaningful_responses",
    "first_meaningful_at",
    "first_meaningful_s",
    "response_target_s",
    "response_deadline",
    code("first_reply", "w.first_reply_meaning", MEANINGS),
    seconds("first_response", "w.first_response_s"),
)
RESOLUTION_PROMISES = _decision(
    "resolution_promises", "ended_at", "clock_s", "resolution_target_s", "resolution_deadline"
)

_SURVEYED_TABLES = (
    "surveys_surveyedevent e"
    " LEFT JOIN surveys_invitation i ON i.tenant_id = e.tenant_id AND i.event_id = e.id"
    " LEFT JOIN surveys_notsent n ON n.tenant_id = e.tenant_id AND n.event_id = e.id"
    " LEFT JOIN surveys_answer a ON a.tenant_id = e.tenant_id AND a.event_id = e.id"
    " LEFT JOIN surveys_comment k ON k.tenant_id = a.tenant_id AND k.answer_id = a.id"
    # A person's word outweighs a suggestion.
    " LEFT JOIN (SELECT tenant_id, comment_id, coalesce(nullif(decided, ''), suggested) AS says"
    " FROM surveys_commentreading) x ON x.tenant_id = k.tenant_id AND x.comment_id = k.id"
    " LEFT JOIN tickets_resolution r ON r.tenant_id = e.tenant_id AND r.ticket_id = e.ticket_id"
    " AND r.event_key = e.event_key"
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


SURVEYED = Kind(
    "surveyed",
    _SURVEYED_TABLES,
    "e",
    "e.at",
    _field("e.at"),
    (
        instant("at", "e.at"),
        identity("event", "e.id"),
        capability("e.capability_id"),
        identity("requester", "e.requester_id"),
        code("severity", "e.severity", SEVERITIES),
        code("decision", "e.decision", DECISIONS),
        code("reason", "n.reason", REASONS),
        flag("policy_denial", "e.policy_denial"),
        code("scale", "e.scale", SCALE_KEYS),
        instant("sent", "i.sent_at"),
        code("invitation", "i.state", INVITATION_STATES),
        instant("window_until", "i.window_until"),
        small("score", "a.score", missing=NO_SCORE),
        instant("answered", "a.answered_at"),
        flag("late", "a.late"),
        flag("complete", "a.complete"),
        instant("released", "a.released_at"),
        code("sentiment", "x.says", SENTIMENTS),
        byte("segments", "e.segments", "coalesce(e.segments, 0)", lambda value: int(value or 0)),
        code("changed", "a.changed", CHANGES),
        byte(
            "denial",
            WHOLE,
            "CASE WHEN r.denied_at IS NULL THEN 0 WHEN r.denied_by_assignee IS FALSE THEN 1"
            " WHEN r.denied_at > a.answered_at THEN 3 ELSE 2 END",
            _denial,
        ),
    ),
)

THEMES = Kind(
    "themes",
    # A comment stands once for each confirmed theme it speaks of, or once for none.
    "surveys_surveyedevent e"
    " JOIN surveys_answer a ON a.tenant_id = e.tenant_id AND a.event_id = e.id"
    " JOIN surveys_comment k ON k.tenant_id = a.tenant_id AND k.answer_id = a.id AND k.text <> ''"
    " LEFT JOIN surveys_theme th ON th.tenant_id = e.tenant_id"
    " AND th.capability_id = e.capability_id AND th.state = 'confirmed'"
    " AND k.text ~* ('\\m(?:' || th.pattern || ')\\M')",
    "e",
    "e.at",
    _field("e.at"),
    (
        instant("at", "e.at"),
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
        instant("at", "s.started_at"),
        capability("s.capability_id"),
        instant("completed", "s.completed_at"),
        instant("assisted", "s.assisted_at"),
    ),
)
USAGE_TYPES = [one.value for one in UsageType]
USAGE = Kind(
    "usage",
    "tickets_usageevent u",
    "u",
    "u.at",
    _field("u.at"),
    (
        instant("at", "u.at"),
        identity("requester", "u.requester_id"),
        capability("u.capability_id"),
        code("type", "u.type", USAGE_TYPES),
        flag("success", "u.success"),
        milliseconds("duration", "u.duration_ms"),
        Column(
            "errors",
            "u.errors_shown",
            ">i2",
            "i2",
            f"int2send(least(coalesce(u.errors_shown, {UNKNOWN}), 32767)::smallint)",
            lambda value: UNKNOWN if value is None else min(int(value), 32_767),
        ),
    ),
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        ITEMS,
        PROBLEMS,
        CHECKS,
        RESOLUTIONS,
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


def load(tenant: Organisation, kind: Kind, start: date, until: date) -> NDArray[Any]:
    """Rows of the local days start <= day < until: clean blocks, and other days from the facts.

    One statement, so that it sees one moment. Runs inside `acting()`, as web or worker.
    """
    statement = f"""
        WITH clean AS (
            SELECT b.day, b.columns FROM metrics_block b
             WHERE b.tenant_id = %(tenant)s AND b.kind = %(kind)s AND b.layout = %(layout)s
               AND b.day >= %(start)s AND b.day < %(until)s
               AND NOT EXISTS (SELECT 1 FROM metrics_mark m WHERE m.tenant_id = b.tenant_id
                                 AND m.kind = b.kind AND m.day = b.day)
        )
        SELECT columns FROM clean
        UNION ALL
        SELECT f.columns
          FROM generate_series(%(start)s::timestamp, %(until)s::date - 1, '1 day') AS d(day)
          CROSS JOIN LATERAL (
            SELECT string_agg({kind.packing}, ''::bytea) AS columns
              FROM {kind.tables}
             WHERE {kind.alias}.tenant_id = %(tenant)s
               AND {kind.at} >= d.day::timestamp AT TIME ZONE %(zone)s
               AND {kind.at} < (d.day + interval '1 day') AT TIME ZONE %(zone)s
          ) AS f
         WHERE NOT EXISTS (SELECT 1 FROM clean c WHERE c.day = d.day::date)
           AND f.columns IS NOT NULL
    """  # noqa: S608 - every part is declared above
    return kind.unpack(_packed(statement, _parameters(tenant, kind, start, until)))


def load_where(tenant: Organisation, kind: Kind, condition: str, *values: Any) -> NDArray[Any]:
    """Rows of a kind that satisfy a condition over its tables, whatever their day."""
    statement = (
        f"SELECT string_agg({kind.packing}, ''::bytea) FROM {kind.tables}"  # noqa: S608
        f" WHERE {kind.alias}.tenant_id = %s AND {condition}"
    )
    return kind.unpack(_packed(statement, [tenant.pk, *values]))


def _packed(statement: str, parameters: Any) -> bytes:
    """What a statement packs, one after the other.

    Read with a binary cursor: Django's own asks for text, twice as long and slow to decode. It goes
    past Django's wrappers, so the acting context is asked for here.
    """
    if acting_tenant_id() is None:
        raise NoActingTenant("Columns were read outside acting(); no rows would be found.")
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, parameters, binary=True)
        return b"".join(row[0] for row in cursor if row[0] is not None)


def _parameters(tenant: Organisation, kind: Kind, start: date, until: date) -> dict[str, Any]:
    return {
        "tenant": tenant.pk,
        "kind": kind.name,
        "layout": kind.layout(tenant.time_zone),
        "zone": tenant.time_zone,
        "start": start,
        "until": until,
    }


# --- refreshing ----------------------------------------------------------------------------------

_TAKE_MARKS = """
    DELETE FROM metrics_mark WHERE id IN (
        SELECT id FROM metrics_mark WHERE tenant_id = %s
         ORDER BY kind, day LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING kind, day
"""
#: Marks taken in one transaction.
BATCH = 5000


def refresh(tenant: Organisation) -> int:
    """Pack marked days anew and take their marks away; return how many days. Runs as the worker.

    The marks go in the transaction that writes the blocks, so a reader sees either the mark or the
    new block. Days are locked in order before they are read again, so that of two refreshers the
    second one reads what the first one's writers committed.
    """
    with acting(tenant.pk), connection.cursor() as cursor:
        cursor.execute(_TAKE_MARKS, [tenant.pk, BATCH])
        days = sorted({(kind, day) for kind, day in cursor.fetchall() if kind in KINDS})
        for kind, day in days:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s::integer, hashtext(%s))",
                [tenant.pk, f"{kind} {day}"],
            )
        for name in KINDS:
            mine = [day for kind, day in days if kind == name]
            if mine:
                _pack(cursor, tenant, KINDS[name], mine)
    return len(days)


def _pack(cursor: Any, tenant: Organisation, kind: Kind, days: Sequence[date]) -> None:
    cursor.execute(
        f"""
        INSERT INTO metrics_block (tenant_id, kind, day, rows, layout, columns)
        SELECT %(tenant)s, %(kind)s, d.day, f.rows, %(layout)s, f.columns
          FROM unnest(%(days)s::date[]) AS d(day)
          CROSS JOIN LATERAL (
            SELECT count(*) AS rows,
                   coalesce(string_agg({kind.packing}, ''::bytea), ''::bytea) AS columns
              FROM {kind.tables}
             WHERE {kind.alias}.tenant_id = %(tenant)s
               AND {kind.at} >= d.day::timestamp AT TIME ZONE %(zone)s
               AND {kind.at} < (d.day + 1)::timestamp AT TIME ZONE %(zone)s
          ) AS f
        ON CONFLICT (tenant_id, kind, day) DO UPDATE
           SET rows = excluded.rows, layout = excluded.layout, columns = excluded.columns
        """,  # noqa: S608 - every part is declared above
        {**_parameters(tenant, kind, days[0], days[0]), "days": list(days)},
    )


def _mark_outdated(tenant: Organisation) -> None:
    """Mark days whose block has another layout: a release or a change of zone brings that about."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_mark (tenant_id, kind, day) SELECT b.tenant_id, b.kind, b.day"
            " FROM metrics_block b JOIN unnest(%s::text[], %s::text[]) AS k(kind, layout)"
            " ON k.kind = b.kind AND k.layout <> b.layout WHERE b.tenant_id = %s",
            [list(KINDS), [kind.layout(tenant.time_zone) for kind in KINDS.values()], tenant.pk],
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
