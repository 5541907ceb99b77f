"""Waking workers at once: a hint that there is something to look for, sent when it is committed."""

from __future__ import annotations

import logging

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def hint(task: str) -> None:
    """Let a worker do `task` (portal/celery.py) once the running transaction has committed.

    Without BROKER_URL nothing can be sent, and nothing needs to be: the next tick looks anyway. For
    the same reason a broker that is away fails nobody's request.
    """
    if settings.BROKER_URL:
        transaction.on_commit(lambda: _send(task))


def _send(task: str) -> None:
    try:
        current_app.send_task(task, retry=False)
    except OperationalError as error:
        logger.warning("no hint for %s, the next tick looks: %s", task, error)
