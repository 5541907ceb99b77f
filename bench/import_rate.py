"""How fast news becomes stored, folded and marked facts, as shares of raw COPY in the same run.

A throw-away database; the worker's role writes, a commit after each batch. Raw COPY fills the very
tables with the very rows the import wrote: as the owner, past row security (which refuses COPY),
one COPY a table and one commit, with indexes, foreign keys and mark triggers; and once more copies
of the tables that have the indexes alone. It knows no fold, so it is the ceiling. Every share is
the median of interleaved repetitions. `BENCH_IMPORT_TICKETS=2000` takes another size.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from statistics import median
from typing import Any

TICKETS = int(os.environ.get("BENCH_IMPORT_TICKETS", "10000"))
REPEATS = 3
#: As many as make a batch of the file import: four events a ticket.
BATCH = 2_500
DATABASE = "bench_import"
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
#: What an import writes, parents first.
TABLES = (
    "tickets_requester",
    "tickets_agentaccount",
    "tickets_ticket",
    "tickets_ticketevent",
    "tickets_messagetext",
    "tickets_workitem",
    "tickets_resolution",
    "tickets_attribution",
)
SEVERITIES = ("low", "medium", "high", "critical")
#: The file holds one event a row.
FILE_MAPPING: dict[str, Any] = {
    "title": "Events of a bench",
    "rows": "events",
    "time": {"zone": "UTC", "formats": ["iso"]},
    "columns": {
        name: name
        for name in (
            "ticket", "at", "type", "value", "sequence", "severity", "capability", "group",
            "requester", "channel", "subject", "actor",
        )
    },
    "values": {
        "type": {name: name for name in ("opened", "agent", "reply", "status")},
        "state": {"resolved": "resolved"},
        "severity": {name: name for name in SEVERITIES},
    },
    "defaults": {"actor_kind": "agent"},
}  # fmt: skip
_REPLY = "We have looked at it and the share is available again; please sign in once more. "


class RowsWritten(AssertionError):
    """A batch that was known already wrote something."""


# --- what happens to the tickets ------------------------------------------------------------------


def _lives(
    tickets: int, prefix: str, first: datetime = FIRST
) -> Iterator[tuple[str, dict[str, Any], list[tuple[str, Any]]]]:
    """Seeded lives: a name, what was said at the opening, and (what, when) of three events more.

    The earliest ticket comes first, as help desks number them.
    """
    dice = random.Random(f"{tickets} {prefix}")
    openings = sorted(dice.randrange(15_000_000) for _ in range(tickets))
    for number, opened in enumerate(openings):
        at = first + timedelta(seconds=opened)
        opening = {
            "at": at,
            "severity": dice.choice(SEVERITIES),
            "capability": dice.choice(("accounts", "network")),
            "group": f"Group {dice.randrange(30)}",
            "requester": f"caller {dice.randrange(max(1, tickets // 4))}",
            "channel": "mail",
            "agent": f"agent {dice.randrange(200)}",
        }
        happened = []
        for what in ("agent", "reply", "status"):
            at += timedelta(seconds=dice.randrange(60, 90_000))
            happened.append((what, at))
        yield f"{prefix}{number}", opening, happened


def _news(tickets: int, prefix: str, first: datetime = FIRST) -> list[Any]:
    """Generated tickets as a connector tells them."""
    from tickets.canonical import ActorKind, Event, EventType
    from tickets.news import TicketNews, event_key

    types = {
        "agent": EventType.ASSIGNED,
        "reply": EventType.MESSAGE,
        "status": EventType.STATUS_CHANGED,
    }
    told = []
    for name, opening, happened in _lives(tickets, prefix, first):
        data = {k: opening[k] for k in ("severity", "capability", "group", "requester", "channel")}
        events = [Event(event_key(name, "opened"), EventType.CREATED, opening["at"], data=data)]
        for what, at in happened:
            said = {"agent": {"to": opening["agent"]}, "reply": {"meaning": "meaningful"}}
            events.append(
                Event(
                    event_key(name, what),
                    types[what],
                    at,
                    "1",
                    ActorKind.AGENT,
                    opening["agent"],
                    what == "reply",
                    said.get(what, {"to": "resolved"}),
                )
            )
        told.append(
            TicketNews(
                name,
                events,
                subject=f"Cannot open {name}",
                channel="mail",
                requester=opening["requester"],
                texts={events[2].key: _REPLY + name},
            )
        )
    return told


def _write_file(path: Path, tickets: int, prefix: str) -> None:
    """Generated tickets as an export, one event a row, a ticket's rows together."""
    columns = list(FILE_MAPPING["columns"])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for name, opening, happened in _lives(tickets, prefix):
            agent = opening.pop("agent")
            row = {"ticket": name, "type": "opened", "subject": f"Cannot open {name}", **opening}
            writer.writerow(row | {"at": row["at"].isoformat()})
            values = {"agent": agent, "status": "resolved"}
            for what, at in happened:
                row = {"ticket": name, "type": what, "at": at.isoformat(), "actor": agent}
                writer.writerow(row | {"value": values.get(what, "")})


