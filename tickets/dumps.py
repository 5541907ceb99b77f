"""Raw records that an extractor dumped as JSON lines, through the mappers of their help desk.

A line is a Singer or Airbyte RECORD message, a row of an Airbyte destination, or a plain record
whose stream the file's name says (dlt, vendors' exports, a directory carried over an air gap). Its
connector makes deliveries of the records; they are stored at the door like fetched pages, known by
their bytes, and swept: dumping again, or more, changes nothing that is known.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import batched
from pathlib import Path
from typing import Any

from portal.tenancy.context import acting
from tickets.connectors import CONNECTORS, GENERIC
from tickets.connectors.base import Connector
from tickets.files import LONGEST_ROW, ExportFile, json_object
from tickets.importing import ImportRefused, Progress, quarantine, run_of
from tickets.inbound import CREATED, FOLDED, QUARANTINED, receive
from tickets.mapping import Problem
from tickets.models import Connection, ImportRun, InboundOutcome, InboundWork
from tickets.source_names import mistake_in
from tickets.storable import storable

#: Records of one delivery, and how many characters their lines may have together.
RECORDS, CHARACTERS = 100, 512 * 1024
#: Deliveries stored in one transaction.
_TOGETHER = 50
#: Problems a report carries; all of them stand in QuarantinedRow.
_SHOWN = 10

#: What else extractors say, with the key that tells such a message from a record.
_OTHER_MESSAGES = {
    "SCHEMA": "schema",
    "STATE": ("value", "state"),
    "ACTIVATE_VERSION": "version",
    "LOG": "log",
    "TRACE": "trace",
    "CATALOG": "catalog",
    "SPEC": "spec",
    "CONTROL": "control",
}
#: What extractors add of their own: it differs from run to run and says nothing of the ticket.
_OWN_KEYS = ("_sdc_", "_dlt_", "_airbyte_", "_ab_")
_FILES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


_PLAIN = (
    *("file", "source", "lines", "records", "other_messages", "rows_refused", "deliveries"),
    *("new_deliveries", "folded", "quarantined", "waiting"),
)


@dataclass(slots=True)
class DumpReport:
    """What was in a dump, and what became of its deliveries."""

    file: str
    source: str
    lines: int = 0
    records: int = 0
    #: Schemas, states and logs between the records.
    other_messages: int = 0
    rows_refused: int = 0
    deliveries: int = 0
    new_deliveries: int = 0
    folded: int = 0
    quarantined: int = 0
    waiting: int = 0
    streams: Counter[str] = field(default_factory=Counter)
    #: Records of streams that are not read, which were left out.
    unread: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def changed_nothing(self) -> bool:
        """Whether everything in the file was known before."""
        return not self.new_deliveries

    def as_dict(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "streams": dict(self.streams),
            "unread": dict(self.unread),
            "problems": [asdict(problem) for problem in self.problems],
            "changed_nothing": self.changed_nothing,
        }


def files_in(folder: Path) -> list[Path]:
    """The JSON lines files below a directory, in the order of their names; links are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(_FILES)
        and path.is_file()
        and not path.is_symlink()
        and not path.name.startswith((".", "_dlt"))
        and not any(part.startswith(("_dlt", ".")) for part in path.relative_to(folder).parts)
    )


def stream_of(path: Path) -> str:
    """The stream a file's name says: `tickets.jsonl`, `tickets-2026-01.jsonl`, or its folder's."""
    named = re.match(r"[A-Za-z_]*[A-Za-z]", path.name.split(".", maxsplit=1)[0])
    return named[0] if named else path.parent.name


def store(
    *,
    tenant_id: int,
    source: str,
    kind: str,
    path: Path,
    name: str = "",
    stream: str = "",
    at: datetime,
    progress: Progress,
    began: Callable[[ImportRun], None] | None = None,
) -> tuple[DumpReport, list[int]]:
    """Store a dump's records as deliveries; return the report and the ids of the new ones.

    `name` is what people call the file; `stream` names the stream of plain records, else the file's
    name does; `began` is told the run before anything is stored. Raises ImportRefused or
    UnreadableFile; what was stored before stays.
    """
    file = ExportFile(path)
    if not file.is_json:
        raise ImportRefused(f"{path.name} is no JSON lines file (.jsonl, .ndjson, also .gz).")
    digest = file.sha256()
    with acting(tenant_id):
        connection = _open_source(tenant_id, source, kind, at)
        this_run = run_of(tenant_id, connection, name or path.name, digest, at)
    if began is not None:
        began(this_run)
    report = DumpReport(name or path.name, source)
    connector, new = CONNECTORS[kind], []
    deliveries = _deliveries(file, stream or stream_of(path), connector, report, this_run)
    for some in batched(deliveries, _TOGETHER):
        with acting(tenant_id):
            new += _receive(connection, some, at)
        report.deliveries += len(some)
        progress(report.lines, file.share_read)
    report.new_deliveries = len(new)
    _finish(this_run, report, at)
    return report, new


def tell_outcomes(report: DumpReport, tenant_id: int, message_ids: Iterable[int]) -> None:
    """Put into the report what became of the deliveries after a sweep."""
    with acting(tenant_id):
        for some in batched(message_ids, 1_000):
            last = dict(
                InboundOutcome.objects.for_tenant(tenant_id)
                .filter(message__in=some)
                .order_by("id")
                .values_list("message_id", "status")
            )
            waiting = InboundWork.objects.for_tenant(tenant_id).filter(message__in=some).count()
            report.waiting += waiting
            report.folded += sum(status == FOLDED for status in last.values())
            report.quarantined += sum(status == QUARANTINED for status in last.values())


