"""From a connected help desk to mapped words and named flaws, in a real browser."""

from __future__ import annotations

import pytest

from tests.factories import PASSWORD
from tests.journeys.conftest import Visitor
from tests.journeys.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCE = "/acme/sources/zammad/"


@pytest.fixture(scope="module")
def stage(installation: Installation) -> Installation:
    if "acme" not in installation.manage("shell", "-v0", "-c", ORGANISATIONS):
        installation.set_the_stage()
    installation.set_the_stage(scene="stage_sources")
    return installation


ORGANISATIONS = (
    "from portal.tenancy.models import Organisation;"
    "import sys; sys.stdout.write(' '.join(Organisation.objects.values_list('slug', flat=True)))"
)


def test_words_are_mapped_previewed_saved_and_what_is_left_is_told(
    stage: Installation, visitor: Visitor
) -> None:
    page = visitor.page
    visitor.sign_in("ada@acme.example", PASSWORD)
    visitor.open("/acme/sources/")
    assert "Waits for its mapping" in page.locator("main").inner_text()
    visitor.open("/acme/sources/connect/")
    visitor.open("/acme/sources/connect/?kind=zammad")
    # The browser itself would not send an empty form.
    page.locator("main form").last.evaluate("form => { form.noValidate = true }")
    visitor.press(page.get_by_role("button", name="Connect"))
    assert page.locator("[aria-invalid=true]").count(), "its mistakes are not named"
    visitor.check()
    for part in ("access/", "hook/", "roles/", "mapping/versions/"):
        visitor.open(f"{SOURCE}{part}")

    visitor.open(f"{SOURCE}mapping/")
    page.get_by_role("button", name="Look at its words").click()
    page.get_by_role("heading", name="Statuses").wait_for(timeout=20_000)  # by itself
    visitor.check()
    visitor.press(page.get_by_role("button", name="Fill in the sure suggestions"))
    page.get_by_role("heading", name="Statuses").wait_for()
    visitor.press(page.get_by_role("button", name="Preview"))
    page.get_by_text("Nothing is written until you save").wait_for(timeout=20_000)
    visitor.check()
    visitor.press(page.get_by_role("button", name="Save version 1"))
    page.get_by_text("Version 1 is saved").wait_for()
    visitor.check()
    visitor.open(f"{SOURCE}mapping/versions/")

    page.wait_for_timeout(6_000)  # a worker folds
    visitor.open("/acme/sources/quality/")
    assert "A status nobody has mapped" in page.locator("main").inner_text()
    visitor.press(page.get_by_role("link", name="Map the words of zammad").first)
    assert "Words of zammad" in page.title()
    visitor.open(SOURCE)


def test_the_mapping_is_done_by_keyboard_and_without_scripts(
    stage: Installation, visitor: Visitor
) -> None:
    browser = visitor.page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{stage.url}/account/sign-in/")
    page.locator("input[name=login]").fill("ada@acme.example")
    page.locator("input[name=password]").fill(PASSWORD)
    with page.expect_navigation():
        page.locator("main").get_by_role("button", name="Sign in").click()
    page.goto(f"{stage.url}{SOURCE}mapping/")
    page.get_by_role("button", name="Look at its words").focus()
    page.keyboard.press("Enter")
    for _ in range(40):
        page.wait_for_timeout(500)
        page.goto(f"{stage.url}{SOURCE}mapping/")
        if page.get_by_role("heading", name="Statuses").count() and not (
            page.get_by_text("A worker looks").count()
        ):
            break
    waiting = page.locator("select.waits").first
    waiting.focus()
    page.keyboard.type("waiting for a th")
    page.keyboard.press("Tab")
    assert waiting.input_value() == "waiting_on_third_party"
    page.get_by_role("button", name="Preview").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "in memory only" in page.locator("main").inner_text()
    context.close()
