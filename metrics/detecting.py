"""Looking for patterns of gaming in columns of a capability, never by agent (METRICS.md Part 4).

The rules stand in `metrics/detectors.py`; here is what they look at. A pattern whose facts are not
kept in columns is told as not looked for, with what is missing, and never as nothing found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from metrics import columns
from metrics.detectors import (
    DETECTORS,
    Bins,
    Detector,
    Finding,
    FirstReplies,
    Of,
    TwoShares,
    bins,
    bulk_closing_without_bursts,
    commonest,
    courtesy_doubled,
)
from metrics.evaluating import (
    COURTESY,
    INACTIVITY,
    RESOLVED,
    UNCLASSIFIED,
    Facts,
    Rows,
    attainment,
    held,
    is_mature,
)

#: The last part of a target in which closing looks like closing for the target's sake.
LAST_TENTH = 0.9
HELPED = columns.MEANINGS.index("meaningful") + 1


@dataclass(frozen=True, slots=True)
class Look:
    """What a detector found in a capability; `missing` says why it was not looked for."""

    detector: Detector[object]
    finding: Finding | None = None
    missing: str = ""
    #: What of the pattern could not be looked for, where the rest could.
    partly: str = ""


def look(now: Facts, before: Facts) -> list[Look]:
    """Every detector over a period, and the one before it for those that compare the two."""
    told = []
    for key, detector in DETECTORS.items():
        if key in NOT_LOOKED_FOR:
            told.append(Look(detector, missing=NOT_LOOKED_FOR[key]))
        else:
            told.append(Look(detector, LOOKS[key](now, before), partly=PARTLY.get(key, "")))
    return told


def _bunching(now: Facts, before: Facts) -> Finding:
    """G1: every item against its own target; the four bins of all targets are added."""
    rows = _fulfilled(now)
    total = Bins(0, 0, 0, 0)
    for target in np.unique(rows["target"]):
        found = bins(rows["clock"][rows["target"] == target].tolist(), int(target))
        total = Bins(
            total.far_below + found.far_below,
            total.just_below + found.just_below,
            total.just_above + found.just_above,
            total.far_above + found.far_above,
        )
    return DETECTORS["G1"].judge(total)


def _fulfilled(facts: Facts) -> Rows:
    rows = facts.rows(columns.RESOLUTION_PROMISES)
    done = (rows["outcome"] == RESOLVED) & (rows["clock"] >= 0) & (rows["target"] > 0)
    return np.asarray(rows[done])


def _early_closing(now: Facts, before: Facts) -> Finding:
    """G2: resolutions in the last tenth of the target, and whether they held, against the others.

    An item's target stands on its opening; resolutions of items opened before the period that was
    fetched have none here and are left out.
    """
    items = now.rows(columns.ITEMS)
    rows = now.rows(columns.RESOLUTIONS)
    rows = rows[is_mature(rows, now)]
    order = np.argsort(items["item"])
    place = np.searchsorted(items["item"][order], rows["item"])
    place = np.minimum(place, max(len(items) - 1, 0))
    if not len(items):
        return DETECTORS["G2"].judge(TwoShares(Of(0, 0), Of(0, 0)))
    known = items["item"][order][place] == rows["item"]
    target = np.where(known, items["resolution_target"][order][place], 0)
    known = (target > 0) & (rows["clock"] >= 0)
    late = known & (rows["clock"] > LAST_TENTH * target) & (rows["clock"] <= target)
    return DETECTORS["G2"].judge(TwoShares(_reopened(rows[late]), _reopened(rows[known & ~late])))


def _reopened(rows: Rows) -> Of:
    return Of(int((rows["reopened"] == 1).sum()), len(rows))


def _dodging(now: Facts, before: Facts) -> Finding:
    """G5: the courtesy share of reopens, against the period before."""
    return courtesy_doubled(_courtesy(now), _courtesy(before))


def _courtesy(facts: Facts) -> Of:
    rows = facts.rows(columns.RESOLUTIONS)
    back = rows[rows["reopen_kind"] > 0]
    return Of(int((back["reopen_kind"] == COURTESY).sum()), len(back))


def _empty_replies(now: Facts, before: Facts) -> Finding:
    """G6: replied in time against helped in time, and first replies that do not help."""
    replied, helped = (
        attainment(now, kind) for kind in (columns.FIRST_RESPONSES, columns.MEANINGFUL_RESPONSES)
    )
    items = now.rows(columns.ITEMS)
    classified = items[(items["first_reply"] > 0) & (items["first_reply"] != UNCLASSIFIED)]
    no_help = int((classified["first_reply"] != HELPED).sum())
    found = FirstReplies(
        Of(replied.numerator or 0, replied.denominator),
        Of(helped.numerator or 0, helped.denominator),
        Of(no_help, len(classified)),
    )
    return DETECTORS["G6"].judge(found)


def _closing(now: Facts, before: Facts) -> Finding:
    """G10: closed for inactivity, against the period before, and clocks at one exact value."""
    rows = held(now)
    return bulk_closing_without_bursts(
        _inactivity(now), _inactivity(before), commonest(rows["clock"][rows["clock"] >= 0].tolist())
    )


def _inactivity(facts: Facts) -> Of:
    rows = held(facts)
    return Of(int((rows["kind"] == INACTIVITY).sum()), len(rows))


#: What can be looked for in columns.
LOOKS: Mapping[str, Callable[[Facts, Facts], Finding]] = {
    "G1": _bunching,
    "G2": _early_closing,
    "G5": _dodging,
    "G6": _empty_replies,
    "G10": _closing,
}
#: What cannot, and what is missing.
NOT_LOOKED_FOR: Mapping[str, str] = {
    "G3": "columns do not say which resolution an invitation was about",
    "G4": "columns keep the last rating, not the ones before it",
    "G7": "columns keep how long items were paused, not when and after which message",
    "G8": "columns keep the severity in force, not when it was changed",
    "G9": "columns do not say when a denial was flagged, nor who may flag one",
}
PARTLY: Mapping[str, str] = {
    "G5": "Follow-ups on days 15 to 21 are not looked for: columns do not link them.",
    "G10": "Bursts of one account are not looked for: columns never say who did the work.",
}
