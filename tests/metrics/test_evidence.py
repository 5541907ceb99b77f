"""What stands beside a figure: words of people, in batches, masked, and never who said them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from metrics import evidence
from metrics.definitions import BY_KEY, METRICS, Metric
from metrics.evidence import Mask, Piece, TicketName
from metrics.measure import Reader, Slice
from metrics.pairs import Pair
from portal.tenancy.context import acting
from surveys.models import Comment, CommentReading, NotSent, SurveyedEvent
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
from tickets.canonical import ActorKind, EventType
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
    cast: Cast, not_counted: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "COMMENTS_SHOWN", 9)
    for number in range(4):
        wrote(cast, f"Comment {number}")
    wrote(cast, "Not yet", **not_counted)
    assert read(cast, "comments").rows == ()
    wrote(cast, "The fifth")
    piece = read(cast, "comments")
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
        masked = Mask.of(cast.acme)(text)
    assert "agnes" not in masked.casefold()
    assert "[name]" in masked


def test_a_word_that_only_contains_a_name_is_left_alone(cast: Cast) -> None:
    with acting(cast.acme.pk):
        mask = Mask.of(cast.acme)
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


@pytest.mark.parametrize("metric", METRICS, ids=list(BY_KEY))
def test_beside_every_metric_stands_each_kind_it_names_or_why_there_is_none(
    cast: Cast, metric: Metric
) -> None:
    with acting(cast.acme.pk):
        pieces = evidence.beside(Reader(cast.acme, as_of=MAY), MONTH, metric.key)
    assert len(pieces) == len(metric.pair) + bool(metric.not_kept)
    for piece in pieces:
        assert piece.title
        assert piece.rows or piece.words, "without anything behind it, it says so"
    if metric.not_kept:
        assert pieces[-1].words == metric.not_kept


def test_every_kind_is_fetched_and_named_by_a_metric() -> None:
    assert set(evidence.FETCHED) == set(Pair)
    assert {pair for metric in METRICS for pair in metric.pair} == set(Pair)


def test_a_metric_without_a_kind_and_without_a_reason_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="fetches no evidence"):
        replace(METRICS[0], pair=(), not_kept="")
    replace(METRICS[0], pair=(), not_kept="Nobody tells it.")


def test_a_kind_is_asked_once_for_all_the_figures_of_a_slice(
    cast: Cast, django_assert_num_queries: Any
) -> None:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        evidence.beside(reader, MONTH, "csat_share")
        evidence.beside(reader, MONTH, "sla_attainment")
        with django_assert_num_queries(0):
            evidence.beside(reader, MONTH, "csat_mean")
            evidence.beside(reader, replace(MONTH, severity="high"), "backlog")


def test_beside_first_replies_stand_their_words_and_whether_they_helped(cast: Cast) -> None:
    enter(cast, said("T1", replied(1, "not_meaningful"), replied(3), at1="On it", at2="Restart"))
    high = news("T2", replied(1), severity="high")
    enter(cast, replace(high, texts={event_key("T2", 1): "Agnes here: restart it"}))
    rows = read(cast, "first_replies").rows
    assert {(row.text, row.source) for row in rows} == {
        ("On it", "taken not to help"),
        ("[name] here: restart it", "taken to help"),
    }
    assert {row.tickets for row in rows} == {(named("T1"),), (named("T2"),)}
    assert len(read(cast, "first_replies", replace(MONTH, severity="high")).rows) == 1


def test_what_was_passed_on_most_comes_first(cast: Cast) -> None:
    def grouped(hours: float, to: str) -> Happened:
        return hours, EventType.GROUP_CHANGED, {"to": to}

    moves = [grouped(1, "a"), grouped(2, "b"), grouped(3, "a"), grouped(4, "b")]
    enter(cast, news("often", *moves, moved(9, "resolved")))
    enter(cast, news("twice", *moves[:3], moved(9, "resolved")))
    enter(cast, news("once", *moves[:2], moved(9, "resolved")))
    piece = read(cast, "many_hands")
    assert [(row.text, row.source) for row in piece.rows] == [
        ("About often", "3 times"),
        ("About twice", "2 times"),
    ]
    assert piece.words == "2 items were passed on twice or more."


def test_where_people_had_to_write_most_is_named(cast: Cast) -> None:
    def wrote_again(hours: float) -> Happened:
        return hours, EventType.MESSAGE, {}

    story = [wrote_again(hour) for hour in (1, 2, 3)]
    told = news("many", *story, moved(9, "resolved"))
    events = [
        replace(one, actor_kind=ActorKind.REQUESTER, actor_key=None)
        if one.type is EventType.MESSAGE
        else one
        for one in told.events
    ]
    enter(cast, replace(told, events=events), news("none", moved(9, "resolved")))
    piece = read(cast, "many_turns")
    assert [(row.text, row.source) for row in piece.rows] == [("About many", "3 messages")]


def test_what_people_could_do_themselves_is_named_where_they_asked_for_it(cast: Cast) -> None:
    enter(cast, news("a", capability="accounts"), news("b", capability="network"))
    piece = read(cast, "asked_all_the_same")
    assert [(row.text, row.tickets) for row in piece.rows] == [("About a", (named("a"),))]


def test_why_people_were_not_asked_is_counted(cast: Cast) -> None:
    for reason in ("low_effort", "opted_out", "low_effort"):
        event = asked(cast)
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            NotSent.objects.create(tenant=cast.acme, event=event, reason=reason)
    rows = read(cast, "not_asked").rows
    assert [(row.text, row.source) for row in rows] == [
        ("below the effort threshold", "2 times"),
        ("opted out", "1 time"),
    ]


def test_contradicting_comments_are_shown_by_what_people_decided_first(cast: Cast) -> None:
    def read_as(event: SurveyedEvent, suggested: str, decided: str = "") -> None:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            CommentReading.objects.create(
                tenant=cast.acme,
                comment=event.answer.comment,
                suggested=suggested,
                decided=decided,
                at=MAY,
            )

    read_as(wrote(cast, "Great, thanks for nothing", 5), "positive", "negative")
    read_as(wrote(cast, "Not bad", 5), "negative", "positive")
    read_as(wrote(cast, "Still broken", 5), "negative")
    wrote(cast, "Nobody read this", 5)
    assert read(cast, "contradicting_comments").rows == ()
    read_as(wrote(cast, "Bad", 1), "negative")
    piece = read(cast, "contradicting_comments")
    assert set(texts(piece)) == {"Great, thanks for nothing", "Still broken"}
    assert piece.words == "2 of 5 comments in this period."


def named(name: str) -> TicketName:
    return TicketName("desk", name)


def test_messages_and_reasons_name_their_tickets_and_comments_do_not(cast: Cast) -> None:
    for number in range(5):
        wrote(cast, f"Comment {number}")
    story = (moved(2, "resolved"), replied(9), moved(9, "open"))
    enter(cast, said("back", *story, at2="Broken"))
    enter(cast, news("far", (1, EventType.ESCALATED, {"kind": "functional", "reason": "x"})))
    assert [row.tickets for row in read(cast, "reopen_messages").rows] == [(named("back"),)]
    assert [row.tickets for row in read(cast, "escalation_reasons").rows] == [(named("far"),)]
    assert {row.tickets for row in read(cast, "comments").rows} == {()}


@pytest.mark.parametrize("kind", ["comments", "reopen_messages", "repeat_contacts"])
def test_another_organisation_reads_nothing(cast: Cast, kind: str) -> None:
    for number in range(5):
        wrote(cast, f"Comment {number}")
    enter(cast, said("back", moved(2, "resolved"), replied(9), moved(9, "open"), at2="Broken"))
    with acting(cast.globex.pk):
        reader = Reader(cast.globex, as_of=MAY)
        assert getattr(evidence, kind)(reader, MONTH).rows == ()
