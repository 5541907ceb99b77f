"""Connecting a source: credentials stay with their address, secrets are shown once, all is kept."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone

from portal.audit.models import AuditEntry
from portal.audit.trail import Actor
from portal.sealing import CannotOpen, open_sealed
from portal.tenancy.context import acting
from portal.tenancy.models import Door
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.events import event
from tests.tickets.told_desk import connected, deliver, fold
from tickets import access, connecting, pulling
from tickets.access import NotConnectable
from tickets.connectors import CONNECTORS
from tickets.connectors.base import Context, Unusable
from tickets.connectors.generic import read
from tickets.connectors.records import texts
from tickets.inbound import receive
from tickets.mapping_page import field_name
from tickets.models import (
    Connection,
    ConnectionCheck,
    Credential,
    HookSecret,
    ImportRun,
    QuarantinedRow,
)

NOW = timezone.now()
ENTERED = {"name": "second", "base_url": "https://Second.example/", "user": "reader"}
TOKEN = "let me in please"
HOOK = "/acme/sources/second/hook/"
THEIRS = "whsec_YSBzZWNyZXQgb2YgdGhlaXJzIGluIGJhc2U2NA=="
ADA = Actor("person:0", "Ada")
#: Seven about the sources, the others of session, membership and context.
LIST_QUERIES = 14


@pytest.fixture
def told_desk(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Connection:
    return connected(cast, monkeypatch)


@pytest.fixture
def ada(cast: Cast, told_desk: Connection) -> Client:
    client = Client()
    client.force_login(cast.ada)
    return client


def connect(ada: Client, **more: str) -> Any:
    return ada.post("/acme/sources/connect/", {"kind": "told", **ENTERED, "token": TOKEN, **more})


def stored(cast: Cast) -> Connection:
    with acting(cast.acme.pk):
        return Connection.objects.get(name="second")


def opened(cast: Cast, source: Connection) -> dict[str, str]:
    """The credentials as a worker reads them."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        sealed = Credential.objects.get(connection=source).sealed
    found: dict[str, str] = json.loads(
        open_sealed(bytes(sealed), belongs_to=pulling.seal_name(source))
    )
    return found


def acts_of(cast: Cast) -> list[str]:
    with acting(cast.acme.pk):
        entries = AuditEntry.objects.for_tenant(cast.acme).order_by("sequence")
        return list(entries.values_list("act", flat=True))


def test_a_help_desk_is_connected_and_its_credentials_open_for_workers(
    cast: Cast, ada: Client
) -> None:
    answer = connect(ada)
    assert answer.status_code == 302
    assert answer["Location"] == "/acme/sources/second/"
    source = stored(cast)
    assert (source.kind, source.base_url) == ("told", "https://second.example")
    assert source.live_since is None
    assert source.options == {"user": "reader"}
    assert opened(cast, source) == {"token": TOKEN}
    assert acts_of(cast) == ["connection.created", "connection.check_asked"]


def test_options_of_its_help_desk_are_entered_with_it_and_looked_at(
    cast: Cast, ada: Client
) -> None:
    entered = {"kind": "freshdesk", "name": "fresh", "base_url": "https://fresh.example",
               "api_key": TOKEN, "acknowledgements": "One.\n\nTwo."}  # fmt: skip
    answer = ada.post("/acme/sources/connect/", {**entered, "since": "a month"})
    assert answer.status_code == 400
    assert "in whole days" in answer.content.decode()
    assert ada.post("/acme/sources/connect/", {**entered, "since": "90"}).status_code == 302
    with acting(cast.acme.pk):
        options = Connection.objects.get(name="fresh").options
    assert options["since"] == "90"
    began = CONNECTORS["freshdesk"].begins(None, options, NOW)
    assert began == NOW - timedelta(days=90)
    assert CONNECTORS["freshdesk"].begins(None, {"since": ""}, NOW) == NOW - timedelta(days=30)
    assert texts(options["acknowledgements"]) == ["One.", "Two."]


