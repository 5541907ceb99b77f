"""From an export to a signed target: the main job, in a real browser, nothing mocked."""

from __future__ import annotations

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.factories import PASSWORD
from tests.journeys.conftest import Visitor
from tests.journeys.installation import Installation, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MAPPING = """
title = "Seven tickets"
rows = "tickets"

[time]
zone = "Europe/Berlin"
formats = ["%Y-%m-%d %H:%M"]

[columns]
ticket = "number"
opened_at = "opened"
requester = "caller"
capability = "what"

[defaults]
severity = "medium"

[values.capability]
"Network" = "network"
"""

#: Three agents resolve five tickets of five people.
CASES = [
    ("T-1", "ann", "agnes@acme.example", 5),
    ("T-2", "ben", "arjun@acme.example", 4),
    ("T-3", "cem", "third@acme.example", 5),
    ("T-4", "dia", "agnes@acme.example", 2),
    ("T-5", "eli", "arjun@acme.example", 4),
]


@pytest.fixture(scope="module")
def stage(installation: Installation) -> Installation:
    installation.set_the_stage()
    return installation


@pytest.fixture(scope="module")
def key(stage: Installation) -> str:
    printed = stage.manage(
        "create_api_key", "--organisation", "acme", "--administrator", "ada@acme.example",
        "--name", "journey", "--scope", "ingest:events", "--scope", "read:internal",
    )  # fmt: skip
    return printed.strip()


