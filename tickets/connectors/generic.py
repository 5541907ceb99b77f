"""The generic source: tools that speak this product's own words, by API or file.

Topics: `ticket` (a ticket as it stands from an instant on), `answer` (a rating of a ticket).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tickets.canonical import ActorKind, Event, EventType, Flag, Severity, State
from tickets.connectors.base import Connector, Context, Unusable
from tickets.meaning import meaning_of
from tickets.news import RatingTold, TicketNews, Told, event_key


class Generic(Connector):
    """Tools behind the API."""

    key = "api"
    name = "Any tool, by API or file"

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        """What a message of a tool says."""
        body = json.loads(raw)
        if topic == "ticket":
            return Told(tickets=[_ticket(body, context)])
        if topic == "answer":
            return Told(ratings=[_answer(body, context)])
        raise Unusable(
            {
                "field": "type",
                "reason": f"{topic!r} is not a type that is understood: answer, ticket",
            }
        )

    def dumped(
        self, stream: str, records: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, bytes]]:
        """A message for each record: one that cannot be used does not take others along."""
        for record in records:
            yield stream, json.dumps(record, sort_keys=True).encode()


def _ticket(body: Mapping[str, Any], context: Context) -> TicketNews:
    """Values as they stand from `time` on, a reply, a flag."""
    errors: list[dict[str, str]] = []
    ticket = str(body.get("ticket") or "")
    if not ticket or len(ticket) > 200:
        errors.append({"field": "ticket", "reason": "1 to 200 characters are needed"})
    data = _standing(body, context.capabilities, errors)
    try:
        at = instant(body.get("time"))
    except Unusable as unusable:
        raise Unusable(*errors, *unusable.errors) from None
    if errors:
        raise Unusable(*errors)
    agent = str(body["agent"]) if body.get("agent") else None
    requester = body.get("requester") or {}
    news = TicketNews(
        ticket,
        subject=str(body.get("subject") or "")[:500],
        channel=str(body.get("channel") or "")[:40],
        requester=str(requester.get("id") or ""),
        requester_email=str(requester.get("email") or ""),
    )

    def tell(type_: EventType, step: int, **event: Any) -> Event:
        told = Event(
            event_key(ticket, type_, context.delivery_id),
            type_,
            at,
            f"{context.arrival}-{step}",
            **event,
        )
        news.events.append(told)
        return told

    if "policy_denial" in body:
        denied = {"flag": Flag.POLICY_DENIAL.value, "value": bool(body["policy_denial"])}
        tell(EventType.FLAGGED, 1, data=denied)
    if body.get("reply"):
        reply = tell(
            EventType.MESSAGE,
            2,
            actor_kind=ActorKind.AGENT,
            actor_key=agent,
            public=True,
            data={"meaning": meaning_of(str(body["reply"])).value},
        )
        news.texts[reply.key] = str(body["reply"])
    tell(EventType.SNAPSHOT, 3, data=data)
    return news


def _standing(
    body: Mapping[str, Any], capabilities: frozenset[str], errors: list[dict[str, str]]
) -> dict[str, Any]:
    """The values of a snapshot; what is not understood goes to `errors`."""
    data: dict[str, Any] = {}
    for name, words, kept in (("status", State, "state"), ("severity", Severity, "severity")):
        value = body.get(name)
        if value is None:
            continue
        if value in {str(word) for word in words}:
            data[kept] = value
        else:
            listed = ", ".join(str(word) for word in words)
            errors.append({"field": name, "reason": f"{value!r} is not one of {listed}"})
    slug = body.get("capability")
    if slug in capabilities:
        data["capability"] = slug
    elif slug:
        errors.append({"field": "capability", "reason": f"there is no capability {slug!r}"})
    for name, longest in (("group", 150), ("agent", 200), ("channel", 40)):
        if body.get(name):
            data[name] = str(body[name])[:longest]
    requester = body.get("requester") or {}
    if requester.get("id"):
        data["requester"] = str(requester["id"])
    return data


def _answer(body: Mapping[str, Any], context: Context) -> RatingTold:
    score = body.get("score")
    if not isinstance(score, int) or not 1 <= score <= 5:
        raise Unusable({"field": "score", "reason": f"{score!r} is not a whole number from 1 to 5"})
    return RatingTold(
        ticket=str(body.get("ticket") or ""),
        id=context.delivery_id,
        said_at=instant(body.get("time")),
        scale="csat_1_5",
        score=score,
        raw=str(score),
        remark=str(body.get("comment") or ""),
    )


def instant(text: object) -> datetime:
    """An instant with its offset, in UTC; without one it could be anywhere. Raises Unusable."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise Unusable(
            {"field": "time", "reason": f"{text!r} is not an instant (RFC 3339)"}
        ) from None
    if at.tzinfo is None:
        raise Unusable({"field": "time", "reason": f"{text!r} has no offset from UTC"})
    return at.astimezone(UTC)
