"""The double-check of routine work: a second person reads random items again (METRICS.md M25).

Every week some classified items of each capability are drawn by chance: fifty a month. Whoever
reads one sees its words and not what it was classified as, says once whether people should be able
to do it themselves, and cannot take it back.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.db import IntegrityError, connection, transaction

from metrics.models import DrawnItem, SecondReading
from portal.audit.trail import Actor
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys.sweeping import each_organisation

#: Items of a capability and week; four weeks and a bit are a month, and give fifty. Not a month at
#: once: the words of messages are kept for 30 days.
A_WEEK = 12

_DRAW = """
INSERT INTO metrics_drawnitem (tenant_id, ticket_id, number, capability_id, week, drawn_at)
SELECT found.tenant_id, found.ticket_id, found.number, found.capability_id, %(week)s, %(now)s
  FROM (
    SELECT w.tenant_id, w.ticket_id, w.number, w.capability_id,
           row_number() OVER (PARTITION BY w.capability_id ORDER BY random()) AS place
      FROM tickets_workitem w
     WHERE w.tenant_id = %(tenant)s AND w.opened_at >= %(start)s AND w.opened_at < %(end)s
       AND w.routine IS NOT NULL AND w.capability_id IS NOT NULL
       AND NOT EXISTS (
         SELECT 1 FROM metrics_drawnitem d WHERE d.tenant_id = w.tenant_id
            AND d.capability_id = w.capability_id AND d.week = %(week)s)
  ) AS found
 WHERE found.place <= %(most)s
    ON CONFLICT DO NOTHING
"""


class AlreadyRead(ValueError):
    """Somebody has read this item before; a second reading is final."""


def sweep(now: datetime) -> int:
    """Draw the items of the last complete week where that has not been done; return how many."""
    return each_organisation("Drawing items to read again", lambda tenant: _draw(tenant, now))


def _draw(tenant_id: int, now: datetime) -> int:
    zone = Organisation.objects.get(pk=tenant_id).zone
    today = now.astimezone(zone).date()
    week = today - timedelta(days=today.weekday() + 7)

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)

    with acting(tenant_id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('metrics.double_checking'), %s)", [tenant_id]
        )
        cursor.execute(
            _DRAW,
            {
                "tenant": tenant_id,
                "week": week,
                "start": midnight(week),
                "end": midnight(week + timedelta(days=7)),
                "now": now,
                "most": A_WEEK,
            },
        )
        return int(cursor.rowcount)


def read_again(
    *, drawn: DrawnItem, says: SecondReading.Says, by: Actor, at: datetime
) -> SecondReading:
    """Keep what a second person reads in a drawn item. Raises AlreadyRead."""
    try:
        with transaction.atomic():
            return SecondReading.objects.create(
                tenant_id=drawn.tenant_id,
                drawn=drawn,
                says=says,
                by_key=by.key,
                by_name=by.name,
                at=at,
            )
    except IntegrityError as error:
        if SecondReading.objects.for_tenant(drawn.tenant_id).filter(drawn=drawn).exists():
            raise AlreadyRead("Somebody has read this item before.") from error
        raise
