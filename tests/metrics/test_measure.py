"""Readings worked out by hand, and what few answers may show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from metrics import columns, intervals
from metrics.evaluating import ScalesPooled
from metrics.folded import past_reader
from metrics.measure import Reader, Reading, Slice
from metrics.survival import kaplan_meier
from portal import cards
from portal.tenancy.context import acting
from surveys.models import Answer, AnswerRevision, SurveyedEvent
from tests import roles
from tests.factories import Cast, RequesterFactory
from tests.metrics.told import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    MONDAY,
    asked,
    enter,
    month,
    moved,
    news,
    promise,
    read,
    replied,
    slipped,
)
from tickets.canonical import EventType
from tickets.models import Resolution, WorkItem

# --- answers --------------------------------------------------------------------------------------


def test_a_satisfied_share_with_its_interval_and_response_rate(cast: Cast) -> None:
    for score in [5] * 6 + [4] * 2 + [3, 1]:
        asked(cast, score)
    for _ in range(10):
        asked(cast)
    reading = read(cast, "csat_share")
    assert (reading.value, reading.numerator, reading.denominator) == (0.8, 8, 10)
    assert reading.interval == intervals.wilson(8, 10)
    assert reading.response_rate == 0.5
    assert reading.reliability_state == "limited_low_volume"
    assert reading.beside == {
        "neutral": 1,
        "dissatisfied": 1,
        "if_the_silent_were": 18 / 20,
        "if_the_silent_were_not": 8 / 20,
    }
    assert reading.sentence == (
        "80.0 % of the people who answered were satisfied"
        " (8 of 10 answers; 50.0 % of those asked answered)."
    )
    rate = read(cast, "response_rate")
    assert (rate.value, rate.numerator, rate.denominator) == (0.5, 10, 20)


@pytest.mark.parametrize("answers", range(1, 5))
def test_below_five_answers_nothing_is_shown_not_even_how_many(cast: Cast, answers: int) -> None:
    for _ in range(answers):
        asked(cast, 5)
    asked(cast, 5, late=True)
    reading = read(cast, "csat_share")
    assert (reading.value, reading.numerator, reading.denominator) == (None, None, None)
    assert (reading.interval.lower, reading.so_far, reading.left_out) == (None, None, {})
    assert reading.beside == {}
    assert reading.response_rate is None
    assert reading.reliability_state == "suppressed"
    assert reading.sentence.startswith("Unknown: fewer than 5 answers")
    assert not any(character.isdigit() for character in reading.sentence.replace("5", ""))


@pytest.mark.parametrize("answers", [5, 9])
def test_from_five_to_nine_answers_only_counts_are_shown(cast: Cast, answers: int) -> None:
    for number in range(answers):
        asked(cast, 5 if number else 1)
    reading = read(cast, "csat_share")
    assert reading.value is None
    assert (reading.numerator, reading.denominator) == (answers - 1, answers)
    assert reading.interval.lower is reading.interval.upper is None
    assert reading.sentence.startswith(f"{answers - 1} of {answers} ")


def test_answers_that_wait_for_their_batch_are_not_counted(cast: Cast) -> None:
    for _ in range(10):
        asked(cast, 5)
    for _ in range(3):
        asked(cast, 1, released=False)
    reading = read(cast, "csat_share")
    assert (reading.numerator, reading.denominator) == (10, 10)
    assert reading.left_out == {"waiting for their batch": 3}
    assert read(cast, "response_rate").numerator == 13  # who answered is known at once


def test_late_answers_are_left_out_and_said(cast: Cast) -> None:
    for _ in range(10):
        asked(cast, 5)
    asked(cast, 1, late=True)
    reading = read(cast, "csat_share")
    assert (reading.denominator, reading.left_out) == (10, {"answered late": 1})


def test_of_imported_ratings_nobody_knows_how_many_were_asked(cast: Cast) -> None:
    for _ in range(40):
        asked(cast, 5, imported=True)
    reading = read(cast, "csat_share")
    assert (reading.value, reading.response_rate) == (1.0, None)
    assert reading.reliability_state == "rate_unknown"
    assert "response rate unknown" in reading.sentence
    for name in ("response_rate", "survey_coverage"):
        assert read(cast, name).value is None
        assert "nobody knows who was asked" in read(cast, name).sentence


def test_policy_denials_have_a_figure_of_their_own(cast: Cast) -> None:
    for _ in range(10):
        asked(cast, 5)
        asked(cast, 1, policy_denial=True)
    assert read(cast, "csat_share").value == 1.0
    assert read(cast, "policy_denial_satisfaction").value == 0.0


def test_scales_are_never_pooled(cast: Cast) -> None:
    asked(cast, 5)
    asked(cast, 7, scale="csat_1_7")
    with pytest.raises(ScalesPooled):
        read(cast, "csat_share")


def test_several_answers_of_one_person_widen_the_interval(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        fan, foe = (RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(2))
    for _ in range(6):
        asked(cast, 5, requester=fan)
        asked(cast, 1, requester=foe)
    reading = read(cast, "csat_share")
    assert (reading.value, reading.denominator) == (0.5, 12)
    # Two people of six equal answers each: 12 answers count as 1.
    assert reading.interval == intervals.wilson(0.5, 1)


@pytest.mark.parametrize(
    ("metric", "scale", "best"),
    [
        ("ces.share", "ces_ease", 7),
        ("csat_mean", "csat_1_5", 5),
        ("ces.mean", "ces_ease", 7),
        ("policy_denial_satisfaction", "csat_1_5", 5),
    ],
)
def test_whatever_is_formed_of_answers_counts_people_and_not_answers(
    cast: Cast, metric: str, scale: str, best: int
) -> None:
    """Forty answers of four people who always say the same are no more than four."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        four = [RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(4)]
    denied = metric.startswith("policy")
    for place, person in enumerate(four):
        for _ in range(10):
            score = best if place < 3 else 1
            asked(cast, score, scale=scale, requester=person, policy_denial=denied)
    reading = read(cast, metric)
    assert reading.denominator == 40
    low, high = reading.interval.lower, reading.interval.upper
    assert low is not None
    assert high is not None
    # of four people: v = 4/3 * (3 * 2.5² + 7.5²)/40² = 1/16, plain = 3/640, so 40 count as 3
    if reading.unit == "share":
        expected = intervals.wilson(0.75 * 3, 3)
    else:
        sd = (best - 1) * (0.75 * 0.25 * 40 / 39) ** 0.5
        expected = intervals.mean_interval(0.75 * best + 0.25, sd, 3, 1, best)
    assert (low, high) == pytest.approx((expected.lower, expected.upper))


