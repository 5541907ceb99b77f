"""The conformance log (`golden_month_A.json`): its tickets as canonical events, its work items.

Pure. `metrics/golden.py` goes on from here to the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tickets import clocks
from tickets.canonical import (
    ActorKind,
    Event,
    EventType,
    Flag,
    Meaning,
    ResolutionKind,
    Severity,
    State,
)
from tickets.clocks import Calendar
from tickets.timeline import TicketLog, Timeline, WorkItem

_MEANING = {"meaningful": Meaning.MEANINGFUL, "ack": Meaning.NOT_MEANINGFUL}


def instant(text: str) -> datetime:
    """An instant of the file."""
    return datetime.fromisoformat(text)


def ticket_log(ticket: Mapping[str, Any]) -> TicketLog:
    """One ticket of the file as canonical events, keyed by position."""
    events = [_created(ticket), *_flags(ticket)]
    for described in ticket["events"]:
        events.extend(_events(described, len(events)))
    return TicketLog(ticket["id"], events, ticket.get("follow_up_of"))


def _created(ticket: Mapping[str, Any]) -> Event:
    return Event(
        key=0,
        type=EventType.CREATED,
        at=instant(ticket["opened_at"]),
        sequence="0000",
        actor_kind=ActorKind(ticket.get("created_by", "requester")),
        data={
            "severity": Severity(ticket["severity_governed"]),
            "capability": ticket["capability"],
            "requester": ticket["requester"],
        },
    )


def _flags(ticket: Mapping[str, Any]) -> list[Event]:
    at = instant(ticket["opened_at"])
    events = [
        Event(key, EventType.FLAGGED, at, f"{key:04}", data={"flag": flag})
        for key, flag in ((1, Flag.SPAM), (2, Flag.POLICY_DENIAL))
        if ticket.get(flag.value)
    ]
    if ticket.get("merged_into"):
        events.append(Event(3, EventType.MERGED, at, "0003", data={"into": ticket["merged_into"]}))
    return events


def _events(described: Mapping[str, Any], position: int) -> Iterator[Event]:
    at = instant(described["at"])
    who = ActorKind(described["by"])
    agent = described.get("agent")

    def event(offset: int, of_type: EventType, public: bool = False, **data: Any) -> Event:
        key = 10 + position + offset
        return Event(key, of_type, at, f"{key:04}", who, agent, public, data)

    match described["type"]:
        case "auto_reply":
            yield event(0, EventType.MESSAGE, public=True)
        case "reply":
            meaning = _MEANING.get(described.get("class", ""))
            yield event(
                0, EventType.MESSAGE, public=True, **({"meaning": meaning} if meaning else {})
            )
        case "assign":
            yield event(0, EventType.ASSIGNED, to=agent)
            yield event(1, EventType.GROUP_CHANGED, to=described["group"])
        case "escalate":
            yield event(0, EventType.ESCALATED, kind=described["kind"], reason=described["reason"])
        case "status":
            kind = ResolutionKind(described.get("resolution", ResolutionKind.NORMAL))
            yield event(0, EventType.STATUS_CHANGED, to=State(described["to"]), resolution=kind)
        case other:
            raise ValueError(f"The log has an event of unknown type {other!r}.")


def names(timelines: Sequence[Timeline]) -> Iterator[tuple[str, WorkItem]]:
    """Work items by the file's names: the ticket's id, and `#2` for its second work item."""
    for timeline in timelines:
        for item in timeline.work_items:
            suffix = f"#{item.number}" if item.number > 1 else ""
            yield f"{timeline.ticket}{suffix}", item


def described(
    item: WorkItem, calendar: Calendar, target_s: float, as_of: datetime
) -> dict[str, Any]:
    """A work item in the file's words, without what needs other tickets (repeat contact)."""
    promised = clocks.resolution(item, lambda capability, severity: (calendar, target_s))
    assert promised is not None  # of every item the same is promised
    decision = clocks.decide(item, promised, as_of)
    first, helped = item.first_response, item.first_meaningful
    return {
        "opened_at": item.opened_at,
        "first_response_s": first and clocks.response_clock(item, first.at, calendar),
        "first_meaningful_s": helped and clocks.response_clock(item, helped.at, calendar),
        "outcome": item.outcome.value,
        "clock_s": clocks.resolution_clock(item, calendar, as_of),
        "requester_elapsed_s": clocks.requester_elapsed(item, as_of),
        "pause_share": clocks.pause_share(item, calendar, as_of),
        "resolutions": [
            {
                "at": resolution.at,
                "agent": resolution.agent,
                "kind": resolution.kind.value,
                "reopen_at": resolution.reopen and resolution.reopen.at,
                "reopen_kind": resolution.reopen and resolution.reopen.kind.value,
                "reopened_within_14d": resolution.reopened,
                "mature": resolution.at + clocks.MATURITY <= as_of,
            }
            for resolution in item.resolutions
        ],
        "escalated": item.escalated,
        "reassignments": item.reassignments,
        "fcr_claimed": item.fcr_claimed,
        "sla": decision.verdict.value,
        "sla_at": decision.at,
    }
