"""Quality reviews: by the rubric, never of one's own work, and read in batches that name nobody."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import Error, transaction

from metrics import reviewing_quality
from metrics.evidence import Piece, quality_reviews
from metrics.measure import Reader, Slice
from metrics.models import QualityRelease, QualityReview
from metrics.reviewing_quality import AlreadyReviewed, NothingResolved, OwnWork, own_reviews
from metrics.rubric import RUBRIC, Mark, NotMarked
from portal.audit.trail import Actor
from portal.people.models import Person
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.metrics.told import APRIL, DAY, MARCH, MAY, MONDAY, enter, moved, news
from tickets.models import AgentAccount, Attribution, Ticket

MONTH = Slice(MARCH, APRIL)
GOOD = {criterion.key: Mark.YES for criterion in RUBRIC}


def worked(cast: Cast, tickets: int, agents: int) -> list[Ticket]:
    """Tickets that so many agents resolved in turn."""
    told = [
        news(f"T{n}", moved(2, "resolved"), by=f"agent{n % agents}@acme.example")
        for n in range(tickets)
    ]
    enter(cast, *told)
    with acting(cast.acme.pk):
        return list(Ticket.objects.order_by("pk"))


def reviewed(cast: Cast, ticket: Ticket, by: Person | None = None, **said: Any) -> QualityReview:
    reviewer = by or cast.olga
    more = {"marks": GOOD, "error_in": "", "note": "", "at": MAY, **said}
    with acting(cast.acme.pk, person_id=reviewer.pk):
        return reviewing_quality.review_ticket(
            tenant=cast.acme,
            ticket=ticket,
            by=Actor(reviewer.actor_key, reviewer.name),
            **more,
        )


def release(cast: Cast) -> int:
    with roles.as_role(roles.WORKER):
        return reviewing_quality.sweep(MAY)


def beside(cast: Cast, cut: Slice = MONTH) -> Piece:
    with acting(cast.acme.pk, person_id=cast.olga.pk):
        return quality_reviews(Reader(cast.acme, as_of=MAY), cut)


@pytest.mark.parametrize(
    ("reviews", "agents", "released"), [(5, 3, 5), (4, 4, 0), (9, 2, 0), (7, 4, 7)]
)
def test_a_batch_needs_five_reviews_of_three_agents_work(
    cast: Cast, reviews: int, agents: int, released: int
) -> None:
    for ticket in worked(cast, reviews, agents):
        reviewed(cast, ticket)
    assert beside(cast).rows == ()
    assert "at least five" in beside(cast).words
    assert release(cast) == released
    assert release(cast) == 0
    told = beside(cast).words
    assert told.startswith(f"{released} reviews. ") if released else "at least five" in told


def test_a_person_with_several_accounts_is_one(cast: Cast) -> None:
    for ticket in worked(cast, 6, 3):
        reviewed(cast, ticket)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        accounts = AgentAccount.objects.filter(external_id__in=["agent0@acme.example",
                                                                "agent1@acme.example"])  # fmt: skip
        Attribution.objects.filter(agent__in=accounts).update(person=cast.agnes)
    assert release(cast) == 0


def test_only_a_worker_releases(cast: Cast) -> None:
    review = reviewed(cast, worked(cast, 1, 1)[0])
    with (
        acting(cast.acme.pk),
        pytest.raises(Error, match="permission denied"),
        transaction.atomic(),
    ):
        QualityRelease.objects.create(tenant=cast.acme, review=review, at=MAY)


def test_beside_the_figure_stand_counts_and_masked_notes_and_no_ticket(cast: Cast) -> None:
    for number, ticket in enumerate(worked(cast, 6, 3)):
        wrong = {"correct": Mark.NO} if number < 2 else {"correct": Mark.NOT_APPLICABLE}
        note = "Agnes had to copy it by hand" if number == 0 else ""
        error = "usability" if number < 2 else ""
        reviewed(cast, ticket, marks=GOOD | wrong, note=note, error_in=error)
    release(cast)
    piece = beside(cast)
    assert "Understood: 6 of 6; correct and complete: 0 of 2" in piece.words
    assert piece.words.endswith("Errors found: the software is easily misused (2 times).")
    assert [(row.text, row.source, row.tickets) for row in piece.rows] == [
        ("[name] had to copy it by hand", "week 10 of 2026", ())
    ]
    assert beside(cast, Slice(APRIL, APRIL + DAY * 30)).rows == ()


def test_the_resolution_of_that_moment_is_reviewed_once_by_each(cast: Cast) -> None:
    (ticket,) = worked(cast, 1, 1)
    review = reviewed(cast, ticket)
    assert (review.resolved_at, review.capability_id) == (MONDAY + DAY / 12, cast.network.pk)
    with pytest.raises(AlreadyReviewed):
        reviewed(cast, ticket)
    reviewed(cast, ticket, by=cast.sam)
    with acting(cast.acme.pk):
        assert QualityReview.objects.count() == 2


def test_what_was_never_resolved_is_not_reviewed(cast: Cast) -> None:
    enter(cast, news("open"))
    with acting(cast.acme.pk):
        ticket = Ticket.objects.get()
    with pytest.raises(NothingResolved):
        reviewed(cast, ticket)


def known(cast: Cast, person: Person, external_id: str) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        account = AgentAccount.objects.get(external_id=external_id)
        Attribution.objects.filter(agent=account).update(person=person)


def test_nobody_reviews_their_own_work(cast: Cast) -> None:
    (ticket,) = worked(cast, 1, 1)
    known(cast, cast.olga, "agent0@acme.example")
    with pytest.raises(OwnWork):
        reviewed(cast, ticket)
    reviewed(cast, ticket, by=cast.sam)


def test_reviews_of_their_work_are_read_by_who_did_it_and_by_nobody_else_before_their_batch(
    cast: Cast,
) -> None:
    first, second = worked(cast, 2, 2)
    known(cast, cast.agnes, "agent0@acme.example")
    known(cast, cast.arjun, "agent1@acme.example")
    mine, theirs = reviewed(cast, first), reviewed(cast, second)
    seen = {}
    for person in (cast.agnes, cast.arjun, cast.sam):
        with acting(cast.acme.pk, person_id=person.pk):
            seen[person.name] = own_reviews(cast.acme)
    assert seen == {"Agnes": [mine], "Arjun": [theirs], "Sam": []}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"marks": {**GOOD, "clear": "perhaps"}}, "clear"),
        ({"marks": {k: v for k, v in GOOD.items() if k != "process"}}, "process"),
        ({"marks": {**GOOD, "kindness": Mark.YES}}, "kindness"),
        ({"error_in": "the agent"}, "error_in"),
    ],
)
def test_every_question_needs_an_answer_of_the_rubric(
    cast: Cast, said: dict[str, Any], field: str
) -> None:
    (ticket,) = worked(cast, 1, 1)
    with pytest.raises(NotMarked) as refused:
        reviewed(cast, ticket, **said)
    assert refused.value.field == field


def test_a_review_once_kept_stays(cast: Cast) -> None:
    reviewed(cast, worked(cast, 1, 1)[0])
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        with pytest.raises(Error, match="append-only"), transaction.atomic():
            QualityReview.objects.update(note="x")
