"""After three months that could not tell, a target says what would settle it (METRICS.md D7)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import Cast
from tests.metrics.told import MONDAY, asked
from tests.portal.test_one_number import browser
from tests.portal.test_readings import sheet

SPRING = {"from": "2026-02-01", "until": "2026-05-01"}
SAID = (
    "Three months in a row could not tell whether the target (at least 50.0 %) is met: look at a"
    " longer window, or ask more people. About 97 answers in it would settle that; these had 60."
)


@pytest.mark.parametrize(("months", "proposed"), [(3, True), (2, False)])
def test_the_page_says_how_many_answers_would_settle_it(
    cast: Cast, months: int, proposed: bool
) -> None:
    """Two months and a third that is met are the negative control."""
    sheet(cast, signed=True, metric="csat_share.share", value="0.5")
    for month, days in enumerate((-20, 0, 35)):  # in February, March and April
        for number in range(20):  # 60 % of twenty: half lies inside the interval
            score = 5 if number < 12 or month >= months else 1
            asked(cast, score, at=MONDAY + timedelta(days=days))
    page = browser(cast).get("/acme/capabilities/network/", SPRING).content.decode()
    assert (SAID in page) is proposed


def test_a_target_that_is_only_proposed_asks_for_nothing(cast: Cast) -> None:
    sheet(cast, signed=False, metric="csat_share.share", value="0.5")
    for days in (-20, 0, 35):
        for number in range(20):
            asked(cast, 5 if number < 12 else 1, at=MONDAY + timedelta(days=days))
    page = browser(cast).get("/acme/capabilities/network/", SPRING).content.decode()
    assert "Three months in a row" not in page
