"""Evidence on the scorecard: in full beside the first figure that names it, elsewhere a pointer."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from metrics.definitions import METRICS
from tests.factories import Cast
from tests.metrics.test_evidence import wrote
from tests.metrics.told import enter, moved, news
from tests.portal.test_one_number import PERIOD
from tickets.canonical import EventType


def scorecard(cast: Cast, name: str = "olga") -> str:
    client = Client()
    client.force_login(getattr(cast, name))
    return client.get("/acme/capabilities/network/", PERIOD).content.decode()


def card(page: str, anchor: str) -> str:
    return page.split(f'id="{anchor}"')[1].split("</section>", maxsplit=1)[0]


def test_comments_stand_once_and_other_figures_point_at_them(cast: Cast) -> None:
    for number in range(5):
        wrote(cast, f"Comment {number}")
    page = scorecard(cast)
    assert page.count("Comment 0") == 1
    assert "Comment 0" in card(page, "csat-share-share")
    assert 'As beside <a href="#csat-share-share">Satisfied</a>' in card(page, "reopen-rate-rate")


def test_without_evidence_each_figure_says_which_is_missing_and_why(cast: Cast) -> None:
    page = scorecard(cast)
    assert "Comments are shown once at least five are there." in card(page, "reopen-rate-rate")
    for metric in METRICS:
        if metric.not_kept:
            assert metric.not_kept in page.replace("&#x27;", "'"), metric.key


def test_severities_tell_apart_what_was_escalated(cast: Cast) -> None:
    for severity in ("high", "low"):
        why = {"kind": "functional", "reason": f"too hard a {severity}"}
        enter(cast, news(severity, (1, EventType.ESCALATED, why), moved(9, "resolved"),
                         severity=severity))  # fmt: skip
    page = scorecard(cast)
    high = page.split('id="family-speed-high"')[1].split("<section")[0]
    assert "too hard a high" in high
    assert "too hard a low" not in high


def test_whoever_reads_policy_denials_only_sees_no_other_evidence(cast: Cast) -> None:
    for number in range(5):
        wrote(cast, f"Comment {number}")
        wrote(cast, f"Denied {number}", policy_denial=True)
    page = scorecard(cast, "pia")
    assert "Denied 0" in page
    assert "Comment 0" not in page


@pytest.mark.parametrize("name", ["T\n1", "T\r\n", "owner/repo#12", "a//b/", "a?b%2F", "\t"])
def test_a_ticket_of_whatever_name_leads_to_its_page(cast: Cast, name: str) -> None:
    """Ids that are refused today may have been stored before."""
    why = {"kind": "functional", "reason": "too hard"}
    enter(cast, news(name, (1, EventType.ESCALATED, why), moved(9, "resolved")))
    client = Client()
    client.force_login(cast.olga)
    page = client.get("/acme/capabilities/network/", PERIOD)
    assert page.status_code == 200
    [address] = set(re.findall(r'href="(/acme/tickets/desk/[^"]+)"', page.content.decode()))
    ticket = client.get(address)
    assert ticket.status_code == 200
    assert ticket.resolver_match.kwargs["external_id"] == name
