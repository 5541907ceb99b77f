"""What is decided by figures: actions, realistic targets, surveys on trial; in a browser."""

from __future__ import annotations

import pytest

from tests.factories import PASSWORD
from tests.journeys.conftest import BOTH, Visitor
from tests.journeys.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(installation: Installation) -> Installation:
    installation.set_the_stage()
    installation.set_the_stage(scene="stage_decisions")
    return installation


def main(visitor: Visitor) -> str:
    return visitor.page.locator("main").inner_text()


def test_an_action_is_recorded_read_and_corrected(stage: Installation, visitor: Visitor) -> None:
    page, here = visitor.page, "/acme/capabilities/network/improvements/"
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open(here, schemes=BOTH)
    visitor.follow(page.get_by_role("link", name="A second line on Mondays"), schemes=BOTH)
    assert "Improved, proven." in main(visitor)
    assert "+15.0 points [4.9, 24.8]" in main(visitor)
    assert "+13.2 points [0.1, 26.1] more than Accounts" in main(visitor)
    visitor.follow(page.get_by_role("link", name="Correct this record"))
    page.get_by_label("What is done").fill("Two more on Mondays")
    visitor.follow(page.get_by_role("button", name="Record it"), schemes=BOTH)
    visitor.follow(page.get_by_role("link", name="Two more on Mondays"), schemes=BOTH)
    assert "was chosen with figures in sight" in main(visitor)


def test_a_realistic_target_is_suggested(stage: Installation, visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/targets/propose/", schemes=BOTH)
    page.get_by_label("Service", exact=True).select_option("network")
    page.get_by_label("Maturity of the process").select_option("2")
    page.get_by_text("Where others stand", exact=True).click()
    page.get_by_label("Satisfied: where others stand").fill("85")
    visitor.follow(page.get_by_role("button", name="Suggest"), schemes=BOTH)
    assert "A benchmark has a source and a date" in main(visitor)
    page.get_by_label("Satisfied: who says so").fill("the yearbook")
    page.get_by_label("Satisfied: of when").fill("2026-01-15")
    visitor.follow(page.get_by_role("button", name="Suggest"), schemes=BOTH)
    assert "(the yearbook, 15 January 2026); the process has maturity 2" in main(visitor)
    assert "You decide." in main(visitor)


def test_a_survey_on_trial_is_decided(stage: Installation, visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("sam@acme.example", PASSWORD)
    visitor.open("/acme/surveys/pilots/", schemes=BOTH)
    visitor.follow(page.locator("main").get_by_role("link", name="IT"), schemes=BOTH)
    assert "Extend by 30 days: it cannot be told yet." in main(visitor)
    page.get_by_label("Why").fill("Too few of the answers are about work that came back.")
    visitor.follow(page.get_by_role("button", name="Decide"), schemes=BOTH)
    assert "extended 1 time" in main(visitor)