def test_a_tools_time_zone_is_declared_where_it_is_connected(cast: Cast, ada: Client) -> None:
    entered = {"kind": "api", "name": "crm"}
    answer = ada.post("/acme/sources/connect/", {**entered, "zone": "Berlin"})
    assert answer.status_code == 400
    assert "Europe/Berlin" in answer.content.decode()
    assert ada.post("/acme/sources/connect/", {**entered, "zone": "Europe/Berlin"}).status_code
    assert ada.post("/acme/sources/connect/", {"kind": "api", "name": "erp"}).status_code == 302
    with acting(cast.acme.pk):
        options = {one.name: one.options for one in Connection.objects.exclude(name="told")}
    said = event("ticket.created", "e1", time="2026-03-02T10:00:00")
    told = read(said, Context(options=options["crm"]))
    assert told.tickets[0].events[0].at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    with pytest.raises(Unusable, match="declares no zone"):
        read(said, Context(options=options["erp"]))


def test_options_of_a_tool_are_changed_and_a_file_has_none(cast: Cast, ada: Client) -> None:
    ada.post("/acme/sources/connect/", {"kind": "api", "name": "crm"})
    assert "Change options" in ada.get("/acme/sources/crm/").content.decode()
    page = "/acme/sources/crm/access/"
    assert 'name="zone"' in ada.get(page).content.decode()
    assert ada.post(page, {"zone": "Mars"}).status_code == 400
    assert ada.post(page, {"zone": "UTC", "csat_question": "overall"}).status_code == 302
    with acting(cast.acme.pk):
        source = Connection.objects.get(name="crm")
        assert (source.options["zone"], source.options["csat_question"]) == ("UTC", "overall")
        assert not ConnectionCheck.objects.filter(connection=source).exists()
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        ConnectionFactory(tenant=cast.acme, name="files", kind="file")
    assert "Change options" not in ada.get("/acme/sources/files/").content.decode()
    assert ada.post("/acme/sources/files/access/", {"zone": "UTC"}).status_code == 400


def test_the_web_role_cannot_read_what_it_stored(cast: Cast, ada: Client) -> None:
    connect(ada)
    with acting(cast.acme.pk), connection.cursor() as cursor:
        cursor.execute("SELECT changed_at FROM tickets_credential")
        assert cursor.fetchone() is not None
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            cursor.execute("SELECT sealed FROM tickets_credential")


def test_a_tool_that_speaks_our_words_is_live_at_once(cast: Cast, ada: Client) -> None:
    assert ada.post("/acme/sources/connect/", {"kind": "api", "name": "crm"}).status_code == 302
    with acting(cast.acme.pk):
        assert Connection.objects.get(name="crm").live_since is not None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"base_url": "http://second.example"}, "begins with https://"),
        ({"base_url": "https://user:x@second.example"}, "no user name"),
        ({"base_url": "https://second.example/?a=1"}, "no user name, question mark"),
        ({"base_url": "file:///etc/passwd"}, "begins with https://"),
        ({"base_url": "https://[::1"}, "no address"),
        ({"name": "Second Desk"}, "Small letters"),
        ({"name": "quality"}, "Small letters"),
        ({"name": "desk"}, "There is a source"),
        ({"token": ""}, "required"),
    ],
)
def test_what_cannot_be_connected_is_refused_beside_its_field(
    cast: Cast, ada: Client, wrong: dict[str, str], words: str
) -> None:
    answer = connect(ada, **wrong)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    with acting(cast.acme.pk):
        assert set(Connection.objects.values_list("name", flat=True)) == {"desk", "told"}


def test_another_host_needs_the_credentials_again(cast: Cast, ada: Client) -> None:
    connect(ada)
    page = "/acme/sources/second/access/"
    answer = ada.post(page, {"base_url": "https://evil.example", "user": "reader", "token": ""})
    assert answer.status_code == 400
    assert "Enter it again" in answer.content.decode()
    assert stored(cast).base_url == "https://second.example"
    moved = {"base_url": "https://moved.example", "user": "reader", "token": "another token"}
    assert ada.post(page, moved).status_code == 302
    source = stored(cast)
    assert source.base_url == "https://moved.example"
    assert opened(cast, source) == {"token": "another token"}


def test_credentials_moved_to_another_host_do_not_open(cast: Cast, ada: Client) -> None:
    """The negative control: whoever changes the address in the database gains nothing."""
    connect(ada)
    with acting(cast.acme.pk):
        Connection.objects.filter(name="second").update(base_url="https://evil.example")
    with pytest.raises(CannotOpen):
        opened(cast, stored(cast))


