"""Messages from other tools: stored at the door by the web role, entered by a worker's sweep.

`receive` stores a message exactly as it came and notes that there is work; `sweep` hands every
stored message to the handler of its type and writes what became of it. Rooms above add their types
with `handles`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import Error, IntegrityError, transaction

from portal.catalogue.models import Capability
from portal.catalogue.severity import Severity
from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.hints import hint
from tickets import ingest
from tickets.canonical import ActorKind, Event, EventType, Flag, State
from tickets.meaning import meaning_of
from tickets.models import Connection, InboundMessage, InboundOutcome
from tickets.news import TicketNews, event_key

#: The kind of `Due` row that leads a worker to stored messages.
FOLD = "fold"
CREATED, DUPLICATE = "created", "duplicate"
FOLDED, QUARANTINED = "folded", "quarantined"

#: Messages entered in one transaction.
BATCH = 200

logger = logging.getLogger(__name__)


class DeliveryConflict(Exception):
    """A delivery id came again with another body; nothing was stored."""


class Unusable(Exception):
    """A message cannot be entered. `errors` name field and reason; the message is kept."""

    def __init__(self, *errors: dict[str, str]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{e['field']}: {e['reason']}" for e in errors))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message at the door."""

    message_id: int
    status: str


Handler = Callable[[InboundMessage, Connection], list[dict[str, str]]]
"""Enters one message inside `acting()`; returns remarks. Raises Unusable."""

_HANDLERS: dict[str, Handler] = {}


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Declare the handler of messages whose `type` is `kind`."""

    def declare(handler: Handler) -> Handler:
        _HANDLERS[kind] = handler
        return handler

    return declare


def receive(
    *,
    tenant_id: int,
    connection: Connection,
    delivery_id: str,
    body: Mapping[str, Any],
    at: datetime,
) -> Receipt:
    """Store a message and note that a worker has something to fold.

    The same id with the same body is a duplicate and stores nothing. Raises DeliveryConflict for
    the same id with another body.
    """
    digest = hashlib.sha256(
        json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).digest()
    earlier = _earlier(tenant_id, connection, delivery_id, digest)
    if earlier is not None:
        return earlier
    try:
        with transaction.atomic():
            message = InboundMessage.objects.create(
                tenant_id=tenant_id,
                connection=connection,
                delivery_id=delivery_id,
                received_at=at,
                body=dict(body),
                body_sha256=digest,
            )
    except IntegrityError:  # the same delivery came in parallel and was stored first
        earlier = _earlier(tenant_id, connection, delivery_id, digest)
        if earlier is None:
            raise
        return earlier
    due.note(tenant_id, FOLD, at)
    hint("enter_messages")
    return Receipt(message.pk, CREATED)


def _earlier(
    tenant_id: int, connection: Connection, delivery_id: str, digest: bytes
) -> Receipt | None:
    stored = (
        InboundMessage.objects.for_tenant(tenant_id)
        .filter(connection=connection, delivery_id=delivery_id)
        .values_list("pk", "body_sha256")
        .first()
    )
    if stored is None:
        return None
    if bytes(stored[1]) != digest:
        raise DeliveryConflict(
            f"Message {delivery_id!r} came before with another body (SHA-256"
            f" {bytes(stored[1]).hex()}, now {digest.hex()}). Nothing was stored; a correction is"
            " a new message with an id of its own."
        )
    return Receipt(stored[0], DUPLICATE)


def sweep(now: datetime) -> int:
    """Enter every stored message of every organisation that is due; return how many.

    Runs as the worker. A message that cannot be entered is quarantined with its reasons and stops
    no other; a database that fails stops the sweep, and the next one goes on.
    """
    entered = 0
    for tenant_id in due.tenants_due(FOLD, now):
        lease = due.claim(tenant_id, FOLD, now)
        if lease is None:
            continue  # another worker was faster
        while True:
            with acting(tenant_id):
                number = _enter_some(tenant_id, now)
            entered += number
            if number < BATCH:
                break
        due.settle(tenant_id, FOLD, lease)
    return entered


def _enter_some(tenant_id: int, now: datetime) -> int:
    waiting = list(
        InboundMessage.objects.for_tenant(tenant_id)
        .filter(outcome=None)
        .select_related("connection")
        .order_by("pk")[:BATCH]
    )
    for message in waiting:
        status, errors = _entered(message)
        InboundOutcome.objects.create(
            tenant_id=tenant_id, message=message, at=now, status=status, errors=errors
        )
    return len(waiting)


def _entered(message: InboundMessage) -> tuple[str, list[dict[str, str]]]:
    kind = str(message.body.get("type", ""))
    handler = _HANDLERS.get(kind)
    if handler is None:
        known = ", ".join(sorted(_HANDLERS))
        return QUARANTINED, [
            {"field": "type", "reason": f"{kind!r} is not a type that is understood: {known}"}
        ]
    try:
        with transaction.atomic():
            return FOLDED, handler(message, message.connection)
    except Unusable as unusable:
        return QUARANTINED, unusable.errors
    except Error:
        raise  # the database's trouble, not the message's: the sweep comes back
    except Exception as error:
        # One message must not keep the others waiting; it waits for a person, with its reason.
        logger.exception("inbound message %s could not be entered", message.pk)
        return QUARANTINED, [
            {"field": "", "reason": f"could not be entered: {type(error).__name__}: {error}"[:300]}
        ]


@handles("ticket")
def enter_ticket(message: InboundMessage, connection: Connection) -> list[dict[str, str]]:
    """Enter what a tool says of a ticket: values as they stand from `time` on, reply, flag."""
    body = message.body
    errors: list[dict[str, str]] = []
    ticket = str(body.get("ticket") or "")
    if not ticket or len(ticket) > 200:
        errors.append({"field": "ticket", "reason": "1 to 200 characters are needed"})
    data = _standing(body, message.tenant_id, errors)
    try:
        at = instant(body.get("time"))
    except Unusable as unusable:
        raise Unusable(*errors, *unusable.errors) from None
    if errors:
        raise Unusable(*errors)
    arrival = f"{message.pk:012}"
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
            event_key(ticket, type_, message.delivery_id), type_, at, f"{arrival}-{step}", **event
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
    ingest.apply(
        tenant_id=message.tenant_id, connection=connection, news=[news], at=message.received_at
    )
    return []


def _standing(
    body: Mapping[str, Any], tenant_id: int, errors: list[dict[str, str]]
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
    if slug:
        if Capability.objects.for_tenant(tenant_id).filter(slug=slug).exists():
            data["capability"] = slug
        else:
            errors.append({"field": "capability", "reason": f"there is no capability {slug!r}"})
    for name, longest in (("group", 150), ("agent", 200), ("channel", 40)):
        if body.get(name):
            data[name] = str(body[name])[:longest]
    requester = body.get("requester") or {}
    if requester.get("id"):
        data["requester"] = str(requester["id"])
    return data


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
