"""Columns folded in memory: for a reading of the past, and for logs that are not in the database.

Blocks know the present. A reading with an earlier `as_of` folds the log again, without what
happened later, and evaluates the same columns: slow and exact (METRICS.md 1.2).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from metrics.columns import (
    ATTEMPTS,
    CHECKS,
    FIRST_CONTACTS,
    FIRST_RESPONSES,
    ITEMS,
    MEANINGFUL_RESPONSES,
    PROBLEMS,
    RESOLUTION_PROMISES,
    RESOLUTIONS,
    SURVEYED,
    THEMES,
    USAGE,
)
from metrics.evaluating import Facts, NoSegment, epoch
from metrics.keeping import Loaded, Stretch, load
from metrics.measure import Reader, Slice, served_by
from metrics.rows import Rows
from portal.tenancy.models import Organisation
from surveys.models import AnswerRevision
from tickets import facts
from tickets.calendars import Calendars
from tickets.canonical import EventType
from tickets.event_log import stories_of
from tickets.fold_rules import fold_rules
from tickets.models import Problem, Ticket
from tickets.repeat_contact import Contact, repeat_contacts
from tickets.timeline import REOPEN_WINDOW, TicketLog, Timeline, fold

_ITEM_FIELDS = facts.ITEMS.columns[1:]
_RESOLUTION_FIELDS = facts.RESOLUTIONS.columns[3:]


def pack(
    timelines: Iterable[Timeline],
    *,
    tenant_id: int,
    calendars: Calendars,
    window: timedelta = REOPEN_WINDOW,
    problem_kinds: Mapping[int, str] | None = None,
    written_line: bool = False,
) -> dict[str, Rows]:
    """The columns of timelines, by kind, as they would stand in the database.

    `window` is that of repeat contacts; `problem_kinds` says what each problem is that items are
    linked to, by its id; `written_line` is as in `FoldRules`. Not there are what other tables
    hold: who people were (segments), whether somebody was asked, and bursts of closing.
    """
    found = facts.facts_of(
        timelines, tenant_id=tenant_id, calendars=calendars, written_line=written_line
    )
    items: dict[facts.ItemKey, dict[str, Any]] = {}
    for number, (key, row) in enumerate(found.items.items(), start=1):
        fields = zip(_ITEM_FIELDS, row, strict=True)
        items[key] = {"w.id": number, **{f"w.{name}": value for name, value in fields}}
    contacts = (
        Contact(
            key,
            item["w.requester_id"],
            item["w.capability_id"],
            item["w.opened_at"],
            item["w.first_resolution_at"],
        )
        for key, item in items.items()
    )
    again = repeat_contacts(contacts, window)
    for key, item in items.items():
        item["w.repeat_contact_at"] = again.get(key)
    resolutions = [
        {
            **items[key],
            "r.work_item_id": items[key]["w.id"],
            "r.burst": None,
            "e.decision": None,
            **{f"r.{n}": value for n, value in zip(_RESOLUTION_FIELDS, row, strict=True)},
        }
        for key, row in found.resolutions
    ]
    packed = {
        kind.name: kind.pack(items.values())
        for kind in (ITEMS, FIRST_RESPONSES, MEANINGFUL_RESPONSES, RESOLUTION_PROMISES)
    }
    packed[RESOLUTIONS.name] = RESOLUTIONS.pack(resolutions)
    packed[FIRST_CONTACTS.name] = FIRST_CONTACTS.pack(
        row for row in resolutions if row["r.number"] == 1 and row["w.first_contact"]
    )
    kinds = problem_kinds or {}
    packed[PROBLEMS.name] = PROBLEMS.pack(
        {**item, "p.kind": kinds[item["w.problem_id"]]}
        for item in items.values()
        if item["w.problem_id"] is not None
    )
    return packed


class FoldedReader(Reader):
    """Reads columns that were folded in memory instead of blocks."""

    tells_now = False

    def __init__(
        self, tenant: Organisation, *, as_of: datetime, folded: Mapping[str, Rows]
    ) -> None:
        super().__init__(tenant, as_of=as_of)
        self._folded = folded

    def _load(
        self, asked: Sequence[Stretch], capabilities: frozenset[int] | None
    ) -> Mapping[str, Loaded]:
        return {
            one.kind.name: Loaded(
                self._within(
                    served_by(self._folded[one.kind.name], capabilities), one.start, one.until
                ),
                None,
            )
            for one in asked
        }

    def facts(self, cut: Slice) -> Facts:
        """The rows of a slice; who people were to us then is not folded from a log of tickets."""
        if cut.segment is not None:
            raise NoSegment("A reading of the past is not told by segment.")
        return super().facts(cut)

    def _open_at(self, moment: datetime, capabilities: frozenset[int] | None) -> Rows:
        at = epoch(moment) + int(moment >= self.as_of)  # the present has happened, midnight not yet
        resolved = self._folded[RESOLUTIONS.name]
        paused = resolved["item"][
            (resolved["at"] < at) & (resolved["reopened"] == 1) & (resolved["reopen_at"] >= at)
        ]
        there = self._there(at)
        return served_by(there[~np.isin(there["item"], paused)], capabilities)

    def _there_at(self, moment: datetime, capabilities: frozenset[int] | None) -> Rows:
        return served_by(self._there(epoch(moment)), capabilities)

    def _there(self, at: int) -> Rows:
        items = self._folded[ITEMS.name]
        there: Rows = items[(items["at"] < at) & ((items["ended"] == 0) | (items["ended"] >= at))]
        return there


def past_reader(tenant: Organisation, *, as_of: datetime, start: date, until_day: date) -> Reader:
    """A reader of the organisation as it stood at `as_of`. Runs as the worker, inside `acting()`.

    Who had answered is told as of that moment; a period's survey rows are read per call.
    """
    calendars = Calendars.of(tenant.pk)
    rules = fold_rules(tenant.pk)
    timelines = [
        timeline
        for logs in _families(tenant, as_of)
        for timeline in fold(
            logs,
            rules.settings(calendars, logs[0].events),
        )
    ]
    kinds = dict(Problem.objects.for_tenant(tenant).values_list("pk", "kind"))
    folded = pack(
        timelines,
        tenant_id=tenant.pk,
        calendars=calendars,
        window=rules.windows.reopen,
        problem_kinds=kinds,
        written_line=rules.written_line,
    )
    reach = timedelta(days=SURVEYED.reach_days)
    folded[SURVEYED.name] = _answers_then(tenant, as_of, start - reach, until_day)
    for kind in (CHECKS, THEMES, ATTEMPTS, USAGE):
        folded[kind.name] = _known_then(load(tenant, kind, start, until_day), epoch(as_of))
    return FoldedReader(tenant, as_of=as_of, folded=folded)


def _known_then(rows: Rows, as_of: int) -> Rows:
    """Rows that had begun by `as_of`, without what happened to them later."""
    known = rows[rows["at"] <= as_of]
    return known.replaced(
        **{
            name: np.where(known[name] > as_of, 0, known[name])
            for name in ("completed", "assisted")
            if name in known
        }
    )


def _families(tenant: Organisation, as_of: datetime) -> list[list[TicketLog]]:
    """Tickets that were known at `as_of`, each with the follow-ups that hang on it."""
    tickets = Ticket.objects.for_tenant(tenant).filter(opened_at__lte=as_of)
    rows = tickets.values_list("pk", "connection_id", "external_id", "follows")
    by_name = {(connection, name): pk for pk, connection, name, _ in rows}
    parents = {pk: by_name.get((connection, follows)) for pk, connection, _, follows in rows}
    stories = stories_of(list(parents), as_of=as_of)
    families: dict[int, list[TicketLog]] = defaultdict(list)
    for pk, story in stories.items():
        if any(e.type is EventType.CREATED and e.data.get("severity") for e in story):
            families[_eldest(pk, parents)].append(TicketLog(pk, story, parents[pk]))
    return list(families.values())


def _eldest(pk: int, parents: Mapping[int, int | None]) -> int:
    seen = {pk}
    parent = parents.get(pk)
    while parent is not None and parent not in seen:
        seen.add(parent)
        pk, parent = parent, parents.get(parent)
    return pk


def _answers_then(tenant: Organisation, as_of: datetime, start: date, until_day: date) -> Rows:
    """Survey rows with the last rating instant of that moment: who had answered by then.

    The rating itself is the released one. When a change of mind entered the figures is not kept on
    purpose: two past readings, one before and one after, would show what one person changed.
    """
    rows = load(tenant, SURVEYED, start, until_day)
    history = AnswerRevision.objects.for_tenant(tenant).filter(at__lte=as_of).order_by("at", "id")
    then = dict(history.values_list("answer__event_id", "at"))
    answered = [
        epoch(then[event]) if event in then else known
        for event, known in zip(rows["event"].tolist(), rows["answered"].tolist(), strict=True)
    ]
    return rows.replaced(answered=np.array(answered, dtype=np.int64))
