"""How fast scorecards are told from column blocks: ratios, all from one interleaved run.

40 organisations of uneven size (bench/reading/world.py), row-level security on. Told are 90 days by
capability, by capability and severity, by capability and a two-valued column (facts hold no segment
of their own), and by capability and week, twelve of them: from blocks, by `percentile_cont` over a
covering index, over the normalised tables (in one statement a fact kind, and figure by figure, as
a dashboard's tiles ask), and by DuckDB on the same rows. Every figure of every way is compared,
also while tickets are being written; a difference fails the run. Blocks are told by a process that
has read them before, and by one that has not. Then scorecards are fetched over HTTP.
`BENCH_TICKETS=10000000 make bench` takes another size, a million by default; `BENCH_ROUNDS` how
often each is asked.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

TICKETS = 1_000_000
ROUNDS = 7
#: The slowest way is asked once in a while: it is slower by orders of magnitude.
TABLES_ROUNDS = 1
#: Organisations with so many tickets in the window are those the aims are about.
LARGE = 7_000
#: Smaller ones that are compared too, by their place in the order of size.
SMALLER = (7, 12, 20, 39)
WORKERS = 2
#: Who ask for much at once: more than one for each thread of a web process.
AT_ONCE = 16
MARKED_DAYS = 10
COMMITS = 40
DURING_INGEST = 6
WINDOW_DAYS = 90


class FiguresDiffer(AssertionError):
    """Two ways told different figures."""


@dataclass
class Ways:
    """What each way took, by organisation: seconds, and processor seconds."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    def add(self, way: str, wall: float, cpu: float) -> None:
        self.wall.setdefault(way, []).append(wall)
        self.cpu[way] = self.cpu.get(way, 0.0) + cpu

    def took(self, way: str) -> float:
        return median(self.wall[way])

    def cpu_of(self, way: str) -> float:
        return self.cpu[way] / len(self.wall[way])


def main() -> Iterator[str]:
    """Yield one line for each thing measured."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["WELLSERVED_TEST_DATABASE"] = "bench_scorecard"
    import django

    django.setup()
    from bench.reading import world

    tickets = int(os.environ.get("BENCH_TICKETS", TICKETS))
    with world.database(), TemporaryDirectory() as folder:
        began = time.perf_counter()
        tenants = world.fill(tickets)
        duck = _other_ways(Path(folder))
        yield f"{tickets:,} tickets of {len(tenants)} organisations; load {os.getloadavg()[0]:.1f}"
        yield f"(filled in {time.perf_counter() - began:.0f} s)"
        yield from _rebuilt(tenants)
        yield from _sizes()
        yield from _read(tenants, duck)
        yield from _written_meanwhile(tenants[0])
        yield from _clean_again(tenants[0])
        yield from _served(tenants)


def _other_ways(folder: Path) -> Any:
    from django.db import connection

    from bench.reading import by_sql
    from tests import roles

    duck = by_sql.Duck(folder / "bench.duckdb")
    with roles.as_role(roles.OWNER), connection.cursor() as cursor, _unforced(cursor):
        by_sql.flatten(cursor)
        duck.fill(cursor, folder)
        by_sql.protect(cursor)
    return duck


@contextmanager
def _unforced(cursor: Any) -> Iterator[None]:
    """Let the owner read every organisation's rows for a while."""
    cursor.execute("SELECT oid::regclass::text FROM pg_class WHERE relforcerowsecurity")
    forced = [table for (table,) in cursor.fetchall()]
    for table in forced:
        cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield
    for table in forced:
        cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


# --- packing -------------------------------------------------------------------------------------


def _mark(tenant: Any, days: int | None = None) -> None:
    """Mark every day of every kind, or the last few of the window."""
    from django.db import connection

    from bench.reading import world
    from metrics import columns
    from portal.tenancy.context import acting
    from tests import roles

    first = world.FIRST.date() if days is None else world.UNTIL
    with roles.as_role(roles.WORKER), acting(tenant.pk), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_mark (tenant_id, kind, day) SELECT %s, kind, day::date"
            " FROM unnest(%s::text[]) AS kind,"
            " generate_series(%s::date - %s::integer, %s::date - 1, '1 day') AS day",
            [
                tenant.pk,
                list(columns.KINDS),
                first,
                days or 0,
                world.AS_OF.date() if days is None else world.UNTIL,
            ],
        )


def _rebuilt(tenants: list[Any]) -> Iterator[str]:
    """Ticks of the product's worker overlap: a rebuild that lasts is soon shared by several."""
    for tenant in tenants:
        _mark(tenant.organisation)
    own, began = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        told = list(pool.map(lambda _: _sweep(), range(WORKERS)))
    wall = time.perf_counter() - began
    cpu = time.process_time() - own + sum(database for _, database in told)
    yield (
        f"all blocks rebuilt, {sum(days for days, _ in told):,} of a day and kind, by {WORKERS}"
        f" workers: {wall:.1f} s, {cpu:.1f} s of one processor (aim: under 20 s)"
    )


