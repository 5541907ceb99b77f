"""What is computed again is all that can have changed: a recount of everything finds no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MONDAY, enter, moved, news
from tickets.canonical import EventType
from tickets.models import Requester, WorkItem
from tickets.news import TicketNews
from tickets.repeat_contact import Contact, repeat_contacts
from tickets.segmenting import write_segments
from tickets.touched import StoredItem, Touched

AT = MONDAY + 300 * DAY


def told_at_random(dice: Random, number: int) -> TicketNews:
    """News of one of few tickets of few people, who share addresses that are told at any time."""
    name, person = f"T{dice.randrange(12)}", dice.randrange(5)
    story = [
        moved(dice.choice([1, 30, 300, 2000]), dice.choice(["resolved", "open", "withdrawn"]))
        for _ in range(dice.randrange(3))
    ]
    if dice.random() < 0.2:
        capability = dice.choice(["network", "accounts", None])
        story.append((dice.uniform(0, 99), EventType.CATEGORY_CHANGED, {"to": capability}))
    told = news(
        f"{name} told {number}",
        *story,
        opened_at=MONDAY + timedelta(hours=dice.randrange(24 * 200)),
        requester=f"person {person}",
        capability=dice.choice(["network", "accounts"]),
    )
    address = f"{dice.choice('abc')}@acme.example" if dice.random() < 0.3 else ""
    return replace(told, external_id=name, requester=f"person {person}", requester_email=address)


def repeated(window: timedelta) -> tuple[dict[int, datetime | None], dict[int, datetime | None]]:
    """What is stored of repeat contacts, and what a recount of everything says."""
    rows = WorkItem.objects.values_list(
        "id", "requester_id", "capability_id", "opened_at", "first_resolution_at",
        "repeat_contact_at",
    )  # fmt: skip
    found = repeat_contacts([Contact(*row[:5]) for row in rows], window)
    return {row[0]: row[5] for row in rows}, {row[0]: found.get(row[0]) for row in rows}


def differs_after(cast: Cast, seed: int) -> bool:
    """Whether a recount finds something else than some random batches have left."""
    dice = Random(seed)
    for batch in range(8):
        enter(cast, *(told_at_random(dice, 10 * batch + n) for n in range(dice.randrange(1, 5))))
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            stored, recounted = repeated(timedelta(days=14))
            everybody = Requester.objects.values_list("pk", flat=True)
            if stored != recounted or write_segments(cast.acme.pk, list(everybody)):
                return True
    return False


@pytest.mark.parametrize("seed", range(12))
def test_a_recount_of_everything_finds_nothing_else(cast: Cast, seed: int) -> None:
    assert not differs_after(cast, seed)


def forget_who_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickets.ingest.write_segments", lambda *_: write_segments(0, ()))


def forget_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    from tickets import repeats

    near = repeats._near
    monkeypatch.setattr(repeats, "_near", lambda tenant, asked, _: near(tenant, asked, 0 * DAY))


def forget_what_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = Touched.compare

    def as_if_new(self: Touched, stored: Any, wanted: Any) -> None:
        compare(self, {key: StoredItem(0, wanted.get(key), None) for key in stored}, wanted)

    monkeypatch.setattr(Touched, "compare", as_if_new)


@pytest.mark.parametrize("forget", [forget_who_began, forget_the_window, forget_what_was_stored])
def test_the_recount_finds_what_was_not_computed_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, forget: Callable[[pytest.MonkeyPatch], None]
) -> None:
    forget(monkeypatch)
    assert any(differs_after(cast, seed) for seed in range(12))


def test_an_address_told_by_itself_joins_what_two_sources_know(cast: Cast) -> None:
    """No event comes with it, so nothing is folded; who the person was changes all the same."""
    early = news("early", moved(1, "resolved"), opened_at=MONDAY, requester="a")
    later = news("later", moved(1, "resolved"), opened_at=MONDAY + 100 * DAY, requester="b")
    enter(cast, early, replace(later, requester="b", requester_email="rui@acme.example"))
    before = item_of(cast, "later").segments
    again = replace(
        early, requester="a", requester_email="rui@acme.example", label_at=AT, events=early.events
    )
    enter(cast, again)
    assert item_of(cast, "later").segments != before
    enter(cast, replace(again, requester_email="other@acme.example", label_at=AT + HOUR))
    assert item_of(cast, "later").segments == before


def item_of(cast: Cast, name: str) -> WorkItem:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return WorkItem.objects.get(ticket__external_id=name)
