"""What stands beside a figure: words of people, in batches, masked, and never who said them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from metrics import evidence
from metrics.evidence import Mask, Piece
from metrics.measure import Reader, Slice
from portal.tenancy.context import acting
from surveys.models import Comment, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.told import (
    APRIL,
    DAY,
    MARCH,
    MAY,
    MONDAY,
    Happened,
    asked,
    enter,
    moved,
    news,
    replied,
)
from tickets.canonical import EventType
from tickets.news import TicketNews, event_key

MONTH = Slice(MARCH, APRIL)


def wrote(cast: Cast, text: str, score: int = 2, **event: object) -> SurveyedEvent:
    found = asked(cast, score, **event)  # type: ignore[arg-type]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Comment.objects.create(
            tenant=cast.acme, answer=found.answer, text=text, at=MONDAY + timedelta(days=1)
        )
    return found


def read(cast: Cast, kind: str, cut: Slice = MONTH, **more: object) -> Piece:
    with acting(cast.acme.pk):
        piece: Piece = getattr(evidence, kind)(Reader(cast.acme, as_of=MAY), cut, **more)
        return piece


def texts(piece: Piece) -> list[str]:
    return [row.text for row in piece.rows]


@pytest.mark.parametrize(("comments", "shown"), [(4, 0), (5, 4)])
def test_comments_are_shown_from_five_on(cast: Cast, comments: int, shown: int) -> None:
    for number in range(comments):
        wrote(cast, f"Comment {number}")
    assert len(read(cast, "comments").rows) == shown


@pytest.mark.parametrize("not_counted", [{"released": False}, {"late": True}])
def test_comments_that_wait_or_came_late_are_not_shown_nor_counted(
    cast: Cast, not_counted: dict[str, bool]
) -> None:
    for number in range(4):
        wrote(cast, f"Comment {number}")
    wrote(cast, "Not yet", **not_counted)
    assert read(cast, "comments").rows == ()
    wrote(cast, "The fifth")
    piece = read(cast, "comments", limit=9)
    assert len(piece.rows) == 5
    assert "Not yet" not in texts(piece)


def test_a_comment_comes_with_its_week_and_rating_and_nothing_that_leads_to_anybody(
    cast: Cast,
) -> None:
    for score in (5, 4, 3, 2, 1):
        wrote(cast, f"Rated {score}", score)
    piece = read(cast, "comments")
    assert texts(piece) == ["Rated 1", "Rated 2", "Rated 3", "Rated 4"]
    assert piece.rows[0].source == "rated 1, week 10 of 2026"


def test_comments_on_policies_stand_apart(cast: Cast) -> None:
    for number in range(5):
        wrote(cast, f"Denied {number}", policy_denial=True)
    assert read(cast, "comments").rows == ()
    assert len(read(cast, "comments", policy_denial=True).rows) == 4


def test_comments_of_another_service_or_month_are_not_shown(cast: Cast) -> None:
    for number in range(5):
        wrote(cast, f"Accounts {number}", capability=cast.accounts)
        wrote(cast, f"April {number}", at=MONDAY + 40 * DAY)
    only = replace(MONTH, capabilities=frozenset([cast.network.pk]))
    assert read(cast, "comments", only).rows == ()


@pytest.mark.parametrize(
    "text",
    [
        "Agnes was rude",
        "AGNES was rude",
        "agnes@acme.example was rude",
        "\uff21gnes",
        "Ag\u200bnes",
    ],
)
def test_names_of_agents_are_masked_however_they_are_written(cast: Cast, text: str) -> None:
    with acting(cast.acme.pk):
        masked = Mask.of(Reader(cast.acme, as_of=MAY))(text)
    assert "agnes" not in masked.casefold()
    assert "[name]" in masked


def test_a_word_that_only_contains_a_name_is_left_alone(cast: Cast) -> None:
    with acting(cast.acme.pk):
        mask = Mask.of(Reader(cast.acme, as_of=MAY))
    assert mask("Agnesium and magnesium") == "Agnesium and magnesium"


def said(name: str, *story: Happened, **words: str) -> TicketNews:
    """A ticket whose messages have words, by the place of their event: `at2="…"`."""
    told = news(name, *story)
    kept = {event_key(name, int(place[2:])): text for place, text in words.items()}
    return replace(told, texts=kept)


def test_beside_reopens_stands_what_was_said_at_the_reopen_and_nothing_else(cast: Cast) -> None:
    story = (replied(1), moved(2, "resolved"), replied(71.99), moved(72, "open"), replied(80))
    words = {"at1": "Try again", "at3": "Broken again, says Agnes", "at5": "Sorry"}
    enter(cast, said("back", *story, **words), news("held", moved(2, "resolved")))
    piece = read(cast, "reopen_messages")
    assert texts(piece) == ["Broken again, says [name]"]
    assert piece.words == "1 item came back in this period."
    assert read(cast, "reopen_messages", Slice(APRIL, APRIL + timedelta(30))).rows == ()


def test_beside_repeat_contacts_stands_what_the_second_ticket_was_about(cast: Cast) -> None:
    enter(
        cast,
        news("first", moved(2, "resolved"), requester="rui"),
        news("second", opened_at=MONDAY + 3 * DAY, requester="rui"),
        news("somebody else's", opened_at=MONDAY + 3 * DAY),
    )
    piece = read(cast, "repeat_contacts")
    assert texts(piece) == ["About second"]
    assert piece.words == "1 item was followed by another."


def test_escalations_are_told_by_reason_the_most_frequent_first(cast: Cast) -> None:
    def escalated(hours: float, reason: str) -> Happened:
        return hours, EventType.ESCALATED, {"kind": "functional", "reason": reason}

    enter(cast, news("a", escalated(1, "no access"), escalated(2, "too hard")))
    enter(cast, news("b", escalated(1, "too hard"), severity="high"))
    rows = read(cast, "escalation_reasons").rows
    assert [(row.text, row.source) for row in rows] == [
        ("too hard", "2 times"),
        ("no access", "1 time"),
    ]
    high = replace(MONTH, severity="high")
    assert texts(read(cast, "escalation_reasons", high)) == ["too hard"]
    assert read(cast, "escalation_reasons", replace(high, severity="low")).words == (
        "Nothing was escalated."
    )


@pytest.mark.parametrize("kind", ["comments", "reopen_messages", "repeat_contacts"])
def test_another_organisation_reads_nothing(cast: Cast, kind: str) -> None:
    for number in range(5):
        wrote(cast, f"Comment {number}")
    enter(cast, said("back", moved(2, "resolved"), replied(9), moved(9, "open"), at2="Broken"))
    with acting(cast.globex.pk):
        reader = Reader(cast.globex, as_of=MAY)
        assert getattr(evidence, kind)(reader, MONTH).rows == ()
