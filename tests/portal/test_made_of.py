"""What a figure is made of stands on its page, whichever view of a metric it is (1.14)."""

from __future__ import annotations

import re
from html import unescape

from django.test import Client

from tests.factories import Cast
from tests.metrics.told import asked, commented, enter, moved, news, replied, themed

PERIOD = {"from": "2026-03-01", "until": "2026-04-01"}


def terms(cast: Cast, heading: str) -> dict[str, str]:
    """The definitions that stand under a heading of the scorecard."""
    client = Client()
    client.force_login(cast.olga)
    page = client.get("/acme/capabilities/network/", PERIOD).content.decode()
    listed = re.search(rf"<h3>{heading}</h3>.*?<dl>(.*?)</dl>", page, re.DOTALL)
    assert listed, heading
    told = re.findall(r"<dt>(.*?)<dd>([^<]*)", listed.group(1), re.DOTALL)
    return {unescape(term): unescape(said).strip() for term, said in told}


def test_beside_times_to_resolution_stand_pauses_closings_for_inactivity_and_guardrails(
    cast: Cast,
) -> None:
    asked_back = moved(1, "waiting_on_requester"), moved(3, "open"), moved(26, "resolved")
    enter(cast, news("asked back", replied(1), *asked_back))
    enter(cast, news("given up", replied(1), moved(2, "resolved", resolution="inactivity")))
    told = terms(cast, "Time to resolution, medium")
    assert told["Share of the time that was paused"] == "16.7 %"
    assert told["Median of what was resolved: closed for inactivity"] == "1"
    assert told["Guardrail"].startswith("Satisfied: ")


def test_what_follows_from_further_views_stands_on_their_card(cast: Cast) -> None:
    for score in (7, 7, 6, 5, 5, 4, 3, 7, 6, 6):
        asked(cast, score, scale="ces_ease")
    effort = terms(cast, "Effort")
    assert effort["Average effort or ease: percent of the greatest ease"] == "76.7"
    burden = terms(cast, "Coverage of the survey")
    assert burden["Asked too often: invitations, nine in ten people at most"] == "1.0"


def test_each_theme_tells_how_many_of_its_comments_came_with_a_dissatisfied_score(
    cast: Cast,
) -> None:
    themed(cast, "VPN")
    for number in range(12):
        commented(cast, 1 if number < 3 else 5, f"VPN is slow, number {number}.")
    told = terms(cast, "What comments are about")
    assert told["Theme: VPN"] == "12"
    assert told["Dissatisfied, by theme: dissatisfied: VPN"] == "25.0 %"
