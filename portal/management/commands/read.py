"""manage.py read: one figure of an organisation as JSON, whole or split, now or as of the past."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections import Counter
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from metrics.data_quality import flaws_in_words
from metrics.definitions import UnknownMetric
from metrics.evaluating import NotOneFigure
from portal.cards import figure
from portal.readings import DIMENSIONS, SPLITS, Answering, Asked, NotAskable, reader_of
from portal.tenancy.context import acting
from portal.tenancy.models import Organisation


def day(text: str) -> date:
    """A day as 2026-10-01."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it as 2026-10-01.") from None


def instant(text: str) -> datetime:
    """An instant with its offset, as 2026-10-01T12:00:00+02:00."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ArgumentTypeError(
            f"{text!r} is no instant; write it with its offset, as 2026-10-01T12:00:00+02:00."
        )
    return found


def condition(text: str) -> tuple[str, str]:
    """DIMENSION=VALUE."""
    name, equals, value = text.partition("=")
    if name not in DIMENSIONS or not equals or not value:
        raise ArgumentTypeError(
            f"{text!r} is no condition; write DIMENSION=VALUE, with {', '.join(DIMENSIONS)}."
        )
    return name, value


class Command(BaseCommand):
    """Tell a reading with everything that must stand beside it (METRICS.md 1.14)."""

    help = "Read a metric of an organisation. --until is not included; days are the organisation's."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organisation", required=True, metavar="SLUG")
        parser.add_argument("--metric", required=True, metavar="KEY[.VIEW]")
        parser.add_argument("--from", required=True, dest="start", type=day, metavar="DATE")
        parser.add_argument("--until", required=True, type=day, metavar="DATE")
        parser.add_argument("--split", action="append", default=[], choices=SPLITS)
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            type=condition,
            metavar="DIMENSION=VALUE",
            help="capability=SLUG, severity=high, domain=it or segment=tenure:new",
        )
        parser.add_argument(
            "--as-of",
            type=instant,
            metavar="INSTANT",
            help="as it stood then: folds the log again, slow and exact",
        )
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = Organisation.objects.filter(slug=options["organisation"]).first()
        if tenant is None:
            raise CommandError(f"There is no organisation {options['organisation']!r}.")
        twice = [name for name, n in Counter(name for name, _ in options["where"]).items() if n > 1]
        if twice:
            raise CommandError(f"--where names {', '.join(twice)} more than once.")
        try:
            told = self._told(tenant, options)
        except (UnknownMetric, NotAskable, NotOneFigure) as error:
            raise CommandError(str(error)) from error
        if options["as_json"]:
            plain = [reading.to_json() for reading in told]
            self.stdout.write(
                json.dumps(plain if options["split"] else plain[0], ensure_ascii=False, indent=1)
            )
            return
        for reading in told:
            where = ", ".join(f"{name} {value}" for name, value in reading.slice.items() if value)
            self.stdout.write(f"{where or 'all'}: {reading.sentence}")
            shown = figure(reading)
            interval = f"95 %: {shown.interval}" if shown.interval else ""
            if beside := "; ".join(one for one in (interval, shown.notes) if one):
                self.stdout.write(f"  {beside}")
            if flaws := flaws_in_words(reading):
                self.stdout.write(f"  {flaws}")

    def _told(self, tenant: Organisation, options: dict[str, Any]) -> list[Any]:
        asked = Asked(options["start"], options["until"], **dict(options["where"]))
        with acting(tenant.pk):
            reader = reader_of(
                tenant,
                now=timezone.now(),
                as_of=options["as_of"],
                start=asked.start,
                until=asked.until,
            )
            answering = Answering(reader)
            return [
                answering.measure(options["metric"], part)
                for part in answering.split(asked, options["split"])
            ]
