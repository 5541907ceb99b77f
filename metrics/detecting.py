"""Looking for patterns of gaming in columns of a capability, never by agent (METRICS.md Part 4).

The rules stand in `metrics/detectors.py`; here is what they look at. Where a pattern cannot be
looked for, because the facts it needs are not there, the look says so: that is not "nothing found".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics import columns
from metrics.detectors import (
    DETECTORS,
    Bins,
    Closing,
    Denials,
    Detector,
    Finding,
    FirstReplies,
    Of,
    Reopens,
    Risen,
    TwoShares,
    bins,
    commonest,
)
from metrics.evaluating import (
    COURTESY,
    IMPORTED,
    INACTIVITY,
    INVITED,
    NOT_SENT,
    RESOLVED,
    UNCLASSIFIED,
    Facts,
    attainment,
    first_contact,
    held,
    is_mature,
    resolution_clocks,
)
from metrics.rows import Rows
from metrics.scales import SCALES
from metrics.self_service import decided_attempts

#: `columns.tenths` of the last tenth in which a target is kept.
LAST_TENTH = 11
#: More group changes than this are trouble.
MANY_REASSIGNMENTS = 2
DAY_S, WEEK = 86_400, 7
HELPED = columns.MEANINGS.index("meaningful") + 1
COUNTED = columns.REOPEN_KINDS.index("counted") + 1
RAISED = columns.CHANGES.index("raised_after_message") + 1
EARLIER, LATE, AFTER = (columns.DOWNGRADED.index(one) + 1 for one in ("earlier", "late", "after"))
BY_ASSIGNEE = columns.DENIALS.index("by_assignee") + 1
BY_ASSIGNEE_AFTER = columns.DENIALS.index("by_assignee_after_answer") + 1


@dataclass(frozen=True, slots=True)
class Look:
    """What a detector found in a capability; `missing` says why it was not looked for."""

    detector: Detector[object]
    finding: Finding | None = None
    missing: str = ""


class NotThere(Exception):
    """The facts a pattern needs are not there; the message says which."""


def look(now: Facts, before: Facts) -> list[Look]:
    """Every detector over a period, and the one before it for those that compare the two."""
    return [_look(key, detector, now, before) for key, detector in DETECTORS.items()]


def _look(key: str, detector: Detector[object], now: Facts, before: Facts) -> Look:
    try:
        found = LOOKS[key](now, before)
    except NotThere as missing:
        return Look(detector, missing=str(missing))
    return Look(detector, detector.judge(found, now.settings.detecting))


def _bunching(now: Facts, before: Facts) -> Bins:
    """G1: every item against its own target; the four bins of all targets are added."""
    rows = now.rows(columns.RESOLUTION_PROMISES)
    _need_targets(rows)
    done = (rows["outcome"] == RESOLVED) & (rows["clock"] >= 0) & (rows["target"] > 0)
    rows = rows[done]
    total = Bins(0, 0, 0, 0)
    for target in np.unique(rows["target"]):
        found = bins(rows["clock"][rows["target"] == target].tolist(), int(target))
        total = Bins(
            total.far_below + found.far_below,
            total.just_below + found.just_below,
            total.just_above + found.just_above,
            total.far_above + found.far_above,
        )
    return total


def _need_targets(rows: Rows) -> None:
    if not len(rows):
        raise NotThere("no item of this period had a promised time that was decided in it")


def _early_closing(now: Facts, before: Facts) -> TwoShares:
    """G2: resolutions in the last tenth of the target, and whether they held, against the others.

    An item without a promised time has no last tenth and is left out.
    """
    rows = now.rows(columns.RESOLUTIONS)
    rows = rows[is_mature(rows, now) & (rows["tenths"] > 0)]
    late = rows["tenths"] == LAST_TENTH
    return TwoShares(_reopened(rows[late]), _reopened(rows[~late]))


def _reopened(rows: Rows) -> Of:
    return _of(rows["reopened"] == 1)


def _of(which: NDArray[np.bool_]) -> Of:
    return Of(int(which.sum()), len(which))


def _selective_surveying(now: Facts, before: Facts) -> TwoShares:
    """G3: eligible resolutions whose reopen window is over: who was asked, and who was not."""
    rows = now.rows(columns.RESOLUTIONS)
    eligible = rows[np.isin(rows["asked"], (INVITED, NOT_SENT))]
    if not len(eligible):
        if (rows["asked"] == IMPORTED).any():
            raise NotThere("the ratings were imported: nobody knows who was asked")
        raise NotThere("nobody was to be asked about anything in this period")
    eligible = eligible[is_mature(eligible, now)]
    troubled = (
        (eligible["reopened"] == 1)
        | (eligible["functional"] + eligible["hierarchical"] > 0)
        | (eligible["tenths"] > LAST_TENTH)
        | (eligible["reassignments"] > MANY_REASSIGNMENTS)
    )
    invited = eligible["asked"] == INVITED
    return TwoShares(_of(invited[~troubled]), _of(invited[troubled]))


def _chasing(now: Facts, before: Facts) -> Of:
    """G4: released answers that were changed, and those raised behind a message.

    They are counted and never listed: nobody reads a single answer.
    """
    rows = _answered(now)
    changed = rows[rows["changed"] > 0]
    return _of(changed["changed"] == RAISED)


def _answered(facts: Facts) -> Rows:
    """Released answers that count, about whatever."""
    rows = facts.rows(columns.SURVEYED)
    given = (rows["score"] != columns.NO_SCORE) & (rows["late"] != 1)
    released: Rows = rows[given & (rows["released"] > 0) & (rows["released"] <= facts.as_of)]
    return released


def _dodging(now: Facts, before: Facts) -> Reopens:
    """G5: thanks among reopens, against the period before; what comes back around the window.

    The weeks before and behind the end of the reopen window are compared for resolutions that are
    older than both.
    """
    window = int(now.settings.reopen_days)
    rows = now.rows(columns.RESOLUTIONS)
    rows = rows[rows["at"] + (window + WEEK) * DAY_S <= now.as_of]
    lag = rows["reopen_at"] - rows["at"]
    reopened_on = np.where(rows["reopen_kind"] == COUNTED, -(-lag // DAY_S), 0)
    followed_on = rows["followed_on_day"]
    # the earlier one, where both are there
    on_day = np.where(
        (reopened_on > 0) & ((followed_on == 0) | (reopened_on <= followed_on)),
        reopened_on,
        followed_on,
    )
    return Reopens(
        _courtesy(now),
        _courtesy(before),
        int(((on_day > window - WEEK) & (on_day <= window)).sum()),
        int(((on_day > window) & (on_day <= window + WEEK)).sum()),
    )


def _courtesy(facts: Facts) -> Of:
    rows = facts.rows(columns.RESOLUTIONS)
    back = rows[rows["reopen_kind"] > 0]
    return _of(back["reopen_kind"] == COURTESY)


def _empty_replies(now: Facts, before: Facts) -> FirstReplies:
    """G6: replied in time against helped in time, and first replies that do not help."""
    replied, helped = (
        attainment(now, kind) for kind in (columns.FIRST_RESPONSES, columns.MEANINGFUL_RESPONSES)
    )
    items = now.rows(columns.ITEMS)
    classified = items[(items["first_reply"] > 0) & (items["first_reply"] != UNCLASSIFIED)]
    return FirstReplies(
        Of(replied.numerator or 0, replied.denominator),
        Of(helped.numerator or 0, helped.denominator),
        _of(classified["first_reply"] != HELPED),
    )


def _parking(now: Facts, before: Facts) -> Of:
    """G7: items opened in the period, set to waiting in the last tenth of their target."""
    rows = _promised(now)
    late = int(rows["late_pauses"].sum())
    return Of(int(rows["late_pauses_unasked"].sum()), late)


def _promised(facts: Facts) -> Rows:
    rows = facts.rows(columns.ITEMS)
    rows = rows[rows["resolution_target"] > 0]
    if not len(rows):
        raise NotThere("no item of this period has a promised time")
    return rows


def _downgrading(now: Facts, before: Facts) -> TwoShares:
    """G8: items that came into the last fifth of their target, and those that did not.

    One that was made milder stood where its clock was then, under the target it had; one made
    milder behind its target had come through the last fifth as it was.
    """
    rows = _promised(now)
    code = rows["downgraded"]
    near = 5 * resolution_clocks(now, rows) >= 4 * rows["resolution_target"].astype(np.int64)
    late = np.isin(code, (LATE, AFTER)) | ((code == 0) & near)
    return TwoShares(_of(code[late] == LATE), _of(code[~late] == EARLIER))


def _hiding(now: Facts, before: Facts) -> Denials:
    """G9: denials said after an answer, and among the dissatisfied against the satisfied."""
    rows = _answered(now)
    happy, unhappy = _classes(rows)
    denied = (rows["policy_denial"] == 1) | (rows["denial"] > 0)
    afterwards = rows["denial"] == BY_ASSIGNEE_AFTER
    known = rows["denial"][rows["denial"] > 0]
    by_assignee = np.isin(known, (BY_ASSIGNEE, BY_ASSIGNEE_AFTER))
    return Denials(
        _of(unhappy[afterwards]),
        _of(denied[unhappy]),
        _of(denied[happy]),
        group_decides=2 * int(by_assignee.sum()) > len(by_assignee),
    )


def _classes(rows: Rows) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which answers say satisfied and which dissatisfied, each on its own scale."""
    happy, unhappy = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for key, scale in SCALES.items():
        mine = rows["scale"] == columns.SCALE_KEYS.index(key) + 1
        happy |= mine & np.isin(rows["score"], sorted(scale.satisfied))
        unhappy |= mine & np.isin(rows["score"], sorted(scale.dissatisfied))
    return happy, unhappy


