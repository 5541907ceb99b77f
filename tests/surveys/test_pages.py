"""The pages behind a link: nothing is recorded by opening them, one button records."""

from __future__ import annotations

import hashlib
import io
import logging
import re
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from portal.tenancy.context import acting
from surveys import answering, links
from surveys.models import Answer, Comment, Invitation, LinkScan, OptOut
from tests import roles
from tests.factories import Cast
from tests.surveys.asking import (
    DAY,
    HOUR,
    agent_account,
    answer_of,
    invited,
    reason_of,
    requester,
    resolved,
)
from tests.surveys.asking import decide as decide_whom

AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
    "curl/8.5",
    "BarracudaCentral",
    "Microsoft Office/16.0",
    "",
]


@pytest.fixture
def token(cast: Cast, asking: None) -> str:
    """A link that was sent two hours ago."""
    return invited(cast, at=timezone.now() - 2 * HOUR, subject="The <printer> is on fire")


def url(token: str, rest: str = "") -> str:
    return f"/s/{token}/{rest}"


def post(client: Client, token: str, rest: str = "", **fields: Any) -> Any:
    return client.post(url(token, rest), {"nonce": links.nonce(token), **fields})


def move_window(token: str, cast: Cast, by: timedelta) -> None:
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        invitation = Invitation.objects.get(token_digest=links.digest(token))
        assert invitation.window_until is not None
        invitation.window_until += by
        invitation.save()


def survey_tables() -> list[str]:
    """Every table of the surveys room, but the one access counter."""
    models = apps.get_app_config("surveys").get_models()
    return sorted(model._meta.db_table for model in models if model is not LinkScan)


def digest(cast: Cast) -> str:
    """A digest of everything the surveys room has stored for Acme."""
    content = hashlib.sha256()
    with roles.as_role(roles.WORKER), acting(cast.acme.pk), connection.cursor() as cursor:
        for table in survey_tables():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t ORDER BY 1')
            content.update(repr((table, cursor.fetchall())).encode())
    return content.hexdigest()


def test_opening_a_link_marks_the_choice_and_records_nothing(
    cast: Cast, token: str, client: Client
) -> None:
    page = client.get(url(token, "?score=4"))
    assert page.status_code == 200
    html = page.content.decode()
    assert re.findall(r'value="(\d)" required checked', html) == ["4"]
    assert "The &lt;printer&gt; is on fire" in html
    assert "checked" not in client.get(url(token)).content.decode()
    with acting(cast.acme.pk):
        assert not Answer.objects.exists()


def test_a_post_records_and_leads_to_the_thanks(cast: Cast, token: str, client: Client) -> None:
    response = post(client, token, score=4)
    assert (response.status_code, response["Location"]) == (303, url(token, "thanks/"))
    assert answer_of(token, cast).score == 4
    thanks = client.get(url(token, "thanks/")).content.decode()
    assert "Satisfied" in thanks
    assert "four more people have answered" in thanks
    assert "It simply works again" in thanks
    assert "It still does not work" not in thanks


@pytest.mark.parametrize("fields", [{}, {"nonce": "made up"}])
def test_a_post_without_the_nonce_of_its_page_records_nothing(
    cast: Cast, token: str, client: Client, fields: dict[str, str]
) -> None:
    for rest in ("", "unsubscribe/"):
        response = client.post(url(token, rest), {"score": "1", "which": "all", **fields})
        assert response.status_code == 403
    with acting(cast.acme.pk):
        assert not Answer.objects.exists()
        assert not OptOut.objects.exists()


@pytest.mark.parametrize("score", ["", "6", "five", "-1"])
def test_a_post_without_a_choice_says_so(
    cast: Cast, token: str, client: Client, score: str
) -> None:
    response = post(client, token, score=score)
    assert response.status_code == 400
    assert "nothing was recorded" in response.content.decode()


def test_words_come_on_the_thanks_page_and_stay_there(
    cast: Cast, token: str, client: Client
) -> None:
    post(client, token, score=1)
    response = post(
        client, token, "thanks/", comment="<b>smoke</b>", reasons=["not_working"], contact="on"
    )
    assert (response.status_code, response["Location"]) == (303, url(token, "thanks/?kept=1"))
    html = client.get(response["Location"]).content.decode()
    assert "What you added is kept." in html
    assert "&lt;b&gt;smoke&lt;/b&gt;" in html
    assert 'value="not_working" checked' in html
    with acting(cast.acme.pk):
        assert Comment.objects.get().reasons == ["not_working"]
    assert answer_of(token, cast).contact_allowed


