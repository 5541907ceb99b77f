"""Clocks of a work item: what is subtracted, what runs on, when a promise is decided.

Pure; METRICS.md 1.3, 1.4 and M15. Seconds are business seconds of the calendar handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from tickets.canonical import Severity
from tickets.timeline import REOPEN_WINDOW, Outcome, Terms, WorkItem

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


Pauses = Sequence[tuple[datetime, datetime | None]]
"""Stretches in which a clock stands still, the last one perhaps without an end."""

Offer = Callable[[Any, Severity], tuple[Calendar, float] | None]
"""Calendar and business seconds promised under a capability and a severity; None: nothing."""


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
    return _running_seconds(calendar, item.opened_at, stopped_at(item, as_of), item.pauses)


def _running_seconds(calendar: Calendar, since: datetime, end: datetime, pauses: Pauses) -> float:
    """Business seconds between two instants outside the pauses, which never overlap."""
    paused = sum(
        calendar.elapsed(max(start, since), min(stop or end, end)) for start, stop in pauses
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
    """That something is done within so many business seconds of a calendar from an instant."""

    since: datetime
    calendar: Calendar
    seconds: float

    def runs_out(self, pauses: Pauses) -> datetime | None:
        """When the seconds have elapsed; None while a running pause keeps them from it."""
        return self.calendar.deadline_with_pauses(self.since, self.seconds, pauses)

    def is_broken(self, at: datetime, pauses: Pauses) -> bool:
        """Whether the clock has passed the seconds; reaching them exactly keeps the promise."""
        return _running_seconds(self.calendar, self.since, at, pauses) > self.seconds


@dataclass(frozen=True, slots=True)
class Promised:
    """How the promises of an item stand (METRICS.md 1.5, M15)."""

    #: Those in force when it was decided, or now.
    terms: Terms
    #: When the time runs or ran out; None while a pause keeps it off.
    runs_out: datetime | None
    #: Whether what was promised came before that.
    in_time: bool


def resolution(item: WorkItem, offer: Offer) -> Promised | None:
    """The promise that an item is resolved; a withdrawal ends it too. None: nothing was promised.

    It is decided once: whatever severity or capability are changed to after the time ran out, a
    miss stays one, and stays with those it happened under.
    """
    return _promised(_stages(item, offer, item.pauses), item.ended_at, item.pauses)


def responses(item: WorkItem, offer: Offer, *replies_at: datetime | None) -> list[Promised | None]:
    """The promise that an item has a reply, of each reply; None: it has none. No pause counts."""
    stages = _stages(item, offer, ())
    return [_promised(stages, reply_at, ()) for reply_at in replies_at]


class _Stage(NamedTuple):
    """What was promised from one change of an item to the next."""

    terms: Terms
    promises: Sequence[Promise]
    #: When the first of them runs out; None without one, or while a pause keeps it off.
    runs_out: datetime | None
    changed_at: datetime | None


def _stages(item: WorkItem, offer: Offer, pauses: Pauses) -> list[_Stage]:
    stages = []
    for number, terms in enumerate(item.terms, start=1):
        promises = _promises(terms, offer)
        instants = [at for one in promises if (at := one.runs_out(pauses)) is not None]
        changed_at = item.terms[number].since if number < len(item.terms) else None
        stages.append(_Stage(terms, promises, min(instants, default=None), changed_at))
    return stages


def _promised(
    stages: Sequence[_Stage], done_at: datetime | None, pauses: Pauses
) -> Promised | None:
    """Go from change to change until it was done or the time ran out.

    What the terms in force allowed may be over when they come into force: it runs out then.
    """
    for stage in stages:
        changed_at, runs_out = stage.changed_at, stage.runs_out
        is_done = done_at is not None and (changed_at is None or done_at < changed_at)
        until = done_at if is_done else changed_at
        if stage.promises:
            in_time = until is not None and not _is_over(stage, until, pauses)
            if is_done or not in_time:
                since = stage.terms.since
                return Promised(stage.terms, runs_out and max(runs_out, since), in_time)
        if is_done:
            return None
    return None


def _promises(terms: Terms, offer: Offer) -> list[Promise]:
    """What was promised under some terms, step by step of the severity (METRICS.md 1.5).

    After an upgrade the old promise holds beside the tighter one, which runs from the upgrade.
    """
    offers = ((since, offer(terms.capability, severity)) for since, severity in terms.steps)
    return [Promise(since, *offered) for since, offered in offers if offered is not None]


def _is_over(stage: _Stage, at: datetime, pauses: Pauses) -> bool:
    """Whether a promise was broken by then; at the latest it is kept until its time runs out."""
    if stage.runs_out is None or at <= stage.runs_out:
        return False
    return any(promise.is_broken(at, pauses) for promise in stage.promises)


def decide(item: WorkItem, promised: Promised, as_of: datetime) -> Decision:
    """Decide once whether an item was resolved as promised (METRICS.md M15).

    Met at the resolution, if the time had not run out by then; missed at the instant it ran out,
    also while open and after a withdrawal; withdrawn in time is neither.
    """
    if promised.in_time and item.outcome is Outcome.RESOLVED:
        return Decision(Verdict.MET, item.ended_at)
    if promised.in_time:
        return Decision(Verdict.WITHDRAWN, None)
    if promised.runs_out is not None and promised.runs_out < as_of:
        return Decision(Verdict.MISSED, promised.runs_out)
    return Decision(Verdict.UNDECIDED, None)


def response_clock(item: WorkItem, at: datetime, calendar: Calendar) -> float:
    """Business seconds from opening to a reply; nothing is subtracted."""
    return calendar.elapsed(item.opened_at, at)
