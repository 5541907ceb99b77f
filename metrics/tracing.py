"""From a figure back to the tickets it is made of.

The rows behind a view are fetched with their tickets, and the view is evaluated again on each item
alone: what it contributes is said by the function that makes the figure. Answers and
what people do without us lead to nobody's ticket (TRUST.md T14): such figures are not traced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
from django.db import connection

from metrics.columns import (
    FIRST_CONTACTS,
    FIRST_RESPONSES,
    ITEMS,
    MEANINGFUL_RESPONSES,
    RESOLUTION_PROMISES,
    RESOLUTIONS,
    Kind,
)
from metrics.definitions import View, find
from metrics.evaluating import Ending, Facts, epoch
from metrics.kinds import Estimate
from metrics.measure import Reader, Slice
from metrics.rows import Rows

#: Kinds whose rows are of one ticket each.
OF_TICKETS = (
    ITEMS,
    RESOLUTIONS,
    FIRST_CONTACTS,
    FIRST_RESPONSES,
    MEANINGFUL_RESPONSES,
    RESOLUTION_PROMISES,
)
#: Items that one page looks at before it stops: a rare one must not make a request slow.
MOST_LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True)
class Traced:
    """An item behind a figure: whose ticket, when it counts, and what it contributes alone."""

    #: Its place among the items behind the figure, the latest first.
    place: int
    source: str
    ticket: str
    subject: str
    at: datetime
    severity: str
    state: str
    contribution: Estimate

    @property
    def counts(self) -> bool:
        """Whether it is among those the figure is a share of, or a duration of."""
        return self.contribution.denominator > 0

    @property
    def counts_for_it(self) -> bool:
        """Whether it is one of "… of 100 …"; of figures that are no share, whether it counts."""
        numerator = self.contribution.numerator
        return self.counts if numerator is None else numerator > 0


class Untraceable(ValueError):
    """The figure does not lead to tickets; the message says why."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The items behind one figure, the latest first; an item may have several rows."""

    view: View
    rows: Rows
    tickets: Sequence[tuple[Any, ...]]
    #: The rows of each item, the latest first.
    items: Sequence[Sequence[int]]
    alone: Callable[[Rows], Facts]

    def __len__(self) -> int:
        return len(self.items)

    def from_place(self, first: int) -> Iterator[Traced]:
        """The items from a place on, each evaluated when it is asked for."""
        for place in range(first, len(self.items)):
            mine = list(self.items[place])
            contribution = self.view.evaluate(self.alone(self.rows[mine]))
            source, ticket, subject, at, severity, state = self.tickets[mine[0]]
            yield Traced(place, source, ticket, subject, at, severity, state, contribution)


@dataclass(slots=True)
class Found:
    """Some items behind a figure, and the place to go on from; None where there are no more."""

    rows: list[Traced]
    go_on: int | None


def some(behind: Behind, *, first: int, wanted: int, only_for_it: bool) -> Found:
    """At most `wanted` items from a place on; at most MOST_LOOKED_AT are looked at for them."""
    found: list[Traced] = []
    for row in behind.from_place(first):
        if len(found) == wanted or row.place - first >= MOST_LOOKED_AT:
            return Found(found, row.place)
        if row.counts_for_it or not only_for_it:
            found.append(row)
    return Found(found, None)


def behind(reader: Reader, name: str, cut: Slice) -> Behind:
    """The items behind a figure of a slice. Raises Untraceable, UnknownMetric, SeveritiesPooled."""
    _, view = find(name)
    reader.refuse_pooled(view, cut)
    found = _rests_on(name)
    if isinstance(found, str):
        raise Untraceable(found)
    kind, of_backlog = found
    moment = reader.end_of(cut)
    if of_backlog:
        condition, values = reader.open_in_sql(moment)
    else:
        condition = f"{kind.at} >= %(start)s AND {kind.at} < %(end)s"
        values = {"start": reader.midnight(cut.start), "end": reader.midnight(cut.until)}
    tickets, rows = _fetch(reader, kind, cut, condition, values)
    facts = reader.facts(cut)

    def alone(row: Rows) -> Facts:
        if of_backlog:
            return replace(facts, backlog=lambda: (row, epoch(moment)))
        return replace(facts, rows=lambda asked: row if asked is kind else facts.rows(asked))

    return Behind(view, rows, tickets, _by_item(rows), alone)


