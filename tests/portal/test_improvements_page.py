"""Pages and endpoints of improvement actions."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from governance.models import ImprovementAction
from portal import improvements
from portal.catalogue.models import BusinessUnit, Capability
from portal.organisations import Member
from portal.people.roles import Role
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.governance.test_improvements import (
    AFTER,
    BEFORE,
    PLAN,
    handbook,
    recorded,
)
from tests.metrics.many import answered
from tests.metrics.told import DAY, commented
from tests.portal.test_one_number import browser, key
from tests.portal.test_trends_page import drawn

LIST = "/acme/capabilities/network/improvements/"


def form(**other: str) -> dict[str, str]:
    return {
        "words": "A <b>second</b> line on Mondays",
        "metric": "csat_share.share",
        "expected": "10",
        "acts_on": (timezone.now().date() + timedelta(days=20)).isoformat(),
        "transition_days": "1",
        "days_before": "60",
        "days_after": "60",
        "comparison": "accounts",
    } | other


def result(cast: Cast, action: ImprovementAction) -> str:
    """The page of a result without its marks, as one reads it."""
    page = browser(cast).get(f"{LIST}{action.pk}/")
    assert page.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def test_the_handbooks_example_on_its_page_in_the_handbooks_order(cast: Cast) -> None:
    handbook(cast)
    for number in range(5):
        commented(cast, 2, f"Slow again, number {number}", at=BEFORE)
    page = result(cast, recorded(cast, replace(PLAN, comparison=cast.accounts)))
    # five dissatisfied answers more before: 96 of 165
    assert "96 of 165" in page
    assert "126 of 168" in page
    assert "Improved, proven." in page
    order = [
        "Before and after",
        "What would have come by itself",
        "Against a service where nobody acted",
        "What must not get worse",
        "Slow again, number",
    ]
    assert [page.index(one) for one in order] == sorted(page.index(one) for one in order)
    assert "more than Accounts changed in the same days" in page


def test_the_handbooks_numbers_stand_on_the_page_and_in_the_api(cast: Cast) -> None:
    handbook(cast)
    action = recorded(cast, replace(PLAN, comparison=cast.accounts))
    page = result(cast, action)
    assert "After minus before: +15.0 points [4.9, 24.8] ." in page
    assert "+13.2 points [0.1, 26.1] more than Accounts" in page
    assert "Before it was 60.0 %; drawn" in page
    assert "it is 60.9 %. So +0.9 points would be expected" in page
    told = browser(cast).get(f"/api/v1/improvements/{action.pk}/", headers=key(cast)).json()
    assert told["effect"]["verdict"] == "improved"
    assert told["effect"]["beyond"] == pytest.approx(0.1323232)
    assert told["figure"]["before"]["numerator"] == 96
    assert told["figure"]["before"]["slice"]["capability"] == "network"
    assert told["compared"]["after"]["denominator"] == 198
    assert told["told_from"] == "2026-06-24"
    assert "Olga" not in str(told)


def test_what_is_not_told_yet_says_what_it_takes(cast: Cast) -> None:
    answered(cast, 24, 40, at=BEFORE)
    answered(cast, 27, 40, at=AFTER)
    page = result(cast, recorded(cast))
    assert "Cannot tell yet. A change of +10.0 points, as expected, takes about 93 answers" in page
    assert "40 and 40 are there" in page
    assert "No comparison was named" in page


def test_before_the_days_are_over_there_are_figures_so_far_and_no_verdict(cast: Cast) -> None:
    with acting(cast.acme.pk):
        member = Member(cast.olga, cast.acme, frozenset({Role.PROCESS_OWNER}))
    answered(cast, 96, 160, at=BEFORE)
    answered(cast, 30, 40, at=AFTER)
    action = recorded(cast)
    with acting(cast.acme.pk):
        early = improvements.result_page(
            member=member,
            slug="network",
            action_id=action.pk,
            now=datetime(2026, 5, 6, 9, tzinfo=UTC),
        )
    assert early is not None
    assert early.verdict == "no verdict yet"
    assert early.why.startswith("These are figures so far")
    assert not early.difference
    assert "So far 30 of 40" in early.windows[0].after


def test_an_action_is_recorded_and_corrected_on_its_page(cast: Cast) -> None:
    olga = browser(cast)
    assert olga.post(LIST, form()).status_code == 302
    page = olga.get(LIST).content.decode()
    assert "<b>second</b>" not in page
    assert "No verdict yet" in page
    assert "+10.0 points" in page
    with acting(cast.acme.pk):
        (action,) = ImprovementAction.objects.for_tenant(cast.acme)
    wrong = olga.get(LIST, {"corrects": action.pk}).content.decode()
    assert 'value="10.00"' in wrong
    assert olga.post(LIST, form(corrects=str(action.pk), expected="12,5")).status_code == 302
    with acting(cast.acme.pk):
        new = ImprovementAction.objects.get(corrects=action)
    assert new.expected == Decimal("0.125")
    assert f"{LIST}{new.pk}/" in olga.get(f"{LIST}{action.pk}/").content.decode()
    assert "Record it" not in browser(cast, "bea").get(LIST).content.decode()
    assert browser(cast, "bea").post(LIST, form()).status_code == 404


def test_what_is_refused_says_why_and_keeps_what_was_written(cast: Cast) -> None:
    for wrong, why in (
        ({"acts_on": "soon"}, "Name the day of acting"),
        ({"acts_on": "2020-01-01"}, "before the day of acting"),
        ({"expected": "much"}, "are numbers"),
        ({"expected": "nan"}, "are numbers"),
        ({"expected": "1e999999"}, "by how many points"),
        ({"days_before": ""}, "are numbers"),
        ({"comparison": "nowhere"}, "whose figures you read"),
        ({"corrects": "4711"}, "is not there"),
        ({"words": "x" * 501}, "longer than"),
        ({"metric": "happiness"}, "no share with a good direction"),
    ):
        answer = browser(cast).post(LIST, form(**wrong))
        assert answer.status_code == 400, wrong
        assert why in answer.content.decode(), wrong
        assert 'value="accounts" selected' in answer.content.decode() or "comparison" in wrong
    with acting(cast.acme.pk):
        assert not ImprovementAction.objects.for_tenant(cast.acme).exists()


def test_a_comparison_is_told_only_to_whoever_reads_it(cast: Cast) -> None:
    handbook(cast)
    action = recorded(cast, replace(PLAN, comparison=cast.accounts))
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        other = BusinessUnit.objects.create(tenant=cast.acme, name="Plant")
        Capability.objects.filter(pk=cast.accounts.pk).update(business_unit=other)
    page = browser(cast, "bea").get(f"{LIST}{action.pk}/").content.decode()
    assert "Improved, proven" in page
    for told in ("152 of 198", "150 of 200", "13.2 points", "Accounts"):
        assert told not in page
    assert "13.2 points" in result(cast, action)  # to Olga, who owns both


def test_the_list_does_not_read_years_for_its_verdicts(cast: Cast) -> None:
    now = timezone.now()
    recorded(cast, replace(PLAN, acts_on=(now - timedelta(days=600)).date()), at=now - 700 * DAY)
    assert "told on its page" not in browser(cast).get(LIST).content.decode()
    old = replace(PLAN, acts_on=(now - timedelta(days=800)).date())
    action = recorded(cast, old, at=now - 900 * DAY)
    assert "Told on its page" in browser(cast).get(LIST).content.decode()
    assert "Too few answers before: nothing is shown of them." in result(cast, action)


def test_an_action_is_marked_on_the_courses_of_its_service(cast: Cast) -> None:
    answered(cast, 8, 12, at=BEFORE)
    for week in range(12):
        answered(cast, 8, 12, at=datetime(2026, 3, 4, 9, tzinfo=UTC) + timedelta(weeks=week))
    recorded(cast)
    asked = {"metric": "csat_share.share", "every": "week"}
    page = browser(cast).get("/acme/capabilities/network/trends/", asked).content.decode()
    assert [one.count('class="happened"') for one in drawn(page)] == [1, 1]
    assert "improvement action on 10 April 2026: A second line on Mondays" in page


def test_the_api_lists_what_was_recorded_for_one_service_or_all(cast: Cast) -> None:
    recorded(cast)
    recorded(cast, capability=cast.accounts)
    api, headers = browser(cast), key(cast)
    told = api.get("/api/v1/improvements/", headers=headers).json()
    assert [one["capability"] for one in told] == ["accounts", "network"]
    one = api.get("/api/v1/improvements/?capability=network", headers=headers).json()
    assert [each["expected"] for each in one] == [0.1]
    assert api.get("/api/v1/improvements/?capability=no", headers=headers).status_code == 400
    assert api.get("/api/v1/improvements/?who=olga", headers=headers).status_code == 400
    assert api.get("/api/v1/improvements/4711/", headers=headers).status_code == 404


def test_pages_ask_no_more_for_more_rows(cast: Cast, django_assert_max_num_queries: Any) -> None:
    handbook(cast)
    action = recorded(cast, replace(PLAN, comparison=cast.accounts))
    olga = browser(cast)
    olga.get("/acme/")  # a new session is written once
    with django_assert_max_num_queries(33):
        olga.get(f"{LIST}{action.pk}/")
    for day in range(4):
        recorded(cast, replace(PLAN, acts_on=date(2026, 4, 11 + day)))
    with django_assert_max_num_queries(33):
        olga.get(LIST)
