"""Connecting webhooks: a hook address shown once, the secret that signs them, and their end.

The address holds a secret of its own, of which only the SHA-256 is kept; what signs the requests is
sealed (portal/sealing.py), because it is needed again to verify each of them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse

from portal.audit.trail import Actor
from portal.sealing import open_sealed, seal
from portal.tenancy.models import Door
from tickets.connectors import connector_of
from tickets.connectors.signatures import unfit
from tickets.models import Connection, HookSecret
from tickets.recording import record_of

#: The kind of `Door` a hook address is.
KIND = "hook"
#: How long a former signing secret is still accepted, unless said otherwise.
OVERLAP = timedelta(days=1)
#: What 32 random bytes look like in an address.
_FORM = re.compile(r"[\w-]{43}", re.ASCII)

OPENED, ROTATED, RETIRED = "hook.opened", "hook.secret_rotated", "hook.retired"


class TakesNoHooks(Exception):
    """This kind of source sends no webhooks; nothing was made."""


class NoHook(Exception):
    """The connection has no hook address; nothing was changed."""


class BadSecret(ValueError):
    """The secret cannot sign this source's webhooks; the message says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class NewHook:
    """A hook address and what signs its requests: shown once, never to be had again."""

    url: str = field(repr=False)
    #: Empty where the source signs nothing: its webhooks are hints to fetch.
    secret: str = field(repr=False)


@transaction.atomic
def open_hook(*, connection: Connection, by: Actor, at: datetime, secret: str = "") -> NewHook:
    """Make the connection's hook address and signing secret; former ones end at once.

    `secret` is the help desk's own where it makes them itself; else one is made. Raises
    TakesNoHooks and BadSecret.
    """
    connector = connector_of(connection.kind)
    if not connector.hooks:
        raise TakesNoHooks(
            f"{connector.name} sends no webhooks that are understood; it is pulled instead."
        )
    _close(connection)
    part = secrets.token_urlsafe(32)
    connection.hook_digest = digest_of(part)
    connection.save(update_fields=["hook_digest"])
    Door.objects.create(digest=connection.hook_digest, kind=KIND, tenant_id=connection.tenant_id)
    signing = _keep_secret(connection, secret, at) if connector.scheme is not None else ""
    record_of(connection, OPENED, by, at, {"signed": bool(signing)})
    return NewHook(settings.PUBLIC_URL + reverse("hook", args=[part]), signing)


@transaction.atomic
def rotate_secret(
    *,
    connection: Connection,
    by: Actor,
    at: datetime,
    secret: str = "",
    overlap: timedelta = OVERLAP,
) -> str:
    """Put another signing secret in force and return it; the former is accepted for `overlap`.

    An overlap of nought ends every former secret at once. Raises NoHook, TakesNoHooks where the
    source signs nothing, and BadSecret.
    """
    Connection.objects.select_for_update().get(pk=connection.pk, tenant=connection.tenant_id)
    if connection.hook_digest is None:
        raise NoHook(f"{connection.name} has no hook address yet. Make one first.")
    if connector_of(connection.kind).scheme is None:
        raise TakesNoHooks(f"{connection.name} signs nothing: there is no secret to change.")
    kept = _secrets(connection)
    if overlap > timedelta(0):
        kept.filter(accepted_until__lte=at).delete()
        kept.filter(accepted_until=None).update(accepted_until=at + overlap)
    else:
        kept.delete()
    made = _keep_secret(connection, secret, at)
    record_of(connection, ROTATED, by, at, {"overlap_s": int(overlap.total_seconds())})
    return made


@transaction.atomic
def retire_hook(*, connection: Connection, by: Actor, at: datetime) -> None:
    """End the hook address and its secrets at once. Raises NoHook."""
    if connection.hook_digest is None:
        raise NoHook(f"{connection.name} has no hook address.")
    _close(connection)
    connection.hook_digest = None
    connection.save(update_fields=["hook_digest"])
    record_of(connection, RETIRED, by, at, {})


def accepted_secrets(connection: Connection, at: datetime) -> list[str]:
    """Every secret that may sign the connection's requests now. Raises CannotOpen."""
    live = _secrets(connection).filter(Q(accepted_until=None) | Q(accepted_until__gt=at))
    return [
        open_sealed(bytes(sealed), belongs_to=_seal_name(connection))
        for sealed in live.values_list("sealed", flat=True)
    ]


def digest_of(part: str) -> bytes:
    """What is stored of an address's secret part: 256 random bits need no slow hash."""
    return hashlib.sha256(part.encode()).digest()


def has_right_form(part: str) -> bool:
    """Whether it can be an address that was given out; others never reach the database."""
    return _FORM.fullmatch(part) is not None


def _secrets(connection: Connection) -> QuerySet[HookSecret]:
    found: QuerySet[HookSecret] = HookSecret.objects.for_tenant(connection.tenant_id).filter(
        connection=connection
    )
    return found


def _close(connection: Connection) -> None:
    if connection.hook_digest is not None:
        Door.objects.filter(digest=bytes(connection.hook_digest), kind=KIND).delete()
    _secrets(connection).delete()


def _keep_secret(connection: Connection, given: str, at: datetime) -> str:
    """Seal the given secret, or a new one, as the one in force; return it."""
    secret = given.strip() or "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    scheme = connector_of(connection.kind).scheme
    if scheme is not None and (why := unfit(secret, scheme)):
        raise BadSecret(f"{why} Nothing was changed.")
    HookSecret.objects.create(
        tenant_id=connection.tenant_id,
        connection=connection,
        sealed=seal(secret, belongs_to=_seal_name(connection)),
        created_at=at,
    )
    return secret


def _seal_name(connection: Connection) -> str:
    """What a secret is sealed to: copied to another connection, it does not open."""
    return f"hook secret {connection.tenant_id} {connection.pk}"
