"""From timelines to rows: work items with their clocks, resolutions, escalations, authors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from portal.catalogue.business_time import BusinessTime
from portal.catalogue.models import TimeTarget
from portal.catalogue.severity import Severity
from tickets import clocks, timeline
from tickets.calendars import Calendars
from tickets.canonical import ResolutionKind
from tickets.channels import Channel, channel_of
from tickets.models import Attribution, Escalation, Resolution, WorkItem
from tickets.repeat_contact import Contact
from tickets.storing import Table, Written
from tickets.touched import StoredItem, Touched

#: A resolution's `burst` is not here: it follows from other tickets (tickets/closing.py).
_ITEM = (
    "id",
    "tenant_id",
    "ticket_id",
    "number",
    "requester_id",
    "capability_id",
    "severity",
    "channel",
    "group",
    "opened_at",
    "state",
    "outcome",
    "ended_at",
    "clock_s",
    "requester_elapsed_s",
    "paused_s",
    "paused_since",
    "first_response_at",
    "first_response_s",
    "first_meaningful_at",
    "first_meaningful_s",
    "first_reply_meaning",
    "response_owed",
    "first_resolution_at",
    "reassignments",
    "escalations_functional",
    "escalations_hierarchical",
    "requester_messages",
    "fcr_claimed",
    "first_contact",
    "routine",
    "problem_id",
    "response_target_s",
    "resolution_target_s",
    "response_deadline",
    "resolution_deadline",
    "first_response_in_time",
    "first_response_severity",
    "first_response_capability_id",
    "first_meaningful_in_time",
    "first_meaningful_severity",
    "first_meaningful_capability_id",
    "resolution_in_time",
    "resolution_severity",
    "resolution_capability_id",
    "handled_by",
    "late_pauses",
    "late_pauses_unasked",
    "downgraded",
    # Both follow from other items as well (`Facts.complete`).
    "repeat_contact_at",
    "segments",
)
_RESOLUTION = (
    "id",
    "tenant_id",
    "work_item_id",
    "ticket_id",
    "event_key",
    "number",
    "at",
    "kind",
    "capability_id",
    "severity",
    "group",
    "policy_denial",
    "holds",
    "clock_s",
    "reopen_at",
    "reopen_kind",
    "reopened",
    "handled_by",
    "denied_at",
    "denied_by_assignee",
    "followed_at",
    "slips",
)
_ESCALATION = ("id", "tenant_id", "work_item_id", "event_key", "at", "kind", "reason")
_ATTRIBUTION = (
    "id",
    "tenant_id",
    "work_item_id",
    "ticket_id",
    "event_key",
    "act",
    "agent_id",
    "person_id",
    "at",
)
#: Where an item's row, without its id, holds what others' figures follow from.
_REQUESTER = _ITEM.index("requester_id") - 1
_CAPABILITY = _ITEM.index("capability_id") - 1
_OPENED_AT = _ITEM.index("opened_at") - 1
_RESOLVED_AT = _ITEM.index("first_resolution_at") - 1
_REPEAT_CONTACT_AT = _ITEM.index("repeat_contact_at") - 1
ITEMS = Table(WorkItem, _ITEM)
RESOLUTIONS = Table(Resolution, _RESOLUTION)
ESCALATIONS = Table(Escalation, _ESCALATION)
ATTRIBUTIONS = Table(Attribution, _ATTRIBUTION)

ItemKey = tuple[int, int]
"""Ticket id and number of a work item."""


@dataclass(slots=True)
class Facts:
    """Rows of a batch, in the order of the tables' columns, without ids.

    Rows below a work item hold its key instead of its id until `store` knows it.
    """

    items: dict[ItemKey, tuple[Any, ...]] = field(default_factory=dict)
    resolutions: list[tuple[ItemKey, tuple[Any, ...]]] = field(default_factory=list)
    escalations: list[tuple[ItemKey, tuple[Any, ...]]] = field(default_factory=list)
    #: (item, ticket id, event key, act, actor key, at)
    authors: list[tuple[ItemKey, int, int, str, str, datetime]] = field(default_factory=list)

    def extend(self, other: Facts) -> None:
        """Take in the facts of another family."""
        self.items.update(other.items)
        self.resolutions += other.resolutions
        self.escalations += other.escalations
        self.authors += other.authors

    def openings(self) -> list[tuple[ItemKey, int | None, datetime]]:
        """Whose each item is, and when it was opened."""
        return [(key, row[_REQUESTER], row[_OPENED_AT]) for key, row in self.items.items()]

    def contacts(self) -> dict[ItemKey, Contact]:
        """What of each item the figures of others follow from."""
        return {key: _contact(key, row) for key, row in self.items.items()}

    def complete(
        self, again: Mapping[ItemKey, datetime | None], segments: Mapping[ItemKey, int]
    ) -> None:
        """Say of each item when its requester came again, and who they were to us at its opening.

        Both follow from other items; every item is to be told of.
        """
        for key, row in self.items.items():
            self.items[key] = (*row[:-2], again[key], segments[key])

    def actors(self) -> set[str]:
        """The keys of those who did something."""
        return {actor for _, _, _, _, actor, _ in self.authors}

    def store(
        self,
        tenant_id: int,
        stored_items: Mapping[ItemKey, Sequence[Any]],
        accounts: dict[str, tuple[int, int | None]],
        touched: Touched,
    ) -> dict[str, Written]:
        """Bring the stored facts of tickets to what stands here.

        `stored_items` are the rows of `read_items` for all these tickets; `accounts` gives account
        and person of an actor key; `touched` is told whose resolutions change. Rows below an item
        that goes away go with it.
        """
        item_ids = [row[0] for row in stored_items.values()]
        resolutions = RESOLUTIONS.select("work_item_id", item_ids)
        escalations = ESCALATIONS.select("work_item_id", item_ids)
        attributions = ATTRIBUTIONS.select("work_item_id", item_ids)
        touched.closed |= self._closed(attributions, accounts)
        dropped = {row[0] for key, row in stored_items.items() if key not in self.items}
        for table, rows in (
            (ATTRIBUTIONS, attributions),
            (ESCALATIONS, escalations),
            (RESOLUTIONS, resolutions),
        ):
            position = table.columns.index("work_item_id")
            table.delete(row[0] for row in rows if row[position] in dropped)
            rows[:] = [row for row in rows if row[position] not in dropped]
        written: dict[str, Written] = {}
        written["work items"], ids = ITEMS.reconcile(
            stored_items.values(), self.items, key=lambda row: (row[1], row[2])
        )
        written["resolutions"], _ = RESOLUTIONS.reconcile(
            resolutions,
            {(row[0], row[1]): (tenant_id, ids[item], *row) for item, row in self.resolutions},
            key=lambda row: (row[2], row[3]),
        )
        written["escalations"], _ = ESCALATIONS.reconcile(
            escalations,
            {(ids[item], row[0]): (tenant_id, ids[item], *row) for item, row in self.escalations},
            key=lambda row: (row[1], row[2]),
        )
        written["attributions"], _ = ATTRIBUTIONS.reconcile(
            attributions,
            {
                (ticket, key, act): (tenant_id, ids[item], ticket, key, act, *accounts[actor], at)
                for item, ticket, key, act, actor, at in self.authors
            },
            key=lambda row: (row[2], row[3], row[4]),
        )
        return written

    def _closed(
        self, stored: Iterable[Sequence[Any]], accounts: dict[str, tuple[int, int | None]]
    ) -> set[tuple[int, datetime]]:
        """Account and instant of resolutions that were stored, and of those that are now."""
        act, agent = _ATTRIBUTION.index("act"), _ATTRIBUTION.index("agent_id")
        resolved = Attribution.Act.RESOLVED.value
        return {(row[agent], row[-1]) for row in stored if row[act] == resolved} | {
            (accounts[actor][0], at)
            for _, _, _, done, actor, at in self.authors
            if done == resolved
        }


def read_items(ticket_ids: Sequence[int]) -> dict[ItemKey, tuple[Any, ...]]:
    """The stored items of tickets, with their ids."""
    return {(row[2], row[3]): row for row in ITEMS.select("ticket_id", ticket_ids)}


def stored_items(rows: Mapping[ItemKey, Sequence[Any]]) -> dict[ItemKey, StoredItem]:
    """What of these rows, with their ids, the figures of others follow from."""
    return {
        key: StoredItem(row[0], _contact(key, row[1:]), row[1:][_REPEAT_CONTACT_AT])
        for key, row in rows.items()
    }


def _contact(key: ItemKey, row: Sequence[Any]) -> Contact:
    return Contact(key, row[_REQUESTER], row[_CAPABILITY], row[_OPENED_AT], row[_RESOLVED_AT])


def facts_of(
    timelines: Iterable[timeline.Timeline],
    *,
    tenant_id: int,
    calendars: Calendars,
    written_line: bool,
) -> Facts:
    """The rows of some timelines; `written_line` as in `FoldRules`."""
    facts = Facts()
    for told in timelines:
        ticket_id = _id(told.ticket)
        for item in told.work_items:
            key = (ticket_id, item.number)
            contact = _first_contact(item, calendars) if written_line else ""
            facts.items[key] = _item_row(item, tenant_id, ticket_id, calendars, contact)
            _add_resolutions(facts, key, item, calendars)
            facts.escalations += [
                (key, (e.event_key, e.at, e.kind[:12], e.reason[:300])) for e in item.escalations
            ]
            reply = item.first_response
            if reply is not None and reply.agent is not None:
                facts.authors.append(
                    (
                        key,
                        _id(reply.ticket),
                        reply.event_key,
                        Attribution.Act.FIRST_RESPONDED.value,
                        reply.agent,
                        reply.at,
                    )
                )
    return facts


def _item_row(
    item: timeline.WorkItem,
    tenant_id: int,
    ticket_id: int,
    calendars: Calendars,
    first_contact: str,
) -> tuple[Any, ...]:
    severity = item.severity.value
    calendar = calendars.calendar(item.capability, severity)
    first, helped = item.first_response, item.first_meaningful

    def promised(clock: str) -> int | None:
        return calendars.target(item.capability, severity, clock, item.opened_at)

    replied, answered, solved = _promises(item, calendars)
    response_target = promised(TimeTarget.Clock.FIRST_MEANINGFUL_RESPONSE)
    resolution_target = promised(TimeTarget.Clock.RESOLUTION)
    ended = item.ended_at
    escalations = [escalation.kind for escalation in item.escalations]
    routine = item.routine
    if routine is None and item.capability is not None and calendars.self_service:
        # The catalogue's list (M25); where nobody has made one, nobody has classified anything.
        routine = item.capability in calendars.self_service
    return (
        tenant_id,
        ticket_id,
        item.number,
        item.requester,
        item.capability,
        severity,
        item.channel[:40],
        item.group[:150],
        item.opened_at,
        item.state.value,
        item.outcome.value,
        ended,
        int(clocks.resolution_clock(item, calendar, ended)) if ended else None,
        int(clocks.requester_elapsed(item, ended)) if ended else None,
        _finished_pauses_s(item, calendar),
        clocks.paused_since(item),
        first.at if first else None,
        int(clocks.response_clock(item, first.at, calendar)) if first else None,
        helped.at if helped else None,
        int(clocks.response_clock(item, helped.at, calendar)) if helped else None,
        first.meaning.value if first else "",
        item.response_owed,
        item.resolutions[0].at if item.resolutions else None,
        item.reassignments,
        escalations.count("functional"),
        escalations.count("hierarchical"),
        item.requester_messages,
        item.fcr_claimed,
        first_contact,
        routine,
        item.problem,
        response_target,
        resolution_target,
        # Of a first reply that is late the helpful one is late with it, at the same instant.
        answered.runs_out if answered else None,
        solved.runs_out if solved else None,
        *_decided(item, replied),
        *_decided(item, answered),
        *_decided(item, solved),
        item.handled_by.value,
        *_late_pauses(item, calendar, resolution_target),
        _downgraded(item, calendars),
        None,
        0,
    )


def _promises(
    item: timeline.WorkItem, calendars: Calendars
) -> tuple[clocks.Promised | None, clocks.Promised | None, clocks.Promised | None]:
    """How the promises of a first reply, of a helpful one and of the resolution stand."""

    def offer(clock: str) -> clocks.Offer:
        def offered(capability: int | None, severity: Severity) -> tuple[BusinessTime, int] | None:
            seconds = calendars.target(capability, severity, clock, item.opened_at)
            return (calendars.calendar(capability, severity), seconds) if seconds else None

        return offered

    first, helped = item.first_response, item.first_meaningful
    replied, answered = clocks.responses(
        item,
        offer(TimeTarget.Clock.FIRST_MEANINGFUL_RESPONSE),
        first.at if first else None,
        helped.at if helped else None,
    )
    return replied, answered, clocks.resolution(item, offer(TimeTarget.Clock.RESOLUTION))


def _decided(
    item: timeline.WorkItem, promised: clocks.Promised | None
) -> tuple[bool | None, str, int | None]:
    """Whether it came in time; severity and capability of that where they are not the item's."""
    if promised is None:
        return None, "", None
    terms = promised.terms
    return (
        promised.in_time,
        terms.severity.value if terms.severity != item.severity else "",
        terms.capability if terms.capability != item.capability else None,
    )


