"""How long an answer counts, as the organisation decided it (METRICS.md M01).

An invitation keeps the window it was sent with: whoever was asked was told until when.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from surveys.models import AnswerWindow

#: Answers count within this of sending, itself included, where nothing else was decided.
WINDOW = timedelta(days=14)


def answer_window(tenant_id: int) -> timedelta:
    """The window in force of an organisation."""
    newest = AnswerWindow.objects.for_tenant(tenant_id).order_by("-pk").first()
    return WINDOW if newest is None else newest.window


def change_answer_window(tenant_id: int, window: timedelta, *, at: datetime) -> AnswerWindow:
    """Give invitations from here on another window."""
    return AnswerWindow.objects.create(tenant_id=tenant_id, window=window, at=at)