@pytest.mark.parametrize(
    ("metric", "scale", "best", "value"),
    [
        ("ces.share", "ces_ease", 7, 0.1),
        ("ces.mean", "ces_ease", 7, 1.6),
        ("csat_share", "csat_1_5", 5, 0.1),
    ],
)
def test_over_capabilities_nothing_that_is_formed_of_answers_is_pooled(
    cast: Cast, metric: str, scale: str, best: int, value: float
) -> None:
    for _ in range(10):
        asked(cast, best, scale=scale, capability=cast.network)
        asked(cast, 1, scale=scale, capability=cast.accounts)
    for _ in range(80):
        asked(cast, scale=scale, capability=cast.accounts)
    if metric == "csat_share":
        assert read(cast, "csat_mean").value == 3  # the card says: the mean of counted ratings
    reading = read(cast, metric)
    assert reading.value == pytest.approx(value)
    assert "weighted by eligible events" in reading.flags
    assert reading.interval.lower is not None
    assert reading.interval.upper is not None
    assert reading.interval.lower <= value <= reading.interval.upper


def test_a_weighted_share_counts_people_too(cast: Cast) -> None:
    def lower() -> float | None:
        return read(cast, "csat_share").interval.lower

    for capability in (cast.network, cast.accounts):
        for n in range(12):
            asked(cast, 5 if n < 6 else 1, capability=capability, at=MONDAY)
    many = lower()
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        two = [RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(2)]
        for event in SurveyedEvent.objects.select_related("answer"):
            event.requester = two[event.answer.score == 5]
            event.save()
    few = lower()
    assert many is not None
    assert few is not None
    assert few < many


