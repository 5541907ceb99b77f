"""Replaying a dead letter: an act of a person or a tool, recorded; the worker enters it again."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit.trail import Actor, record
from tickets import inbound

#: What the audit trail calls the act.
REPLAYED = "delivery.replayed"


@transaction.atomic
def replay(*, tenant_id: int, message_id: int, by: Actor, at: datetime) -> bool:
    """Queue a delivery again from its stored bytes; False if it waits already.

    Raises inbound.BodyEmptied, and InboundMessage.DoesNotExist.
    """
    queued = inbound.replay(tenant_id=tenant_id, message_id=message_id, at=at)
    if queued:
        record(
            tenant_id=tenant_id,
            actor=by,
            act=REPLAYED,
            subject_kind="delivery",
            subject_id=message_id,
            at=at,
        )
    return queued
