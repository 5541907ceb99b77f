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
from tickets import explaining, importing
from tickets.files import UnreadableFile
from tickets.importing import ImportRefused, Report
from tickets.mapping import Mapping, MappingError

Options = dict[str, Any]


class Command(BaseCommand):
    """Import tickets, or with --explain set the file's own figures beside ours."""

    help = "Import tickets from CSV (plain or .gz) or JSON lines. Importing again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument("--source", required=True, metavar="NAME")
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
        parser.add_argument("--json", action="store_true", dest="as_json")
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            organisation = Organisation.objects.get(slug=options["organisation"])
        except Organisation.DoesNotExist:
            raise CommandError(
                f"There is no organisation {options['organisation']!r}; nothing was read. Found it"
                " first with manage.py create_organisation."
            ) from None
        for path in options["files"]:
            if not path.is_file():
                raise CommandError(f"{path} is not a file; nothing was read.")
        try:
            mapping = Mapping.load(options["mapping"]) if options["mapping"] else None
            for path in options["files"]:
                if options["explain"]:
                    self._explain(organisation, path, mapping, options)
                else:
                    self._import(organisation, path, mapping, options)
        except (MappingError, ImportRefused, UnreadableFile) as error:
            raise CommandError(str(error)) from error

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