#: HDI calls a written contact solved at once where it was solved within this (METRICS.md M16).
_BUSINESS_HOUR_S = 3_600


def _first_contact(item: timeline.WorkItem, calendars: Calendars) -> str:
    """What HDI's rule for written channels makes of an item; empty while nothing is resolved.

    The hour is one of the calendar of the first resolution's severity, and runs through pauses:
    whoever has to be asked was not served at first contact.
    """
    if not item.resolutions:
        return ""
    words, channel = WorkItem.FirstContact, channel_of(item.channel)
    if channel is not Channel.WRITTEN:
        return (words.LIVE if channel is Channel.LIVE else words.UNKNOWN).value
    first = item.resolutions[0]
    calendar = calendars.calendar(first.capability, first.severity)
    in_time = calendar.elapsed(item.opened_at, first.at) <= _BUSINESS_HOUR_S
    solved = in_time and first.kind is ResolutionKind.NORMAL
    return (words.WITHIN if solved else words.LATER).value


def _late_pauses(
    item: timeline.WorkItem, calendar: BusinessTime, target: int | None
) -> tuple[int, int]:
    """Moves to waiting in the last tenth of the target; of them, without a question (G7)."""
    if not target or not item.waits:
        return 0, 0
    late = [
        wait
        for wait in item.waits
        if 9 * target < 10 * _clock_at(item, wait.at, calendar) <= 10 * target
    ]
    return len(late), sum(not wait.asked for wait in late)


