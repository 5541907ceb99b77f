"""Letting workers know that deliveries wait to be entered."""

from __future__ import annotations

from datetime import datetime

from portal.tenancy import due
from portal.tenancy.hints import hint

#: The kind of `Due` row that leads a worker to stored deliveries.
FOLD = "fold"


def wake(tenant_id: int, at: datetime) -> None:
    """Note that an organisation has deliveries waiting, and hint workers to look."""
    due.note(tenant_id, FOLD, at)
    hint("enter_messages")
