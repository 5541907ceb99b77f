"""Why our figures differ from an audit log's own: its definition, ours, and each ticket between.

The log's definition takes the last row that says Resolved and the last priority of a ticket;
METRICS.md 1.4-1.6 takes the move that held, the severity at that instant, and lets the clock stand
while nobody here could work. Each difference is named by its rule, and the rule is proven by
deriving our figure from the rows once more, without the fold: what cannot be derived is left
unexplained.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from portal.tenancy.context import acting
from tickets.calendars import Calendars
from tickets.canonical import State
from tickets.files import Damaged, ExportFile
from tickets.fold_rules import fold_rules
from tickets.importing import ImportRefused
from tickets.mapping import VERSIONS, Columns, Mapping
from tickets.models import Connection, Resolution, Ticket, WorkItem
from tickets.news import sortable
from tickets.timeline import REOPEN_WINDOW, Windows


class Reason(StrEnum):
    """The rules that make a ticket differ, the most telling first."""

    OUT_OF_ORDER = "row out of order"
    NEW_ITEM = "new item after 14 days"
    MISCLICK = "misclick"
    CLOSED_WITHOUT = "closed without a Resolved row"
    REPEATED = "repeated Resolved row"
    SEVERITY = "severity at the resolution"
    WAITED = "time waited"


MEANING = {
    Reason.OUT_OF_ORDER: "the file tells rows in another order than they happened; we sort by time",
    Reason.NEW_ITEM: "reopened later than 14 x 24 h: a new work item, the first resolution stands",
    Reason.MISCLICK: "reopened by the same account within 10 minutes: that resolution is void",
    Reason.CLOSED_WITHOUT: "it was resolved by closing it; no row said Resolved after that opening",
    Reason.REPEATED: "later rows say Resolved again while it was resolved; the move counts",
    Reason.SEVERITY: "the priority was changed after the resolution; the one at its instant counts",
    Reason.WAITED: "the clock stood still between a resolution and the reopen, or while waiting",
}


@dataclass(frozen=True, slots=True)
class Version:
    """One row of a ticket."""

    at: datetime
    sequence: str
    state_word: str
    state: State | None
    severity_word: str
    severity: str
    actor: str | None


@dataclass(slots=True)
class LoggedTicket:
    """A ticket as the file tells it."""

    opened_at: datetime
    #: In the order of the file.
    versions: list[Version] = field(default_factory=list)

    @property
    def last_resolved_at(self) -> datetime | None:
        """The file's resolution: its last row that says Resolved."""
        said = [v.at for v in self.versions if v.state is State.RESOLVED]
        return said[-1] if said else None

    def reopens(self) -> list[tuple[datetime, timedelta]]:
        """Rows that are open where the row before was not, with the time since that row."""
        found = []
        for before, after in zip(self.versions, self.versions[1:], strict=False):
            if before.state and before.state.is_resolved and after.state and after.state.is_open:
                found.append((after.at, after.at - before.at))
        return found


@dataclass(slots=True)
class Item:
    """A work item, derived from rows or read from the facts."""

    opened_at: datetime
    ended_at: datetime | None = None
    severity: str = ""
    clock_s: int | None = None
    #: (from, to): gaps between a resolution and the counted reopen.
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    counted_reopens: int = 0


