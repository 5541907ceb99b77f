"""Dead letters: listed with their reasons, tried again by hand, recorded; never their bodies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from psycopg.errors import DeadlockDetected

from portal.audit.models import AuditEntry
from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.portal.test_permissions import client_of, key_of, told
from tests.tickets.events import standing
from tickets import inbound, ingest, reading, refolding
from tickets.connectors import GENERIC
from tickets.inbound import Receipt, receive
from tickets.ingest_api import canonical
from tickets.models import InboundBody, InboundMessage, InboundOutcome, InboundWork, Ticket

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIST = "/acme/admin/tickets/inboundmessage/"
BAD = {"ticket": "TICKET-OF-BAD", "time": "yesterday", "severity": "low"}
GOOD = {"ticket": "T2", "time": "2026-03-02T09:00:00Z", "severity": "low"}


def send(cast: Cast, id_: str, **body: Any) -> Receipt:
    with acting(cast.acme.pk):
        return receive(
            tenant_id=cast.acme.pk,
            connection=cast.desk,
            delivery_id=id_,
            topic="event",
            raw=canonical(standing(id_, **body)),
            at=NOW,
        )


def swept(now: datetime = NOW) -> int:
    with roles.as_role(roles.WORKER):
        return inbound.sweep(now)


@pytest.fixture
def letters(cast: Cast) -> tuple[int, int]:
    """A dead letter and one that was entered."""
    bad, good = send(cast, "bad", **BAD), send(cast, "good", **GOOD)
    assert swept() == 2
    return bad.message_id, good.message_id


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise LookupError("words of the body")

    monkeypatch.setattr(GENERIC, "tell", fail)


def told_of(cast: Cast, message: int) -> Any:
    with acting(cast.acme.pk):
        return InboundMessage.objects.with_status().get(pk=message)


# --- tries ---------------------------------------------------------------------------------------


def test_a_delivery_that_fails_is_tried_five_times_later_and_later(
    cast: Cast, failing: None
) -> None:
    message = send(cast, "m", **GOOD).message_id
    now, waits = NOW, []
    for number in range(1, 6):
        assert swept(now) == 1
        assert swept(now) == 0
        one = told_of(cast, message)
        assert one.tries == number
        assert one.errors[0]["reason"].startswith("could not be read: LookupError in")
        assert "words of the body" not in one.errors[0]["reason"]
        if number < 5:
            assert one.status == "failed"
            with acting(cast.acme.pk):
                due = InboundWork.objects.get().due_at
            assert swept(due - timedelta(seconds=1)) == 0
            waits.append((due - now).total_seconds())
            now = due
    assert waits == [30, 120, 480, 1920]
    assert told_of(cast, message).status == "quarantined"
    assert swept(now + timedelta(days=1)) == 0


def test_a_worker_that_is_killed_five_times_leaves_a_dead_letter_that_says_so(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = send(cast, "m", **GOOD).message_id

    class Killed(BaseException):
        pass

    def kill(*_: object) -> Any:
        raise Killed

    now = NOW
    for _ in range(5):
        with monkeypatch.context() as patched:
            patched.setattr(inbound, "_enter", kill)
            with pytest.raises(Killed):
                swept(now)
        assert swept(now) == 0, "nobody takes it before its pause is over"
        now += timedelta(hours=3)
    assert swept(now) == 1
    one = told_of(cast, message)
    assert (one.status, one.tries) == ("quarantined", 6)
    assert "stopped the worker" in one.errors[0]["reason"]
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        reasons = InboundOutcome.objects.filter(status="failed").values_list("errors", flat=True)
        assert {one[0]["reason"] for one in reasons} == {"its worker ended before the try did"}
        assert len(reasons) == 5


def test_one_that_spoils_its_batch_is_put_off_alone_and_the_others_are_entered(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        send(cast, f"m{number}", **GOOD | {"ticket": f"T{number}"})
    enter = inbound.ingest.enter

    def spoil(*, told: Any, **given: Any) -> Any:
        if any(news.external_id == "T4" for news in told.tickets):
            raise ZeroDivisionError
        return enter(told=told, **given)

    monkeypatch.setattr(inbound.ingest, "enter", spoil)
    assert swept() == 9
    with acting(cast.acme.pk):
        assert Ticket.objects.count() == 8
        assert [one.delivery_id for one in InboundMessage.objects.in_status("failed")] == ["m4"]


def test_what_the_database_refuses_is_one_deliverys_fault(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NUL that a connector lets through spoils neither its batch nor the next organisation."""
    send(cast, "m1", **GOOD)
    send(cast, "m2", **GOOD | {"ticket": "T3", "subject": "a\0b"})
    monkeypatch.setattr(reading, "storable", lambda told: told)
    assert swept() == 2
    with acting(cast.acme.pk):
        assert [one.delivery_id for one in InboundMessage.objects.in_status("failed")] == ["m2"]
        assert Ticket.objects.get().external_id == "T2"


