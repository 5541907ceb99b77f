"""What was decided about a promise of time in a period that is over, and is decided otherwise now.

METRICS.md 1.8: an item counted as met is undecided again once it is reopened, its period is
restated, and the restatement is logged. Written by the transaction that changes the fact; the same
facts again write nothing. What an import tells of a ticket in several pieces of one local day
restates nothing: no period was over in which the first piece stood.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, time
from operator import itemgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from portal.tenancy.models import Organisation
from tickets.facts import ITEMS, ItemKey
from tickets.models import Restatement, WorkItem
from tickets.storing import Table, Written, array

type Row = Sequence[Any]
"""A work item as stored, without its id: the values of `ITEMS.columns[1:]`."""

Promise = Restatement.Promise
Verdict = Restatement.Verdict

_COLUMNS = (
    "tenant_id", "ticket_id", "number", "promise", "noticed_at",
    "was", "was_at", "was_capability_id", "was_severity",
    "now", "now_at", "now_capability_id", "now_severity",
)  # fmt: skip
RESTATEMENTS = Table(Restatement, _COLUMNS)

_AT = {name: place for place, name in enumerate(ITEMS.columns[1:])}
#: When each was fulfilled, and when its time runs out.
_INSTANTS = {
    Promise.FIRST_RESPONSE: ("first_response_at", "response_deadline"),
    Promise.FIRST_MEANINGFUL: ("first_meaningful_at", "response_deadline"),
    Promise.RESOLUTION: ("ended_at", "resolution_deadline"),
}
#: All that a decision follows from.
_decides = itemgetter(
    *(_AT[name] for name in ("capability_id", "severity", "outcome", "response_owed")),
    *sorted({_AT[name] for pair in _INSTANTS.values() for name in pair}),
    *(
        _AT[f"{promise.value}_{what}"]
        for promise in Promise
        for what in ("in_time", "severity", "capability_id")
    ),
)


class Stands(NamedTuple):
    """How a promise stands, when that was decided, and under which capability and severity.

    `at` is None while nothing is decided.
    """

    verdict: Verdict
    at: datetime | None = None
    capability_id: int | None = None
    severity: str = ""


class Change(NamedTuple):
    """A promise of an item that stands otherwise than it did."""

    key: ItemKey
    promise: Promise
    was: Stands
    now: Stands


def stands(row: Row, promise: Promise, as_of: datetime) -> Stands:
    """How a promise stands as `metrics.evaluating.attainment` counts it."""
    in_time = row[_AT[f"{promise.value}_in_time"]]
    of_reply = promise is not Promise.RESOLUTION
    if in_time is None or (of_reply and not row[_AT["response_owed"]]):
        return Stands(Verdict.NOT_COUNTED)
    fulfilled, deadline = (row[_AT[name]] for name in _INSTANTS[promise])
    withdrawn = row[_AT["outcome"]] == WorkItem.Outcome.WITHDRAWN
    under = (
        row[_AT[f"{promise.value}_capability_id"]] or row[_AT["capability_id"]],
        row[_AT[f"{promise.value}_severity"]] or row[_AT["severity"]],
    )
    if in_time and not (withdrawn and not of_reply):
        return Stands(Verdict.MET, fulfilled, *under)
    if in_time:
        return Stands(Verdict.WITHDRAWN)
    if of_reply and withdrawn and fulfilled is None:
        ended = row[_AT["ended_at"]]
        if deadline is not None and ended <= deadline:
            return Stands(Verdict.WITHDRAWN)
    if deadline is not None and deadline < as_of:
        return Stands(Verdict.MISSED, deadline, *under)
    return Stands(Verdict.UNDECIDED)


def write_restatements(
    tenant_id: int,
    stored: Mapping[ItemKey, Row],
    wanted: Mapping[ItemKey, Row],
    *,
    tickets: Collection[int],
    at: datetime,
) -> Written:
    """Log what the facts that are about to be written restate.

    `stored` are the rows of `read_items` for the tickets that were known, with their ids; `wanted`
    those of the fold.
    """
    changes = list(_changes(stored, wanted, set(tickets), at))
    if not changes:
        return Written()
    zone = Organisation.objects.get(pk=tenant_id).zone
    midnight = datetime.combine(at.astimezone(zone).date(), time(), tzinfo=zone)
    changes = [one for one in changes if _is_of_the_past(one, midnight, zone)]
    if not changes:
        return Written()
    ids = sorted({one.key[0] for one in changes})
    heard, before = _heard_before(tenant_id, ids, midnight), _restated_before(tenant_id, ids)
    rows = [
        (tenant_id, *one.key, one.promise.value, at, *_said(one.was), *_said(one.now))
        for one in changes
        if (one.key[0] in heard and _is_over(one.was, midnight))
        or (*one.key, one.promise.value) in before
    ]
    return RESTATEMENTS.insert(rows)


def _changes(
    stored: Mapping[ItemKey, Row],
    wanted: Mapping[ItemKey, Row],
    tickets: Collection[int],
    at: datetime,
) -> Iterator[Change]:
    """What stands otherwise; items that come to be are among them where their ticket was known."""
    nothing = Stands(Verdict.NOT_COUNTED)
    for key, with_id in stored.items():
        row, want = with_id[1:], wanted.get(key)
        if want is not None and _decides(row) == _decides(want):
            continue
        for promise in Promise:
            was = stands(row, promise, at)
            now = nothing if want is None else stands(want, promise, at)
            if was != now:
                yield Change(key, promise, was, now)
    for key, want in wanted.items():
        if key[0] in tickets and key not in stored:
            for promise in Promise:
                now = stands(want, promise, at)
                if now != nothing:
                    yield Change(key, promise, nothing, now)


def _is_of_the_past(change: Change, midnight: datetime, zone: ZoneInfo) -> bool:
    """Whether a day that is over is told otherwise: another verdict, day, service or severity."""
    was, now = change.was, change.now
    if was.at is not None and now.at is not None:
        days = [one.astimezone(zone).date() for one in (was.at, now.at)]
        if days[0] == days[1] and (was.verdict, *was[2:]) == (now.verdict, *now[2:]):
            return False
    return _is_over(was, midnight) or _is_over(now, midnight)


def _is_over(one: Stands, midnight: datetime) -> bool:
    """Whether it was decided on a day before the one that began at `midnight`."""
    return one.at is not None and one.at < midnight


def _said(one: Stands) -> tuple[str, datetime | None, int | None, str]:
    return one.verdict.value, one.at, one.capability_id, one.severity


def _heard_before(tenant_id: int, ids: Sequence[int], midnight: datetime) -> set[int]:
    """The tickets that were heard of on an earlier day."""
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT DISTINCT ticket_id FROM "tickets_ticketevent"'
            " WHERE tenant_id = %s AND ticket_id = ANY(%s) AND recorded_at < %s",
            [tenant_id, array(ids), midnight],
        )
        return {ticket for (ticket,) in cursor.fetchall()}


def _restated_before(tenant_id: int, ids: Sequence[int]) -> set[tuple[int, int, str]]:
    """Ticket, number and promise of what was restated already: going back is logged as well."""
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT DISTINCT ticket_id, number, promise FROM "tickets_restatement"'
            " WHERE tenant_id = %s AND ticket_id = ANY(%s)",
            [tenant_id, array(ids)],
        )
        return set(cursor.fetchall())
