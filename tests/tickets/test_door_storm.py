"""Killed processes, sweepers side by side, a wiped broker: nothing lost, nothing entered twice."""

from __future__ import annotations

import contextlib
import hmac
import http.client
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portal.database_urls import URL_VARIABLES
from tests import databases
from tests.faults import tries
from tests.surveys.conftest import free_port
from tests.tickets.storming import SECRET, event

ROOT = Path(__file__).resolve().parents[2]
NAME = "storm_wellserved"
EVENTS, KILLS = tries(20_000), tries(200)

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def on(role: str) -> str:
    """The URL of a role, on the database of this test."""
    return databases.url(role, NAME)


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def staged() -> Iterator[dict[str, str]]:
    """A migrated database with a connection and its hook, to copy; what its processes need."""
    databases.drop(NAME, f"{NAME}_staged")
    databases.create(NAME)
    environment = {
        **{key: value for key, value in os.environ.items() if key != "BROKER_URL"},
        **{URL_VARIABLES[role]: on(role) for role in ("owner", "worker", "web", "test")},
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_ROLE": "owner",
        "DEMO": "1",
        "LOG_LEVEL": "ERROR",
        "SECRET_KEY": "a secret of this test alone, long enough to be one",
    }
    try:
        run(environment, "manage.py", "migrate", "--skip-checks", "-v0")
        staging = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_ROLE": "test"}
        path = run(environment | staging, "-m", "tests.tickets.storming", "stage")
        databases.rename(NAME, f"{NAME}_staged")
        yield environment | {"DATABASE_ROLE": "worker", "HOOK": path}
    finally:
        databases.drop(NAME, f"{NAME}_staged")


@contextmanager
def copied() -> Iterator[None]:
    """A fresh copy of that database."""
    databases.create(NAME, f"{NAME}_staged")
    try:
        yield
    finally:
        databases.drop(NAME)


@pytest.fixture
def environment(staged: dict[str, str]) -> Iterator[dict[str, str]]:
    with copied():
        yield staged


def asked(statement: str) -> list[tuple[Any, ...]]:
    """Rows of Acme, as the worker sees them."""
    with psycopg.connect(on("worker")) as connection:
        connection.execute(
            "SELECT set_config('app.tenant', id::text, false) FROM tenancy_organisation"
            " WHERE slug = 'acme'"
        )
        return connection.execute(statement).fetchall()


def state() -> dict[str, list[tuple[Any, ...]]]:
    """Everything that was folded, without numbers and moments of this run."""
    of_ticket = "JOIN tickets_ticket t ON t.id = x.ticket_id"
    return {
        "tickets": asked(
            "SELECT external_id, state, severity, subject, opened_at, last_event_at, left_out"
            " FROM tickets_ticket ORDER BY 1"
        ),
        "events": asked(
            "SELECT t.external_id, x.key, x.type, x.at, x.sequence, x.data::text"
            f" FROM tickets_ticketevent x {of_ticket} ORDER BY 1, 2"
        ),
        "items": asked(
            "SELECT t.external_id, x.number, x.severity, x.opened_at, x.state, x.outcome,"
            f" x.ended_at, x.clock_s FROM tickets_workitem x {of_ticket} ORDER BY 1, 2"
        ),
        "resolutions": asked(
            "SELECT t.external_id, x.event_key, x.number, x.at, x.kind, x.holds, x.reopen_at,"
            f" x.reopened, x.clock_s FROM tickets_resolution x {of_ticket} ORDER BY 1, 2"
        ),
    }


def stored() -> list[str]:
    """Ids of stored deliveries as their sender knows them."""
    rows = asked("SELECT delivery_id FROM tickets_inboundmessage ORDER BY id")
    return [row[0].removeprefix("hook:") for row in rows]


def outcomes() -> list[tuple[Any, ...]]:
    """How often deliveries were entered, and with what outcome."""
    return asked(
        "SELECT status, times, count(*) FROM (SELECT message_id, status, count(*) AS times"
        " FROM tickets_inboundoutcome WHERE status IN ('folded', 'quarantined')"
        " GROUP BY 1, 2) AS told GROUP BY 1, 2"
    )


# --- the storm -----------------------------------------------------------------------------------


