"""Estimates that no waiting changes any more, kept by a process until their rows do.

A course of twelve months tells eleven that are over. An estimate depends on the rows it looked at,
on what was decided about measuring, and on the moment of reading only where an instant of its rows
(or the end of a window that begins with one) is still to come, or where a clock still runs. What an
estimate looked at is noted while it is formed; where none of that can change by itself, it is kept
together with the versions of the blocks it came from, and told again as long as they are the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from metrics.columns import KINDS, Kind
from metrics.evaluating import Facts, RunningClocks
from metrics.kinds import Estimate
from metrics.rows import Rows
from metrics.self_service import PENDING_S
from metrics.settings import Settings

#: An estimate and its key take about two kilobytes.
MOST_ESTIMATES = 10_000

#: What the rows of a kind between two days are, as of now; None: nobody knows whether they stay.
State = Callable[[str, date, date], Hashable | None]


@dataclass(frozen=True, slots=True)
class Settled:
    """An estimate, and what has to be as it was for it to hold."""

    estimate: Estimate
    #: Rows it looked at: kind, days and state.
    looked_at: tuple[tuple[str, date, date, Hashable], ...]
    #: From this moment on (UTC epoch seconds) waiting does not change it.
    since: int

    def holds(self, as_of: int, state: State) -> bool:
        """Whether it is still what would be told."""
        return as_of >= self.since and all(
            state(kind, start, until) == then for kind, start, until, then in self.looked_at
        )


class _Store:
    """What is settled, the least recently told going first; several threads read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Settled] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Settled | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, settled: Settled) -> None:
        with self._lock:
            self._kept[key] = settled
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_ESTIMATES:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


SETTLED = _Store()


def longest_window(settings: Settings) -> int:
    """Seconds of the longest window that begins with an instant: reopens, answers, attempts."""
    return max(ceil(86_400 * settings.reopen_days), ceil(86_400 * settings.answer_days), PENDING_S)


class Noting:
    """The facts of a slice, noting what is looked at; `window` is `longest_window`."""

    def __init__(
        self,
        facts: Facts,
        days: tuple[date, date],
        begin: Callable[[Kind], date],
        *,
        window: int,
    ) -> None:
        self._days, self._window = days, window
        self._looked_at: dict[tuple[str, date], Rows] = {}
        self._changeable = False
        self._as_of = facts.as_of
        self._facts, self._begin = facts, begin

    def facts(self) -> Facts:
        """The facts to look at. Not kept here: in a ring of references rows outlive a reading."""
        facts = self._facts
        return replace(
            facts,
            rows=lambda kind: self._note(kind, self._days[0], facts.rows(kind)),
            reaching_back=lambda kind: self._note(
                kind, self._begin(kind), facts.reaching_back(kind)
            ),
            clocks=_Clocks(facts.clocks, self._doubt),
            # None of these follows from the rows of the slice alone.
            backlog=self._doubted(facts.backlog),
            ending=self._doubted(facts.ending),
            agreement=self._doubted(facts.agreement),
            tells_escalations=self._doubted(facts.tells_escalations),
            tells_messages=self._doubted(facts.tells_messages),
            themes=self._doubted(facts.themes),
            resolved_a_business_day=self._doubted(facts.resolved_a_business_day),
        )

    def _note(self, kind: Kind, start: date, rows: Rows) -> Rows:
        self._looked_at[kind.name, start] = rows
        return rows

    def _doubt(self) -> None:
        self._changeable = True

    def _doubted[T](self, ask: Callable[[], T]) -> Callable[[], T]:
        def asked() -> T:
            self._doubt()
            return ask()

        return asked

    def settled(self, estimate: Estimate, state: State) -> Settled | None:
        """The estimate, if waiting does not change it and it is known when its rows do."""
        if self._changeable or not self._looked_at:
            return None
        looked_at = []
        since = 0
        for (name, start), rows in self._looked_at.items():
            then = state(name, start, self._days[1])
            if then is None:
                return None
            looked_at.append((name, start, self._days[1], then))
            since = max(since, _last_instant(KINDS[name], rows) + self._window)
        return Settled(estimate, tuple(looked_at), since) if since <= self._as_of else None


def _last_instant(kind: Kind, rows: Rows) -> int:
    """The last instant that any column of some rows tells; 0 of none."""
    columns = [one.name for one in kind.columns if one.is_instant and one.name in rows]
    return max((int(rows[name].max(initial=0)) for name in columns), default=0)


class _Clocks:
    """Clocks that still run; whoever asks them is told something else a moment later."""

    def __init__(self, clocks: RunningClocks, doubt: Callable[[], None]) -> None:
        self._clocks, self._doubt = clocks, doubt

    def elapsed_many(
        self, capability: int, severity: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Business seconds for pairs of UTC epoch seconds."""
        if len(starts):
            self._doubt()
        return self._clocks.elapsed_many(capability, severity, starts, ends)
