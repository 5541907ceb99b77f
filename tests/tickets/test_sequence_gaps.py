"""Numbers by which a source counts the events of a ticket: those that are missing are a flaw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.people.roles import Scope
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.tickets.events import event
from tests.tickets.test_ingest_api import folded, key_of
from tests.tickets.test_versions import START
from tickets.canonical import Event, EventType
from tickets.flaws import POSITION, Flaw, FlawKind, gap_in
from tickets.models import TicketFlaw
from tickets.quality import issues


@pytest.fixture
def key(cast: Cast) -> str:
    return key_of(cast, Scope.INGEST_EVENTS)[1]


def counted(*numbers: int) -> list[Event]:
    return [
        Event(place, EventType.MESSAGE, START, data={POSITION: number})
        for place, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("numbers", "detail"),
    [
        ((1, 2, 4), "1 of 4 missing: 3"),
        ((0, 1, 2, 5, 6), "2 of 7 missing: 3, 4"),
        ((1, 3, 3, 3), "1 of 3 missing: 2"),
        (tuple(range(1, 20, 2)), "9 of 19 missing: 2, 4, 6, 8, 10 …"),
    ],
)
def test_what_is_missing_is_counted_and_named(numbers: Sequence[int], detail: str) -> None:
    assert gap_in(counted(*numbers)) == {Flaw(FlawKind.SEQUENCE_GAP, detail)}


@pytest.mark.parametrize(
    "numbers",
    [
        (),
        (1,),
        (1, 2, 3),
        (0, 1, 2),
        (2, 2, 1),
        (7, 8, 10),  # a counter that others share, or that began before us
        (1, 40, 1041),  # orders events and counts none: most would be missing
    ],
)
def test_numbers_without_holes_and_those_that_count_nothing_are_no_flaw(
    numbers: Sequence[int],
) -> None:
    assert gap_in(counted(*numbers)) == set()


@given(st.sets(st.integers(2, 40), min_size=20), st.randoms())
def test_a_hole_that_is_filled_is_gone_in_any_order(numbers: set[int], dice: Any) -> None:
    some = [1, *sorted(numbers)]
    every = list(range(1, max(some) + 1))
    late = [number for number in every if number not in some]
    assert bool(gap_in(counted(*some))) == bool(late)
    shuffled = [*some, *late]
    dice.shuffle(shuffled)
    assert gap_in(counted(*shuffled)) == set()


TOLD = [
    event("ticket.created", "e1", sequence="1", data={"severity": "low"}),
    event("ticket.message", "e2", sequence="2", data={"public": True, "actor": {"id": "agnes"}}),
    event("ticket.assigned", "e3", sequence="3", data={"to": "agnes"}),
    event("ticket.status_changed", "e4", sequence="4", data={"to": "resolved"}),
]


def gaps(cast: Cast) -> list[str]:
    with acting(cast.acme.pk):
        flaws = TicketFlaw.objects.filter(kind=FlawKind.SEQUENCE_GAP)
        return list(flaws.values_list("detail", flat=True))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_tool_that_counts_its_events_is_told_what_did_not_come(
    cast: Cast, key: str, order: Sequence[int]
) -> None:
    arrived = [TOLD[0], TOLD[1], TOLD[3]]
    for place in order:
        folded(key, arrived[place])
    assert gaps(cast) == ["1 of 4 missing: 3"]
    with acting(cast.acme.pk):
        [issue] = [one for one in issues(cast.acme.pk) if one.kind is FlawKind.SEQUENCE_GAP]
    assert (issue.tickets, issue.examples[0].ticket) == (1, "T1")
    assert issue.explanation.consequence
    assert issue.explanation.remedy
    folded(key, TOLD[2])
    assert gaps(cast) == []


def test_a_revised_event_was_counted_too(cast: Cast, key: str) -> None:
    again = event("ticket.assigned", "e5", sequence="5", revises="e3", data={"to": "arjun"})
    folded(key, *TOLD, again)
    assert gaps(cast) == []


def test_events_without_numbers_of_their_own_are_not_counted(cast: Cast, key: str) -> None:
    plain = [{name: value for name, value in one.items() if name != "sequence"} for one in TOLD]
    folded(key, plain[0], plain[1], plain[3])
    assert gaps(cast) == []
    words = [one | {"sequence": f"a{one['sequence']}", "id": f"{one['id']} b"} for one in TOLD]
    folded(key, words[0], words[3])
    assert gaps(cast) == []
