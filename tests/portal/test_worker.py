"""The real worker: beat ticks in its own process, every tick arrives, mails go out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from threading import Event, Semaphore
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection

from portal.celery import BEAT, LONG, _Room, app
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
                "WORKER_TICK_SECONDS": "0.6",
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
            process.wait(timeout=120)


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
        end = time.monotonic() + 240
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


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """Debian's Redis on a free port; the URL of its broker."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(timeout=60)


@pytest.mark.slow
def test_with_a_broker_two_workers_share_the_work_and_a_hint_wakes_one_at_once(
    db: None, tmp_path: Path, redis: str
) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    broker = {"BROKER_URL": redis, "WORKER_TICK_SECONDS": "3600"}
    hinting = (
        "import django; django.setup(); import portal.celery;"
        "from django.db import transaction; from portal.tenancy.hints import hint\n"
        "with transaction.atomic():\n    [hint('release_answers') for _ in range(20)]"
    )
    url = urlunsplit(
        urlsplit(database_url("worker"))._replace(path=f"/{connection.settings_dict['NAME']}")
    )
    environment = {
        **os.environ,
        **broker,
        URL_VARIABLES["worker"]: url,
        "DATABASE_ROLE": "worker",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": settings.SECRET_KEY,
    }

    def taken() -> list[int]:
        return [received(log)["release_answers"] for log in logs]

    with worker(logs[0], **broker), worker(logs[1], **broker):
        wait_for(lambda: all("ready." in log.read_text() for log in logs))
        command = [sys.executable, "-c", hinting]
        for number in range(20, 400, 20):  # a busy machine may let one of them take a round alone
            subprocess.run(command, cwd=ROOT, env=environment, check=True)
            wait_for(lambda: sum(taken()) == number)  # noqa: B023 - waited for at once
            if min(taken()):
                break
    assert min(taken()) > 0
    assert all("raised unexpected" not in log.read_text() for log in logs)


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Look again until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


@pytest.mark.parametrize(("threads", "at_work"), [(4, 3), (2, 1), (1, 1), (None, 6)])
def test_work_that_takes_hours_leaves_a_thread_to_everything_else(
    threads: int | None, at_work: int
) -> None:
    """None is the control: where nobody counts, all six come in."""
    room, go_on, begun = _Room(), Event(), Semaphore(0)

    def slow() -> int:
        begun.release()
        assert go_on.wait(30)
        return 1

    room.resize(threads)
    body = room.within(slow)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(body) for _ in range(6)]
        for _ in range(at_work):
            assert begun.acquire(timeout=30)
        turned_away = [one.result(30) for one in islice(as_completed(asked), 6 - at_work)]
        go_on.set()
        assert sum(one.result(30) for one in asked) == at_work
    assert turned_away == [0] * (6 - at_work)
    assert body() == 1, "there is room again"


def test_what_may_take_hours_is_what_the_worker_keeps_within_its_room() -> None:
    kept = {name for name, task in app.tasks.items() if hasattr(task.run, "__wrapped__")}
    assert kept == {body.__name__ for body in LONG} == {"pull_help_desks", "import_uploads"}


def test_the_beat_table_names_tasks_that_exist() -> None:
    assert set(app.conf.beat_schedule) == {body.__name__ for body, _ in BEAT}
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["schedule"] > 0
