"""The double-check of routine work: drawn by chance, read blind, and said beside the figure."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from metrics import columns, double_checking
from metrics.columns import CHECKS
from metrics.double_checking import A_WEEK, AlreadyRead
from metrics.folded import past_reader
from metrics.measure import Slice
from metrics.models import DrawnItem, SecondReading
from portal.audit.trail import Actor
from portal.catalogue.models import Capability
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    enter,
    load,
    news,
    plain,
    read,
    read_again,
)
from tickets.canonical import EventType
from tickets.models import MessageText, Ticket

PAGE = "/acme/self-service/second-reading/"
ROUTINE, OURS = SecondReading.Says.ROUTINE, SecondReading.Says.OURS
BY = Actor("person:1", "Olga")


@pytest.fixture
def olga(cast: Cast, client: Client) -> Client:
    client.force_login(cast.olga)
    return client


def flagged(cast: Cast, number: int, value: bool | None, *, at: datetime = MONDAY) -> None:
    said = [] if value is None else [(1.0, EventType.FLAGGED, {"flag": "routine", "value": value})]
    enter(cast, news(f"{at:%d}-{number}", *said, opened_at=at))


def without_a_list(cast: Cast) -> None:
    """Nobody has said what people can do themselves: only flags classify."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Capability.objects.update(self_service=False)


def draw(cast: Cast, now: datetime) -> int:
    with roles.as_role(roles.WORKER):
        return double_checking.sweep(now)


def read_as(cast: Cast, *groups: tuple[int, bool, str]) -> None:
    """So many items with a flag, each drawn and read as something."""
    number = 0
    for count, flag, says in groups:
        for _ in range(count):
            number += 1
            flagged(cast, number, flag)
            with acting(cast.acme.pk):
                ticket = Ticket.objects.get(external_id=f"{MONDAY:%d}-{number}")
            read_again(cast, ticket, says)


def told(cast: Cast, **more: Any) -> Any:
    return read(cast, "should_have_been_self_service", capability=cast.network, **more)


def test_twelve_classified_items_of_a_capability_are_drawn_when_their_week_is_over(
    cast: Cast,
) -> None:
    without_a_list(cast)
    for number in range(15):
        flagged(cast, number, number % 2 == 0)
    flagged(cast, 99, None)
    flagged(cast, 100, True, at=MONDAY + 7 * DAY)
    assert draw(cast, MONDAY + 6 * DAY) == 0
    assert draw(cast, MONDAY + 7 * DAY) == A_WEEK
    assert draw(cast, MONDAY + 8 * DAY) == 0  # done for this week
    with acting(cast.acme.pk):
        drawn = DrawnItem.objects.select_related("ticket")
        assert {one.week for one in drawn} == {MONDAY.date()}
        assert "02-99" not in {one.ticket.external_id for one in drawn}
    assert draw(cast, MONDAY + 14 * DAY) == 1


def test_what_is_drawn_is_left_to_chance(cast: Cast) -> None:
    for number in range(40):
        flagged(cast, number, True)
    draw(cast, MONDAY + 7 * DAY)
    with acting(cast.acme.pk):
        tickets = list(Ticket.objects.order_by("pk").values_list("pk", flat=True))
        drawn = list(DrawnItem.objects.order_by("ticket").values_list("ticket", flat=True))
    assert len(drawn) == A_WEEK
    # One time in five thousand million it is either end by chance.
    assert drawn not in (tickets[:A_WEEK], tickets[-A_WEEK:])


def test_the_raw_share_stands_and_is_not_corrected_before_fifty_are_read(cast: Cast) -> None:
    read_as(cast, (20, True, ROUTINE), (29, False, OURS), (3, False, "unclear"))
    early = told(cast)
    assert early.value == pytest.approx(20 / 52)
    assert "corrected" not in early.beside
    assert (early.beside["read_again"], early.beside["read_unclear"]) == (49, 3)
    assert "not corrected: 49 of 50 items are read by a second person" in early.flags


def test_from_fifty_on_the_corrected_share_stands_beside_the_raw_one(cast: Cast) -> None:
    read_as(cast, (17, True, ROUTINE), (3, False, ROUTINE), (3, True, OURS), (27, False, OURS))
    now = told(cast)
    assert now.value == pytest.approx(20 / 50)
    assert now.beside["sensitivity"] == pytest.approx(0.85)
    assert now.beside["specificity"] == pytest.approx(0.90)
    assert now.beside["read_agreeing"] == pytest.approx(44 / 50)
    assert now.beside["corrected"] == pytest.approx((0.4 + 0.9 - 1) / 0.75)
    assert now.reliability_state is None
    assert not [flag for flag in now.flags if "corrected" in flag]


def test_a_flag_that_is_no_better_than_chance_makes_the_figure_unreliable(cast: Cast) -> None:
    read_as(cast, (10, True, ROUTINE), (15, False, ROUTINE), (15, True, OURS), (10, False, OURS))
    doubted = told(cast)
    assert doubted.reliability_state == "unreliable"
    assert doubted.beside["corrected"] is None
    assert any("no better than chance" in flag for flag in doubted.flags)


def test_where_nothing_of_a_sort_was_read_nothing_is_corrected(cast: Cast) -> None:
    read_as(cast, (46, True, ROUTINE), (4, False, OURS))
    assert any("fewer than 5 of the items" in flag for flag in told(cast).flags)
    assert "corrected" not in told(cast).beside


