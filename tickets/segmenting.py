"""Storing who somebody was to us when an event happened (METRICS.md D1).

Only what is dated before the event counts, so a later change of the person moves no history. What
is heard late of earlier days does: the segments of an item are computed again for everybody a batch
touched, and are the same in whatever order things were told. Those of a surveyed event are frozen
with everything else when it is decided whether to ask.

One person may be known to several sources: what they did is added over all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection

from tickets.attempts import SAME_PERSON
from tickets.segments import (
    ADVANCED_WINDOW,
    USAGE_WINDOW,
    Segments,
    is_advanced,
    tenure,
    usage,
)
from tickets.storing import Written

#: The first sign of each person, of an item or a use, and their recent uses, by event asked about.
_COUNT = f"""
    WITH same AS ({SAME_PERSON}),
    asked AS (
        SELECT * FROM unnest(%(people)s::bigint[], %(moments)s::timestamptz[])
            WITH ORDINALITY AS a(person, at, number)
    ), began AS (
        SELECT same.one, least(
            min((SELECT min(w.opened_at) FROM "tickets_workitem" w
                  WHERE w.tenant_id = %(tenant)s AND w.requester_id = same.also)),
            min((SELECT min(u.at) FROM "tickets_usageevent" u
                  WHERE u.tenant_id = %(tenant)s AND u.requester_id = same.also))) AS at
          FROM same GROUP BY same.one
    ), known AS (
        SELECT o.time_zone,
               (SELECT min(at) FROM "tickets_usageevent" WHERE tenant_id = o.id) AS since,
               (SELECT min(at) FROM "tickets_usageevent"
                 WHERE tenant_id = o.id AND advanced) AS advanced_since
          FROM "tenancy_organisation" o WHERE o.id = %(tenant)s
    ), used AS (
        SELECT asked.number,
               count(DISTINCT (u.at AT TIME ZONE known.time_zone)::date)
                   FILTER (WHERE u.at >= asked.at - make_interval(secs => %(usage)s)) AS days,
               count(*) FILTER (WHERE u.advanced) AS advanced
          FROM asked JOIN same ON same.one = asked.person CROSS JOIN known
          JOIN "tickets_usageevent" u ON u.tenant_id = %(tenant)s AND u.requester_id = same.also
           AND u.at < asked.at AND u.at >= asked.at - make_interval(secs => %(advanced)s)
         GROUP BY asked.number
    )
    SELECT began.at, coalesce(used.days, 0), coalesce(used.advanced, 0), known.since,
           known.advanced_since
      FROM asked LEFT JOIN began ON began.one = asked.person CROSS JOIN known
      LEFT JOIN used ON used.number = asked.number
     ORDER BY asked.number
"""  # noqa: S608 - every part is declared here


def segments_at(
    tenant_id: int,
    events: Sequence[tuple[int | None, datetime]],
    openings: Mapping[int, datetime] | None = None,
) -> list[Segments]:
    """The segments of requesters at instants, in the order asked; inside `acting()`, as the worker.

    `openings` are first items of requesters that are not stored yet.

    Usage is unknown where the organisation had no telemetry 28 days before the event, advanced use
    where nobody's use had been told as advanced 90 days before: that is not the same as no use.
    """
    if not events:
        return []
    people = sorted({person for person, _ in events if person is not None})
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            {
                "tenant": tenant_id,
                "ids": people,
                "people": [person for person, _ in events],
                "moments": [at for _, at in events],
                "usage": USAGE_WINDOW.total_seconds(),
                "advanced": ADVANCED_WINDOW.total_seconds(),
            },
        )
        counted = cursor.fetchall()
    found = []
    for (person, at), (began, active, advanced, used_since, advanced_since) in zip(
        events, counted, strict=True
    ):
        signs = [one for one in (began, (openings or {}).get(person or 0)) if one is not None]
        first = min(signs, default=at)
        known = person is not None
        reaches = known and used_since is not None and used_since <= at - USAGE_WINDOW
        reaches_far = (
            known and advanced_since is not None and advanced_since <= at - ADVANCED_WINDOW
        )
        found.append(
            Segments(
                tenure((at - first).days if first < at else None),
                usage(active) if reaches else None,
                is_advanced(advanced) if reaches_far else None,
            )
        )
    return found


def segments_of[K](
    tenant_id: int, opened: Sequence[tuple[K, int | None, datetime]]
) -> dict[K, int]:
    """Packed segments of items that are about to be stored, by their keys.

    Right unless an earlier item of the same person comes later; then `write_segments` mends it.
    """
    first: dict[int, datetime] = {}
    for _, person, at in opened:
        if person is not None:
            first[person] = min(at, first.get(person, at))
    told = segments_at(tenant_id, [(person, at) for _, person, at in opened], first)
    return {key: one.packed for (key, _, _), one in zip(opened, told, strict=True)}


def write_segments(tenant_id: int, requester_ids: Collection[int]) -> Written:
    """Compute the segments of these people's items again; write what differs."""
    people = _everybody_who_is(tenant_id, requester_ids)
    if not people:
        return Written()
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT id, requester_id, opened_at, segments FROM "tickets_workitem"'
            " WHERE tenant_id = %s AND requester_id = ANY(%s)",
            [tenant_id, people],
        )
        items = cursor.fetchall()
    told = segments_at(tenant_id, [(person, at) for _, person, at, _ in items])
    differing = [
        (pk, one.packed)
        for (pk, _, _, stored), one in zip(items, told, strict=True)
        if one.packed != stored
    ]
    if differing:
        with connection.cursor() as cursor:
            cursor.execute(
                'UPDATE "tickets_workitem" AS item SET segments = told.segments'
                " FROM unnest(%s::bigint[], %s::smallint[]) AS told(id, segments)"
                " WHERE item.id = told.id AND item.tenant_id = %s",
                [[pk for pk, _ in differing], [code for _, code in differing], tenant_id],
            )
    return Written(changed=len(differing))


def _everybody_who_is(tenant_id: int, requester_ids: Iterable[int]) -> list[int]:
    """These requesters and those who are the same persons."""
    ids = sorted(set(requester_ids))
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT also FROM ({SAME_PERSON}) AS same ORDER BY also",  # noqa: S608
            {"tenant": tenant_id, "ids": ids},
        )
        return [row[0] for row in cursor.fetchall()]
