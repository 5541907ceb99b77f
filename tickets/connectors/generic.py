"""The generic source: tools that speak this product's own words, as CloudEvents.

Topics: `event` (one event, by the API) and `events` (one or many, by a signed webhook). Both are
read by the same function, which the door asks before it stores anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from portal import strict_json
from tickets.canonical import ActorKind, Event, EventType, Fidelity, Precision, UsageType
from tickets.connectors.base import (
    ACKNOWLEDGEMENTS,
    Asked,
    Connector,
    Context,
    Delivery,
    Unusable,
    no_zone,
)
from tickets.connectors.records import helped
from tickets.connectors.signatures import STANDARD
from tickets.event_types import PREFIX, TYPES, VERSION, mistakes
from tickets.flaws import POSITION, READ_AFTER
from tickets.keepable import EARLIEST, FURTHEST
from tickets.news import RatingTold, Remark, TicketNews, Told, UsageTold, event_key

EVENT, EVENTS = "event", "events"
#: Events of one batch.
MOST = 500
#: The option of a connection that says in which zone its times without offset are.
ZONE = "zone"

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)


class Generic(Connector):
    """Tools behind the API or the signed webhook."""

    key = "api"
    name = "Any tool, by API, webhook or file"
    scheme = STANDARD
    hooks = True
    asks = (
        Asked(
            Connector.question_option,
            "Key of the survey question that asks for satisfaction",
            "where the tool tells answers to several questions",
            required=False,
        ),
        Asked(
            ZONE,
            "Time zone of its times without an offset",
            "such as Europe/Berlin; empty: they are refused",
            required=False,
            mistake=no_zone,
        ),
        ACKNOWLEDGEMENTS,
    )
    streams = {EVENT: (EVENT, ""), EVENTS: (EVENT, "")}

    def delivery(self, headers: Mapping[str, str], raw: bytes) -> Delivery:
        """A webhook's request by its `webhook-id`, which is the same when it is sent again."""
        name = headers.get("webhook-id", "")
        if not 1 <= len(name) <= 190:
            raise Unusable({"field": "webhook-id", "reason": "needs 1 to 190 characters"})
        return Delivery(f"hook {name}", EVENTS)

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        """What a message of a tool says."""
        try:
            body = strict_json.read(raw, any_text=True)
        except strict_json.BadJson as error:
            raise Unusable({"field": "", "reason": str(error)}) from None
        if topic == EVENT:
            return read(body, context)
        if topic == EVENTS:
            return _batch(body if isinstance(body, list) else [body], context)
        raise Unusable(
            {"field": "topic", "reason": f"{topic!r} is not understood: event or events"}
        )

    def dumped(
        self, stream: str, records: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, bytes]]:
        """A message for each event: one that cannot be used does not take others along."""
        for record in records:
            yield EVENT, json.dumps(record, sort_keys=True).encode()


def _batch(bodies: list[Any], context: Context) -> Told:
    """Every event that can be read; the others are remarks. Raises Unusable if none can be."""
    if len(bodies) > MOST:
        raise Unusable({"field": "", "reason": f"{len(bodies)} events; at most {MOST} at once"})
    told = Told()
    errors: list[dict[str, str]] = []
    for index, body in enumerate(bodies):
        try:
            told.extend(read(body, context))
        except Unusable as unusable:
            errors += [
                {"field": f"{index}.{one['field']}".rstrip("."), "reason": one["reason"]}
                for one in unusable.errors
            ]
    if errors and not (told.tickets or told.ratings or told.usage):
        raise Unusable(*errors)
    told.remarks += [Remark(one["field"], one["reason"]) for one in errors]
    return told


