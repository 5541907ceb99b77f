"""Writing and verifying the audit trail: record() and verify()."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from portal.audit.models import AuditEntry

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: an opaque key (`person:17`, `key:3`, `system`) and the name to print."""

    key: str
    name: str


SYSTEM = Actor("system", "Wellserved")


@dataclass(frozen=True, slots=True)
class BrokenEntry:
    """The first entry of a trail that does not hold."""

    sequence: int
    reason: str


@transaction.atomic
def record(
    *,
    tenant_id: int,
    actor: Actor,
    act: str,
    subject_kind: str,
    subject_id: object,
    at: datetime,
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Append one act to the organisation's trail, in the transaction of the act itself.

    An advisory lock orders writers of one organisation; `detail` must be plain JSON.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit'), %s)", [tenant_id])
    last = AuditEntry.objects.for_tenant(tenant_id).order_by("-sequence").first()
    entry = AuditEntry(
        tenant_id=tenant_id,
        sequence=last.sequence + 1 if last else 1,
        at=at.astimezone(UTC),
        actor_key=actor.key,
        actor_name=actor.name,
        act=act,
        subject_kind=subject_kind,
        subject_id=str(subject_id),
        detail=dict(detail or {}),
        previous_hash=bytes(last.hash) if last else GENESIS,
    )
    entry.hash = entry_hash(entry)
    entry.save(force_insert=True)
    return entry


def entry_hash(entry: AuditEntry) -> bytes:
    """SHA-256 over the previous hash and the canonical JSON of everything the entry says."""
    content = {
        "tenant": entry.tenant_id,
        "sequence": entry.sequence,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_key": entry.actor_key,
        "actor_name": entry.actor_name,
        "act": entry.act,
        "subject_kind": entry.subject_kind,
        "subject_id": entry.subject_id,
        "detail": entry.detail,
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(bytes(entry.previous_hash) + canonical.encode()).digest()


def verify(tenant_id: int) -> tuple[int, BrokenEntry | None]:
    """Recompute the chain; return the number of sound entries and the first broken one, if any."""
    previous, expected = GENESIS, 1
    entries = AuditEntry.objects.for_tenant(tenant_id).order_by("sequence")
    for entry in entries.iterator(chunk_size=2000):
        if entry.sequence != expected:
            return expected - 1, BrokenEntry(expected, "this entry is missing")
        if bytes(entry.previous_hash) != previous:
            return expected - 1, BrokenEntry(entry.sequence, "does not follow the entry before it")
        if bytes(entry.hash) != entry_hash(entry):
            return expected - 1, BrokenEntry(entry.sequence, "its content was changed")
        previous, expected = bytes(entry.hash), expected + 1
    return expected - 1, None