@dataclass(slots=True)
class Explanation:
    """The file's figures, ours, and the tickets between them."""

    theirs: dict[str, Any]
    ours: dict[str, Any]
    #: Ticket -> the rules that made it differ, the most telling first.
    differing: dict[str, list[Reason]]
    unexplained: list[str]

    def counts(self) -> dict[str, int]:
        """Tickets by their most telling rule; the sum is the number of tickets that differ."""
        first = Counter(reasons[0] for reasons in self.differing.values())
        return {reason.value: first[reason] for reason in Reason if first[reason]}

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON."""
        return {
            "theirs": self.theirs,
            "ours": self.ours,
            "differing": len(self.differing) + len(self.unexplained),
            "by_reason": self.counts(),
            "tickets": {name: [r.value for r in why] for name, why in self.differing.items()},
            "unexplained": self.unexplained,
        }

    def text(self) -> str:
        """Everything for people."""
        lines = ["By the file's definition (last row saying Resolved, last priority):"]
        lines += [f"  {name}: {_plain(value)}" for name, value in self.theirs.items()]
        lines += ["", "By ours (METRICS.md 1.4-1.6: the move that held, severity at that instant):"]
        lines += [f"  {name}: {_plain(value)}" for name, value in self.ours.items()]
        total = len(self.differing) + len(self.unexplained)
        lines += ["", f"{total:,} tickets differ:"]
        for name, number in self.counts().items():
            lines.append(f"  {number:>7,}  {name}: {MEANING[Reason(name)]}")
        lines.append(f"  {len(self.unexplained):>7,}  unexplained")
        lines += ["", "Each of them, with every rule that applied:"]
        lines += [
            f"  {ticket}: {', '.join(reason.value for reason in reasons)}"
            for ticket, reasons in self.differing.items()
        ]
        lines += [f"  {ticket}: unexplained" for ticket in self.unexplained]
        return "\n".join(lines)


def explain(*, tenant_id: int, source: str, path: Path, mapping: Mapping | None) -> Explanation:
    """Compare an audit log with what is stored of it. Writes nothing.

    Raises ImportRefused where the source or the shape of the file does not allow it.
    """
    with acting(tenant_id):
        connection = Connection.objects.for_tenant(tenant_id).filter(name=source).first()
        if connection is None:
            raise ImportRefused(f"There is no source {source!r} yet; import the file first.")
        mapping = mapping or Mapping.parse(connection.mapping, name=f"of source {source}")
        if mapping.rows != VERSIONS:
            raise ImportRefused('Only audit logs (rows = "versions") have figures to explain.')
        logged = read_log(path, mapping)
        facts = _stored_items(tenant_id, connection)
        calendars = Calendars.of(tenant_id)
        windows = fold_rules(tenant_id).windows
        capabilities = _capabilities(tenant_id, connection)
    differing: dict[str, list[Reason]] = {}
    unexplained: list[str] = []
    for name, ticket in logged.items():
        stored = facts.get(name, [])
        derived, void = derive(ticket, windows)
        reasons = _reasons(ticket, derived, void, stored)
        proven = _same(derived, stored) and all(
            _clock_follows(item, calendars, capabilities.get(name, [None])) for item in stored
        )
        if not proven or (_differs(ticket, stored) and not reasons):
            unexplained.append(name)
        elif reasons:
            differing[name] = reasons
    return Explanation(
        theirs=their_figures(logged),
        ours=_our_figures(facts),
        differing=differing,
        unexplained=unexplained,
    )


def read_log(path: Path, mapping: Mapping) -> dict[str, LoggedTicket]:
    """Read an audit log as it is told: tickets by number, rows in the order of the file."""
    file = ExportFile(path, mapping.file)
    columns = Columns(mapping, file.header())
    names = mapping.columns
    tickets: dict[str, LoggedTicket] = {}
    for number, raw in file.rows():
        if isinstance(raw, Damaged):
            continue
        row, _ = columns.read(raw, number)
        if row is None:
            continue
        values = row.values
        ticket = tickets.setdefault(row.ticket, LoggedTicket(values["opened_at"]))
        ticket.opened_at = min(ticket.opened_at, values["opened_at"])
        ticket.versions.append(
            Version(
                values["at"],
                sortable(values.get("sequence", "")),
                str(raw.get(names.get("state", ""), "")),
                State(values["state"]) if "state" in values else None,
                str(raw.get(names.get("severity", ""), "")),
                values.get("severity", mapping.severity),
                values.get("actor"),
            )
        )
    return tickets


def their_figures(logged: dict[str, LoggedTicket]) -> dict[str, Any]:
    """The figures of a log by its own definition; hours are calendar hours, rounded to 4 places."""
    hours: dict[str, list[float]] = defaultdict(list)
    for ticket in logged.values():
        resolved_at = ticket.last_resolved_at
        if resolved_at is not None:
            took = (resolved_at - ticket.opened_at).total_seconds() / 3600
            hours[ticket.versions[-1].severity_word].append(took)
    reopens = {name: ticket.reopens() for name, ticket in logged.items()}
    return {
        "events": sum(len(ticket.versions) for ticket in logged.values()),
        "incidents": len(logged),
        "last_state": dict(Counter(t.versions[-1].state_word for t in logged.values())),
        "final_priority": dict(
            sorted(Counter(t.versions[-1].severity_word for t in logged.values()).items())
        ),
        "reopen_events": sum(len(found) for found in reopens.values()),
        "reopened_incidents": sum(1 for found in reopens.values() if found),
        "reopened_incidents_within_14_days": sum(
            1 for found in reopens.values() if any(lag <= REOPEN_WINDOW for _, lag in found)
        ),
        "by_priority_event_resolution": [
            {"priority": name, **_spread(hours[name])} for name in sorted(hours)
        ],
    }


def derive(ticket: LoggedTicket, windows: Windows) -> tuple[list[Item], int]:
    """Work items of a ticket from its rows alone, and the number of void resolutions.

    The oracle of this module: it knows rows, not events, and shares no code with the fold.
    """
    rows = sorted(ticket.versions, key=lambda v: (v.at, v.sequence))
    item = Item(min(ticket.opened_at, rows[0].at))
    items, void, is_open = [item], 0, True
    resolved_by: str | None = None
    for row in rows:
        if row.state is None:
            continue
        if row.state.is_resolved and is_open:
            item.ended_at, item.severity, resolved_by = row.at, row.severity, row.actor
            is_open = False
        elif row.state is State.WITHDRAWN and is_open:
            item.ended_at, item.severity, resolved_by, is_open = row.at, row.severity, None, False
        elif row.state.is_open and not is_open and item.ended_at is not None:
            is_open, since = True, row.at - item.ended_at
            if resolved_by and row.actor == resolved_by and since <= windows.misclick:
                void, item.ended_at = void + 1, None
            elif since <= windows.reopen:
                item.gaps.append((item.ended_at, row.at))
                item.counted_reopens += 1
                item.ended_at = None
            else:
                item.counted_reopens += 1
                item = Item(row.at)
                items.append(item)
        if is_open:
            item.severity = row.severity
    return items, void


def _reasons(
    ticket: LoggedTicket, derived: Sequence[Item], void: int, stored: Sequence[Item]
) -> list[Reason]:
    """The rules that set our figures of a ticket apart from the file's."""
    last = derived[-1]
    found = set()
    in_time = sorted(ticket.versions, key=lambda v: (v.at, v.sequence))
    said = ticket.last_resolved_at
    if in_time != ticket.versions and (
        said != last.ended_at or len(ticket.reopens()) != sum(i.counted_reopens for i in derived)
    ):
        found.add(Reason.OUT_OF_ORDER)
    if len(derived) > 1:
        found.add(Reason.NEW_ITEM)
    if void:
        found.add(Reason.MISCLICK)
    if last.ended_at is not None and said != last.ended_at:
        late = said is not None and said > last.ended_at
        found.add(Reason.REPEATED if late else Reason.CLOSED_WITHOUT)
    if last.ended_at is not None and last.severity != ticket.versions[-1].severity:
        found.add(Reason.SEVERITY)
    if any(item.gaps for item in stored) or any(item.gaps for item in derived):
        found.add(Reason.WAITED)
    return [reason for reason in Reason if reason in found]


