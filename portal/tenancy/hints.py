"""Waking workers at once: a hint that there is something to look for, sent when it is committed."""

from __future__ import annotations

from celery import current_app
from django.conf import settings
from django.db import transaction


def hint(task: str) -> None:
    """Let a worker do `task` (portal/celery.py) once the running transaction has committed.

    Without BROKER_URL nothing can be sent, and nothing needs to be: the next tick looks anyway.
    """
    if settings.BROKER_URL:
        transaction.on_commit(lambda: current_app.send_task(task))