def read(body: Any, context: Context) -> Told:
    """What one event says. Raises Unusable naming every mistake."""
    errors = mistakes(body)
    if errors:
        raise Unusable(*errors)
    zone = str(context.options.get(ZONE) or "") or None
    moments: dict[str, datetime] = {}
    said = {"time": body["time"]}
    said |= {f"data.{name}": body["data"].get(name) for name in _INSTANTS}
    for field, text in said.items():
        if text is None:
            continue
        try:
            moments[field] = instant(text, zone=zone, until=context.received_at, field=field)
        except Unusable as unusable:
            errors += unusable.errors
    at, looked = moments.get("time"), moments.get("data.previous_read_at")
    if at is not None and looked is not None and looked > at:
        errors.append(
            {"field": "data.previous_read_at", "reason": "is later than the event's time"}
        )
    slug_at = "to" if body["type"] == _type(EventType.CATEGORY_CHANGED) else "capability"
    slug = body["data"].get(slug_at)
    if slug is not None and slug not in context.capabilities:
        reason = f"there is no capability {slug!r} in the catalogue"
        errors.append({"field": f"data.{slug_at}", "reason": reason})
    if errors:
        raise Unusable(*errors)
    name = TYPES[body["type"]].name
    if name.startswith("ticket."):
        return Told(tickets=[_ticket(EventType(name), body, moments, context.options)])
    if name.startswith("csat."):
        return _rated(_rating(name, body, moments), context)
    return Told(usage=[_usage(name, body, moments["time"])])


#: Instants that an event's data may hold.
_INSTANTS = ("offered_at", "previous_read_at")


def _type(type_: EventType) -> str:
    return f"{PREFIX}{type_.value}{VERSION}"


#: Where an event without `sequence` stands among others of its instant: what describes the ticket
#: before what is said, and both before what it became. An opening is the first of all.
_RANK = {
    EventType.CREATED: "",
    EventType.FOLLOWUP_OF: "",
    EventType.MESSAGE: "2",
    EventType.STATUS_CHANGED: "3",
    EventType.MERGED: "3",
    EventType.DELETED: "3",
    EventType.SNAPSHOT: "3",
}
#: The sender's field, and what the log calls it.
_STANDING = {
    "status": "state",
    "status_said": "state_said",
    "severity": "severity",
    "severity_said": "severity_said",
    "capability": "capability",
    "facets": "facets",
    "group": "group",
    "channel": "channel",
    "agent": "agent",
    "problem": "problem",
}


def _ticket(
    type_: EventType,
    body: Mapping[str, Any],
    moments: Mapping[str, datetime],
    options: Mapping[str, Any],
) -> TicketNews:
    """One thing that happened to a ticket, and what it says of the label."""
    said: Mapping[str, Any] = body["data"]
    at = moments["time"]
    actor = said.get("actor", {})
    key = event_key(EVENT, body["id"])
    if type_ is EventType.MESSAGE:
        data = _message(said, options)
    else:
        data = _DATA.get(type_, _as_said)(said)
    if "revises" in body:
        data["revises"] = event_key(EVENT, body["revises"])
    if "data.previous_read_at" in moments:
        data[READ_AFTER] = moments["data.previous_read_at"].isoformat()
    if body.get("sequence", "").isdecimal():
        data[POSITION] = int(body["sequence"])
    stood = type_ is EventType.SNAPSHOT
    fidelity = Fidelity.SNAPSHOT_DIFF if stood else Fidelity.NATIVE
    news = TicketNews(body["subject"], label_at=at, fidelity=fidelity)
    news.events.append(
        Event(
            key,
            type_,
            at,
            body.get("sequence", _RANK.get(type_, "1")),
            ActorKind(actor.get("kind", ActorKind.UNKNOWN)),
            actor.get("id"),
            bool(said.get("public", False)),
            data,
            precision=_precision(body["time"]),
        )
    )
    if type_ in (EventType.CREATED, EventType.SNAPSHOT):
        news.subject = said.get("subject", "")
        news.channel = said.get("channel", "")
        news.requester = said.get("requester", {}).get("id", "")
        news.requester_email = said.get("requester", {}).get("email", "")
    if type_ is EventType.MESSAGE and "text" in said:
        news.texts[key] = said["text"]
    return news


def _precision(text: str) -> Precision:
    """How fine an instant is told: to the second, or a day alone."""
    match = _RFC3339.fullmatch(text)
    return Precision.SECOND if match and match[2] else Precision.DAY


def _as_said(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "actor"}


def _standing(said: Mapping[str, Any]) -> dict[str, Any]:
    data = {kept: said[name] for name, kept in _STANDING.items() if name in said}
    if "requester" in said:
        data["requester"] = said["requester"]["id"]
    return data


