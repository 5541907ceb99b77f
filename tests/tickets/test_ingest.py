"""What is written of news: continuations, tickets in no figure, calendars, promises, authors."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.catalogue.models import BusinessCalendar, CalendarVersion, SeverityCalendar, TimeTarget
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tickets import ingest
from tickets.canonical import ActorKind, Event, EventType, Meaning
from tickets.models import (
    Attribution,
    Escalation,
    Resolution,
    Ticket,
    TicketEvent,
    TicketFlaw,
    WorkItem,
)
from tickets.news import TicketNews, event_key
from tickets.refolding import refold_connection

#: A Monday; Acme's office hours are 9 to 17 in Berlin, 8 to 16 in UTC.
MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def acme(cast: Cast) -> Any:
    """Acme, entered as the worker's database role."""
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        yield cast


def life(
    name: str,
    *happened: tuple[float, EventType, dict[str, Any]],
    opened_at: datetime = MONDAY,
    **created: Any,
) -> TicketNews:
    """A ticket opened at `opened_at`; what happened some hours later was done by Agnes."""
    data = {"severity": "medium", "capability": "network", "requester": "rui"} | created
    events = [Event(event_key(name, 0), EventType.CREATED, opened_at, "0000", data=data)]
    for position, (hours, type_, said) in enumerate(happened, start=1):
        events.append(
            Event(
                event_key(name, position),
                type_,
                opened_at + hours * HOUR,
                f"{position:04}",
                ActorKind.AGENT,
                "agnes@acme.example",
                type_ is EventType.MESSAGE,
                said,
            )
        )
    return TicketNews(name, events, subject=f"About {name}")


def moved(hours: float, to: str) -> tuple[float, EventType, dict[str, Any]]:
    return hours, EventType.STATUS_CHANGED, {"to": to}


def follows(parent: str) -> tuple[float, EventType, dict[str, Any]]:
    return 0, EventType.FOLLOWUP_OF, {"parent": parent}


def enter(cast: Cast, *news: TicketNews) -> ingest.Outcome:
    return ingest.apply(tenant_id=cast.acme.pk, connection=cast.desk, news=news, at=MONDAY)


PARENT = life("P", moved(1, "resolved"), requester="rui")
CHILD = life("C", follows("P"), moved(2, "resolved"), opened_at=MONDAY + timedelta(days=13))
GRANDCHILD = life("G", follows("C"), moved(3, "resolved"), opened_at=MONDAY + timedelta(days=14))


@pytest.mark.parametrize("order", list(itertools.permutations([PARENT, CHILD, GRANDCHILD])))
def test_a_follow_up_within_14_days_continues_its_parent_in_whatever_order_they_are_heard(
    acme: Cast, order: tuple[TicketNews, ...]
) -> None:
    for news in order:
        enter(acme, news)
    item = WorkItem.objects.get()
    assert item.ticket.external_id == "P"
    assert item.ended_at == MONDAY + timedelta(days=14) + 3 * HOUR
    resolutions = Resolution.objects.order_by("at")
    assert [r.ticket.external_id for r in resolutions] == ["P", "C", "G"]
    assert [r.reopened for r in resolutions] == [True, True, False]
    assert {
        t.external_id: t.continues.external_id for t in Ticket.objects.all() if t.continues
    } == {
        "C": "P",
        "G": "P",
    }
    assert Attribution.objects.filter(work_item=item).count() == 3
    assert enter(acme, *order).changed_nothing


def test_a_follow_up_after_14_days_is_an_item_of_its_own(acme: Cast) -> None:
    late = life("C", follows("P"), opened_at=MONDAY + timedelta(days=14, hours=1, seconds=1))
    enter(acme, PARENT, late)
    assert set(WorkItem.objects.values_list("ticket__external_id", "outcome")) == {
        ("P", "resolved"),
        ("C", "open"),
    }
    child = Ticket.objects.get(external_id="C")
    assert (child.continues, child.follows) == (None, "P")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ((1, EventType.FLAGGED, {"flag": "spam"}), "spam"),
        ((1, EventType.MERGED, {"into": "P"}), "merged"),
        ((1, EventType.DELETED, {}), "deleted"),
    ],
)
def test_a_ticket_that_leaves_the_figures_takes_its_facts_with_it(
    acme: Cast, what: tuple[float, EventType, dict[str, Any]], why: str
) -> None:
    enter(acme, life("T", moved(2, "resolved")))
    assert WorkItem.objects.exists()
    enter(acme, life("T", moved(2, "resolved"), what))
    assert Ticket.objects.get().left_out == why
    assert not Ticket.objects.counted().exists()
    assert not WorkItem.objects.exists()
    assert not Resolution.objects.exists()
    assert not Attribution.objects.exists()
    assert TicketEvent.objects.count() == 3


