"""Messages from other tools: stored once, entered by the sweep, quarantined with reasons."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from portal.tenancy.context import acting
from portal.tenancy.models import Due
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.events import event
from tickets.inbound import DeliveryConflict, Receipt, receive, sweep
from tickets.ingest_api import canonical
from tickets.models import (
    Attribution,
    InboundMessage,
    InboundOutcome,
    MessageText,
    Resolution,
    Ticket,
    TicketEvent,
    WorkItem,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def send(cast: Cast, id_: str, **body: Any) -> Receipt:
    """An event at the door, as the web role: a ticket as it stood, or a `type` by name."""
    return tell(cast, as_event(id_, **body))


def as_event(
    id_: str, type: str = "ticket.snapshot", ticket: str = "T1", time: str = "", **data: Any
) -> dict[str, Any]:
    return event(type, id_, subject=ticket, time=time, data=data)  # type: ignore[no-any-return]


def tell(cast: Cast, said: dict[str, Any]) -> Receipt:
    with acting(cast.acme.pk):
        return receive(
            tenant_id=cast.acme.pk,
            connection=cast.desk,
            delivery_id=said["id"],
            topic="event",
            raw=canonical(said),
            at=NOW,
        )


def opened(cast: Cast, **more: Any) -> Receipt:
    said = {
        "time": "2026-03-02T09:00:00+01:00",
        "subject": "No sound",
        "requester": {"id": "rui", "email": "rui@acme.example"},
        "capability": "network",
        "severity": "high",
        "status": "new",
        "channel": "portal",
    }
    return send(cast, "m1", **(said | more))


def resolved(cast: Cast) -> Receipt:
    """An agent replies and resolves: two events of one instant."""
    agent = {"id": "agnes@acme.example", "kind": "agent"}
    at = "2026-03-02T11:00:00+01:00"
    send(
        cast,
        "m2",
        type="ticket.message",
        time=at,
        public=True,
        actor=agent,
        text="Please update the driver, then restart. It works here.",
    )
    return send(cast, "m3", time=at, status="resolved", agent="agnes@acme.example")


def swept(now: datetime = NOW) -> int:
    with roles.as_role(roles.WORKER):
        return sweep(now)


def test_a_message_becomes_a_ticket_and_a_resolution_with_its_author(cast: Cast) -> None:
    assert opened(cast).status == "created"
    assert resolved(cast).status == "created"
    assert swept() == 3
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        ticket = Ticket.objects.get(external_id="T1")
        assert (ticket.subject, ticket.state, ticket.channel) == ("No sound", "resolved", "portal")
        assert ticket.requester is not None
        assert ticket.requester.person_id == cast.rui.pk
        item = WorkItem.objects.get()
        assert (item.severity, item.capability_id) == ("high", cast.network.pk)
        assert item.opened_at == datetime(2026, 3, 2, 8, tzinfo=UTC)
        assert item.first_response_at == item.ended_at == datetime(2026, 3, 2, 10, tzinfo=UTC)
        assert item.clock_s == 2 * 3600
        assert set(Attribution.objects.values_list("act", "person")) == {
            ("resolved", cast.agnes.pk),
            ("first_responded", cast.agnes.pk),
        }
        assert MessageText.objects.get().text.startswith("Please update")
        assert set(InboundOutcome.objects.values_list("status", flat=True)) == {"folded"}


def test_the_same_message_again_is_a_duplicate_and_enters_once(cast: Cast) -> None:
    first = opened(cast)
    assert opened(cast) == Receipt(first.message_id, "duplicate")
    assert swept() == 1
    assert swept() == 0
    assert opened(cast).status == "duplicate"


def test_the_same_id_with_another_body_is_a_conflict_and_stores_nothing(cast: Cast) -> None:
    opened(cast)
    with pytest.raises(DeliveryConflict, match="another body"):
        opened(cast, severity="low")
    with acting(cast.acme.pk):
        assert InboundMessage.objects.count() == 1


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_messages_in_any_order_tell_the_same_story(cast: Cast, order: str) -> None:
    senders = [opened, resolved]
    for sender in senders if order == "forwards" else reversed(senders):
        sender(cast)
        swept()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        item = WorkItem.objects.get()
        assert (item.outcome, item.clock_s, item.channel) == ("resolved", 2 * 3600, "portal")
        assert Resolution.objects.get().holds


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"time": "2026-03-02T09:00:00"}, "time"),
        ({"time": "yesterday"}, "time"),
        ({"capability": "gardening"}, "data.capability"),
        ({"severity": "urgent"}, "data.severity"),
        ({"status": "parked"}, "data.status"),
        ({"ticket": ""}, "subject"),
        ({"type": "tikcet"}, "type"),
        ({"severty": "low"}, "data.severty"),
    ],
)
def test_what_cannot_be_understood_is_quarantined_and_stops_nothing(
    cast: Cast, said: dict[str, Any], field: str
) -> None:
    opened(cast, **said)
    send(cast, "m9", ticket="T9", time="2026-03-02T09:00:00Z", severity="low")
    assert swept() == 2
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        refused = InboundOutcome.objects.get(status="quarantined")
        assert [error["field"] for error in refused.errors] == [field]
        assert list(Ticket.objects.values_list("external_id", flat=True)) == ["T9"]
        assert not TicketEvent.objects.exclude(ticket__external_id="T9").exists()


def test_a_ticket_nobody_opened_yet_waits_outside_the_figures(cast: Cast) -> None:
    send(cast, "m1", time="2026-03-02T09:00:00Z", status="open")
    swept()
    with acting(cast.acme.pk):
        assert Ticket.objects.get().left_out == "incomplete"
        assert not WorkItem.objects.exists()
    send(cast, "m2", time="2026-03-02T09:30:00Z", severity="low")
    swept()
    with acting(cast.acme.pk):
        assert Ticket.objects.get().left_out == ""
        assert WorkItem.objects.get().severity == "low"


def test_another_organisations_message_is_entered_there_and_nowhere_else(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.globex.pk):
        theirs = ConnectionFactory(tenant=cast.globex, name="desk")
    opened(cast)
    with acting(cast.globex.pk):
        receive(
            tenant_id=cast.globex.pk,
            connection=theirs,
            delivery_id="m1",
            topic="event",
            raw=canonical(as_event("m1", ticket="G1", severity="low", time="2026-03-02T09:00:00Z")),
            at=NOW,
        )
    assert swept() == 2
    for organisation, name in ((cast.acme, "T1"), (cast.globex, "G1")):
        with acting(organisation.pk):
            assert list(Ticket.objects.values_list("external_id", flat=True)) == [name]


def test_work_that_is_done_is_no_longer_due_and_a_crash_comes_back(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickets import inbound

    opened(cast)

    class Crash(Exception):
        pass

    def crash(*_: object) -> int:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(inbound, "_enter_some", crash)
        with pytest.raises(Crash):
            swept()
    assert swept() == 1  # nobody waits for a lease: what a dead worker held is free at once
    assert not Due.objects.filter(kind="fold").exists()


def test_the_web_role_cannot_read_what_was_sent(cast: Cast) -> None:
    from django.db import ProgrammingError, transaction

    opened(cast)
    with acting(cast.acme.pk), connection.cursor() as cursor:
        cursor.execute('SELECT id FROM "tickets_inboundmessage"')  # the control: ids may be read
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            cursor.execute('SELECT raw FROM "tickets_inboundbody"')
