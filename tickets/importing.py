"""Importing an export file: batch by batch, resumable, with a preview that writes nothing.

Each batch is one transaction: its events and facts, its quarantined rows and the run's position
commit together, so an interrupted import goes on behind the last batch that was kept.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import batched
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Count, Q

from portal.catalogue.models import BusinessCalendar, CalendarVersion, Capability, Domain
from portal.tenancy.context import acting
from tickets.files import Damaged, ExportFile
from tickets.ingest import Outcome, apply
from tickets.mapping import Columns, Create, Mapping, Problem, Row, printable
from tickets.models import Connection, ImportRun, QuarantinedRow, TicketEvent
from tickets.news import Rating, RowReader, TicketNews, event_key
from tickets.source_names import mistake_in

#: Rows of a batch: large enough for COPY to pay, small enough to be lost without regret.
BATCH = 10_000
#: Problems a report carries; all of them stand in QuarantinedRow.
SHOWN_PROBLEMS = 10
#: Different cells that were left out of a source's files and are watched for; the flaws of others
#: stay, so that no file that is all mistakes fills the memory.
MOST_LOST = 100_000
#: Rows that nobody can say what is wrong with: more of them, and it is the import that is broken.
MOST_UNEXPLAINED = 100

logger = logging.getLogger(__name__)

#: Called after every batch with the rows read so far and the share of the file, 0 to 1.
Progress = Callable[[int, float], None]


class RecordRatings(Protocol):
    """Takes the ratings of a batch (surveys record them); returns how many were new."""

    def __call__(
        self, *, tenant_id: int, connection: Connection, ratings: list[Rating], at: datetime
    ) -> int: ...


class ImportRefused(Exception):
    """Nothing was imported; the message says what to change."""


@dataclass(slots=True)
class Report:
    """What an import (or its preview) found and did."""

    file: str
    source: str
    preview: bool = False
    #: Rows of an earlier, interrupted run that this one went on behind.
    resumed_behind: int = 0
    rows: int = 0
    rows_refused: int = 0
    fields_lost: int = 0
    tickets: int = 0
    new_events: int = 0
    new_ratings: int = 0
    written: Counter[str] = field(default_factory=Counter)
    capabilities_created: list[str] = field(default_factory=list)
    #: Values that look as if they had been written in another encoding, by column.
    mojibake: dict[str, int] = field(default_factory=dict)
    #: The first problems, for people.
    problems: list[Problem] = field(default_factory=list)

    @property
    def changed_nothing(self) -> bool:
        """Whether everything in the file was known before."""
        return not (self.new_events or self.new_ratings or self.written)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "changed_nothing": self.changed_nothing,
            "written": dict(self.written),
            "problems": [asdict(problem) for problem in self.problems],
        }

    def note(self, problems: Iterable[Problem]) -> None:
        """Count problems and keep the first ones."""
        for problem in problems:
            if problem.refused:
                self.rows_refused += 1
            else:
                self.fields_lost += 1
            if len(self.problems) < SHOWN_PROBLEMS:
                self.problems.append(problem)


def preview(
    *, tenant_id: int, source: str, path: Path, mapping: Mapping | None, progress: Progress
) -> Report:
    """Read the whole file and say what an import would find. Writes nothing."""
    with acting(tenant_id):
        connection = Connection.objects.for_tenant(tenant_id).filter(name=source).first()
        mapping = _mapping_in_force(connection, mapping, source)
        known = _capabilities(tenant_id)
    report = Report(path.name, source, preview=True)
    tickets = _Distinct()
    reader = RowReader(mapping)
    for batch in _batches(ExportFile(path, mapping.file), mapping, reader, known):
        report.rows += batch.size
        report.note(batch.problems)
        if mapping.creates_capabilities:
            new = batch.new_capabilities(known)
            known |= new.keys()
            report.capabilities_created += sorted(new.values())
        news, ratings, problems = batch.told
        report.note(problems)
        report.mojibake = batch.mojibake
        tickets.add(one.external_id for one in news)
        report.new_ratings += len(ratings)
        progress(batch.last, batch.share)
    report.tickets = tickets.count()
    return report


def run(
    *,
    tenant_id: int,
    source: str,
    path: Path,
    mapping: Mapping | None,
    at: datetime,
    progress: Progress,
    record_ratings: RecordRatings,
    name: str = "",
    most_rows: int | None = None,
    began: Callable[[ImportRun], None] | None = None,
) -> Report:
    """Import a file; go on behind the last committed batch of an interrupted run of the same file.

    `name` is what people call the file; `began` is told the run before its first batch. Raises
    MappingError, ImportRefused (also behind `most_rows` rows) or UnreadableFile; what was committed
    before stays.
    """
    digest = ExportFile(path).sha256()
    with acting(tenant_id):
        connection = _open_source(tenant_id, source, mapping, at)
        mapping = Mapping.parse(connection.mapping, name=f"of source {source}")
        domain = _domain_of(tenant_id, mapping.create)
        this_run = run_of(tenant_id, connection, name or path.name, digest, at)
        arrival = _arrival(this_run)
        lost = _lost(connection)
        known = _capabilities(tenant_id)
    if began is not None:
        began(this_run)
    again = this_run.finished_at is not None
    report = Report(name or path.name, source, resumed_behind=0 if again else this_run.rows_done)
    reader = RowReader(mapping, arrival=arrival)
    file = ExportFile(path, mapping.file)
    skip = report.resumed_behind
    ahead = _Ahead(_batches(file, mapping, reader, known, skip=skip, lost=lost))
    entering = _Entering(connection, reader, record_ratings, at, meanwhile=ahead.begin)
    seen = _Distinct()
    for batch in ahead:
        if most_rows is not None and batch.last > most_rows:
            raise ImportRefused(
                f"The file holds more than {most_rows:,} rows. What stands before row"
                f" {batch.last - batch.size + 1:,} was imported; import the rest with"
                " manage.py import_tickets, or in parts."
            )
        with acting(tenant_id):
            problems = list(batch.problems)
            report.capabilities_created += _ensure_capabilities(tenant_id, domain, mapping, batch)
            entered = entering.enter(batch.rows, batch.told)
            problems += entered.problems
            report.new_ratings += entered.new_ratings
            _count(report, entered.outcome)
            if again:
                _quarantine_again(this_run, batch, problems)
            else:
                quarantine(this_run, problems)
                this_run.rows_done += batch.size
                totals = Counter(this_run.counts)
                totals["new_events"] += entered.outcome.new_events
                totals["new_ratings"] += entered.new_ratings
                this_run.counts = dict(totals)
                this_run.save(update_fields=["rows_done", "counts"])
        report.rows += batch.size
        report.note(problems)
        report.mojibake = batch.mojibake
        seen.add(entered.tickets)
        progress(batch.last, batch.share)
    report.tickets = seen.count()
    _finish(tenant_id, this_run, at)
    return report


_PLAIN = (
    "file",
    "source",
    "preview",
    "resumed_behind",
    "rows",
    "rows_refused",
    "fields_lost",
    "tickets",
    "new_events",
    "new_ratings",
    "capabilities_created",
    "mojibake",
)


class _Distinct:
    """Counts different names in eight bytes each: a file may hold millions of tickets."""

    def __init__(self) -> None:
        self._known = np.empty(0, dtype=np.int64)
        self._fresh: list[int] = []

    def add(self, names: Iterable[str]) -> None:
        self._fresh += [event_key(name) for name in names]
        if len(self._fresh) > 100_000:
            self.count()

    def count(self) -> int:
        """How many there were; two of 2^64 hashes are the same by a chance of one in millions."""
        fresh = np.array(self._fresh, dtype=np.int64)
        self._known, self._fresh = np.union1d(self._known, fresh), []
        return len(self._known)


type _Told = tuple[list[TicketNews], list[Rating], list[Problem]]


@dataclass(slots=True)
class _Batch:
    rows: list[Row]
    problems: list[Problem]
    #: What its rows tell.
    told: _Told
    #: Names of the capabilities the file has mentioned so far, by slug.
    names: dict[str, str]
    mojibake: dict[str, int]
    size: int
    #: The number of its last row, and the share of the file that was read by then, 0 to 1.
    last: int
    share: float

    def new_capabilities(self, known: set[str]) -> dict[str, str]:
        """Names of the capabilities its rows mention that nobody knows, by slug."""
        said = {row.values["capability"] for row in self.rows if "capability" in row.values}
        return {slug: self.names[slug] for slug in said - known}


@dataclass(slots=True)
class _Entered:
    """What became of some rows."""

    outcome: Outcome = field(default_factory=Outcome)
    new_ratings: int = 0
    tickets: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def extend(self, other: _Entered) -> None:
        self.outcome.new_events += other.outcome.new_events
        for name, written in other.outcome.written.items():
            self.outcome.add(name, written)
        self.new_ratings += other.new_ratings
        self.tickets += other.tickets
        self.problems += other.problems


class _Entering:
    """Enters rows together; where one spoils it, halves until that one is alone, and names it."""

    def __init__(
        self,
        connection: Connection,
        reader: RowReader,
        record_ratings: RecordRatings,
        at: datetime,
        *,
        meanwhile: Callable[[], object],
    ) -> None:
        """`meanwhile` is called when only PostgreSQL has work left."""
        self._connection, self._reader, self._at = connection, reader, at
        self._record_ratings = record_ratings
        self._meanwhile = meanwhile
        self._unexplained = 0

    def enter(self, rows: Sequence[Row], told: _Told | None = None) -> _Entered:
        """Enter rows, of which `told` is what they tell, inside the running transaction."""
        try:
            with transaction.atomic():
                return self._together(told or self._reader.read(rows))
        except (OperationalError, InterfaceError):
            raise  # the database's trouble, not a row's: the import goes on later
        except Exception as error:
            if len(rows) > 1:
                entered = self.enter(rows[: len(rows) // 2])
                entered.extend(self.enter(rows[len(rows) // 2 :]))
                return entered
            self._unexplained += 1
            if not rows or self._unexplained > MOST_UNEXPLAINED:
                raise
            row = rows[0]
            logger.exception("row %s could not be entered", row.number)
            reason = printable(f"could not be entered: {type(error).__name__}: {error}")
            return _Entered(problems=[Problem(row.number, row.ticket, "", "", reason)])

    def _together(self, told: _Told) -> _Entered:
        tenant_id = self._connection.tenant_id
        news, ratings, problems = told
        outcome = apply(
            tenant_id=tenant_id,
            connection=self._connection,
            news=news,
            at=self._at,
            when_folded=self._meanwhile,
        )
        new = 0
        if ratings:
            new = self._record_ratings(
                tenant_id=tenant_id, connection=self._connection, ratings=ratings, at=self._at
            )
        return _Entered(outcome, new, [one.external_id for one in news], problems)


class _Ahead:
    """Reads the next batch while PostgreSQL writes the one before.

    Not sooner: one interpreter does both the reading and the folding.
    """

    def __init__(self, batches: Iterator[_Batch]) -> None:
        self._batches = batches
        self._coming: Future[_Batch | None] | None = None

    def __iter__(self) -> Iterator[_Batch]:
        with ThreadPoolExecutor(1, "reads ahead") as self._thread:
            while (batch := self.begin().result()) is not None:
                self._coming = None
                yield batch

    def begin(self) -> Future[_Batch | None]:
        """Read the next batch, if that has not begun."""
        if self._coming is None:
            self._coming = self._thread.submit(next, self._batches, None)
        return self._coming


def _batches(
    file: ExportFile,
    mapping: Mapping,
    reader: RowReader,
    known: set[str],
    *,
    skip: int = 0,
    lost: Collection[tuple[str, str]] = (),
) -> Iterator[_Batch]:
    """Read a file's rows behind the first `skip`; `known` are the catalogue's capabilities."""
    columns = Columns(mapping, file.header(), lost=lost)
    done = 0
    for chunk in batched(file.rows(), BATCH):
        done += len(chunk)
        fresh = chunk[max(0, skip - (done - len(chunk))) :]
        rows, problems = [], []
        for number, raw in fresh:
            if isinstance(raw, Damaged):
                problems.append(Problem(number, "", "", "", raw.reason))
                continue
            row, found = columns.read(raw, number)
            problems += found
            if row is not None:
                rows.append(row)
        if fresh:
            if not mapping.creates_capabilities:
                problems += _drop_unknown_capabilities(rows, known, mapping)
            yield _Batch(
                rows,
                problems,
                told=reader.read(rows),
                names=dict(columns.capability_names),
                mojibake=dict(columns.mojibake),
                size=len(fresh),
                last=done,
                share=file.share_read,
            )


def _mapping_in_force(connection: Connection | None, given: Mapping | None, source: str) -> Mapping:
    """The mapping of the source; another one would read the same rows as other events."""
    if connection is None or not connection.mapping:
        if given is None:
            raise ImportRefused(
                f"The source {source!r} has no mapping yet; nothing was imported. Name one with"
                " --mapping FILE.toml, or one that is shipped: servicenow_incident_log,"
                " flat_with_score."
            )
        return given
    if given is not None and not _adds_only(_meaning(connection.mapping), _meaning(given.source)):
        if TicketEvent.objects.filter(ticket__connection=connection).exists():
            raise ImportRefused(
                f"The source {source!r} was read with another mapping, and its event log keeps what"
                " was read. Nothing was imported. Words of [values] and date formats may be added;"
                " for everything else import under a new --source name, or without --mapping to"
                " use the stored one."
            )
        return given
    return given or Mapping.parse(connection.mapping, name=f"of source {source}")


def _meaning(source: dict[str, Any]) -> dict[str, Any]:
    """The part of a mapping that decides what rows become; the rest may change."""
    free = ("title", "create", "file")
    return {name: value for name, value in source.items() if name not in free}


def _adds_only(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a mapping reads all that the one before read just as it did, and perhaps more.

    More words and more date formats can only add to what rows said: a field or row that was refused
    is read. A date that two formats read as different days is refused (Columns).
    """
    rest = ("values", "time")
    if {k: v for k, v in before.items() if k not in rest} != {
        k: v for k, v in after.items() if k not in rest
    }:
        return False
    words, more = before.get("values", {}), after.get("values", {})
    if any(
        more.get(kind, {}).get(said) != word for kind in words for said, word in words[kind].items()
    ):
        return False
    time, other = before.get("time", {}), after.get("time", {})
    formats, given = time.get("formats", []), other.get("formats", [])
    return (
        time.get("zone") == other.get("zone")
        and time.get("columns", {}) == other.get("columns", {})
        and list(given[: len(formats)]) == list(formats)
    )


