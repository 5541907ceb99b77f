"""The lens of a connection as it is stored: its newest mapping version, roles and bursts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from django.db import connection as database
from django.db import transaction

from portal.audit.trail import Actor
from portal.catalogue.models import Capability
from tickets.canonical import ActorKind
from tickets.lens import Lens, RoleSpan, Words
from tickets.models import Connection, MappingVersion, ReopenBurst
from tickets.recording import record_of
from tickets.refolding import refold_connection
from tickets.waking import wake

#: What the audit trail calls the act.
SAVED = "mapping.saved"


def words_of(connection: Connection) -> Words:
    """The words in force; none are mapped before the first version."""
    newest = (
        MappingVersion.objects.for_tenant(connection.tenant_id)
        .filter(connection=connection)
        .order_by("-number")
        .values_list("words", flat=True)
        .first()
    )
    return Words.parse(newest or {})


def lens_of(
    connection: Connection, *, actors: Collection[str] = (), words: Words | None = None
) -> Lens:
    """The lens of a connection. `actors` are the keys whose roles are needed."""
    tenant = connection.tenant_id
    return Lens(
        words=words_of(connection) if words is None else words,
        capabilities=dict(Capability.objects.for_tenant(tenant).values_list("slug", "pk")),
        roles=_roles(connection, actors),
        bursts=tuple(
            ReopenBurst.objects.for_tenant(tenant)
            .filter(connection=connection)
            .values_list("started_at", "ended_at")
        ),
    )


def _roles(connection: Connection, actors: Collection[str]) -> dict[str, list[RoleSpan]]:
    """What was told of accounts, by actor key."""
    if not actors:
        return {}
    spans: dict[str, list[RoleSpan]] = defaultdict(list)
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT account.actor_key, told.since, told.role, told.by_hand"
            ' FROM "tickets_agentaccount" account JOIN "tickets_accountrole" told'
            " ON told.tenant_id = account.tenant_id"
            " AND told.connection_id = account.connection_id"
            " AND told.external_id = account.external_id"
            " WHERE account.tenant_id = %s AND account.connection_id = %s"
            " AND account.actor_key = ANY(%s::uuid[])",
            [connection.tenant_id, connection.pk, list(actors)],
        )
        for key, since, role, by_hand in cursor:
            spans[str(key)].append(RoleSpan(since, ActorKind(role), by_hand))
    return spans


class SavedMeanwhile(ValueError):
    """Another version was saved since the one this draft began with; nothing was saved."""


@transaction.atomic
def save_version(
    *, connection: Connection, words: Words, by: Actor, at: datetime, based_on: int | None = None
) -> MappingVersion:
    """Save what the source's words mean from now on, and let every ticket be folded again.

    The first version lets a connection live: what was kept until then is folded. `based_on` is the
    number of the version that was changed (0: none was there): raises SavedMeanwhile where it is
    not the newest any more.
    """
    Connection.objects.select_for_update().get(pk=connection.pk, tenant=connection.tenant_id)
    last = MappingVersion.objects.for_tenant(connection.tenant_id).filter(connection=connection)
    newest = last.order_by("-number").values_list("number", flat=True).first() or 0
    if based_on is not None and based_on != newest:
        raise SavedMeanwhile(
            f"Version {newest} was saved while this page was open. Nothing was saved: open the page"
            " again and look at what changed."
        )
    number = newest + 1
    version = MappingVersion.objects.create(
        tenant_id=connection.tenant_id,
        connection=connection,
        number=number,
        words=words.document(),
        saved_at=at,
        saved_by=by.name,
    )
    if connection.live_since is None:
        connection.live_since = at
        connection.save(update_fields=["live_since"])
        wake(connection.tenant_id, at)
    record_of(connection, SAVED, by, at, {"version": number})
    refold_connection(connection, at=at)
    return version