def test_over_capabilities_a_share_is_weighted_by_eligible_events(cast: Cast) -> None:
    for _ in range(10):
        asked(cast, 5, capability=cast.accounts)
        asked(cast, 1, capability=cast.network)
    for _ in range(20):
        asked(cast, capability=cast.network)  # 10 of 40 events are accounts
    reading = read(cast, "csat_share")
    assert reading.value == pytest.approx(0.25)
    assert "weighted by eligible events" in reading.flags
    assert read(cast, "csat_share", capability=cast.accounts).value == 1.0


def test_while_people_may_still_answer_a_figure_is_provisional(cast: Cast) -> None:
    for _ in range(10):
        asked(cast, 5)
    asked(cast)
    early = read(cast, "csat_share", as_of=MONDAY + 7 * DAY)
    assert (early.value, early.provisional) == (None, True)
    assert early.so_far == {"numerator": 10, "denominator": 10, "value": None}
    assert early.still_open == 1
    assert not read(cast, "csat_share").provisional


# --- tickets --------------------------------------------------------------------------------------


def test_replies_and_promises_of_a_hand_made_week(cast: Cast) -> None:
    promise(cast)
    enter(
        cast,
        news("quick", replied(1), moved(4, "resolved")),
        news("acknowledged", replied(1, "not_meaningful"), replied(3), moved(5, "resolved")),
        news("slow", replied(26), moved(30, "resolved")),  # Tuesday: 10 business hours
        news("open"),
    )
    replies = read(cast, "first_response.attainment")
    assert (replies.numerator, replies.denominator) == (2, 4)  # the open one ran out as well
    helped = read(cast, "first_meaningful_response.attainment")
    assert (helped.numerator, helped.denominator) == (1, 4)
    kept = read(cast, "sla_attainment.resolution")
    assert (kept.numerator, kept.denominator) == (3, 4)
    median = read(cast, "resolution_time.resolved_median", severity="medium")
    assert median.value == 5 * 3_600
    assert median.interval.lower is None
    assert median.flags == ("too few items for an interval",)


def test_where_replies_are_not_classified_both_bounds_of_help_are_told(cast: Cast) -> None:
    promise(cast)
    enter(cast, *(news(f"helped {n}", replied(1), moved(4, "resolved")) for n in range(6)))
    assert read(cast, "first_meaningful_response.attainment").reliability_state is None
    unclear = [news(f"unclear {n}", replied(1, "unknown"), replied(6)) for n in range(2)]
    enter(cast, *unclear)
    reading = read(cast, "first_meaningful_response.attainment")
    assert (reading.numerator, reading.denominator) == (6, 8)
    assert reading.beside == {"if_unclassified_helped": 1}
    assert reading.flags == ("unreliable: 2 of 8 replies are not classified",)
    assert reading.reliability_state == "unreliable"
    assert read(cast, "first_response.attainment").reliability_state is None
    slowest = read(cast, "first_meaningful_response.p90", severity="medium")
    assert (slowest.value, slowest.beside) == (
        6 * 3_600,
        {"if_unclassified_helped": 3_600, "requester_elapsed": 6 * 3_600},
    )
    assert slowest.reliability_state == "unreliable"


@pytest.mark.parametrize("view", ["first_response", "first_meaningful_response"])
def test_closing_without_a_word_is_no_reply_and_shortens_no_wait(cast: Cast, view: str) -> None:
    """Fifteen closed after an hour, five answered after four: nobody can say half had a reply."""
    enter(cast, *(news(f"closed {n}", moved(1, "resolved")) for n in range(15)))
    enter(cast, *(news(f"answered {n}", replied(4), moved(5, "resolved")) for n in range(5)))
    reading = read(cast, f"{view}.median", severity="medium")
    assert (reading.value, reading.denominator, reading.still_open) == (None, 20, 15)
    assert "More than" in reading.sentence


def test_what_the_requester_withdrew_waited_until_then(cast: Cast) -> None:
    """Seventeen withdrawn after an hour leave three, all of whom were answered after four."""
    enter(cast, *(news(f"gone {n}", moved(1, "withdrawn")) for n in range(17)))
    enter(cast, *(news(f"answered {n}", replied(4), moved(5, "resolved")) for n in range(3)))
    assert read(cast, "first_response.median", severity="medium").value == 4 * 3_600