def test_a_deadlock_is_no_deliverys_fault(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried again at once, and the try does not count: six would make a dead letter."""
    for number in range(3):
        send(cast, f"m{number}", **GOOD | {"ticket": f"T{number}"})
    enter, met = inbound.ingest.enter, iter(range(inbound.TRIES + 3))

    def collide(**given: Any) -> Any:
        if next(met, None) is not None:
            raise OperationalError from DeadlockDetected()
        return enter(**given)

    monkeypatch.setattr(inbound.ingest, "enter", collide)
    while swept():
        pass
    with acting(cast.acme.pk):
        assert Ticket.objects.count() == 3
        assert not InboundOutcome.objects.exclude(status="folded").exists()


def test_who_folds_again_waits_for_its_turn_before_it_takes_from_the_queue(cast: Cast) -> None:
    """Else it holds what an ingest adds to, and waits for what that ingest holds: a deadlock."""
    send(cast, "m1", **GOOD)
    swept()
    with acting(cast.acme.pk):
        refolding.refold_connection(cast.desk, at=NOW)
    with CaptureQueriesContext(connection) as asked, roles.as_role(roles.WORKER):
        assert ingest.sweep_refolds(NOW) == 1
    statements = [one["sql"] for one in asked]
    turn = next(n for n, sql in enumerate(statements) if "'tickets.ingest'" in sql)
    taken = next(n for n, sql in enumerate(statements) if 'DELETE FROM "tickets_refoldwork"' in sql)
    assert turn < taken


def test_what_the_database_cannot_keep_is_replaced(cast: Cast) -> None:
    send(cast, "m1", **GOOD | {"subject": "a\0b"})
    with acting(cast.acme.pk):
        raw = canonical(standing("m2", **GOOD | {"ticket": "T3", "subject": "S"})).replace(
            b'"S"', rb'"\ud800 \ud83d\ude00"'
        )
        receive(
            tenant_id=cast.acme.pk, connection=cast.desk, delivery_id="m2", topic="event",
            raw=raw, at=NOW,
        )  # fmt: skip
    assert swept() == 2
    with acting(cast.acme.pk):
        subjects = Ticket.objects.order_by("external_id").values_list("subject", flat=True)
        assert list(subjects) == ["a\ufffdb", "\ufffd \U0001f600"]


def test_a_source_that_goes_live_wakes_a_worker_for_what_was_kept(cast: Cast) -> None:
    from portal.audit.trail import SYSTEM
    from tickets.lens import Words
    from tickets.words import save_version

    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        cast.desk.live_since = None
        cast.desk.save()
    send(cast, "m", **GOOD)
    assert swept() == 0
    assert swept(NOW + timedelta(hours=1)) == 0
    with acting(cast.acme.pk):
        save_version(connection=cast.desk, words=Words.parse({}), by=SYSTEM, at=NOW)
    assert swept() == 1


# --- the administration --------------------------------------------------------------------------


def test_the_list_shows_dead_letters_with_reasons_and_never_a_body(
    cast: Cast, letters: tuple[int, int]
) -> None:
    ada = client_of(cast, "ada")
    page = ada.get(LIST).content.decode()
    assert f"{LIST}{letters[0]}/change/" in page
    assert f"{LIST}{letters[1]}/change/" not in page
    assert "time: &#x27;yesterday&#x27; is not an instant" in page
    entered = ada.get(f"{LIST}?status=folded").content.decode()
    assert f"{LIST}{letters[1]}/change/" in entered
    assert f"{LIST}{letters[0]}/change/" not in entered
    for status in ("failed", "waiting"):
        assert "/change/" not in ada.get(f"{LIST}?status={status}").content.decode()
    for shown in (page, entered, ada.get(f"{LIST}{letters[0]}/change/").content.decode()):
        assert "TICKET-OF-BAD" not in shown


def test_the_list_is_narrowed_to_a_source_and_asks_nothing_unseen(
    cast: Cast, letters: tuple[int, int]
) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        other = ConnectionFactory(tenant=cast.acme, name="other")
    ada = client_of(cast, "ada")
    change = f"{LIST}{letters[0]}/change/"
    for source, shown in ((cast.desk, True), (other, False)):
        page = ada.get(f"{LIST}?connection__id__exact={source.pk}").content.decode()
        assert (change in page) is shown
    assert ada.get(f"{LIST}?body__raw__contains=x").status_code == 400
    assert ada.get(f"{LIST}?headers__contains=x").status_code == 400


def test_a_dead_letter_is_tried_again_at_the_press_of_a_button_and_it_is_recorded(
    cast: Cast, letters: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, number = client_of(cast, "ada"), letters[0]
    assert b"Try it again" in ada.get(f"{LIST}{number}/change/").content
    assert ada.get(f"{LIST}{number}/replay/").status_code == 405
    answer = ada.post(f"{LIST}{number}/replay/", follow=True)
    assert f"Message {number} is tried again" in answer.content.decode()
    assert b"Try it again" not in ada.get(f"{LIST}{number}/change/").content
    assert "waiting already" in ada.post(f"{LIST}{number}/replay/", follow=True).content.decode()
    assert told_of(cast, number).status == "waiting"
    with acting(cast.acme.pk):
        entry = AuditEntry.objects.get(act="delivery.replayed")
        assert (entry.actor_name, entry.subject_id) == ("Ada", str(number))
    tell = GENERIC.tell
    monkeypatch.setattr(
        GENERIC,
        "tell",
        lambda topic, raw, context: tell(
            topic, raw.replace(b"yesterday", b"2026-03-02T09:00:00Z"), context
        ),
    )
    assert swept(timezone.now()) == 1
    assert told_of(cast, number).status == "folded"
    with acting(cast.acme.pk):
        assert Ticket.objects.filter(external_id="TICKET-OF-BAD").exists()


@pytest.mark.parametrize("person", ["olga", "sam", "bea", "aude", "agnes", "rui", "eve"])
def test_nobody_else_tries_a_dead_letter_again(
    cast: Cast, letters: tuple[int, int], person: str
) -> None:
    answer = client_of(cast, person).post(f"{LIST}{letters[0]}/replay/")
    assert answer.status_code == 404
    assert told_of(cast, letters[0]).status == "quarantined"
    assert client_of(cast, "ada").post(f"{LIST}{letters[0]}/replay/").status_code == 302


def test_another_organisations_dead_letter_is_as_if_it_did_not_exist(
    cast: Cast, letters: tuple[int, int]
) -> None:
    from portal.people.models import Membership
    from portal.people.roles import Role

    with roles.as_role(roles.OWNER):
        Membership.objects.create(tenant=cast.globex, person=cast.ada, role=Role.ADMINISTRATOR)
    ada, base = client_of(cast, "ada"), LIST.replace("acme", "globex")
    assert f"/{letters[0]}/change/" not in ada.get(base).content.decode()
    theirs = ada.post(f"{base}{letters[0]}/replay/")
    assert told(theirs) == told(ada.post(f"{base}999999/replay/"))
    assert theirs.status_code == 404


def test_what_was_emptied_cannot_be_tried_again_and_says_so(
    cast: Cast, letters: tuple[int, int]
) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        InboundBody.objects.all().delete()
    answer = client_of(cast, "ada").post(f"{LIST}{letters[0]}/replay/", follow=True)
    assert b"were emptied" in answer.content
    assert told_of(cast, letters[0]).status == "quarantined"


# --- the API -------------------------------------------------------------------------------------


def api(secret: str, path: str = "", method: str = "GET") -> Any:
    return Client().generic(
        method,
        f"/api/v1/ingest/messages/{path}",
        headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": str(uuid4())},
    )


def test_the_api_lists_deliveries_by_status_and_source(
    cast: Cast, letters: tuple[int, int]
) -> None:
    _, secret = key_of(cast, Scope.INGEST_EVENTS)
    found = api(secret, "?status=quarantined&source=desk").json()["results"]
    assert [one["message"] for one in found] == [letters[0]]
    assert found[0]["errors"][0]["field"] == "time"
    assert (found[0]["id"], found[0]["tries"], found[0]["source"]) == ("bad", 1, "desk")
    assert set(found[0]) == {
        *("message", "source", "id", "received_at"),
        *("status", "status_at", "tries", "errors"),
    }
    assert api(secret, "?source=other").json()["results"] == []
    assert api(secret, "?status=lost").status_code == 400
    assert len(api(secret).json()["results"]) == 2
    _, other = key_of(cast, Scope.INGEST_EVENTS, organisation="globex")
    assert api(other).json()["results"] == []


def test_the_api_comes_in_cursor_pages(cast: Cast, letters: tuple[int, int]) -> None:
    _, secret = key_of(cast, Scope.INGEST_EVENTS)
    first = api(secret, "?limit=1").json()
    second = api(secret, first["next"].partition("messages/")[2]).json()
    numbers = [one["message"] for page in (first, second) for one in page["results"]]
    assert sorted(numbers) == sorted(letters)
    assert second["next"] is None


def test_the_api_tries_a_dead_letter_again_and_it_is_recorded_as_the_keys_act(
    cast: Cast, letters: tuple[int, int]
) -> None:
    key, secret = key_of(cast, Scope.ADMIN_CONFIG)
    answers = [api(secret, f"{letters[0]}/replay/", "POST") for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 200]
    assert answers[0].json() == {"message": letters[0], "status": "waiting"}
    with acting(cast.acme.pk):
        assert AuditEntry.objects.get(act="delivery.replayed").actor_key == f"key:{key.pk}"
    _, theirs = key_of(cast, Scope.ADMIN_CONFIG, organisation="globex")
    assert api(theirs, f"{letters[0]}/replay/", "POST").status_code == 404
    _, sender = key_of(cast, Scope.INGEST_EVENTS)
    assert api(sender, f"{letters[1]}/replay/", "POST").status_code == 403
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        InboundBody.objects.all().delete()
    assert api(secret, f"{letters[1]}/replay/", "POST").status_code == 410
