"""What of a mapper's word can be kept: the rest becomes remarks, and costs no other message a try.

A mapper may say what the fold or the database refuses: an instant of the year 9998, a name of five
thousand characters, a key of more than 64 bits, something that is no JSON, a word that is none of
ours. Entered, it would spoil its whole batch. Here it is left out by itself, as much of it as
cannot be kept, with a remark that names the ticket, the field and the reason. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tickets.canonical import (
    FIRST_YEAR,
    ActorKind,
    Event,
    EventType,
    Flag,
    Meaning,
    ProblemKind,
    ResolutionKind,
    Severity,
    State,
    UsageType,
)
from tickets.event_types import CONTROL, SCALES
from tickets.flaws import FLAW, POSITION, READ_AFTER, REOPEN_COUNT, FlawKind
from tickets.meaning import Untold
from tickets.news import (
    AccountTold,
    LeftOut,
    RatingTold,
    Remark,
    TicketNews,
    Told,
    UsageTold,
    event_key,
)

#: What is dated before is a nought of another clock; a role may be said to hold from 1970 on,
#: which is always.
EARLIEST, ALWAYS = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
#: What is dated further ahead of its arrival is a mistake; a clock that runs fast is not.
FURTHEST = timedelta(days=366)
#: Characters of a name: a ticket's, an account's, a requester's.
NAME = 200
_EMAIL, _QUESTION = 254, 300
_CONTROL = re.compile(f"[{CONTROL}]")
#: How remarks end.
_OUT = "; it was left out"
_OUTCOMES = ("responded", "offered", "declined", "expired")
#: Bits of whole numbers as PostgreSQL keeps them, less the sign.
_WHOLE, _BIG = 31, 63
_WHOLE_NUMBERS = {"duration_ms": _BIG, "errors_shown": _WHOLE}

_TYPES, _KINDS, _USES = frozenset(EventType), frozenset(ActorKind), frozenset(UsageType)

#: Of which an event of a type needs one, or it says nothing.
_NEEDS: Mapping[EventType, tuple[str, ...]] = {
    EventType.STATUS_CHANGED: ("to", "said"),
    EventType.PRIORITY_CHANGED: ("to", "said"),
    EventType.CATEGORY_CHANGED: ("to", "facets"),
    EventType.ASSIGNED: ("to",),
    EventType.GROUP_CHANGED: ("to",),
    EventType.ESCALATED: ("kind",),
    EventType.FOLLOWUP_OF: ("parent",),
    EventType.PROBLEM_LINKED: ("to",),
    EventType.FLAGGED: ("flag",),
    EventType.OBSERVED: ("name",),
}


def keepable(
    told: Told, *, received_at: datetime | None = None, capabilities: frozenset[str] = frozenset()
) -> Told:
    """What can be kept of what a message says, with a remark for each part that cannot.

    `received_at` is when the message came, `capabilities` the slugs of the organisation.
    """
    sieve = _Sieve(received_at, capabilities)
    kept = Told(
        tickets=list(sieve.tickets(told.tickets)),
        ratings=list(sieve.ratings(told.ratings)),
        accounts=list(filter(sieve.account, told.accounts)),
        usage=list(filter(sieve.use, told.usage)),
        fetch=[one for one in told.fetch if sieve.name(one, f"fetch {one}"[:60], "ticket")],
    )
    kept.remarks = [*told.remarks, *sieve.remarks]
    return kept


@dataclass(slots=True)
class _Sieve:
    """Looks at each part, and notes what it leaves out."""

    received_at: datetime | None
    capabilities: frozenset[str]
    remarks: list[Remark] = field(default_factory=list)

    def refuse(self, about: str, name: str, reason: str) -> bool:
        """Note that something is left out; always False."""
        self.remarks.append(Remark(f"{about[:60]}: {name}", f"{reason}{_OUT}"))
        return False

    # --- values -----------------------------------------------------------------------------------

    def name(self, value: Any, about: str, what: str, most: int = NAME) -> bool:
        """Whether a value is a name."""
        if not isinstance(value, str) or not 0 < len(value) <= most:
            return self.refuse(about, what, f"needs 1 to {most} characters")
        if _CONTROL.search(value):
            return self.refuse(about, what, "holds a character that controls (a line break …)")
        return True

    def instant(self, value: Any, about: str, what: str, *, earliest: datetime = EARLIEST) -> bool:
        """Whether a value is an instant that can be."""
        if not isinstance(value, datetime) or value.tzinfo is None:
            return self.refuse(about, what, "is no instant with its offset from UTC")
        latest = (self.received_at or datetime.max.replace(tzinfo=UTC) - FURTHEST) + FURTHEST
        if earliest <= value <= latest:
            return True
        reason = f"{value.isoformat()} is before {earliest.year} or more than a year ahead"
        return self.refuse(about, what, reason)

    def whole(self, value: Any, about: str, what: str, bits: int) -> bool:
        """Whether a value is a whole number of so many bits and a sign."""
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and -(1 << bits) <= value < (1 << bits)
        ):
            return True
        return self.refuse(about, what, f"is no whole number of {bits + 1} bits")

    # --- tickets ----------------------------------------------------------------------------------

    def tickets(self, news: Iterable[TicketNews]) -> Iterator[TicketNews]:
        """The news that can be kept, with the events that can."""
        for one in news:
            about = f"ticket {one.external_id}"
            if self.name(one.external_id, about, "id"):
                yield self._ticket(one, about)

    def _ticket(self, news: TicketNews, about: str) -> TicketNews:
        for one in news.left_out:
            self.refuse(about, one.field, one.reason)
        remarked = len(self.remarks)
        events = [kept for event in news.events if (kept := self._event(event, about)) is not None]
        requester, email, label_at = news.requester, news.requester_email, news.label_at
        if requester and not self.name(requester, about, "requester"):
            requester = email = ""
        if email and not self.name(email, about, "requester_email", _EMAIL):
            email = ""
        if label_at is not None and not self.instant(label_at, about, "label_at"):
            label_at = None
        left_out = [
            LeftOut(one.field.removeprefix(f"{about[:60]}: "), one.reason.removesuffix(_OUT))
            for one in self.remarks[remarked:]
        ]
        unread = [event for event in events if event.data.get("meaning") == Untold.UNREAD]
        for event in unread:
            self.refuse(about, f"{event.type.value} text", "took too long to read")
            events[events.index(event)] = _without_words(event)
            events.append(_unread_text(event))
        silent = {event.key for event in unread}
        texts = {key: text for key, text in news.texts.items() if key not in silent}
        return replace(
            news,
            events=events,
            requester=requester,
            requester_email=email,
            label_at=label_at,
            texts=texts,
            left_out=[*news.left_out, *left_out],
        )

    def _event(self, event: Event, about: str) -> Event | None:
        if event.type not in _TYPES or event.actor_kind not in _KINDS:
            self.refuse(about, "type", "is no event of ours")
            return None
        name = event.type.value
        if not self.whole(event.key, about, f"{name} key", _BIG):
            return None
        if not self.instant(event.at, about, f"{name} at"):
            return None
        actor = event.actor_key
        if actor is not None and not self.name(actor, about, f"{name} actor"):
            actor = None
        data = {
            key: value for key, value in event.data.items() if self._said(event, key, value, about)
        }
        needs = _NEEDS.get(event.type, ())
        if needs and not any(one in data for one in needs):
            self.refuse(about, name, f"says no {' or '.join(needs)}")
            return None
        if event.type is EventType.OBSERVED and "value" not in data:
            return None  # its value was refused, and said so
        if actor == event.actor_key and len(data) == len(event.data):
            return event
        return replace(event, actor_key=actor, data=data)

    def _said(self, event: Event, key: Any, value: Any, about: str) -> bool:
        """Whether one part of an event's data can be kept and is understood."""
        reason = None
        if not isinstance(key, str) or not _is_json(value):
            reason = "is nothing that JSON can say"
        elif value is not None:
            reason = self._misunderstood(event, key, value)
        return reason is None or self.refuse(about, f"{event.type.value} {key}"[:100], reason)

    def _misunderstood(self, event: Event, key: str, value: Any) -> str | None:
        """Why a word of an event's data is none of ours; None: it is, or nobody reads it."""
        check = _BY_TYPE.get((event.type, key)) or _WORDS.get(key)
        if key == "capability" or (key == "to" and event.type is EventType.CATEGORY_CHANGED):
            return None if value in self.capabilities else "is no capability of the catalogue"
        if key == "value" and event.type is EventType.OBSERVED:
            check = _OBSERVED.get(str(event.data.get("name")))
        return None if check is None or check(value) else "is no word of ours"

    # --- the rest ---------------------------------------------------------------------------------

    def ratings(self, told: Iterable[RatingTold]) -> Iterator[RatingTold]:
        """The ratings that can be kept, without an agent whose name cannot."""
        for one in told:
            if not self.rating(one):
                continue
            about = f"rating {one.id} of ticket {one.ticket}"
            named = not one.agent or self.name(one.agent, about, "agent")
            yield one if named else replace(one, agent="")

    def rating(self, one: RatingTold) -> bool:
        """Whether a rating can be kept."""
        about = f"rating {one.id} of ticket {one.ticket}"
        if one.outcome not in _OUTCOMES:
            return self.refuse(about, "outcome", "is no word of ours")
        if one.score is not None and one.score not in SCALES.get(one.scale, ()):
            return self.refuse(about, "score", f"is not on the scale {one.scale[:30]!r}")
        return (
            self.name(one.ticket, about, "ticket")
            and (not one.question or self.name(one.question, about, "question", _QUESTION))
            and self.instant(one.said_at, about, "said_at")
            and (one.offered_at is None or self.instant(one.offered_at, about, "offered_at"))
        )

    def account(self, one: AccountTold) -> bool:
        """Whether an account's role can be kept."""
        about = f"account {one.external_id}"
        if one.role not in _KINDS:
            return self.refuse(about, "role", "is no role of ours")
        return self.name(one.external_id, about, "id") and self.instant(
            one.since, about, "since", earliest=ALWAYS
        )

    def use(self, one: UsageTold) -> bool:
        """Whether something done without us can be kept."""
        about = f"use {one.id}"
        if one.type not in _USES:
            return self.refuse(about, "type", "is no kind of use of ours")
        if one.capability not in self.capabilities:
            return self.refuse(about, "capability", "is no capability of the catalogue")
        if one.requester_email and not self.name(
            one.requester_email, about, "requester_email", _EMAIL
        ):
            return False
        numbers = ((name, getattr(one, name), bits) for name, bits in _WHOLE_NUMBERS.items())
        return (
            self.name(one.requester, about, "requester")
            and self.instant(one.at, about, "at")
            and all(n is None or self.whole(n, about, name, bits) for name, n, bits in numbers)
        )


