"""The door: deliveries stored at once exactly as they came, then folded by workers' sweeps.

`receive` stores a delivery and puts it into the queue (`InboundWork`), in one transaction, before
anybody acknowledges it. `sweep` takes waiting deliveries: its connector's mapper tells what they
say (tickets/connectors), tickets/ingest.py enters it, and an outcome says what became of each. A
try is counted before it begins; a delivery that fails is tried alone, later and later, and after
five tries waits for a person with its reason (a dead letter), who may replay it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import Error
from django.db.models import F

from portal.catalogue.models import Capability
from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.hints import hint
from portal.tenancy.models import Due
from tickets import ingest
from tickets.connectors import connector_of
from tickets.connectors.base import Context, Unusable
from tickets.models import (
    Connection,
    InboundBody,
    InboundMessage,
    InboundOutcome,
    InboundWork,
)
from tickets.news import Told
from tickets.storing import Table

#: The kind of `Due` row that leads a worker to stored deliveries.
FOLD = "fold"
CREATED, DUPLICATE, CONFLICT = "created", "duplicate", "conflict"
FOLDED, FAILED, QUARANTINED, REPLAYED = "folded", "failed", "quarantined", "replayed"

#: Deliveries entered in one transaction.
BATCH = 200
#: Tries before a delivery becomes a dead letter.
TRIES = 5

MESSAGES = Table(InboundMessage, ("id",))

logger = logging.getLogger(__name__)


class DeliveryConflict(Exception):
    """A delivery id came again with another body; nothing was stored."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery that is about to be stored, its bytes exactly as they came."""

    delivery_id: str
    topic: str
    raw: bytes
    signature: str = InboundMessage.Signature.TRUSTED
    #: The few headers its mapper needs; never a secret.
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery at the door; of a conflict, the message that came before."""

    message_id: int
    status: str
    #: Why there is a conflict, with both hashes; else empty.
    reason: str = ""


def receive(
    *,
    tenant_id: int,
    connection: Connection,
    delivery_id: str,
    topic: str,
    raw: bytes,
    at: datetime,
    signature: str = InboundMessage.Signature.TRUSTED,
    headers: Mapping[str, str] | None = None,
) -> Receipt:
    """Store a delivery's bytes and queue it.

    The same id with the same bytes is a duplicate and stores nothing. Raises DeliveryConflict for
    the same id with other bytes.
    """
    incoming = Incoming(delivery_id, topic, raw, signature, headers or {})
    receipt = receive_many(
        tenant_id=tenant_id, connection=connection, deliveries=[incoming], at=at
    )[0]
    if receipt.status == CONFLICT:
        raise DeliveryConflict(receipt.reason)
    return receipt


def receive_many(
    *, tenant_id: int, connection: Connection, deliveries: Sequence[Incoming], at: datetime
) -> list[Receipt]:
    """Store deliveries of one source and queue them; a receipt each, in their order.

    Runs inside `acting(tenant_id)`, so all are kept or none. Six statements, however many there
    are. A conflict stores nothing of its own and keeps no other from being stored; whoever stores
    the same id in parallel is waited for.
    """
    if not deliveries:
        return []
    digests = [hashlib.sha256(one.raw).digest() for one in deliveries]
    first: dict[str, int] = {}
    for place, one in enumerate(deliveries):
        first.setdefault(one.delivery_id, place)
    ids = dict(zip(first, MESSAGES.new_ids(len(first)), strict=True))
    InboundMessage.objects.bulk_create(
        (
            InboundMessage(
                pk=ids[name],
                tenant_id=tenant_id,
                connection=connection,
                delivery_id=name,
                topic=deliveries[place].topic,
                received_at=at,
                signature=deliveries[place].signature,
                headers=dict(deliveries[place].headers),
                body_sha256=digests[place],
            )
            # In one order for everybody: two who wait for each other's ids would wait for ever.
            for name, place in sorted(first.items())
        ),
        ignore_conflicts=True,
    )
    stored = {
        name: (pk, bytes(digest))
        for name, pk, digest in InboundMessage.objects.for_tenant(tenant_id)
        .filter(connection=connection, delivery_id__in=list(first))
        .values_list("delivery_id", "pk", "body_sha256")
    }
    new = [name for name in first if stored[name][0] == ids[name]]
    _queue(tenant_id, connection, [(ids[name], deliveries[first[name]].raw) for name in new], at)
    created = {first[name] for name in new}
    return [
        Receipt(ids[one.delivery_id], CREATED)
        if place in created
        else _again(one.delivery_id, digests[place], *stored[one.delivery_id])
        for place, one in enumerate(deliveries)
    ]


def _queue(
    tenant_id: int, connection: Connection, stored: Sequence[tuple[int, bytes]], at: datetime
) -> None:
    """Keep the bytes of new messages, and let them wait for a worker."""
    if not stored:
        return
    InboundBody.objects.bulk_create(
        InboundBody(tenant_id=tenant_id, message_id=message, raw=raw) for message, raw in stored
    )
    InboundWork.objects.bulk_create(
        InboundWork(tenant_id=tenant_id, message_id=message, connection=connection, due_at=at)
        for message, _ in stored
    )
    wake(tenant_id, at)


def _again(delivery_id: str, digest: bytes, message_id: int, earlier: bytes) -> Receipt:
    """The receipt of an id that came before."""
    if digest == earlier:
        return Receipt(message_id, DUPLICATE)
    return Receipt(
        message_id,
        CONFLICT,
        f"Message {delivery_id!r} came before with another body (SHA-256 {earlier.hex()}, now"
        f" {digest.hex()}). Nothing was stored; a correction is a new message with an id of its"
        " own.",
    )


def wake(tenant_id: int, at: datetime) -> None:
    """Note that an organisation has deliveries waiting, and hint workers to look."""
    due.note(tenant_id, FOLD, at)
    hint("enter_messages")


def replay(*, tenant_id: int, message_id: int, at: datetime) -> bool:
    """Queue a delivery again, from its stored bytes; False if it is waiting already."""
    message = (
        InboundMessage.objects.for_tenant(tenant_id).only("pk", "connection").get(pk=message_id)
    )
    _, queued = InboundWork.objects.get_or_create(
        tenant_id=tenant_id,
        message=message,
        defaults={"connection_id": message.connection_id, "due_at": at},
    )
    if queued:
        InboundOutcome.objects.create(
            tenant_id=tenant_id, message=message, at=at, status=REPLAYED, errors=[]
        )
        wake(tenant_id, at)
    return queued


def sweep(now: datetime) -> int:
    """Enter every delivery of every organisation that is due; return how many were done with.

    Runs as the worker; any number may sweep at once, each takes what nobody else holds. A database
    that fails stops the sweep, and the next one goes on.
    """
    done = 0
    for tenant_id in due.tenants_due(FOLD, now):
        while taken := _enter_some(tenant_id, now):
            done += taken
        _settle(tenant_id, now)
    return done


def _settle(tenant_id: int, now: datetime) -> None:
    """Take the organisation off the list, or note when its next delivery is due."""
    with acting(tenant_id):
        Due.objects.filter(tenant_id=tenant_id, kind=FOLD, due_at__lte=now).delete()
        waiting = (
            InboundWork.objects.for_tenant(tenant_id)
            .filter(connection__live_since__isnull=False)
            .order_by("due_at")
            .first()
        )
        if waiting is not None:
            due.note(tenant_id, FOLD, max(waiting.due_at, now + timedelta(seconds=1)))


def _enter_some(tenant_id: int, now: datetime) -> int:
    """Enter one batch; return how many deliveries were done with or put off."""
    with acting(tenant_id):
        ids = _count_tries(tenant_id, now)
    _enter_split(tenant_id, ids, now)
    return len(ids)


def _enter_split(tenant_id: int, message_ids: Sequence[int], now: datetime) -> None:
    """Enter deliveries together; where one spoils it, halve until that one is alone."""
    if not message_ids:
        return
    try:
        with acting(tenant_id):
            _enter(tenant_id, message_ids, now)
    except Error:
        raise  # the database's trouble, not a delivery's: the sweep comes back
    except Exception as error:
        if len(message_ids) > 1:
            half = len(message_ids) // 2
            _enter_split(tenant_id, message_ids[:half], now)
            _enter_split(tenant_id, message_ids[half:], now)
            return
        # One delivery must not keep the others waiting; it comes back later, with its reason.
        logger.exception("delivery %s could not be entered", message_ids[0])
        with acting(tenant_id):
            for work in _taken(tenant_id, message_ids):
                _put_off(work, [_could_not(error)], now)


def _could_not(error: Exception) -> dict[str, str]:
    return {"field": "", "reason": f"could not be entered: {type(error).__name__}: {error}"[:300]}


def _count_tries(tenant_id: int, now: datetime) -> list[int]:
    """Choose waiting deliveries and count a try for each; committed before the try begins.

    A delivery that was tried before is taken alone: what kills a worker must not take others along.
    """
    waiting = (
        InboundWork.objects.for_tenant(tenant_id)
        .filter(due_at__lte=now, connection__live_since__isnull=False)
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("attempts", "due_at", "message_id")
    )
    rows = list(waiting.values_list("pk", "message_id", "attempts")[:BATCH])
    rows = rows[:1] if rows and rows[0][2] > 0 else [row for row in rows if row[2] == 0]
    InboundWork.objects.for_tenant(tenant_id).filter(pk__in=[row[0] for row in rows]).update(
        attempts=F("attempts") + 1
    )
    return [row[1] for row in rows]


@dataclass(slots=True)
class _Read:
    """A delivery, what it says, and what became of it."""

    work: InboundWork
    told: Told | None
    status: str
    errors: list[dict[str, str]]


def _taken(tenant_id: int, message_ids: Sequence[int]) -> list[InboundWork]:
    """The deliveries' queue rows, held until the transaction ends, in the order of arrival."""
    return list(
        InboundWork.objects.for_tenant(tenant_id)
        .filter(message__in=message_ids)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("message__body", "connection")
        .order_by("message_id")
    )


