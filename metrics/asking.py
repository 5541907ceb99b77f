"""Who was asked and who answered: the companions of the response rate (METRICS.md M06, M07)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metrics import columns, intervals
from metrics.evaluating import IMPORTED, Facts, answered_in, matured, share
from metrics.kinds import Estimate, unknown
from metrics.rows import Rows

WEEK_S, QUARTER_S = 7 * 86_400, columns.BURDEN_DAYS * 86_400
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
    """Answered of eligible events, once it is over when somebody could still answer.

    What was not asked about waits as long as if it had been: events asked about would otherwise
    join those that never will be late.
    """
    rows = facts.rows(columns.SURVEYED)
    if (rows["decision"] == IMPORTED).any():
        return unknown(_NOBODY_KNOWS)
    sent = (rows["sent"] > 0) & (rows["sent"] <= facts.as_of)
    until = rows["at"] + round(86_400 * facts.settings.answer_days)
    return matured(
        answered_in(rows, facts),
        np.where(sent, rows["window_until"], until) <= facts.as_of,
        why="of nothing that could be asked about in this period is the time to answer over",
    )


def burden(facts: Facts) -> Estimate:
    """Share of the people asked who were asked more often than the limits allow.

    An invitation of the period is one too many together with those before it, also of the 90 days
    before the period.
    """
    rows = facts.reaching_back(columns.SURVEYED)
    sent = rows[(rows["sent"] > 0) & (rows["sent"] <= facts.as_of) & (rows["requester"] != 0)]
    sent = sent[np.lexsort((sent["sent"], sent["requester"]))]
    mine = np.isin(sent["event"], facts.rows(columns.SURVEYED)["event"])
    people, counts = np.unique(sent["requester"][mine], return_counts=True)
    too_many = _too_many(sent, WEEK_S, int(facts.settings.burden_week))
    too_many |= _too_many(sent, QUARTER_S, int(facts.settings.burden_quarter))
    p90 = intervals.percentile(counts.astype(np.float64), 0.9) if len(people) else None
    return share(
        len(np.unique(sent["requester"][mine & too_many])),
        len(people),
        beside={"p90": p90},
        why="nobody was asked in this period",
    )


def _too_many(sent: Rows, stretch: int, limit: int) -> NDArray[np.bool_]:
    """Which invitations follow `limit` others to the same person within a stretch of seconds.

    They are ordered by person and instant.
    """
    found = np.zeros(len(sent), dtype=bool)
    person, at = sent["requester"], sent["sent"]
    before = max(0, len(sent) - limit)
    found[limit:] = person[limit:] == person[:before]
    found[limit:] &= at[limit:] - at[:before] < stretch
    return found


def timeliness(facts: Facts) -> Estimate:
    """Share sent within the hour after the event."""
    rows = facts.rows(columns.SURVEYED)
    sent = rows[(rows["sent"] > 0) & (rows["sent"] <= facts.as_of)]
    return share(
        int((sent["sent"] - sent["at"] <= 60 * facts.settings.timely_minutes).sum()),
        len(sent),
        why="nobody was asked in this period",
    )
