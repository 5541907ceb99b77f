"""How fast an audit log is imported, as a share of raw COPY of the same rows, and in what memory.

Everything happens in one transaction that is rolled back. Raw COPY fills empty copies of the same
tables, indexes included, with the very rows the import wrote; it knows no foreign keys, row
security or fold, so it is the ceiling. Each import runs in a process of its own: its peak memory is
its own. Run as the owner's database role: `python -m bench.import_rate`.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

TICKETS = 10_000
#: What the import writes, parents first.
TABLES = (
    "tickets_ticket",
    "tickets_ticketevent",
    "tickets_workitem",
    "tickets_resolution",
    "tickets_attribution",
)
_HEADER = (
    "number",
    "incident_state",
    "sys_mod_count",
    "caller_id",
    "opened_at",
    "sys_updated_by",
    "sys_updated_at",
    "contact_type",
    "category",
    "priority",
    "assignment_group",
    "assigned_to",
)
_STATES = ("Active", "Awaiting User Info", "Active", "Resolved", "Closed")


def main() -> list[str]:
    """Return one line for the rate and one for the memory."""
    once, fourfold = _measured(TICKETS), _measured(4 * TICKETS)
    rate = (
        f"import of {once['rows']:,} audit log rows: {once['raw_s'] / once['import_s']:.0%} of the"
        f" rate of raw COPY of the same {once['stored']:,} rows into the same indexed tables"
    )
    memory = (
        f"peak memory of the import: {once['peak_mb']:.0f} MB;"
        f" with four times the rows {fourfold['peak_mb'] / once['peak_mb']:.2f} times as much"
    )
    return [rate, memory]


def _measured(tickets: int) -> dict[str, float]:
    """Import and copy in a fresh process; return its numbers."""
    child = subprocess.run(
        [sys.executable, "-m", "bench.import_rate", str(tickets)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return dict(json.loads(child.stdout))


def _write_log(path: Path, tickets: int) -> int:
    """Write a seeded audit log with the columns of the shipped mapping; return its rows."""
    dice = random.Random(tickets)
    rows = 0
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        for number in range(tickets):
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(250_000))
            opened, caller = at, dice.randrange(tickets // 4)
            topic, priority = dice.randrange(40), dice.choice(("2 - High", "3 - Moderate"))
            for count, state in enumerate(("New", *_STATES[dice.randrange(3) :])):
                written = at.strftime("%d/%m/%Y %H:%M")
                writer.writerow(
                    (
                        f"INC{number:07}",
                        state,
                        count,
                        f"caller {caller}",
                        opened.strftime("%d/%m/%Y %H:%M"),
                        f"desk {dice.randrange(60)}",
                        written,
                        "Phone",
                        f"Category {topic}",
                        priority,
                        f"Group {dice.randrange(30)}",
                        f"agent {dice.randrange(200)}",
                    )
                )
                at += timedelta(minutes=dice.randrange(3, 3_000))
                rows += 1
    return rows


def _measure(tickets: int) -> dict[str, float]:
    """Import a log and copy what it wrote, inside a transaction that is rolled back."""
    from django.db import connection, transaction

    from portal.tenancy.context import enter
    from portal.tenancy.models import Organisation
    from tickets import importing
    from tickets.mapping import Mapping

    with tempfile.TemporaryDirectory() as folder, transaction.atomic():
        path = Path(folder) / "log.csv"
        rows = _write_log(path, tickets)
        organisation = Organisation.objects.create(slug="bench-import", name="Bench")
        began = time.perf_counter()
        importing.run(
            tenant_id=organisation.pk,
            source="log",
            path=path,
            mapping=Mapping.load("servicenow_incident_log"),
            at=datetime.now(UTC),
            progress=lambda rows, share: None,
            record_ratings=lambda **_: 0,
        )
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what COMMIT would have checked
        import_s = time.perf_counter() - began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        enter(organisation.pk)
        stored, raw_s = 0, 0.0
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"CREATE TABLE raw_{table} (LIKE {table} INCLUDING ALL)")
                with cursor.copy(
                    f"COPY (SELECT * FROM {table} WHERE tenant_id = {organisation.pk}) TO STDOUT"
                ) as copy:
                    chunks = [bytes(chunk) for chunk in copy]
                began = time.perf_counter()
                with cursor.copy(f"COPY raw_{table} FROM STDIN") as copy:
                    for chunk in chunks:
                        copy.write(chunk)
                raw_s += time.perf_counter() - began
                cursor.execute(f"SELECT count(*) FROM raw_{table}")
                stored += cursor.fetchone()[0]
        transaction.set_rollback(True)
    return {
        "rows": rows, "stored": stored, "import_s": import_s, "raw_s": raw_s, "peak_mb": peak_mb,
    }  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
        os.environ["DATABASE_ROLE"] = "owner"
        import django

        django.setup()
        print(json.dumps(_measure(int(sys.argv[1]))))
    else:
        print("\n".join(main()))
