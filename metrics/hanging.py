"""What satisfaction goes together with: answers beside what happened to their items (D9).

It says what goes together, not what causes what. Columns of answers do not hold what happened, so
both are joined here by the resolution that was asked about, one capability at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from metrics.comparing import Comparison, Side, Wording, compare
from metrics.evaluating import answers, clustered, satisfied_in, trusted
from metrics.measure import Reader, Slice
from metrics.rows import Rows
from metrics.standing import Reliability
from surveys.models import SurveyedEvent
from tickets.models import Resolution

#: Fields of a resolution and its item that the factors look at.
_FIELDS = (
    "ticket_id",
    "event_key",
    "at",
    "reopened",
    "work_item__first_response_in_time",
    "work_item__resolution_in_time",
    "work_item__escalations_functional",
    "work_item__escalations_hierarchical",
    "work_item__fcr_claimed",
)
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Factor:
    """Two sorts of items; `is_first` is None where nobody knows which one it is."""

    first: str
    second: str
    is_first: Callable[[Item, datetime], bool | None]
    #: Whether it is told only when the reopen window is over.
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Hanging:
    """The satisfied of both sorts; None where one has too few answers to be told."""

    factor: Factor
    first: Side | None
    second: Side | None
    told: Comparison


def _held(item: Item, as_of: datetime) -> bool | None:
    """Known once the window is over; a reopen is only counted then (METRICS.md 1.8).

    `as_of` is that much earlier for this factor (`Factor.waits`).
    """
    return not item["reopened"] if item["at"] <= as_of else None


def _not_escalated(item: Item, as_of: datetime) -> bool | None:
    escalated = (
        item["work_item__escalations_functional"] + item["work_item__escalations_hierarchical"]
    )
    return bool(escalated == 0)


FACTORS = (
    Factor(
        "replied in time",
        "replied late",
        lambda item, as_of: item["work_item__first_response_in_time"],
    ),
    Factor(
        "resolved in time",
        "resolved late",
        lambda item, as_of: item["work_item__resolution_in_time"],
    ),
    Factor("not escalated", "escalated", _not_escalated),
    Factor("held", "reopened", _held, waits=True),
    Factor(
        "one contact", "several contacts", lambda item, as_of: bool(item["work_item__fcr_claimed"])
    ),
)


def hanging(reader: Reader, cut: Slice) -> list[Hanging]:
    """The factors of one capability, the largest proven difference first, as one family.

    Raises ScalesPooled where its answers came on several scales.
    """
    facts = reader.facts(cut)
    found = answers(facts, policy_denial=False)
    state = trusted(facts, found.sent, len(found.rows))
    items = _items(reader, cut)
    rows = found.rows[np.isin(found.rows["event"], list(items))]
    behind = [items[event] for event in rows["event"].tolist()]
    sides: dict[str, tuple[Side, Side]] = {}
    window = timedelta(days=reader.settings.reopen_days)
    for factor in FACTORS:
        as_of = reader.as_of - window if factor.waits else reader.as_of
        which = [factor.is_first(item, as_of) for item in behind]
        first, second = (
            _side(rows[np.array([one is sort for one in which], dtype=bool)], state)
            for sort in (True, False)
        )
        sides[factor.first] = first, second
    told = compare(sides, discovery_rate=reader.settings.discovery_rate)
    smallest = int(reader.settings.suppressed_below)
    hanging = [
        _told(factor, *sides[factor.first], told[factor.first], smallest) for factor in FACTORS
    ]
    return sorted(hanging, key=_largest_proven_first)


def held_and_reopened(reader: Reader, cut: Slice) -> tuple[Side, Side]:
    """The satisfied where the resolution held, and where it was reopened; mature ones only (D6).

    Raises ScalesPooled.
    """
    facts = reader.facts(cut)
    found = answers(facts, policy_denial=False)
    state = trusted(facts, found.sent, len(found.rows))
    items = _items(reader, cut)
    rows = found.rows[np.isin(found.rows["event"], list(items))]
    as_of = reader.as_of - timedelta(days=reader.settings.reopen_days)
    held = [_held(items[event], as_of) for event in rows["event"].tolist()]
    first, second = (
        _side(rows[np.array([one is sort for one in held], dtype=bool)], state)
        for sort in (True, False)
    )
    return first, second


def _side(rows: Rows, state: Reliability) -> Side:
    """The satisfied of some answers, several of one person not as several."""
    if not len(rows):
        return Side(0, 0, state)
    told = clustered(rows, satisfied_in(rows))
    return Side(told.satisfied, told.n, state, effective=told.effective_n)


def _told(factor: Factor, first: Side, second: Side, told: Comparison, smallest: int) -> Hanging:
    """Both sides or none: one alone would follow from the whole by subtraction."""
    if min(first.n, second.n) < smallest:
        return Hanging(factor, None, None, Comparison(Wording.NOT_COMPARED, why_not="too few"))
    return Hanging(factor, first, second, told)


def _largest_proven_first(row: Hanging) -> tuple[bool, float]:
    proven = row.told.wording in (Wording.HIGHER, Wording.LOWER)
    return not proven, -abs(row.told.difference or 0.0)


def _items(reader: Reader, cut: Slice) -> dict[int, Item]:
    """What happened to the items behind surveyed events of a slice, by event."""
    first, last = reader.midnight(cut.start), reader.midnight(cut.until)
    served = cut.capabilities or frozenset()
    events = SurveyedEvent.objects.for_tenant(reader.tenant).filter(
        at__gte=first, at__lt=last, capability__in=served
    )
    resolutions = {
        (row["ticket_id"], row["event_key"]): row
        for row in Resolution.objects.for_tenant(reader.tenant)
        .filter(at__gte=first, at__lt=last, capability__in=served)
        .values(*_FIELDS)
    }
    return {
        event: resolutions[ticket, key]
        for event, ticket, key in events.values_list("pk", "ticket_id", "event_key")
        if (ticket, key) in resolutions
    }
