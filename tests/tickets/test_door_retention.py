"""What is kept for a while only: raw bodies, words of messages, text of deleted tickets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, ConnectionFactory
from tests.tickets.events import replied, standing
from tickets import inbound, retention
from tickets.ingest_api import canonical
from tickets.models import (
    InboundBody,
    InboundMessage,
    InboundWork,
    MessageText,
    Resolution,
    Ticket,
    TicketEvent,
    WorkItem,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def send(cast: Cast, id_: str, at: datetime = NOW, connection: Any = None, **body: Any) -> None:
    with acting(cast.acme.pk):
        inbound.receive(
            tenant_id=cast.acme.pk,
            connection=connection or cast.desk,
            delivery_id=id_,
            topic="events",
            raw=canonical(replied(id_, **body) if "reply" in body else standing(id_, **body)),
            at=at,
        )
    with roles.as_role(roles.WORKER):
        inbound.sweep(at)


def a_story(cast: Cast, ticket: str, at: datetime) -> None:
    """A ticket that was opened, replied to and resolved."""
    said = {
        "ticket": ticket,
        "subject": f"No sound {ticket}",
        "requester": {"id": "rui", "email": "rui@acme.example"},
        "capability": "network",
        "severity": "high",
    }
    send(cast, f"{ticket}-1", at, time=at.isoformat(), status="new", **said)
    later = (at + timedelta(hours=1)).isoformat()
    reply = {"reply": "Please update the driver.", "agent": "agnes@acme.example"}
    send(cast, f"{ticket}-2", at, time=later, ticket=ticket, **reply)


def empty(now: datetime = NOW, days: int = 30) -> int:
    with roles.as_role(roles.WORKER):
        return retention.sweep(now, days=days)


def count(cast: Cast, model: Any) -> int:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        return int(model.objects.count())


@pytest.mark.parametrize("batch", [1, 3, 2000])
def test_bodies_and_words_go_after_thirty_days_and_facts_stay(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(retention, "BATCH", batch)
    for number, age in enumerate((45, 40, 31, 29, 1)):
        a_story(cast, f"T{number}", NOW - age * DAY)
    facts = {one: count(cast, one) for one in (InboundMessage, TicketEvent, WorkItem, Resolution)}
    assert empty() == 3 * 2 + 3
    assert (count(cast, InboundBody), count(cast, MessageText)) == (4, 2)
    assert {one: count(cast, one) for one in facts} == facts
    assert empty() == 0
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        kept = InboundBody.objects.values_list("message__received_at", flat=True)
        assert min(kept) == NOW - 29 * DAY


def test_a_body_that_waits_to_be_entered_is_kept_until_it_is_done_with(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        asleep = ConnectionFactory(tenant=cast.acme, name="asleep", live_since=None)
    send(cast, "w", NOW - 60 * DAY, asleep, ticket="T9", time="2026-01-01T09:00:00Z")
    a_story(cast, "T1", NOW - 50 * DAY)
    assert empty() == 3
    assert count(cast, InboundBody) == 1
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        InboundWork.objects.all().delete()
    assert empty() == 1


def test_words_that_were_emptied_do_not_come_back_when_the_message_is_told_again(
    cast: Cast,
) -> None:
    a_story(cast, "T1", NOW - 40 * DAY)
    empty()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        assert not MessageText.objects.exists()
    at = NOW - 40 * DAY
    with acting(cast.acme.pk):
        again = inbound.receive(
            tenant_id=cast.acme.pk,
            connection=cast.desk,
            delivery_id="T1-2",
            topic="events",
            raw=canonical(
                replied(
                    "T1-2",
                    time=(at + timedelta(hours=1)).isoformat(),
                    ticket="T1",
                    reply="Please update the driver.",
                    agent="agnes@acme.example",
                )
            ),
            at=NOW,
        )
    assert again.status == "duplicate"
    assert count(cast, MessageText) == 0


def test_a_deleted_ticket_keeps_its_times_and_loses_its_text(cast: Cast) -> None:
    a_story(cast, "T1", NOW - DAY)
    a_story(cast, "T2", NOW - DAY)
    send(cast, "T1-3", ticket="T1", time=NOW.isoformat(), status="deleted")
    events = count(cast, TicketEvent)
    assert empty() == 2
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        gone, kept = Ticket.objects.order_by("external_id")
        assert (gone.state, gone.subject) == ("deleted", "")
        assert kept.subject == "No sound T2"
        assert MessageText.objects.get().ticket_id == kept.pk
        assert gone.opened_at == NOW - DAY
    assert count(cast, TicketEvent) == events
    assert empty() == 0


def test_other_organisations_keep_days_of_their_own_data(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.globex.pk):
        theirs = ConnectionFactory(tenant=cast.globex, name="desk")
    with acting(cast.globex.pk):
        inbound.receive(
            tenant_id=cast.globex.pk,
            connection=theirs,
            delivery_id="g",
            topic="event",
            raw=canonical(standing("g", ticket="G", time=NOW.isoformat(), severity="low")),
            at=NOW - 31 * DAY,
        )
    with roles.as_role(roles.WORKER):
        inbound.sweep(NOW)
    a_story(cast, "T1", NOW - DAY)
    assert empty() == 1
    assert count(cast, InboundBody) == 2