def _downgraded(item: timeline.WorkItem, calendars: Calendars) -> str:
    """Whether it was made milder, and how near its target then was, the nearest case (G8)."""
    if not item.downgrades:
        return ""
    found = {_when(item, one, calendars) for one in item.downgrades}
    words = WorkItem.Downgraded
    return next((one.value for one in (words.LATE, words.EARLIER, words.AFTER) if one in found), "")


def _when(
    item: timeline.WorkItem, change: timeline.Downgrade, calendars: Calendars
) -> WorkItem.Downgraded | None:
    severity = change.before.value
    target = calendars.target(
        item.capability, severity, TimeTarget.Clock.RESOLUTION, item.opened_at
    )
    if not target:
        return None
    clock = _clock_at(item, change.at, calendars.calendar(item.capability, severity))
    if clock > target:
        return WorkItem.Downgraded.AFTER
    late = 5 * clock >= 4 * target
    return WorkItem.Downgraded.LATE if late else WorkItem.Downgraded.EARLIER


def _clock_at(item: timeline.WorkItem, at: datetime, calendar: BusinessTime) -> float:
    """The resolution clock at an instant within the item's life."""
    pauses = [(start, stop) for start, stop in item.pauses if start < at]
    return calendar.elapsed_with_pauses(item.opened_at, at, pauses)