def test_an_answer_can_be_changed_until_the_window_closes(
    cast: Cast, token: str, client: Client
) -> None:
    post(client, token, score=1)
    again = client.get(url(token)).content.decode()
    assert re.findall(r'value="(\d)" required checked', again) == ["1"]
    post(client, token, score=5)
    assert answer_of(token, cast).score == 5
    move_window(token, cast, -15 * DAY)
    closed = client.get(url(token))
    assert closed.status_code == 200
    assert "already answered" in closed.content.decode()
    assert "Very satisfied" in closed.content.decode()
    assert post(client, token, score=1).status_code == 409
    assert answer_of(token, cast).score == 5


def test_each_end_of_a_link_has_its_page_and_its_status(
    cast: Cast, token: str, client: Client
) -> None:
    for rest in ("", "thanks/", "unsubscribe/", "more/"):
        assert client.get(url("x" * 43, rest)).status_code == 404
        unknown = client.post(url("x" * 43, rest))
        assert unknown.status_code == (405 if rest == "more/" else 404)
    assert client.get(url(token, "thanks/"))["Location"] == url(token)
    move_window(token, cast, -15 * DAY)
    assert client.get(url(token)).status_code == 200, "late, and read all the same"
    move_window(token, cast, -14 * DAY)
    assert client.get(url(token)).status_code == 410
    assert post(client, token, score=4).status_code == 410
    with acting(cast.acme.pk):
        assert not Answer.objects.exists()


def test_a_late_answer_is_told_what_becomes_of_it(cast: Cast, token: str, client: Client) -> None:
    move_window(token, cast, -15 * DAY)
    post(client, token, score=4)
    assert "read, not counted" in client.get(url(token, "thanks/")).content.decode()


def test_a_released_answer_is_said_to_count(cast: Cast, token: str, client: Client) -> None:
    post(client, token, score=4)
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        Answer.objects.update(released_at=timezone.now())
    assert "counted in the current figures" in client.get(url(token, "thanks/")).content.decode()
    post(client, token, score=2)
    assert "Your change is waiting" in client.get(url(token, "thanks/")).content.decode()


def test_a_signed_in_agent_cannot_answer_about_their_own_work(
    cast: Cast, asking: None, client: Client
) -> None:
    token = invited(cast, at=timezone.now() - HOUR, agent=agent_account(cast, cast.agnes))
    client.force_login(cast.agnes)
    assert post(client, token, score=5).status_code == 403
    client.force_login(cast.arjun)
    assert post(client, token, score=5).status_code == 303


def test_no_page_sets_a_cookie_is_cached_or_tells_where_it_was(
    cast: Cast, token: str, client: Client
) -> None:
    responses = [client.get(url(token, rest)) for rest in ("", "unsubscribe/", "more/")]
    responses += [client.get(url("x" * 43)), post(client, token, score=4)]
    responses += [client.get(url(token, "thanks/")), post(client, token, "thanks/", comment="hm")]
    responses += [post(client, token, "unsubscribe/", which="all")]
    for response in responses:
        assert not response.cookies
        assert response["Referrer-Policy"] == "no-referrer"
        assert "no-store" in response["Cache-Control"]
        assert "default-src 'none'" in response["Content-Security-Policy"]
        assert len(response.content) < 20_000


# --- Scanners (TRUST.md T08, T09) ---------------------------------------------------------------


def links_of_the_mail() -> list[str]:
    """Every link of the mail that was sent, in both of its forms."""
    message = mail.outbox[0]
    html = message.alternatives[0].content  # type: ignore[attr-defined]
    found = re.findall(r"https?://[^\s\"'<>]+", message.body + " " + html)
    return sorted({link.partition("://")[2].partition("/")[2] for link in found})


def links_of_the_pages(client: Client, token: str) -> list[str]:
    """Every link the pages behind the mail's links lead to."""
    html = "".join(client.get(url(token, rest)).content.decode() for rest in ("", "unsubscribe/"))
    return sorted({href.lstrip("/") for href in re.findall(r'href="(/s/[^"]+)"', html)})


