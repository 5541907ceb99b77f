"""Files that come by a page: stored as they arrive, mapped by a person, imported by a worker."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import chatwoot
from tests.tickets.exports import ignore_ratings
from tickets import importing, uploads
from tickets.models import (
    Connection,
    ImportOrder,
    ImportRun,
    QuarantinedRow,
    Ticket,
    TicketEvent,
    Upload,
    WorkItem,
)
from tickets.refused_rows import neutral

CSV = """Ticket;Created at;Resolved at;Priority;Agent;Subject
T1;02.03.2026 09:00;13.03.2026 10:00;high;Kim;Jörg's printer
T2;13.03.2026 09:00;;low;Kim;"two
lines"
T3;99.99.2026 09:00;;low;Kim;=1+1
=cmd|'/C calc'!A0;bad;;low;Kim;x
""".encode()


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.UPLOADS_FOLDER = str(tmp_path / "uploads")
    return tmp_path / "uploads"


@pytest.fixture
def ada(cast: Cast, folder: Path) -> Client:
    client = Client()
    client.force_login(cast.ada)
    return client


def send(client: Client, content: bytes, name: str = "tickets.csv") -> Any:
    return client.post("/acme/sources/upload/", {"file": SimpleUploadedFile(name, content)})


def sent(client: Client, content: bytes, name: str = "tickets.csv") -> str:
    answer = send(client, content, name)
    assert answer.status_code == 302, answer.content.decode()
    return str(answer.headers["Location"])


def values(page: Any, **more: str) -> dict[str, str]:
    """What the form holds when it is sent as it stands, with some answers."""
    form = page.context["form"]
    said = {field.html_name: str(field.value() or "") for field in form}
    return said | more


ANSWERS = {
    "source": "desk2",
    "zone": "Europe/Berlin",
    "dates_opened_at": "%d.%m.%Y %H:%M",
    "dates_resolved_at": "%d.%m.%Y %H:%M",
}


def swept(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return uploads.sweep(timezone.now(), record_ratings=ignore_ratings)


def stored_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_uploaded_mapped_previewed_imported_and_removed(
    cast: Cast, ada: Client, folder: Path
) -> None:
    page = sent(ada, CSV)
    assert len(stored_files(folder)) == 1
    form = ada.get(page)
    assert form.status_code == 200
    shown = form.content.decode()
    assert "In which time zone" in shown
    previewed = ada.post(page, values(form, **ANSWERS, action="preview"))
    assert previewed.status_code == 200, previewed.content.decode()
    assert "2026-03-02 08:00 UTC" in previewed.content.decode()
    with acting(cast.acme.pk):
        assert not ImportOrder.objects.exists()
    started = ada.post(page, values(previewed, **ANSWERS, action="start"))
    assert started.status_code == 302
    assert "Waiting for a worker" in ada.get(page).content.decode()
    assert swept(cast) == 1
    done = ada.get(page).content.decode()
    assert "Imported" in done
    assert "http-equiv" not in done
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        items = dict(WorkItem.objects.values_list("ticket__external_id", "severity"))
        assert items == {"T1": "high", "T2": "low"}
        run = ImportRun.objects.get()
        assert run.file_name == "tickets.csv"
        assert run.counts["rows_refused"] == 2
        assert Upload.objects.get().removed_at is not None
    assert stored_files(folder) == []


def test_refused_rows_are_a_file_in_which_no_cell_begins_a_formula(cast: Cast, ada: Client) -> None:
    page = sent(ada, CSV)
    form = ada.get(page)
    ada.post(page, values(form, **ANSWERS, action="start"))
    swept(cast)
    answer = ada.get(f"{page}refused.csv")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert [row[0] for row in rows[1:]] == ["3", "4"]
    assert rows[2][1] == "'=cmd|'/C calc'!A0"
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row
    )


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r1", " =1", "\0=1", "\n=1"])
def test_a_sign_that_begins_a_formula_is_neutralised(cell: str) -> None:
    assert neutral(cell) == f"'{cell}"
    assert neutral(f"a{cell}") == f"a{cell}"


def test_day_and_month_that_can_be_swapped_must_be_said(cast: Cast, ada: Client) -> None:
    page = sent(ada, b"Ticket,Created at,Priority\nT1,02/03/2026 09:00,high\n")
    form = ada.get(page)
    assert "can be read in more than one way" in form.content.decode()
    unsaid = ada.post(page, values(form, source="a", zone="UTC", action="start"))
    assert unsaid.status_code == 400
    assert "formats must list" in unsaid.content.decode()
    said = values(form, source="a", zone="UTC", action="start", dates_opened_at="%m/%d/%Y %H:%M")
    assert ada.post(page, said).status_code == 302
    swept(cast)
    with acting(cast.acme.pk):
        assert Ticket.objects.get(external_id="T1").opened_at.month == 2


def test_a_file_that_is_not_utf_8_waits_until_its_encoding_is_said(cast: Cast, ada: Client) -> None:
    page = sent(ada, "Ticket,Created at,Betreff\nT1,2026-03-02T09:00,Müller\n".encode("cp1252"))
    form = ada.get(page)
    refused = ada.post(page, values(form, source="a", zone="UTC", action="start"))
    assert refused.status_code == 400
    assert "not UTF-8" in refused.content.decode()
    form = ada.get(page, {"encoding": "cp1252"})
    answer = ada.post(
        f"{page}?encoding=cp1252", values(form, source="a", zone="UTC", action="start")
    )
    assert answer.status_code == 302
    swept(cast)
    with acting(cast.acme.pk):
        assert Ticket.objects.get(external_id="T1").subject == "Müller"


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(
    cast: Cast, ada: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1_000)
    monkeypatch.setattr(uploads, "ENVELOPE", 1_000)
    read = []
    monkeypatch.setattr(uploads.ToFolder, "receive_data_chunk", lambda self, *_: read.append(self))
    answer = send(ada, b"x" * 3_000)
    assert answer.status_code == 413
    assert read == []
    assert stored_files(folder) == []


def test_a_file_whose_length_was_understated_stops_at_the_limit(
    cast: Cast, ada: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 100_000)
    monkeypatch.setattr(uploads, "ENVELOPE", 10_000_000)
    assert send(ada, b"x" * 3_000_000).status_code == 413
    assert stored_files(folder) == []
    assert send(ada, b"x" * 99_000).status_code == 302


def test_files_that_wait_have_a_quota(
    cast: Cast, ada: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "QUOTA", 2 * len(CSV))
    assert send(ada, CSV).status_code == 302
    assert send(ada, CSV).status_code == 302
    refused = send(ada, CSV)
    assert refused.status_code == 400
    assert "files that wait" in refused.content.decode()
    assert len(stored_files(folder)) == 2


@pytest.mark.parametrize("name", ["a.zip", "a.csv.gz", "../../a.exe", "a", "a.xls"])
def test_other_kinds_of_files_are_not_taken(
    cast: Cast, ada: Client, folder: Path, name: str
) -> None:
    assert send(ada, CSV, name).status_code == 400
    assert stored_files(folder) == []


def test_a_request_without_its_token_leaves_nothing(cast: Cast, folder: Path) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.ada)
    assert send(client, CSV).status_code == 403
    assert stored_files(folder) == []


def test_somebody_who_may_not_configure_uploads_nothing(cast: Cast, folder: Path) -> None:
    client = Client()
    client.force_login(cast.rui)
    assert send(client, CSV).status_code == 404
    assert not folder.exists()


def test_a_worker_that_is_stopped_leaves_the_import_to_the_next(
    cast: Cast, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"".join(b"T%d,2026-03-02T09:00:00Z,high\n" % n for n in range(20))
    page = sent(ada, b"Ticket,Created at,Priority\n" + rows)
    ada.post(page, values(ada.get(page), source="a", action="start"))
    monkeypatch.setattr(importing, "BATCH", 5)

    class Stopped(BaseException):
        """What a kill looks like from inside."""

    save = uploads._save

    def stopping(ordered: ImportOrder, *fields: str) -> None:
        save(ordered, *fields)
        if ordered.rows == 10:
            raise Stopped

    monkeypatch.setattr(uploads, "_save", stopping)
    with pytest.raises(Stopped):
        swept(cast)
    monkeypatch.setattr(uploads, "_save", save)
    assert swept(cast) == 0, "it is leased: whoever had it may still be at work"
    assert "10" in ada.get(page).content.decode()
    with roles.as_role(roles.WORKER):
        later = timezone.now() + 2 * uploads.LEASE
        assert uploads.sweep(later, record_ratings=ignore_ratings) == 1
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        ordered = ImportOrder.objects.get()
        assert (ordered.report["resumed_behind"], ordered.report["rows"]) == (10, 10)
        assert Ticket.objects.filter(connection__name="a").count() == 20
        assert TicketEvent.objects.filter(ticket__connection__name="a").count() == 40


def test_what_stops_an_import_is_said_and_the_mapping_can_be_changed(
    cast: Cast, ada: Client, folder: Path
) -> None:
    page = sent(ada, b"Ticket,Created at,Note\nT1,2026-03-02T09:00:00Z,a\nT2,\xff\n")
    with acting(cast.acme.pk):
        upload = Upload.objects.get()
    mapping = {
        "rows": "tickets",
        "time": {"zone": "UTC", "formats": ["iso"]},
        "columns": {"ticket": "Ticket", "opened_at": "Created at"},
    }
    with acting(cast.acme.pk):
        uploads.order(
            tenant_id=cast.acme.pk, upload=upload, source="a", mapping=mapping, by=SYSTEM,
            at=timezone.now(),
        )  # fmt: skip
    swept(cast)
    shown = ada.get(page).content.decode()
    assert "The import stopped" in shown
    assert "Say how it is written" in shown
    assert upload.stored_as not in shown
    assert len(stored_files(folder)) == 1, "it can be tried again"
    assert ada.get(page, {"map": ""}).context["form"] is not None


def test_files_that_nobody_imports_go_after_a_week(cast: Cast, ada: Client, folder: Path) -> None:
    sent(ada, CSV)
    stray = uploads.folder_of(cast.acme.pk) / "stray.csv"
    stray.write_bytes(b"x")
    with roles.as_role(roles.WORKER):
        uploads.sweep(timezone.now() + timedelta(days=6), record_ratings=ignore_ratings)
        assert len(stored_files(folder)) == 2
        uploads.sweep(timezone.now() + timedelta(days=8), record_ratings=ignore_ratings)
    assert stored_files(folder) == []
    with acting(cast.acme.pk):
        assert uploads.quota_left(cast.acme.pk) == uploads.QUOTA


def test_more_rows_than_a_page_may_send_stop_the_import(
    cast: Cast, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_ROWS", 10)
    monkeypatch.setattr(importing, "BATCH", 5)
    rows = b"".join(b"T%d,2026-03-02T09:00:00Z\n" % n for n in range(20))
    page = sent(ada, b"Ticket,Created at\n" + rows)
    ada.post(page, values(ada.get(page), source="a", action="start"))
    swept(cast)
    assert "more than 10 rows" in ada.get(page).content.decode()
    with acting(cast.acme.pk):
        assert Ticket.objects.filter(connection__name="a").count() == 10


def test_raw_records_need_only_their_help_desk(cast: Cast, ada: Client) -> None:
    line = (
        b'{"type":"RECORD","stream":"event","record":{"ticket":"T9","time":"2026-03-02T09:00:00Z",'
        b'"status":"new","severity":"high"}}\n'
    )
    page = sent(ada, line, "dump.jsonl")
    assert "raw records" in ada.get(page).content.decode()
    assert ada.post(page, {"action": "records"}).status_code == 400
    said = {"action": "records", "source": "dumped", "kind": "api"}
    assert ada.post(page, said).status_code == 302
    swept(cast)
    shown = ada.get(page).content.decode()
    assert "1 in 1 deliveries, 1 of them new" in shown
    with acting(cast.acme.pk):
        assert Connection.objects.get(name="dumped").kind == "api"
        assert not QuarantinedRow.objects.exists()


def test_half_a_character_in_a_raw_record_stops_no_worker(cast: Cast, ada: Client) -> None:
    rows = [json.dumps(row) for row in chatwoot.DUMP["conversations"]]
    rows += [rows[0].replace('"id"', '"note": "\\ud83d", "id"', 1)]
    rows += ['{"type":"RECORD","stream":"odd\\u0000\\ud83d","record":{"id":1}}']
    page = sent(ada, "\n".join(rows).encode(), "conversations.jsonl")
    said = {"action": "records", "source": "cw", "kind": "chatwoot", "stream": "conversations"}
    assert ada.post(page, said).status_code == 302
    assert swept(cast) == 1
    shown = ada.get(page).content.decode()
    assert f"{len(rows) - 1} in {len(rows) - 1} deliveries, {len(rows) - 1} of them new" in shown
    with acting(cast.acme.pk):
        ordered = ImportOrder.objects.get()
        assert (ordered.trouble, ordered.finished_at is not None) == ("", True)


def line(**said: str) -> bytes:
    row = {"Ticket": "T1", "Created at": "2026-03-02T09:00:00+00:00", "Priority": "high"} | said
    return json.dumps(row).encode() + b"\n"


UNSTORABLE = {
    "a word with NUL": (line(Priority="hi\0gh"), "Priority", 1),
    "half a character in a word": (line(Priority="hi\ud83dgh"), "Priority", 1),
    "half a character in a date": (line(**{"Created at": "2026-03-02\ud83d"}), "Created at", 1),
    "a ticket with NUL": (line(Ticket="T\0"), "Ticket", 1),
    "a column with NUL": (line(**{"Pri\0ority": "x"}), "", 1),
    "half a character in a column": (line(**{"Pri\ud83dority": "x"}), "", 1),
    "none": (b"", "", 0),
}


@pytest.mark.parametrize("what", sorted(UNSTORABLE))
def test_what_cannot_be_kept_is_named_and_no_page_fails(cast: Cast, ada: Client, what: str) -> None:
    odd, column, refused = UNSTORABLE[what]
    page = sent(ada, line(Ticket="T0") + odd, "tickets.jsonl")
    form = ada.get(page)
    assert form.status_code == 200
    said = values(form, source="desk2", zone="UTC", dates_opened_at="iso")
    for field in form.context["form"]:
        assert not re.search("[\0\ud800-\udfff\ufffd]", str(field.label)), "no word is offered"
    preview = ada.post(page, {**said, "action": "preview"})
    assert preview.status_code == 200, preview.content.decode()
    assert preview.context["preview"].more_problems == 0
    assert len(preview.context["preview"].problems) == refused
    assert ada.post(page, {**said, "action": "start"}).status_code == 302
    assert swept(cast) == 1
    assert ada.get(page).status_code == 200
    with acting(cast.acme.pk):
        assert "T0" in Ticket.objects.values_list("external_id", flat=True)
        assert list(QuarantinedRow.objects.values_list("field", flat=True)) == [column] * refused


def test_a_header_that_cannot_be_kept_is_named(cast: Cast, ada: Client) -> None:
    shown = ada.get(sent(ada, b"Ticket,Cre\0ated\nT1,2026-03-02\n")).content.decode()
    assert "holds a character that cannot be kept" in shown
