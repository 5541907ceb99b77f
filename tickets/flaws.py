"""What can be wrong with a ticket's data, what it does to the figures, and what to do about it.

One list, `FLAWS`: the quality page, the API and the readings that rest on flawed tickets read it.
`flaws_of` finds those that show in the folded story; tickets/lens.py finds those of words. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tickets.canonical import Event, EventType
from tickets.timeline import Timeline


class FlawKind(StrEnum):
    """Everything that is looked for."""

    UNMAPPED_STATE = "unmapped_state"
    UNMAPPED_SEVERITY = "unmapped_severity"
    UNMAPPED_CAPABILITY = "unmapped_capability"
    UNKNOWN_ACTOR = "unknown_actor"
    AMBIGUOUS_DATE = "ambiguous_date"
    REOPENS_DIFFER = "reopens_differ"
    BULK_CHANGE = "bulk_change"
    NO_PROMISE = "no_promise"
    CLOCK_SKEW = "clock_skew"
    NEGATIVE_DURATION = "negative_duration"
    LEFT_OUT_FIELD = "left_out_field"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One flaw of one ticket. `detail` says what exactly, in the source's words."""

    kind: FlawKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What people are told of a kind of flaw."""

    title: str
    consequence: str
    remedy: str


FLAWS: dict[FlawKind, Explanation] = {
    FlawKind.UNMAPPED_STATE: Explanation(
        "A status nobody has mapped",
        "The change is kept and not told: the ticket stays in its state before, so times and"
        " reopens may be missing.",
        "Say on the mapping page what the status means; the tickets are then folded again.",
    ),
    FlawKind.UNMAPPED_SEVERITY: Explanation(
        "A priority nobody has mapped",
        "Where it is the ticket's only one, the ticket is in no figure; else the severity before"
        " it goes on.",
        "Say on the mapping page which severity the priority is.",
    ),
    FlawKind.UNMAPPED_CAPABILITY: Explanation(
        "Nobody has said what it is about",
        "The ticket is in the figures of no capability.",
        "Say on the mapping page which capability the group, type or field belongs to.",
    ),
    FlawKind.UNKNOWN_ACTOR: Explanation(
        "Somebody acted whose role is not known",
        "Their messages count as nobody's reply: first replies may read later than they were.",
        "Let the connection read its users, or say on the roles page what the account is.",
    ),
    FlawKind.AMBIGUOUS_DATE: Explanation(
        "A date that can be read in two ways",
        "Where day and month may be swapped the value is left out and times that rest on it are"
        " unknown; an hour that came twice when the clocks changed is read as the first.",
        "State the order of day and month, or the time zone, and import the file again.",
    ),
    FlawKind.REOPENS_DIFFER: Explanation(
        "The help desk counts other reopens than its history shows",
        "Our figure follows the history; the help desk's own report will read differently.",
        "Look at the examples: a missing history makes ours too low, a phantom reopen theirs too"
        " high.",
    ),
    FlawKind.BULK_CHANGE: Explanation(
        "Changed with many others within seconds",
        "Counted as done by a system: no reopen is charged to anybody.",
        "If people did it one by one after all, tell us which: the log keeps every change.",
    ),
    FlawKind.NO_PROMISE: Explanation(
        "The help desk holds no promised time",
        "A ticket without a promise is neither kept nor missed; it is never counted as kept.",
        "Configure the promise in the help desk, or set the promised times of the domain here.",
    ),
    FlawKind.CLOCK_SKEW: Explanation(
        "Dated in the future when it arrived",
        "Kept as told, never moved: figures of the present do not contain it until its time.",
        "Compare the help desk's clock and time zone with ours.",
    ),
    FlawKind.NEGATIVE_DURATION: Explanation(
        "Something happened before the ticket was opened",
        "Durations that would be negative are nought.",
        "Look for a wrong time zone or a date that was set by hand.",
    ),
    FlawKind.LEFT_OUT_FIELD: Explanation(
        "A value that could not be read",
        "The value is left out; the rest of the ticket counts.",
        "Look at the outcome of its delivery: it names the value and the reason.",
    ),
}

#: What a source may say of its own data in `ticket.observed`.
REOPEN_COUNT, PROMISE, FLAW = "reopen_count", "promise", "flaw"


def flaws_of(story: Sequence[Event], timelines: Iterable[Timeline]) -> set[Flaw]:
    """Flaws that show when a ticket's story is told. `timelines` are those it is in."""
    said = [event.data for event in story if event.type is EventType.OBSERVED]
    observed = {data["name"]: data.get("value") for data in said}
    found = {
        Flaw(FlawKind(str(data["value"])), str(data.get("detail", ""))[:200])
        for data in said
        if data["name"] == FLAW
    }
    if PROMISE in observed and observed[PROMISE] is None:
        found.add(Flaw(FlawKind.NO_PROMISE))
    if any(e.data.get("bulk") or e.data.get("migration") for e in story):
        found.add(Flaw(FlawKind.BULK_CHANGE))
    if REOPEN_COUNT in observed:
        ours = sum(len(item.reopens) for told in timelines for item in told.work_items)
        theirs = observed[REOPEN_COUNT]
        if theirs is not None and int(str(theirs)) != ours:
            found.add(Flaw(FlawKind.REOPENS_DIFFER, f"theirs {theirs}, ours {ours}"))
    opened = _opened_at(story)
    if opened is not None and any(e.at < opened and _acts(e) for e in story):
        found.add(Flaw(FlawKind.NEGATIVE_DURATION))
    return found


def _opened_at(story: Sequence[Event]) -> datetime | None:
    return next((e.at for e in story if e.type is EventType.CREATED), None)


def _acts(event: Event) -> bool:
    """Whether a clock could start or stop at the event."""
    return event.type in (EventType.MESSAGE, EventType.STATUS_CHANGED)