def record_in(said: Mapping[str, Any], stream: str) -> tuple[str, dict[str, Any]] | None:
    """The record a line holds, with its stream; None for an extractor's other messages."""
    kind, record = said.get("type"), said.get("record")
    if kind == "RECORD" and isinstance(record, dict):
        if "stream" in said:
            return storable(str(said["stream"])), _own_keys_off(record)
        if isinstance(record.get("data"), dict) and "stream" in record:
            return storable(str(record["stream"])), _own_keys_off(record["data"])
    keys = _OTHER_MESSAGES.get(kind, ()) if isinstance(kind, str) else ()
    if any(key in said for key in ([keys] if isinstance(keys, str) else keys)):
        return None
    data = said.get("_airbyte_data")
    return stream, _own_keys_off(data if isinstance(data, dict) else said)


def _own_keys_off(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if not name.startswith(_OWN_KEYS)}


def _deliveries(
    file: ExportFile, stream: str, connector: Connector, report: DumpReport, this_run: ImportRun
) -> Iterator[tuple[str, bytes]]:
    """Topic and bytes of each delivery: records of one stream in the order of the file.

    The same beginning of a longer dump gives the same deliveries.
    """
    waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
    taken: Counter[str] = Counter()
    for number, line in enumerate(file.lines(), start=1):
        report.lines = number
        told = _too_long() if line is None else json_object(line)
        if isinstance(told, str):
            _refuse(report, this_run, number, told)
            continue
        found = record_in(told, stream)
        if found is None:
            report.other_messages += 1
            continue
        name, record = found
        if name not in connector.streams:
            if name[:60] not in report.unread:
                _refuse(report, this_run, number, _not_read(name, connector))
            report.unread[name[:60]] += 1
            continue
        size = len(line or "")
        if waiting[name] and (len(waiting[name]) >= RECORDS or taken[name] + size > CHARACTERS):
            yield from connector.dumped(name, waiting.pop(name))
            taken[name] = 0
        waiting[name].append(record)
        taken[name] += size
        report.records += 1
        report.streams[name] += 1
    for name, records in waiting.items():
        if records:
            yield from connector.dumped(name, records)


def _not_read(stream: str, connector: Connector) -> str:
    """Said once of each stream: a dump may hold many that tell nothing of a ticket."""
    known = ", ".join(sorted(connector.streams)) or "none"
    return (
        f"of {connector.name} the stream {stream[:60]!r} is not read, and none of its records was"
        f" kept; those that are read: {known}"
    )


def _too_long() -> str:
    return f"the line is longer than {LONGEST_ROW:,} characters"


def _refuse(report: DumpReport, this_run: ImportRun, number: int, reason: str) -> None:
    problem = Problem(number, "", "", "", reason)
    report.rows_refused += 1
    if len(report.problems) < _SHOWN:
        report.problems.append(problem)
    with acting(this_run.tenant_id):
        quarantine(this_run, [problem])


def _receive(
    connection: Connection, deliveries: Iterable[tuple[str, bytes]], at: datetime
) -> list[int]:
    """Store deliveries by their bytes; return the ids of those nobody knew."""
    new = []
    for topic, raw in deliveries:
        receipt = receive(
            tenant_id=connection.tenant_id,
            connection=connection,
            delivery_id=f"{topic}:{hashlib.sha256(raw).hexdigest()[:40]}",
            topic=topic,
            raw=raw,
            at=at,
        )
        if receipt.status == CREATED:
            new.append(receipt.message_id)
    return new


def _finish(this_run: ImportRun, report: DumpReport, at: datetime) -> None:
    counts = {
        "rows": report.lines,
        "rows_refused": report.rows_refused,
        "fields_lost": 0,
        "records": report.records,
        "other_messages": report.other_messages,
        "deliveries": report.deliveries,
    }
    if this_run.finished_at is not None and this_run.counts == counts:
        return
    this_run.finished_at = this_run.finished_at or at
    this_run.rows_done, this_run.counts = report.lines, counts
    with acting(this_run.tenant_id):
        this_run.save(update_fields=["finished_at", "rows_done", "counts"])


def _open_source(tenant_id: int, source: str, kind: str, at: datetime) -> Connection:
    """The source of these records: it is of one help desk, and stays so."""
    if kind not in CONNECTORS:
        raise ImportRefused(
            f"There is no kind of help desk {kind!r}; nothing was read. There are:"
            f" {', '.join(sorted(CONNECTORS))}."
        )
    connection = Connection.objects.for_tenant(tenant_id).filter(name=source).first()
    if connection is None:
        if unfit := mistake_in(source):
            raise ImportRefused(f"No source can be called {source!r}; nothing was read. {unfit}")
        # What a help desk's words mean is said by a person first; generic records use our words.
        live = at if kind == GENERIC.key else None
        return Connection.objects.create(
            tenant_id=tenant_id, name=source, kind=kind, created_at=at, live_since=live
        )
    if connection.kind != kind:
        raise ImportRefused(
            f"The source {source!r} is of kind {connection.kind!r}, not {kind!r}; nothing was"
            " read. Name another --source, or the kind it has."
        )
    return connection
