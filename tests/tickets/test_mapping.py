"""What a mapping file may say, and what is said of a row that does not fit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tickets.mapping import (
    MEANINGS,
    MOST_CAPABILITIES,
    SHIPPED,
    TOLD,
    Columns,
    Mapping,
    MappingError,
    reader_of,
)
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


@pytest.mark.parametrize("odd", [0, 1.5, True, ["x"], [[]], {"a": {"b": 1}}, "%Q", 10**30])
def test_what_stands_at_the_wrong_place_is_named_and_never_a_failure_of_ours(odd: Any) -> None:
    whole = {
        **MAPPING,
        "file": {"encoding": "utf-8"},
        "defaults": {"severity": "low"},
        "final": {"closed": "x"},
        "create": {"domain": "it", "zone": "UTC", "hours": {"mon": [["09:00", "17:00"]]}},
    }
    whole["time"] = {**MAPPING["time"], "columns": {"at": ["iso"]}}
    assert Mapping.parse(whole, name="test")
    for path in _paths(whole):
        with suppress(MappingError):
            Mapping.parse(_with(whole, path, odd), name="test")
    with pytest.raises(MappingError, match=r"time\.formats must be a list of texts"):
        Mapping.parse(_with(whole, ("time", "formats"), 7), name="test")


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in inside if isinstance(value, dict | list) else ():
        yield (*path, name)
        yield from _paths(one, (*path, name))


def _with(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """A copy with something else at a path."""
    if not path:
        return odd
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _with(copied[path[0]], path[1:], odd)
    return copied


@pytest.mark.parametrize("scale", ["csat_1_10", "csat_0_10", "stars_1_5", "csat_5_1", "two_point"])
def test_a_scale_of_which_nobody_knows_what_is_good_is_refused(scale: str) -> None:
    """Ratings on it would be taken in, and be in no figure."""
    with pytest.raises(MappingError, match="csat_1_5, csat_1_7, csat_1_3, nps_0_10"):
        Mapping.parse({**MAPPING, "defaults": {"scale": scale}}, name="test")
    assert Mapping.parse({**MAPPING, "defaults": {"scale": "csat_1_7"}}, name="test")


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


@pytest.mark.parametrize(
    ("said", "hour", "why"),
    [
        ("25.10.2026 02:30", 0, "comes twice in Europe/Berlin: read as the first"),
        ("29.03.2026 02:30", 1, "is skipped by the clocks of Europe/Berlin: moved on by the gap"),
    ],
)
def test_a_local_time_that_comes_twice_or_never_is_placed_by_rule_and_said(
    said: str, hour: int, why: str
) -> None:
    row, problems = read("7", said, "28.03.2026 10:00", "Neu", "hoch", "Drucker")
    assert problems == []
    assert row.values["at"].hour == hour
    assert row.doubts == [f"changed: {row.values['at']:%Y-%m-%d} 02:30 {why}"]


def test_a_date_that_two_stated_formats_read_as_two_days_is_refused() -> None:
    time = {"zone": "UTC", "formats": ["%d/%m/%Y", "%m/%d/%Y"]}
    columns = Columns(Mapping.parse({**MAPPING, "time": time}, name="two"), HEADER)
    said = dict(zip(HEADER, ("7", "13/03/2026", "05/05/2026", "Neu", "hoch", "?"), strict=True))
    row, problems = columns.read(said, 1)
    assert problems == []
    assert row is not None
    row, [problem] = columns.read({**said, "opened": "02/03/2026"}, 2)
    assert row is None
    assert "in two ways: as 2026-03-02 00:00 and as 2026-02-03 00:00" in problem.reason


def test_a_column_may_have_a_way_of_writing_dates_of_its_own() -> None:
    time = {"zone": "UTC", "formats": ["%d/%m/%Y"], "columns": {"opened_at": ["%m/%d/%Y"]}}
    columns = Columns(Mapping.parse({**MAPPING, "time": time}, name="own"), HEADER)
    said = dict(zip(HEADER, ("7", "02/03/2026", "02/03/2026", "Neu", "", ""), strict=True))
    row, _ = columns.read(said, 1)
    assert row is not None
    assert (row.values["at"].month, row.values["opened_at"].month) == (3, 2)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("2026-03-02", "not a date written as"),  # a day alone is no ISO instant
        ("0001-01-01T00:00:00+14:00", "a year outside"),
        ("9999-12-31T23:59:59-12:00", "a year outside"),
        ("1970-01-01T02:37:03", "a year outside"),
        ("२०२६-03-02T10:00", "not a date"),
        ("28.03.2026 10:00 ", ""),
        ("28.03.2026 25:00", "not a date"),
    ],
)
def test_an_instant_is_read_as_stated_or_refused(said: str, reason: str) -> None:
    row, problems = read("7", said, "28.03.2026 10:00", "Neu", "hoch", "Drucker")
    assert [reason in problem.reason for problem in problems] == [True] * bool(reason)
    assert (row is None) == bool(reason)


@pytest.mark.parametrize(
    "ticket", ["T\u200b1", "\ufeffT1", "T\u202e1", "T\x001", "T\x1b[1m", "T\ud800"]
)
def test_a_ticket_whose_name_cannot_be_seen_is_refused(ticket: str) -> None:
    row, [problem] = read(ticket, "28.03.2026 10:00", "28.03.2026 10:00", "Neu", "hoch", "Drucker")
    assert row is None
    assert "cannot be seen" in problem.reason
    assert "\x00" not in problem.value


def test_digits_are_read_as_strptime_reads_them() -> None:
    dice = random.Random(7)
    for form in ("%d/%m/%Y %H:%M", "%d.%m.%Y", "%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M"):
        ours = reader_of(form)
        for _ in range(500):
            said = (
                f"{dice.randrange(34)}{form[2]}{dice.randrange(14)}{form[2]}{dice.randrange(3000)}"
            )
            said += dice.choice(("", " 1:02", " 10:61", " 23:59:59", "  7:07"))
            assert _or_error(ours, said) == _or_error(
                lambda s, f=form: datetime.strptime(s, f), said
            )


def _or_error(function: Any, said: str) -> Any:
    try:
        return function(said)
    except ValueError:
        return ValueError


def test_memory_of_values_is_bounded() -> None:
    columns = Columns(Mapping.parse(MAPPING, name="test"), HEADER)
    for number in range(30_000):
        columns.read({"no": "7", "topic": f"{number:06}"}, number)
    columns.read({"no": "7", "status": "x" * 60_000}, 1)
    assert len(columns.capability_names) == MOST_CAPABILITIES
    assert max(len(seen) for _, _, seen in columns._columns) <= 20_000
    assert max(len(said) for _, _, seen in columns._columns for said in seen) <= 100


def test_a_file_table_that_cannot_be_used_is_named() -> None:
    file = {"encoding": "ebcdic", "delimiter": "ab", "header_row": 0, "sep": ","}
    with pytest.raises(MappingError) as refused:
        Mapping.parse({**MAPPING, "file": file}, name="f")
    for part in ("ebcdic", "'ab'", "header_row", "'sep'"):
        assert part in str(refused.value)


def test_a_state_of_a_whole_ticket_needs_the_time_since_when_it_stands_so() -> None:
    with pytest.raises(MappingError, match="state needs at"):
        Mapping.parse({**MAPPING, "rows": "tickets", "columns": {
            "ticket": "no", "opened_at": "opened", "state": "status"}}, name="f")  # fmt: skip
