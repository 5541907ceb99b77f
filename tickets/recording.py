"""What is done to a connection stands in the audit trail under the connection's name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portal.audit.trail import Actor, record
from tickets.models import Connection


def record_of(
    connection: Connection,
    act: str,
    by: Actor,
    at: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record an act on a connection, in the running transaction."""
    record(
        tenant_id=connection.tenant_id,
        actor=by,
        act=act,
        subject_kind="connection",
        subject_id=connection.name,
        at=at,
        detail=detail,
    )
