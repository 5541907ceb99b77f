"""manage.py import_tickets: read export files into an organisation, or explain what they say."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from portal.tenancy.context import acting
from portal.tenancy.models import Organisation
from surveys import imported_ratings
from surveys.releasing import release_ready
from tickets import dumps, explaining, guessing, importing, inbound
from tickets.dumps import DumpReport
from tickets.files import UnreadableFile
from tickets.importing import ImportRefused, Report
from tickets.mapping import Mapping, MappingError
from tickets.models import Connection
from tickets.sampling import sample

Options = dict[str, Any]


class Command(BaseCommand):
    """Import tickets, propose a mapping, or set the file's own figures beside ours."""

    help = (
        "Import tickets from CSV (plain or .gz), JSON lines or XLSX, or raw records that an"
        " extractor dumped. Importing again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", metavar="SLUG")
        parser.add_argument("--source", metavar="NAME")
        parser.add_argument(
            "--mapping",
            metavar="FILE.toml",
            help="what the columns mean; a file or a shipped one (servicenow_incident_log,"
            " flat_with_score). Needed once for each source.",
        )
        parser.add_argument(
            "--preview",
            action="store_true",
            help="read everything, write nothing, say what is in it",
        )
        parser.add_argument(
            "--explain",
            action="store_true",
            help="write nothing; compare the file's own figures with ours, ticket by ticket",
        )
        parser.add_argument(
            "--guess",
            action="store_true",
            help="print a proposed mapping for the file, with what a person must decide; needs no"
            " organisation and no source, and writes nothing",
        )
        parser.add_argument(
            "--kind",
            metavar="HELPDESK",
            help="the lines are raw records of this help desk (Singer, Airbyte, dlt, vendors'"
            " exports): no mapping is needed",
        )
        parser.add_argument(
            "--stream",
            default="",
            metavar="NAME",
            help="with --kind: the stream of records that do not name theirs; without it the"
            " file's name does",
        )
        parser.add_argument("--json", action="store_true", dest="as_json")
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE|DIRECTORY")

    def handle(self, *args: Any, **options: Any) -> None:
        paths = self._paths(options)
        try:
            if options["guess"]:
                for path in paths:
                    self.stdout.write(guessing.guess(sample(path)).toml())
                return
            self._handle(paths, options)
        except (MappingError, ImportRefused, UnreadableFile) as error:
            raise CommandError(str(error)) from error

    def _paths(self, options: Options) -> list[Path]:
        """The files that are named, and those in the directories that are."""
        found: list[Path] = []
        for path in options["files"]:
            inside = dumps.files_in(path) if path.is_dir() else [path]
            if not inside:
                raise CommandError(f"{path} holds no JSON lines files; nothing was read.")
            found += inside
        for path in found:
            if not path.is_file():
                raise CommandError(f"{path} is not a file; nothing was read.")
        return found

    def _handle(self, paths: list[Path], options: Options) -> None:
        missing = [name for name in ("organisation", "source") if not options[name]]
        if missing:
            raise CommandError(
                f"--{' and --'.join(missing)} must be named; nothing was read. Only --guess needs"
                " neither."
            )
        try:
            organisation = Organisation.objects.get(slug=options["organisation"])
        except Organisation.DoesNotExist:
            raise CommandError(
                f"There is no organisation {options['organisation']!r}; nothing was read. Found it"
                " first with manage.py create_organisation."
            ) from None
        if options["kind"]:
            self._store_dumps(organisation, paths, options)
            return
        mapping = Mapping.load(options["mapping"]) if options["mapping"] else None
        for path in paths:
            if options["explain"]:
                self._explain(organisation, path, mapping, options)
            else:
                self._import(organisation, path, mapping, options)

    def _store_dumps(self, organisation: Organisation, paths: list[Path], options: Options) -> None:
        """Store raw records as deliveries, then enter what is waiting."""
        if options["mapping"] or options["preview"] or options["explain"]:
            raise CommandError(
                "--kind reads records as the help desk's connector does: it goes with neither"
                " --mapping nor --preview nor --explain. Nothing was read."
            )
        stored: list[tuple[DumpReport, list[int]]] = []
        for path in paths:
            bar = ProgressBar(path.name)
            stored.append(
                dumps.store(
                    tenant_id=organisation.pk,
                    source=options["source"],
                    kind=options["kind"],
                    path=path,
                    stream=options["stream"],
                    at=timezone.now(),
                    progress=bar,
                )
            )
            bar.done()
        if any(new for _, new in stored):
            inbound.sweep(timezone.now())
            imported_ratings.sweep(timezone.now())
            with acting(organisation.pk):
                release_ready(tenant_id=organisation.pk, now=timezone.now())
        with acting(organisation.pk):
            connection = Connection.objects.for_tenant(organisation.pk).get(name=options["source"])
        for report, new in stored:
            dumps.tell_outcomes(report, organisation.pk, new)
            self.stdout.write(
                json.dumps(report.as_dict(), ensure_ascii=False)
                if options["as_json"]
                else dump_sentences(report, is_live=connection.live_since is not None)
            )

    def _import(
        self, organisation: Organisation, path: Path, mapping: Mapping | None, options: Options
    ) -> None:
        bar = ProgressBar(path.name)
        released = 0
        if options["preview"]:
            report = importing.preview(
                tenant_id=organisation.pk,
                source=options["source"],
                path=path,
                mapping=mapping,
                progress=bar,
            )
        else:
            report = importing.run(
                tenant_id=organisation.pk,
                source=options["source"],
                path=path,
                mapping=mapping,
                at=timezone.now(),
                progress=bar,
                record_ratings=imported_ratings.record,
            )
            if report.new_ratings:
                with acting(organisation.pk):
                    released = release_ready(tenant_id=organisation.pk, now=timezone.now())
        bar.done()
        if options["as_json"]:
            told = json.dumps(report.as_dict() | {"released": released}, ensure_ascii=False)
        else:
            told = sentences(report, released)
        self.stdout.write(told)

    def _explain(
        self, organisation: Organisation, path: Path, mapping: Mapping | None, options: Options
    ) -> None:
        explanation = explaining.explain(
            tenant_id=organisation.pk, source=options["source"], path=path, mapping=mapping
        )
        self.stdout.write(
            json.dumps(explanation.as_dict(), ensure_ascii=False, indent=1)
            if options["as_json"]
            else explanation.text()
        )
        if explanation.unexplained:
            raise CommandError(
                f"{len(explanation.unexplained)} tickets differ without a rule that says why:"
                f" {', '.join(explanation.unexplained[:10])}."
            )


