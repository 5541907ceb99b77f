"""A profile is proposed from volumes, named on pages, and sets defaults only (METRICS.md 1.16)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from metrics.deciding_settings import change_settings, settings_of
from metrics.models import SettingsVersion
from metrics.profiles import profile_of, proposed
from metrics.settings import Settings, listed
from metrics.standing import answers_required
from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast, TicketFactory
from tests.metrics.told import MAY, asked, read
from tests.portal.test_one_number import browser


def decide(cast: Cast, **values: float | str) -> None:
    with acting(cast.acme.pk):
        change_settings(tenant=cast.acme, values=values, reason="we are few", by=SYSTEM, at=MAY)


def in_force(cast: Cast) -> Settings:
    with acting(cast.acme.pk):
        return settings_of(cast.acme)[1]


def opened(cast: Cast, tickets: int, *, before: datetime = MAY, days: int = 80) -> None:
    """So many tickets of each of the two services, over the days before."""
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for capability in (cast.network, cast.accounts):
            for number in range(tickets):
                TicketFactory(
                    tenant=cast.acme,
                    connection=cast.desk,
                    capability=capability,
                    opened_at=before - timedelta(days=days * (number + 1) / tickets),
                )


@pytest.mark.parametrize(
    ("in_90_days", "profile"),
    [(0, "small"), (389, "small"), (390, "standard"), (1_169, "standard"), (1_170, "large")],
)
def test_a_profile_begins_where_its_window_is_exact_enough(in_90_days: int, profile: str) -> None:
    assert profile_of(in_90_days) == profile


def test_the_borders_follow_from_the_rule_of_answers() -> None:
    """A fifth of 390 is 78, as many as ten points ask of 390; of 389 it is not."""
    assert answers_required(389) > 389 * 0.20
    assert answers_required(390) <= 390 * 0.20


def test_volumes_of_the_last_90_days_propose_it(cast: Cast) -> None:
    with acting(cast.acme.pk):
        assert proposed(cast.acme, MAY) is None
    opened(cast, 12)
    opened(cast, 500, before=MAY - timedelta(days=91))  # long ago
    with acting(cast.acme.pk):
        found = proposed(cast.acme, MAY)
    assert found is not None
    assert (found.profile, found.tickets_a_month, found.services) == ("small", 4, 2)


def test_the_profile_and_the_proposal_are_named_on_pages(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(cast, 12)
    monkeypatch.setattr(timezone, "now", lambda: MAY)
    client = browser(cast)
    method = client.get("/acme/method/").content.decode()
    assert "The profile of Acme is <strong>standard</strong>" in method
    assert "propose small instead: of 2 services the one in the middle had about 4" in method
    decide(cast, profile="small")
    method = client.get("/acme/method/").content.decode()
    assert "The profile of Acme is <strong>small</strong>" in method
    assert "propose small as well" in method
    assert "profile small" in client.get("/acme/capabilities/network/").content.decode()
    assert "as a small organisation" in client.get("/acme/").content.decode()


def test_a_profile_sets_the_defaults_of_what_nobody_decided(cast: Cast) -> None:
    assert in_force(cast) == Settings()
    decide(cast, chart_run=7)
    decide(cast, profile="small")
    assert in_force(cast) == Settings.of({"profile": "small", "chart_run": 7})
    assert (in_force(cast).precision, in_force(cast).signers) == (0.15, "two")
    decide(cast, precision=0.08)
    decide(cast, profile="large")
    assert (in_force(cast).precision, in_force(cast).signers) == (0.08, "three")
    decide(cast, precision=0.10)  # the default again: from here on the profile decides
    decide(cast, profile="small")
    assert in_force(cast).precision == 0.15
    with acting(cast.acme.pk):
        newest = SettingsVersion.objects.latest("number")
        assert newest.values == {"profile": "small", "chart_run": 7}
    with acting(cast.globex.pk):
        assert settings_of(cast.globex)[1] == Settings()


def test_the_form_leaves_what_it_shows_to_the_profile(cast: Cast, client: Client) -> None:
    """Every field is sent; only the profile was changed."""
    client.force_login(cast.ada)
    page = "/acme/admin/metrics/settingsversion/add/"
    form = {one.name: str(one.value) for one in listed(Settings())}
    sent = client.post(page, form | {"profile": "small", "reason": "we are few"})
    assert sent.status_code == 302
    assert in_force(cast) == Settings.of_profile("small")


def test_a_small_organisation_needs_fewer_answers(cast: Cast) -> None:
    """Of 40 asked 29 have to answer at ten points, 21 at fifteen."""
    for number in range(40):
        asked(cast, 5 if number < 21 else None)
    before = read(cast, "csat_share.share")
    assert before.reliability_state == "limited_low_volume"
    decide(cast, profile="small")
    assert read(cast, "csat_share.share").reliability_state == "reliable"
