"""What people finish without us, and what telemetry says of it (METRICS.md M10, M23, M24)."""

from __future__ import annotations

import numpy as np

from metrics import columns, telemetry
from metrics.evaluating import INVITED, Facts, answers, satisfied_in, share
from metrics.kinds import Estimate, unknown
from metrics.rows import Rows
from metrics.telemetry import EventClass, Pairs

#: An attempt is decided when the time to ask us is over (tickets/attempts.py).
PENDING_S = 72 * 3_600
#: An answer belongs to an event of the same person and capability in the day before it.
PAIRED_S = 86_400
COMPLETED = columns.USAGE_TYPES.index("task_completed") + 1
OUTCOME = columns.USAGE_TYPES.index("outcome") + 1


def completion(facts: Facts) -> Estimate:
    """M23: attempts that ended without us; the youngest are pending and left out."""
    rows = facts.rows(columns.ATTEMPTS)
    rows = rows[rows["at"] <= facts.as_of]
    decided = rows["at"] + PENDING_S <= facts.as_of
    mine = rows[decided]
    done = (mine["completed"] > 0) & (mine["assisted"] == 0)
    return share(
        int(done.sum()),
        len(mine),
        still_open=int((~decided).sum()),
        beside={"completed_then_asked": int(((mine["completed"] > 0) & ~done).sum())},
        why="no attempt at self-service of this period is three days old yet"
        if len(rows)
        else "no self-service events are sent to us",
    )


def self_service_share(facts: Facts) -> Estimate:
    """M24: of everything got done where people can serve themselves, what they did."""
    usage = facts.rows(columns.USAGE)
    items = facts.rows(columns.ITEMS)
    served = sorted(facts.self_service)
    if not served:
        return unknown("no capability is on the self-service list")
    completed = (usage["type"] == COMPLETED) & np.isin(usage["capability"], served)
    assisted = np.isin(items["capability"], served)
    if not len(usage):
        return unknown("no self-service events are sent to us")
    return share(
        int(completed.sum()),
        int(completed.sum() + assisted.sum()),
        why="nothing was done in this period that people can do themselves",
    )


def telemetry_estimate(facts: Facts) -> Estimate:
    """M10: what people who never answer would probably say; only where it has been calibrated.

    Pairs are answers of the slice to events of the same person and capability in the day before.
    """
    events = facts.rows(columns.USAGE)
    events = events[(events["type"] == OUTCOME) & (events["at"] <= facts.as_of)]
    if not len(events):
        return unknown("no outcomes are sent to us")
    capabilities = np.unique(events["capability"])
    if len(capabilities) > 1:
        return unknown("told for one capability at a time: each has a threshold of its own")
    threshold = facts.quick_within_ms.get(int(capabilities[0]))
    if threshold is None:
        return unknown("nobody has said how quick is quick enough for this capability")
    classes = event_classes(events, threshold)
    volumes = {each: int((classes == place).sum()) for place, each in enumerate(EventClass)}
    paired = _pairs(events, classes, facts)
    index = telemetry.raw_index(volumes)
    decided = facts.settings
    doubts = telemetry.why_not_shown(
        paired, paired, pairs=int(decided.proxy_pairs), smallest_auc=decided.proxy_auc
    )
    found = telemetry.calibrated(volumes, paired)
    if doubts or found is None:
        return Estimate(
            None,
            len(events),
            why="not calibrated: " + "; ".join(doubts or ["a class without answers"]),
            beside={"raw_index": index},
        )
    return Estimate(
        found.value,
        len(events),
        interval=found.interval,
        flags=("estimated from telemetry",),
        beside={"raw_index": index, "auc": telemetry.auc(paired)},
    )


def event_classes(events: Rows, threshold: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The place of each event's class in `EventClass`; `telemetry.event_class` for many at once."""
    failed = (events["success"] != 1) | (events["duration"] > 4 * threshold)
    failed |= events["errors"] >= 3
    quick = (events["duration"] >= 0) & (events["duration"] <= threshold) & (events["errors"] <= 0)
    return np.where(failed, 2, np.where(quick, 0, 1))


def _pairs(
    events: Rows, classes: np.ndarray[tuple[int], np.dtype[np.int64]], facts: Facts
) -> dict[EventClass, Pairs]:
    """Satisfied answers by the class of the event each is about: the latest one before it."""
    rows = answers(facts, policy_denial=False).so_far
    rows = rows[rows["decision"] == INVITED] if len(rows) else rows
    happy = satisfied_in(rows)
    order = np.lexsort((events["at"], events["requester"]))
    people, at = events["requester"][order], events["at"][order]
    tally = {each: [0, 0] for each in EventClass}
    for requester, answered, satisfied in zip(
        rows["requester"], rows["answered"], happy, strict=True
    ):
        end = np.searchsorted(people, requester, side="right")
        start = np.searchsorted(people, requester, side="left")
        place = start + np.searchsorted(at[start:end], answered, side="right") - 1
        if place >= start and answered - at[place] <= PAIRED_S:
            each = list(EventClass)[int(classes[order][place])]
            tally[each][0] += int(satisfied)
            tally[each][1] += 1
    return {each: Pairs(*counts) for each, counts in tally.items()}
