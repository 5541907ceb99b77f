"""Effort, recommendation, who was asked, and flow: by hand and by the handbook's own examples."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metrics import intervals
from metrics.evaluating import ScalesPooled
from portal.tenancy.context import acting
from surveys.models import CommentReading
from tests import roles
from tests.factories import Cast, RequesterFactory
from tests.metrics.told import (
    DAY,
    HOUR,
    MAY,
    MONDAY,
    asked,
    assigned,
    commented,
    enter,
    moved,
    news,
    promise,
    read,
    replied,
    themed,
)
from tickets.canonical import ActorKind, Event, EventType
from tickets.news import event_key


def answers(cast: Cast, scale: str, counts: dict[int, int]) -> None:
    for score, number in counts.items():
        for _ in range(number):
            asked(cast, score, scale=scale)


class TestEffort:
    def test_the_handbooks_example_of_the_ease_wording(self, cast: Cast) -> None:
        answers(cast, "ces_ease", {7: 18, 6: 24, 5: 18, 4: 10, 3: 5, 2: 3, 1: 2})
        share, mean = read(cast, "ces.share"), read(cast, "ces.mean")
        assert (share.numerator, share.denominator, share.value) == (60, 80, 0.75)
        assert share.interval.lower == pytest.approx(0.645, abs=5e-4)
        assert share.interval.upper == pytest.approx(0.832, abs=5e-4)
        assert mean.value == pytest.approx(5.29, abs=5e-3)
        assert mean.beside["ease_pomp"] == pytest.approx(71.5, abs=0.05)

    def test_what_the_silent_could_change_stands_beside_the_share(self, cast: Cast) -> None:
        answers(cast, "ces_ease", {7: 9, 1: 3})
        for _ in range(8):
            asked(cast, scale="ces_ease")
        assert read(cast, "ces.share").beside == {
            "if_the_silent_were_not": pytest.approx(9 / 20),
            "if_the_silent_were": pytest.approx(17 / 20),
        }

    def test_effort_runs_the_other_way_and_its_ease_does_not(self, cast: Cast) -> None:
        answers(cast, "ces_effort", {1: 6, 2: 6, 5: 3})
        assert read(cast, "ces.share").numerator == 12
        mean = read(cast, "ces.mean")
        assert mean.value == pytest.approx(2.2)
        assert mean.beside["ease_pomp"] == pytest.approx(100 * (5 - 2.2) / 4)

    def test_two_wordings_are_never_one_figure(self, cast: Cast) -> None:
        answers(cast, "ces_effort", {1: 6})
        answers(cast, "ces_ease", {7: 6})
        with pytest.raises(ScalesPooled):
            read(cast, "ces.share")

    def test_answers_about_effort_are_no_satisfaction(self, cast: Cast) -> None:
        answers(cast, "ces_ease", {1: 20})
        answers(cast, "csat_1_5", {5: 10})
        assert read(cast, "csat_share").value == 1


class TestRecommending:
    def test_the_handbooks_example(self, cast: Cast) -> None:
        answers(cast, "nps_0_10", {10: 40, 8: 35, 3: 25})
        score = read(cast, "nps")
        assert score.value == pytest.approx(15)
        assert score.beside["margin"] == pytest.approx(15.3, abs=0.05)
        assert score.interval.lower == pytest.approx(-0.7, abs=0.05)
        assert score.interval.upper == pytest.approx(29.8, abs=0.05)
        assert score.sentence.startswith("+15.0 is the balance")
        assert "give or take 15.3" in score.sentence

    def test_nine_answers_show_no_score(self, cast: Cast) -> None:
        answers(cast, "nps_0_10", {10: 9})
        assert read(cast, "nps").value is None

    def test_several_answers_of_one_person_widen_it(self, cast: Cast) -> None:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            two = [RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(2)]
        for person, said in zip(two, (10, 3), strict=True):
            for _ in range(10):
                asked(cast, said, scale="nps_0_10", requester=person)
        score = read(cast, "nps")
        assert (score.value, score.denominator, score.beside["promoters"]) == (0, 20, 10)
        of_two = intervals.NetPromoter(0.5, 0, 0.5)  # two people who always say the same: one
        assert score.interval == of_two.interval
        assert score.beside["margin"] == pytest.approx(of_two.margin)


class TestComments:
    def test_their_response_rate_is_that_of_the_answers(self, cast: Cast) -> None:
        for n in range(10):
            comment = commented(cast, 1, "the vpn is slow")
            asked(cast, 5)
            with roles.as_role(roles.OWNER), acting(cast.acme.pk):
                CommentReading.objects.create(
                    tenant=cast.acme, comment=comment, suggested="negative", at=MONDAY
                )
            if n < 5:
                asked(cast)
        themed(cast, "vpn")
        for name in (
            "score_comment_mismatch",
            "comment_themes.share",
            "comment_themes.dissatisfied",
        ):
            told = read(cast, name, capability=cast.network)
            assert (told.denominator, told.response_rate) == (10, 0.8), name


class TestPolicies:
    def test_of_all_dissatisfied_answers_those_about_a_policy_are_told(self, cast: Cast) -> None:
        for score, denied, service in ((1, 12, 6), (5, 4, 20)):
            for policy_denial, number in ((True, denied), (False, service)):
                for _ in range(number):
                    asked(cast, score, policy_denial=policy_denial)
        told = read(cast, "policy_denial_satisfaction").beside
        assert told["policy_of_dissatisfied"] == pytest.approx(12 / 18)
        assert told["dissatisfied_in_all"] == 18

    def test_nine_answers_about_service_are_not_told_by_those_about_policies(
        self, cast: Cast
    ) -> None:
        for _ in range(12):
            asked(cast, 1, policy_denial=True)
        for _ in range(9):
            asked(cast, 1)
        told = read(cast, "policy_denial_satisfaction").beside
        assert told["dissatisfied"] == 12
        assert "policy_of_dissatisfied" not in told


class TestThemes:
    def test_several_comments_of_one_person_widen_their_shares(self, cast: Cast) -> None:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            two = [RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(2)]
        for person, (score, text) in zip(two, ((1, "the vpn"), (5, "the printer")), strict=True):
            for _ in range(10):
                commented(cast, score, text, requester=person)
        themed(cast, "vpn")
        told = read(cast, "comment_themes.share", capability=cast.network)
        assert (told.value, told.denominator) == (0.5, 20)
        assert told.interval == intervals.wilson(0.5, 1)


class TestScales:
    def test_each_scale_stands_beside_the_other_and_neither_is_pooled(self, cast: Cast) -> None:
        answers(cast, "csat_1_5", {5: 8, 3: 4})
        answers(cast, "two_point", {1: 9, 0: 1})
        told = read(cast, "csat_scale_rules")
        assert told.value == 2
        five, two = intervals.wilson(8, 12), intervals.wilson(9, 10)
        assert told.beside == {
            "csat_1_5": pytest.approx(8 / 12),
            "csat_1_5_answers": 12,
            "csat_1_5_response_rate": 1,
            "csat_1_5_from": five.lower,
            "csat_1_5_to": five.upper,
            "two_point": 0.9,
            "two_point_answers": 10,
            "two_point_response_rate": 1,
            "two_point_from": two.lower,
            "two_point_to": two.upper,
        }
        assert (told.response_rate, told.reliability_state) == (1, "reliable")
        with pytest.raises(ScalesPooled):
            read(cast, "csat_share")

    def test_a_scale_with_fewer_than_ten_answers_shows_no_share(self, cast: Cast) -> None:
        answers(cast, "csat_1_5", {5: 8})
        answers(cast, "two_point", {1: 12})
        told = read(cast, "csat_scale_rules").beside
        assert (told["csat_1_5"], told["csat_1_5_answers"], told["two_point"]) == (None, 8, 1.0)
        assert "csat_1_5_from" not in told

    def test_of_a_scale_with_four_answers_not_even_that_is_told(self, cast: Cast) -> None:
        answers(cast, "csat_1_5", {5: 4})
        answers(cast, "two_point", {1: 12})  # the whole less these would tell it
        assert read(cast, "csat_scale_rules").beside == {"csat_1_5": None, "two_point": None}

    def test_scales_side_by_side_are_as_reliable_as_the_least_of_them(self, cast: Cast) -> None:
        answers(cast, "csat_1_5", {5: 12})
        for _ in range(150):
            asked(cast, scale="csat_1_5")
        answers(cast, "two_point", {1: 40})
        share = read(cast, "csat_scale_rules")
        assert share.reliability_state == "unreliable"
        assert share.beside["csat_1_5_response_rate"] == pytest.approx(12 / 162)
        assert share.response_rate == pytest.approx(52 / 202)


class TestAsking:
    def test_asked_too_often_is_more_than_once_in_a_week_or_three_times_in_a_quarter(
        self, cast: Cast
    ) -> None:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            often, fine, thrice = (
                RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(3)
            )
        for at in (0, 6):
            asked(cast, at=MONDAY + at * DAY, requester=often)
        for at in (0, 7):
            asked(cast, at=MONDAY + at * DAY, requester=fine)
        for at in (0, 8, 16, 24):
            asked(cast, at=MONDAY + at * DAY, requester=thrice)
        told = read(cast, "survey_coverage.burden")
        assert (told.numerator, told.denominator) == (2, 3)
        assert told.beside["p90"] == pytest.approx(3.6)

    def test_what_was_asked_in_the_ninety_days_before_the_period_counts(self, cast: Cast) -> None:
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            fourth, third, second, earlier = (
                RequesterFactory(tenant=cast.acme, connection=cast.desk) for _ in range(4)
            )
        for person, days in {
            fourth: (-80, -20, -10, 3),  # the fourth within 90 days
            third: (-90, -20, -10, 3),  # the first is 93 days before the fourth
            second: (-2, 4),  # six days later
            earlier: (-12, -10, 20),  # too often, but not in March
        }.items():
            for at in days:
                asked(cast, at=MONDAY + at * DAY, requester=person)
        told = read(cast, "survey_coverage.burden")
        assert (told.numerator, told.denominator, told.beside["p90"]) == (2, 4, 1)
        one_service = read(cast, "survey_coverage.burden", capability=cast.network)
        assert (one_service.numerator, one_service.denominator) == (2, 4)

    def test_what_can_still_be_answered_is_not_yet_counted_as_not_heard_about(
        self, cast: Cast
    ) -> None:
        for n in range(4):
            asked(cast, 5, at=MONDAY)
            asked(cast, 5 if n else None, at=MONDAY + 7 * DAY)
        never = asked(cast, at=MONDAY + 6 * DAY)
        with roles.as_role(roles.OWNER), acting(cast.acme.pk):
            never.invitation.delete()
        first = read(cast, "survey_coverage.effective", as_of=MONDAY + 16 * DAY)
        assert (first.numerator, first.denominator, first.still_open) == (4, 4, 5)
        assert first.so_far == {"numerator": 7, "denominator": 9, "value": None}
        assert first.provisional
        then = read(cast, "survey_coverage.effective", as_of=MONDAY + 20 * DAY)
        assert (then.numerator, then.denominator, then.still_open) == (4, 5, 4)
        assert read(cast, "survey_coverage.effective").value == pytest.approx(7 / 9)

    def test_timeliness_effective_coverage_and_participation(self, cast: Cast) -> None:
        for score in (5, None, None, None):
            asked(cast, score)
        late = read(cast, "survey_coverage.timeliness")
        assert (late.numerator, late.denominator) == (0, 4)  # two hours after the event
        heard = read(cast, "survey_coverage.effective")
        assert (heard.numerator, heard.denominator) == (1, 4)
        took_part = read(cast, "response_rate.participation")
        assert (took_part.numerator, took_part.denominator) == (1, 4)
        assert read(cast, "response_rate.delivery").value == 1

    def test_imported_ratings_leave_them_unknown(self, cast: Cast) -> None:
        asked(cast, 5, imported=True)
        for name in ("response_rate.complete", "survey_coverage.effective"):
            assert "nobody knows who was asked" in read(cast, name).sentence


def messages(name: str, number: int) -> list[Event]:
    return [
        Event(
            event_key(name, "again", n),
            EventType.MESSAGE,
            MONDAY + (n + 1) * HOUR,
            f"1{n}",
            ActorKind.REQUESTER,
            None,
            True,
        )
        for n in range(number)
    ]


class TestFlow:
    def test_three_messages_or_more_are_many_turns(self, cast: Cast) -> None:
        for name, number in (("a", 2), ("b", 3), ("c", 5), ("d", 0)):
            told = news(name, replied(0.5), moved(20, "resolved"))
            told.events += messages(name, number)
            enter(cast, told)
        turns = read(cast, "requester_returns")
        assert (turns.numerator, turns.denominator, turns.beside["median"]) == (2, 4, 2.5)

    def test_withdrawn_items_leave_the_share_and_a_reopened_one_is_not_resolved(
        self, cast: Cast
    ) -> None:
        enter(
            cast,
            news("held", moved(1, "resolved")),
            news("back", moved(1, "resolved"), moved(30, "open"), replied(31)),
            news("gone", moved(1, "withdrawn")),
            news("open"),
        )
        share = read(cast, "resolution_share")
        assert (share.numerator, share.denominator) == (1, 3)
        assert share.left_out == {"withdrawn": 1}
        assert share.beside == {"age_of_period": 30 * 86_400 + 2 * 3_600}  # April in Berlin
        later = read(cast, "resolution_share", as_of=MAY + DAY)
        assert later.beside == {"age_of_period": 31 * 86_400 + 2 * 3_600}
        through = read(cast, "resolution_share.throughput")
        assert (through.numerator, through.denominator) == (1, 4)
        assert through.interval.lower is None

    def test_throughput_may_exceed_one(self, cast: Cast) -> None:
        earlier = MONDAY - 30 * DAY
        enter(
            cast,
            news("old", moved(30 * 24, "resolved"), opened_at=earlier),
            news("old too", moved(30 * 24, "resolved"), opened_at=earlier),
            news("new"),
        )
        assert read(cast, "resolution_share.throughput").value == 2

    def test_days_of_backlog_use_the_pace_of_twenty_business_days(self, cast: Cast) -> None:
        """March 2026 ends on a Tuesday: the twenty business days before April began on the 4th."""
        enter(cast, *(news(f"open {n}") for n in range(6)))
        within = MONDAY + timedelta(days=3)
        enter(cast, *(news(f"done {n}", moved(1, "resolved"), opened_at=within) for n in range(10)))
        enter(cast, news("too early", moved(1, "resolved"), assigned(0.5, "ben")))
        told = read(cast, "backlog.days")
        assert told.beside["resolved_a_day"] == 0.5
        assert told.value == 12

    def test_the_business_age_of_what_is_open_leaves_nights_out(self, cast: Cast) -> None:
        promise(cast)
        enter(cast, news("one", opened_at=MONDAY))
        told = read(cast, "backlog.business_age_median", severity="medium")
        weekdays = 22  # Monday 2 March up to and including Tuesday 31 March
        assert told.value == weekdays * 8 * 3600
        assert told.beside == {"requester_elapsed": 29 * 86_400 + 14 * 3_600}  # summer had begun
