"""The course of a figure: limits drawn, signals marked, and answered by a named person only."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from governance import cosigning
from governance.targets import Wanted, next_period
from metrics.breaks import breaks_of, settings_changes
from metrics.charts import Every, Rule
from metrics.deciding_settings import change_settings
from metrics.measure import Reader, Slice
from metrics.models import SignalAnswer
from metrics.trends import (
    Break,
    Course,
    course,
    mature_until,
    months_before,
    periods_before,
)
from portal.audit.models import AuditEntry
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.governance.sheets import propose_sheet
from tests.metrics import many
from tests.metrics.told import DAY, MONDAY, asked, asked_of_blocks, enter, moved, news, replied
from tests.portal.test_one_number import browser
from tickets import usage
from tickets.news import UsageTold

PAGE = "/acme/capabilities/network/trends/"
#: The Monday 16 weeks after the first; with the 14 days that a reopen may take, all is mature.
NOW = MONDAY + 18 * 7 * DAY + 1 * DAY
BAD = 13


@pytest.fixture
def weeks(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Sixteen weeks with ten tickets each, one or two of them reopened; nine in the fourteenth."""
    told = []
    for week in range(16):
        back = 9 if week == BAD else 1 + week % 2
        for number in range(10):
            again = (moved(48, "open"), replied(49), moved(50, "resolved")) if number < back else ()
            told.append(
                news(
                    f"W{week}-{number}",
                    moved(2, "resolved"),
                    *again,
                    opened_at=MONDAY + week * 7 * DAY,
                )
            )
    enter(cast, *told)
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    return cast


def at(week: int) -> date:
    return (MONDAY + week * 7 * DAY).date()


def answered(cast: Cast, person: str = "olga", **said: Any) -> Any:
    form = {
        "metric": "reopen_rate.rate",
        "severity": "",
        "every": "week",
        "day": at(BAD).isoformat(),
        "kind": "explained",
        "reason": "The mail server was down for two days.",
    }
    return browser(cast, person).post(PAGE, form | said)


def drawn(page: str) -> list[str]:
    """The drawings of a page: the narrow one and the wide one."""
    return re.findall(r"<svg class=.*?</svg>", page, re.DOTALL)[-2:]


def told_of(cast: Cast, breaks: tuple[Break, ...] = ()) -> Course:
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=NOW)
        cut = Slice(at(15), at(16), frozenset([cast.network.pk]))
        return course(
            reader, "reopen_rate.rate", cut, Every.WEEK, until=at(16), count=16, breaks=breaks
        )


def test_a_course_has_limits_and_its_signal_is_where_something_happened(weeks: Cast) -> None:
    found = told_of(weeks)
    assert [reading.numerator for reading in found.readings] == [
        9 if week == BAD else 1 + week % 2 for week in range(16)
    ]
    [stretch] = found.chart.stretches
    assert stretch.mean == pytest.approx(0.15)  # of the first twelve
    assert found.chart.signalled(Rule.BEYOND_LIMITS) == [BAD]


def test_a_course_begins_anew_where_it_was_rebased(weeks: Cast) -> None:
    found = told_of(weeks, (Break(at(8) + timedelta(2), "a new team"),))
    assert dict(found.breaks) == {8: "a new team"}
    first, second = found.chart.stretches
    assert (first.first, second.first) == (0, 8)
    assert first.provisional
    assert second.mean > first.mean


def test_periods_are_whole_weeks_months_or_quarters(db: None) -> None:
    day = date(2026, 5, 20)  # a Wednesday
    assert [p.start for p in periods_before(day, Every.WEEK, 2)] == [
        date(2026, 5, 4),
        date(2026, 5, 11),
    ]
    assert [p.label for p in periods_before(day, Every.MONTH, 2)] == ["Mar 2026", "Apr 2026"]
    assert [p.label for p in periods_before(day, Every.QUARTER, 2)] == ["Q4 2025", "Q1 2026"]


def test_another_scale_begins_a_course_anew(cast: Cast) -> None:
    for week in range(4):
        for _ in range(10):
            scale = "csat_1_5" if week < 2 else "two_point"
            asked(cast, 4 if week < 2 else 1, at=MONDAY + week * 7 * DAY, scale=scale)
    with acting(cast.acme.pk):
        reader = Reader(cast.acme, as_of=NOW)
        cut = Slice(at(3), at(4), frozenset([cast.network.pk]))
        found = course(reader, "csat_share.share", cut, Every.WEEK, until=at(4), count=4)
    assert dict(found.breaks) == {2: "answered on another scale from here"}