class ProgressBar:
    """Rows, rows a second and time left on one line of a terminal; silent elsewhere."""

    WIDTH = 30

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()
        self._shown = sys.stderr.isatty()

    def __call__(self, rows: int, share: float) -> None:
        """Show how far the file has been read."""
        if not self._shown:
            return
        took = max(time.monotonic() - self._began, 1e-6)
        left = f"{took * (1 - share) / share:.0f} s left" if share else "reading"
        filled = round(share * self.WIDTH)
        bar = "#" * filled + "." * (self.WIDTH - filled)
        sys.stderr.write(f"\r{self._name} [{bar}] {rows:,} rows, {rows / took:,.0f}/s, {left}   ")
        sys.stderr.flush()

    def done(self) -> None:
        """Leave the line."""
        if self._shown:
            sys.stderr.write("\n")


def dump_sentences(report: DumpReport, *, is_live: bool) -> str:
    """What became of a dump, for people."""
    streams = ", ".join(f"{number:,} of {name}" for name, number in sorted(report.streams.items()))
    lines = [f"{report.file}: {report.records:,} records ({streams or 'none'})."]
    if report.changed_nothing:
        lines.append("Everything in it was known before: nothing was changed.")
    else:
        lines.append(
            f"{report.new_deliveries:,} of {report.deliveries:,} deliveries were new:"
            f" {report.folded:,} entered, {report.quarantined:,} in quarantine,"
            f" {report.waiting:,} waiting."
        )
    if report.waiting and not is_live:
        lines.append(
            "They wait until somebody has said on the mapping page what the source's words mean."
        )
    if report.rows_refused:
        lines.append(f"In quarantine: {report.rows_refused:,} lines that were not read.")
        lines += [f"  line {p.row}: {p.reason}" for p in report.problems]
    return "\n".join(lines)


def sentences(report: Report, released: int) -> str:
    """A report for people."""
    lines = []
    verb = "holds" if report.preview else "read"
    if report.resumed_behind:
        lines.append(f"Went on behind row {report.resumed_behind:,} of an interrupted import.")
    lines.append(f"{report.file}: {verb} {report.rows:,} rows of {report.tickets:,} tickets.")
    if report.preview:
        lines.append(f"Ratings in it: {report.new_ratings:,}. Nothing was written.")
    elif report.changed_nothing:
        lines.append("Everything in it was known before: nothing was changed.")
    else:
        lines.append(f"New: {report.new_events:,} events, {report.new_ratings:,} ratings.")
        lines += [f"  {what}: {number:,}" for what, number in sorted(report.written.items())]
        if report.new_ratings:
            lines.append(
                f"{released:,} ratings entered the live figures; others wait until their batch"
                " holds 5 answers on the work of 3 agents."
            )
    if report.mojibake:
        named = ", ".join(f"{column} ({n:,})" for column, n in sorted(report.mojibake.items()))
        lines.append(
            f"Letters that were read in a wrong encoding before the file was written: {named}."
            " They are kept as they stand."
        )
    if report.capabilities_created:
        would = "would be created" if report.preview else "created"
        lines.append(f"Capabilities {would}: {', '.join(report.capabilities_created)}.")
    if report.rows_refused or report.fields_lost:
        lines.append(
            f"In quarantine: {report.rows_refused:,} rows that could not be used, and"
            f" {report.fields_lost:,} rows that lost one field and were kept."
        )
        lines += [
            f"  row {p.row}, ticket {p.ticket or '?'},"
            f" {p.field or 'the row'}: {p.value!r} {p.reason}"
            for p in report.problems
        ]
        more = report.rows_refused + report.fields_lost - len(report.problems)
        if more > 0:
            lines.append(f"  … and {more:,} more, all kept with their reasons.")
    return "\n".join(lines)