def _without_words(event: Event) -> Event:
    """A message of which nobody knows whether it helped."""
    return replace(event, data={**event.data, "meaning": Meaning.UNKNOWN.value})


def _unread_text(message: Event) -> Event:
    """That the words of a message took too long to read, as a flaw of its ticket."""
    return Event(
        event_key(FlawKind.UNREAD_TEXT, message.key),
        EventType.OBSERVED,
        message.at,
        data={"name": FLAW, "value": FlawKind.UNREAD_TEXT.value},
    )


Check = Callable[[Any], bool]


def _one_of(words: Iterable[str]) -> Check:
    known = frozenset(map(str, words))
    return lambda value: isinstance(value, str) and value in known


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME and not _CONTROL.search(value)


def _is_name_or_none(value: Any) -> bool:
    return value == "" or _is_name(value)


def _is_count(value: Any) -> bool:
    return str(value).isdecimal() and len(str(value)) < 19


def _is_instant(value: Any) -> bool:
    """Whether it is the text of an instant with its offset."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_key(value: Any) -> bool:
    return isinstance(value, int) and -(1 << _BIG) <= value < 1 << _BIG


def _is_json(value: Any) -> bool:
    """Whether PostgreSQL keeps it: finite numbers, and texts without NUL or halves of pairs."""
    if value is None or value is True or value is False:
        return True
    if isinstance(value, str) and value.isascii():
        return "\0" not in value  # most are: the rest is written out and looked at
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return "\\u0000" not in text.replace("\\\\", "")


#: Words that mean one thing in one type of event; a capability is looked up.
_BY_TYPE: Mapping[tuple[EventType, str], Check] = {
    (EventType.STATUS_CHANGED, "to"): _one_of(State),
    (EventType.PRIORITY_CHANGED, "to"): _one_of(Severity),
    (EventType.ASSIGNED, "to"): _is_name,
    (EventType.PROBLEM_LINKED, "to"): _is_name_or_none,
    (EventType.PROBLEM_LINKED, "kind"): _one_of(ProblemKind),
    (EventType.ESCALATED, "kind"): _one_of(("functional", "hierarchical")),
}
_WORDS: Mapping[str, Check] = {
    "state": _one_of(State),
    "severity": _one_of(Severity),
    "resolution": _one_of(ResolutionKind),
    "meaning": _one_of((*Meaning, Untold.UNREAD)),
    "flag": _one_of(Flag),
    "facets": lambda value: isinstance(value, Mapping),
    "revises": _is_key,
    "problem": _is_name_or_none,
    READ_AFTER: _is_instant,
    POSITION: lambda value: isinstance(value, int) and value >= 0,
    **dict.fromkeys(("requester", "agent", "approved_by", "parent", "into"), _is_name),
}
#: What a source may say of its own figures.
_OBSERVED: Mapping[str, Check] = {
    REOPEN_COUNT: _is_count,
    FLAW: _one_of(FlawKind),
    READ_AFTER: _is_instant,
}
