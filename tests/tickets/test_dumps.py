"""Raw records an extractor dumped: through their help desk's mapper, once, whatever the frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.tenancy.context import acting
from tests.factories import Cast
from tickets import connectors
from tickets.canonical import Event, EventType
from tickets.connectors.base import Connector, Context, Unusable
from tickets.dumps import files_in, record_in, stream_of
from tickets.models import (
    Connection,
    ImportRun,
    InboundMessage,
    InboundWork,
    QuarantinedRow,
    Ticket,
)
from tickets.news import TicketNews, Told, event_key

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Desk(Connector):
    """A help desk whose pages are objects with the stream's name over the records."""

    key = "test_desk"
    name = "Test desk"
    streams = {"tickets": ("tickets", "tickets")}

    def tell(self, topic: str, raw: bytes, context: Context) -> Told:
        if topic != "tickets":
            raise Unusable({"field": "topic", "reason": f"{topic!r} is not told"})
        told = Told()
        for ticket in json.loads(raw)["tickets"]:
            at = datetime.fromisoformat(ticket["created_at"])
            news = TicketNews(str(ticket["id"]), subject=ticket.get("subject", ""))
            opened = event_key(ticket["id"], "created")
            news.events.append(Event(opened, EventType.CREATED, at, data={"severity": "low"}))
            told.tickets.append(news)
        return told