def _open_source(tenant_id: int, source: str, mapping: Mapping | None, at: datetime) -> Connection:
    connection = Connection.objects.for_tenant(tenant_id).filter(name=source).first()
    wanted = _mapping_in_force(connection, mapping, source)
    if connection is None:
        if unfit := mistake_in(source):
            raise ImportRefused(f"No source can be called {source!r}; nothing was read. {unfit}")
        return Connection.objects.create(
            tenant_id=tenant_id, name=source, mapping=wanted.source, created_at=at, live_since=at
        )
    if connection.mapping != wanted.source:
        connection.mapping = wanted.source
        connection.save(update_fields=["mapping"])
    return connection


def run_of(
    tenant_id: int, connection: Connection, name: str, digest: bytes, at: datetime
) -> ImportRun:
    """The run of this file: an earlier one of the same bytes, or a new one."""
    runs = ImportRun.objects.for_tenant(tenant_id).filter(connection=connection, file_sha256=digest)
    return runs.order_by("-started_at").first() or ImportRun.objects.create(
        tenant_id=tenant_id,
        connection=connection,
        file_name=name[:300],
        file_sha256=digest,
        started_at=at,
    )


def _arrival(this_run: ImportRun) -> str:
    """The run's place among the source's files, in the order in which they came."""
    earlier = ImportRun.objects.for_tenant(this_run.tenant_id).filter(
        connection=this_run.connection_id, pk__lte=this_run.pk
    )
    return f"{earlier.count():06}"