def _sweep() -> tuple[int, float]:
    """Days that were packed, and processor seconds of the connection that packed them."""
    from django.db import connection

    from bench.reading import world
    from bench.reading.processes import cpu_seconds
    from metrics import columns
    from tests import roles

    try:
        with roles.as_role(roles.WORKER):
            days = columns.sweep(world.AS_OF)
        return days, cpu_seconds(connection.connection.info.backend_pid)
    finally:
        connection.close()


def _sizes() -> Iterator[str]:
    from django.db import connection

    from tests import roles

    with roles.as_role(roles.OWNER), connection.cursor() as cursor, _unforced(cursor):
        cursor.execute("VACUUM ANALYZE metrics_block")
        cursor.execute(
            "SELECT kind, sum(rows), sum(octet_length(columns) + octet_length(far))::float8"
            " / sum(rows), (sum(octet_length(columns) + octet_length(far)) + sum(8 *"
            " cardinality(ends) + 4 * cardinality(capabilities)))::float8 / sum(rows)"
            " FROM metrics_block GROUP BY kind HAVING sum(rows) > 0 ORDER BY kind"
        )
        for kind, rows, packed, sliced in cursor.fetchall():
            yield (
                f"  {kind}: {packed:.1f} bytes a row, {sliced:.1f} with its slices;"
                f" {rows:,} rows (aim: at most 20)"
            )
        cursor.execute("SELECT pg_total_relation_size('metrics_block'), sum(rows)"
                       " FROM metrics_block")  # fmt: skip
        size, rows = cursor.fetchone()
        yield f"  the table of all blocks with its index: {size / rows:.1f} bytes a row"


# --- reading -------------------------------------------------------------------------------------


def _asked(tenant: Any) -> Any:
    from bench.reading import world
    from bench.reading.by_sql import Asked

    zone = tenant.organisation.zone
    start, end = (
        int(datetime.combine(day, clock_time(), tzinfo=zone).timestamp())
        for day in (world.START, world.UNTIL)
    )
    return Asked(tenant.organisation.pk, start, end)


def _read(tenants: list[Any], duck: Any) -> Iterator[str]:
    from bench.reading import by_sql
    from bench.reading.by_blocks import by_blocks
    from metrics import columns
    from metrics.keeping import KEPT
    from portal.tenancy.context import acting
    from tests import roles

    in_window = [round(one.tickets * WINDOW_DAYS / 730) for one in tenants]
    chosen = [n for n, size in enumerate(in_window) if size >= LARGE or n in SMALLER]
    rounds = int(os.environ.get("BENCH_ROUNDS", ROUNDS))
    took = {n: Ways() for n in chosen}
    compared = 0
    for turn in range(rounds):
        for n in chosen:
            tenant, asked = tenants[n].organisation, _asked(tenants[n])
            ways: dict[str, Callable[[], Any]] = {
                "first": lambda t=tenant, a=asked: by_blocks(t, a),
                "blocks": lambda t=tenant, a=asked: by_blocks(t, a),
                "index": lambda a=asked: by_sql.by_index(a),
                "duckdb": lambda a=asked: duck(a),
            }
            if turn < TABLES_ROUNDS:
                ways["tables"] = lambda a=asked: by_sql.by_tables(a)
                ways["apart"] = lambda a=asked: by_sql.by_tables_apart(a)
            told = {}
            KEPT.clear()
            with roles.as_role(roles.WEB), acting(tenant.pk):
                for way, ask in ways.items():
                    with _used() as used:
                        told[way] = ask()
                    took[n].add(way, used.wall, used.cpu)
            if turn == 0:
                compared += _compare({way: named() for way, named in told.items()})
            _mark(tenant, MARKED_DAYS)
            with roles.as_role(roles.WEB), acting(tenant.pk):
                for way in ("marked", "marked again"):
                    with _used() as used:
                        by_blocks(tenant, asked)
                    took[n].add(way, used.wall, used.cpu)
            with roles.as_role(roles.WORKER):
                columns.refresh(tenant)
    yield f"{compared:,} figures equal in every way (aim: 30,000)"
    for n in chosen:
        one = took[n]
        blocks = one.took("blocks")
        yield (
            f"  {in_window[n]:,} tickets in 90 days: blocks {blocks * 1000:.0f} ms;"
            f" covering index {one.took('index') / blocks:.1f} times as long,"
            f" normalised {one.took('tables') / blocks:.0f} and figure by figure"
            f" {one.took('apart') / blocks:.0f}, DuckDB"
            f" {one.took('duckdb') / blocks:.1f}; of DuckDB's processor time"
            f" {one.cpu_of('blocks') / max(one.cpu_of('duckdb'), 0.001):.2f}; with ten marked days"
            f" the index {one.took('index') / one.took('marked'):.1f} times as long, and"
            f" {one.took('index') / one.took('marked again'):.1f} times once they were read; where"
            f" nothing is kept yet {one.took('first') * 1000:.0f} ms, the index"
            f" {one.took('index') / one.took('first'):.1f} times as long"
        )
    yield "  (aims from 7,000 tickets on: index 8, normalised 500, processor 0.5, marked 4)"


