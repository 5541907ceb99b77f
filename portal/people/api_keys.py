"""Keys of external tools: made once, shown once, stored as SHA-256 (TRUST.md T07)."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction

from portal.audit.trail import Actor, record
from portal.people.models import ApiKey, Person
from portal.people.roles import Scope
from portal.tenancy.models import Door

LONGEST = timedelta(days=365)


class UnusableKey(Exception):
    """The key is unknown, revoked or expired; the caller is told nothing more."""


class BadKeyRequest(ValueError):
    """A key was asked for that cannot be given; the message says why."""


@transaction.atomic
def create_key(
    *,
    tenant_id: int,
    name: str,
    scopes: Collection[Scope],
    expires_at: datetime,
    by: Person,
    at: datetime,
) -> tuple[ApiKey, str]:
    """Make a key; return its row and the key itself, which is never to be had again.

    Raises BadKeyRequest for no scope, an unknown one, or a life of more than a year.
    """
    if not scopes or not set(scopes) <= set(Scope):
        raise BadKeyRequest(f"Choose scopes among {', '.join(Scope)}. No key was made.")
    if not at < expires_at <= at + LONGEST:
        raise BadKeyRequest("A key expires within a year from now. No key was made.")
    secret = _new_secret()
    key = ApiKey.objects.create(
        tenant_id=tenant_id,
        name=name,
        prefix=secret[:8],
        digest=digest_of(secret),
        scopes=sorted(scopes),
        created_by=by,
        created_at=at,
        expires_at=expires_at,
    )
    Door.objects.create(digest=key.digest, kind="api_key", tenant_id=tenant_id)
    record(
        tenant_id=tenant_id,
        actor=Actor(by.actor_key, by.name),
        act="api_key.created",
        subject_kind="api_key",
        subject_id=key.pk,
        at=at,
        detail={"name": name, "scopes": sorted(scopes), "expires_at": expires_at.isoformat()},
    )
    return key, secret


@transaction.atomic
def revoke_key(*, key: ApiKey, by: Person, at: datetime) -> None:
    """End a key at once; the next request with it is refused."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=at)
    Door.objects.filter(digest=key.digest).delete()
    record(
        tenant_id=key.tenant_id,
        actor=Actor(by.actor_key, by.name),
        act="api_key.revoked",
        subject_kind="api_key",
        subject_id=key.pk,
        at=at,
        detail={"name": key.name},
    )


def tenant_of(secret: str) -> int:
    """The organisation a key opens; needs no context. Raises UnusableKey."""
    if not has_right_form(secret):
        raise UnusableKey
    door = Door.objects.filter(digest=digest_of(secret), kind="api_key").first()
    if door is None:
        raise UnusableKey
    return int(door.tenant_id)


def use_key(secret: str, *, at: datetime) -> ApiKey:
    """The live key of a secret, inside its organisation's context. Raises UnusableKey."""
    key = ApiKey.objects.filter(digest=digest_of(secret)).first()
    if key is None or key.revoked_at is not None or key.expires_at <= at:
        raise UnusableKey
    # Once a minute at most: a write for every call would be work for nothing.
    if key.last_used_at is None or at - key.last_used_at > timedelta(minutes=1):
        # Whoever notes it now holds the row until their call ends; others do not wait for that.
        row = ApiKey.objects.filter(pk=key.pk).select_for_update(skip_locked=True, of=("self",))
        if row.values_list("pk", flat=True).first() is not None:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
    return key


def digest_of(secret: str) -> bytes:
    """SHA-256 of a key: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def has_right_form(secret: str) -> bool:
    """Whether prefix and checksum fit; a mistyped key never reaches the database."""
    return (
        len(secret) == 52
        and secret.startswith("qp_")
        and secret.isascii()
        and secret[46:] == _checksum(secret[:46])
    )


def _new_secret() -> str:
    body = "qp_" + secrets.token_urlsafe(32)
    return body + _checksum(body)


def _checksum(body: str) -> str:
    """Six characters by which secret scanners tell a real key from a look-alike."""
    return f"{zlib.crc32(body.encode()) & 0xFFFFFF:06x}"
