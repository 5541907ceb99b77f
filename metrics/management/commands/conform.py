"""`manage.py conform FOLDER`: does the implementation do what the handbook's vectors say?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics.conformance import numbers, run_folder, unknown_numbers


class Command(BaseCommand):
    help = "Run the test vectors of a folder; exits non-zero on any miss."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--only", default="", help="numbers of files: 01,05-10,golden_month_A")

    def handle(self, *args: Any, folder: Path, only: str, **options: Any) -> None:
        if not folder.is_dir():
            raise CommandError(f"There is no folder {folder}. Nothing was run.")
        chosen = numbers(only) or None
        results = run_folder(folder, chosen)
        for result in results:
            if result.cases is None:
                told = f"read, not run: {result.why_not_run}" if result.why_not_run else "not known"
                self.stdout.write(f"{result.name}: {told}")
                continue
            verdict = f"{len(result.misses)} missed" if result.misses else "pass"
            if result.cases == 0:
                verdict = "nothing to compare"
            self.stdout.write(f"{result.name}: {result.cases} cases, {verdict}")
            for miss in result.misses:
                self.stdout.write(f"    {miss}")
        absent = unknown_numbers(folder, chosen or ())
        unknown = [result.name for result in results if result.is_unknown]
        if not results and not absent:
            raise CommandError(f"There is no vector file in {folder}. Nothing was run.")
        if absent or unknown or any(result.misses or result.cases == 0 for result in results):
            raise CommandError(
                "Not everything passed."
                + (f" No such file: {', '.join(absent)}." if absent else "")
                + (f" Not known: {', '.join(unknown)}." if unknown else "")
            )