@dataclass
class Storm:
    """Web and worker processes that are killed, and senders that go on until they are heard."""

    environment: dict[str, str]
    careless: bool = False
    events: int = EVENTS
    kills: int = KILLS
    chance: random.Random = field(default_factory=lambda: random.Random(20260302))
    port: int = field(default_factory=free_port)
    acknowledged: set[int] = field(default_factory=set)
    starts: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def start_web(self) -> None:
        self.web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "tests.tickets.storm_wsgi", "--workers", "2",
             "--worker-class", "gthread", "--threads", "4", "--bind", f"127.0.0.1:{self.port}",
             "--log-level", "critical", "--no-control-socket"],
            cwd=ROOT,
            env=self.environment
            | {"DATABASE_ROLE": "web", "STORM": "careless" if self.careless else ""},
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def start_worker(self) -> None:
        mode = ["careless"] if self.careless else []
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "tests.tickets.storming", "sweep", str(self.starts), *mode],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.starts += 1

    def children(self) -> list[int]:
        """gunicorn's own worker processes."""
        path = Path(f"/proc/{self.web.pid}/task/{self.web.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def kill(self, number: int) -> None:
        """Kill one of the processes: now a worker, now a web worker, sometimes all of the web."""
        if number % 2:
            self.worker.kill()
            self.worker.wait()
            assert self.worker.stdout is not None
            self.worker.stdout.close()
            self.start_worker()
        elif number % 10 == 0:
            os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()
            self.start_web()
        elif pids := self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)

    def send(self, numbers: Iterator[int]) -> None:
        """Send events, each again under its own id until it is acknowledged."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        for number in numbers:
            raw = event(number)
            mac = hmac.new(SECRET.encode(), raw, "sha256").hexdigest()
            headers = {"x-id": str(number), "x-hub-signature-256": f"sha256={mac}"}
            while not self.over.is_set():
                try:
                    connection.request("POST", self.environment["HOOK"], raw, headers)
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    connection.close()
                    time.sleep(0.02)
                    continue
                if answer.status in (200, 202):
                    self.acknowledged.add(number)
                    break
                assert answer.status >= 500, answer.status
                time.sleep(0.02)
        connection.close()

    def rage(self) -> None:
        """Send every event while processes are killed; leave the processes stopped."""
        self.start_web()
        self.start_worker()
        events = Shared(self.events)
        senders = [threading.Thread(target=self.send, args=[events]) for _ in range(8)]
        for sender in senders:
            sender.start()
        try:
            for number in range(self.kills):
                enough = (number + 1) * self.events // (self.kills + 1)
                while len(self.acknowledged) < enough and any(one.is_alive() for one in senders):
                    time.sleep(0.002)
                time.sleep(self.chance.uniform(0, 0.05))
                self.kill(number)
            for sender in senders:
                sender.join(600)
        finally:
            self.over.set()
            os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()
            self.worker.kill()
            self.worker.wait()
            assert self.worker.stdout is not None
            self.worker.stdout.close()


class Shared:
    """Numbers that several threads take in turn."""

    def __init__(self, most: int) -> None:
        self._numbers, self._lock = iter(range(most)), threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._numbers)


@pytest.fixture(scope="module")
def undisturbed(staged: dict[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    """What the same events say where nothing is killed."""
    with copied():
        run(staged | {"DATABASE_ROLE": "web"}, "-m", "tests.tickets.storming", "deliver",
            str(EVENTS), "quietly")  # fmt: skip
        run(staged, "-m", "tests.tickets.storming", "drain")
        return state()


def test_killed_processes_lose_nothing_they_acknowledged_and_enter_everything_once(
    undisturbed: dict[str, list[tuple[Any, ...]]], environment: dict[str, str]
) -> None:
    storm = Storm(environment)
    storm.rage()
    assert len(storm.acknowledged) == EVENTS
    kept = stored()
    assert {str(one) for one in storm.acknowledged} <= set(kept)
    assert len(kept) == len(set(kept)) == EVENTS, "stored exactly once"
    run(environment, "-m", "tests.tickets.storming", "drain")
    assert outcomes() == [("folded", 1, EVENTS)]
    found = state()
    assert len(found["events"]) == EVENTS
    for table, rows in undisturbed.items():
        assert found[table] == rows, table


def test_receivers_and_sweeps_that_are_careless_lose_in_the_same_storm(
    environment: dict[str, str],
) -> None:
    """The negative control: it is acknowledged before it is stored, and entered off the queue."""
    storm = Storm(environment, careless=True, events=1000, kills=10)
    storm.rage()
    kept = set(stored())
    assert {str(one) for one in storm.acknowledged} - kept, "acknowledged, and nobody has it"
    (waiting,) = asked("SELECT count(*) FROM tickets_inboundwork")[0]
    (entered,) = asked("SELECT count(*) FROM tickets_ticketevent")[0]
    assert entered + waiting < len(kept), "off the queue, and nobody entered it"


# --- side by side --------------------------------------------------------------------------------


def side_by_side(environment: dict[str, str], *mode: str) -> None:
    """Three sweepers empty one queue, begun together."""
    count = str(EVENTS // 2)
    run(environment | {"DATABASE_ROLE": "web"}, "-m", "tests.tickets.storming", "deliver",
        count, "quietly")  # fmt: skip
    sweepers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.tickets.storming", "drain", *mode],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    for sweeper in sweepers:
        sweeper.wait(timeout=600)


def test_sweepers_side_by_side_enter_each_delivery_once_at_its_first_try(
    environment: dict[str, str],
) -> None:
    side_by_side(environment)
    assert outcomes() == [("folded", 1, EVENTS // 2)]
    assert asked("SELECT count(*) FROM tickets_inboundoutcome WHERE status = 'failed'") == [(0,)]


def test_sweepers_without_locks_enter_deliveries_twice(environment: dict[str, str]) -> None:
    """The negative control: three at one queue do meet."""
    side_by_side(environment, "careless")
    assert [times for _, times, _ in outcomes() if times > 1]


# --- the broker ----------------------------------------------------------------------------------


class Broker:
    """Debian's Redis on a free port, which can be stopped and comes back empty."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        self.port = free_port()
        self.command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                        "--dir", str(folder)]  # fmt: skip
        self.start()

    def start(self) -> None:
        self.server = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self.server.kill()
        self.server.wait()

    def wipe(self) -> None:
        import redis

        with redis.Redis(port=self.port) as client:
            client.flushall()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path)
    yield started
    started.stop()