def test_beside_a_time_to_resolution_stand_the_calendars_and_the_pauses(cast: Cast) -> None:
    enter(
        cast,
        news(
            "asked back",
            replied(1),
            moved(1, "waiting_on_requester"),
            moved(3, "open"),
            moved(26, "resolved"),  # Tuesday at eleven: ten business hours, two of them waiting
        ),
    )
    for view in ("resolved_median", "cohort_median"):
        reading = read(cast, f"resolution_time.{view}", severity="medium")
        assert reading.value == 8 * 3_600
        assert reading.beside["requester_elapsed"] == 26 * 3_600
        assert reading.beside["pause_share"] == 0.2


def test_a_share_resolved_in_time_has_the_curves_interval_and_its_count(cast: Cast) -> None:
    """Sixteen business hours are promised: eight resolved within them, two later, one open."""
    promise(cast)
    quick = [news(f"quick {n}", moved(1, "resolved")) for n in range(8)]
    late = [news(f"late {n}", moved(49, "resolved")) for n in range(2)]
    young = [news("young")]
    enter(cast, *quick, *late, *young)
    then = MONDAY + timedelta(hours=50)  # Wednesday at ten: eighteen business hours
    told = read(cast, "resolution_time.within_target", severity="medium", as_of=then)
    curve = kaplan_meier(
        np.array([3600.0] * 8 + [61_200.0] * 2 + [64_800.0]), np.array([True] * 10 + [False])
    )
    assert told.value == pytest.approx(curve.done_by(57_600)) == pytest.approx(8 / 11)
    assert told.interval == curve.done_by_interval(57_600, watched=3)
    assert (told.numerator, told.denominator) == (None, 11)
    assert told.beside == {"resolved_within_target": 8, "pause_share": 0}


def test_a_reopen_counts_in_the_month_of_the_resolution_that_failed(cast: Cast) -> None:
    end_of_march = MONDAY + 28 * DAY  # the 30th
    enter(
        cast,
        news("held", moved(2, "resolved")),
        news(
            "failed",
            moved(2, "resolved"),
            moved(72, "open"),
            replied(73),
            moved(74, "resolved"),
            opened_at=end_of_march,
        ),
    )
    march = read(cast, "reopen_rate")
    assert (march.numerator, march.denominator) == (1, 2)
    april = read(cast, "reopen_rate", start=APRIL, until=date(2026, 5, 1))
    assert (april.numerator, april.denominator) == (0, 1)
    early = read(cast, "reopen_rate", as_of=end_of_march + 5 * DAY)
    assert (early.numerator, early.denominator, early.still_open) == (0, 1, 1)
    assert early.so_far == {"numerator": 1, "denominator": 2, "value": None}
    assert early.provisional


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("reopen_rate.rate", "So far 3 of 12; 12 still open."),
        ("reopen_rate.twice", "So far 1 of 12; 12 still open."),
        ("fcr.verified", "So far 9 of 12; 12 still open."),
        ("repeat_contact.rate", "So far 0 of 12; 12 still open."),
    ],
)
def test_before_anything_is_mature_a_figure_says_what_is_known_so_far(
    cast: Cast, metric: str, said: str
) -> None:
    back = (moved(30, "open"), replied(31), moved(32, "resolved"))
    again = (moved(60, "open"), replied(61), moved(62, "resolved"))
    enter(cast, *(news(f"held {n}", replied(1), moved(2, "resolved")) for n in range(9)))
    enter(cast, *(news(f"back {n}", replied(1), moved(2, "resolved"), *back) for n in range(2)))
    enter(cast, news("twice", replied(1), moved(2, "resolved"), *back, *again))
    young = read(cast, metric, as_of=MONDAY + 5 * DAY)
    assert (young.value, young.denominator, young.provisional) == (None, 0, True)
    assert said in young.sentence


