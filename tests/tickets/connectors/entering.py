"""A connector's deliveries entered as an installation does: stored, then folded by a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tickets import inbound, ingest
from tickets.lens import Words
from tickets.models import Connection, InboundMessage, InboundOutcome
from tickets.words import save_version

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
Delivered = tuple[str, bytes, Mapping[str, str]]
"""Topic, raw bytes, headers."""


def connected(cast: Cast, kind: str, words: Mapping[str, Any], **more: Any) -> Connection:
    """A connection of Acme whose words are mapped."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        connection = ConnectionFactory(
            tenant=cast.acme, name=kind, kind=kind, base_url="https://desk.example.org", **more
        )
        save_version(connection=connection, words=Words.parse(words), by=SYSTEM, at=NOW)
    return connection


def entered(connection: Connection, deliveries: Iterable[Delivered], at: datetime = NOW) -> None:
    """Store deliveries and let a worker sweep until nothing waits; a refused one is a failure."""
    with roles.as_role(roles.WORKER):
        for topic, raw, headers in deliveries:
            with acting(connection.tenant_id):
                inbound.receive(
                    tenant_id=connection.tenant_id,
                    connection=connection,
                    delivery_id=f"{topic}:{hash(raw)}",
                    topic=topic,
                    raw=raw,
                    headers=headers,
                    at=at,
                )
        inbound.sweep(at)
        ingest.sweep_refolds(at)
        with acting(connection.tenant_id):
            refused = InboundOutcome.objects.filter(
                message__in=InboundMessage.objects.filter(connection=connection)
            ).exclude(status="folded")
            assert not [(one.status, one.errors) for one in refused]
