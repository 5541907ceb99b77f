"""Whether to ask somebody about an event, or the reason not to: pure rules that protect people.

Every instant is a parameter; nothing here reads a database. The reasons are the whole list of
METRICS.md M07: what is counted there is decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

WEEK = timedelta(days=7)
QUARTER = timedelta(days=90)
#: Somebody who is asked a day after the event no longer remembers it.
TOO_LATE_AFTER = timedelta(hours=24)


class Reason(StrEnum):
    """Why an eligible event is not asked about."""

    OPTED_OUT = "opted_out"
    ASKED_RECENTLY = "asked_recently"
    LOW_EFFORT = "low_effort"
    SAMPLING = "sampling"
    NO_ADDRESS = "no_address"
    OWN_TICKET = "own_ticket"
    TOO_LATE = "too_late"

    @property
    def label(self) -> str:
        """The reason in words, as pages show it."""
        return _WORDS[self]


_WORDS = {
    Reason.OPTED_OUT: "opted out",
    Reason.ASKED_RECENTLY: "asked within the limits",
    Reason.LOW_EFFORT: "below the effort threshold",
    Reason.SAMPLING: "not in the sample",
    Reason.NO_ADDRESS: "no address",
    Reason.OWN_TICKET: "the agent's own ticket",
    Reason.TOO_LATE: "heard of too late to ask",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a campaign asks for (surveys.models.Campaign)."""

    delay: timedelta
    per_7_days: int
    per_90_days: int
    effort_threshold: timedelta
    #: Share of eligible events that are asked, 0 < sampling <= 1.
    sampling: float


@dataclass(frozen=True, slots=True)
class Event:
    """What is known of an event when it is decided whether to ask."""

    at: datetime
    #: From opening to the event, wall time.
    took: timedelta
    #: Public replies by agents up to the event.
    replies: int
    #: Where it falls in the sample, 0 <= draw < 1 (`draw()`).
    draw: float
    has_address: bool
    own_ticket: bool = False
    opted_out: bool = False
    #: When this person was, or is going to be, asked about other events; any order.
    asked_at: Iterable[datetime] = field(default_factory=tuple)


def draw(*identity: object) -> float:
    """Place an event in the sample, 0 <= draw < 1: the same event always falls on the same spot."""
    digest = hashlib.sha256("\x1f".join(map(str, identity)).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def due_at(at: datetime, *, limits: Limits, now: datetime) -> datetime:
    """When to ask about an event of `at`: after the delay, at once if that has passed."""
    return max(at + limits.delay, now)


def reason_not_to_ask(event: Event, *, limits: Limits, now: datetime) -> Reason | None:
    """Return why the event is not asked about, or None: ask.

    The first matching reason is the one counted. What concerns the event itself comes first, the
    sample next and the burden limits last, so that the sample is drawn from whole days and a person
    is only protected from an invitation that would have gone out (METRICS.md M07).
    """
    if event.own_ticket:
        return Reason.OWN_TICKET
    if not event.has_address:
        return Reason.NO_ADDRESS
    if event.opted_out:
        return Reason.OPTED_OUT
    if now - event.at > TOO_LATE_AFTER:
        return Reason.TOO_LATE
    if event.took < limits.effort_threshold and event.replies <= 1:
        return Reason.LOW_EFFORT
    if event.draw >= limits.sampling:
        return Reason.SAMPLING
    if _asked_recently(event.asked_at, due_at(event.at, limits=limits, now=now), limits):
        return Reason.ASKED_RECENTLY
    return None


def _asked_recently(asked_at: Iterable[datetime], due: datetime, limits: Limits) -> bool:
    """Whether one more at `due` would exceed a limit; exactly 7 x 24 h later is allowed again."""
    asked = list(asked_at)
    in_7_days = sum(at > due - WEEK for at in asked)
    in_90_days = sum(at > due - QUARTER for at in asked)
    return in_7_days >= limits.per_7_days or in_90_days >= limits.per_90_days


def same_mailbox(one: str, other: str) -> bool:
    """Whether two addresses reach one mailbox: case and a `+alias` do not count (TRUST.md T10)."""
    return bool(one) and mailbox(one) == mailbox(other)


def mailbox(address: str) -> str:
    """The address without its `+alias`, lower-cased."""
    name, at, host = address.strip().lower().rpartition("@")
    return name.partition("+")[0] + at + host