def test_only_the_rows_of_the_ticket_that_changed_are_written(acme: Cast) -> None:
    enter(acme, life("A", moved(1, "open")), life("B", moved(1, "open")))
    outcome = enter(acme, life("A", moved(1, "open"), moved(2, "resolved")), life("B"))
    assert outcome.new_events == 1
    assert (outcome.written["tickets"].added, outcome.written["tickets"].changed) == (0, 1)
    assert outcome.written["work items"].changed == 1


def test_the_clock_runs_on_the_calendar_of_the_severity(acme: Cast) -> None:
    night = moved(10, "resolved")  # 19:00 in Berlin, two hours after closing
    enter(
        acme,
        life("M", night),
        life("C", night, severity="critical"),
        life("N", night, capability=None),
    )
    clocks = dict(WorkItem.objects.values_list("ticket__external_id", "clock_s"))
    assert clocks == {"M": 8 * 3600, "C": 10 * 3600, "N": 10 * 3600}
    assert set(WorkItem.objects.values_list("requester_elapsed_s", flat=True)) == {10 * 3600}


def test_a_severity_may_keep_hours_of_its_own_and_refolding_applies_them(acme: Cast) -> None:
    enter(acme, life("L", moved(10, "resolved"), severity="low"))
    mornings = BusinessCalendar.objects.create(tenant=acme.acme, name="Mornings")
    CalendarVersion.objects.create(
        tenant=acme.acme, calendar=mornings, time_zone="UTC", hours={"mon": [["08:00", "09:00"]]}
    )
    SeverityCalendar.objects.create(
        tenant=acme.acme, domain=acme.it, severity="low", calendar=mornings
    )
    assert WorkItem.objects.get().clock_s == 8 * 3600
    ingest.refold(tenant_id=acme.acme.pk, connection=acme.desk, external_ids=["L"], at=MONDAY)
    assert WorkItem.objects.get().clock_s == 3600


def test_promises_are_those_in_force_when_the_item_opened(acme: Cast) -> None:
    for valid_from, hours in ((None, 8), (MONDAY + HOUR, 4)):
        TimeTarget.objects.create(
            tenant=acme.acme, domain=acme.it, severity="medium", clock="resolution",
            seconds=hours * 3600, valid_from=valid_from,
        )  # fmt: skip
    enter(acme, life("A"), life("B", opened_at=MONDAY + HOUR))
    targets = dict(WorkItem.objects.values_list("ticket__external_id", "resolution_deadline"))
    assert targets == {"A": MONDAY + 8 * HOUR, "B": MONDAY + 5 * HOUR}


def test_while_the_requester_is_awaited_no_deadline_runs(acme: Cast) -> None:
    TimeTarget.objects.create(
        tenant=acme.acme, domain=acme.it, severity="medium", clock="resolution", seconds=8 * 3600
    )
    waiting = life(
        "A",
        (1, EventType.MESSAGE, {"meaning": Meaning.MEANINGFUL}),
        moved(1, "waiting_on_requester"),
    )
    enter(acme, waiting)
    item = WorkItem.objects.get()
    assert (item.paused_since, item.resolution_deadline) == (MONDAY + HOUR, None)
    assert (item.first_meaningful_s, item.first_reply_meaning) == (3600, "meaningful")


def test_escalations_are_told_by_kind_and_reason(acme: Cast) -> None:
    enter(
        acme,
        life(
            "A",
            (1, EventType.ESCALATED, {"kind": "functional", "reason": "needs a specialist"}),
            (2, EventType.ESCALATED, {"kind": "hierarchical"}),
        ),
    )
    assert list(Escalation.objects.values_list("kind", "reason")) == [
        ("functional", "needs a specialist"),
        ("hierarchical", ""),
    ]
    item = WorkItem.objects.get()
    assert (item.escalations_functional, item.escalations_hierarchical) == (1, 1)


