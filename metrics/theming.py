"""What comments are about: answers by confirmed theme, and how satisfied (METRICS.md M08b).

Themes are of one capability. A comment may speak of several, so parts need not add up; a theme
with few comments is hidden, and another one with it where it could be found by subtraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics import columns
from metrics.evaluating import Answers, Facts, answers, clustered, dissatisfied_in, trusted
from metrics.kinds import Estimate
from metrics.rows import Rows
from metrics.small_numbers import Shown, hidden_parts, proportion


@dataclass(frozen=True, slots=True)
class _Found:
    """Counted answers with a comment: which are dissatisfied, and which speak of each theme."""

    answers: Answers
    commented: Rows
    dissatisfied: NDArray[np.bool_]
    #: By the theme's name, one entry a commented answer.
    themes: Mapping[str, NDArray[np.bool_]]
    #: Of fewer comments nothing is told.
    smallest: int

    @property
    def themed(self) -> NDArray[np.bool_]:
        """Which comments speak of any theme."""
        held = np.zeros(len(self.commented), dtype=bool)
        for mine in self.themes.values():
            held |= mine
        return held

    @property
    def shown(self) -> dict[str, NDArray[np.bool_]]:
        """Themes whose number of comments may be told, the most frequent first."""
        counts = {name: int(mine.sum()) for name, mine in self.themes.items()}
        hidden = hidden_parts(counts, self.smallest)
        told = sorted(counts.keys() - set(hidden), key=lambda name: (-counts[name], name))
        return {name: self.themes[name] for name in told}


def _found(facts: Facts) -> _Found | Estimate:
    """The comments of one capability; an estimate that says why where there is nothing to count."""
    counted = answers(facts, policy_denial=False)
    rows = facts.rows(columns.THEMES)
    rows = rows[np.isin(rows["event"], counted.rows["event"])]
    commented = counted.rows[np.isin(counted.rows["event"], rows["event"])]
    without = len(counted.rows) - len(commented)
    around: dict[str, Any] = {
        "left_out": {"answers without a comment": without} if without else {},
        "sent": counted.sent,
    }
    if not len(commented):
        return Estimate(None, 0, why="no comment of this period is counted", **around)
    if len(np.unique(commented["capability"])) > 1:
        why = "told for one capability at a time: each has themes of its own"
        return Estimate(None, len(commented), why=why, **around)
    names = facts.themes()
    present = [int(theme) for theme in np.unique(rows["theme"]) if int(theme) in names]
    if not present:
        why = "no person has confirmed a theme that these comments speak of"
        return Estimate(None, len(commented), why=why, **around)
    themes = {
        names[theme]: np.isin(commented["event"], rows["event"][rows["theme"] == theme])
        for theme in present
    }
    smallest = int(facts.settings.suppressed_below)
    return _Found(counted, commented, dissatisfied_in(commented), themes, smallest)


def themed(facts: Facts) -> Estimate:
    """M08b: comments that speak of a confirmed theme, and how many of each beside it."""
    found = _found(facts)
    if isinstance(found, Estimate):
        return found
    counts = {f"theme: {name}": int(mine.sum()) for name, mine in found.shown.items()}
    return _told(facts, found, found.commented, found.themed, counts)


def dissatisfied(facts: Facts) -> Estimate:
    """M08b: of the comments with a theme, those beside a dissatisfied score; each theme's share.

    A share is told from ten comments of the theme on.
    """
    found = _found(facts)
    if isinstance(found, Estimate):
        return found
    shares = {
        f"dissatisfied: {name}": float(found.dissatisfied[mine].mean())
        for name, mine in found.shown.items()
        if proportion(int(mine.sum()), found.smallest) is Shown.FULL
    }
    mine = found.themed
    return _told(facts, found, found.commented[mine], found.dissatisfied[mine], shares)


def _told(
    facts: Facts,
    found: _Found,
    rows: Rows,
    which: NDArray[np.bool_],
    beside: Mapping[str, float],
) -> Estimate:
    """The share of some comments, at least one, of which something holds."""
    without = len(found.answers.rows) - len(found.commented)
    told = clustered(rows, which)
    return Estimate(
        told.satisfied / told.n,
        told.n,
        told.satisfied,
        told.interval,
        told.effective_n,
        left_out={"answers without a comment": without} if without else {},
        sent=found.answers.sent,
        answered=len(found.answers.rows),
        reliability=trusted(facts, found.answers.sent, len(found.answers.rows)),
        beside=dict(beside),
    )