@pytest.mark.parametrize(
    ("metric", "so_far", "said"),
    [
        ("csat_mean", {"numerator": None, "denominator": 12, "value": 4.5}, "4.50 of 12 answers"),
        ("ces.share", {"numerator": 10, "denominator": 12, "value": None}, "10 of 12"),
        ("ces.mean", {"numerator": None, "denominator": 12, "value": 6}, "6.00 of 12 answers"),
        ("nps", {"numerator": None, "denominator": 12, "value": 50}, "50.00 of 12 answers"),
        ("response_rate.rate", {"numerator": 36, "denominator": 40, "value": None}, "36 of 40"),
        ("response_rate.participation", {"numerator": 36, "denominator": 40, "value": None}, "36"),
        ("response_rate.complete", {"numerator": 0, "denominator": 40, "value": None}, "0 of 40"),
        ("response_rate.delivery", {"numerator": 40, "denominator": 40, "value": None}, "40 of 40"),
    ],
)
def test_while_nobody_s_time_to_answer_is_over_a_figure_says_what_was_answered(
    cast: Cast, metric: str, so_far: dict[str, float | None], said: str
) -> None:
    for n in range(12):
        asked(cast, 5 if n % 2 else 4)
        asked(cast, 7 if n < 10 else 1, scale="ces_ease")
        asked(cast, 10 if n < 6 else 8, scale="nps_0_10")
    for _ in range(4):
        asked(cast, scale="ces_ease")
    young = read(cast, metric, as_of=MONDAY + 3 * DAY)
    assert (young.value, young.so_far, young.provisional) == (None, so_far, True)
    assert f"So far {said}" in young.sentence


def test_first_contact_is_verified_only_when_nobody_needed_us_again(cast: Cast) -> None:
    enter(
        cast,
        news("stayed", replied(1), moved(2, "resolved")),
        news("again", replied(1), moved(2, "resolved"), requester="rui"),
        news("second", moved(2, "resolved"), opened_at=MONDAY + 3 * DAY, requester="rui"),
        news("passed on", (1, EventType.ESCALATED, {"kind": "functional"}), moved(2, "resolved")),
    )
    claimed, verified = read(cast, "fcr.claimed"), read(cast, "fcr.verified")
    assert (claimed.numerator, claimed.denominator) == (3, 4)
    assert (verified.numerator, verified.denominator) == (2, 4)
    assert verified.beside == {"claimed_not_verified": 0.25}  # closed is not solved
    assert read(cast, "repeat_contact").numerator == 1
    assert read(cast, "escalation_rate").numerator == 1


def test_the_backlog_is_what_was_open_at_the_end(cast: Cast) -> None:
    enter(
        cast,
        news("open"),
        news("resolved later", moved(45 * 24, "resolved")),
        news("resolved", moved(2, "resolved")),
    )
    reading = read(cast, "backlog")
    assert reading.value == 2
    oldest = (date(2026, 4, 1) - date(2026, 3, 2)).days * 86_400 - 9 * 3_600 - 3_600
    assert reading.beside["age_oldest"] == oldest  # the clocks went forward in between
    assert read(cast, "backlog", until=date(2026, 5, 1)).value == 1


def test_a_day_ends_before_midnight(cast: Cast) -> None:
    midnight = datetime(2026, 3, 31, 22, tzinfo=UTC)  # in Berlin
    hours = (midnight - MONDAY) / HOUR
    enter(
        cast,
        news("opened then", opened_at=midnight),
        news("closed then", moved(hours, "resolved")),
        news("closed before", moved(hours - 0.01, "resolved")),
        news("back then", moved(2, "resolved"), moved(hours, "open")),
        news("back before", moved(2, "resolved"), moved(hours - 0.01, "open")),
    )
    for as_of in (MAY, midnight + 5 * DAY):
        assert read(cast, "backlog", as_of=as_of).value == 2
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        past = past_reader(cast.acme, as_of=midnight + DAY, start=MARCH, until_day=APRIL)
        assert past.measure("backlog", Slice(MARCH, APRIL)).value == 2


def test_ages_of_what_is_open_are_told_of_one_severity(cast: Cast) -> None:
    enter(cast, news("a", severity="high"), news("b", severity="low"))
    both = read(cast, "backlog")
    assert both.sentence == "2 are open."
    assert both.beside["age_median"] is None
    assert "half of them for" in read(cast, "backlog", severity="low").sentence


def test_who_waited_at_a_past_moment_is_unknown(cast: Cast) -> None:
    enter(cast, news("waits", moved(1, "waiting_on_requester")))
    now = MONDAY + 5 * DAY
    assert read(cast, "backlog", as_of=now).beside["waiting_on_requester"] == 1
    assert read(cast, "backlog", as_of=MAY).beside["waiting_on_requester"] is None


