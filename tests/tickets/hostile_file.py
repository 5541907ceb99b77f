"""A hostile export of any length, known by construction, and the process that imports it.

`python -m tests.tickets.hostile_file stage` founds the organisation; `… import FILE BATCH [apart]`
imports as the worker, says after every batch how far it is, and at the end its peak memory.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

SLUG, SOURCE = "hostile", "log"
HEADER = (
    "number", "changed", "opened", "count", "state", "priority", "topic", "team", "agent",
    "customer", "subject",
)  # fmt: skip
MAPPING: dict[str, Any] = {
    "rows": "versions",
    "unknown": ["?"],
    "file": {"encoding": "utf-8"},
    "time": {"zone": "Europe/Berlin", "formats": ["%d/%m/%Y %H:%M"]},
    "columns": {
        "ticket": "number", "at": "changed", "opened_at": "opened", "sequence": "count",
        "state": "state", "severity": "priority", "capability": "topic", "group": "team",
        "agent": "agent", "requester": "customer", "subject": "subject",
    },
    "values": {
        "state": {"New": "new", "Work": "open", "Wait": "waiting_on_requester",
                  "Done": "resolved", "Shut": "closed"},
        "severity": {"P1": "critical", "P2": "high", "P3": "medium"},
    },
    "create": {"domain": "it", "name": "IT", "zone": "Europe/Berlin", "capabilities": True,
               "hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}},
}  # fmt: skip

#: Rows that cannot be used: each must be named.
REFUSED = (
    "no ticket", "overlong ticket", "invisible character in the ticket", "no such day",
    "another date format", "a year far off", "too few cells", "too many cells",
    "bytes that are no text", "a quote where none may be",
)  # fmt: skip
#: Rows that lose one field and are kept.
LOST = ("NUL", "a state nobody mapped")
#: Rows that only look dangerous.
KEPT = (
    "a formula", "rows inside a cell", "mojibake", "bidirectional controls", "a row twice",
    "a local time that comes twice",
)  # fmt: skip
#: Large ones, rarely: a cell of 70,000 characters and a row of more than a megabyte.
LARGE = ("an overlong cell", "an overlong row")
KINDS = (*REFUSED, *LOST, *KEPT, *LARGE)
#: An hour that comes twice in Berlin, and one that is skipped: both befall honest rows too.
_STRANGE_HOURS = ("25/10/2026 02:", "29/03/2026 02:")


@dataclass
class Expected:
    """What is known of the file before anybody reads it."""

    rows: int = 0
    refused: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    #: Tickets with a local time that comes twice or is skipped.
    doubtful: set[str] = field(default_factory=set)


def write(path: Path, rows: int, seed: int = 20261025) -> Expected:
    """Write a file of `rows` rows."""
    dice = random.Random(seed)
    known = Expected()
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf" + _line(HEADER))
        stories = _stories(dice)
        last: list[str] = []
        while known.rows < rows:
            cells = next(stories)
            known.rows += 1
            kind = _kind(dice, known.rows, rows) if last else ""
            if kind == "a row twice":
                cells = last
            if kind:
                known.kinds[kind] += 1
            raw = _spoilt(kind, cells, dice)
            file.write(raw)
            if kind in REFUSED or kind in LARGE:
                known.refused.append(known.rows)
                continue
            if kind in LOST:
                known.lost.append(known.rows)
            if any(cell.startswith(_STRANGE_HOURS) for cell in cells[1:3]):
                known.doubtful.add(cells[0])
            if not kind:
                last = cells
    return known


def _kind(dice: random.Random, number: int, rows: int) -> str:
    if number % max(rows // 6, 1) == rows // 12:
        return LARGE[1]
    if number % max(rows // 50, 1) == rows // 100:
        return LARGE[0]
    return dice.choice(KINDS[: -len(LARGE)]) if dice.random() < 0.05 else ""


def _stories(dice: random.Random) -> Iterator[list[str]]:
    """Rows of many tickets, out of order within a few hundred."""
    window: list[list[str]] = []
    number = 0
    while True:
        while len(window) < 400:
            number += 1
            opened = datetime(2026, 1, 1) + timedelta(minutes=dice.randrange(350_000))
            at = opened
            for count, state in enumerate(("New", "Work", "Wait", "Work", "Done", "Shut")[
                : dice.randint(2, 6)
            ]):  # fmt: skip
                window.append(
                    [
                        f"T{number:07}", f"{at:%d/%m/%Y %H:%M}", f"{opened:%d/%m/%Y %H:%M}",
                        str(count), state, dice.choice(("P1", "P2", "P3")),
                        f"Topic {dice.randrange(20)}", f"Team {dice.randrange(12)}",
                        f"agent {dice.randrange(60)}", f"customer {dice.randrange(4_000)}",
                        f"Nothing works in room {dice.randrange(500)}",
                    ]
                )  # fmt: skip
                at += timedelta(minutes=dice.randrange(20, 4_000))
        yield window.pop(dice.randrange(len(window)))


def _line(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _spoilt(kind: str, cells: list[str], dice: random.Random) -> bytes:
    """The row as the file holds it."""
    if kind in _CELLS:
        place, value = _CELLS[kind]
        cells[place] = value
    elif kind == "too few cells":
        return _line(cells[:7])
    elif kind == "too many cells":
        return _line([*cells, "one", "more"])
    elif kind == "bytes that are no text":
        return _line(cells).replace(b"works", b"w\xff\xfe\x80ks")
    elif kind == "a quote where none may be":
        cells[10] = "QUOTE"
        return _line(cells).replace(b"QUOTE", b'"Nothing" works')
    elif kind == "rows inside a cell":
        cells[10] = f'It said:\n{",".join(cells)}\r\nT9999999,"quoted",\n\n{dice.random()}'
    elif kind == "a local time that comes twice":
        cells[1], cells[2] = "25/10/2026 02:30", "24/10/2026 10:00"
    elif kind == LARGE[0]:
        cells[10] = "x" * 70_000
    elif kind == LARGE[1]:
        cells[10] = f"{','.join(cells)}\n" * 12_000
    return _line(cells)


_CELLS = {
    "no ticket": (0, " "),
    "overlong ticket": (0, "T" * 300),
    "invisible character in the ticket": (0, "T00\u200b00001"),
    "no such day": (1, "31/02/2026 10:00"),
    "another date format": (1, "2026-03-02 10:00"),
    "a year far off": (1, "02/03/9998 10:00"),
    "NUL": (8, "agent\x007"),
    "a state nobody mapped": (4, "-100"),
    "a formula": (7, "=cmd|' /C calc'!A0"),
    "mojibake": (10, "MÃ¼ller fÃ¤llt aus"),
    "bidirectional controls": (10, "\u202egnihton\u202c skrow \ufeff"),
}


# --- the importing process ------------------------------------------------------------------------


def _stage() -> None:
    from portal.tenancy.models import Organisation

    Organisation.objects.create(slug=SLUG, name="Hostile", time_zone="Europe/Berlin")


def _import(path: Path, batch: int, *, apart: bool) -> None:
    from portal.tenancy.models import Organisation
    from tickets import importing
    from tickets.mapping import Mapping

    importing.BATCH = batch
    if apart:
        _commit_positions_apart(importing)
    report = importing.run(
        tenant_id=Organisation.objects.get(slug=SLUG).pk,
        source=SOURCE,
        path=path,
        mapping=Mapping.parse(MAPPING, name="hostile"),
        at=datetime(2027, 1, 1, tzinfo=UTC),
        progress=lambda rows, share: _say(rows),
        record_ratings=lambda **_: 0,
    )
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    _say(json.dumps({"peak_kb": int(peak), "rows_behind": report.resumed_behind}))


def _say(what: object) -> None:
    """Tell the process that watches."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def _commit_positions_apart(importing: Any) -> None:
    """The negative control: an importer that notes how far it is before the rows are kept."""
    from portal.tenancy.context import acting
    from portal.tenancy.models import Organisation
    from tickets.models import ImportRun

    tenant_id = Organisation.objects.get(slug=SLUG).pk
    together = importing._batches

    def batches(*args: Any, **options: Any) -> Iterator[Any]:
        for one in together(*args, **options):
            with acting(tenant_id):
                ImportRun.objects.update(rows_done=one.last)
            yield one

    importing._batches = batches


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django

    django.setup()
    if sys.argv[1] == "stage":
        _stage()
    else:
        _import(Path(sys.argv[2]), int(sys.argv[3]), apart="apart" in sys.argv)
