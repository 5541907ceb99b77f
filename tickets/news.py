"""What a source reports about one ticket, and how mapped rows become it.

In news, accounts and people are named as the source names them: `Event.actor_key`, `to` of an
assignment, `agent` and `requester` of a snapshot hold the source's own names, `capability` a slug.
tickets/ingest.py puts random keys and ids in their place before anything is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, State
from tickets.mapping import EVENTS, TICKETS, TOLD, Mapping, Problem, Row


@dataclass(slots=True)
class TicketNews:
    """News of one ticket: what stands on its label, and what happened to it."""

    external_id: str
    events: list[Event] = field(default_factory=list)
    subject: str = ""
    channel: str = ""
    requester: str = ""
    requester_email: str = ""
    #: When the source said what stands on the label; None: at the latest of the events.
    label_at: datetime | None = None
    #: The words of messages by event key; kept apart from the log (tickets.MessageText).
    texts: dict[int, str] = field(default_factory=dict)
    #: How the source told it (docs/architecture.md, "Event log").
    fidelity: str = "native_event"

    @property
    def said_at(self) -> datetime | None:
        """When the label was said."""
        return self.label_at or max((event.at for event in self.events), default=None)


@dataclass(frozen=True, slots=True)
class RatingTold:
    """A rating, or that one was offered, as a source told it; see tickets.ToldRating."""

    ticket: str
    #: The source's own id of the rating.
    id: str
    said_at: datetime
    scale: str = ""
    #: Whole points of the scale; None without an answer.
    score: int | None = None
    raw: str = ""
    remark: str = ""
    offered_at: datetime | None = None
    #: `responded`, `offered`, `declined` or `expired`.
    outcome: str = "responded"
    #: Orders words of one instant, compared as text.
    sequence: str = ""


@dataclass(frozen=True, slots=True)
class AccountTold:
    """What an account at the source is, as told at an instant."""

    external_id: str
    role: ActorKind
    since: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class UsageTold:
    """Something done without us; see tickets.UsageEvent."""

    id: str
    type: str
    at: datetime
    requester: str
    #: The capability's slug.
    capability: str
    requester_email: str = ""
    task: str = ""
    success: bool | None = None
    duration_ms: int | None = None
    errors_shown: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a message that a person should know; `field` in the sender's words."""

    field: str
    reason: str


@dataclass(slots=True)
class Told:
    """What one message says: the outcome of a connector's mapper, before anything is stored."""

    tickets: list[TicketNews] = field(default_factory=list)
    ratings: list[RatingTold] = field(default_factory=list)
    accounts: list[AccountTold] = field(default_factory=list)
    usage: list[UsageTold] = field(default_factory=list)
    #: Tickets whose present state is to be fetched: an unsigned or incomplete hook is only a hint.
    fetch: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def extend(self, other: Told) -> None:
        """Take in what another message says."""
        for name in ("tickets", "ratings", "accounts", "usage", "fetch", "remarks"):
            getattr(self, name).extend(getattr(other, name))


@dataclass(frozen=True, slots=True)
class Rating:
    """A rating that came with a ticket; whoever asked for it is not known here."""

    ticket: str
    #: The key of the resolution it is about; None where that instant is not known.
    event_key: int | None
    #: When what is rated happened.
    at: datetime
    #: When it was rated: never before, although sources often know the day only.
    answered_at: datetime
    score: int
    remark: str
    scale: str


def event_key(*parts: object) -> int:
    """64 signed bits of the hash of what makes an event unique within its source."""
    digest = blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)


#: How a file told it; versions and flat rows tell states, from which events are derived.
_FIDELITY = {EVENTS: "native_event"}

#: What an event row tells, as an event and the name of its value.
_EVENT_TYPES = {
    "opened": EventType.CREATED,
    "status": EventType.STATUS_CHANGED,
    "severity": EventType.PRIORITY_CHANGED,
    "capability": EventType.CATEGORY_CHANGED,
    "group": EventType.GROUP_CHANGED,
    "agent": EventType.ASSIGNED,
    "reply": EventType.MESSAGE,
    "requester_message": EventType.MESSAGE,
    "escalation": EventType.ESCALATED,
}


