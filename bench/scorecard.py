"""How fast one scorecard is told from blocks, as a ratio to plain SQL over the same tables.

A throw-away database is filled with generated tickets, refreshed by the worker and read by the web
role with row security on. Every figure is computed twice, from blocks and by SQL, and the benchmark
fails if they differ. `BENCH_TICKETS=100000 python -m bench.scorecard` takes another size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

TICKETS = 1_000_000
DAYS = 730
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
AS_OF = FIRST + timedelta(days=DAYS + 30)
START, UNTIL = date(2025, 6, 1), date(2025, 8, 30)
SEVERITIES = ("low", "medium", "high", "critical")
REPEATS = 5

#: Item `n` of `tickets`: everything follows from its number, so that runs are alike.
FILL = (
    """
    INSERT INTO tickets_ticket (tenant_id, connection_id, external_id, subject, channel, opened_at,
           last_event_at, state, severity, capability_id, "group", left_out, follows)
    SELECT %(tenant)s, %(connection)s, 'T' || n, '', 'mail', i.at, i.at,
           CASE WHEN n %% 50 = 0 THEN 'open' ELSE 'closed' END,
           (%(severities)s::text[])[1 + n %% 4],
           (%(capabilities)s::bigint[])[1 + (n / 4) %% cardinality(%(capabilities)s::bigint[])],
           '', '', ''
      FROM generate_series(1, %(tickets)s) AS n
      CROSS JOIN LATERAL (
        SELECT %(first)s::timestamptz
               + floor(n::float8 * %(days)s * 86400 / (%(tickets)s + 1)) * interval '1 second' AS at
      ) AS i
    """,
    """
    INSERT INTO tickets_workitem (tenant_id, ticket_id, number, capability_id, severity, channel,
           "group", opened_at, state, outcome, ended_at, clock_s, requester_elapsed_s, paused_s,
           first_response_at, first_response_s, first_reply_meaning, response_owed,
           first_resolution_at, reassignments, escalations_functional, escalations_hierarchical,
           requester_messages, fcr_claimed, response_target_s, resolution_target_s,
           response_deadline, resolution_deadline)
    SELECT t.tenant_id, t.id, 1, t.capability_id, t.severity, t.channel, '', t.opened_at, t.state,
           CASE WHEN t.state = 'open' THEN 'open' ELSE 'resolved' END,
           d.ended, CASE WHEN t.state <> 'open' THEN d.clock END,
           CASE WHEN t.state <> 'open' THEN 3 * d.clock END, 0,
           t.opened_at + d.reply * interval '1 second', d.reply, 'unknown', true, d.ended,
           d.dice %% 4, (d.dice %% 9 = 0)::int, (d.dice %% 31 = 0)::int, d.dice %% 3,
           d.dice %% 3 = 0, 7200, 57600, t.opened_at + interval '7200 seconds',
           t.opened_at + interval '172800 seconds'
      FROM tickets_ticket t
      CROSS JOIN LATERAL (SELECT abs(hashint8(t.id)::bigint) AS dice) AS h
      CROSS JOIN LATERAL (
        SELECT h.dice, (60 + h.dice %% 14399)::int AS reply, (600 + h.dice %% 86399)::int AS clock,
               CASE WHEN t.state <> 'open' THEN
                    t.opened_at + 3 * (600 + h.dice %% 86399) * interval '1 second' END AS ended
      ) AS d
    """,
    """
    INSERT INTO tickets_resolution (tenant_id, work_item_id, ticket_id, event_key, number, at, kind,
           capability_id, severity, "group", policy_denial, holds, clock_s, reopen_at, reopen_kind,
           reopened)
    SELECT w.tenant_id, w.id, w.ticket_id, w.id, 1, w.ended_at, 'normal', w.capability_id,
           w.severity, '', false, true, w.clock_s,
           CASE WHEN w.id %% 11 = 0 THEN w.ended_at + interval '3 days' END,
           CASE WHEN w.id %% 11 = 0 THEN 'counted' ELSE '' END, w.id %% 11 = 0
      FROM tickets_workitem w
     WHERE w.ended_at IS NOT NULL
    """,
)
FACTS = ("tickets_workitem", "tickets_resolution")

_PERIOD = """w.tenant_id = %(tenant)s AND w.capability_id = %(capability)s
    AND {at} >= %(start)s::timestamp AT TIME ZONE %(zone)s
    AND {at} < %(until)s::timestamp AT TIME ZONE %(zone)s"""
_RESOLVED = (
    "FROM tickets_resolution w WHERE w.holds AND " + _PERIOD.format(at="w.at")
    + " AND w.severity = %(severity)s"
)  # fmt: skip
_IN_TIME = "w.first_response_s <= w.response_target_s"
_DECIDED = f"CASE WHEN {_IN_TIME} THEN w.first_response_at ELSE w.response_deadline END"
_KEPT = "w.ended_at IS NOT NULL AND w.clock_s <= w.resolution_target_s"
_PROMISED = f"CASE WHEN {_KEPT} THEN w.ended_at ELSE w.resolution_deadline END"
_ITEMS = (
    "FROM tickets_workitem w JOIN tickets_resolution r ON r.tenant_id = w.tenant_id"
    " AND r.work_item_id = w.id AND r.holds WHERE " + _PERIOD.format(at="r.at")
)
#: Figure -> the same by SQL.
WHOLE = {
    "first_response.attainment": f"SELECT avg(({_IN_TIME})::int)::float8 FROM tickets_workitem w"
    f" WHERE {_PERIOD.format(at=_DECIDED)}",
    "sla_attainment.resolution": f"SELECT avg(({_KEPT})::int)::float8 FROM tickets_workitem w"
    f" WHERE {_PERIOD.format(at=_PROMISED)}",
    "reopen_rate.rate": "SELECT (count(DISTINCT w.work_item_id) FILTER (WHERE w.reopened))::float8"
    " / count(DISTINCT w.work_item_id) FROM tickets_resolution w"
    f" WHERE {_PERIOD.format(at='w.at')}",
    "escalation_rate.rate": "SELECT avg((w.escalations_functional + w.escalations_hierarchical > 0)"
    f"::int)::float8 {_ITEMS}",
    "reassignments.bounced": f"SELECT avg((w.reassignments >= 2)::int)::float8 {_ITEMS}",
}
BY_SEVERITY = {
    f"resolution_time.resolved_{name}": "SELECT percentile_cont("
    f"{p}) WITHIN GROUP (ORDER BY w.clock_s) {_RESOLVED}"
    for name, p in (("median", 0.5), ("p90", 0.9))
}


class FiguresDiffer(AssertionError):
    """Blocks and SQL told different figures."""


def main() -> list[str]:
    """Return one line for the scorecard and one for what the blocks take."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["WELLSERVED_TEST_DATABASE"] = "bench_scorecard"
    import django

    django.setup()
    tickets = int(os.environ.get("BENCH_TICKETS", TICKETS))
    with _throw_away_database():
        tenant, capability = _filled(tickets)
        return _measured(tenant, capability, tickets)