def test_an_option_changes_without_the_credentials(cast: Cast, ada: Client) -> None:
    connect(ada)
    changed = {"base_url": "https://second.example", "user": "other", "token": ""}
    assert ada.post("/acme/sources/second/access/", changed).status_code == 302
    source = stored(cast)
    assert source.options == {"user": "other"}
    assert opened(cast, source) == {"token": TOKEN}


def test_who_changes_the_access_need_not_wait_for_what_was_in_trouble(
    cast: Cast, ada: Client
) -> None:
    connect(ada)
    with acting(cast.acme.pk):
        later = timezone.now() + timedelta(hours=20)
        Connection.objects.filter(name="second").update(
            trouble="asks us to slow down", troubles=3, not_before=later
        )
    changed = {"base_url": "https://second.example", "user": "other", "token": ""}
    ada.post("/acme/sources/second/access/", changed)
    source = stored(cast)
    assert (source.trouble, source.troubles, source.not_before) == ("", 0, None)


def test_a_test_is_asked_on_the_page_and_answered_by_a_worker(cast: Cast, ada: Client) -> None:
    connect(ada)
    page = ada.get("/acme/sources/second/?part=check").content.decode()
    assert "within seconds" in page
    assert "hx-get" in page
    with roles.as_role(roles.WORKER):
        pulling.sweep(timezone.now())
    page = ada.get("/acme/sources/second/?part=check").content.decode()
    assert "Works: reader reads second.example." in page
    assert "hx-get" not in page


def test_asking_twice_asks_once(cast: Cast, ada: Client) -> None:
    connect(ada)
    assert ada.post("/acme/sources/second/", {"act": "check"}).status_code == 302
    with acting(cast.acme.pk):
        assert ConnectionCheck.objects.count() == 1


def test_pulling_is_paused_and_resumed(cast: Cast, ada: Client) -> None:
    connect(ada)
    ada.post("/acme/sources/second/", {"act": "pause"})
    ada.post("/acme/sources/second/", {"act": "pause"})
    assert stored(cast).paused
    ada.post("/acme/sources/second/", {"act": "resume"})
    assert not stored(cast).paused
    assert acts_of(cast)[2:] == ["connection.paused", "connection.resumed"]


def test_a_hook_address_and_its_secret_are_shown_once(cast: Cast, ada: Client) -> None:
    connect(ada)
    answer = ada.post(HOOK, {"act": "open"})
    made = answer.context["made"]
    assert made.url in answer.content.decode()
    assert made.secret in answer.content.decode()
    again = ada.get(HOOK).content.decode()
    assert made.url not in again
    assert made.secret not in again
    digest = bytes(stored(cast).hook_digest or b"")
    assert Door.objects.get(digest=digest).kind == "hook"
    assert digest == hashlib.sha256(made.url.rstrip("/").rpartition("/")[2].encode()).digest()


def test_another_address_ends_the_one_before(cast: Cast, ada: Client) -> None:
    connect(ada)
    ada.post(HOOK, {"act": "open"})
    first = bytes(stored(cast).hook_digest or b"")
    ada.post(HOOK, {"act": "open"})
    assert not Door.objects.filter(digest=first).exists()
    assert Door.objects.filter(digest=bytes(stored(cast).hook_digest or b"")).exists()
    ada.post(HOOK, {"act": "retire"})
    assert stored(cast).hook_digest is None
    assert not Door.objects.filter(kind="hook").exists()


def test_the_former_secret_is_accepted_while_one_is_changed(cast: Cast, ada: Client) -> None:
    connect(ada)
    source = stored(cast)
    with acting(cast.acme.pk):
        who = {"connection": source, "by": ADA}
        made = [connecting.open_hook(**who, at=NOW).secret]
        for hours in (1, 30):
            at = NOW + timedelta(hours=hours)
            made.append(connecting.rotate_secret(**who, at=at))
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        kept = HookSecret.objects.filter(connection=source).values_list("accepted_until", flat=True)
        assert set(kept) == {NOW + timedelta(hours=54), None}
        accepted = connecting.accepted_secrets(source, NOW + timedelta(hours=31))
    assert set(accepted) == set(made[1:])