def test_a_course_begins_anew_where_settings_changed_that_its_figure_follows_from(
    weeks: Cast,
) -> None:
    late = datetime(2026, 4, 29, 22, 30, tzinfo=UTC)  # the 30th in Berlin
    for values in ({"misclick_minutes": 5}, {"answer_days": 10}, {"precision": 0.12}):
        with roles.as_role(roles.OWNER), acting(weeks.acme.pk):
            change_settings(
                tenant=weeks.acme,
                values=values,
                reason="Our desk works otherwise.",
                by=_actor(weeks),
                at=late,
            )
    with acting(weeks.acme.pk):
        told = settings_changes(weeks.acme)
        of_reopens = breaks_of("reopen_rate.rate", (), told)
        of_answers = breaks_of("csat_share.share", (), told)
    assert of_reopens == [Break(date(2026, 4, 30), "settings version 2 from here")]
    assert of_answers == [Break(date(2026, 4, 30), "settings version 3 from here")]
    assert list(told_of(weeks, tuple(of_reopens)).breaks) == [8]
    with roles.as_role(roles.OWNER), acting(weeks.acme.pk):
        change_settings(
            tenant=weeks.acme,
            values={"severity_policy": "governed"},
            reason="Whoever lowers it says why.",
            by=_actor(weeks),
            at=late + 7 * DAY,
        )
    with acting(weeks.acme.pk):
        told = settings_changes(weeks.acme)
        assert Break(date(2026, 5, 7), "settings version 5 from here") in breaks_of(
            "sla_attainment.resolution", (), told
        )
        assert breaks_of("csat_share.share", (), told) == of_answers
    page = browser(weeks).get(PAGE).content.decode()
    assert "settings version 2 from here" in page
    assert "settings version 3 from here" not in page
    assert "settings version 4 from here" not in page


def _actor(cast: Cast) -> Any:
    from portal.audit.trail import Actor

    return Actor(cast.ada.actor_key, cast.ada.name)


def test_the_page_draws_limits_and_asks_what_happened(weeks: Cast) -> None:
    page = browser(weeks).get(PAGE, {"every": "week"}).content.decode()
    assert [one.count('class="asks"') for one in drawn(page)] == [1, 1]
    assert 'class="limits"' in page
    assert "1 of 16 periods ask for a look." in page  # nothing is known of the twenty before
    assert f'id="signal-{at(BAD)}"' in page
    assert "Outside the usual range" in page
    assert "Nobody has answered this yet." in page
    assert f"from={at(BAD)}&amp;until={at(BAD + 1)}" in page


@pytest.mark.parametrize(("person", "status"), [("olga", 302), ("sam", 302), ("bea", 404)])
def test_a_signal_is_explained_by_those_who_own_or_run_the_service(
    weeks: Cast, person: str, status: int
) -> None:
    assert answered(weeks, person).status_code == status
    with acting(weeks.acme.pk):
        kept = list(SignalAnswer.objects.for_tenant(weeks.acme))
        trail = AuditEntry.objects.for_tenant(weeks.acme).filter(act="signal.answered")
        assert len(kept) == trail.count() == (1 if status == 302 else 0)
    if status == 404:
        return
    [answer] = kept
    assert (answer.day, answer.printed_name) == (at(BAD), person.capitalize())
    page = browser(weeks, "bea").get(PAGE, {"every": "week"}).content.decode()
    assert "The mail server was down for two days." in page
    # explained, and still told
    assert [one.count('class="asks"') for one in drawn(page)] == [1, 1]


def test_limits_begin_anew_for_the_chart_and_the_scorecard(weeks: Cast) -> None:
    answer = answered(weeks, kind="rebased", day=at(8).isoformat(), reason="Another team.")
    assert answer.status_code == 302
    page = browser(weeks).get(PAGE, {"every": "week"}).content.decode()
    assert 'class="anew"' in page
    assert "begun anew by Olga: Another team." in page
    scorecard = browser(weeks).get("/acme/capabilities/network/").content.decode()
    assert "begun anew by Olga: Another team." in scorecard
    other = browser(weeks).get(PAGE, {"metric": "escalation_rate.rate", "every": "week"})
    assert "Another team." not in other.content.decode()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"reason": "   "}, "Say why"),
        ({"day": at(3).isoformat()}, "asks for an answer"),  # nothing happened there
        ({"day": "2020-01-06", "kind": "rebased"}, "asks for an answer"),
        ({"day": "soon"}, "Choose a period"),
        ({"kind": "ignored"}, "Choose a period"),
        ({"reason": "x" * 501}, "longer than 500"),
    ],
)
def test_an_answer_that_says_nothing_is_refused_and_nothing_is_kept(
    weeks: Cast, said: dict[str, str], word: str
) -> None:
    refused = answered(weeks, **said)
    assert refused.status_code == 400
    assert word in refused.content.decode()
    with acting(weeks.acme.pk):
        assert not SignalAnswer.objects.for_tenant(weeks.acme).exists()
    assert answered(weeks).status_code == 302  # the same with what was missing