def _message(said: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A message without its words, which are kept apart; they say whether a reply helped."""
    data = {name: said[name] for name in ("meaning", "template") if name in said}
    by_requester = said["actor"].get("kind") == ActorKind.REQUESTER
    if "meaning" not in data and "text" in said and said["public"] and not by_requester:
        data["meaning"] = helped(said["text"], options)
    return data


_DATA: Mapping[EventType, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    EventType.CREATED: _standing,
    EventType.SNAPSHOT: _standing,
}


def _rating(name: str, body: Mapping[str, Any], moments: Mapping[str, datetime]) -> RatingTold:
    said = body["data"]
    outcome = name.removeprefix("csat.")
    score = said.get("score")
    offered = moments["time"] if outcome == "offered" else None
    return RatingTold(
        ticket=body["subject"],
        id=said["rating"],
        said_at=moments["time"],
        sequence=body.get("sequence", ""),
        scale=said.get("scale", ""),
        score=None if score is None else int(score),
        raw=said.get("raw", "" if score is None else str(int(score))),
        remark=said.get("comment", ""),
        offered_at=moments.get("data.offered_at", offered),
        outcome="responded" if outcome == "revised" else outcome,
        question=said.get("question", ""),
        alone="question" not in said,
        agent=said.get("agent", ""),
        outcome_reason=said.get("outcome_reason", ""),
    )


def _rated(rating: RatingTold, context: Context) -> Told:
    """A rating; one of a question that nobody called satisfaction is kept, and no more."""
    told = Told(ratings=[rating])
    if rating.question and rating.question != context.options.get(Generic.question_option):
        reason = (
            f"{rating.question!r} is kept and not counted as satisfaction: the connection's option"
            f" {Generic.question_option} names the question that is"
        )
        told.remarks.append(Remark("data.question", reason))
    return told


_USAGE = {
    "selfservice.started": UsageType.STARTED,
    "selfservice.completed": UsageType.COMPLETED,
    "selfservice.abandoned": UsageType.ABANDONED,
    "telemetry.outcome": UsageType.OUTCOME,
}


def _usage(name: str, body: Mapping[str, Any], at: datetime) -> UsageTold:
    said = body["data"]
    duration, errors = said.get("duration_ms"), said.get("errors_shown")
    return UsageTold(
        id=f"{EVENT} {body['id']}",
        type=_USAGE[name].value,
        at=at,
        requester=said["user"]["id"],
        requester_email=said["user"].get("email", ""),
        capability=said["capability"],
        task=said.get("task", ""),
        success=said.get("success"),
        duration_ms=None if duration is None else int(duration),
        errors_shown=None if errors is None else int(errors),
    )


def instant(
    text: str, *, zone: str | None = None, until: datetime | None = None, field: str = "time"
) -> datetime:
    """An instant as RFC 3339 writes it, in UTC. Raises Unusable.

    Without an offset it could be anywhere: it is refused unless the connection names a zone, in
    which a date alone is the beginning of the day. `until` is when it was heard of.
    """

    def refused(reason: str) -> Unusable:
        return Unusable({"field": field, "reason": f"{text[:60]!r} {reason}"})

    match = _RFC3339.fullmatch(text)
    if match is None:
        raise refused("is not an instant as RFC 3339 writes it")
    day, clock, fraction, offset = match.groups()
    if offset is None and zone is None:
        what = "has no offset from UTC" if clock else "is a day, no instant"
        raise refused(f"{what}, and the connection declares no zone")
    written = f"{day}T{clock or '00:00:00'}.{(fraction or '0')[:6]:0<6}{(offset or '').upper()}"
    try:
        at = datetime.fromisoformat(written)
        if at.tzinfo is None:
            at = _local(at, ZoneInfo(str(zone)), refused)
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise refused("is no day and time of the calendar") from None
    if at < EARLIEST or (until is not None and at > until + FURTHEST):
        raise refused(f"is before {EARLIEST.year} or more than a year ahead")
    return at


def _local(at: datetime, zone: ZoneInfo, refused: Callable[[str], Unusable]) -> datetime:
    """A local time in its zone; one that the clocks show twice or never is refused."""
    early, late = at.replace(tzinfo=zone, fold=0), at.replace(tzinfo=zone, fold=1)
    if early.utcoffset() != late.utcoffset():
        raise refused(f"happened twice or never in {zone.key}: say it with its offset")
    return early
