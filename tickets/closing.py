"""Bursts of closing: how many resolutions one account made within ten minutes (METRICS.md G10).

Told of a resolution only from 21 on, and never whose they were: a smaller number would say of
ordinary work which of it was done by one hand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from tickets.storing import Written, array
from tickets.timeline import BURST_MORE_THAN, BURST_WINDOW

#: What is to be written otherwise than it is. Stretches and resolutions are looked up by an index:
#: OFFSET 0 keeps the planner from joining all an account ever closed with all its stretches.
_DIFFERING = """
    WITH near AS (
        SELECT a.ticket_id, a.event_key, a.at, s.start,
               count(*) OVER (PARTITION BY s.agent, s.start ORDER BY a.at
                              RANGE BETWEEN make_interval(secs => %(window)s) PRECEDING
                              AND CURRENT ROW) AS number
          FROM unnest(%(agents)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
               AS s(agent, start, "end")
         CROSS JOIN LATERAL (
               SELECT ticket_id, event_key, at FROM "tickets_attribution"
                WHERE tenant_id = %(tenant)s AND agent_id = s.agent AND act = 'resolved'
                  AND at BETWEEN s.start AND s."end" OFFSET 0) AS a
    ), told AS (
        SELECT ticket_id, event_key, CASE WHEN number > %(more_than)s
               THEN least(number, 32767) END AS burst
          FROM near WHERE at >= start + make_interval(secs => %(window)s)
    )
    SELECT r.id, told.burst
      FROM told CROSS JOIN LATERAL (
           SELECT id, burst FROM "tickets_resolution"
            WHERE tenant_id = %(tenant)s AND ticket_id = told.ticket_id
              AND event_key = told.event_key OFFSET 0) AS r
     WHERE r.burst IS DISTINCT FROM told.burst
"""


def write_bursts(tenant_id: int, closed: Iterable[tuple[int, datetime]]) -> Written:
    """Count anew around these resolutions, given as account and instant; as the worker.

    What was closed at an instant counts in what the account closed in the ten minutes behind it,
    and those count what was closed in the ten minutes before.
    """
    stretches = _stretches(closed)
    if not stretches:
        return Written()
    agents, starts, ends = zip(*stretches, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            _DIFFERING,
            {
                "tenant": tenant_id,
                "window": BURST_WINDOW.total_seconds(),
                "agents": array(agents),
                "starts": array(starts),
                "ends": array(ends),
                "more_than": BURST_MORE_THAN,
            },
        )
        differing = dict(cursor.fetchall())
        if differing:
            cursor.execute(
                'UPDATE "tickets_resolution" AS r SET burst = told.burst'
                " FROM unnest(%s::bigint[], %s::smallint[]) AS told(id, burst)"
                " WHERE r.id = told.id AND r.tenant_id = %s",
                [array(differing), array(differing.values()), tenant_id],
            )
    return Written(changed=len(differing))


def _stretches(closed: Iterable[tuple[int, datetime]]) -> list[tuple[int, datetime, datetime]]:
    """Ten minutes around each instant, joined where they touch, account by account."""
    instants: dict[int, list[datetime]] = defaultdict(list)
    for agent, at in closed:
        instants[agent].append(at)
    found: list[tuple[int, datetime, datetime]] = []
    for agent, times in instants.items():
        for at in sorted(times):
            start, end = at - BURST_WINDOW, at + BURST_WINDOW
            if found and found[-1][0] == agent and start <= found[-1][2]:
                found[-1] = (agent, found[-1][1], end)
            else:
                found.append((agent, start, end))
    return found
