"""Clocks of a work item: what is subtracted, what runs on, when a promise is decided.

Pure; METRICS.md 1.3, 1.4 and M15. Seconds are business seconds of the calendar handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tickets.timeline import REOPEN_WINDOW, Outcome, WorkItem

#: A resolution is mature when its reopen window has closed (METRICS.md 1.8).
MATURITY = REOPEN_WINDOW


class Calendar(Protocol):
    """Business time, as portal/catalogue/business_time.py provides it."""

    def elapsed(self, start: datetime, end: datetime) -> float:
        """Business seconds from start to end."""

    def deadline_with_pauses(
        self, start: datetime, seconds: float, pauses: Sequence[tuple[datetime, datetime | None]]
    ) -> datetime | None:
        """The earliest instant at which the seconds have elapsed outside the pauses, or None."""


class Verdict(StrEnum):
    """How a promise of time stands."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Decision:
    """A promise and the instant that decided it, None while nothing has."""

    verdict: Verdict
    at: datetime | None


def stopped_at(item: WorkItem, as_of: datetime) -> datetime:
    """Where the resolution clock ends: the resolution that held, the withdrawal, or `as_of`."""
    return item.ended_at or as_of


def paused_seconds(item: WorkItem, calendar: Calendar, as_of: datetime) -> float:
    """Business seconds inside accepted pauses and gaps, up to where the clock ends."""
    end = stopped_at(item, as_of)
    return sum(
        calendar.elapsed(start, min(stop or end, end)) for start, stop in item.pauses if start < end
    )


def resolution_clock(item: WorkItem, calendar: Calendar, as_of: datetime) -> float:
    """Business seconds from opening to the resolution that held, without pauses and gaps."""
    end = stopped_at(item, as_of)
    return calendar.elapsed(item.opened_at, end) - paused_seconds(item, calendar, as_of)


def pause_share(item: WorkItem, calendar: Calendar, as_of: datetime) -> float | None:
    """1 - clock / business elapsed; None where no business time has passed."""
    elapsed = calendar.elapsed(item.opened_at, stopped_at(item, as_of))
    return 1 - resolution_clock(item, calendar, as_of) / elapsed if elapsed else None


def requester_elapsed(item: WorkItem, as_of: datetime) -> float:
    """Calendar seconds the requester waited."""
    return (stopped_at(item, as_of) - item.opened_at).total_seconds()


def paused_since(item: WorkItem) -> datetime | None:
    """Since when an open item's clock stands still, None while it runs."""
    if item.outcome is not Outcome.OPEN or not item.pauses or item.pauses[-1][1] is not None:
        return None
    return item.pauses[-1][0]


def resolution_deadline(item: WorkItem, calendar: Calendar, seconds: float) -> datetime | None:
    """When the promised business seconds run out; None while a pause keeps them from it."""
    return calendar.deadline_with_pauses(item.opened_at, seconds, item.pauses)


def decide_resolution(
    item: WorkItem, calendar: Calendar, seconds: float, as_of: datetime
) -> Decision:
    """Decide the resolution promise once: met at the resolution, missed when the time ran out."""
    deadline = resolution_deadline(item, calendar, seconds)
    if item.outcome is Outcome.RESOLVED and item.ended_at is not None:
        if resolution_clock(item, calendar, as_of) <= seconds:
            return Decision(Verdict.MET, item.ended_at)
        return Decision(Verdict.MISSED, deadline)
    if deadline is not None and deadline < stopped_at(item, as_of):
        return Decision(Verdict.MISSED, deadline)
    if item.outcome is Outcome.WITHDRAWN:
        return Decision(Verdict.WITHDRAWN, None)
    return Decision(Verdict.UNDECIDED, None)


def response_clock(item: WorkItem, at: datetime, calendar: Calendar) -> float:
    """Business seconds from opening to a reply; nothing is subtracted."""
    return calendar.elapsed(item.opened_at, at)
