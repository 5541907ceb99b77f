"""What a source reports about one ticket, and how mapped rows become it.

In news, accounts and people are named as the source names them: `Event.actor_key`, `to` of an
assignment, `agent` and `requester` of a snapshot hold the source's own names, `capability` a slug.
tickets/ingest.py puts random keys and ids in their place before anything is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, Fidelity, Precision, State
from tickets.flaws import FLAW, FlawKind
from tickets.mapping import EVENTS, TICKETS, TOLD, VERSIONS, Mapping, Problem, Row, printable


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of a record that could not be read or kept; `field` in the sender's words."""

    field: str
    reason: str


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
    #: How the source told it.
    fidelity: str = Fidelity.NATIVE
    #: Which record of the source told it, the same whenever that comes again; empty: not known.
    record: str = ""
    #: What of that record was left out: a flaw of the ticket until the record is read without it.
    left_out: list[LeftOut] = field(default_factory=list)

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
    #: The question it answers, as the source names it (`identity · name`); empty: it asks only one.
    question: str = ""
    #: Whether its survey asks no other scale.
    alone: bool = True
    #: The source's name of the agent who had the ticket when it was rated.
    agent: str = ""
    #: Why it ended as it did, where the sender says so: POLICY_DENIAL, or empty.
    outcome_reason: str = ""


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
    #: Whether what is rated was refused by a policy, as whoever told the rating says.
    policy_denial: bool = False