@contextmanager
def celery(environment: dict[str, str], log: Path) -> Iterator[None]:
    """A worker as the Procfile starts it, with the hostile help desk among its connectors."""
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tests.tickets.storm_celery", "worker",
             "--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield
        finally:
            worker.terminate()
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def waiting() -> int:
    return int(asked("SELECT count(*) FROM tickets_inboundwork")[0][0])


def through_a_lost_broker(
    environment: dict[str, str], broker: Broker, folder: Path, *, tick: str, seconds: float
) -> int:
    """Deliver while the broker is wiped and away; how much waits after some seconds."""
    environment = environment | {
        "BROKER_URL": f"redis://127.0.0.1:{broker.port}/0",
        "WORKER_TICK_SECONDS": tick,
    }
    with celery(environment, folder / "one.log"), celery(environment, folder / "two.log"):
        sender = subprocess.Popen(
            [sys.executable, "-m", "tests.tickets.storming", "deliver", "1500"],
            cwd=ROOT,
            env=environment | {"DATABASE_ROLE": "web"},
        )
        for _ in range(10):
            time.sleep(0.1)
            broker.wipe()
        broker.stop()
        try:
            assert sender.wait(timeout=120) == 0, "a broker that is away fails no sender"
        finally:
            sender.kill()
        broker.start()
        end = time.monotonic() + seconds
        while waiting() and time.monotonic() < end:
            time.sleep(0.2)
        return waiting()


def test_a_broker_that_is_wiped_and_away_loses_nothing(
    environment: dict[str, str], broker: Broker, tmp_path: Path
) -> None:
    left = through_a_lost_broker(environment, broker, tmp_path, tick="1", seconds=120)
    assert left == 0, (tmp_path / "one.log").read_text()[-3000:]
    assert outcomes() == [("folded", 1, 1500)]


def test_without_a_tick_a_lost_broker_leaves_deliveries_waiting(
    environment: dict[str, str], broker: Broker, tmp_path: Path
) -> None:
    """The negative control: where hints alone carry the work, it is lost with them."""
    assert through_a_lost_broker(environment, broker, tmp_path, tick="3600", seconds=10) > 0