def _compare(told: dict[str, Any]) -> int:
    first = told["blocks"]
    for way, figures in told.items():
        if figures.keys() != first.keys():
            odd = sorted(figures.keys() ^ first.keys())[:3]
            raise FiguresDiffer(f"{way} and blocks do not tell the same figures: {odd}")
        for key, value in figures.items():
            if abs(value - first[key]) > 1e-9 * max(1.0, abs(value)):
                raise FiguresDiffer(f"{key}: {first[key]} from blocks, {value} by {way}")
    return len(first)


@dataclass
class Used:
    """What a block of code took."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def _used() -> Iterator[Used]:
    """Time, and processor time of this process and of its database connection's."""
    from django.db import connection

    from bench.reading.processes import cpu_seconds

    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    used = Used()
    database, own, began = cpu_seconds(pid), time.process_time(), time.perf_counter()
    yield used
    used.wall = time.perf_counter() - began
    used.cpu = time.process_time() - own + cpu_seconds(pid) - database


# --- while tickets are written -------------------------------------------------------------------

_CHANGE = """
    UPDATE tickets_workitem SET clock_s = clock_s + 60, reassignments = reassignments + 1
     WHERE id IN (SELECT id FROM tickets_workitem WHERE tenant_id = %s AND outcome = 'resolved'
                     AND opened_at >= %s AND opened_at < %s AND id %% 97 = %s)
"""


def _change(tenant: Any, turn: int) -> None:
    """Write some tickets of the window anew, as a worker does."""
    from django.db import connection

    from bench.reading import world
    from portal.tenancy.context import acting
    from tests import roles

    values = [tenant.pk, world.START, world.UNTIL, turn % 97]
    with roles.as_role(roles.WORKER), acting(tenant.pk), connection.cursor() as cursor:
        cursor.execute(_CHANGE, values)


def _written_meanwhile(tenant: Any) -> Iterator[str]:
    """Blocks and SQL on the raw rows tell the same of one moment, in the middle of an ingest."""
    from django.db import connection

    from bench.reading import by_sql
    from bench.reading.by_blocks import by_blocks
    from metrics import columns
    from portal.tenancy.context import acting
    from tests import roles

    organisation, asked = tenant.organisation, _asked(tenant)
    stop = threading.Event()
    failed: list[BaseException] = []
    turns = [0]

    def write() -> None:
        try:
            while not stop.is_set():
                _change(organisation, turns[0])
                turns[0] += 1
                if turns[0] % 2:
                    with roles.as_role(roles.WORKER):
                        columns.refresh(organisation)
        except BaseException as error:  # noqa: BLE001 - told below, in the thread that waits
            failed.append(error)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    compared, moments = 0, set()
    try:
        for _ in range(DURING_INGEST):
            with roles.as_role(roles.WEB), _one_moment(), acting(organisation.pk):
                told = {
                    "blocks": by_blocks(organisation, asked)(),
                    "tables": by_sql.by_tables(asked)(),
                }
            compared += _compare(told)
            moments.add(tuple(sorted(told["blocks"].items())))
    finally:
        stop.set()
        writer.join()
    if failed:
        raise failed[0]
    yield (
        f"{compared:,} figures equal to SQL on the raw rows at {len(moments)} different moments of"
        f" an ingest ({turns[0]} commits meanwhile)"
    )


