"""Segments: who somebody was to us at the moment of an event, never as of today.

Pure (METRICS.md D1). The event itself does not count towards its own windows, and a start that
nobody recorded is "unknown" and is shown as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

USAGE_WINDOW = timedelta(days=28)
ADVANCED_WINDOW = timedelta(days=90)


class Tenure(StrEnum):
    """How long somebody has been a user."""

    NEW = "new"
    ESTABLISHED = "established"
    EXPERIENCED = "experienced"
    UNKNOWN = "unknown"


class Usage(StrEnum):
    """On how many days somebody used the product lately."""

    HEAVY = "heavy"
    REGULAR = "regular"
    OCCASIONAL = "occasional"
    DORMANT = "dormant"


class HandledBy(StrEnum):
    """Who answered and resolved."""

    AUTOMATION = "automation"
    BOTH = "both"
    PERSON = "person"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Use:
    """One recorded use of a capability."""

    at: datetime
    advanced: bool = False


@dataclass(frozen=True, slots=True)
class Segments:
    """The segments of one person at one event; `advanced` is None where no use is recorded."""

    tenure: Tenure
    usage: Usage | None
    advanced: bool | None


def tenure(days: int | None) -> Tenure:
    """By whole days since the first recorded use or item before the event."""
    if days is None:
        return Tenure.UNKNOWN
    if days < 90:
        return Tenure.NEW
    return Tenure.ESTABLISHED if days <= 365 else Tenure.EXPERIENCED


def usage(active_days: int) -> Usage:
    """By the active days in the 28 days before the event."""
    if active_days >= 12:
        return Usage.HEAVY
    if active_days >= 4:
        return Usage.REGULAR
    return Usage.OCCASIONAL if active_days else Usage.DORMANT


def is_advanced(advanced_capabilities: int) -> bool:
    """Whether at least one advanced capability was used in the 90 days before the event."""
    return advanced_capabilities >= 1


def handled_by(by_automation: Iterable[bool]) -> HandledBy:
    """Of the public replies and the resolution, in any order: was each one made by automation?"""
    kinds = set(by_automation)
    if not kinds:
        return HandledBy.UNKNOWN
    if len(kinds) == 2:
        return HandledBy.BOTH
    return HandledBy.AUTOMATION if True in kinds else HandledBy.PERSON


def at_event(
    at: datetime,
    *,
    items_opened: Iterable[datetime],
    uses: Sequence[Use] | None,
    zone: ZoneInfo,
) -> Segments:
    """The segments at an instant, from everything recorded of that person.

    Only what lies before the instant counts. `uses` is None where the organisation sends no
    telemetry: usage and advanced use are then not known, which is not the same as dormant. A day is
    a local day of the organisation; the windows are 28 x 24 h and 90 x 24 h.
    """
    before = [use for use in uses or () if use.at < at]
    starts = [*(use.at for use in before), *(opened for opened in items_opened if opened < at)]
    known_for = tenure((at - min(starts)).days if starts else None)
    if uses is None:
        return Segments(known_for, None, None)
    days = {use.at.astimezone(zone).date() for use in before if use.at >= at - USAGE_WINDOW}
    lately = sum(use.advanced for use in before if use.at >= at - ADVANCED_WINDOW)
    return Segments(known_for, usage(len(days)), is_advanced(lately))