def _finish(tenant_id: int, this_run: ImportRun, at: datetime) -> None:
    """Count what the whole run refused, whoever was interrupted in it; write what differs."""
    with acting(tenant_id):
        refused = QuarantinedRow.objects.for_tenant(tenant_id).filter(run=this_run)
        totals = refused.aggregate(
            rows_refused=Count("row_number", filter=Q(row_refused=True), distinct=True),
            fields_lost=Count("pk", filter=Q(row_refused=False)),
        )
        counts = {"new_events": 0, "new_ratings": 0, **this_run.counts, **totals}
        counts["rows"] = this_run.rows_done
        if this_run.finished_at is None or counts != this_run.counts:
            this_run.finished_at = this_run.finished_at or at
            this_run.counts = counts
            this_run.save(update_fields=["finished_at", "counts"])


def _domain_of(tenant_id: int, create: Create | None) -> Domain | None:
    """The domain of new capabilities, created with its calendar where the mapping says so."""
    if create is None:
        return None
    domain = Domain.objects.for_tenant(tenant_id).filter(key=create.domain).first()
    if domain is not None:
        return domain
    calendar, new = BusinessCalendar.objects.get_or_create(
        tenant_id=tenant_id, name=f"{create.name} hours"
    )
    if new:
        CalendarVersion.objects.create(
            tenant_id=tenant_id, calendar=calendar, time_zone=create.zone, hours=create.hours
        )
    return Domain.objects.create(
        tenant_id=tenant_id, key=create.domain, name=create.name, calendar=calendar
    )