@pytest.fixture
def acme(cast: Cast, worker: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setitem(connectors.CONNECTORS, "test_desk", Desk())
    with acting(cast.acme.pk):
        Connection.objects.create(
            tenant_id=cast.acme.pk, name="desk2", kind="test_desk",
            created_at=LONG_AGO, live_since=LONG_AGO,
        )  # fmt: skip
    return cast.acme.pk


def ticket(number: int) -> dict[str, Any]:
    return {"id": number, "created_at": "2026-03-02T09:00:00+00:00", "subject": f"Problem {number}"}


def framed(frame: str, number: int) -> dict[str, Any]:
    record = ticket(number)
    singer = {**record, "_sdc_batched_at": "x"}
    airbyte = {"stream": "tickets", "data": record, "emitted_at": 1}
    return {
        "singer": {"type": "RECORD", "stream": "tickets", "record": singer, "version": 1},
        "airbyte": {"type": "RECORD", "record": airbyte},
        "airbyte rows": {"_airbyte_raw_id": "a", "_airbyte_data": record},
        "dlt": {**record, "_dlt_id": "x", "_dlt_load_id": "1"},
        "plain": record,
    }[frame]  # fmt: skip


OTHERS: list[dict[str, Any]] = [
    {"type": "SCHEMA", "stream": "tickets", "schema": {}, "key_properties": ["id"]},
    {"type": "STATE", "value": {"bookmarks": {}}},
    {"type": "LOG", "log": {"level": "INFO", "message": "reading"}},
]


def dump(path: Path, *lines: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def bring(*paths: Path, source: str = "desk2", kind: str = "test_desk", stream: str = "") -> None:
    call_command(
        "import_tickets", "--organisation", "acme", "--source", source, "--kind", kind,
        *(["--stream", stream] if stream else []), "--json", *map(str, paths),
    )  # fmt: skip


def reports(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]


@pytest.mark.parametrize("frame", ["singer", "airbyte", "airbyte rows", "dlt", "plain"])
def test_records_of_every_frame_become_the_same_tickets_once(
    acme: int, tmp_path: Path, frame: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [framed(frame, number) for number in range(250)]
    path = dump(tmp_path / "tickets.jsonl", *OTHERS, *lines)
    bring(path)
    [report] = reports(capsys)
    assert (report["records"], report["other_messages"], report["rows_refused"]) == (250, 3, 0)
    assert (report["deliveries"], report["folded"], report["waiting"]) == (3, 3, 0)
    with acting(acme):
        assert Ticket.objects.filter(connection__name="desk2").count() == 250
        messages = InboundMessage.objects.count()
    bring(path)
    [again] = reports(capsys)
    assert again["changed_nothing"]
    longer = dump(tmp_path / "tickets-2.jsonl", *OTHERS, *lines, framed(frame, 250))
    bring(longer)
    [more] = reports(capsys)
    assert (more["deliveries"], more["new_deliveries"]) == (3, 1)
    with acting(acme):
        assert Ticket.objects.filter(connection__name="desk2").count() == 251
        assert InboundMessage.objects.count() == messages + 1


def test_a_directory_is_read_with_the_streams_its_files_are_named_for(
    acme: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump(tmp_path / "dump" / "tickets.2026-01.jsonl", ticket(1))
    dump(tmp_path / "dump" / "tickets" / "17000.1.jsonl", ticket(2))
    dump(tmp_path / "dump" / "_dlt_loads" / "1.jsonl", {"load_id": 1})
    dump(tmp_path / "dump" / "macros.jsonl", {"id": 1})
    (tmp_path / "dump" / "linked.jsonl").symlink_to(tmp_path / "dump" / "macros.jsonl")
    (tmp_path / "dump" / "readme.txt").write_text("not read")
    bring(tmp_path / "dump")
    told = reports(capsys)
    assert [report["file"] for report in told] == [
        "macros.jsonl", "17000.1.jsonl", "tickets.2026-01.jsonl",
    ]  # fmt: skip
    assert [report["unread"] for report in told] == [{"macros": 1}, {}, {}]
    with acting(acme):
        assert set(Ticket.objects.filter(connection__name="desk2").values_list(
            "external_id", flat=True)) == {"1", "2"}  # fmt: skip
        assert InboundMessage.objects.count() == 2


def test_a_stream_that_is_not_read_is_refused_once_naming_those_that_are(
    acme: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"type": "RECORD", "stream": "macros", "record": {"id": n}} for n in range(150)]
    mine = [framed("singer", number) for number in range(3)]
    bring(dump(tmp_path / "all.jsonl", *lines[:75], *mine, *lines[75:]))
    [report] = reports(capsys)
    assert (report["records"], report["unread"], report["rows_refused"]) == (3, {"macros": 150}, 1)
    [problem] = report["problems"]
    assert problem["row"] == 1
    assert problem["reason"] == (
        "of Test desk the stream 'macros' is not read, and none of its records was kept; those"
        " that are read: tickets"
    )
    with acting(acme):
        assert InboundMessage.objects.count() == 1
        assert QuarantinedRow.objects.get().row_number == 1
        assert Ticket.objects.filter(connection__name="desk2").count() == 3


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("tickets.jsonl", "tickets"), ("tickets.2026.jsonl.gz", "tickets"),
        ("ticket_audits_0001.jsonl", "ticket_audits"), ("tickets-2026-01.ndjson", "tickets"),
        ("users/1700000000.ab.0.jsonl", "users"),
    ],
)  # fmt: skip
def test_a_stream_is_named_by_its_file(name: str, stream: str) -> None:
    assert stream_of(Path("/dump") / name) == stream


def test_a_ticket_with_a_type_of_its_own_is_a_record() -> None:
    for said in ({"type": "Question", "id": 1}, {"type": "RECORD"}, {"type": "STATE", "id": 3}):
        assert record_in(said, "tickets") == ("tickets", said)


def test_lines_without_a_record_are_named_and_the_others_kept(
    acme: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tickets.jsonl"
    good = json.dumps(ticket(1))
    path.write_text(f"{{no json\n{good}\n[1]\n" + "x" * 2_000_000 + f"\n{json.dumps(ticket(2))}\n")
    bring(path)
    [report] = reports(capsys)
    assert (report["records"], report["rows_refused"]) == (2, 3)
    with acting(acme):
        kept = QuarantinedRow.objects.order_by("row_number").values_list("row_number", flat=True)
        assert list(kept) == [1, 3, 4]
        assert ImportRun.objects.get().counts["rows_refused"] == 3
        assert Ticket.objects.filter(connection__name="desk2").count() == 2


def test_records_of_a_new_source_wait_until_its_words_are_mapped(
    acme: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(dump(tmp_path / "tickets.jsonl", ticket(1)), source="fresh")
    [report] = reports(capsys)
    assert (report["new_deliveries"], report["waiting"], report["folded"]) == (1, 1, 0)
    with acting(acme):
        assert Connection.objects.get(name="fresh").live_since is None
        assert InboundWork.objects.filter(connection__name="fresh").count() == 1


def test_a_source_stays_of_its_kind(acme: int, tmp_path: Path) -> None:
    path = dump(tmp_path / "tickets.jsonl", ticket(1))
    with pytest.raises(CommandError, match="of kind 'test_desk', not 'api'"):
        bring(path, kind="api")
    with pytest.raises(CommandError, match="no kind of help desk 'nothing'"):
        bring(path, kind="nothing")
    with pytest.raises(CommandError, match="goes with neither"):
        call_command(
            "import_tickets", "--organisation", "acme", "--source", "desk2", "--kind", "test_desk",
            "--preview", str(path),
        )  # fmt: skip


def test_an_empty_directory_is_said(acme: int, tmp_path: Path) -> None:
    assert files_in(tmp_path) == []
    with pytest.raises(CommandError, match="holds no JSON lines"):
        bring(tmp_path)
