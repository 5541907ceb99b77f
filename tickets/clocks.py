"""Clocks of a work item: what is subtracted, what runs on, when a promise is decided.

Pure; METRICS.md 1.3, 1.4 and M15. Seconds are business seconds of the calendar handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tickets.canonical import Severity
from tickets.timeline import REOPEN_WINDOW, Outcome, WorkItem

#: A resolution is mature when its reopen window has closed (METRICS.md 1.8).
MATURITY = REOPEN_WINDOW


class Calendar(Protocol):
    """Business time, as portal/catalogue/business_time.py provides it."""

    def elapsed(self, start: datetime, end: datetime) -> float:
        """Business seconds from start to end; 0 if end is not after start."""

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


def resolution_clock(item: WorkItem, calendar: Calendar, as_of: datetime) -> float:
    """Business seconds from opening to the resolution that held, without pauses and gaps."""
    return _running_seconds(item, calendar, item.opened_at, stopped_at(item, as_of))


def _running_seconds(item: WorkItem, calendar: Calendar, since: datetime, end: datetime) -> float:
    """Business seconds between two instants outside the item's pauses, which never overlap."""
    paused = sum(
        calendar.elapsed(max(start, since), min(stop or end, end)) for start, stop in item.pauses
    )
    return calendar.elapsed(since, end) - paused


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


@dataclass(frozen=True, slots=True)
class Promise:
    """That an item is resolved within so many business seconds of a calendar from an instant."""

    since: datetime
    calendar: Calendar
    seconds: float

    def runs_out(self, item: WorkItem) -> datetime | None:
        """When the seconds have elapsed; None while a running pause keeps them from it."""
        return self.calendar.deadline_with_pauses(self.since, self.seconds, item.pauses)

    def is_broken(self, item: WorkItem, as_of: datetime) -> bool:
        """Whether the clock has passed the seconds; reaching them exactly keeps the promise."""
        end = stopped_at(item, as_of)
        return _running_seconds(item, self.calendar, self.since, end) > self.seconds


def promises(
    item: WorkItem, promised: Callable[[Severity], tuple[Calendar, float] | None]
) -> list[Promise]:
    """What was promised of an item's resolution, by the steps of its severity (METRICS.md 1.5).

    `promised` tells a severity's calendar and business seconds, None where nothing was promised.
    After an upgrade the old promise holds beside the tighter one, which runs from the upgrade.
    """
    told = ((since, promised(severity)) for since, severity in item.severity_steps)
    return [Promise(since, *promise) for since, promise in told if promise is not None]


def deadline(item: WorkItem, promised: Sequence[Promise]) -> datetime | None:
    """The instant the first promise runs out; None without one, or while a pause keeps it off."""
    instants = [at for promise in promised if (at := promise.runs_out(item)) is not None]
    return min(instants, default=None)


def decide(item: WorkItem, promised: Sequence[Promise], as_of: datetime) -> Decision:
    """Decide once whether every promise is kept (METRICS.md M15).

    Met at the resolution, if the clock was not over by then; missed at the instant the time ran
    out, also while open and after a withdrawal; withdrawn in time is neither.
    """
    if any(promise.is_broken(item, as_of) for promise in promised):
        return Decision(Verdict.MISSED, deadline(item, promised))
    if item.outcome is Outcome.RESOLVED:
        return Decision(Verdict.MET, item.ended_at)
    if item.outcome is Outcome.WITHDRAWN:
        return Decision(Verdict.WITHDRAWN, None)
    return Decision(Verdict.UNDECIDED, None)


def resolution_deadline(item: WorkItem, calendar: Calendar, seconds: float) -> datetime | None:
    """When one promise from the opening runs out; None while a pause keeps it off."""
    return deadline(item, [Promise(item.opened_at, calendar, seconds)])


def decide_resolution(
    item: WorkItem, calendar: Calendar, seconds: float, as_of: datetime
) -> Decision:
    """Decide one promise that runs from the opening."""
    return decide(item, [Promise(item.opened_at, calendar, seconds)], as_of)


def response_clock(item: WorkItem, at: datetime, calendar: Calendar) -> float:
    """Business seconds from opening to a reply; nothing is subtracted."""
    return calendar.elapsed(item.opened_at, at)
