"""Exports that come again, longer, changed, cut off or in another order: one state in the end."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests.factories import Cast
from tests.tickets.exports import (
    AT,
    LOG,
    LOG_HEADER,
    ignore_ratings,
    import_log,
    quiet,
    version,
    write_csv,
)
from tests.tickets.test_importing import row_versions, told
from tickets import importing
from tickets.importing import ImportRefused, Report
from tickets.mapping import Mapping
from tickets.models import ImportRun, QuarantinedRow, Ticket, TicketEvent, TicketFlaw, WorkItem

TICKETS: dict[str, Any] = {
    "rows": "tickets",
    "time": {"zone": "Europe/Berlin", "formats": ["%d.%m.%Y %H:%M"]},
    "columns": {
        "ticket": "Key", "opened_at": "Created", "resolved_at": "Solved", "severity": "Prio",
        "group": "Team", "agent": "Agent", "channel": "Via", "subject": "Title",
    },
    "values": {"severity": {"P1": "critical", "P2": "high", "P3": "medium"}},
}  # fmt: skip
HEADER = ("Key", "Created", "Solved", "Prio", "Team", "Agent", "Via", "Title")
UPDATED: dict[str, Any] = {
    **TICKETS,
    "columns": {**TICKETS["columns"], "at": "Updated", "state": "State"},
    "values": {
        **TICKETS["values"],
        "state": {"New": "new", "Work": "open", "Done": "resolved", "Off": "withdrawn"},
    },
}


@pytest.fixture
def acme(cast: Cast, worker: None) -> int:
    return cast.acme.pk


def bring(
    tenant_id: int, path: Path, mapping: dict[str, Any] = TICKETS, source: str = "flat"
) -> Report:
    return importing.run(
        tenant_id=tenant_id,
        source=source,
        path=path,
        mapping=Mapping.parse(mapping, name=source),
        at=AT,
        progress=quiet,
        record_ratings=ignore_ratings,
    )


def row(key: str, solved: str = "", prio: str = "P3", **more: str) -> tuple[str, ...]:
    """A whole ticket of 2 March 2026."""
    said = {"Key": key, "Created": "02.03.2026 09:00", "Solved": solved, "Prio": prio,
            "Team": "Desk", "Agent": "Kim", "Via": "mail", "Title": f"Problem {key}"}  # fmt: skip
    said |= more
    return tuple(said[name] for name in HEADER)


def test_a_longer_export_completes_and_updates_without_duplicates(
    acme: int, tmp_path: Path
) -> None:
    first = [row("T1"), row("T2", "02.03.2026 11:00"), row("T3")]
    longer = [row("T0"), row("T1", "03.03.2026 10:00", "P2", Team="Network", Title="Solved"),
              *first[1:], row("T4", Agent="Lee")]  # fmt: skip
    bring(acme, write_csv(tmp_path / "1.csv", HEADER, first))
    report = bring(acme, write_csv(tmp_path / "2.csv", HEADER, longer))
    assert report.rows_refused == 0
    with acting(acme):
        items = {
            item.ticket.external_id: (item.severity, item.outcome, item.group)
            for item in WorkItem.objects.select_related("ticket")
        }
        assert items == {
            "T0": ("medium", "open", "Desk"), "T1": ("high", "resolved", "Network"),
            "T2": ("medium", "resolved", "Desk"), "T3": ("medium", "open", "Desk"),
            "T4": ("medium", "open", "Desk"),
        }  # fmt: skip
        assert TicketEvent.objects.filter(ticket__external_id="T2").count() == 3
    before = row_versions(acme)
    assert bring(acme, tmp_path / "1.csv").changed_nothing
    assert bring(acme, tmp_path / "2.csv").changed_nothing
    assert row_versions(acme) == before


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_say_when_they_were_written_give_one_state_in_any_order(
    acme: int, cast: Cast, tmp_path: Path, seed: int
) -> None:
    header = (*HEADER, "Updated", "State")
    rows = [
        (*row("T1"), "02.03.2026 09:05", "New"),
        (*row("T1", prio="P2"), "02.03.2026 12:00", "Work"),
        (*row("T1", "03.03.2026 10:00", "P2", Agent="Lee"), "03.03.2026 10:00", "Done"),
        (*row("T1", prio="P1", Via="phone"), "04.03.2026 10:00", "Work"),
        (*row("T2"), "02.03.2026 09:05", "New"),
        (*row("T2"), "02.03.2026 10:00", "Off"),
    ]
    bring(acme, write_csv(tmp_path / "a.csv", header, rows), UPDATED)
    random.Random(seed).shuffle(rows)
    bring(cast.globex.pk, write_csv(tmp_path / "b.csv", header, rows[:2]), UPDATED)
    bring(cast.globex.pk, write_csv(tmp_path / "c.csv", header, rows), UPDATED)
    assert told(cast.globex.pk) == told(acme)
    with acting(acme):
        items = dict(WorkItem.objects.values_list("ticket__external_id", "outcome"))
        assert items == {"T1": "open", "T2": "withdrawn"}
        assert Ticket.objects.get(external_id="T1").severity == "critical"


def test_a_file_that_was_cut_off_is_completed_by_the_next(
    acme: int, cast: Cast, tmp_path: Path
) -> None:
    whole = write_csv(tmp_path / "whole.csv", LOG_HEADER, LOG)
    text = whole.read_bytes()
    cut = tmp_path / "cut.csv"
    cut.write_bytes(text[: text.index(b"T4") + 30])  # in the middle of a ticket, and of a row
    report = import_log(acme, cut)
    assert report.rows_refused == 1
    import_log(acme, whole)
    import_log(cast.globex.pk, whole)
    assert told(acme) == told(cast.globex.pk)


def test_a_file_that_goes_on_where_the_last_ended_goes_on(
    acme: int, cast: Cast, tmp_path: Path
) -> None:
    for part in range(0, len(LOG), 5):
        import_log(acme, write_csv(tmp_path / f"{part}.csv", LOG_HEADER, LOG[part : part + 5]))
    import_log(cast.globex.pk, write_csv(tmp_path / "whole.csv", LOG_HEADER, LOG))
    assert told(acme) == told(cast.globex.pk)


def test_words_that_are_added_to_a_mapping_are_read_from_the_same_file(
    acme: int, tmp_path: Path
) -> None:
    log = write_csv(tmp_path / "log.csv", LOG_HEADER, LOG)
    import_log(acme, log)
    source = dict(Mapping.load("servicenow_incident_log").source)
    more = {**source["values"], "state": {**source["values"]["state"], "-100": "open"}}
    bring(acme, log, {**source, "values": more}, "log")
    with acting(acme):
        assert not QuarantinedRow.objects.exists()
        assert ImportRun.objects.get().counts["fields_lost"] == 0
        assert Ticket.objects.get(external_id="T6").state == "open"
    other = {**source["values"], "state": {**source["values"]["state"], "New": "open"}}
    with pytest.raises(ImportRefused, match="another mapping"):
        bring(acme, log, {**source, "values": other}, "log")


def test_a_local_time_that_comes_twice_is_a_flaw_of_its_ticket(acme: int, tmp_path: Path) -> None:
    rows = [row("T1", "25.10.2026 02:30", Created="24.10.2026 09:00"), row("T2")]
    bring(acme, write_csv(tmp_path / "a.csv", HEADER, rows))
    with acting(acme):
        [flaw] = TicketFlaw.objects.filter(kind="ambiguous_date").select_related("ticket")
        assert flaw.ticket.external_id == "T1"
        assert "comes twice in Europe/Berlin: read as the first" in flaw.detail
        ended = WorkItem.objects.get(ticket__external_id="T1").ended_at
        assert ended == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_row_that_cannot_be_entered_is_found_and_takes_no_other_along(
    acme: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = importing.apply

    def failing(**news: Any) -> Any:
        if any(one.external_id == "T13" for one in news["news"]):
            raise ZeroDivisionError("nobody thought of this")
        return apply(**news)

    monkeypatch.setattr(importing, "apply", failing)
    rows = [row(f"T{number}") for number in range(40)]
    report = bring(acme, write_csv(tmp_path / "a.csv", HEADER, rows))
    assert (report.rows, report.rows_refused, report.tickets) == (40, 1, 39)
    with acting(acme):
        refused = QuarantinedRow.objects.get()
        assert (refused.row_number, refused.ticket_external_id) == (14, "T13")
        assert "nobody thought of this" in refused.reason
        assert Ticket.objects.filter(connection__name="flat").count() == 39


def test_an_import_in_which_every_row_fails_is_broken_itself(
    acme: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(**news: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(importing, "apply", failing)
    monkeypatch.setattr(importing, "MOST_UNEXPLAINED", 3)
    rows = [row(f"T{number}") for number in range(40)]
    with pytest.raises(ZeroDivisionError):
        bring(acme, write_csv(tmp_path / "a.csv", HEADER, rows))
    with acting(acme):
        assert not QuarantinedRow.objects.exists()


def test_what_postgresql_keeps_in_no_text_loses_its_field_only(acme: int, tmp_path: Path) -> None:
    rows = [version("T1", "2/3/2026 10:00", "New", agent="Kim\x00"),
            version("T1", "2/3/2026 11:00", "Parked\x00", count=1)]  # fmt: skip
    report = import_log(acme, write_csv(tmp_path / "a.csv", LOG_HEADER, rows))
    assert (report.rows_refused, report.fields_lost) == (0, 2)
    lines = tmp_path / "b.jsonl"
    lines.write_text(
        '{"Key": "T2", "Created": "02.03.2026 09:00", "Solved": null, "Prio": "P3",'
        ' "Team": "\\ud800", "Agent": "Kim", "Via": "mail", "Title": "=1+1"}\n'
    )
    report = bring(acme, lines)
    assert (report.rows_refused, report.fields_lost) == (0, 1)
    with acting(acme):
        assert Ticket.objects.get(external_id="T2").subject == "=1+1"