def _ensure_capabilities(
    tenant_id: int, domain: Domain | None, mapping: Mapping, batch: _Batch
) -> list[str]:
    """Create the capabilities the batch names first, if the mapping may; return their names."""
    if domain is None or not mapping.creates_capabilities:
        return []
    new = batch.new_capabilities(_capabilities(tenant_id))
    Capability.objects.bulk_create(
        Capability(tenant_id=tenant_id, slug=slug, name=name, domain=domain)
        for slug, name in sorted(new.items())
    )
    return sorted(new.values())


def _capabilities(tenant_id: int) -> set[str]:
    """The slugs of the catalogue."""
    return set(Capability.objects.for_tenant(tenant_id).values_list("slug", flat=True))


def _drop_unknown_capabilities(
    rows: Iterable[Row], known: set[str], mapping: Mapping
) -> list[Problem]:
    """Take capabilities nobody knows off their rows; the rows are kept."""
    column = mapping.columns.get("capability", "")
    problems = []
    for row in rows:
        slug = row.values.get("capability")
        if slug is not None and slug not in known:
            del row.values["capability"]
            row.left_out.append((column, slug))
            row.mended = [cell for cell in row.mended if cell != (column, slug)]
            reason = "no such capability; add it to the catalogue or to [values.capability]"
            problems.append(Problem(row.number, row.ticket, column, slug, reason, refused=False))
    return problems


