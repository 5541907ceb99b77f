"""Who was asked and who answered: the companions of the response rate (METRICS.md M06, M07)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics import columns, intervals
from metrics.evaluating import IMPORTED, Facts, answered_in, matured, share
from metrics.kinds import Estimate, unknown
from metrics.rows import Rows

WEEK_S, QUARTER_S = 7 * 86_400, 90 * 86_400
_NOBODY_KNOWS = "the ratings were imported, nobody knows who was asked"
_NONE_CLOSED = "no invitation of this period has closed yet"


def _sent(facts: Facts) -> Rows | None:
    """Invitations of the slice; None where ratings were imported."""
    rows = facts.rows(columns.SURVEYED)
    if (rows["decision"] == IMPORTED).any():
        return None
    return rows[(rows["sent"] > 0) & (rows["sent"] <= facts.as_of)]


def _of_closed(
    rows: Rows, which: NDArray[np.bool_], facts: Facts, why: str = _NONE_CLOSED
) -> Estimate:
    """The share of invitations whose window is over."""
    return matured(which, rows["window_until"] <= facts.as_of, why=why)


def complete_rate(facts: Facts) -> Estimate:
    """RR1: every question answered, of all sent."""
    rows = _sent(facts)
    if rows is None:
        return unknown(_NOBODY_KNOWS)
    return _of_closed(rows, answered_in(rows, facts) & (rows["complete"] == 1), facts)


def participation_rate(facts: Facts) -> Estimate:
    """Answered of those that were delivered."""
    rows = _sent(facts)
    if rows is None:
        return unknown(_NOBODY_KNOWS)
    rows = rows[rows["invitation"] != columns.BOUNCED]
    why = "no invitation of this period was delivered and has closed"
    return _of_closed(rows, answered_in(rows, facts), facts, why)


def delivery_rate(facts: Facts) -> Estimate:
    """Delivered of all sent: a failed delivery must show."""
    rows = _sent(facts)
    if rows is None:
        return unknown(_NOBODY_KNOWS)
    return _of_closed(rows, rows["invitation"] != columns.BOUNCED, facts)


def break_off(facts: Facts) -> Estimate:
    """Started without answering the core question: not recorded, because opening a page is not."""
    return unknown("nobody records who opened a survey and left: opening a page is no act")


def effective_coverage(facts: Facts) -> Estimate:
    """Answered of eligible events."""
    rows = facts.rows(columns.SURVEYED)
    if (rows["decision"] == IMPORTED).any():
        return unknown(_NOBODY_KNOWS)
    return share(
        int(answered_in(rows, facts).sum()),
        len(rows),
        why="nothing that could be asked about happened in this period",
    )


def burden(facts: Facts) -> Estimate:
    """Share of the people asked who were asked more often than the limits allow."""
    rows = facts.rows(columns.SURVEYED)
    sent = rows[(rows["sent"] > 0) & (rows["sent"] <= facts.as_of) & (rows["requester"] != 0)]
    order = np.lexsort((sent["sent"], sent["requester"]))
    people, counts = np.unique(sent["requester"], return_counts=True)
    by_person = np.split(sent["sent"][order], np.cumsum(counts)[:-1]) if len(people) else []
    too_often = sum(
        _more_than(instants, WEEK_S, int(facts.settings.burden_week))
        or _more_than(instants, QUARTER_S, int(facts.settings.burden_quarter))
        for instants in by_person
    )
    p90 = intervals.percentile(counts.astype(np.float64), 0.9) if len(people) else None
    return share(
        int(too_often), len(people), beside={"p90": p90}, why="nobody was asked in this period"
    )


def _more_than(instants: NDArray[np.int64], stretch: int, limit: int) -> bool:
    """Whether more than `limit` of ascending instants lie within a stretch of seconds."""
    if len(instants) <= limit:
        return False
    return bool((instants[limit:] - instants[:-limit] < stretch).any())


def timeliness(facts: Facts) -> Estimate:
    """Share sent within the hour after the event."""
    rows = facts.rows(columns.SURVEYED)
    sent = rows[(rows["sent"] > 0) & (rows["sent"] <= facts.as_of)]
    return share(
        int((sent["sent"] - sent["at"] <= 60 * facts.settings.timely_minutes).sum()),
        len(sent),
        why="nobody was asked in this period",
    )