def test_an_answer_is_never_changed(weeks: Cast) -> None:
    answered(weeks)
    for change in (
        lambda rows: rows.update(reason="Something else."),
        lambda rows: rows.delete(),
    ):
        with (
            acting(weeks.acme.pk),
            pytest.raises(DatabaseError),
            transaction.atomic(),
        ):
            change(SignalAnswer.objects.for_tenant(weeks.acme))


def test_a_page_reads_each_kind_once(
    weeks: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    client: Client = browser(weeks)
    fetched = asked_of_blocks(monkeypatch)
    for statements in (2, 1):  # of all kinds at once: what is packed, and other days unless kept
        fetched.clear()
        with django_assert_max_num_queries(30):
            assert client.get(PAGE).status_code == 200
        assert len(fetched) == statements


def test_three_months_that_cannot_tell_ask_for_a_longer_period_or_more_answers(cast: Cast) -> None:
    now = timezone.now()
    start = next_period(cast.acme, now - timedelta(days=250))
    with acting(cast.acme.pk):
        sheet = propose_sheet(
            cast,
            wanted=[Wanted("csat_share.share", Decimal("0.80"))],
            effective_from=start,
            effective_until=start + timedelta(days=360),
            at=now - timedelta(days=250),
            reauthenticated_at=now - timedelta(days=250),
        )
        until = mature_until(Reader(cast.acme, as_of=now), "csat_share.share")
    months = [
        datetime.combine(one.start + timedelta(days=9), time(), tzinfo=UTC)
        for one in months_before(until, 3)
    ]
    asked_for = {"metric": "csat_share.share", "every": "month"}
    for at in months:
        many.answered(cast, 112, 150, at=at)
    # proposed, it decides nothing
    assert "in a row" not in browser(cast).get(PAGE, asked_for).content.decode()
    with acting(cast.acme.pk):
        then = now - timedelta(days=250)
        for act, by in ((cosigning.accept, cast.sam), (cosigning.cosign, cast.bea)):
            act(sheet_id=sheet.pk, by=by, at=then, reauthenticated_at=then)
    page = browser(cast).get(PAGE, asked_for).content.decode()
    # z² * 0.8 * 0.2 / (0.8 - 112/150)² is 217
    assert (
        "Three months in a row could not tell whether the target (at least 80.0 %) is met" in page
    )
    assert "About 217 answers in it would settle that; these had 450." in page
    assert "in a row" not in browser(cast).get(PAGE).content.decode()  # no target for that figure
    many.answered(cast, 300, 300, at=months[1])  # one of the three can tell
    assert "in a row" not in browser(cast).get(PAGE, asked_for).content.decode()


class TestInTheSoftware:
    """When a figure turns, where in the software to look and what that told (METRICS.md 1.15)."""

    ASKED = {"metric": "resolution_time.cohort_median", "severity": "medium", "every": "week"}

    def test_a_signal_stands_beside_the_telemetry_of_its_weeks(self, weeks: Cast) -> None:
        monday = MONDAY + BAD * 7 * DAY
        outcomes = [(True, 400, 0), (True, 600, 0), (True, 800, 1), (False, 9000, 3)]
        told = [
            UsageTold(
                f"{place} {week}",
                "outcome",
                monday + week * 7 * DAY,
                f"u{place}",
                "network",
                success=worked and week == 0,
                duration_ms=took,
                errors_shown=errors,
            )
            for place, (worked, took, errors) in enumerate(outcomes)
            for week in (0, 1)
        ]
        with roles.as_role(roles.WORKER), acting(weeks.acme.pk):
            usage.store(weeks.desk, told, at=NOW)
        page = browser(weeks).get(PAGE, self.ASKED).content.decode()
        assert page.count("In the software, look at performance and the correctness of auto") == 1
        assert (
            "Telemetry of the same time: 4 outcomes, 25.0 % failed, half took at most 0.7 s and"
            " nine in ten 6.5 s, 2 showed an error."
        ) in page

    def test_without_telemetry_it_says_so(self, weeks: Cast) -> None:
        page = browser(weeks).get(PAGE, self.ASKED).content.decode()
        assert "No telemetry of this service and time is sent to us." in page

    def test_a_figure_of_which_it_is_not_said_has_none(self, weeks: Cast) -> None:
        page = browser(weeks).get(PAGE, {"metric": "reopen_rate.rate", "every": "week"})
        assert "signal-" in page.content.decode()
        assert "In the software" not in page.content.decode()
