"""What was decided stays decided: attainment where severity or capability are changed later.

METRICS.md 1.5, 1.7 and M15.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from metrics import columns
from metrics.deciding_settings import change_settings
from metrics.folded import past_reader
from metrics.measure import Slice
from metrics.tracing import behind
from portal.audit.trail import SYSTEM
from portal.catalogue.models import BusinessCalendar, TimeTarget
from portal.tenancy.context import acting
from tests import roles
from tests.factories import BusinessUnitFactory, CapabilityFactory, Cast, DomainFactory
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    Happened,
    enter,
    moved,
    news,
    read,
    replied,
)
from tickets.canonical import EventType
from tickets.models import WorkItem

RESPONSE, RESOLUTION = TimeTarget.Clock.FIRST_MEANINGFUL_RESPONSE, TimeTarget.Clock.RESOLUTION
OF_REPLIES = ("first_response.attainment", "first_meaningful_response.attainment")
ALL = ("sla_attainment.resolution", "sla_attainment.response", *OF_REPLIES)


def prioritised(hours: float, to: str) -> Happened:
    return hours, EventType.PRIORITY_CHANGED, {"to": to}


def categorised(hours: float, to: str) -> Happened:
    return hours, EventType.CATEGORY_CHANGED, {"to": to}


@pytest.fixture
def promised(cast: Cast) -> Cast:
    """An hour to a reply and 8 to a resolution if it is high, 4 and 40 if it is low."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for severity, reply, resolved in (("high", 1, 8), ("low", 4, 40)):
            for clock, hours in ((RESPONSE, reply), (RESOLUTION, resolved)):
                TimeTarget.objects.create(
                    tenant=cast.acme, domain=cast.it, severity=severity, clock=clock,
                    seconds=hours * 3600,
                )  # fmt: skip
    return cast


def refresh(cast: Cast) -> None:
    """Let the worker pack what is marked."""
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)


def kept(cast: Cast, name: str, **cut: Any) -> tuple[int | None, int]:
    reading = read(cast, name, **cut)
    return reading.numerator, reading.denominator


def five(name: str, *happened: Happened, **created: Any) -> list[Any]:
    return [news(f"{name}{n}", *happened, **created) for n in range(5)]


# Opened high on Monday, answered after 3 hours, open past the 8.
LATE = (replied(3), moved(74, "resolved"))
MILDER = (LATE[0], prioritised(50, "low"), LATE[1])


@pytest.mark.parametrize("name", ALL)
def test_a_downgrade_takes_no_miss_back(promised: Cast, name: str) -> None:
    enter(promised, *five("plain", *LATE, severity="high"))
    assert (kept(promised, name), kept(promised, name, severity="low")) == ((0, 5), (None, 0))
    enter(promised, *five("milder", *MILDER, severity="high"))
    assert kept(promised, name) == (0, 10)
    assert kept(promised, name, severity="high") == (0, 10)
    assert kept(promised, name, severity="low") == (None, 0)


@pytest.mark.parametrize("name", ALL)
def test_a_period_that_is_told_stays_told_whatever_is_changed_later(
    promised: Cast, name: str
) -> None:
    enter(promised, *five("milder", *MILDER, severity="high"))
    for hours in (30, 51, 75):
        with roles.as_role(roles.WORKER), acting(promised.acme.pk):
            reader = past_reader(
                promised.acme, as_of=MONDAY + hours * HOUR, start=MARCH, until_day=APRIL
            )
            for severity, counted in (("high", (0, 5)), ("low", (None, 0))):
                reading = reader.measure(name, Slice(MARCH, APRIL, None, severity))
                assert (reading.numerator, reading.denominator) == counted


@pytest.mark.parametrize("name", ALL)
def test_blocks_the_past_and_what_is_traced_tell_the_same(promised: Cast, name: str) -> None:
    told = five("milder", *MILDER, severity="high")
    told += five("moved", replied(1), prioritised(1.5, "low"), replied(3), moved(60, "resolved"),
                 severity="high")  # fmt: skip
    told += five("worse", replied(3), prioritised(40, "high"), moved(60, "resolved"),
                 severity="low")  # fmt: skip
    told += five("elsewhere", replied(3), categorised(10, "accounts"), moved(12, "resolved"),
                 severity="high")  # fmt: skip
    enter(promised, *told)
    cuts = [
        {"severity": severity, "capability": capability}
        for severity in (None, "high", "low")
        for capability in (None, promised.network, promised.accounts)
    ]
    from_facts = [kept(promised, name, **cut) for cut in cuts]
    refresh(promised)
    assert [kept(promised, name, **cut) for cut in cuts] == from_facts
    assert len(set(from_facts)) > 3
    with roles.as_role(roles.WORKER), acting(promised.acme.pk):
        past = past_reader(promised.acme, as_of=MAY, start=MARCH, until_day=APRIL)
        for cut, counted in zip(cuts, from_facts, strict=True):
            only = frozenset([cut["capability"].pk]) if cut["capability"] else None
            slice_ = Slice(MARCH, APRIL, only, cut["severity"])
            reading = past.measure(name, slice_)
            assert (reading.numerator, reading.denominator) == counted
            rows = behind(past, name, slice_).rows
            assert (int((rows["in_time"] == 1).sum()), len(rows)) == (counted[0] or 0, counted[1])


