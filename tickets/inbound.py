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

import psycopg
from django.db import Error
from django.db import connection as database
from django.db.models import F, Subquery
from django.db.models.functions import Coalesce, Length

from portal.catalogue.models import Capability
from portal.tenancy import due
from portal.tenancy.context import acting
from portal.tenancy.models import Due
from tickets import ingest, reading
from tickets.conflicts import conflicts
from tickets.connectors import GENERIC, connector_of
from tickets.connectors.base import Context
from tickets.models import (
    Connection,
    InboundBody,
    InboundMessage,
    InboundOutcome,
    InboundWork,
)
from tickets.news import Remark, Told
from tickets.reading import Reader, Reading, Unread
from tickets.storing import Table
from tickets.waking import FOLD, wake

CREATED, DUPLICATE, CONFLICT = "created", "duplicate", "conflict"
FOLDED, FAILED, QUARANTINED, REPLAYED = "folded", "failed", "quarantined", "replayed"

#: Deliveries entered in one transaction, and such batches before the next organisation's turn.
BATCH, TURN = 200, 5
#: Bytes of bodies read together, unless one alone has more.
BATCH_BYTES = 16 * 1024**2
#: Tries before a delivery becomes a dead letter, and the first pause between two; each next one is
#: four times as long, so the fifth begins 42 minutes after the first.
TRIES, FIRST_PAUSE = 5, timedelta(seconds=30)
#: Errors that are kept of one try; of more it is said how many.
MOST_ERRORS = 20

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


class BodyEmptied(Exception):
    """A delivery's bytes were emptied after the time they are kept; it cannot be replayed."""