def test_what_is_open_is_counted_by_category_of_status(cast: Cast) -> None:
    enter(
        cast,
        news("untouched"),
        *(news(f"worked on {n}", moved(1, "open", by="olga")) for n in range(2)),
        *(news(f"waits {n}", moved(1, "waiting_on_requester")) for n in range(3)),
        *(news(f"of another {n}", moved(1, "waiting_on_third_party")) for n in range(4)),
        news("done", moved(1, "resolved")),
    )
    told = read(cast, "backlog", as_of=MONDAY + 5 * DAY)
    categories = ("new", "open", "waiting_on_requester", "waiting_on_third_party")
    assert [told.beside[name] for name in categories] == [1, 2, 3, 4]
    assert told.value == 10
    before = read(cast, "backlog", as_of=MAY)
    assert {before.beside[name] for name in categories} == {None}


@pytest.mark.parametrize(("number", "value"), [(4, "2 of 4"), (5, "40.0 %")])
def test_below_five_tickets_a_share_is_a_count(cast: Cast, number: int, value: str) -> None:
    up = (0.5, EventType.ESCALATED, {"kind": "functional"})
    enter(
        cast,
        *(news(f"t{n}", *([up] if n < 2 else []), moved(1, "resolved")) for n in range(number)),
    )
    assert cards.figure(read(cast, "escalation_rate")).value == value


def test_what_is_open_lengthens_the_median_of_a_cohort(cast: Cast) -> None:
    enter(cast, news("a", moved(1, "resolved")), news("b", moved(2, "resolved")), news("c"))
    assert read(cast, "resolution_time.cohort_median", severity="medium").value == 2 * 3_600
    enter(cast, *(news(f"open {n}") for n in range(4)))
    reading = read(cast, "resolution_time.cohort_median", severity="medium")
    assert reading.value is None
    assert reading.sentence.startswith("More than ")


# --- the past -------------------------------------------------------------------------------------

TICKET_FIGURES = [
    ("reopen_rate", None),
    ("fcr.verified", None),
    ("sla_attainment.resolution", None),
    ("first_response.attainment", None),
    ("resolution_time.resolved_median", "medium"),
    ("resolution_time.cohort_median", "medium"),
    ("backlog", None),
]


@pytest.mark.parametrize(("metric", "severity"), TICKET_FIGURES)
def test_a_reading_of_the_past_ignores_what_happened_later(
    cast: Cast, metric: str, severity: str | None
) -> None:
    promise(cast)
    month(cast)
    enter(cast, news("later"))

    def past() -> Reading:
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            reader = past_reader(cast.acme, as_of=MAY, start=MARCH, until_day=APRIL)
            return reader.measure(metric, Slice(MARCH, APRIL, None, severity))

    before = past()
    assert before == read(cast, metric, severity=severity)  # folded in memory as in the database
    enter(cast, news("later", replied(24 * 61), moved(24 * 61, "resolved")))
    with acting(cast.acme.pk):
        assert WorkItem.objects.get(ticket__external_id="later").outcome == "resolved"
    assert past() == before


def test_a_past_reading_never_shows_what_one_person_changed(cast: Cast) -> None:
    events = [asked(cast, 5) for _ in range(10)]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for event in events:
            AnswerRevision.objects.create(
                tenant=cast.acme, answer=event.answer, score=5, at=MONDAY + DAY
            )
        changed = events[0].answer
        AnswerRevision.objects.create(
            tenant=cast.acme, answer=changed, score=1, at=MONDAY + 3 * DAY
        )
        changed.changed_score = 1  # waits for its batch
        changed.save()
    for days in (20, 30):
        with roles.as_role(roles.WORKER), acting(cast.acme.pk):
            reader = past_reader(cast.acme, as_of=MONDAY + days * DAY, start=MARCH, until_day=APRIL)
            assert reader.measure("csat_share", Slice(MARCH, APRIL)).numerator == 10


def test_a_mean_of_few_answers_says_when_it_is_shown(cast: Cast) -> None:
    for _ in range(7):
        asked(cast, 5)
    assert read(cast, "csat_mean").sentence == "Unknown: a mean is shown from 10 answers on."


