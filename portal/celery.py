"""The Celery app and the one beat table: what workers look for, and how often.

Work is a row with a due time in the database; a task is only a hint to look (docs/architecture.md,
"Work that must happen"). So every task body is one call, a lost message loses nothing, and a task
that fails is logged with its reason and done again at the next tick.

Start a worker with `celery -A portal.celery worker --pool threads`, DATABASE_ROLE=worker. Without
BROKER_URL it is one process with messages in memory; with it any number of workers share the work,
and hints (portal/tenancy/hints.py) wake them at once. Beat is a thread of every worker process:
forked off (`worker -B`), its ticks would never reach messages in memory, and two ticks of one sweep
do no harm.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

from celery import Celery, signals
from celery.beat import EmbeddedService, Scheduler
from django.conf import settings
from django.utils import timezone

TICK = settings.WORKER_TICK_SECONDS
HOUR = 3600.0

app = Celery("wellserved", broker=settings.BROKER_URL or "memory://localhost/")
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_pool="threads",
    broker_connection_retry_on_startup=True,
    timezone="UTC",
    # How often messages in memory are looked for, in seconds; a broker delivers by itself.
    # A broker that cannot be reached keeps a request waiting for a moment, not for minutes.
    broker_transport_options=(
        {
            "socket_connect_timeout": 2,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        }
        if settings.BROKER_URL
        else {"polling_interval": 0.1}
    ),
)


def enter_messages() -> int:
    """Fold what help desks sent."""
    from tickets import apart, inbound

    done = 0
    while entered := inbound.sweep(timezone.now(), read=apart.read):
        done += entered
    return done


def empty_what_is_old() -> int:
    """Empty raw bodies and words of messages after the time they are kept."""
    from tickets import retention

    return retention.sweep(timezone.now(), days=settings.RAW_RETENTION_DAYS)


def fold_again() -> int:
    """Fold tickets again whose mapping, roles or bursts changed."""
    from tickets import ingest

    return ingest.sweep_refolds(timezone.now())


def pull_help_desks() -> int:
    """Fetch what changed at the help desks."""
    from tickets import pulling

    return pulling.sweep(timezone.now())


def survey_sources() -> int:
    """Look at a source's words, or preview a mapping, where somebody asked."""
    from tickets import apart, surveying

    return surveying.sweep(timezone.now(), read=apart.read)


def apply_roles() -> int:
    """Let tickets be folded again whose people's roles were corrected."""
    from tickets import account_roles

    return account_roles.sweep(timezone.now())


def import_uploads() -> int:
    """Import files that came by a page."""
    from surveys import imported_ratings
    from tickets import uploads

    return uploads.sweep(timezone.now(), record_ratings=imported_ratings.record)


def place_ratings() -> int:
    """Place ratings that help desks told at their resolutions."""
    from surveys import imported_ratings

    return imported_ratings.sweep(timezone.now())


def decide_whom_to_ask() -> int:
    """Decide about what was resolved lately."""
    from surveys import triggers

    return triggers.sweep(timezone.now())


def complete_the_ledger() -> int:
    """Decide about what was heard of long after it happened."""
    from surveys import triggers

    return triggers.sweep_ledger(timezone.now())


def send_invitations() -> int:
    """Send due invitations."""
    from surveys import invitations

    return invitations.sweep(timezone.now())


def release_answers() -> int:
    """Release full batches of answers."""
    from surveys import releasing

    return releasing.sweep(timezone.now())


def read_comments() -> int:
    """Suggest what comments say, where the extra for it is installed."""
    from surveys import reading_comments

    return reading_comments.sweep(timezone.now())


def draw_comments() -> int:
    """Draw comments that two people are to read blind, once a week."""
    from surveys import blind_reading

    return blind_reading.sweep(timezone.now())


def release_reviews() -> int:
    """Release full batches of quality reviews."""
    from metrics import reviewing_quality

    return reviewing_quality.sweep(timezone.now())


def forget_observers() -> int:
    """Forget who wrote observations after the time it is kept."""
    from metrics import observing

    return observing.sweep(timezone.now())


def suggest_themes() -> int:
    """Suggest what comments are about, where new ones were released."""
    from surveys import themes

    return themes.sweep(timezone.now())


def draw_double_checks() -> int:
    """Draw items that a second person is to read again, once a week is over."""
    from metrics import double_checking

    return double_checking.sweep(timezone.now())


def refresh_columns() -> int:
    """Pack stale blocks anew."""
    from metrics import columns

    return columns.sweep(timezone.now())


#: The beat table: what is looked for, and how many seconds lie between two looks.
BEAT: list[tuple[Callable[[], int], float]] = [
    (enter_messages, TICK),
    (empty_what_is_old, HOUR),
    (fold_again, TICK),
    (pull_help_desks, TICK),
    (survey_sources, TICK),
    (apply_roles, TICK),
    (import_uploads, TICK),
    (place_ratings, TICK),
    (decide_whom_to_ask, TICK),
    (complete_the_ledger, HOUR),
    (send_invitations, TICK),
    (release_answers, TICK),
    (read_comments, TICK),
    (draw_comments, HOUR),
    (release_reviews, HOUR),
    (forget_observers, HOUR),
    (suggest_themes, HOUR),
    (draw_double_checks, HOUR),
    (refresh_columns, TICK),
]

#: What may take hours: as long as help desks answer, or a file is. It leaves a thread of the worker
#: to everything else, or four slow help desks would keep all deliveries waiting.
LONG = (pull_help_desks, import_uploads)


class _Room:
    """Threads of this process that long work may have."""

    def __init__(self) -> None:
        self.resize(None)

    def resize(self, threads: int | None) -> None:
        """All but one of a worker's threads; None: nobody counts them."""
        self._free = None if threads is None else threading.Semaphore(max(1, threads - 1))

    def within(self, body: Callable[[], int]) -> Callable[[], int]:
        """The body, where there is room: else another tick looks for the same work."""

        @wraps(body)
        def run() -> int:
            free = self._free
            if free is None:
                return body()
            if not free.acquire(blocking=False):
                return 0
            try:
                return body()
            finally:
                free.release()

        return run


room = _Room()

for body, _ in BEAT:
    app.task(room.within(body) if body in LONG else body, name=body.__name__)

app.conf.beat_schedule = {
    # A tick that nobody takes is worth nothing soon: the next one looks for the same work.
    body.__name__: {
        "task": body.__name__,
        "schedule": seconds,
        "options": {"expires": seconds + 10},
    }
    for body, seconds in BEAT
}


_beat: list[Any] = []


#: Loggers that speak at every tick; heard at LOG_LEVEL=DEBUG only. Failures are errors, and heard.
_CHATTER = ("celery.beat", "celery.worker.strategy", "celery.worker.request", "celery.app.trace")


def _start_beat(sender: Any, **_: Any) -> None:
    """Tick inside the worker process; the table of last runs stays in memory."""
    room.resize(sender.pool.limit)
    if settings.LOGGING["root"]["level"] != "DEBUG":
        for name in _CHATTER:
            logging.getLogger(name).setLevel(logging.WARNING)
    service = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)
    service.start()
    _beat.append(service)


def _stop_beat(**_: Any) -> None:
    while _beat:
        _beat.pop().service.stop()


signals.worker_ready.connect(_start_beat)
signals.worker_shutting_down.connect(_stop_beat)
