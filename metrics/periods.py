"""Which periods can be asked about."""

from __future__ import annotations

from datetime import date, timedelta

from tickets.canonical import FIRST_YEAR, LAST_YEAR


def is_askable(start: date, until: date, *, longest: timedelta) -> bool:
    """Whether start <= day < until holds a day, no more than `longest`, and years of events only.

    What is looked at reaches some days further back; a calendar that ends there could not.
    """
    if not FIRST_YEAR < start.year <= until.year <= LAST_YEAR:
        return False
    return start < until <= start + longest
