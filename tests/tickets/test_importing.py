"""Importing files: once, twice, interrupted, in any order, in part unusable."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from portal.catalogue.models import Capability
from portal.tenancy.context import NoActingTenant, acting
from tests import roles
from tests.factories import Cast
from tests.tickets.exports import (
    AT,
    LOG,
    LOG_HEADER,
    SURVEY_HEADER,
    ignore_ratings,
    import_log,
    quiet,
    survey_row,
    version,
    write_csv,
)
from tickets import importing, ingest
from tickets.importing import ImportRefused
from tickets.mapping import Mapping
from tickets.models import (
    AgentAccount,
    Attribution,
    Connection,
    ImportRun,
    QuarantinedRow,
    Resolution,
    Ticket,
    TicketEvent,
    TicketFlaw,
    WorkItem,
)
from tickets.news import TicketNews

FACTS = (
    "tickets_ticketevent",
    "tickets_ticket",
    "tickets_workitem",
    "tickets_resolution",
    "tickets_attribution",
    "tickets_agentaccount",
    "tickets_requester",
    "tickets_importrun",
    "tickets_quarantinedrow",
    "catalogue_capability",
    "catalogue_domain",
)


@pytest.fixture
def acme(cast: Cast, worker: None) -> int:
    """Acme, imported into as the worker's database role."""
    return cast.acme.pk


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "log.csv", LOG_HEADER, LOG)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(importing, "BATCH", 4)
    return


def row_versions(tenant_id: int) -> dict[str, list[Any]]:
    """Where every row version lies: any write, even of equal values, makes another."""
    found = {}
    with acting(tenant_id), connection.cursor() as cursor:
        for table in FACTS:
            cursor.execute(f'SELECT ctid::text, xmin::text FROM "{table}" ORDER BY 1')
            found[table] = cursor.fetchall()
    return found


def told(tenant_id: int) -> list[tuple[Any, ...]]:
    """The facts without ids, ordered."""
    with acting(tenant_id):
        items = WorkItem.objects.order_by("ticket__external_id", "number").values_list(
            "ticket__external_id", "number", "opened_at", "outcome", "ended_at", "severity",
            "clock_s", "requester_elapsed_s", "paused_s", "repeat_contact_at",
            "requester__external_id", "capability__slug", "reassignments",
        )  # fmt: skip
        resolutions = Resolution.objects.order_by("ticket__external_id", "at").values_list(
            "ticket__external_id", "event_key", "at", "holds", "clock_s", "reopen_kind", "reopened"
        )
        return [*items, *resolutions]


def test_an_audit_log_becomes_tickets_items_and_resolutions(acme: int, log: Path) -> None:
    report = import_log(acme, log)
    assert (report.rows, report.tickets, report.rows_refused) == (len(LOG), 6, 0)
    with acting(acme):
        assert TicketEvent.objects.filter(type="ticket.snapshot").count() == len(LOG)
        items = {
            (item.ticket.external_id, item.number): item
            for item in WorkItem.objects.select_related("ticket")
        }
        assert items.keys() == {
            ("T1", 1), ("T2", 1), ("T3", 1), ("T3", 2), ("T4", 1), ("T5", 1), ("T6", 1),
        }  # fmt: skip
        assert items["T1", 1].ended_at == datetime(2026, 3, 2, 11, tzinfo=UTC)
        assert items["T1", 1].clock_s == 2 * 3600
        # Resolved 10:00, reopened 12:00, resolved 13:00: the gap is not ours.
        assert items["T2", 1].requester_elapsed_s == 4 * 3600
        assert items["T2", 1].clock_s == 2 * 3600
        assert items["T3", 2].opened_at == datetime(2026, 3, 17, 10, 21, tzinfo=UTC)
        assert items["T5", 1].severity == "high"
        assert items["T6", 1].outcome == "open"
        shared = items["T1", 1].problem
        assert shared == items["T2", 1].problem
        assert str(shared) == "Problem ID 4"
        assert items["T3", 1].problem is None
        kinds = Resolution.objects.exclude(reopen_kind="").values_list(
            "ticket__external_id", "reopen_kind", "reopened"
        )
        assert set(kinds) == {("T2", "counted", True), ("T3", "counted", False)}
        assert Ticket.objects.get(external_id="T5").severity == "low"