def _finished_pauses_s(item: timeline.WorkItem, calendar: clocks.Calendar) -> int:
    """Business seconds of the pauses that are over, up to where the clock ended."""
    if not item.pauses:
        return 0
    return int(
        sum(
            calendar.elapsed(start, min(stop, item.ended_at) if item.ended_at else stop)
            for start, stop in item.pauses
            if stop is not None
        )
    )


def _add_resolutions(
    facts: Facts, key: ItemKey, item: timeline.WorkItem, calendars: Calendars
) -> None:
    for number, resolution in enumerate(item.resolutions, start=1):
        calendar = calendars.calendar(resolution.capability, resolution.severity)
        pauses = [(start, stop) for start, stop in item.pauses if start < resolution.at]
        clock = calendar.elapsed_with_pauses(item.opened_at, resolution.at, pauses)
        reopen = resolution.reopen
        ticket_id = _id(resolution.ticket)
        row = (
            ticket_id,
            resolution.event_key,
            number,
            resolution.at,
            resolution.kind.value,
            resolution.capability,
            Severity(resolution.severity).value,
            resolution.group[:150],
            resolution.policy_denial,
            resolution is item.holding,
            int(clock),
            reopen.at if reopen else None,
            reopen.kind.value if reopen else "",
            resolution.reopened,
            resolution.handled_by.value,
            resolution.denial.at if resolution.denial else None,
            resolution.denial.by_assignee if resolution.denial else None,
            resolution.followed_at,
            resolution.slips,
        )
        facts.resolutions.append((key, row))
        if resolution.agent is not None:
            facts.authors.append(
                (
                    key,
                    ticket_id,
                    resolution.event_key,
                    Attribution.Act.RESOLVED.value,
                    resolution.agent,
                    resolution.at,
                )
            )


def _id(ticket: object) -> int:
    """The database id by which a ticket was folded."""
    assert isinstance(ticket, int)
    return ticket