def _differs(ticket: LoggedTicket, stored: Sequence[Item]) -> bool:
    """Whether any figure of a ticket is another one by our rules than by the file's."""
    last = stored[-1] if stored else Item(ticket.opened_at)
    return (
        len(stored) != 1
        or last.ended_at != ticket.last_resolved_at
        or (last.ended_at is not None and last.severity != ticket.versions[-1].severity)
        or last.counted_reopens != len(ticket.reopens())
        or bool(last.gaps)
    )


def _same(derived: Sequence[Item], stored: Sequence[Item]) -> bool:
    """Whether rows and facts tell the same work items."""
    return [_told(item) for item in derived] == [_told(item) for item in stored]


def _told(item: Item) -> tuple[Any, ...]:
    return item.opened_at, item.ended_at, item.severity, item.counted_reopens


def _clock_follows(item: Item, calendars: Calendars, capabilities: Iterable[int | None]) -> bool:
    """Whether the stored clock is business time from opening to end without the gaps."""
    if item.ended_at is None:
        return True
    for capability in capabilities:
        calendar = calendars.calendar(capability, item.severity)
        clock = calendar.elapsed_with_pauses(item.opened_at, item.ended_at, item.gaps)
        if int(clock) == item.clock_s:
            return True
    return False


def _stored_items(tenant_id: int, connection: Connection) -> dict[str, list[Item]]:
    """Work items of a source by external ticket id, the first one first."""
    names = _names(tenant_id, connection)
    items: dict[str, list[Item]] = defaultdict(list)
    by_pk: dict[int, Item] = {}
    stored = WorkItem.objects.for_tenant(tenant_id).order_by("ticket_id", "number")
    for pk, ticket, opened_at, ended_at, severity, clock_s in stored.values_list(
        "pk", "ticket_id", "opened_at", "ended_at", "severity", "clock_s"
    ):
        if ticket in names:
            by_pk[pk] = Item(opened_at, ended_at, severity, clock_s)
            items[names[ticket]].append(by_pk[pk])
    counted = Resolution.objects.for_tenant(tenant_id).filter(reopen_kind="counted")
    for pk, at, reopen_at, within in counted.order_by("at").values_list(
        "work_item_id", "at", "reopen_at", "reopened"
    ):
        if pk not in by_pk:
            continue
        by_pk[pk].counted_reopens += 1
        if within and reopen_at is not None:
            by_pk[pk].gaps.append((at, reopen_at))
    return items