def test_who_did_it_stands_in_the_private_table_only(acme: int, log: Path) -> None:
    import_log(acme, log)
    with acting(acme):
        kim = AgentAccount.objects.get(external_id="Kim")
        assert set(Attribution.objects.values_list("agent_id", flat=True)) == {kim.pk}
        with connection.cursor() as cursor:
            for table in ("tickets_ticketevent", "tickets_ticket", "tickets_workitem"):
                cursor.execute(
                    f'SELECT count(*) FROM "{table}" AS one'
                    " WHERE one::text LIKE '%%Kim%%' OR one::text LIKE '%%desk 1%%'"
                )
                assert cursor.fetchone() == (0,)


def test_an_account_named_by_a_members_address_is_that_persons(
    cast: Cast, worker: None, tmp_path: Path
) -> None:
    rows = [version("T1", "2/3/2026 11:00", "Resolved", agent="Agnes@acme.example")]
    import_log(cast.acme.pk, write_csv(tmp_path / "log.csv", LOG_HEADER, rows))
    with acting(cast.acme.pk):
        assert Attribution.objects.get().person_id == cast.agnes.pk


def test_importing_again_writes_nothing_and_says_so(acme: int, log: Path) -> None:
    first = import_log(acme, log)
    before = row_versions(acme)
    again = import_log(acme, log)
    assert not first.changed_nothing
    assert again.changed_nothing
    assert again.rows == len(LOG)
    assert row_versions(acme) == before


def test_row_versions_would_show_a_write(acme: int, log: Path) -> None:
    import_log(acme, log)
    before = row_versions(acme)
    with acting(acme):
        item = WorkItem.objects.first()
        assert item is not None
        item.save()
    assert row_versions(acme) != before


@pytest.mark.parametrize("seed", range(4))
def test_rows_in_any_order_and_batches_give_the_same_facts(
    acme: int, cast: Cast, tmp_path: Path, small_batches: None, seed: int
) -> None:
    import_log(acme, write_csv(tmp_path / "log.csv", LOG_HEADER, LOG))
    shuffled = [*LOG, *LOG[::3]]
    random.Random(seed).shuffle(shuffled)
    import_log(cast.globex.pk, write_csv(tmp_path / "other.csv", LOG_HEADER, shuffled))
    assert told(cast.globex.pk) == told(acme)


def test_an_interrupted_import_goes_on_behind_the_last_batch(
    acme: int, cast: Cast, log: Path, small_batches: None
) -> None:
    class Interrupted(Exception):
        pass

    def stop_at_twelve(rows: int, share: float) -> None:
        if rows == 12:
            raise Interrupted

    with pytest.raises(Interrupted):
        import_log(acme, log, progress=stop_at_twelve)
    with acting(acme):
        run = ImportRun.objects.get()
        assert (run.rows_done, run.finished_at) == (12, None)
    rest = import_log(acme, log)
    assert (rest.resumed_behind, rest.rows) == (12, len(LOG) - 12)
    import_log(cast.globex.pk, log)
    assert told(acme) == told(cast.globex.pk)
    with acting(acme):
        assert ImportRun.objects.get().finished_at == AT


