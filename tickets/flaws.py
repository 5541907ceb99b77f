"""What can be wrong with a ticket's data, what it does to the figures, and what to do about it.

One list, `FLAWS`: the quality page, the API and the readings that rest on flawed tickets read it.
`flaws_of` finds those that show in the folded story; tickets/lens.py finds those of words. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tickets.canonical import Event, EventType, Precision
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
    TIMES_READ = "times_read"
    COARSE_TIMES = "coarse_times"
    SEQUENCE_GAP = "sequence_gap"
    UNREAD_TEXT = "unread_text"


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
        "The value, or the entry it stands in, is left out; the rest of the ticket counts.",
        "Look at the outcome of its delivery: it names the value and the reason. Once the source"
        " sends the record with a value that can be read, this is gone.",
    ),
    FlawKind.TIMES_READ: Explanation(
        "Times read from snapshots",
        "Its source shows how a ticket stands and not when that changed: the time of a change is"
        " that of the first reading that shows it, and it may have come at any moment since the"
        " reading before.",
        "Let the source send webhooks or its history, read it more often, or tell changes as events"
        " with times of their own.",
    ),
    FlawKind.COARSE_TIMES: Explanation(
        "Times known to the minute or day only",
        "Each is kept as the beginning of its minute or day: what happened may have been as much"
        " later, and durations are off by as much.",
        "Export times with their seconds, and import them under a new source.",
    ),
    FlawKind.SEQUENCE_GAP: Explanation(
        "Events that its source counted have not come",
        "What they would tell is missing: states, replies and times may be other than shown.",
        "Let the source send the missing numbers again; once they are here this is gone.",
    ),
    FlawKind.UNREAD_TEXT: Explanation(
        "A message whose words took too long to read",
        "The message counts; its words are not kept, and whether it helped is unknown.",
        "Read it in the help desk: such texts are very long, or made to be slow to read.",
    ),
}

#: Lengths that an error bar is rounded up to, in seconds, and their words.
_LENGTHS = (
    *((1, "1 s"), (60, "1 min"), (300, "5 min"), (900, "15 min"), (3_600, "1 h")),
    *((4 * 3_600, "4 h"), (86_400, "1 day"), (7 * 86_400, "1 week")),
)
#: Kinds whose detail is an error bar of times, and in which direction that points.
DIRECTIONS = {FlawKind.TIMES_READ: "earlier", FlawKind.COARSE_TIMES: "later"}
_COARSE = {Precision.MINUTE: 60, Precision.DAY: 86_400}


def error_bar(kind: FlawKind, seconds: float) -> str:
    """By how much instants may be off at most, in words: "up to 15 min earlier"."""
    length = next((name for most, name in _LENGTHS if seconds <= most), None)
    bar = f"up to {length}" if length else f"more than {_LENGTHS[-1][1]}"
    return f"{bar} {DIRECTIONS[kind]}"


#: Every error bar there is by kind, the widest last.
ERROR_BARS = {
    kind: tuple(error_bar(kind, most) for most in (*(most for most, _ in _LENGTHS), float("inf")))
    for kind in DIRECTIONS
}

#: What a source may say of its own data in `ticket.observed`.
REOPEN_COUNT, PROMISE, FLAW = "reopen_count", "promise", "flaw"
#: When the ticket was read before it stood so, as an instant (RFC 3339).
READ_AFTER = "read_after"


#: What an event holds that its source counted: its number among the events of its ticket.
POSITION = "position"
#: Missing numbers that are named.
_NAMED = 5


def gap_in(events: Iterable[Event]) -> set[Flaw]:
    """The numbers that are missing among those by which a source counts the events of a ticket.

    It counts them where they begin with 0 or 1 and most are there: other numbers only order events,
    such as those of a counter that all tickets share. `events` are all that came, revised ones too.
    """
    numbers = {event.data[POSITION] for event in events if POSITION in event.data}
    if not numbers or min(numbers) > 1:
        return set()
    first, last = min(numbers), max(numbers)
    missing = last - first + 1 - len(numbers)
    if not 0 < missing < len(numbers):
        return set()
    holes = [str(number) for number in range(first, last + 1) if number not in numbers]
    named = ", ".join(holes[:_NAMED]) + (" …" if missing > _NAMED else "")
    return {Flaw(FlawKind.SEQUENCE_GAP, f"{missing} of {last - first + 1} missing: {named}"[:200])}


def flaws_of(story: Sequence[Event], timelines: Iterable[Timeline]) -> set[Flaw]:
    """Flaws that show when a ticket's story is told. `timelines` are those it is in."""
    timelines = list(timelines)
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
    early = max((item.early_s for told in timelines for item in told.work_items), default=0)
    if early:
        found.add(Flaw(FlawKind.TIMES_READ, error_bar(FlawKind.TIMES_READ, early)))
    if coarse := _coarsest(story):
        found.add(Flaw(FlawKind.COARSE_TIMES, error_bar(FlawKind.COARSE_TIMES, coarse)))
    return found


def _coarsest(story: Iterable[Event]) -> int:
    """Seconds by which an instant that a clock could rest on may be off, the most of them."""
    coarse = [event for event in story if event.precision]
    timed = (event for event in coarse if event.type is EventType.CREATED or _acts(event))
    return max((_COARSE[Precision(event.precision)] for event in timed), default=0)


def _opened_at(story: Sequence[Event]) -> datetime | None:
    return next((e.at for e in story if e.type is EventType.CREATED), None)


def _acts(event: Event) -> bool:
    """Whether a clock could start or stop at the event."""
    return event.type in (EventType.MESSAGE, EventType.STATUS_CHANGED)
