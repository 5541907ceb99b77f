"""A batch is folded and written slice by slice, by a thread beside: as whole as if it were one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from tests.factories import Cast
from tests.tickets.test_ingest import HOUR, MONDAY, acme, enter, life, moved
from tickets import ingest
from tickets.models import Resolution, Ticket, TicketEvent, WorkItem
from tickets.storing import Table

__all__ = ["acme"]

LIVES = [life(f"T{n}", moved(1 + n, "resolved"), requester=f"caller {n}") for n in range(7)]


@pytest.fixture
def slices_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SLICE", 2)


def rows() -> list[tuple[Any, ...]]:
    items = WorkItem.objects.order_by("ticket__external_id")
    return list(items.values_list("ticket__external_id", "ended_at", "clock_s", "state"))


def test_slices_store_what_one_piece_stores(acme: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        enter(acme, *LIVES)
        whole = rows()
        transaction.set_rollback(True)
    assert not Ticket.objects.exists()
    monkeypatch.setattr(ingest, "SLICE", 2)
    outcome = enter(acme, *LIVES)
    assert rows() == whole
    assert (outcome.new_events, outcome.written["tickets"].added) == (14, 7)
    assert enter(acme, *LIVES).changed_nothing


def test_a_slice_that_cannot_be_written_takes_the_whole_batch_with_it(
    acme: Cast, slices_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ingest._Batch._store_log

    def fail_at_the_third(batch: Any, folded: Any) -> None:
        if any(ticket.external_id == "T4" for ticket in folded.tickets):
            raise OSError("no space left")
        store(batch, folded)

    monkeypatch.setattr(ingest._Batch, "_store_log", fail_at_the_third)
    with pytest.raises(OSError, match="no space"), transaction.atomic():
        enter(acme, *LIVES)
    assert not Ticket.objects.exists()
    monkeypatch.setattr(ingest._Batch, "_store_log", store)
    enter(acme, *LIVES)  # the connection is as good as before
    assert Ticket.objects.count() == 7


def test_a_key_that_leads_nowhere_is_found_with_its_slice(
    acme: Cast, slices_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = Table.insert

    def forget_tickets(table: Table, some: Any) -> Any:
        return insert(table, [] if table is ingest.TICKETS else some)

    monkeypatch.setattr(Table, "insert", forget_tickets)
    with pytest.raises(IntegrityError, match="foreign key"), transaction.atomic():
        enter(acme, *LIVES)
    monkeypatch.setattr(Table, "insert", insert)
    enter(acme, *LIVES)
    assert TicketEvent.objects.count() == 14


def test_one_late_event_writes_its_ticket_alone_and_marks_its_days_alone(acme: Cast) -> None:
    enter(acme, *LIVES)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM metrics_mark")
    before = dict(Resolution.objects.values_list("ticket__external_id", "pk"))
    late = life("T3", moved(4, "resolved"), moved(30, "open"), requester="caller 3")
    outcome = enter(acme, late)
    assert outcome.new_events == 1
    changed = {name: one.added + one.changed + one.removed for name, one in outcome.written.items()}
    assert {name for name, number in changed.items() if number} == {
        "tickets",
        "work items",
        "resolutions",
    }
    assert set(changed.values()) <= {0, 1}
    assert dict(Resolution.objects.values_list("ticket__external_id", "pk")) == before
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT day FROM metrics_mark")
        days = {day for (day,) in cursor.fetchall()}
    assert days <= {MONDAY.date() + timedelta(days=n) for n in range(2)}
    assert (MONDAY + 30 * HOUR).date() == MONDAY.date() + timedelta(days=1)


DOUBLED = """
SELECT o.conrelid::regclass::text, a.attname::text
  FROM pg_constraint o JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = ANY(o.conkey)
 WHERE o.contype = 'f' AND a.attname <> 'tenant_id' AND o.conrelid::regclass::text = ANY(%s)
 GROUP BY 1, 2 HAVING count(*) > 1
"""


@pytest.mark.parametrize(
    ("tables", "doubled"),
    [
        (["tickets_ticket", "tickets_ticketevent", "tickets_workitem", "tickets_resolution",
          "tickets_attribution", "tickets_messagetext", "tickets_escalation"], False),
        (["catalogue_capability"], True),
    ],
)  # fmt: skip
def test_each_reference_of_rows_that_come_by_the_million_is_checked_once(
    db: None, tables: list[str], doubled: bool
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(DOUBLED, [tables])
        assert bool(cursor.fetchall()) is doubled