@pytest.mark.parametrize(
    ("source", "said", "words"),
    [
        ("second", {"act": "open", "secret": "short"}, "16 to 500 characters"),
        ("second", {"act": "rotate"}, "no hook address yet"),
        ("second", {"act": "retire"}, "no hook address"),
    ],
)
def test_a_hook_that_cannot_be_is_refused(
    cast: Cast, ada: Client, source: str, said: dict[str, str], words: str
) -> None:
    connect(ada)
    answer = ada.post(f"/acme/sources/{source}/hook/", said)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    with acting(cast.acme.pk):
        assert not HookSecret.objects.exists()
        assert not Door.objects.filter(kind="hook").exists()


def test_no_secret_stands_in_the_audit_trail(cast: Cast, ada: Client) -> None:
    connect(ada)
    made = ada.post(HOOK, {"act": "open"}).context["made"]
    ada.post(HOOK, {"act": "rotate", "secret": THEIRS})
    with acting(cast.acme.pk):
        trail = json.dumps(list(AuditEntry.objects.values("act", "subject_id", "detail")))
    for secret in (TOKEN, made.url.rpartition("hooks/")[2], made.secret, THEIRS):
        assert secret not in trail
    assert "hook.secret_rotated" in trail  # the trail does hold the acts


def test_an_unknown_kind_is_refused(cast: Cast, ada: Client) -> None:
    with acting(cast.acme.pk), pytest.raises(NotConnectable):
        access.connect(
            tenant_id=cast.acme.pk,
            name="x",
            kind="never",
            base_url="",
            answers={},
            by=ADA,
            at=NOW,
        )


def test_the_list_says_what_waits_for_a_worker_and_what_for_a_person(
    cast: Cast, ada: Client, told_desk: Connection
) -> None:
    deliver(told_desk, NOW, {"id": "1", "at": NOW.isoformat(), "status": "New", "group": "Nets"})
    ada.post("/acme/sources/told/mapping/", {field_name("status", "New"): "new", "act": "save"})
    with acting(cast.acme.pk):
        receive(
            tenant_id=cast.acme.pk,
            connection=told_desk,
            delivery_id="odd",
            topic="tickets",
            raw=b"{}",
            at=NOW,
        )
    source = shown(ada, "told")
    assert (source.waiting, source.dead, source.tickets) == (2, 0, 0)
    fold(timezone.now())
    source = shown(ada, "told")
    assert (source.waiting, source.dead, source.tickets) == (0, 1, 1)
    assert source.version == 1
    assert "/acme/admin/tickets/inboundmessage/" in ada.get("/acme/sources/told/").content.decode()


def shown(ada: Client, name: str) -> Any:
    listed = ada.get("/acme/sources/").context["sources"]
    return next(source for source in listed if source.connection.name == name)


def test_an_import_tells_its_rows_its_rate_and_its_quarantine(cast: Cast, ada: Client) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        run = ImportRun.objects.create(
            tenant=cast.acme,
            connection=cast.desk,
            file_name="export.csv",
            file_sha256=bytes(32),
            started_at=NOW - timedelta(seconds=20),
            finished_at=NOW,
            rows_done=5000,
            counts={"rows_refused": 60},
        )
        for row in range(60):
            QuarantinedRow.objects.create(
                tenant=cast.acme, run=run, row_number=row, field="opened", reason="not a date"
            )
    last = shown(ada, "desk").last_import
    assert (last.rows_a_second, last.refused, last.finished) == (250, 60, True)
    page = ada.get(f"/acme/sources/desk/imports/{run.pk}/?page=2")
    assert len(page.context["rows"]) == 10
    assert "not a date" in page.content.decode()
    assert ada.get(f"/acme/sources/told/imports/{run.pk}/").status_code == 404


def test_the_list_asks_the_same_number_of_questions_however_many_sources(
    cast: Cast, ada: Client, django_assert_num_queries: Any
) -> None:
    def queries() -> int:
        with django_assert_num_queries(LIST_QUERIES):
            answer = ada.get("/acme/sources/")
        return len(answer.context["sources"])

    ada.get("/acme/sources/")  # the session's first answer writes it anew
    assert queries() == 2
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for _ in range(8):
            ConnectionFactory(tenant=cast.acme)
    assert queries() == 10