@contextmanager
def _one_moment() -> Iterator[None]:
    """Let the transactions within see what their first statement saw, so that ways compare."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET default_transaction_isolation")


def _clean_again(tenant: Any) -> Iterator[str]:
    """From a commit until the blocks it made stale are packed anew."""
    from metrics import columns
    from tests import roles

    took = []
    for turn in range(COMMITS):
        _change_one(tenant.organisation, turn)
        began = time.perf_counter()
        with roles.as_role(roles.WORKER):
            columns.refresh(tenant.organisation)
        took.append(time.perf_counter() - began)
    took.sort()
    yield (
        f"from a commit until its blocks are clean, once the worker looks:"
        f" {took[len(took) // 2] * 1000:.0f} ms, p95 {took[int(0.95 * len(took))] * 1000:.0f} ms"
        " (aim: 100 ms)"
    )


def _change_one(tenant: Any, turn: int) -> None:
    from django.db import connection

    from bench.reading import world
    from portal.tenancy.context import acting
    from tests import roles

    with roles.as_role(roles.WORKER), acting(tenant.pk), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tickets_workitem SET clock_s = clock_s + 1 WHERE id = (SELECT id FROM"
            " tickets_workitem WHERE tenant_id = %s AND outcome = 'resolved' AND opened_at >= %s"
            " ORDER BY opened_at OFFSET %s LIMIT 1)",
            [tenant.pk, world.START, turn * 7],
        )


# --- over HTTP -----------------------------------------------------------------------------------


def _served(tenants: list[Any]) -> Iterator[str]:
    from django.conf import settings
    from django.test import Client

    from bench.reading import processes, world
    from tests import roles

    database = str(settings.DATABASES["default"]["NAME"])
    window = f"from={world.START}&until={world.UNTIL}"
    cookies, keys = {}, {}
    with roles.as_role(roles.OWNER):
        for tenant in tenants:
            client = Client()
            client.force_login(tenant.manager, backend=settings.AUTHENTICATION_BACKENDS[0])
            slug = tenant.organisation.slug
            cookies[slug] = {"session": client.cookies[settings.SESSION_COOKIE_NAME].value}
            keys[slug] = {"Authorization": f"Bearer {_key(tenant)}"}
    rounds = int(os.environ.get("BENCH_ROUNDS", ROUNDS))
    pages: dict[str, list[float]] = {one.organisation.slug: [] for one in tenants}
    calls: list[float] = []
    largest = tenants[0].organisation.slug
    weight = 0
    with processes.web(database) as served:
        idle = served.most_megabytes()
        for turn in range(rounds + 1):
            for slug, seen in pages.items():
                path = f"/{slug}/capabilities/capability-0/?{window}"
                took, bytes_sent = served.get(path, cookies=cookies[slug])
                export = f"/api/v1/readings/export/?{window}&capability=capability-0"
                api, _ = served.get(f"{export}&format=json", headers=keys[slug])
                if turn:  # the first one imports, compiles templates and fills caches
                    seen.append(took)
                    calls.append(api)
                    weight = max(weight, bytes_sent)
        year = f"from={world.UNTIL.replace(year=world.UNTIL.year - 1)}&until={world.UNTIL}"

        def whole_year() -> float:
            took, _ = served.get(
                f"/api/v1/readings/export/?{year}&split=severity&format=json",
                headers=keys[largest],
            )
            return took

        whole = whole_year()
        alone = served.most_megabytes()
        put_off = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for asked in [pool.submit(whole_year) for _ in range(AT_ONCE)]:
                try:
                    asked.result()
                except processes.Refused as refused:
                    if refused.args[0] != 503:
                        raise
                    put_off += 1
        most = served.most_megabytes()
    medians = sorted(median(took) for took in pages.values())
    calls.sort()
    yield (
        f"a scorecard's page over HTTP, median of each organisation: p95"
        f" {medians[int(0.95 * len(medians)) - 1] * 1000:.0f} ms, worst {medians[-1] * 1000:.0f} ms"
        f" (aims: 30 and 75 on two quiet cores); {weight / 1000:.0f} kB sent (aim: below 100)"
    )
    yield (
        f"all its figures by API: median {median(calls) * 1000:.0f} ms,"
        f" p95 {calls[int(0.95 * len(calls))] * 1000:.0f} ms; a year of every capability of the"
        f" largest organisation {whole * 1000:.0f} ms"
    )
    _mark(tenants[0].organisation)
    worker = processes.worker_megabytes(database, tenants[0].organisation.pk)
    yield (
        f"memory at most (VmHWM): a web process {alone:.0f} MB ({idle:.0f} MB before anything was"
        f" read), {most:.0f} MB once {AT_ONCE} asked for that year at once, of whom {put_off} were"
        f" told to ask again; a worker that packs the largest organisation anew {worker:.0f} MB"
    )


def _key(tenant: Any) -> str:
    from portal.people.api_keys import create_key
    from portal.people.roles import Scope
    from portal.tenancy.context import acting

    now = datetime.now(UTC)
    with acting(tenant.organisation.pk):
        _, secret = create_key(
            tenant_id=tenant.organisation.pk,
            name="bench",
            scopes=[Scope.READ_INTERNAL],
            expires_at=now + timedelta(days=1),
            by=tenant.manager,
            at=now,
        )
    return secret


if __name__ == "__main__":
    for line in main():
        print(line, flush=True)