def test_the_next_rows_are_read_while_the_facts_before_are_written_and_not_sooner(
    acme: int, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Event] = [Event(), Event()]
    seen: list[tuple[bool, bool]] = []
    read, fold, store = (
        importing.RowReader.read,
        ingest._Batch._folding,
        ingest._Batch._store_facts,
    )

    def reads(self: Any, rows: Any) -> Any:
        found = read(self, rows)
        next(one for one in told if not one.is_set()).set()
        return found

    def folds(self: Any, tickets: Any) -> Any:
        if not seen:
            seen.append((told[0].is_set(), told[1].is_set()))
        return fold(self, tickets)

    def stores(self: Any, *args: Any) -> None:
        if len(seen) == 1:
            seen.append((told[0].is_set(), told[1].wait(20)))
        store(self, *args)

    monkeypatch.setattr(importing, "BATCH", -(-len(LOG) // 2))
    monkeypatch.setattr(importing.RowReader, "read", reads)
    monkeypatch.setattr(ingest._Batch, "_folding", folds)
    monkeypatch.setattr(ingest._Batch, "_store_facts", stores)
    import_log(acme, log)
    assert seen == [(True, False), (True, True)]


def test_a_preview_writes_nothing_and_tells_what_would_happen(acme: int, log: Path) -> None:
    before = row_versions(acme)
    report = importing.preview(
        tenant_id=acme,
        source="log",
        path=log,
        mapping=Mapping.load("servicenow_incident_log"),
        progress=quiet,
    )
    assert row_versions(acme) == before
    assert (report.rows, report.tickets, report.fields_lost) == (len(LOG), 6, 1)
    assert report.capabilities_created == ["Printing"]  # Network is in the catalogue


def test_unusable_rows_and_fields_are_kept_apart_with_their_reason(
    acme: int, tmp_path: Path
) -> None:
    rows = [
        version("T1", "2/3/2026 10:00", "New"),
        version("T1", "31/2/2026 10:00", "Active"),
        version("", "2/3/2026 10:00", "Active"),
        version("T1", "2/3/2026 11:00", "Parked"),
        ("too", "short"),
        version("T1", "2/3/2026 12:00", "Resolved", count=1),
    ]
    report = import_log(acme, write_csv(tmp_path / "log.csv", LOG_HEADER, rows))
    assert (report.rows_refused, report.fields_lost) == (3, 1)
    with acting(acme):
        kept = {
            row.row_number: (row.field, row.value, row.row_refused)
            for row in QuarantinedRow.objects.all()
        }
        assert kept == {
            2: ("sys_updated_at", "31/2/2026 10:00", True),
            3: ("number", "", True),
            4: ("incident_state", "Parked", False),
            5: ("", "", True),
        }
        assert WorkItem.objects.get().outcome == "resolved"
        assert TicketEvent.objects.filter(type="ticket.snapshot").count() == 3


def flaws(acme: int) -> set[tuple[str, str, str]]:
    with acting(acme):
        rows = TicketFlaw.objects.exclude(kind="coarse_times")
        return set(rows.values_list("ticket__external_id", "kind", "detail"))


def mapped(**words: Any) -> Mapping:
    """The shipped mapping with further words for states."""
    source = Mapping.load("servicenow_incident_log").source
    states = {**source["values"]["state"], **words}
    values = {**source["values"], "state": states}
    return Mapping.parse({**source, "values": values}, name="longer")


def brought(acme: int, path: Path, mapping: Mapping) -> None:
    importing.run(
        tenant_id=acme, source="log", path=path, mapping=mapping, at=AT, progress=quiet,
        record_ratings=ignore_ratings,
    )  # fmt: skip


PARKED = [
    version("T1", "2/3/2026 09:00", "New"),
    version("T1", "2/3/2026 10:00", "Parked"),
    version("T2", "2/3/2026 09:00", "New"),
    version("T3", "2/3/2026 09:00", "New"),
    version("T3", "2/3/2026 10:00", "Frozen"),
]


@pytest.mark.parametrize("longer", [False, True])
def test_a_value_that_was_left_out_is_a_flaw_of_its_ticket_until_it_is_read(
    acme: int, tmp_path: Path, longer: bool
) -> None:
    path = write_csv(tmp_path / "log.csv", LOG_HEADER, PARKED)
    brought(acme, path, mapped())
    once = {("T1", "left_out_field", "incident_state"), ("T3", "left_out_field", "incident_state")}
    assert flaws(acme) == once
    brought(acme, path, mapped())
    assert flaws(acme) == once  # the control: read again as it was
    if longer:  # another file with the same rows mends them as well
        more = [*PARKED, version("T4", "2/3/2026 09:00", "New")]
        path = write_csv(tmp_path / "longer.csv", LOG_HEADER, more)
    brought(acme, path, mapped(Parked="waiting_on_third_party"))
    assert flaws(acme) == {("T3", "left_out_field", "incident_state")}
    with acting(acme):
        assert Ticket.objects.get(external_id="T1").state == "waiting_on_third_party"


def test_a_row_that_is_not_read_again_stays_flawed(acme: int, tmp_path: Path) -> None:
    brought(acme, write_csv(tmp_path / "log.csv", LOG_HEADER, PARKED), mapped())
    later = [version("T1", "2/3/2026 11:00", "Resolved")]
    path = write_csv(tmp_path / "later.csv", LOG_HEADER, later)
    brought(acme, path, mapped(Parked="waiting_on_third_party"))
    assert ("T1", "left_out_field", "incident_state") in flaws(acme)


def test_a_capability_nobody_knows_is_left_out_until_it_is_in_the_catalogue(
    cast: Cast, acme: int, tmp_path: Path
) -> None:
    source = {**mapped().source}
    del source["create"]
    path = write_csv(tmp_path / "log.csv", LOG_HEADER, PARKED[:1])
    for known in (False, True):
        if known:
            with roles.as_role(roles.OWNER), acting(acme):
                Capability.objects.create(
                    tenant_id=acme, slug="printing", name="Printing", domain=cast.it
                )
        brought(acme, path, Mapping.parse(source, name="closed"))
        assert flaws(acme) == (set() if known else {("T1", "left_out_field", "category")})


def test_an_instant_before_the_opening_is_named_as_left_out(
    cast: Cast, acme: int, tmp_path: Path
) -> None:
    row = survey_row("S1", "5", responded="01/03/2026 23:00")
    path = write_csv(tmp_path / "survey.csv", SURVEY_HEADER, [row])
    brought(cast.acme.pk, path, Mapping.load("flat_with_score"))
    assert flaws(cast.acme.pk) == {("S1", "left_out_field", "issue_responded")}


def test_gzipped_csv_and_json_lines_say_the_same_as_csv(
    acme: int, cast: Cast, tmp_path: Path, log: Path
) -> None:
    import_log(acme, write_csv(tmp_path / "log.csv.gz", LOG_HEADER, LOG))
    lines = tmp_path / "log.jsonl"
    lines.write_text(
        "\n".join(json.dumps(dict(zip(LOG_HEADER, row, strict=True))) for row in LOG) + "\n{no json"
    )
    report = import_log(cast.globex.pk, lines)
    assert told(cast.globex.pk) == told(acme)
    assert report.rows_refused == 1


EVENT_MAPPING = {
    "rows": "events",
    "time": {"zone": "UTC", "formats": ["iso"]},
    "columns": {
        "ticket": "key",
        "at": "when",
        "type": "event",
        "value": "new",
        "severity": "priority",
        "capability": "topic",
        "requester": "customer",
        "actor": "by",
        "reason": "why",
    },
    "values": {
        "type": {
            "created": "opened",
            "transition": "status",
            "prioritised": "severity",
            "answered": "reply",
            "wrote": "requester_message",
            "raised": "escalation",
        },
        "state": {"Doing": "open", "Done": "resolved"},
        "severity": {"P1": "critical", "P2": "high"},
    },
}


def test_event_rows_tell_replies_escalations_and_moves(acme: int, tmp_path: Path) -> None:
    header = ("key", "when", "event", "new", "priority", "topic", "customer", "by", "why")
    rows = [
        ("E1", "2026-03-02T09:00", "created", "", "P2", "network", "rui", "", ""),
        ("E1", "2026-03-02T09:30", "answered", "", "", "", "", "Kim", ""),
        ("E1", "2026-03-02T09:40", "wrote", "", "", "", "rui", "", ""),
        ("E1", "2026-03-02T10:00", "raised", "", "", "", "", "Kim", "needs a specialist"),
        ("E1", "2026-03-02T10:10", "prioritised", "P1", "", "", "", "Kim", ""),
        ("E1", "2026-03-02T10:20", "transition", "Elsewhere", "", "", "", "Kim", ""),
        ("E1", "2026-03-02T10:30", "transition", "", "", "", "", "Kim", ""),
        ("E1", "2026-03-02T11:00", "transition", "Done", "", "", "", "Kim", ""),
    ]
    report = importing.run(
        tenant_id=acme,
        source="events",
        path=write_csv(tmp_path / "events.csv", header, rows),
        mapping=Mapping.parse(EVENT_MAPPING, name="events"),
        at=AT,
        progress=quiet,
        record_ratings=ignore_ratings,
    )
    assert report.rows_refused == 2
    with acting(acme):
        item = WorkItem.objects.get()
        assert (item.outcome, item.severity, item.clock_s) == ("resolved", "critical", 2 * 3600)
        assert (item.first_response_s, item.requester_messages) == (1800, 1)
        assert item.escalations_functional == 1
        refused = QuarantinedRow.objects.values_list("row_number", "field", "reason")
        assert {row: (name, reason[:5]) for row, name, reason in refused} == {
            6: ("new", "[valu"),
            7: ("new", "empty"),
        }


def test_a_source_keeps_the_mapping_its_log_was_read_with(acme: int, log: Path) -> None:
    import_log(acme, log)
    changed = Mapping.load("servicenow_incident_log").source | {"unknown": ["-"]}
    with pytest.raises(ImportRefused, match="another mapping"):
        importing.run(
            tenant_id=acme,
            source="log",
            path=log,
            mapping=Mapping.parse(changed, name="changed"),
            at=AT,
            progress=quiet,
            record_ratings=ignore_ratings,
        )


def test_capabilities_are_not_created_where_the_mapping_does_not_say_so(
    acme: int, log: Path
) -> None:
    source = dict(Mapping.load("servicenow_incident_log").source)
    del source["create"]
    report = importing.run(
        tenant_id=acme,
        source="log",
        path=log,
        mapping=Mapping.parse(source, name="closed"),
        at=AT,
        progress=quiet,
        record_ratings=ignore_ratings,
    )
    assert report.fields_lost == sum(row[8] == "Printing" for row in LOG) + 1
    with acting(acme):
        assert not Capability.objects.filter(slug="printing").exists()
        assert WorkItem.objects.filter(capability=None).count() == 6


def test_news_outside_the_acting_organisation_is_refused(cast: Cast, worker: None) -> None:
    with acting(cast.acme.pk):
        desk = Connection.objects.get(name="desk")
    with pytest.raises(NoActingTenant):
        ingest.apply(tenant_id=cast.acme.pk, connection=desk, news=[TicketNews("T1")], at=AT)


def test_the_command_names_an_organisation_that_does_not_exist(acme: int, log: Path) -> None:
    with pytest.raises(CommandError, match="no organisation 'nobody'"):
        call_command("import_tickets", "--organisation", "nobody", "--source", "log", str(log))


def test_the_command_asks_for_a_mapping_the_first_time(acme: int, log: Path) -> None:
    with pytest.raises(CommandError, match="no mapping yet"):
        call_command("import_tickets", "--organisation", "acme", "--source", "log", str(log))


def test_the_command_says_what_came_of_it(
    acme: int, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--organisation", "acme", "--source", "log", str(log)]
    call_command("import_tickets", "--mapping", "servicenow_incident_log", *arguments)
    assert "21 rows of 6 tickets" in capsys.readouterr().out
    call_command("import_tickets", *arguments)
    assert "nothing was changed" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["upload", "connect", "quality", "My log", "a/b", "", "x" * 61])
def test_a_source_whose_name_could_not_stand_in_an_address_is_refused(
    acme: int, log: Path, name: str
) -> None:
    with pytest.raises(ImportRefused, match="stands in addresses"):
        import_log(acme, log, source=name)
    with acting(acme):
        assert not Connection.objects.filter(name=name).exists()