def tell(stage: Installation, key: str, events: list[dict[str, object]]) -> None:
    request = urllib.request.Request(  # noqa: S310
        f"{stage.url}/api/v1/ingest/events/",
        data=json.dumps(events).encode(),
        method="POST",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        results = json.load(answer)["results"]
    assert {one["status"] for one in results} == {"created"}, results


def ticket_event(
    type_: str, ticket: str, at: datetime, data: dict[str, object]
) -> dict[str, object]:
    return {
        "id": f"{ticket}-{type_}", "source": "desk", "type": f"com.wellserved.{type_}.v1",
        "subject": ticket, "time": at.isoformat(), "data": data,
    }  # fmt: skip


def get(stage: Installation, key: str, path: str) -> dict[str, object]:
    request = urllib.request.Request(  # noqa: S310
        f"{stage.url}/api/v1/{path}", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        found: dict[str, object] = json.load(answer)
    return found


def test_resolved_tickets_are_asked_about_answered_and_counted_together(
    stage: Installation, key: str, browser: Browser
) -> None:
    """Resolve by API, receive the mail, answer; the fifth answer releases all five."""
    now = datetime.now(UTC)
    for ticket, person, agent, _ in CASES:
        actor = {"id": agent, "kind": "agent"}
        done = now - timedelta(minutes=1)
        reply = "Please restart the client and sign in again with your new password."
        tell(stage, key, [
            ticket_event("ticket.created", ticket, now - timedelta(hours=5), {
                "subject": f"Nothing works for {person}", "capability": "accounts",
                "requester": {"id": person, "email": f"{person}@acme.example"},
                "severity": "medium", "status": "open",
            }),
            ticket_event("ticket.assigned", ticket, done, {"to": agent}),
            ticket_event(
                "ticket.message", ticket, done, {"public": True, "actor": actor, "text": reply}
            ),
            ticket_event("ticket.status_changed", ticket, done, {"to": "resolved", "actor": actor}),
        ])  # fmt: skip
    mails = stage.postbox.wait_for(len(CASES))
    assert len(mails) == len(CASES)
    links = {}
    for mail in mails:
        text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        links[str(mail["To"])] = re.search(r"http://[^\s]+/s/[^\s?]+", text).group()  # type: ignore[union-attr]
    for count, (_, person, _, score) in enumerate(CASES, start=1):
        link = next(link for to, link in links.items() if person in to)
        context = browser.new_context()
        visitor = Visitor(context.new_page(), stage)
        visitor.open(f"{link.removeprefix(stage.url)}?score={score}")
        visitor.press(visitor.page.get_by_role("button").first)
        visitor.check()
        if count == 1:
            assert "waiting" in visitor.page.locator("main").inner_text().lower()
        context.close()
    today = datetime.now(UTC).date()
    question = (
        "readings/?metric=csat_share&capability=accounts"
        f"&from={today - timedelta(days=1)}&until={today + timedelta(days=1)}"
    )

    def counted() -> bool:
        reading = get(stage, key, question)
        so_far = reading["so_far"]
        return bool(so_far) and so_far["denominator"] == len(CASES)  # type: ignore[index]

    wait_until(counted, 30, "five released answers")


def test_an_agent_sees_own_readings_and_nobody_else_does(
    stage: Installation, visitor: Visitor
) -> None:
    visitor.sign_in("agnes@acme.example", PASSWORD)
    visitor.open("/acme/my-readings/")
    assert "Only you, Agnes" in visitor.page.locator("main").inner_text()
    visitor.open("/acme/", status=200)


def test_another_person_is_refused_an_agents_page(stage: Installation, visitor: Visitor) -> None:
    visitor.sign_in("sam@acme.example", PASSWORD)
    visitor.open("/acme/my-readings/", status=404)


def test_the_scorecard_reads_well_at_both_sizes(stage: Installation, visitor: Visitor) -> None:
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/")
    visitor.open("/acme/capabilities/accounts/")
    visitor.open("/acme/capabilities/accounts/trends/")
    visitor.open("/acme/capabilities/accounts/declared/")
    visitor.open("/acme/capabilities/accounts/happened/")
    visitor.open("/acme/compare/")
    visitor.open("/acme/compare/?by=tenure&metric=resolution_time.cohort_median")
    visitor.open("/acme/drivers/")
    visitor.open("/acme/detectors/")
    visitor.open("/acme/voice/themes/")
    visitor.open("/acme/self-service/second-reading/")
    visitor.open("/acme/method/")


def test_an_import_shows_on_the_scorecard(
    stage: Installation, visitor: Visitor, tmp_path: Path
) -> None:
    """Preview a file, import it, import it again, and find its volume on the page."""
    rows = "\n".join(
        f"I-{n},{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d %H:%M},u{n},Network"
        for n in range(7)
    )
    export = tmp_path / "export.csv"
    export.write_text(f"number,opened,caller,what\n{rows}\n")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    command = (
        "import_tickets", "--organisation", "acme", "--source", "export", "--mapping",
        str(mapping), str(export),
    )  # fmt: skip
    stage.manage(*command, "--preview")
    stage.manage(*command)
    assert "nothing" in stage.manage(*command).lower()
    visitor.sign_in("olga@acme.example", PASSWORD)
    visitor.open("/acme/capabilities/network/")
    assert "7 tickets were opened" in visitor.page.locator("main").inner_text()


def test_a_target_is_proposed_accepted_cosigned_and_seen(
    stage: Installation, browser: Browser
) -> None:
    """Three people sign one sheet; before the last signature it turns nothing "met"."""

    def someone(email: str) -> Visitor:
        context = browser.new_context()
        person = Visitor(context.new_page(), stage)
        person.sign_in(email, PASSWORD)
        return person

    olga = someone("olga@acme.example")
    olga.open("/acme/targets/propose/")
    olga.page.locator("textarea[name=rationale]").fill("To begin with.")
    olga.page.locator("input[name=password]").fill(PASSWORD)
    olga.press(olga.page.get_by_role("button", name="Propose and sign"))
    olga.check()
    assert "proposed" in olga.page.locator("main").inner_text()
    sheet = olga.page.url.removeprefix(stage.url)
    olga.open("/acme/capabilities/accounts/")
    assert "Target proposed, not signed" in olga.page.locator("main").inner_text()

    sam = someone("sam@acme.example")
    sam.open(f"{sheet}accept/")
    sam.page.locator("input[name=password]").fill(PASSWORD)
    sam.press(sam.page.get_by_role("button", name="Sign").last)
    sam.check()
    assert "partially signed" in sam.page.locator("main").inner_text()

    bea = someone("bea@acme.example")
    bea.open(sheet)
    bea.press(bea.page.get_by_role("link", name="Read and co-sign"))
    bea.page.get_by_text("I co-sign these targets").first.wait_for()
    bea.check()
    bea.page.locator("input[name=password]").fill(PASSWORD)
    bea.press(bea.page.get_by_role("button", name="Sign").last)
    bea.check()
    assert "signed" in bea.page.locator("main").inner_text()
    assert "not yet" not in bea.page.locator("main").inner_text()

    olga.open("/acme/capabilities/accounts/")
    assert "Target signed, not in force in this period" in olga.page.locator("main").inner_text()
    assert "chain sound" in stage.manage("verify_audit", "--organisation", "acme")