def test_a_stretch_that_is_fetched_anew_is_not_answered_from_the_one_before(cast: Cast) -> None:
    enter(cast, news("first", moved(2, "resolved")))
    enter(cast, news("second", moved(2, "resolved"), opened_at=MONDAY + 7 * DAY))
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=MAY)
        network = frozenset([cast.network.pk])
        for week in range(2):
            start = MONDAY.date() + timedelta(7 * week)
            cut = Slice(start, start + timedelta(7), network)
            assert reader.measure("reopen_rate", cut).denominator == 1


def test_what_was_asked_about_a_ticket_that_is_left_out_later_is_in_no_figure(cast: Cast) -> None:
    lives = [news(f"T{n}", moved(2, "resolved")) for n in range(20)]
    enter(cast, *lives)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for one in Resolution.objects.select_related("ticket"):
            event = SurveyedEvent.objects.create(
                tenant=cast.acme,
                ticket=one.ticket,
                event_key=one.event_key,
                at=one.at,
                decision="imported",
                capability=cast.network,
                severity="medium",
            )
            Answer.objects.create(
                tenant=cast.acme,
                event=event,
                score=5 if int(one.ticket.external_id[1:]) < 10 else 1,
                answered_at=one.at + HOUR,
                released_at=one.at + 2 * HOUR,
            )
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)
    assert read(cast, "csat_share").so_far is None
    assert (read(cast, "csat_share").numerator, read(cast, "csat_share").denominator) == (10, 20)
    spam = (3, EventType.FLAGGED, {"flag": "test", "value": True})
    enter(cast, *(news(f"T{n}", moved(2, "resolved"), spam) for n in range(10, 20)))
    told = read(cast, "csat_share")
    assert (told.numerator, told.denominator) == (10, 10)
    with roles.as_role(roles.WORKER):
        assert columns.refresh(cast.acme)
    assert read(cast, "csat_share").denominator == 10
    taken_back = (4, EventType.FLAGGED, {"flag": "test", "value": False})
    enter(cast, *(news(f"T{n}", moved(2, "resolved"), spam, taken_back) for n in range(10, 20)))
    assert read(cast, "csat_share").denominator == 20


def test_a_duration_that_is_not_reached_says_what_it_exceeds(cast: Cast) -> None:
    enter(cast, news("done", moved(2, "resolved")), *(news(f"open {n}") for n in range(4)))
    then = MONDAY + 5 * HOUR
    reading = read(cast, "resolution_time.cohort_median", severity="medium", as_of=then)
    assert (reading.value, reading.beside["more_than"]) == (None, 5 * 3_600)
    assert cards.figure(reading).value == "more than 5 h of business time"
    reached = read(cast, "resolution_time.resolved_median", severity="medium", as_of=then)
    assert "more_than" not in reached.beside


@pytest.mark.parametrize(("number", "bounded"), [(35, False), (36, True)])
def test_nothing_bounds_a_90th_percentile_of_fewer_than_36_above(
    cast: Cast, number: int, bounded: bool
) -> None:
    enter(cast, *(news(f"t{n}", moved(1 + n / 6, "resolved")) for n in range(number)))
    for view in ("cohort_p90", "resolved_p90"):
        reading = read(cast, f"resolution_time.{view}", severity="medium")
        assert reading.interval.lower is not None
        assert (reading.interval.upper is not None) is bounded, view
        assert bounded or cards.figure(reading).interval.endswith("to not determined")


def test_before_the_window_is_over_reopens_are_told_early_by_the_curve(cast: Cast) -> None:
    """Four watched for 14 days, one of them back; four for five days, one back after two."""
    back = (moved(50, "open"), replied(50.5), moved(51, "resolved"))
    for start, name in ((MONDAY, "old"), (MONDAY + 9 * DAY, "young")):
        enter(cast, news(f"{name} back", moved(2, "resolved"), *back, opened_at=start))
        enter(cast, *(news(f"{name} {n}", moved(2, "resolved"), opened_at=start) for n in range(3)))
    young = MONDAY + 14 * DAY + 2 * HOUR
    told = read(cast, "reopen_rate", as_of=young)
    assert (told.numerator, told.denominator, told.still_open) == (1, 4, 5)
    assert told.beside["early"] == pytest.approx(2 / 8)  # both after 48 h, when all were watched
    terms = dict(cards.card([told], method_url="").definitions)
    assert terms["Early estimate, from what is watched so far"] == "25.0 %"
    nobody_long_enough = read(cast, "reopen_rate", as_of=young - HOUR)
    assert nobody_long_enough.beside == {"early": None}
    assert read(cast, "reopen_rate").beside == {}  # of a mature period the share says it
    assert read(cast, "reopen_rate.twice", as_of=young).beside == {}


