"""The real worker: beat ticks in its own process, every tick arrives, mails go out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from portal.celery import BEAT, app
from portal.database_urls import URL_VARIABLES, database_url

ROOT = Path(__file__).resolve().parents[2]
SECOND_TICKS = 14


@contextmanager
def worker(log: Path, **environment: str) -> Iterator[None]:
    """A worker as the Procfile starts it, on the test's database, as the worker's role."""
    url = urlsplit(database_url("worker"))
    name = str(connection.settings_dict["NAME"])
    command = [sys.executable, "-m", "celery", "-A", "portal.celery", "worker"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--pool", "threads", "--concurrency", "4", "--loglevel", "INFO"],
            cwd=ROOT,
            env={
                **{k: v for k, v in os.environ.items() if k not in URL_VARIABLES.values()},
                URL_VARIABLES["worker"]: urlunsplit(url._replace(path=f"/{name}")),
                "DJANGO_SETTINGS_MODULE": "portal.settings",
                "DATABASE_ROLE": "worker",
                "SECRET_KEY": settings.SECRET_KEY,
                "WORKER_TICK_SECONDS": "0.3",
                "LOG_LEVEL": "DEBUG",
                **environment,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def counted(log: Path, pattern: str) -> Counter[str]:
    return Counter(re.findall(pattern, log.read_text(errors="replace")))


def sent(log: Path) -> Counter[str]:
    return counted(log, r"Sending due task (\w+)")


def received(log: Path) -> Counter[str]:
    return counted(log, r"Task (\w+)\[[^]]+\] received")


@pytest.mark.slow
def test_every_tick_of_the_beat_thread_arrives_and_succeeds(db: None, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    ticking = {body.__name__ for body, seconds in BEAT if seconds < 60}
    with worker(log):
        end = time.monotonic() + 60
        while (
            time.monotonic() < end
            and min((received(log)[name] for name in ticking), default=0) < SECOND_TICKS
        ):
            time.sleep(0.2)
    text = log.read_text(errors="replace")
    for name in ticking:
        assert received(log)[name] >= SECOND_TICKS, text[-3000:]
        # What was sent in the last instant before the end may not have been taken any more.
        assert sent(log)[name] - received(log)[name] <= 1
    finished = counted(log, r"Task (\w+)\[[^]]+\] succeeded")
    assert {name for name in ticking if finished[name] < SECOND_TICKS - 2} == set(), text[-3000:]
    assert "raised unexpected" not in text


def test_the_beat_table_names_tasks_that_exist() -> None:
    assert set(app.conf.beat_schedule) == {body.__name__ for body, _ in BEAT}
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["schedule"] > 0
