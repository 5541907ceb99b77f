"""What people finish without us, and what telemetry says of it (METRICS.md M10, M23, M24)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
    mine = decided_attempts(facts)
    done = (mine["completed"] > 0) & (mine["assisted"] == 0)
    asked_us = int(((mine["completed"] > 0) & ~done).sum())
    return _of_attempts(facts, mine, done, {"completed_then_asked": asked_us})


def tried_again(facts: Facts) -> Estimate:
    """M23's guardrail: of the same attempts, those of somebody who had tried the same before.

    Completed or not: people who come back to what was called completed had not finished it.
    """
    mine = decided_attempts(facts)
    often = int((mine["earlier"] > 1).sum())
    return _of_attempts(facts, mine, mine["earlier"] > 0, {"third_try_or_later": often})


def _of_attempts(
    facts: Facts, mine: Rows, which: NDArray[np.bool_], beside: Mapping[str, int]
) -> Estimate:
    """A share of decided attempts; those begun since are pending."""
    begun = int((facts.rows(columns.ATTEMPTS)["at"] <= facts.as_of).sum())
    return share(
        int(which.sum()),
        len(mine),
        still_open=begun - len(mine),
        beside=beside,
        why="no attempt at self-service of this period is three days old yet"
        if begun
        else "no self-service events are sent to us",
    )


def decided_attempts(facts: Facts) -> Rows:
    """Attempts that are old enough for nobody to ask us about them any more."""
    rows = facts.rows(columns.ATTEMPTS)
    mine: Rows = rows[rows["at"] + PENDING_S <= facts.as_of]
    return mine


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

    Pairs are answers to events of the same person and capability in the day before, of the 90 days
    up to the end of the slice. Those of the last month that is over are what the others must
    foretell.
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
    found_pairs = _pairs(facts, int(capabilities[0]), threshold)
    paired, last_month = found_pairs.tallied(), found_pairs.tallied(in_last_month=True)
    others = found_pairs.tallied(in_last_month=False)
    index = telemetry.raw_index(volumes)
    decided = facts.settings
    doubts = telemetry.why_not_shown(
        last_month, others, pairs=int(decided.proxy_pairs), smallest_auc=decided.proxy_auc
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


def event_classes(events: Rows, threshold: int) -> NDArray[np.int64]:
    """The place of each event's class in `EventClass`; `telemetry.event_class` for many at once."""
    failed = (events["success"] != 1) | (events["duration"] > 4 * threshold)
    failed |= events["errors"] >= 3
    quick = (events["duration"] >= 0) & (events["duration"] <= threshold) & (events["errors"] <= 0)
    return np.where(failed, 2, np.where(quick, 0, 1))


@dataclass(frozen=True, slots=True)
class _Paired:
    """Events with an answer, one entry a pair. Shapes (n,)."""

    classes: NDArray[np.int64]
    satisfied: NDArray[np.bool_]
    in_last_month: NDArray[np.bool_]

    def tallied(self, *, in_last_month: bool | None = None) -> dict[EventClass, Pairs]:
        """By class: satisfied, of how many; of the last month, of the rest, or (None) of all."""
        mine = np.ones(len(self.classes), dtype=bool)
        if in_last_month is not None:
            mine = self.in_last_month == in_last_month
        return {
            each: Pairs(
                int((self.satisfied & mine & (self.classes == place)).sum()),
                int((mine & (self.classes == place)).sum()),
            )
            for place, each in enumerate(EventClass)
        }


def _pairs(facts: Facts, capability: int, threshold: int) -> _Paired:
    """Answers with the latest event before each: the one it is about."""
    ending = facts.ending()
    events = facts.reaching_back(columns.USAGE)
    events = events[(events["type"] == OUTCOME) & (events["capability"] == capability)]
    since = ending.at - columns.PAIRED_DAYS * 86_400
    events = events[(events["at"] >= since) & (events["at"] < ending.at)]
    rows = answers(replace(facts, rows=facts.reaching_back), policy_denial=False).so_far
    rows = rows[(rows["decision"] == INVITED) & (rows["capability"] == capability)]
    events, rows = events[events["requester"] > 0], rows[rows["requester"] > 0]
    happened, answered = _of_person(events, "at"), _of_person(rows, "answered")
    order = np.argsort(happened, kind="stable")
    places = np.searchsorted(happened[order], answered, side="right") - 1
    rows, answered, places = rows[places >= 0], answered[places >= 0], places[places >= 0]
    # of somebody else it is further away than any day
    near = answered - happened[order][places] <= PAIRED_S
    mine = events[order[places[near]]]
    in_last_month = (mine["at"] >= ending.month_from) & (mine["at"] < ending.month_until)
    return _Paired(
        event_classes(mine, threshold), satisfied_in(rows[near]), np.asarray(in_last_month)
    )


def _of_person(rows: Rows, instant: str) -> NDArray[np.int64]:
    """Instants that grow by person first: those of two people lie centuries apart."""
    return np.asarray(rows["requester"].astype(np.int64) * 2**34 + rows[instant])