class RowReader:
    """Turns mapped rows into news and ratings, and names the instants that cannot be."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._actor_kind = ActorKind(mapping.actor_kind)
        self._fidelity = _FIDELITY.get(mapping.rows, "derived_from_snapshot_diff")

    def read(self, rows: Iterable[Row]) -> tuple[list[TicketNews], list[Rating], list[Problem]]:
        """Group rows by ticket. Rows of one ticket may stand anywhere in the file."""
        tickets: dict[str, TicketNews] = {}
        ratings: list[Rating] = []
        problems: list[Problem] = []
        for row in rows:
            news = tickets.get(row.ticket)
            if news is None:
                news = tickets[row.ticket] = TicketNews(row.ticket, fidelity=self._fidelity)
            if self._mapping.rows == TICKETS:
                self._ticket(row, news, ratings, problems)
            elif self._mapping.rows == EVENTS:
                news.events.append(self._event(row))
            else:
                self._version(row, news)
            _label(row, news)
        return list(tickets.values()), ratings, problems

    def _version(self, row: Row, news: TicketNews) -> None:
        """One version of a ticket: a snapshot, and on first sight its opening."""
        values = row.values
        if not news.events:
            news.events.append(self._created(row))
        at, sequence = values["at"], sortable(values.get("sequence", ""))
        data: dict[str, Any] = {
            name: values[name]
            for name in (
                "state",
                "severity",
                "capability",
                "group",
                "agent",
                "requester",
            )
            if name in values
        }
        if "severity" not in self._mapping.columns:
            data["severity"] = self._mapping.severity
        actor = values.get("actor")
        key = event_key(
            row.ticket,
            "snapshot",
            at.isoformat(),
            sequence,
            actor,
            *sorted(data.items()),
        )
        news.events.append(
            Event(
                key,
                EventType.SNAPSHOT,
                at,
                sequence=sequence,
                actor_kind=self._actor_kind if actor else ActorKind.UNKNOWN,
                actor_key=actor,
                data=data,
            )
        )

    def _event(self, row: Row) -> Event:
        """One event in one row."""
        values, told = row.values, row.values["type"]
        type_, at = _EVENT_TYPES[told], values["at"]
        data: dict[str, Any]
        if type_ is EventType.CREATED:
            names = ("severity", "capability", "group", "requester", "channel")
            data = {name: values[name] for name in names if name in values}
            data.setdefault("severity", self._mapping.severity)
        elif type_ is EventType.ESCALATED:
            data = {"kind": "functional", "reason": values.get("reason", "")}
        else:
            data = {"to": values[TOLD[told]]} if TOLD[told] else {}
        kind, actor = self._actor_kind, values.get("actor")
        if told == "reply":
            kind = ActorKind.AGENT
        elif told == "requester_message":
            kind, actor = ActorKind.REQUESTER, values.get("requester")
        sequence = sortable(values.get("sequence", ""))
        return Event(
            event_key(row.ticket, told, at.isoformat(), sequence, actor, *sorted(data.items())),
            type_,
            at,
            # An opening comes before whatever else happened at its instant.
            sequence="" if type_ is EventType.CREATED else f"1{sequence}",
            actor_kind=kind,
            actor_key=actor,
            public=type_ is EventType.MESSAGE,
            data=data,
        )

    def _ticket(
        self, row: Row, news: TicketNews, ratings: list[Rating], problems: list[Problem]
    ) -> None:
        """A whole ticket in one row: opening, first response, resolution, rating."""
        values = row.values
        self._drop_what_precedes_the_opening(row, problems)
        news.events.append(self._created(row))
        agent = values.get("agent")
        if agent:
            news.events.append(
                self._told(
                    row,
                    EventType.ASSIGNED,
                    values["opened_at"],
                    {"to": agent},
                    sequence="1",
                )
            )
        if "first_response_at" in values:
            news.events.append(
                self._told(
                    row,
                    EventType.MESSAGE,
                    values["first_response_at"],
                    {},
                    sequence="2",
                )
            )
        resolution = None
        if "resolved_at" in values:
            resolution = self._told(
                row,
                EventType.STATUS_CHANGED,
                values["resolved_at"],
                {"to": State.RESOLVED},
                sequence="3",
            )
            news.events.append(resolution)
        if "score" in values:
            at = values.get("resolved_at") or values.get("rated_at") or values["opened_at"]
            ratings.append(
                Rating(
                    ticket=row.ticket,
                    event_key=resolution.key if resolution else None,
                    at=at,
                    answered_at=max(at, values.get("rated_at", at)),
                    score=values["score"],
                    remark=values.get("remark", ""),
                    scale=self._mapping.scale,
                )
            )

    def _drop_what_precedes_the_opening(self, row: Row, problems: list[Problem]) -> None:
        columns = self._mapping.columns
        opened_at = row.values["opened_at"]
        lost: dict[str, datetime] = {}
        for name in ("first_response_at", "resolved_at"):
            at = row.values.get(name)
            if at is not None and at < opened_at:
                del row.values[name]
                lost[columns[name]] = at
        problems += [
            Problem(
                row.number,
                row.ticket,
                column,
                at.isoformat(),
                f"before the ticket was opened ({opened_at.isoformat()}): the instant is left out,"
                " the row is kept",
                refused=False,
            )
            for column, at in lost.items()
        ]

    def _created(self, row: Row) -> Event:
        at = row.values["opened_at"]
        names: tuple[str, ...] = ("channel",)  # the first version tells the rest
        if self._mapping.rows == TICKETS:
            names += ("severity", "capability", "group", "requester")
        data = {name: row.values[name] for name in names if name in row.values}
        if self._mapping.rows == TICKETS:
            data.setdefault("severity", self._mapping.severity)
        return Event(
            event_key(row.ticket, "created", at.isoformat()),
            EventType.CREATED,
            at,
            data=data,
        )

    def _told(
        self,
        row: Row,
        type_: EventType,
        at: datetime,
        data: dict[str, Any],
        *,
        sequence: str,
    ) -> Event:
        """What an agent did, as a flat row tells it."""
        agent = row.values.get("agent")
        return Event(
            event_key(row.ticket, type_, at.isoformat(), *sorted(data.items())),
            type_,
            at,
            sequence=sequence,
            actor_kind=ActorKind(self._mapping.actor_kind),
            actor_key=agent,
            public=type_ is EventType.MESSAGE,
            data=data,
        )


def _label(row: Row, news: TicketNews) -> None:
    """What is said of the ticket as a whole: the latest row that says it wins."""
    at = row.values.get("at") or row.values.get("opened_at")
    if news.label_at is not None and at is not None and at < news.label_at:
        return
    news.label_at = at
    for name in ("subject", "channel", "requester", "requester_email"):
        value = row.values.get(name)
        if value:
            setattr(news, name, value[:500])


def sortable(sequence: str) -> str:
    """Numbers of versions in an order that texts keep: 9 before 10."""
    return sequence.zfill(12) if sequence.isdecimal() else sequence[:36]