@contextmanager
def _throw_away_database() -> Iterator[None]:
    from django.conf import settings
    from django.db import connection
    from django.db.backends.signals import connection_created

    from tests import roles

    connection_created.connect(roles.set_role, dispatch_uid="bench.roles")
    name = str(settings.DATABASES["default"]["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.close()
        roles.become(roles.OWNER)
        connection.creation.destroy_test_db(name, verbosity=0)


def _filled(tickets: int) -> tuple[Any, Any]:
    """An organisation with that many tickets in blocks, and the capability to be read."""
    from django.db import connection

    from metrics import columns
    from portal.tenancy.context import acting
    from tests import roles
    from tests.factories import CapabilityFactory, build_cast

    with roles.as_role(roles.OWNER):
        cast = build_cast()
        tenant = cast.acme
        with acting(tenant.pk), connection.cursor() as cursor:
            served = [cast.accounts, cast.network]
            served += [
                CapabilityFactory(tenant=tenant, domain=cast.it, business_unit=cast.sales)
                for _ in range(18)
            ]
            _switch(cursor, "DISABLE")
            for statement in FILL:
                cursor.execute(
                    statement,
                    {
                        "tenant": tenant.pk,
                        "connection": cast.desk.pk,
                        "tickets": tickets,
                        "severities": list(SEVERITIES),
                        "capabilities": [capability.pk for capability in served],
                        "first": FIRST,
                        "days": DAYS,
                    },
                )
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            _switch(cursor, "ENABLE")
            cursor.execute(
                "INSERT INTO metrics_mark (tenant_id, kind, day) SELECT %s, kind, day::date FROM"
                " unnest(%s::text[]) AS kind, generate_series(%s::date, %s::date, '1 day') AS day",
                [tenant.pk, list(columns.KINDS), FIRST.date(), AS_OF.date()],
            )
    with connection.cursor() as cursor, roles.as_role(roles.OWNER):
        cursor.execute("VACUUM ANALYZE")
    with roles.as_role(roles.WORKER):
        columns.sweep(AS_OF)
    return tenant, cast.network


def _switch(cursor: Any, how: str) -> None:
    for table in FACTS:
        cursor.execute(f"ALTER TABLE {table} {how} TRIGGER USER")


def _measured(tenant: Any, capability: Any, tickets: int) -> list[str]:
    from django.db import connection

    from portal.tenancy.context import acting
    from tests import roles

    with roles.as_role(roles.WEB), acting(tenant.pk):
        blocks_s, by_blocks = _timed(lambda: _from_blocks(tenant, capability))
        sql_s, by_sql = _timed(lambda: _from_sql(tenant, capability))
        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(octet_length(columns)) FROM metrics_block")
            block_bytes = cursor.fetchone()[0]
            cursor.execute(
                "SELECT sum(pg_table_size(name::regclass)) FROM unnest(%s::text[]) AS name",
                [list(FACTS)],
            )
            table_bytes = cursor.fetchone()[0]
    for figure, value in by_sql.items():
        same = abs(value - by_blocks[figure]) <= 1e-9 * max(1.0, abs(value))
        if not same:  # also where one of them is not a number
            raise FiguresDiffer(f"{figure}: {by_blocks[figure]} from blocks, {value} by SQL")
    figures = (
        f"scorecard of one of 20 capabilities over 90 days among {tickets:,} tickets:"
        f" {len(by_sql)} figures, equal to SQL over the tables; from blocks, with intervals, in"
        f" {blocks_s / sql_s:.2f} of the time of the SQL"
    )
    size = (
        f"blocks of every day: {block_bytes / table_bytes:.0%} of the bytes of the tables they are"
        " packed from"
    )
    return [figures, size]


def _timed(tell: Any) -> tuple[float, dict[tuple[str, str], float]]:
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        told = tell()
        took.append(time.perf_counter() - began)
    return median(took), told


def _from_blocks(tenant: Any, capability: Any) -> dict[tuple[str, str], float]:
    from metrics.columns import FIRST_RESPONSES, RESOLUTION_PROMISES, RESOLUTIONS
    from metrics.measure import Reader, Slice

    reader = Reader(tenant, as_of=AS_OF)
    reader.fetch(START, UNTIL, RESOLUTIONS, FIRST_RESPONSES, RESOLUTION_PROMISES)
    one = frozenset([capability.pk])
    told = {(key, ""): reader.measure(key, Slice(START, UNTIL, one)).value for key in WHOLE}
    for severity in SEVERITIES:
        for key in BY_SEVERITY:
            cut = Slice(START, UNTIL, one, severity)
            told[key, severity] = reader.measure(key, cut).value
    return {figure: float("nan") if value is None else value for figure, value in told.items()}


def _from_sql(tenant: Any, capability: Any) -> dict[tuple[str, str], float]:
    from django.db import connection

    asked: dict[str, Any] = {
        "tenant": tenant.pk,
        "capability": capability.pk,
        "start": START,
        "until": UNTIL,
        "zone": tenant.time_zone,
    }
    told = {}
    with connection.cursor() as cursor:
        for key, statement in WHOLE.items():
            cursor.execute(statement, asked)
            told[key, ""] = float(cursor.fetchone()[0])
        for severity in SEVERITIES:
            for key, statement in BY_SEVERITY.items():
                cursor.execute(statement, asked | {"severity": severity})
                told[key, severity] = float(cursor.fetchone()[0])
    return told


if __name__ == "__main__":
    print("\n".join(main()))
