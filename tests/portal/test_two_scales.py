"""Answers that came on two scales are never told as one figure, on any page (METRICS.md M03)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.test import Client

from metrics.own import own_readings
from portal.tenancy.context import acting
from surveys.models import Answer, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MONDAY, asked, enter, moved, news, replied
from tests.portal.test_comparisons import SPRING
from tickets.models import AgentAccount, Attribution, Resolution

MARCH_ONLY = {"from": "2026-03-01", "until": "2026-04-01"}


def browser(cast: Cast, name: str = "olga") -> Client:
    client = Client()
    client.force_login(getattr(cast, name))
    return client


@pytest.mark.parametrize("name", ["sam", "olga", "bea", "agnes"])
def test_home_says_what_it_cannot_tell(cast: Cast, name: str) -> None:
    for capability in (cast.network, cast.accounts):
        for score in [5] * 12:
            asked(cast, score, scale="csat_1_5", capability=capability)
        for score in [1] * 12:
            asked(cast, score, scale="two_point", capability=capability)
    with time_machine.travel(datetime(2026, 4, 20, tzinfo=UTC), tick=False):
        page = browser(cast, name).get("/acme/")
    assert page.status_code == 200
    if name == "sam":
        assert "side by side, never as one figure" in page.content.decode()


def test_a_change_of_scale_is_no_change_of_satisfaction(cast: Cast) -> None:
    for score in [5] * 30 + [1] * 30:
        asked(cast, score)
    for score in [1] * 50 + [0] * 10:
        asked(cast, score, scale="two_point", at=MONDAY + 42 * DAY)
    question = {"by": "severity", "capability": "network", "metric": "csat_share.share", **SPRING}
    page = browser(cast).get("/acme/compare/", question).content.decode()
    assert "not compared: the answers came on two scales, csat_1_5 and two_point" in page
    assert "Unknown: the answers came on two scales" in page
    assert "mproved" not in page


def test_services_on_another_scale_are_left_out_of_the_ranking(cast: Cast) -> None:
    for score in [5] * 30 + [1] * 10:
        asked(cast, score, capability=cast.network)
    for score in [1] * 10 + [0] * 10:
        asked(cast, score, scale="two_point", capability=cast.accounts)
    page = browser(cast).get("/acme/drivers/", MARCH_ONLY).content.decode()
    assert "on another one than most: Accounts" in page
    assert "10 of 40" in page
    assert "of 60" not in page


def rate(cast: Cast, scale: str, score: int, resolutions: list[Resolution]) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for one in resolutions:
            event = SurveyedEvent.objects.create(
                tenant=cast.acme,
                ticket=one.ticket,
                event_key=one.event_key,
                at=one.at,
                decision="imported",
                capability=cast.network,
                severity="medium",
                scale=scale,
            )
            Answer.objects.create(
                tenant=cast.acme,
                event=event,
                score=score,
                answered_at=one.at + HOUR,
                released_at=one.at + 2 * HOUR,
            )


def test_an_agents_own_satisfaction_is_of_one_scale_and_of_satisfaction_alone(cast: Cast) -> None:
    lives = (news(f"T{n}", replied(1), moved(6, "resolved")) for n in range(24))
    enter(cast, *lives)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        account = AgentAccount.objects.get(external_id="agnes@acme.example")
        Attribution.objects.filter(agent=account).update(person=cast.agnes)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        resolutions = list(Resolution.objects.order_by("pk").select_related("ticket"))

    def own(now: datetime) -> str:
        with acting(cast.acme.pk, person_id=cast.agnes.pk):
            return {one.now.key: one.now for one in own_readings(cast.acme, now=now)}[
                "csat_share"
            ].sentence

    later = MONDAY + timedelta(days=60)
    rate(cast, "csat_1_5", 3, resolutions[:10])
    rate(cast, "ces_ease", 7, resolutions[20:])
    assert own(later) == "0.0 % of the answers were satisfied (0 of 10)."
    rate(cast, "two_point", 1, resolutions[10:20])
    assert own(later) == (
        "Unknown: the answers came on several scales, which are never told as one figure."
    )
