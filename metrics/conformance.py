"""Runs the test vectors of the handbook against the implementation.

The runner of a file is found by its number in `RUNNERS` (vector_runners.py); the golden month has a
module of its own. Comparing stands here once; an expected name that no runner gives is a miss, so
nothing is passed over in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from metrics import golden
from metrics.vector_runners import NOT_RUN, RUNNERS, Case, Runner

#: Parts of `expected` that document and are not computed.
DOCUMENTATION = frozenset({"published", "not_this", "median_without_midpoint_rule"})
DEFAULT_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Miss:
    """One value that differs."""

    case: str
    name: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.case}: {self.name} should be {self.expected!r}, is {self.got!r}"


@dataclass(slots=True)
class FileResult:
    """What running one file gave; `cases` is None for a file that was not run.

    `why_not_run` says why a file is read and not run; it is empty for one nobody knows.
    """

    name: str
    cases: int | None
    misses: list[Miss] = field(default_factory=list)
    why_not_run: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows how to run it."""
        return self.cases is None and not self.why_not_run


def run_folder(folder: Path, only: frozenset[str] | None = None) -> list[FileResult]:
    """Run every vector file of a folder, or those whose number is in `only`, in order of name."""
    return [
        run_file(path)
        for path in sorted(folder.glob("*.json"))
        if only is None or number_of(path) in only
    ]


def number_of(path: Path) -> str:
    """The number a file is known by (`07`), or its whole stem where it has none."""
    found = re.match(r"\d+", path.stem)
    return found.group() if found else path.stem


def run_file(path: Path) -> FileResult:
    """Run one file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    number = number_of(path)
    if number == golden.NAME:
        report, expected = golden.run(content["data"]), golden.flattened(content["expected"])
        case = {"id": content["data"]["name"], "tolerance": 1e-5}
        return FileResult(path.stem, len(expected), list(_differences(case, expected, report)))
    runner = RUNNERS.get(number)
    if runner is None:
        return FileResult(path.stem, None, why_not_run=NOT_RUN.get(number, ""))
    misses = [miss for case in content["cases"] for miss in _missed(case, content, runner)]
    return FileResult(path.stem, len(content["cases"]), misses)


def _missed(case: Case, content: Mapping[str, Any], runner: Runner) -> Iterator[Miss]:
    expected = _expected(case)
    if not expected:
        yield Miss(str(case["id"]), "expected", "something to compare", None)
        return
    try:
        got = runner(case, content)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        yield Miss(str(case["id"]), "the case", "computed", error)  # the other cases still run
        return
    yield from _differences(case, expected, got)


def _expected(case: Case) -> dict[str, Any]:
    """What a case expects by name; the flat business-time files name it `expected…`."""
    if isinstance(case.get("expected"), Mapping):
        return dict(case["expected"])
    return {name: value for name, value in case.items() if name.startswith("expected")}


def _differences(case: Case, expected: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[Miss]:
    for name, value in expected.items():
        if name in DOCUMENTATION:
            continue
        if name not in got:
            yield Miss(str(case["id"]), name, value, "not computed")
        elif not _same(value, got[name], _tolerance(case, name)):
            yield Miss(str(case["id"]), name, value, got[name])


def _tolerance(case: Case, name: str) -> float:
    tolerance = case.get("tolerance", DEFAULT_TOLERANCE)
    if isinstance(tolerance, Mapping):
        # by name, or by whose figure it is: `published_…` or the file's own
        whose = "published" if name.startswith("published_") else "own"
        tolerance = tolerance.get(name, tolerance.get(whose, DEFAULT_TOLERANCE))
    return float(tolerance)


def _same(expected: Any, got: Any, tolerance: float) -> bool:
    if isinstance(expected, bool) or expected is None or got is None:
        return bool(expected == got) and (expected is None) == (got is None)
    if isinstance(expected, int | float) and isinstance(got, int | float | np.number):
        return abs(float(expected) - float(got)) <= tolerance
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return set(expected) <= set(got) and all(
            _same(value, got[name], tolerance) for name, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(got, list | tuple):
        return len(expected) == len(got) and all(
            _same(a, b, tolerance) for a, b in zip(expected, got, strict=True)
        )
    if isinstance(got, datetime):
        return isinstance(expected, str) and datetime.fromisoformat(expected) == got
    return bool(expected == got)


def numbers(text: str) -> frozenset[str]:
    """Read `01,05-10,golden_month_A` as a set of numbers."""
    chosen: set[str] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        ends = re.fullmatch(r"(\d+)-(\d+)", part)
        if ends:
            chosen.update(f"{n:02}" for n in range(int(ends[1]), int(ends[2]) + 1))
        else:
            chosen.add(f"{int(part):02}" if part.isdigit() else part)
    return frozenset(chosen)


def unknown_numbers(folder: Path, only: Iterable[str]) -> list[str]:
    """Numbers that were asked for and that no file of the folder has."""
    present = {number_of(path) for path in folder.glob("*.json")}
    return sorted(set(only) - present)