# --- the database ---------------------------------------------------------------------------------


@contextmanager
def _throw_away_database() -> Iterator[None]:
    from django.conf import settings
    from django.db import connection

    name = str(settings.DATABASES["default"]["NAME"])
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.close()
        _become("owner")
        connection.creation.destroy_test_db(name, verbosity=0)


def _set_up(*, exists: bool) -> None:
    """Django on the throw-away database, new connections in the owner's role."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["WELLSERVED_TEST_DATABASE"] = DATABASE
    import django

    django.setup()
    from django.db import connection
    from django.db.backends.signals import connection_created

    from tests import roles

    connection_created.connect(roles.set_role, dispatch_uid="bench.roles")
    if exists:
        connection.settings_dict["NAME"] = DATABASE


def _become(role: str) -> None:
    from django.db import connection

    from tests import roles

    roles.become(f"wellserved_{role}")
    connection.close()


def _organisation() -> Any:
    """The cast of the tests with promised times, as owner."""
    from portal.catalogue.models import TimeTarget
    from portal.tenancy.context import acting
    from tests.factories import build_cast

    cast = build_cast()
    with acting(cast.acme.pk):
        for severity in SEVERITIES:
            for clock, hours in (("first_meaningful_response", 4), ("resolution", 40)):
                TimeTarget.objects.create(
                    tenant=cast.acme, domain=cast.it, severity=severity, clock=clock,
                    seconds=hours * 3600,
                )  # fmt: skip
        cast.desk.mapping = FILE_MAPPING
        cast.desk.save(update_fields=["mapping"])
    return cast


Dump = dict[str, list[bytes]]
"""COPY's bytes of each table."""


@contextmanager
def _past_the_rules() -> Iterator[Any]:
    """A committed transaction of the owner, for whom row security and append-only are lifted."""
    from django.db import connection, transaction

    _become("owner")
    with transaction.atomic(), connection.cursor() as cursor:
        for table in (*TABLES, "metrics_mark"):
            cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        yield cursor
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in (*TABLES, "metrics_mark"):
            cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    _become("worker")


def _dump() -> Dump:
    with _past_the_rules() as cursor:
        found: Dump = {}
        for table in TABLES:
            with cursor.copy(f"COPY {table} TO STDOUT") as copy:
                found[table] = [bytes(chunk) for chunk in copy]
    return found


def _reset(dump: Dump) -> None:
    """Go back to these rows alone, with statistics, as a database has that has been running."""
    with _past_the_rules() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only_table'"
        )
        closed = [row[0] for row in cursor.fetchall()]
        for table in closed:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only_table")
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}, metrics_mark, metrics_block CASCADE")
        for table in closed:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only_table")
        _copy(cursor, dump)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DELETE FROM metrics_mark")
        cursor.execute(f"ANALYZE {', '.join(TABLES)}")


def _copy_in(dump: Dump, prefix: str = "") -> float:
    """Seconds of raw COPY into (copies of) the tables, with its commit."""
    began = 0.0
    with _past_the_rules() as cursor:
        if prefix:
            for table in TABLES:
                cursor.execute(f"DROP TABLE IF EXISTS {prefix}{table}")
                cursor.execute(f"CREATE TABLE {prefix}{table} (LIKE {table} INCLUDING ALL)")
        began = time.perf_counter()
        _copy(cursor, dump, prefix)
    return time.perf_counter() - began


def _copy(cursor: Any, dump: Dump, prefix: str = "") -> None:
    for table, chunks in dump.items():
        with cursor.copy(f"COPY {prefix}{table} FROM STDIN") as copy:
            for chunk in chunks:
                copy.write(chunk)


def _without(dump: Dump, history: Dump) -> Dump:
    """The rows of a dump that are not history."""
    known = {table: set(_lines(chunks)) for table, chunks in history.items()}
    return {
        table: [line for line in _lines(chunks) if line not in known[table]]
        for table, chunks in dump.items()
    }


def _lines(chunks: list[bytes]) -> list[bytes]:
    return b"".join(chunks).splitlines(keepends=True)


# --- the measurements -----------------------------------------------------------------------------


def _apply(cast: Any, news: Iterable[Any]) -> tuple[float, bool]:
    """Enter news as the door's worker does; seconds with commits, and whether nothing changed."""
    took, outcomes = _entered(cast, news)
    return took, all(outcome.changed_nothing for outcome in outcomes)


