"""Flow: turns a case needs, what becomes of what comes in, and what stays (METRICS.md M20b-M22)."""

from __future__ import annotations

import numpy as np

from metrics import columns, intervals, ratios
from metrics.evaluating import (
    OPEN,
    RESOLVED,
    WITHDRAWN,
    Facts,
    held,
    running_clocks,
    share,
)
from metrics.kinds import Estimate, unknown
from metrics.rows import Rows


def many_turns(facts: Facts) -> Estimate:
    """M20b: resolved items with three or more messages of the requester after the opening."""
    rows = held(facts)
    messages = rows["messages"].astype(np.float64)
    if len(rows) and not messages.any() and not facts.tells_messages():
        return unknown("no message of a requester is recorded for anything resolved then")
    return share(
        len(took_many_turns(facts)),
        len(rows),
        beside={"median": intervals.percentile(messages, 0.5) if len(rows) else None},
        why="nothing was resolved in this period",
    )


def took_many_turns(facts: Facts) -> Rows:
    """Resolved items about which the requester wrote as often as the settings call many."""
    rows = held(facts)
    often: Rows = rows[rows["messages"] >= facts.settings.many_turns]
    return often


def resolution_share(facts: Facts) -> Estimate:
    """M21: of what was opened in the period, resolved and not reopened now; withdrawn left out.

    While some of it is open, how long ago the period ended stands beside it: the share still grows.
    """
    rows = facts.rows(columns.ITEMS)
    withdrawn = int((rows["outcome"] == WITHDRAWN).sum())
    resolved = int((rows["outcome"] == RESOLVED).sum())
    still_open = int((rows["outcome"] == OPEN).sum())
    return share(
        resolved,
        len(rows) - withdrawn,
        still_open=still_open,
        beside={"age_of_period": facts.as_of - facts.ending().at} if still_open else {},
        left_out={"withdrawn": withdrawn} if withdrawn else {},
        why="nothing was opened in this period",
    )


def throughput(facts: Facts) -> Estimate:
    """M21: resolved in the period over opened in it; above 1 the backlog shrinks. No interval."""
    opened, resolved = len(facts.rows(columns.ITEMS)), len(held(facts))
    ratio = ratios.throughput(resolved, opened)
    if ratio is None:
        return unknown("nothing was opened in this period")
    return Estimate(ratio, opened, resolved)


def days_of_backlog(facts: Facts) -> Estimate:
    """M22: open items over the items resolved a business day, over the last 20 business days."""
    rows, _ = facts.backlog()
    pace = facts.resolved_a_business_day()
    if pace is None:
        return unknown("no calendar says what a business day is here", denominator=len(rows))
    if not pace:
        return unknown("nothing was resolved in the last 20 business days", denominator=len(rows))
    return Estimate(len(rows) / pace, len(rows), beside={"resolved_a_day": pace})


def business_age(facts: Facts, p: float) -> Estimate:
    """M22: age of what is open, in business time of each item's calendar; beside it, by days."""
    rows, moment = facts.backlog()
    if not len(rows):
        return unknown("nothing is open")
    ends = np.full(len(rows), moment, dtype=np.int64)
    ages = running_clocks(rows, facts, ends).astype(np.float64)
    waited = (ends - rows["at"]).astype(np.float64)
    return Estimate(
        intervals.percentile(ages, p),
        len(rows),
        beside={"requester_elapsed": intervals.percentile(waited, p)},
    )
