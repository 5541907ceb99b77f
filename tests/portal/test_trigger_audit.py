"""What each trigger of the survey did, for those who run a service (METRICS.md M07)."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from portal.tenancy.context import acting
from surveys.models import Campaign, NotSent, SurveyedEvent
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, MONDAY, asked
from tests.portal.test_one_number import PERIOD, browser


def campaign(cast: Cast, name: str, minutes: int = 10) -> Campaign:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        return Campaign.objects.create(
            tenant=cast.acme, name=name, starts_at=MONDAY, effort_threshold_minutes=minutes
        )


def too_small(cast: Cast, by: Campaign) -> SurveyedEvent:
    """An event that was not asked about, because it took no time."""
    event = asked(cast, campaign=by)
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        event.invitation.delete()
        SurveyedEvent.objects.filter(pk=event.pk).update(decision="not_sent")
        NotSent.objects.create(tenant=cast.acme, event=event, reason="low_effort")
    return event


def audited(cast: Cast, person: str = "olga") -> dict[str, list[str]]:
    """The cells of each trigger's row."""
    page = browser(cast, person).get("/acme/detectors/", PERIOD).content.decode()
    section = re.search(r'aria-labelledby="triggers".*?</section>', page, re.DOTALL)
    found = section.group() if section else ""
    rows = [
        [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)<", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", found)[1:]
    ]
    return {row[1]: [row[0], *row[2:]] for row in rows}


def test_each_trigger_tells_fired_sent_answered_dissatisfied_and_trivial(cast: Cast) -> None:
    every, urgent = campaign(cast, "After each"), campaign(cast, "Urgent ones", minutes=0)
    for number in range(12):
        asked(cast, 1 if number < 3 else 5, campaign=every, at=MONDAY + number * DAY)
    asked(cast, 1, campaign=every, policy_denial=True)  # answered, and no answer about the service
    asked(cast, campaign=every)
    for _ in range(6):
        too_small(cast, every)
    for _ in range(5):
        asked(cast, 2, campaign=urgent)
    assert audited(cast) == {
        "After each": ["Network", "20", "14", "13", "3 of 12", "30.0 % (6 within 10 min)"],
        "Urgent ones": ["Network", "5", "5", "5", "5 of 5", "asks about all"],
    }


@pytest.mark.parametrize("few", range(1, 5))
def test_a_trigger_with_few_answers_cannot_be_found_by_subtraction(cast: Cast, few: int) -> None:
    every, rare = campaign(cast, "After each"), campaign(cast, "Rare")
    for _ in range(9):
        asked(cast, 5, campaign=every)
    assert audited(cast)["After each"][4] == "0 of 9"
    for _ in range(few):
        asked(cast, 1, campaign=rare)
    assert {row[4] for row in audited(cast).values()} == {"too few to say"}


def test_nor_can_answers_that_no_trigger_asked_for(cast: Cast) -> None:
    every = campaign(cast, "After each")
    for _ in range(9):
        asked(cast, 5, campaign=every)
    asked(cast, 1)
    assert audited(cast)["After each"][4] == "too few to say"


def test_other_days_and_other_services_are_not_in_it(cast: Cast) -> None:
    every = campaign(cast, "After each")
    asked(cast, 5, campaign=every, at=MONDAY - timedelta(days=20))
    asked(cast, 5, campaign=every, capability=cast.accounts)
    assert "Network" not in {row[0] for row in audited(cast).values()}