def _closing(now: Facts, before: Facts) -> Closing:
    """G10: bursts, closed for inactivity against the period before, and clocks at one value."""
    rows = held(now)
    return Closing(
        int(now.rows(columns.RESOLUTIONS)["burst"].max(initial=0)),
        _inactivity(now),
        _inactivity(before),
        commonest(rows["clock"][rows["clock"] >= 0].tolist()),
    )


def _inactivity(facts: Facts) -> Of:
    return _of(held(facts)["kind"] == INACTIVITY)


def _claiming(now: Facts, before: Facts) -> Risen:
    """M16: first contact claimed and verified, of first resolutions whose window is over."""
    return Risen(_both(now, before, claimed=True), _both(now, before, claimed=False))


def _both(now: Facts, before: Facts, *, claimed: bool) -> TwoShares:
    told = (first_contact(facts, claimed=claimed) for facts in (now, before))
    return TwoShares(*(Of(one.numerator or 0, one.denominator) for one in told))


def _reaching(now: Facts, before: Facts) -> Risen:
    """M23: attempts that were finished without us, and those given up without asking us."""
    attempts = [decided_attempts(facts) for facts in (now, before)]
    if not all(len(rows) for rows in attempts):
        raise NotThere("no attempts at self-service are known of both periods")
    asked = [rows["assisted"] > 0 for rows in attempts]
    done = [rows["completed"] > 0 for rows in attempts]
    finished = (_of(one & ~other) for one, other in zip(done, asked, strict=True))
    given_up = (_of(~one & ~other) for one, other in zip(done, asked, strict=True))
    return Risen(TwoShares(*finished), TwoShares(*given_up))


#: What each detector looks at.
LOOKS: Mapping[str, Callable[[Facts, Facts], object]] = {
    "G1": _bunching,
    "G2": _early_closing,
    "G3": _selective_surveying,
    "G4": _chasing,
    "G5": _dodging,
    "G6": _empty_replies,
    "G7": _parking,
    "G8": _downgrading,
    "G9": _hiding,
    "G10": _closing,
    "M16": _claiming,
    "M23": _reaching,
}
