"""Killed workers lose no invitation; a crowd on one link makes one answer."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from portal.database_urls import URL_VARIABLES
from tests import databases
from tests.faults import tries
from tests.surveys.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
NAME = "faults_wellserved"
MAILS, KILLS = tries(600), tries(100)

pytestmark = [pytest.mark.faults, pytest.mark.slow]


class SlowServer:
    """Takes its time for each mail, so that workers are killed with one in hand."""

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        #: Mails it was given, whether or not the sender lived to hear so.
        self.taken = 0
        #: While it holds, it has mails in hand and keeps none of them.
        self.holding = False
        self.in_hand = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Count the copies of each mail by its Message-ID."""
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken += 1
        if self.holding:
            return await self.hold()
        await asyncio.sleep(0.03)
        header = next(line for line in content.splitlines() if line.startswith(b"Message-ID"))
        self.copies[header.decode().partition(":")[2].strip()] += 1
        return "250 kept"

    async def hold(self) -> str:
        """Keep the sender waiting until it is killed."""
        self.in_hand += 1
        while self.holding:
            await asyncio.sleep(0.01)
        return "451 not kept"


def on(role: str) -> str:
    """The URL of a role, on the database of this test."""
    return databases.url(role, NAME)


@pytest.fixture(scope="module")
def staged() -> Iterator[dict[str, str]]:
    """A migrated database with invitations that are due, to copy; what its processes need."""
    databases.drop(NAME, f"{NAME}_staged")
    databases.create(NAME)
    environment = {
        **os.environ,
        **{URL_VARIABLES[role]: on(role) for role in ("owner", "worker", "web", "test")},
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_ROLE": "owner",
        "SECRET_KEY": "a secret of this test alone, long enough to be one",
    }
    try:
        run(environment, "manage.py", "migrate", "--skip-checks", "-v0")
        staging = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_ROLE": "test"}
        run(environment | staging, "-m", "tests.surveys.dispatching", "stage", str(MAILS))
        databases.rename(NAME, f"{NAME}_staged")
        yield environment | {"DATABASE_ROLE": "worker"}
    finally:
        databases.drop(NAME, f"{NAME}_staged")


@pytest.fixture
def environment(staged: dict[str, str]) -> Iterator[dict[str, str]]:
    """A fresh copy of that database."""
    databases.create(NAME, f"{NAME}_staged")
    yield staged
    databases.drop(NAME)


def run(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True)


def killed_again_and_again(environment: dict[str, str], *mode: str) -> Counter[str]:
    """Two workers send, are killed at random instants, start again; the last two finish.

    The first two are killed with a mail in hand for certain: the control must not depend on chance.
    """
    chance = random.Random(20260324)
    server = SlowServer()
    port = free_port()
    smtp = Controller(server, hostname="127.0.0.1", port=port)
    smtp.start()
    environment = environment | {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port)}
    try:
        for leases in range(KILLS // 2 + 2):
            workers = [
                subprocess.Popen(
                    [sys.executable, "-m", "tests.surveys.dispatching", "send", str(leases), *mode],
                    cwd=ROOT,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                for _ in range(2)
            ]
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == b"ready\n"
            if leases == 0:
                until_taken(server, 2, workers)
                server.holding = True
                while server.in_hand == 0:
                    time.sleep(0.002)
            elif leases < KILLS // 2:
                until_taken(server, server.taken + chance.randint(2, 6), workers)
                time.sleep(chance.uniform(0, 0.03))
            if leases < KILLS // 2:
                for worker in workers:
                    worker.kill()
            for worker in workers:
                worker.wait(timeout=300)
                assert worker.stdout is not None
                worker.stdout.close()
            server.holding = False
    finally:
        smtp.stop()
    return server.copies


def until_taken(
    server: SlowServer, enough: int, workers: Sequence[subprocess.Popen[bytes]]
) -> None:
    """Wait for the server to be given as many mails, or for nobody to have any left."""
    while server.taken < enough and any(worker.poll() is None for worker in workers):
        time.sleep(0.002)


def states() -> dict[str, str]:
    """What the database says of each invitation, by its Message-ID."""
    with psycopg.connect(on("worker")) as connection:
        connection.execute(
            "SELECT set_config('app.tenant', id::text, false) FROM tenancy_organisation"
            " WHERE slug = 'acme'"
        )
        rows = connection.execute("SELECT message_id, state FROM surveys_invitation").fetchall()
    return {f"<{message_id}@acme>": state for message_id, state in rows}


def test_killed_workers_lose_no_invitation_and_repeat_only_what_they_had_in_hand(
    environment: dict[str, str],
) -> None:
    copies = killed_again_and_again(environment)
    said = states()
    assert len(said) == MAILS
    # Killed twice with the same mail in hand: nobody can know, so a person is shown it.
    uncertain = {message for message, state in said.items() if state == "uncertain"}
    assert {message for message, state in said.items() if state == "sent"} == set(said) - uncertain
    assert set(said) - uncertain <= set(copies), "what is said to be sent has arrived"
    assert len(uncertain) <= KILLS // 2
    assert sum(copies.values()) - len(copies) <= KILLS
    assert max(copies.values()) <= 2


def test_a_dispatcher_that_marks_first_loses_mails_in_the_same_storm(
    environment: dict[str, str],
) -> None:
    """The negative control: the storm above is able to lose something."""
    copies = killed_again_and_again(environment, "marking-first")
    said = states()
    assert set(said.values()) == {"sent"}
    assert set(copies) < set(said), "it says sent, and nobody has them"


def answered_at_once(environment: dict[str, str], *mode: str) -> tuple[str, int, int]:
    """Give 50 answers to one link at once, as the web role; how many calls failed, rows written."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.surveys.dispatching", "answer", "50", *mode],
        cwd=ROOT,
        env=environment | {"DATABASE_ROLE": "web"},
        capture_output=True,
        text=True,
        check=True,
    )
    with psycopg.connect(on("worker")) as connection:
        connection.execute(
            "SELECT set_config('app.tenant', id::text, false) FROM tenancy_organisation"
            " WHERE slug = 'acme'"
        )
        row = connection.execute(
            "SELECT (SELECT count(*) FROM surveys_answer),"
            " (SELECT count(*) FROM surveys_answerrevision)"
        ).fetchone()
    assert row is not None
    return done.stdout.strip(), row[0], row[1]


def test_fifty_answers_to_one_link_at_the_same_instant_are_one(
    environment: dict[str, str],
) -> None:
    assert answered_at_once(environment) == ("0 failed", 1, 1)


def test_looking_before_writing_fails_in_the_same_crowd(environment: dict[str, str]) -> None:
    """The negative control: the crowd above is dense enough to meet."""
    failed, answers, _ = answered_at_once(environment, "looking-first")
    assert answers == 1
    assert failed != "0 failed"
