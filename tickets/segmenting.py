"""Storing who somebody was to us when an event happened (METRICS.md D1).

Only what is dated before the event counts, so a later change of the person moves no history. What
is heard late of earlier days does: where it moves the first sign of somebody, the segments of their
items are computed again, and are the same in whatever order things were told. Those of a surveyed
event are frozen with everything else when it is decided whether to ask.

One person may be known to several sources: what they did is added over all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from tickets.same_person import SAME_PERSON, everybody_who_is
from tickets.segments import (
    ADVANCED_WINDOW,
    USAGE_WINDOW,
    Segments,
    is_advanced,
    tenure,
    usage,
)
from tickets.storing import Written, array

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
    ), begins AS (
        SELECT same.one, min(asked.at) AS at
          FROM same JOIN asked ON asked.person = same.also WHERE %(openings)s GROUP BY same.one
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
    SELECT began.at, begins.at, coalesce(used.days, 0), coalesce(used.advanced, 0), known.since,
           known.advanced_since
      FROM asked LEFT JOIN began ON began.one = asked.person
      LEFT JOIN begins ON begins.one = asked.person CROSS JOIN known
      LEFT JOIN used ON used.number = asked.number
     ORDER BY asked.number
"""  # noqa: S608 - every part is declared here


def segments_at(tenant_id: int, events: Sequence[Event]) -> list[Segments]:
    """The segments of requesters at instants, in the order asked; inside `acting()`, as the worker.

    Usage is unknown where the organisation had no telemetry 28 days before the event, advanced use
    where nobody's use had been told as advanced 90 days before: that is not the same as no use.
    """
    return [_segments(event, known) for event, known in _known(tenant_id, events)]


def segments_of[K](
    tenant_id: int, opened: Sequence[tuple[K, int | None, datetime]]
) -> tuple[dict[K, int], set[int]]:
    """Packed segments of items that are about to be stored, by their keys, and whom they concern.

    Those are people of whom a later sign is stored already: their items are to be mended
    (`write_segments`) when these are stored.
    """
    told: dict[K, int] = {}
    earlier: set[int] = set()
    events = [(person, at) for _, person, at in opened]
    known = _known(tenant_id, events, openings=True)
    for (key, person, _), (event, signs) in zip(opened, known, strict=True):
        told[key] = _segments(event, signs).packed
        if person is not None and signs.began and signs.begins and signs.begins < signs.began:
            earlier.add(person)
    return told, earlier


Event = tuple[int | None, datetime]
"""A requester, where known, and when something happened to them."""


class _Known(NamedTuple):
    """What is recorded of the requester of an event."""

    #: The first sign that is stored, and the first of those asked about, where they are openings.
    began: datetime | None
    begins: datetime | None
    #: Days with a use, and advanced uses, in the windows before the event.
    active: int
    advanced: int
    #: Since when the organisation has telemetry, and since when it tells of advanced use.
    used_since: datetime | None
    advanced_since: datetime | None


def _known(
    tenant_id: int, events: Sequence[Event], *, openings: bool = False
) -> list[tuple[Event, _Known]]:
    if not events:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            {
                "tenant": tenant_id,
                "ids": array({person for person, _ in events if person is not None}),
                "people": array(person for person, _ in events),
                "moments": array(at for _, at in events),
                "openings": openings,
                "usage": USAGE_WINDOW.total_seconds(),
                "advanced": ADVANCED_WINDOW.total_seconds(),
            },
        )
        return list(zip(events, map(_Known._make, cursor.fetchall()), strict=True))


def _segments(event: Event, known: _Known) -> Segments:
    person, at = event
    first = min((one for one in (known.began, known.begins) if one is not None), default=at)
    if person is None:
        return Segments()
    reaches = known.used_since is not None and known.used_since <= at - USAGE_WINDOW
    far = known.advanced_since is not None and known.advanced_since <= at - ADVANCED_WINDOW
    return Segments(
        tenure((at - first).days if first < at else None),
        usage(known.active) if reaches else None,
        is_advanced(known.advanced) if far else None,
    )


def write_segments(tenant_id: int, requester_ids: Collection[int]) -> Written:
    """Compute the segments of these people's items again; write what differs."""
    people = everybody_who_is(tenant_id, requester_ids)
    if not people:
        return Written()
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT id, requester_id, opened_at, segments FROM "tickets_workitem"'
            " WHERE tenant_id = %s AND requester_id = ANY(%s)",
            [tenant_id, array(people)],
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
                [array(pk for pk, _ in differing), array(code for _, code in differing), tenant_id],
            )
    return Written(changed=len(differing))