def _entered(cast: Any, news: Iterable[Any]) -> tuple[float, list[Any]]:
    from portal.tenancy.context import acting
    from tickets import ingest
    from tickets.news import Told

    batches = [list(some) for some in batched(news, BATCH)]
    began = time.perf_counter()
    outcomes = []
    for some in batches:
        with acting(cast.acme.pk):
            outcomes.append(
                ingest.enter(
                    tenant_id=cast.acme.pk, connection=cast.desk, told=Told(tickets=some), at=NOW
                )
            )
    return time.perf_counter() - began, outcomes


def _import(cast: Any, path: Path) -> tuple[float, bool]:
    """Import a file; seconds with commits, and whether nothing changed."""
    from tickets import importing

    began = time.perf_counter()
    report = importing.run(
        tenant_id=cast.acme.pk, source=cast.desk.name, path=path, mapping=None, at=NOW,
        progress=lambda rows, share: None, record_ratings=lambda **_: 0,
    )  # fmt: skip
    return time.perf_counter() - began, report.changed_nothing


def _history(cast: Any, tickets: int) -> Dump:
    """Tickets of the year before, by the same people; the dump to go back to."""
    _reset({})
    _apply(cast, _news(tickets, "H", FIRST - timedelta(days=365)))
    return _dump()


def _new_and_again(cast: Any, history: Dump, repeat: int) -> dict[str, float]:
    """New tickets by the door and by a file, the same again, and raw COPY of the same rows."""
    news = _news(TICKETS, f"N{repeat}-")
    took = _measured(history, "door", lambda: _apply(cast, news))
    took["door bulk_create"] = _bulk_create(cast, _differing(cast, history))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        _write_file(path, TICKETS, f"F{repeat}-")
        return took | _measured(history, "file", lambda: _import(cast, path))


def _measured(
    history: Dump, name: str, enter: Callable[[], tuple[float, bool]]
) -> dict[str, float]:
    """Seconds of entering on top of a history, of raw COPY of what it wrote, of entering again."""
    took: dict[str, float] = {}
    _reset(history)
    took[name], _ = enter()
    whole = _dump()
    written = _without(whole, history)
    _reset(history)
    took[f"{name} raw"] = _copy_in(written)
    took[f"{name} bare"] = _copy_in(written, "raw_")
    took[f"{name} rows"] = sum(map(len, written.values()))
    took[f"{name} again"], changed_nothing = enter()
    if not changed_nothing or _sorted(_dump()) != _sorted(whole):
        raise RowsWritten("The same news again changed something.")
    return took


