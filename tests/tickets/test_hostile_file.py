"""A hostile file, imported by a process that is killed again and again, says what it says once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from portal.database_urls import URL_VARIABLES
from tests import databases
from tests.tickets.hostile_file import KINDS, SLUG, Expected, write

ROOT = Path(__file__).resolve().parents[2]
NAME = "hostile_wellserved"
FULL = os.environ.get("FAULTS") == "full"
#: A million rows and twenty kills under `make faults`.
ROWS, KILLS, BATCH = (1_000_000, 20, 5_000) if FULL else (20_000, 3, 1_000)
#: What the importing process may ever have resident.
MOST_KB = 300 * 1024

pytestmark = [pytest.mark.faults, pytest.mark.slow]

#: What stands in the database in the end, without ids and random keys: a count and a sum of hashes.
STATE = {
    "tickets": "SELECT t.external_id, t.state, t.severity, t.opened_at, t.last_event_at, t.group,"
    " t.subject, t.left_out, c.slug, r.external_id AS who FROM tickets_ticket t"
    " LEFT JOIN catalogue_capability c ON c.id = t.capability_id"
    " LEFT JOIN tickets_requester r ON r.id = t.requester_id",
    "events": "SELECT t.external_id, e.key, e.type, e.at, e.sequence, e.actor_kind,"
    " e.data ->> 'state' AS state, e.data ->> 'group' AS team, e.data ->> 'detail' AS detail"
    " FROM tickets_ticketevent e JOIN tickets_ticket t ON t.id = e.ticket_id",
    "items": "SELECT t.external_id, w.number, w.opened_at, w.state, w.outcome, w.ended_at,"
    " w.clock_s, w.severity, w.paused_s, w.reassignments, w.group FROM tickets_workitem w"
    " JOIN tickets_ticket t ON t.id = w.ticket_id",
    "resolutions": "SELECT t.external_id, r.event_key, r.at, r.holds, r.clock_s, r.reopen_kind,"
    " r.reopened FROM tickets_resolution r JOIN tickets_ticket t ON t.id = r.ticket_id",
    "flaws": "SELECT t.external_id, f.kind, f.detail FROM tickets_ticketflaw f"
    " JOIN tickets_ticket t ON t.id = f.ticket_id",
    "attributions": "SELECT t.external_id, a.act, a.at, g.external_id AS who"
    " FROM tickets_attribution a JOIN tickets_ticket t ON t.id = a.ticket_id"
    " JOIN tickets_agentaccount g ON g.id = a.agent_id",
    "quarantine": "SELECT row_number, field, value, reason, row_refused"
    " FROM tickets_quarantinedrow",
    "runs": "SELECT rows_done, counts, finished_at FROM tickets_importrun",
}


def on(role: str) -> str:
    """The URL of a role, on the database of this test."""
    return databases.url(role, NAME)


@pytest.fixture(scope="module")
def staged() -> Iterator[dict[str, str]]:
    """A migrated database with an organisation, to copy; what its processes need."""
    databases.drop(NAME, f"{NAME}_staged")
    databases.create(NAME)
    environment = {
        **os.environ,
        **{URL_VARIABLES[role]: on(role) for role in ("owner", "worker", "web")},
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_ROLE": "owner",
        "SECRET_KEY": "a secret of this test alone, long enough to be one",
    }
    try:
        for arguments in (
            ("manage.py", "migrate", "--skip-checks", "-v0"),
            ("-m", "tests.tickets.hostile_file", "stage"),
        ):
            subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True)
        databases.rename(NAME, f"{NAME}_staged")
        yield environment | {"DATABASE_ROLE": "worker"}
    finally:
        databases.drop(NAME, f"{NAME}_staged")


@dataclass(frozen=True)
class Hostile:
    """The file and what is known of it."""

    path: Path
    known: Expected


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    path = tmp_path_factory.mktemp("hostile") / "hostile.csv"
    return Hostile(path, write(path, ROWS))


@dataclass
class Imported:
    """The state in the end, the highest peak of memory, and how long it took without kills."""

    state: dict[str, tuple[int, Any]]
    refused: list[int]
    lost: list[int]
    doubtful: set[str]
    peak_kb: int
    seconds: float
    killed: int


def imported(environment: dict[str, str], file: Path, kills: int, *mode: str) -> Imported:
    """Import in a fresh copy of the database, in processes of which `kills` are killed."""
    databases.create(NAME, f"{NAME}_staged")
    try:
        return _imported(environment, file, kills, *mode)
    finally:
        databases.drop(NAME)


def _imported(environment: dict[str, str], file: Path, kills: int, *mode: str) -> Imported:
    chance = random.Random(kills)
    began, killed, peak = time.monotonic(), 0, 0
    batches = max(1, ROWS // BATCH // (kills + 1))
    pace = 0.2
    while True:
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.tickets.hostile_file",
                "import",
                str(file),
                str(BATCH),
                *mode,
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        with child.stdout:
            if killed < kills:
                wanted = chance.randint(1, batches)
                for _ in range(wanted):
                    at = time.monotonic()
                    assert child.stdout.readline(), "it ended before it could be killed"
                    pace = time.monotonic() - at
                time.sleep(chance.uniform(0.05, 0.95) * min(pace, 5))
                peak = max(peak, _peak_kb(child.pid))
                child.kill()
                child.wait()
                killed += 1
                continue
            said = child.stdout.readlines()
            assert child.wait() == 0
        peak = max(peak, json.loads(said[-1])["peak_kb"])
        break
    seconds = time.monotonic() - began
    with psycopg.connect(on("worker")) as connection:
        connection.execute(
            "SELECT set_config('app.tenant', id::text, false) FROM tenancy_organisation"
            f" WHERE slug = '{SLUG}'"
        )
        state = {name: _state(connection, query) for name, query in STATE.items()}
        refused, lost = (
            [
                row[0]
                for row in connection.execute(
                    "SELECT DISTINCT row_number FROM tickets_quarantinedrow WHERE"
                    f" row_refused = {which} ORDER BY 1"
                )
            ]
            for which in ("true", "false")
        )
        doubtful = {
            row[0]
            for row in connection.execute(
                "SELECT t.external_id FROM tickets_ticketflaw f JOIN tickets_ticket t"
                " ON t.id = f.ticket_id WHERE f.kind = 'ambiguous_date'"
            )
        }
    return Imported(state, refused, lost, doubtful, peak, seconds, killed)


def _state(connection: psycopg.Connection[Any], query: str) -> tuple[int, Any]:
    row = connection.execute(
        "SELECT count(*), sum(hashtextextended(one::text, 0)::numeric)"  # type: ignore[arg-type]
        f" FROM ({query}) AS one"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _peak_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return max((int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")), default=0)


@pytest.fixture(scope="module")
def undisturbed(staged: dict[str, str], hostile: Hostile) -> Imported:
    return imported(staged, hostile.path, 0)


def test_every_row_that_cannot_be_used_is_named_and_no_other(
    hostile: Hostile, undisturbed: Imported
) -> None:
    known = hostile.known
    assert len(KINDS) >= 17
    assert set(known.kinds) == set(KINDS)
    assert undisturbed.refused == known.refused
    assert undisturbed.lost == known.lost
    assert undisturbed.doubtful == known.doubtful
    assert undisturbed.state["runs"][0] == 1


def test_an_import_that_is_killed_again_and_again_ends_in_the_same_state(
    staged: dict[str, str], hostile: Hostile, undisturbed: Imported
) -> None:
    killed = imported(staged, hostile.path, KILLS)
    assert killed.killed == KILLS
    assert killed.state == undisturbed.state
    sys.stdout.write(
        f"{ROWS:,} rows: {undisturbed.seconds:.0f} s, {killed.seconds:.0f} s with {KILLS} kills;"
        f" peak {undisturbed.peak_kb >> 10} and {killed.peak_kb >> 10} MB\n"
    )
    assert max(killed.peak_kb, undisturbed.peak_kb) < MOST_KB


def test_an_importer_that_notes_its_position_apart_loses_rows_in_the_same_storm(
    staged: dict[str, str], hostile: Hostile, undisturbed: Imported
) -> None:
    """The negative control: the kills above are able to lose something."""
    killed = imported(staged, hostile.path, KILLS, "apart")
    assert killed.state != undisturbed.state
    assert killed.state["events"][0] < undisturbed.state["events"][0]