def _enter(tenant_id: int, message_ids: Sequence[int], now: datetime) -> None:
    """Enter deliveries together. Raises what entering one of them raises; nothing is kept then."""
    slugs = frozenset(Capability.objects.for_tenant(tenant_id).values_list("slug", flat=True))
    reads = [_read(work, slugs) for work in _taken(tenant_id, message_ids)]
    by_connection: dict[int, list[_Read]] = defaultdict(list)
    for read in reads:
        by_connection[read.work.connection_id].append(read)
    for some in by_connection.values():
        told = Told()
        for read in some:
            if read.told is not None:
                told.extend(read.told)
        ingest.enter(tenant_id=tenant_id, connection=some[0].work.connection, told=told, at=now)
    for read in reads:
        if read.status == FAILED:
            _put_off(read.work, read.errors, now)
        else:
            _conclude(read.work, read.status, read.errors, now)


def _read(work: InboundWork, slugs: frozenset[str]) -> _Read:
    """What a delivery says; what its mapper refuses, or fails at, are its errors."""
    message, connection = work.message, work.connection
    if work.attempts > TRIES:
        reason = f"{TRIES} tries ended without an answer: it may have stopped the worker"
        return _Read(work, None, QUARANTINED, [{"field": "", "reason": reason}])
    context = Context(
        options=connection.options,
        headers=message.headers,
        received_at=message.received_at,
        delivery_id=message.delivery_id,
        arrival=f"{message.pk:012}",
        base_url=connection.base_url,
        capabilities=slugs,
    )
    try:
        told = connector_of(connection.kind).tell(message.topic, bytes(message.body.raw), context)
    except Unusable as unusable:
        return _Read(work, None, QUARANTINED, unusable.errors)
    except Exception as error:
        # Only this delivery is put off: nobody thought of what it holds.
        logger.exception("delivery %s could not be read", message.pk)
        return _Read(work, None, FAILED, [_could_not(error)])
    remarks = [{"field": remark.field, "reason": remark.reason} for remark in told.remarks]
    return _Read(work, told, FOLDED, remarks)


def _put_off(work: InboundWork, errors: list[dict[str, str]], now: datetime) -> None:
    """Try again later and later; after the last try it is a dead letter."""
    if work.attempts >= TRIES:
        _conclude(work, QUARANTINED, errors, now)
        return
    work.due_at = now + timedelta(seconds=30 * 4 ** (work.attempts - 1))
    work.save(update_fields=["due_at"])
    InboundOutcome.objects.create(
        tenant_id=work.tenant_id, message_id=work.message_id, at=now, status=FAILED, errors=errors
    )


def _conclude(work: InboundWork, status: str, errors: list[dict[str, str]], now: datetime) -> None:
    InboundOutcome.objects.create(
        tenant_id=work.tenant_id, message_id=work.message_id, at=now, status=status, errors=errors
    )
    work.delete()