def _half_updates(cast: Any, history: Dump, repeat: int) -> dict[str, float]:
    """Half known tickets that are resolved now, half new ones, against Django's bulk_create."""
    known = _news(TICKETS // 2, f"K{repeat}-")
    fresh = _news(TICKETS // 2, f"M{repeat}-")
    mixed = [one for pair in zip(known, fresh, strict=True) for one in pair]
    _reset(history)
    _apply(cast, [replace(one, events=one.events[:3]) for one in known])
    before = _dump()
    _reset(before)
    ours, _ = _apply(cast, mixed)
    after = _dump()
    rows = _differing(cast, before)
    theirs = _bulk_create(cast, rows)
    if _sorted(after) != _sorted(_dump()):
        raise RowsWritten("bulk_create wrote other rows than the import.")
    return {"ours": ours, "bulk_create": theirs}


def _sorted(dump: Dump) -> dict[str, list[bytes]]:
    return {table: sorted(_lines(chunks)) for table, chunks in dump.items()}


def _models() -> list[Any]:
    from django.apps import apps

    by_table = {model._meta.db_table: model for model in apps.get_models()}
    return [by_table[table] for table in TABLES]


def _differing(cast: Any, before: Dump) -> list[tuple[Any, list[Any]]]:
    """Go back to `before`; what stood differently, as instances with all derived columns."""
    after = {model: _everything(cast, model) for model in _models()}
    _reset(before)
    differing = []
    for model, rows in after.items():
        stored = {row.pk: _values(row) for row in _everything(cast, model)}
        differing.append((model, [row for row in rows if stored.get(row.pk) != _values(row)]))
    return differing


def _values(row: Any) -> list[Any]:
    return [getattr(row, field.attname) for field in row._meta.concrete_fields]


def _everything(cast: Any, model: Any) -> list[Any]:
    from portal.tenancy.context import acting

    with acting(cast.acme.pk):
        return list(model.objects.filter(tenant=cast.acme).order_by())


def _bulk_create(cast: Any, rows: Sequence[tuple[Any, list[Any]]]) -> float:
    """Seconds of bulk_create with update_conflicts, everything derived beforehand."""
    from django.db import models

    from portal.tenancy.context import acting

    began = time.perf_counter()
    with acting(cast.acme.pk):
        for model, some in rows:
            if isinstance(model._meta.pk, models.CompositePrimaryKey):
                model.objects.bulk_create(some)  # only new rows
                continue
            names = [f.name for f in model._meta.concrete_fields if not f.primary_key]
            model.objects.bulk_create(
                some, update_conflicts=True, unique_fields=["id"], update_fields=names
            )
    return time.perf_counter() - began


def _late_event(cast: Any) -> str:
    """What one late event costs in the history that is stored."""
    from django.db import connection

    from portal.tenancy.context import acting

    history = _news(4 * TICKETS, "L")
    _reset({})
    _apply(cast, history)
    _reset(_dump())
    took, marks, outcomes = [], [], []
    for one in history[:: len(history) // 7][:7]:
        resolved = one.events[3]
        late = replace(resolved, key=resolved.key ^ 1, at=resolved.at + timedelta(hours=1))
        with acting(cast.acme.pk), connection.cursor() as cursor:
            cursor.execute("DELETE FROM metrics_mark")
        late_news = replace(one, events=[replace(late, data={"to": "open"})], texts={})
        seconds, some = _entered(cast, [late_news])
        took.append(seconds)
        outcomes += some
        with acting(cast.acme.pk), connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(DISTINCT (kind, day)), count(DISTINCT day) FROM metrics_mark"
            )
            marks.append(cursor.fetchone())
    rows = [
        one.new_events + sum(w.added + w.changed + w.removed for w in one.written.values())
        for one in outcomes
    ]
    return (
        f"one late event among {4 * TICKETS:,} tickets: {max(rows)} rows written at most,"
        f" {max(m[1] for m in marks)} days marked (of {max(m[0] for m in marks)} kinds and days);"
        f" median {median(took) * 1000:.0f} ms with its commit"
    )


def _memory() -> str:
    """Peak memory of a file import in a process of its own, for one and four times the rows."""
    peaks = []
    for tickets in (TICKETS, 4 * TICKETS):
        _reset({})
        child = subprocess.run(
            [sys.executable, "-m", "bench.import_rate", str(tickets)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        peaks.append(json.loads(child.stdout))
    return (
        f"peak memory of the import of a file: {peaks[0]:.0f} MB;"
        f" with four times the rows {peaks[1] / peaks[0]:.2f} times as much"
    )


def _peak_mb(tickets: int) -> float:
    """Import a file in this process and return its peak memory."""
    from types import SimpleNamespace

    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tickets.models import Connection

    acme = Organisation.objects.get(slug="acme")
    with acting(acme.pk):
        cast = SimpleNamespace(acme=acme, desk=Connection.objects.get(mapping__rows="events"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.csv"
        _write_file(path, tickets, "P")
        _import(cast, path)
    # Not getrusage(): there a child inherits the peak of the process that started it.
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1]) / 1024


def main() -> list[str]:
    """Return one line a measurement."""
    _set_up(exists=False)
    with _throw_away_database():
        cast = _organisation()
        _become("worker")
        history = _history(cast, TICKETS)
        runs = [_new_and_again(cast, history, repeat) for repeat in range(REPEATS)]
        halves = [_half_updates(cast, history, repeat) for repeat in range(REPEATS)]
        return [*_rates(runs), _half_line(halves), _late_event(cast), _memory()]


def _rates(runs: Sequence[dict[str, float]]) -> list[str]:
    def share(part: str, whole: str) -> str:
        return f"{median(run[whole] / run[part] for run in runs):.0%}"

    def times(part: str) -> str:
        return f"{median(run['door bulk_create'] / run[part] for run in runs):.1f}"

    shares = [
        (
            f"{what} of {TICKETS:,} new tickets with four events each: {share(key, f'{key} raw')}"
            f" of the rate of raw COPY of the same {runs[0][f'{key} rows']:,.0f} rows into the same"
            f" tables, {share(key, f'{key} bare')} of raw COPY into tables with the indexes alone;"
            f" the same again, which writes no row: {share(f'{key} again', f'{key} raw')} and"
            f" {share(f'{key} again', f'{key} bare')} (median of {len(runs)})"
        )
        for key, what in (("door", "batches"), ("file", "file"))
    ]
    bulk = (
        "new tickets against Django's bulk_create of the same rows, derived columns handed to it:"
        f" {times('door')} times its rate, and raw COPY into the same tables {times('door raw')}"
        f" times: the most there can be; into tables with the indexes alone {times('door bare')}"
    )
    return [*shares, bulk]


def _half_line(halves: Sequence[dict[str, float]]) -> str:
    times = median(run["bulk_create"] / run["ours"] for run in halves)
    return (
        f"batches of half updates, folded and marked: {times:.1f} times the rate of Django's"
        " bulk_create with update_conflicts of the same rows, derived columns handed to it"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _set_up(exists=True)
        _become("worker")
        print(json.dumps(_peak_mb(int(sys.argv[1]))))
    else:
        print("\n".join(main()))
