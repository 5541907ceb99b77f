"""What keeps coming back, for everyone: items that share a problem (METRICS.md M26).

Nobody links items where nothing is linked: the figure is then unknown, not nought. Whether an item
shares a problem is settled by the end of its period, so a closed period does not change later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics import columns
from metrics.evaluating import Facts, share
from metrics.kinds import Estimate, unknown
from metrics.rows import Rows

WITHIN_S = columns.SHARED_WITHIN_DAYS * 86_400
DEFECT = columns.PROBLEM_KINDS.index("defect") + 1
NOT_LINKED = "no item is linked to a problem, a defect or a duplicate here"


@dataclass(frozen=True, slots=True)
class Recurring:
    """A problem that several items share: its id, and what it met in the period."""

    problem: int
    requesters: int
    items: int


def shares(rows: Rows) -> NDArray[np.bool_]:
    """Which items share their problem with another opened within 90 x 24 h, boundary included."""
    found = np.zeros(len(rows), dtype=bool)
    order = np.lexsort((rows["at"], rows["problem"]))
    problem, at = rows["problem"][order], rows["at"][order]
    near = (problem[1:] == problem[:-1]) & (at[1:] - at[:-1] <= WITHIN_S)
    found[order[1:]] |= near
    found[order[:-1]] |= near
    return found


def requesters(rows: Rows) -> int:
    """How many people these items are of; an item of nobody known is of a person of its own."""
    return len(np.unique(np.where(rows["requester"] > 0, rows["requester"], -rows["item"])))


@dataclass(frozen=True, slots=True)
class _Found:
    """Linked items of the period, which of them share, and how many items there were at all."""

    linked: Rows
    sharing: NDArray[np.bool_]
    opened: int

    @property
    def recurring(self) -> Rows:
        return self.linked[self.sharing]


def _found(facts: Facts) -> _Found | None:
    """None where nothing is linked, in the period or in the 90 days before it."""
    opened = facts.rows(columns.ITEMS)
    opened = opened[opened["at"] <= facts.as_of]
    reaching = facts.reaching_back(columns.PROBLEMS)
    reaching = reaching[reaching["at"] <= facts.as_of]
    if not len(reaching):
        return None
    mine = np.isin(reaching["item"], opened["item"])
    return _Found(reaching[mine], shares(reaching)[mine], len(opened))


def shared(facts: Facts) -> Estimate:
    """M26: items that share a problem with another, of all that were opened."""
    found = _found(facts)
    if found is None:
        return unknown(NOT_LINKED)
    recurring = found.recurring
    by_kind = {
        f"by_{kind}": int((recurring["kind"] == number).sum())
        for number, kind in enumerate(columns.PROBLEM_KINDS, start=1)
    }
    return share(
        len(recurring),
        found.opened,
        beside={
            "problems": len(np.unique(recurring["problem"])),
            "people": requesters(recurring),
            "linked": len(found.linked),
            **by_kind,
        },
        why="nothing was opened in this period",
    )


def people(facts: Facts) -> Estimate:
    """M26: distinct people whose items share a problem."""
    found = _found(facts)
    if found is None:
        return unknown(NOT_LINKED)
    return Estimate(float(requesters(found.recurring)), len(found.recurring))


def defects(facts: Facts) -> Estimate:
    """M26: items that report a known defect, whether or not others do."""
    found = _found(facts)
    if found is None:
        return unknown(NOT_LINKED)
    reported = int((found.linked["kind"] == DEFECT).sum())
    return share(reported, found.opened, why="nothing was opened in this period")


def ranked(facts: Facts) -> list[Recurring]:
    """The problems behind the figure, that of most people first."""
    found = _found(facts)
    if found is None:
        return []
    rows = found.recurring
    told = [
        Recurring(int(problem), requesters(mine), len(mine))
        for problem in np.unique(rows["problem"])
        if len(mine := rows[rows["problem"] == problem])
    ]
    return sorted(told, key=lambda one: (-one.requesters, -one.items, one.problem))