def is_traceable(name: str) -> bool:
    """Whether a figure leads to tickets."""
    return not isinstance(_rests_on(name), str)


def rests_on(name: str) -> Kind | None:
    """The kind whose rows a figure counts; None where it leads to no tickets, or to the backlog."""
    found = _rests_on(name)
    if isinstance(found, str):
        return None
    kind, of_backlog = found
    return None if of_backlog else kind


def _by_item(rows: Rows) -> list[list[int]]:
    """The places of each item's rows; a row of a kind that names no item is one of its own."""
    if "item" not in rows:
        return [[place] for place in range(len(rows))]
    items: dict[int, list[int]] = {}
    for place, item in enumerate(rows["item"].tolist()):
        items.setdefault(item, []).append(place)
    return list(items.values())


@cache
def _rests_on(name: str) -> tuple[Kind, bool] | str:
    """The kind whose rows a view counts, and whether they are those of the backlog; or why none.

    Seen by evaluating it on nothing: it asks for what it rests on.
    """
    metric, view = find(name)
    asked: list[Kind] = []
    backlog: list[bool] = []

    def rows(kind: Kind) -> Rows:
        asked.append(kind)
        return kind.pack([])

    def none_open() -> tuple[Rows, int]:
        backlog.append(True)
        return ITEMS.pack([]), 0

    def never() -> Ending:
        return Ending(0, 0, 0)

    def none_before(kind: Kind) -> Rows:
        return kind.pack([])

    view.evaluate(Facts(rows, none_open, 0, _NoClocks(), none_before, never))
    others = [kind.name for kind in asked if kind not in OF_TICKETS]
    if metric.from_answers or others or not (asked or backlog):
        return (
            "It comes from what people answered or did without us: that is theirs, and does not"
            " lead to anybody's ticket. Read the comments beside it."
        )
    if len({kind.name for kind in asked}) + len(backlog[:1]) != 1:
        return "It compares several kinds of events: trace the figures it is made of."
    return (ITEMS, True) if backlog else (asked[0], False)


class _NoClocks:
    """Clocks for nothing at all."""

    def elapsed_many(self, capability: int, severity: str, starts: Any, ends: Any) -> Any:
        return np.empty(0, dtype=np.int64)


def _fetch(
    reader: Reader, kind: Kind, cut: Slice, condition: str, values: Mapping[str, Any]
) -> tuple[list[tuple[Any, ...]], Rows]:
    """Tickets and columns of the rows of a kind under a condition, the latest first."""
    by_name = {column.name: column.source for column in kind.columns}
    fields = kind.sources
    conditions = [f"{kind.alias}.tenant_id = %(tenant)s", condition]
    parameters: dict[str, Any] = {"tenant": reader.tenant.pk, **values}
    if cut.capabilities is not None:
        conditions.append(f"{by_name['capability']} = ANY(%(capabilities)s)")
        parameters["capabilities"] = sorted(cut.capabilities)
    if cut.severity is not None:
        conditions.append(f"{by_name['severity']} = %(severity)s")
        parameters["severity"] = cut.severity
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT c.name, t.external_id, t.subject, {kind.at}, {by_name['severity']}, t.state,"  # noqa: S608 - every part is declared in metrics/columns.py
            f" {', '.join(fields)} FROM {kind.tables}"
            f" JOIN tickets_ticket t ON t.tenant_id = {kind.alias}.tenant_id"
            f" AND t.id = {kind.alias}.ticket_id"
            f" JOIN tickets_connection c ON c.tenant_id = t.tenant_id AND c.id = t.connection_id"
            f" WHERE {' AND '.join(conditions)} ORDER BY {kind.at} DESC, {kind.alias}.id DESC",
            parameters,
        )
        told = cursor.fetchall()
    rows = kind.pack(dict(zip(fields, row[6:], strict=True)) for row in told)
    return [row[:6] for row in told], rows
