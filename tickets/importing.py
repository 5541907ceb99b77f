"""Importing an export file: batch by batch, resumable, with a preview that writes nothing.

Each batch is one transaction: its events and facts, its quarantined rows and the run's position
commit together, so an interrupted import goes on behind the last batch that was kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import batched
from pathlib import Path
from typing import Any, Protocol

from portal.catalogue.models import BusinessCalendar, CalendarVersion, Capability, Domain
from portal.tenancy.context import acting
from tickets.files import Damaged, ExportFile
from tickets.ingest import Outcome, apply
from tickets.mapping import Columns, Create, Mapping, Problem, Row
from tickets.models import Connection, ImportRun, QuarantinedRow, TicketEvent
from tickets.news import Rating, RowReader

#: Rows of a batch: large enough for COPY to pay, small enough to be lost without regret.
BATCH = 5_000
#: Problems a report carries; all of them stand in QuarantinedRow.
SHOWN_PROBLEMS = 10

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
        known = set(Capability.objects.for_tenant(tenant_id).values_list("slug", flat=True))
    report = Report(path.name, source, preview=True)
    tickets: set[str] = set()
    for batch in _batches(ExportFile(path), mapping, progress):
        report.rows += batch.size
        report.note(batch.problems)
        if mapping.create is None or not mapping.create.capabilities:
            report.note(_drop_unknown_capabilities(batch.rows, known, mapping))
        else:
            new = {slug: name for slug, name in batch.names.items() if slug not in known}
            known |= new.keys()
            report.capabilities_created += new.values()
        news, ratings, problems = RowReader(mapping).read(batch.rows)
        report.note(problems)
        tickets.update(one.external_id for one in news)
        report.new_ratings += len(ratings)
    report.tickets = len(tickets)
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
) -> Report:
    """Import a file; go on behind the last committed batch of an interrupted run of the same file.

    Raises MappingError, ImportRefused or UnreadableFile; what was committed before stays.
    """
    file = ExportFile(path)
    digest = file.sha256()
    with acting(tenant_id):
        connection = _open_source(tenant_id, source, mapping, at)
        mapping = Mapping.parse(connection.mapping, name=f"of source {source}")
        domain = _domain_of(tenant_id, mapping.create)
        this_run = _run_of(tenant_id, connection, path.name, digest, at)
    skip = this_run.rows_done if this_run.finished_at is None else 0
    report = Report(path.name, source, resumed_behind=skip)
    seen: set[str] = set()
    for batch in _batches(file, mapping, progress, skip=skip):
        with acting(tenant_id):
            problems = list(batch.problems)
            report.capabilities_created += _ensure_capabilities(tenant_id, domain, mapping, batch)
            known = set(Capability.objects.for_tenant(tenant_id).values_list("slug", flat=True))
            problems += _drop_unknown_capabilities(batch.rows, known, mapping)
            news, ratings, more = RowReader(mapping).read(batch.rows)
            outcome = apply(tenant_id=tenant_id, connection=connection, news=news, at=at)
            if ratings:
                report.new_ratings += record_ratings(
                    tenant_id=tenant_id, connection=connection, ratings=ratings, at=at
                )
            _quarantine(this_run, problems + more)
            report.rows += batch.size
            report.note(problems + more)
            _count(report, outcome)
            seen.update(one.external_id for one in news)
            if this_run.finished_at is None:
                this_run.rows_done += batch.size
                this_run.save(update_fields=["rows_done"])
    report.tickets = len(seen)
    _finish(tenant_id, this_run, report, at)
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
)


@dataclass(slots=True)
class _Batch:
    rows: list[Row]
    problems: list[Problem]
    #: Names of the capabilities this batch was the first to mention, by slug.
    names: dict[str, str]
    size: int


def _batches(
    file: ExportFile, mapping: Mapping, progress: Progress, *, skip: int = 0
) -> Iterator[_Batch]:
    columns = Columns(mapping, file.header())
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
            yield _Batch(rows, problems, columns.capability_names, len(fresh))
        progress(done, file.share_read)


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
    if given is not None and _meaning(given.source) != _meaning(connection.mapping):
        if TicketEvent.objects.filter(ticket__connection=connection).exists():
            raise ImportRefused(
                f"The source {source!r} was read with another mapping, and its event log keeps what"
                " was read. Nothing was imported. Import under a new --source name, or without"
                " --mapping to use the stored one."
            )
        return given
    return given or Mapping.parse(connection.mapping, name=f"of source {source}")


def _meaning(source: dict[str, Any]) -> dict[str, Any]:
    """The part of a mapping that decides what rows become; the rest may change."""
    return {name: value for name, value in source.items() if name not in ("title", "create")}


def _open_source(tenant_id: int, source: str, mapping: Mapping | None, at: datetime) -> Connection:
    connection = Connection.objects.for_tenant(tenant_id).filter(name=source).first()
    wanted = _mapping_in_force(connection, mapping, source)
    if connection is None:
        return Connection.objects.create(
            tenant_id=tenant_id, name=source, mapping=wanted.source, created_at=at, live_since=at
        )
    if connection.mapping != wanted.source:
        connection.mapping = wanted.source
        connection.save(update_fields=["mapping"])
    return connection


def _run_of(
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


def _finish(tenant_id: int, this_run: ImportRun, report: Report, at: datetime) -> None:
    if this_run.finished_at is not None:
        return
    this_run.finished_at = at
    this_run.counts = {
        "rows": this_run.rows_done,
        "rows_refused": report.rows_refused,
        "fields_lost": report.fields_lost,
        "new_events": report.new_events,
        "new_ratings": report.new_ratings,
    }
    with acting(tenant_id):
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
    if domain is None or mapping.create is None or not mapping.create.capabilities:
        return []
    known = set(Capability.objects.for_tenant(tenant_id).values_list("slug", flat=True))
    new = {slug: name for slug, name in batch.names.items() if slug not in known}
    Capability.objects.bulk_create(
        Capability(tenant_id=tenant_id, slug=slug, name=name, domain=domain)
        for slug, name in sorted(new.items())
    )
    return sorted(new.values())


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
            reason = "no such capability; add it to the catalogue or to [values.capability]"
            problems.append(Problem(row.number, row.ticket, column, slug, reason, refused=False))
    return problems


def _quarantine(this_run: ImportRun, problems: Iterable[Problem]) -> None:
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