def version_of(at: datetime) -> str:
    """When a source last changed a record, in an order that texts keep."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def event_key(*parts: object) -> int:
    """64 signed bits of the hash of what makes an event unique within its source."""
    digest = blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)


#: How a file told it. An audit log has a version for each change, at its instant; a row for a
#: ticket shows how it stood when it was written.
_FIDELITY = {
    EVENTS: Fidelity.NATIVE,
    VERSIONS: Fidelity.CHANGELOG,
    TICKETS: Fidelity.SNAPSHOT_DIFF,
}

#: What an event row tells, as an event and the name of its value.
_EVENT_TYPES = {
    "opened": EventType.CREATED,
    "status": EventType.STATUS_CHANGED,
    "severity": EventType.PRIORITY_CHANGED,
    "capability": EventType.CATEGORY_CHANGED,
    "group": EventType.GROUP_CHANGED,
    "agent": EventType.ASSIGNED,
    "problem": EventType.PROBLEM_LINKED,
    "reply": EventType.MESSAGE,
    "requester_message": EventType.MESSAGE,
    "escalation": EventType.ESCALATED,
}


#: What an opening may hold of a row.
_AT_OPENING = ("severity", "capability", "group", "requester", "channel")
#: What a snapshot may hold of a row.
_STANDING = ("state", "severity", "capability", "group", "agent", "requester", "problem")


class RowReader:
    """Turns mapped rows into news and ratings, and names the instants that cannot be.

    `arrival` orders files whose rows say of no time when they were written: the later file's word
    on a ticket stands (rows = tickets without `at`).
    """

    def __init__(self, mapping: Mapping, *, arrival: str = "") -> None:
        self._mapping = mapping
        self._arrival = arrival
        self._actor_kind = ActorKind(mapping.actor_kind)
        self._fidelity = _FIDELITY[mapping.rows]
        self._told_severity = "severity" in mapping.columns

    def read(self, rows: Iterable[Row]) -> tuple[list[TicketNews], list[Rating], list[Problem]]:
        """Group rows by ticket. Rows of one ticket may stand anywhere in the file."""
        tickets: dict[str, TicketNews] = {}
        openings: set[tuple[Any, ...]] = set()
        ratings: list[Rating] = []
        problems: list[Problem] = []
        for row in rows:
            news = tickets.get(row.ticket)
            if news is None:
                news = tickets[row.ticket] = TicketNews(row.ticket, fidelity=self._fidelity)
            if self._mapping.rows == EVENTS:
                news.events.append(self._event(row))
            else:
                opening = (row.ticket, row.values["opened_at"], row.values.get("channel"))
                if opening not in openings:  # most rows repeat it
                    openings.add(opening)
                    news.events.append(self._created(row))
                if self._mapping.rows == TICKETS:
                    self._ticket(row, news, ratings, problems)
                else:
                    self._version(row, news)
            news.events += [_doubt(row, detail) for detail in row.doubts]
            news.events += [_left_out(row, *cell) for cell in row.left_out]
            news.events += [_mended(row, *cell) for cell in row.mended]
            _label(row, news)
        return list(tickets.values()), ratings, problems

    def _standing(self, row: Row) -> dict[str, Any]:
        """How the ticket stands in a row; a severity nobody told is the mapping's."""
        values = row.values
        data = {name: values[name] for name in _STANDING if name in values}
        if not self._told_severity or (self._mapping.rows == TICKETS and "severity" not in data):
            data["severity"] = self._mapping.severity
        return data

    def _version(self, row: Row, news: TicketNews) -> None:
        """One version of a ticket: a snapshot of how it stood."""
        at, sequence = row.values["at"], sortable(row.values.get("sequence", ""))
        news.events.append(self._snapshot(row, at, sequence, told=sequence))

    def _snapshot(self, row: Row, at: datetime, sequence: str, *, told: str) -> Event:
        """How the ticket stood at an instant. `told` is what the source says orders it."""
        data, actor = self._standing(row), row.values.get("actor")
        return Event(
            event_key(row.ticket, "snapshot", at.isoformat(), told, actor, *sorted(data.items())),
            EventType.SNAPSHOT,
            at,
            sequence=sequence,
            actor_kind=self._actor_kind if actor else ActorKind.UNKNOWN,
            actor_key=actor,
            data=data,
            precision=row.precision.get("at", Precision.SECOND),
        )

    def _event(self, row: Row) -> Event:
        """One event in one row."""
        values, told = row.values, row.values["type"]
        type_, at = _EVENT_TYPES[told], values["at"]
        data: dict[str, Any]
        if type_ is EventType.CREATED:
            data = {name: values[name] for name in _AT_OPENING if name in values}
            data.setdefault("severity", self._mapping.severity)
        elif type_ is EventType.ESCALATED:
            data = {"kind": "functional", "reason": values.get("reason", "")}
        else:
            data = {"to": values[name]} if (name := TOLD[told]) else {}
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
            precision=row.precision.get("at", Precision.SECOND),
        )

    def _ticket(
        self, row: Row, news: TicketNews, ratings: list[Rating], problems: list[Problem]
    ) -> None:
        """A whole ticket in one row: how it stands, first response, resolution, rating.

        Where the row says when it was written, it stands so from then on; else it stood so from the
        start, and the file that came last is believed.
        """
        values = self._without_what_precedes_the_opening(row, problems)
        told = sortable(values.get("sequence", ""))
        if "at" in values:
            # Behind a resolution of the same instant, which is the event that ratings are about.
            news.events.append(self._snapshot(row, values["at"], f"4{told}"[:40], told=told))
        else:
            sequence = f"0{self._arrival}{told}"[:40]
            news.events.append(self._snapshot(row, values["opened_at"], sequence, told=told))
        if "first_response_at" in values:
            news.events.append(
                self._told(
                    row,
                    EventType.MESSAGE,
                    "first_response_at",
                    {},
                    sequence="2",
                )
            )
        resolution = None
        if "resolved_at" in values:
            resolution = self._told(
                row,
                EventType.STATUS_CHANGED,
                "resolved_at",
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

    def _without_what_precedes_the_opening(
        self, row: Row, problems: list[Problem]
    ) -> dict[str, Any]:
        """The row's values, less instants before the opening; the row itself stays as it is."""
        opened_at = row.values["opened_at"]
        early = {
            name: at
            for name in ("first_response_at", "resolved_at")
            if (at := row.values.get(name)) is not None and at < opened_at
        }
        lost = {self._mapping.columns[name]: at for name, at in early.items()}
        row.left_out += [(column, at.isoformat()) for column, at in lost.items()]
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
        return {name: value for name, value in row.values.items() if name not in early}

    def _created(self, row: Row) -> Event:
        """That it was opened; how it stood then is told by the first snapshot."""
        at, channel = row.values["opened_at"], row.values.get("channel")
        return Event(
            event_key(row.ticket, "created", at.isoformat(), *([channel] if channel else ())),
            EventType.CREATED,
            at,
            data={"channel": channel} if channel else {},
            precision=row.precision.get("opened_at", Precision.SECOND),
        )

    def _told(
        self,
        row: Row,
        type_: EventType,
        when: str,
        data: dict[str, Any],
        *,
        sequence: str,
    ) -> Event:
        """What an agent did, as a flat row tells it in the column that means `when`."""
        agent, at = row.values.get("agent"), row.values[when]
        return Event(
            event_key(row.ticket, type_, at.isoformat(), *sorted(data.items())),
            type_,
            at,
            sequence=sequence,
            actor_kind=ActorKind(self._mapping.actor_kind),
            actor_key=agent,
            public=type_ is EventType.MESSAGE,
            data=data,
            precision=row.precision.get(when, Precision.SECOND),
        )


def _doubt(row: Row, detail: str) -> Event:
    """That a date of the row can be read in two ways: a flaw of the ticket."""
    at = row.values.get("at") or row.values["opened_at"]
    data = {"name": FLAW, "value": FlawKind.AMBIGUOUS_DATE.value, "detail": printable(detail, 200)}
    return Event(event_key(row.ticket, "doubt", detail), EventType.OBSERVED, at, data=data)


def _left_out(row: Row, column: str, said: str) -> Event:
    """That a value of the row was left out: a flaw of the ticket."""
    at = row.values.get("at") or row.values["opened_at"]
    data = {"name": FLAW, "value": FlawKind.LEFT_OUT_FIELD.value, "detail": printable(column, 200)}
    return Event(_left_out_key(row.ticket, column, said), EventType.OBSERVED, at, data=data)


def _mended(row: Row, column: str, said: str) -> Event:
    """That a value of the ticket, once left out, is read now: it takes the flaw's place."""
    at = row.values.get("at") or row.values["opened_at"]
    data = {"name": "mended", "revises": _left_out_key(row.ticket, column, said)}
    return Event(event_key(row.ticket, "mended", column, said), EventType.OBSERVED, at, data=data)


def _left_out_key(ticket: str, column: str, said: str) -> int:
    return event_key(ticket, "left out", column, said)


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