def test_an_early_estimate_leaves_out_nobody_who_was_watched_for_a_while(cast: Cast) -> None:
    """Back after ten days: of one of the two that were watched so long, of four in all."""
    back = (moved(242, "open"), replied(242.5), moved(243, "resolved"))
    enter(cast, news("late", moved(2, "resolved"), *back))
    enter(cast, news("held", moved(2, "resolved")))
    enter(cast, *(news(f"y{n}", moved(2, "resolved"), opened_at=MONDAY + 9 * DAY) for n in "ab"))
    told = read(cast, "reopen_rate", as_of=MONDAY + 14 * DAY + 2 * HOUR)
    assert told.beside["early"] == pytest.approx(0.5)


def test_moves_back_that_are_no_reopens_are_counted_by_their_sort(cast: Cast) -> None:
    thanks = (moved(30, "open"), moved(31, "resolved"))
    swept = (moved(30, "open", bulk=True), replied(31), moved(32, "resolved"))
    enter(cast, news("thanks", moved(2, "resolved"), *thanks))
    enter(cast, *(news(f"swept {n}", moved(2, "resolved"), *swept) for n in range(2)))
    enter(cast, news("slipped", *slipped(1), *slipped(1.5), *slipped(2), moved(3, "resolved")))
    told = read(cast, "reopen_rate")
    assert (told.numerator, told.denominator) == (0, 4)
    assert told.left_out == {
        "courtesy reopens": 1,
        "reopens by a bulk change": 2,
        "misclick reopens": 3,
    }


def misclicks(cast: Cast, **asked_of: Any) -> int:
    """Those counted of a slice, by what is packed, by the facts and by the log folded again."""
    as_of = asked_of.pop("as_of", MAY)
    found = read(cast, "reopen_rate", as_of=as_of, **asked_of).left_out
    start, until = asked_of.get("start", MARCH), asked_of.get("until", APRIL)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        chosen = asked_of.get("capability")
        cut = Slice(start, until, chosen and frozenset([chosen.pk]))
        past = past_reader(cast.acme, as_of=as_of, start=start, until_day=until)
        assert past.measure("reopen_rate", cut).left_out == found
    with roles.as_role(roles.WORKER):
        columns.refresh(cast.acme)
    assert read(cast, "reopen_rate", as_of=as_of, **asked_of).left_out == found
    return found.get("misclick reopens", 0)


def test_a_slip_belongs_to_the_day_and_service_of_the_resolution_that_follows(cast: Cast) -> None:
    late_in_march = MONDAY + 28 * DAY
    moved_on = (48.0, EventType.CATEGORY_CHANGED, {"to": "accounts"})
    enter(
        cast,
        news("in march", *slipped(1), moved(3, "resolved")),
        news("in april", *slipped(1), moved_on, moved(72, "resolved"), opened_at=late_in_march),
        news("waits", *slipped(1)),
        news("withdrawn", *slipped(1), moved(3, "withdrawn")),
        news("no slip", moved(1, "resolved"), moved(1.2, "open", by="agnes"), moved(3, "resolved")),
    )
    april = {"start": APRIL, "until": date(2026, 5, 1)}
    assert misclicks(cast, capability=cast.network) == 1
    assert misclicks(cast, capability=cast.accounts) == 0
    assert misclicks(cast, **april, capability=cast.network) == 0
    assert misclicks(cast, **april, capability=cast.accounts) == 1
    # With the other sorts, once the resolution is mature.
    assert misclicks(cast, as_of=MONDAY + 14 * DAY + 2 * HOUR) == 0
    assert misclicks(cast, as_of=MONDAY + 14 * DAY + 3 * HOUR) == 1