def test_a_second_ticket_of_the_same_person_is_a_repeat_contact_of_the_first(acme: Cast) -> None:
    enter(acme, life("A", moved(1, "resolved")))
    assert WorkItem.objects.get().repeat_contact_at is None
    again = MONDAY + timedelta(days=14) + HOUR
    enter(
        acme,
        life("B", opened_at=again),
        life("C", opened_at=MONDAY + 5 * HOUR, capability="accounts"),
    )
    assert WorkItem.objects.get(ticket__external_id="A").repeat_contact_at == again


def test_an_unknown_capability_refuses_the_whole_batch(acme: Cast) -> None:
    with pytest.raises(ingest.UnknownCapability, match="gardening"):
        enter(acme, life("A"), life("B", capability="gardening"))
    assert not Ticket.objects.exists()


def test_what_is_on_the_self_service_list_is_routine_unless_an_agent_says_no(acme: Cast) -> None:
    denied = (1, EventType.FLAGGED, {"flag": "routine", "value": False})
    enter(
        acme,
        life("A", capability="accounts"),
        life("B", denied, capability="accounts"),
        life("C"),
        life("D", capability=None),
    )
    assert dict(WorkItem.objects.values_list("ticket__external_id", "routine")) == {
        "A": True,
        "B": False,
        "C": False,
        "D": None,
    }


def test_two_writers_of_one_source_take_turns(acme: Cast) -> None:
    from django.db import connection

    enter(acme, life("A"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND pid = pg_backend_pid()"
        )
        assert cursor.fetchone() == (1,)


def test_the_story_of_a_ticket_ends_where_one_asks_as_of(acme: Cast) -> None:
    from tickets.event_log import stories_of

    enter(acme, life("A", moved(1, "open"), moved(2, "resolved")))
    [ticket_id] = Ticket.objects.values_list("pk", flat=True)
    [whole] = stories_of([ticket_id]).values()
    [half] = stories_of([ticket_id], as_of=MONDAY + HOUR).values()
    assert [event.data.get("to") for event in whole] == [None, "open", "resolved"]
    assert half == whole[:2]


# --- time that runs the wrong way -----------------------------------------------------------------


def flaws_of(cast: Cast) -> set[str]:
    return set(TicketFlaw.objects.for_tenant(cast.acme.pk).values_list("kind", flat=True))


def test_what_was_dated_in_the_future_stays_so_whatever_is_heard_later(acme: Cast) -> None:
    """The flaw is of its arrival: neither the next news nor folding again may lose it."""
    early, later = (
        life("P", moved(-0.1, "open")),
        life("P", moved(-0.1, "open"), moved(2, "closed")),
    )
    enter(acme, life("Q", moved(0.05, "open")))
    assert flaws_of(acme) == set(), "three minutes are a clock that runs a little fast"
    enter(acme, life("P"), later)
    assert flaws_of(acme) == {"clock_skew", "negative_duration"}
    ingest.apply(
        tenant_id=acme.acme.pk,
        connection=acme.desk,
        news=[life("P", moved(-0.1, "open"), moved(2, "closed"), moved(3, "open"))],
        at=MONDAY + timedelta(days=1),
    )
    assert "clock_skew" in flaws_of(acme)
    refold_connection(acme.desk, at=MONDAY)
    ingest.sweep_refolds(MONDAY + timedelta(days=1))
    assert "clock_skew" in flaws_of(acme)
    assert enter(acme, early, later).changed_nothing


def test_an_answer_before_the_opening_is_a_flaw_and_no_negative_duration(acme: Cast) -> None:
    answered = (-2.0, EventType.MESSAGE, {"meaning": Meaning.MEANINGFUL.value})
    enter(acme, life("P", answered), life("Q", (1.0, *answered[1:])))
    flawed = TicketFlaw.objects.filter(kind="negative_duration")
    assert [flaw.ticket.external_id for flaw in flawed] == ["P"]
    seconds = dict(WorkItem.objects.values_list("ticket__external_id", "first_response_s"))
    assert (seconds["P"] or 0) == 0
    assert seconds["Q"] == HOUR.total_seconds()
