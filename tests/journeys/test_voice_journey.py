"""What people see and say beside the figures, and how it is decided to measure: in a browser."""

from __future__ import annotations

import pytest

from tests.factories import PASSWORD
from tests.journeys.conftest import BOTH, SIZES, Visitor
from tests.journeys.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def stage(installation: Installation) -> Installation:
    installation.set_the_stage()
    installation.set_the_stage(scene="stage_voice")
    return installation


def main(visitor: Visitor) -> str:
    return visitor.page.locator("main").inner_text()


def test_an_observation_is_written_answered_and_seen_beside_the_figure(
    stage: Installation, visitor: Visitor
) -> None:
    page, here = visitor.page, "/acme/voice/observations/"
    visitor.sign_in("agnes@acme.example", PASSWORD)
    visitor.open(here, schemes=BOTH)
    page.get_by_label("Service").select_option("network")
    page.get_by_label("What did you see?").fill(" ")
    visitor.follow(page.get_by_role("button", name="Keep it"), schemes=BOTH)
    page.get_by_label("Read beside").select_option("backlog")
    page.get_by_label("What did you see?").fill("Agnes: what is old here waits for one supplier.")
    visitor.follow(page.get_by_role("button", name="Keep it"), schemes=BOTH)
    assert "Not answered yet" in main(visitor)
    visitor.follow(page.get_by_role("button", name="Sign out"))

    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open(here)
    assert "[name]: what is old here" in main(visitor)
    page.get_by_text("Say what becomes of it").click()
    visitor.check(schemes=BOTH)
    page.get_by_label("What becomes of it").select_option("acted")
    page.get_by_label("Why, or what is done").fill("A second supplier is asked.")
    visitor.follow(page.get_by_role("button", name="Answer"))
    assert "Something is being changed: A second supplier is asked. (Olga" in main(visitor)
    visitor.open("/acme/capabilities/network/?from=2026-01-01&until=2026-12-31", schemes=BOTH)
    assert "an agent, week" in main(visitor)


def test_a_ticket_is_drawn_and_reviewed(stage: Installation, visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("sam@acme.example", PASSWORD)
    visitor.open("/acme/voice/quality-reviews/", schemes=BOTH)
    visitor.follow(page.locator("section[aria-labelledby=drawn] a").first, schemes=BOTH)
    assert "Escalated: no access" in main(visitor)
    page.get_by_role("button", name="Keep the review").click()  # the browser asks for answers
    for question in page.locator("main fieldset").all():
        question.get_by_label("yes").check()
    page.get_by_label("What should change").fill("Let the form ask for the building.")
    visitor.follow(page.get_by_role("button", name="Keep the review"))
    assert "What you reviewed last" in main(visitor)


def test_the_reading_queue_is_decided_by_keyboard(stage: Installation, visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/voice/contradictions/", schemes=BOTH)
    assert "2 comments seem to say something else" in main(visitor)
    page.locator("main").get_by_role("button", name="negative").first.focus()
    page.keyboard.press("Enter")
    page.get_by_text("1 comment seems").wait_for()
    visitor.check(schemes=BOTH)
    visitor.follow(page.locator("main").get_by_role("button", name="unclear").first, schemes=BOTH)
    assert "Nothing waits to be read" in main(visitor)


def test_drawn_comments_are_read_blind(stage: Installation, visitor: Visitor) -> None:
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/voice/drawn-comments/", schemes=BOTH)
    assert "2 comments drawn by chance wait for you" in main(visitor)
    assert "Rated" not in main(visitor)
    buttons = visitor.page.locator("main").get_by_role("button", name="negative")
    visitor.follow(buttons.first, schemes=BOTH)
    assert "1 comment drawn by chance waits for you" in main(visitor)


def test_themes_are_confirmed_renamed_and_dismissed(stage: Installation, visitor: Visitor) -> None:
    page, here = visitor.page, "/acme/voice/themes/"
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open(here, schemes=BOTH)
    assert "2 suggested themes wait" in main(visitor)
    assert "Still broken, says number" in main(visitor)
    page.get_by_label("Name").first.fill("Came back")
    visitor.follow(page.get_by_role("button", name="Confirm").first, schemes=BOTH)
    visitor.follow(page.get_by_role("button", name="No theme").first, schemes=BOTH)
    assert "No suggestion waits" in main(visitor)
    assert page.get_by_role("heading", name="Came back").is_visible()
    assert page.get_by_role("button", name="Rename").count() == 1


def test_a_drawn_item_is_read_again(stage: Installation, visitor: Visitor) -> None:
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/self-service/second-reading/", schemes=BOTH)
    assert "2 items drawn by chance wait" in main(visitor)
    visitor.follow(visitor.page.get_by_role("button", name="This needs us").first, schemes=BOTH)
    assert "1 item drawn by chance waits" in main(visitor)


def test_declared_comparisons_stand_with_what_was_expected(
    stage: Installation, visitor: Visitor
) -> None:
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/capabilities/network/declared/", schemes=BOTH)
    assert "Not told before" in main(visitor)
    assert "High: unknown. Low: unknown. Not compared" in main(visitor)
    assert "What is urgent comes back more often." in main(visitor)


def test_a_course_is_drawn_as_large_as_its_page(stage: Installation, visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/capabilities/network/trends/?every=week", schemes=BOTH)
    page.set_viewport_size(SIZES["desk"])
    charts = page.locator("main .panel .chart")
    assert charts.get_by_role("img").count() == 1  # the other one is not there for anybody
    room, drawn = (one.bounding_box() for one in (charts, charts.get_by_role("img")))
    assert room is not None
    assert drawn is not None
    assert drawn["width"] == room["width"] > 900
    page.set_viewport_size(SIZES["phone"])
    assert charts.get_by_role("img").get_attribute("class") == "narrow"


def test_how_is_measured_is_decided_with_a_reason_and_every_version_is_told(
    stage: Installation, visitor: Visitor
) -> None:
    page, here = visitor.page, "/acme/admin/metrics/settingsversion/"
    visitor.sign_in("ada@acme.example", PASSWORD)
    visitor.open(f"{here}add/", schemes=BOTH)
    page.locator("input[name=reason]").fill("Nothing at all.")
    visitor.follow(page.locator("input[name=_save]"), schemes=BOTH)
    assert "Nothing differs from what is in force" in page.locator("#content").inner_text()
    page.locator("input[name=reopen_line]").fill("0.15")
    page.locator("input[name=reason]").fill("We promised less.")
    visitor.follow(page.locator("input[name=_save]"), schemes=BOTH)
    assert "We promised less." in page.locator("#content").inner_text()
    visitor.follow(page.locator("#result_list tbody th a").first, schemes=BOTH)
    visitor.open("/acme/method/")
    assert "We promised less." in main(visitor)


def test_the_page_of_uploads_reads_well(stage: Installation, visitor: Visitor) -> None:
    visitor.sign_in("ada@acme.example", PASSWORD)
    visitor.open("/acme/sources/upload/", schemes=BOTH)
    visitor.page.locator("input[type=file]").set_input_files(
        {
            "name": "tickets of a rather long and winding name.csv",
            "mimeType": "text/csv",
            "buffer": b"number,opened,what\n1,2026-03-02 10:00,Network\n",
        }
    )
    visitor.follow(visitor.page.get_by_role("button", name="Upload"), schemes=BOTH)
    visitor.open("/acme/sources/upload/", schemes=BOTH)