def replay(*, tenant_id: int, message_id: int, at: datetime) -> bool:
    """Queue a delivery again, from its stored bytes; False if it is waiting already.

    Raises BodyEmptied, and InboundMessage.DoesNotExist.
    """
    message = (
        InboundMessage.objects.for_tenant(tenant_id).only("pk", "connection").get(pk=message_id)
    )
    if not InboundBody.objects.for_tenant(tenant_id).filter(message=message).exists():
        raise BodyEmptied(
            f"The bytes of message {message_id} were emptied after the time they are kept. Fetch"
            " it from its source again."
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


def sweep(now: datetime, *, read: Reader = reading.read) -> int:
    """Enter deliveries of every organisation that is due; return how many were done with.

    Each organisation has a turn of at most `TURN` batches, so one with a flood keeps no other
    waiting: call it again until it returns 0. Runs as the worker; any number may sweep at once,
    each takes what nobody else holds. `read` is where mappers work (tickets/reading.py). A database
    that fails stops the sweep, and the next one goes on.
    """
    done = 0
    for tenant_id in due.tenants_due(FOLD, now):
        for _ in range(TURN):
            taken = _enter_some(tenant_id, now, read)
            done += taken
            if not taken:
                _settle(tenant_id, now)
                break
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


def _enter_some(tenant_id: int, now: datetime, read: Reader) -> int:
    """Enter one batch; return how many deliveries were done with or put off."""
    with acting(tenant_id):
        ids = _count_tries(tenant_id, now)
    if not ids:
        return 0
    try:
        with acting(tenant_id):
            readings = _read(tenant_id, ids, read)
    except reading.CannotRead:
        with acting(tenant_id):
            _give_back(tenant_id, ids, now)
        raise
    _enter_split(tenant_id, readings, now)
    return len(ids)


def _count_tries(tenant_id: int, now: datetime) -> list[int]:
    """Choose waiting deliveries and count a try for each; committed before the try begins.

    Each is put off in advance: nobody else takes it meanwhile, and should this worker be killed, it
    comes back by itself. One that was tried before is taken alone: what kills a worker must not
    take others along.
    """
    waiting = (
        InboundWork.objects.for_tenant(tenant_id)
        .filter(due_at__lte=now, connection__live_since__isnull=False)
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("due_at", "message_id")
    )
    sized = waiting.annotate(size=Length("message__body__raw"))
    rows = list(sized.values_list("message_id", "attempts", "size")[:BATCH])
    if not rows:
        return []
    attempts = rows[0][1]
    ids = [rows[0][0]] if attempts > 0 else _fitting(rows)
    if attempts > 0:
        _note_silence(tenant_id, ids[0], attempts, now)
    InboundWork.objects.for_tenant(tenant_id).filter(message__in=ids).update(
        attempts=attempts + 1, due_at=now + FIRST_PAUSE * 4 ** min(attempts, TRIES)
    )
    return ids


def _note_silence(tenant_id: int, message_id: int, attempts: int, now: datetime) -> None:
    """Say so where the try before ended without an outcome: its worker was killed."""
    outcomes = InboundOutcome.objects.for_tenant(tenant_id).filter(message=message_id)
    since = outcomes.filter(status=REPLAYED).order_by("-pk").values("pk")[:1]
    told = outcomes.filter(pk__gt=Coalesce(Subquery(since), 0)).count()
    if told < attempts:
        InboundOutcome.objects.create(
            tenant_id=tenant_id,
            message_id=message_id,
            at=now,
            status=FAILED,
            errors=[{"field": "", "reason": "its worker ended before the try did"}],
        )


def _fitting(rows: Sequence[tuple[int, int, int | None]]) -> list[int]:
    """Those never tried before, as many as may be in memory together, and one at least."""
    ids: list[int] = []
    total = 0
    for message, attempts, size in rows:
        total += size or 0
        if attempts > 0 or (ids and total > BATCH_BYTES):
            break
        ids.append(message)
    return ids


def _give_back(tenant_id: int, message_ids: Sequence[int], now: datetime) -> None:
    """Take back a try that was nobody's fault."""
    InboundWork.objects.for_tenant(tenant_id).filter(message__in=message_ids).update(
        attempts=F("attempts") - 1, due_at=now
    )


def _read(tenant_id: int, message_ids: Sequence[int], read: Reader) -> dict[int, Reading]:
    """What the deliveries say, by message, in the order of arrival."""
    slugs = frozenset(Capability.objects.for_tenant(tenant_id).values_list("slug", flat=True))
    works = list(
        InboundWork.objects.for_tenant(tenant_id)
        .filter(message__in=message_ids)
        .select_related("message__body", "connection")
        .order_by("message_id")
    )
    readings = {work.message_id: _unreadable(work) for work in works}
    readable = [work for work in works if readings[work.message_id] is None]
    told = read([unread(work, slugs) for work in readable])
    readings |= {work.message_id: one for work, one in zip(readable, told, strict=True)}
    return {message: one for message, one in readings.items() if one is not None}


def unread(work: InboundWork, slugs: frozenset[str]) -> Unread:
    """A delivery as its mapper is given it."""
    message, connection = work.message, work.connection
    context = Context(
        options=connection.options,
        headers=message.headers,
        received_at=message.received_at,
        delivery_id=message.delivery_id,
        arrival=f"{message.pk:012}",
        base_url=connection.base_url,
        capabilities=slugs,
        signed=message.signature != InboundMessage.Signature.UNSIGNED,
    )
    return Unread(connection.kind, message.topic, bytes(message.body.raw), context)


def _unreadable(work: InboundWork) -> Reading | None:
    """Why a delivery is not even tried; None: it is."""
    if work.attempts > TRIES:
        reason = f"{TRIES} tries ended without an answer: it may have stopped the worker"
    elif not hasattr(work.message, "body"):
        reason = "its bytes were emptied after the time they are kept"
    else:
        return None
    return Reading(None, [{"field": "", "reason": reason}])


def _enter_split(tenant_id: int, readings: Mapping[int, Reading], now: datetime) -> None:
    """Enter deliveries together; where one spoils it, halve until that one is alone."""
    if not readings:
        return
    try:
        with acting(tenant_id):
            _enter(tenant_id, readings, now)
    except Exception as error:
        if isinstance(error, Error) and not database.is_usable():
            raise  # the database's trouble, not a delivery's: the sweep comes back
        ids = list(readings)
        if _was_rolled_back(error):
            with acting(tenant_id):
                _give_back(tenant_id, ids, now)
            return
        if len(ids) > 1:
            for some in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
                _enter_split(tenant_id, {one: readings[one] for one in some}, now)
            return
        # One delivery must not keep the others waiting; it comes back later, with its reason.
        reason = f"could not be entered: {_said(error)}"
        with acting(tenant_id):
            for work in _taken(tenant_id, ids):
                _conclude(work, Reading(None, [{"field": "", "reason": reason}], again=True), now)


def _was_rolled_back(error: Exception) -> bool:
    """Whether two transactions met and PostgreSQL ended ours: no delivery is to blame for that."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith("40")


def _said(error: Exception) -> str:
    """A refusal of ours in its own words; of anything else only what and where it was."""
    ours = type(error).__module__.startswith(("tickets.", "portal."))
    return f"{type(error).__name__}: {error}" if ours else reading.where(error)


def _taken(tenant_id: int, message_ids: Sequence[int]) -> list[InboundWork]:
    """The deliveries' queue rows, held until the transaction ends, in the order of arrival."""
    return list(
        InboundWork.objects.for_tenant(tenant_id)
        .filter(message__in=message_ids)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("connection")
        .order_by("message_id")
    )


def _enter(tenant_id: int, readings: Mapping[int, Reading], now: datetime) -> None:
    """Enter deliveries together. Raises what entering one of them raises; nothing is kept then."""
    works = _taken(tenant_id, list(readings))
    by_connection: dict[int, list[InboundWork]] = defaultdict(list)
    for work in works:
        by_connection[work.connection_id].append(work)
    known: dict[int, list[Remark]] = {}
    for some in by_connection.values():
        connection = some[0].connection
        parts = {work.message_id: readings[work.message_id].told for work in some}
        messages = {message: said for message, said in parts.items() if said is not None}
        if connector_of(connection.kind) is GENERIC and messages:
            ingest.take_turn(connection)  # what is stored stays so until ours is
            found = conflicts(connection, list(messages.values()))
            known |= zip(messages, found, strict=True)
        told = Told()
        for said in messages.values():
            told.extend(said)
        ingest.enter(tenant_id=tenant_id, connection=connection, told=told, at=now)
    for work in works:
        _conclude(work, readings[work.message_id], now, known.get(work.message_id, ()))


def _conclude(
    work: InboundWork, reading: Reading, now: datetime, also: Sequence[Remark] = ()
) -> None:
    """Say what became of a try, and take the delivery off the queue if that was the last."""
    errors = list(reading.errors)
    if reading.told is not None:
        status = FOLDED
        remarks = (*reading.told.remarks, *also)
        errors = [{"field": one.field, "reason": one.reason} for one in remarks]
    elif reading.again and work.attempts < TRIES:
        status = FAILED
    else:
        status = QUARANTINED
    if errors and status != FOLDED:
        logger.warning("delivery %s %s: %s", work.message_id, status, errors[0]["reason"])
    InboundOutcome.objects.create(
        tenant_id=work.tenant_id,
        message_id=work.message_id,
        at=now,
        status=status,
        errors=_printable(errors),
    )
    if status != FAILED:
        work.delete()


def _printable(errors: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Errors as they can be kept and read: the first of many, and how many more there were."""
    kept = [
        {
            name: text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:300]
            for name, text in error.items()
        }
        for error in errors[:MOST_ERRORS]
    ]
    if more := len(errors) - len(kept):
        kept.append({"field": "", "reason": f"and {more:,} more"})
    return kept