def test_a_reply_in_time_stays_in_time_and_what_helps_is_judged_when_it_comes(
    promised: Cast,
) -> None:
    enter(
        promised,
        *five(
            "story",
            replied(0.5, "not_meaningful"),
            prioritised(0.75, "low"),
            replied(3),
            moved(5, "resolved"),
            severity="high",
        ),
    )
    first, helped = OF_REPLIES
    assert kept(promised, first, severity="high") == (5, 5)
    assert kept(promised, first, severity="low") == (None, 0)
    assert kept(promised, helped, severity="low") == (5, 5)
    assert kept(promised, helped, severity="high") == (None, 0)


def test_a_late_reply_stays_with_the_capability_it_was_late_in(promised: Cast) -> None:
    moved_on = categorised(10, "accounts")
    enter(promised, *five("story", replied(3), moved_on, moved(12, "resolved"), severity="high"))
    for name in OF_REPLIES:
        assert kept(promised, name, capability=promised.network) == (0, 5)
        assert kept(promised, name, capability=promised.accounts) == (None, 0)
    # 12 hours on the calendar are the whole of Monday's 8 business hours: in time, in accounts.
    assert kept(promised, ALL[0], capability=promised.accounts) == (5, 5)


def test_an_upgrade_that_finds_the_time_over_is_a_miss_at_its_instant(promised: Cast) -> None:
    worse = prioritised(20 * 24, "high")  # a Sunday, after 15 business days; opened on 16 March
    opened = MONDAY + 14 * DAY
    enter(promised, *five("story", worse, severity="low", opened_at=opened))
    # It had been missed as low by then: on Friday the 20th, in March.
    assert kept(promised, ALL[0], severity="low") == (0, 5)
    assert kept(promised, ALL[0], severity="high", start=APRIL, until=MAY.date()) == (None, 0)
    enter(promised, *five("soon", prioritised(48, "high"), severity="low", opened_at=opened))
    with acting(promised.acme.pk):
        soon = WorkItem.objects.filter(ticket__external_id__startswith="soon")
        assert set(soon.values_list("resolution_deadline", flat=True)) == {opened + 48 * HOUR}
    assert kept(promised, ALL[0], severity="high") == (0, 5)


def governed(cast: Cast) -> None:
    with acting(cast.acme.pk):
        change_settings(
            tenant=cast.acme,
            values={"severity_policy": "governed"},
            reason="Whoever lowers it says why.",
            by=SYSTEM,
            at=MONDAY,
        )


def test_governed_the_tighter_target_runs_from_the_upgrade(promised: Cast) -> None:
    governed(promised)
    story = (replied(1), prioritised(48, "high"), moved(52, "resolved"))
    enter(promised, news("kept", *story, severity="low"))
    with acting(promised.acme.pk):
        item = WorkItem.objects.get()
        wednesday = MONDAY + 2 * DAY
        assert item.resolution_deadline == wednesday + 8 * HOUR
        assert (item.severity, item.resolution_in_time) == ("high", True)
    assert kept(promised, ALL[0], severity="high") == (1, 1)
    enter(promised, news("late", *story[:2], moved(73, "resolved"), severity="low"))
    assert kept(promised, ALL[0], severity="high") == (1, 2)


def test_a_capability_of_another_organisation_is_refused_by_the_database(promised: Cast) -> None:
    enter(promised, news("one", *LATE, severity="high"))
    with roles.as_role(roles.OWNER), acting(promised.globex.pk):
        theirs = {"tenant": promised.globex}
        always = BusinessCalendar.objects.create(name="Always", **theirs)
        eve = promised.eve
        elsewhere = CapabilityFactory(
            domain=DomainFactory(calendar=always, service_desk_manager=eve, **theirs),
            business_unit=BusinessUnitFactory(lead=eve, **theirs),
            process_owner=eve,
            **theirs,
        )
    with roles.as_role(roles.OWNER), acting(promised.acme.pk), connection.cursor() as cursor:
        for column in ("first_response", "first_meaningful", "resolution"):
            update = f"UPDATE tickets_workitem SET {column}_capability_id = %s"
            cursor.execute(update, [promised.accounts.pk])
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            with pytest.raises(IntegrityError), transaction.atomic():
                cursor.execute(update, [elsewhere.pk])


def test_a_day_is_marked_when_its_decision_goes_to_another_day(promised: Cast) -> None:
    enter(promised, news("one", moved(7, "resolved"), severity="high"))
    refresh(promised)
    assert kept(promised, ALL[0]) == (1, 1)
    enter(promised, news("one", moved(7, "resolved"), moved(30, "open"), severity="high"))
    assert kept(promised, ALL[0], as_of=MONDAY + timedelta(hours=40)) == (0, 1)
    refresh(promised)
    assert kept(promised, ALL[0], as_of=MONDAY + timedelta(hours=40)) == (0, 1)