def _capabilities(tenant_id: int, connection: Connection) -> dict[str, list[int | None]]:
    """Capability of each ticket's work items: it decides whose calendar the clock ran on."""
    names = _names(tenant_id, connection)
    found: dict[str, list[int | None]] = defaultdict(list)
    items = WorkItem.objects.for_tenant(tenant_id).order_by("ticket_id", "number")
    for ticket, capability in items.values_list("ticket_id", "capability_id"):
        if ticket in names:
            found[names[ticket]].append(capability)
    return found


def _names(tenant_id: int, connection: Connection) -> dict[int, str]:
    """External id of each ticket of a source.

    Joined here and not by the database: right after a large import its statistics still say that
    the tables are empty, and it would compare every item with every ticket.
    """
    tickets = Ticket.objects.for_tenant(tenant_id).filter(connection=connection).order_by()
    return dict(tickets.values_list("pk", "external_id"))


def _our_figures(facts: dict[str, list[Item]]) -> dict[str, Any]:
    calendar_hours: dict[str, list[float]] = defaultdict(list)
    clock_hours: dict[str, list[float]] = defaultdict(list)
    items = [item for found in facts.values() for item in found]
    for item in items:
        if item.ended_at is not None and item.clock_s is not None:
            took = (item.ended_at - item.opened_at).total_seconds() / 3600
            calendar_hours[item.severity].append(took)
            clock_hours[item.severity].append(item.clock_s / 3600)
    return {
        "tickets": len(facts),
        "work_items": len(items),
        "counted_reopens": sum(item.counted_reopens for item in items),
        "items_reopened_within_14_days": sum(1 for item in items if item.gaps),
        "by_severity": [
            {
                "severity": name,
                **_spread(calendar_hours[name]),
                "clock_median_business_h": _spread(clock_hours[name])["median_h"],
                "clock_p90_business_h": _spread(clock_hours[name])["p90_h"],
            }
            for name in sorted(calendar_hours)
        ],
    }


def _spread(hours: Sequence[float]) -> dict[str, Any]:
    """Number, median and 90th percentile (linear interpolation, METRICS.md 1.10)."""
    values = np.asarray(hours)
    return {
        "n": len(hours),
        "median_h": round(float(np.percentile(values, 50)), 4),
        "p90_h": round(float(np.percentile(values, 90)), 4),
    }


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "".join(
            "\n    " + ", ".join(f"{name} {cell}" for name, cell in entry.items())
            for entry in value
        )
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