def _lost(connection: Connection) -> set[tuple[str, str]]:
    """Cells that were left out of the source's rows, by column: one that is read is mended.

    Words and formats may be added to a mapping, and capabilities to the catalogue; the flaw of a
    ticket is gone when its rows are imported again.
    """
    lost = QuarantinedRow.objects.for_tenant(connection.tenant_id).filter(
        run__connection=connection, row_refused=False
    )
    return set(lost.values_list("field", "value").distinct()[:MOST_LOST])


def _quarantine_again(this_run: ImportRun, batch: _Batch, problems: list[Problem]) -> None:
    """Bring the quarantine of rows that are read once more to what is wrong with them now."""
    stored = QuarantinedRow.objects.for_tenant(this_run.tenant_id).filter(
        run=this_run, row_number__gt=batch.last - batch.size, row_number__lte=batch.last
    )
    wrong = {(p.row, p.field[:100]): p.reason[:300] for p in problems}
    gone = [row.pk for row in stored if wrong.get((row.row_number, row.field)) != row.reason]
    QuarantinedRow.objects.for_tenant(this_run.tenant_id).filter(pk__in=gone).delete()
    kept = {(row.row_number, row.field) for row in stored if row.pk not in set(gone)}
    quarantine(this_run, [p for p in problems if (p.row, p.field[:100]) not in kept])


def quarantine(this_run: ImportRun, problems: Iterable[Problem]) -> None:
    """Keep rows and fields that could not be used, by number and reason."""
    QuarantinedRow.objects.bulk_create(
        (
            QuarantinedRow(
                tenant_id=this_run.tenant_id,
                run=this_run,
                row_number=problem.row,
                ticket_external_id=problem.ticket,
                field=problem.field[:100],
                value=problem.value[:300],
                reason=problem.reason[:300],
                row_refused=problem.refused,
            )
            for problem in problems
        ),
        ignore_conflicts=True,
        batch_size=2_000,
    )


def _count(report: Report, outcome: Outcome) -> None:
    report.new_events += outcome.new_events
    for table, written in outcome.written.items():
        for name in ("added", "changed", "removed"):
            if number := getattr(written, name):
                report.written[f"{table} {name}"] += number