def test_scanners_that_open_every_link_in_every_way_change_nothing(
    cast: Cast, token: str, client: Client
) -> None:
    found = links_of_the_mail() + links_of_the_pages(client, token)
    assert len(found) >= 8, found
    before = digest(cast)
    for order in list(permutations(found))[:: 40_320 // 12 or 1][:12]:
        for number, link in enumerate(order):
            agent = AGENTS[number % len(AGENTS)]
            for method in ("GET", "HEAD", "OPTIONS"):
                client.generic(method, f"/{link}", headers={"user-agent": agent})
    assert digest(cast) == before
    post(client, token, score=4)
    assert digest(cast) != before, "the digest sees a real answer"


def test_a_program_that_follows_the_hidden_link_is_counted_and_a_person_can_still_answer(
    cast: Cast, token: str, client: Client
) -> None:
    for _ in range(3):
        assert client.get(url(token, "more/"))["Location"] == url(token)
    with acting(cast.acme.pk):
        assert LinkScan.objects.count() == 1
    post(client, token, score=3)
    assert answer_of(token, cast).score == 3


# --- Saying no ------------------------------------------------------------------------------------


def test_opening_the_unsubscribe_page_stops_nothing(cast: Cast, token: str, client: Client) -> None:
    for _ in range(100):
        client.get(url(token, "unsubscribe/"))
    with acting(cast.acme.pk):
        assert not OptOut.objects.exists()


def test_one_click_stops_all_questions_without_cookie_nonce_or_redirect(
    cast: Cast, asking: None
) -> None:
    rui = requester(cast)
    token = invited(cast, at=timezone.now() - 2 * HOUR, asked_by=rui)
    strict = Client(enforce_csrf_checks=True)
    for _ in range(2):
        response = strict.post(
            url(token, "unsubscribe/"),
            "List-Unsubscribe=One-Click",
            content_type="application/x-www-form-urlencoded",
        )
        assert response.status_code == 200
        assert not response.cookies
    with acting(cast.acme.pk):
        (refusal,) = OptOut.objects.all()
        assert (refusal.requester_id, refusal.domain_id) == (rui.pk, None)
    later = resolved(cast, at=timezone.now() + 100 * DAY, asked_by=rui)
    decide_whom(cast, timezone.now() + 100 * DAY + HOUR)
    assert reason_of(later) == "opted_out"


def test_the_button_stops_one_domain_or_all(cast: Cast, token: str, client: Client) -> None:
    page = client.get(url(token, "unsubscribe/")).content.decode()
    assert "Questions about IT" in page
    assert (
        "Questions about IT have stopped"
        in post(client, token, "unsubscribe/", which="domain").content.decode()
    )
    with acting(cast.acme.pk):
        assert OptOut.objects.get().domain == cast.it
    post(client, token, "unsubscribe/", which="all")
    with acting(cast.acme.pk):
        assert OptOut.objects.filter(domain=None).count() == 1


# --- Walls --------------------------------------------------------------------------------------


def test_a_link_of_one_organisation_shows_nothing_of_another(
    cast: Cast, token: str, client: Client
) -> None:
    client.force_login(cast.eve)
    html = client.get(url(token)).content.decode()
    assert "Globex" not in html
    assert post(client, token, score=4).status_code == 303
    with acting(cast.globex.pk):
        assert not Answer.objects.exists()
        assert not Invitation.objects.exists()
    assert answer_of(token, cast).tenant_id == cast.acme.pk


def test_a_thousand_guessed_links_open_nothing(cast: Cast, token: str, client: Client) -> None:
    guesses = (hashlib.sha256(str(number).encode()).hexdigest()[:43] for number in range(1_000))
    for guess in guesses:
        with pytest.raises(answering.UnknownLink):
            answering.enter_question(guess)
    assert client.get(url(token)).status_code == 200


def test_the_token_stands_in_no_log(cast: Cast, token: str, client: Client) -> None:
    move_window(token, cast, -29 * DAY)
    written = io.StringIO()
    (handler,) = [one for one in logging.getLogger().handlers if one.get_name() == "stderr"]
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(written)
    try:
        assert client.get(url(token)).status_code == 410
        assert client.get(url("y" * 43, "thanks/")).status_code == 404
    finally:
        handler.setStream(before)
    logged = written.getvalue()
    assert "Gone: /s/<token>/" in logged
    assert "Not Found: /s/<token>/thanks/" in logged
    assert token not in logged
    assert "y" * 43 not in logged
