"""What a mapping file may say, and what is said of a row that does not fit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tickets.mapping import MEANINGS, SHIPPED, TOLD, Columns, Mapping, MappingError
from tickets.news import RowReader

MAPPING: dict[str, Any] = {
    "rows": "versions",
    "unknown": ["?"],
    "time": {"zone": "Europe/Berlin", "formats": ["%d.%m.%Y %H:%M", "iso"]},
    "columns": {
        "ticket": "no",
        "at": "changed",
        "opened_at": "opened",
        "state": "status",
        "severity": "prio",
        "capability": "topic",
    },
    "values": {
        "state": {"Neu": "new", "Fertig": "resolved"},
        "severity": {"hoch": "high"},
        "capability": {"Drucker": "Printing"},
    },
}
HEADER = ["no", "changed", "opened", "status", "prio", "topic"]


def read(*cells: str) -> Any:
    columns = Columns(Mapping.parse(MAPPING, name="test"), HEADER)
    return columns.read(dict(zip(HEADER, cells, strict=True)), 3)


def test_a_row_is_told_in_this_products_words_and_in_utc() -> None:
    row, problems = read("7", "29.03.2026 03:30", "2026-03-28T10:00:00", "Neu", "hoch", "Drucker")
    assert problems == []
    assert row.values == {
        "at": datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        "opened_at": datetime(2026, 3, 28, 9, tzinfo=UTC),
        "state": "new",
        "severity": "high",
        "capability": "printing",
    }


def test_an_unknown_word_loses_its_field_and_keeps_the_row() -> None:
    row, [problem] = read("7", "28.03.2026 10:00", "28.03.2026 10:00", "-100", "hoch", "?")
    assert "state" not in row.values
    assert "capability" not in row.values
    assert (problem.row, problem.ticket, problem.field, problem.value) == (3, "7", "status", "-100")
    assert not problem.refused


@pytest.mark.parametrize(
    ("cells", "field", "reason"),
    [
        (("", "28.03.2026 10:00", "28.03.2026 10:00"), "no", "empty: whose row is this?"),
        (("7", "28.03.26", "28.03.2026 10:00"), "changed", "not a date"),
        (("7", "28.03.2026 10:00", ""), "opened", "empty, and needed"),
    ],
)
def test_a_row_without_ticket_or_instant_is_refused(
    cells: tuple[str, ...], field: str, reason: str
) -> None:
    row, [problem] = read(*cells, "Neu", "hoch", "Drucker")
    assert row is None
    assert problem.refused
    assert problem.field == field
    assert reason in problem.reason


def test_every_mistake_of_a_mapping_is_named_at_once() -> None:
    broken = {
        "rows": "rows",
        "colours": {},
        "time": {"zone": "Mars"},
        "columns": {"tikcet": "no"},
        "values": {"state": {"Neu": "fresh"}},
    }
    with pytest.raises(MappingError) as refused:
        Mapping.parse(broken, name="broken.toml")
    said = str(refused.value)
    for part in ("colours", "'rows'", "tikcet", "Mars", "formats", "'fresh'", "broken.toml"):
        assert part in said


def test_a_file_without_a_mapped_column_is_refused_with_what_it_has() -> None:
    with pytest.raises(MappingError, match="no column 'prio'; it has no, changed"):
        Columns(Mapping.parse(MAPPING, name="test"), ["no", "changed", "opened", "status", "topic"])


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_mappings_are_sound(path: Any) -> None:
    assert Mapping.load(path.stem).columns["ticket"]


def test_a_score_outside_its_scale_is_refused_as_a_score() -> None:
    mapping = Mapping.load("flat_with_score")
    columns = Columns(mapping, list(mapping.columns.values()))
    cells = dict.fromkeys(mapping.columns.values(), "")
    cells |= {"Unique id": "1", "Issue_reported at": "02/03/2026 09:00", "CSAT Score": "6"}
    row, [problem] = columns.read(cells, 1)
    assert problem.reason == "not between 1 and 5"
    assert row is not None
    assert RowReader(mapping).read([row])[1] == []


def test_every_meaning_of_a_column_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
    assert [name for name in [*MEANINGS, *TOLD] if f"`{name}`" not in page] == []
