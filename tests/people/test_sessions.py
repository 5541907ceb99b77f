"""How long a session lasts, and that governing needs a second factor."""

from __future__ import annotations

import time

import pytest
from django.test import Client

from portal.people.sessions import SEEN, STARTED
from tests.factories import Cast

HOUR = 3600


def session_of(cast: Cast, *, started: float, seen: float) -> Client:
    """Olga's session, started and last seen that many seconds ago."""
    client = Client()
    client.force_login(cast.olga)
    session = client.session
    session[STARTED], session[SEEN] = time.time() - started, time.time() - seen
    session.save()
    return client


@pytest.mark.parametrize(
    ("path", "started", "seen", "goes_on"),
    [
        ("/acme/", 11 * HOUR, 2 * HOUR, True),
        ("/acme/", 11 * HOUR, 4 * HOUR, False),  # idle for more than three hours
        ("/acme/", 13 * HOUR, 60, False),  # older than twelve
        ("/acme/admin/", 7 * HOUR, HOUR / 2, True),
        ("/acme/admin/", 7 * HOUR, 2 * HOUR, False),  # the administration: one hour idle
        ("/acme/admin/", 9 * HOUR, 60, False),  # and eight in all
    ],
)
def test_a_session_ends_when_it_was_idle_or_lasted_too_long(
    cast: Cast, path: str, started: float, seen: float, goes_on: bool
) -> None:
    answer = session_of(cast, started=started, seen=seen).get(path)
    assert answer.status_code == (200 if goes_on else 302)


def test_governing_needs_a_second_factor_where_it_is_required(cast: Cast, settings: object) -> None:
    settings.REQUIRE_MFA = True  # type: ignore[attr-defined]
    olga, rui = Client(), Client()
    olga.force_login(cast.olga)
    rui.force_login(cast.rui)
    assert olga.get("/acme/").headers["Location"].endswith("/two-step/totp/activate/")
    assert rui.get("/acme/").status_code == 200
