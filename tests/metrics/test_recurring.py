"""What keeps coming back: items that share a problem (METRICS.md M26)."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics import columns, recurring
from metrics.columns import PROBLEMS, refresh
from metrics.evidence import shared_reports
from metrics.folded import past_reader
from metrics.measure import Reader, Slice
from metrics.tracing import behind, some
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import APRIL, DAY, MARCH, MAY, MONDAY, enter, load, news, plain, read
from tickets.canonical import EventType
from tickets.models import Problem, WorkItem


def linked(name: str, problem: str | None, *, kind: str = "problem", days: float = 0, **more):
    """A ticket that was linked an hour after it was opened; None: never."""
    links = (
        [] if problem is None else [(1.0, EventType.PROBLEM_LINKED, {"to": problem, "kind": kind})]
    )
    return news(name, *links, opened_at=MONDAY + days * DAY, **more)


def test_items_that_share_a_problem_are_counted_of_all_that_were_opened(cast: Cast) -> None:
    enter(
        cast,
        linked("a", "PRB1"),
        linked("b", "PRB1", days=2),
        linked("c", "PRB2"),
        linked("d", None),
    )
    told = read(cast, "recurrence")
    assert (told.numerator, told.denominator) == (2, 4)
    assert told.beside["problems"] == 1
    assert told.beside["people"] == 2
    assert told.beside["linked"] == 3
    assert told.sentence == "2 of 4 share a problem with another within 90 days."


def test_the_handbooks_example_has_the_interval_of_a_share() -> None:
    found = recurring.share(61, 400)
    assert found.value == pytest.approx(0.1525)
    assert (found.interval.lower, found.interval.upper) == (
        pytest.approx(0.121, abs=5e-4),
        pytest.approx(0.191, abs=5e-4),
    )


def test_where_nobody_links_anything_it_is_unknown_and_not_nought(cast: Cast) -> None:
    enter(cast, linked("a", None), linked("b", None))
    for view in ("share", "people", "defects"):
        told = read(cast, f"recurrence.{view}")
        assert told.value is None
        assert "no item is linked" in told.sentence


def test_where_links_are_told_and_none_is_shared_it_is_nought(cast: Cast) -> None:
    enter(cast, linked("a", "PRB1"), linked("b", "PRB2"), linked("c", None))
    assert read(cast, "recurrence").numerator == 0
    assert read(cast, "recurrence.people").value == 0


def test_ninety_days_are_counted_and_a_second_more_is_not(cast: Cast) -> None:
    enter(
        cast,
        linked("a", "PRB1", days=-90),
        linked("b", "PRB1"),
        linked("c", "PRB2", days=-90 - 1 / 86_400),
        linked("d", "PRB2"),
    )
    assert read(cast, "recurrence").numerator == 1


def test_what_comes_after_the_period_changes_nothing_of_it(cast: Cast) -> None:
    enter(cast, linked("a", "PRB1"), linked("b", "PRB1", days=40))
    assert read(cast, "recurrence").numerator == 0
    assert read(cast, "recurrence", until=date(2026, 5, 1)).numerator == 2


def test_a_capability_is_asked_for_itself(cast: Cast) -> None:
    enter(
        cast, linked("a", "PRB1"), linked("b", "PRB1", capability="accounts"), linked("c", "PRB2")
    )
    assert read(cast, "recurrence").numerator == 2
    assert read(cast, "recurrence", capability=cast.network).numerator == 0


def test_a_link_that_was_taken_back_is_none(cast: Cast) -> None:
    enter(
        cast,
        news(
            "a",
            (1, EventType.PROBLEM_LINKED, {"to": "PRB1"}),
            (2, EventType.PROBLEM_LINKED, {"to": None}),
        ),
        linked("b", "PRB1"),
    )
    told = read(cast, "recurrence")
    assert (told.numerator, told.beside["linked"]) == (0, 1)


def test_reported_defects_are_counted_by_themselves(cast: Cast) -> None:
    enter(
        cast,
        linked("a", "BUG-1", kind="defect"),
        linked("b", "BUG-1", kind="defect"),
        linked("c", "BUG-2", kind="defect"),
        linked("d", "BUG-1"),
    )
    defects = read(cast, "recurrence.defects")
    assert (defects.numerator, defects.denominator) == (3, 4)
    shared = read(cast, "recurrence")
    assert (shared.numerator, shared.beside["by_defect"]) == (2, 2)  # a record of another kind


def test_problems_are_ranked_by_people_and_read_with_their_latest_report(cast: Cast) -> None:
    enter(
        cast,
        *(linked(f"one{n}", "PRB1", days=n, requester="always me") for n in range(5)),
        *(linked(f"two{n}", "PRB2", days=n) for n in range(3)),
    )
    cut = Slice(MARCH, APRIL)
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        first, second = recurring.ranked(reader.facts(cut))
        assert (first.requesters, first.items) == (3, 3)
        assert (second.requesters, second.items) == (1, 5)
        piece = shared_reports(reader, cut)
    assert [row.source for row in piece.rows] == [
        "PRB2: 3 people, 3 items",
        "PRB1: 1 person, 5 items",
    ]
    assert piece.rows[0].text == "About two2"


def test_a_link_told_late_marks_its_day_and_blocks_say_what_the_facts_say(cast: Cast) -> None:
    enter(cast, linked("a", "PRB1"), linked("b", None))
    with roles.as_role(roles.WORKER):
        refresh(cast.acme)
    assert len(load(cast, PROBLEMS)) == 1
    enter(cast, linked("b", "PRB1"))
    before = load(cast, PROBLEMS)
    assert len(before) == 2
    with roles.as_role(roles.WORKER):
        assert refresh(cast.acme) > 0
    assert plain(load(cast, PROBLEMS)) == plain(before)


def test_a_reading_of_the_past_knows_no_later_link(cast: Cast) -> None:
    enter(cast, linked("a", "PRB1"), linked("b", "PRB1", days=3))
    cut = Slice(MARCH, APRIL)

    def then(as_of):
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            reader = past_reader(cast.acme, as_of=as_of, start=MARCH, until_day=APRIL)
            return reader.measure("recurrence", cut)

    assert then(MONDAY + 2 * DAY).numerator == 0
    assert then(MAY).numerator == read(cast, "recurrence").numerator == 2


def test_problems_of_two_sources_are_never_the_same(cast: Cast) -> None:
    enter(cast, linked("a", "PRB1"))
    with acting(cast.acme.pk):
        problem = Problem.objects.get()
        assert str(problem) == "PRB1"
        assert WorkItem.objects.get().problem == problem
    with acting(cast.globex.pk):
        assert not Problem.objects.exists()


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 400)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_sharing_is_found_as_by_comparing_every_pair(told, shuffled) -> None:
    shuffled.shuffle(told)
    rows = np.zeros(len(told), dtype=columns.PROBLEMS.whole.dtype)
    for number, (row, (problem, day)) in enumerate(zip(rows, told, strict=True)):
        row["item"], row["problem"], row["at"] = number, problem, day * 86_400
    apart = timedelta(days=90).total_seconds()
    pairs = [
        any(
            other["item"] != row["item"]
            and other["problem"] == row["problem"]
            and abs(int(other["at"]) - int(row["at"])) <= apart
            for other in rows
        )
        for row in rows
    ]
    assert recurring.shares(rows).tolist() == pairs


def test_it_leads_to_the_tickets_that_share_a_problem(cast: Cast) -> None:
    enter(cast, linked("a", "PRB1"), linked("b", "PRB1", days=2), linked("c", None))
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        cut = Slice(MARCH, APRIL, frozenset([cast.network.pk]))
        found = some(behind(reader, "recurrence", cut), first=0, wanted=9, only_for_it=True)
        assert {row.ticket for row in found.rows} == {"a", "b"}