def test_fewer_than_half_classified_is_unreliable_and_fewer_than_four_fifths_limited(
    cast: Cast,
) -> None:
    without_a_list(cast)
    for number in range(10):
        flagged(cast, number, True if number < 4 else None)
    poor = told(cast)
    assert poor.reliability_state == "unreliable"
    assert "unreliable: only 40.0 % are classified" in poor.flags
    for number in range(10, 20):
        flagged(cast, number, True)
    limited = told(cast)
    assert limited.reliability_state is None
    assert "limited: only 70.0 % are classified" in limited.flags


def test_several_capabilities_are_not_corrected_as_one(cast: Cast) -> None:
    read_as(cast, (25, True, ROUTINE), (25, False, OURS))
    assert told(cast).beside["corrected"] == pytest.approx(0.5)
    enter(cast, news("other", capability="accounts"))
    flagged_there = (1.0, EventType.FLAGGED, {"flag": "routine"})
    enter(cast, news("another", flagged_there, capability="accounts"))
    pooled = read(cast, "should_have_been_self_service")
    assert "corrected" not in pooled.beside
    assert any("one capability at a time" in flag for flag in pooled.flags)


def test_a_clean_block_follows_a_reading_and_a_corrected_flag(cast: Cast) -> None:
    def refresh() -> None:
        with roles.as_role(roles.WORKER):
            columns.refresh(cast.acme)

    read_as(cast, (2, True, ROUTINE))
    refresh()
    assert load(cast, CHECKS)["routine"].tolist() == [1, 1]
    enter(
        cast,
        news("02-1", (1.0, EventType.FLAGGED, {"flag": "routine"}),
             (2.0, EventType.FLAGGED, {"flag": "routine", "value": False})),
    )  # fmt: skip
    live = load(cast, CHECKS)
    assert sorted(live["routine"].tolist()) == [0, 1]
    refresh()
    assert plain(load(cast, CHECKS)) == plain(live)


def test_a_reading_of_the_past_knows_no_later_second_reading(cast: Cast) -> None:
    read_as(cast, (25, True, ROUTINE), (25, False, OURS))
    cut = Slice(MARCH, APRIL, frozenset([cast.network.pk]))

    def then(as_of: datetime) -> Any:
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            reader = past_reader(cast.acme, as_of=as_of, start=MARCH, until_day=APRIL)
            return reader.measure("should_have_been_self_service", cut)

    assert then(MONDAY + 8 * DAY).beside == {"read_again": 0}
    assert then(MAY).beside == told(cast).beside


def test_the_page_shows_words_masked_and_not_what_was_classified(cast: Cast, olga: Client) -> None:
    flagged(cast, 1, True)
    draw(cast, MONDAY + 7 * DAY)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        drawn = DrawnItem.objects.get()
        MessageText.objects.create(
            tenant=cast.acme,
            ticket=drawn.ticket,
            key=5,
            at=MONDAY + HOUR,
            text="Ask Agnes, please.",
        )
        MessageText.objects.create(
            tenant=cast.acme, ticket=drawn.ticket, key=6, at=MONDAY, text="<b>Reset</b> my password"
        )
    shown = olga.get(PAGE).content.decode()
    assert "1 item drawn by chance waits" in shown
    assert "About 02-1" in shown
    assert "&lt;b&gt;Reset&lt;/b&gt; my password" in shown
    assert "Agnes" not in shown
    assert olga.post(PAGE, {"item": drawn.pk, "says": "routine"}).status_code == 302
    after = olga.get(PAGE).content.decode()
    assert "Nothing waits to be read again" in after
    with acting(cast.acme.pk):
        said = SecondReading.objects.get()
        assert (said.says, said.by_name) == (ROUTINE, "Olga")
    assert olga.post(PAGE, {"item": drawn.pk, "says": "ours"}).status_code == 404


def test_somebody_elses_item_is_neither_shown_nor_read(cast: Cast, client: Client) -> None:
    flagged(cast, 1, True)
    draw(cast, MONDAY + 7 * DAY)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        cast.network.process_owner = None
        cast.network.save()
        pk = DrawnItem.objects.get().pk
    client.force_login(cast.olga)
    assert "About 02-1" not in client.get(PAGE).content.decode()
    assert client.post(PAGE, {"item": pk, "says": "ours"}).status_code == 404
    client.force_login(cast.sam)  # runs the domain
    assert client.post(PAGE, {"item": pk, "says": "ours"}).status_code == 302


def test_a_reading_is_final_for_the_database_too(cast: Cast) -> None:
    read_as(cast, (1, True, ROUTINE))
    with acting(cast.acme.pk):
        reading = SecondReading.objects.select_related("drawn").get()
        with pytest.raises(AlreadyRead):
            double_checking.read_again(drawn=reading.drawn, says=OURS, by=BY, at=MAY)
        with pytest.raises(DatabaseError), transaction.atomic():
            SecondReading.objects.update(says="ours")
        with pytest.raises(DatabaseError), transaction.atomic():
            DrawnItem.objects.all().delete()
        assert SecondReading.objects.get().says == ROUTINE


def test_the_page_asks_as_much_for_one_item_as_for_ten(
    cast: Cast, olga: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        flagged(cast, number, True)
    draw(cast, MONDAY + 7 * DAY)
    olga.get(PAGE)
    with django_assert_max_num_queries(22):
        olga.get(PAGE)


def test_the_week_is_the_organisations_own(cast: Cast) -> None:
    flagged(cast, 1, True, at=datetime(2026, 3, 8, 23, 30, tzinfo=MONDAY.tzinfo))  # Monday there
    assert draw(cast, MONDAY + 8 * DAY) == 0
    assert draw(cast, MONDAY + 14 * DAY) == 1
    with acting(cast.acme.pk):
        assert DrawnItem.objects.get().week == date(2026, 3, 9)
