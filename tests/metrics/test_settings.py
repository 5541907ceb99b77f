"""What an organisation decides about measuring: bounded, kept, recorded, named by readings."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import Client

from metrics.deciding_settings import change_settings, settings_of
from metrics.models import SettingsVersion
from metrics.settings import Settings, SettingsRefused, listed
from portal.audit.models import AuditEntry
from portal.audit.trail import SYSTEM
from portal.tenancy.context import acting
from tests.factories import Cast
from tests.metrics.told import MAY, asked, read
from tickets.fold_rules import fold_rules

NOW = datetime(2026, 4, 1, tzinfo=UTC)


def test_every_setting_says_what_it_decides_and_its_default_lies_within_its_bounds() -> None:
    for one in listed(Settings()):
        assert one.words
        assert one.section
        if one.choices:
            assert one.default in one.choices
            assert all(one.choices.values())
        else:
            assert one.low <= one.default <= one.high  # type: ignore[operator]
    assert len(listed(Settings())) == len(fields(Settings))


def test_a_small_organisation_needs_answers_less_exact() -> None:
    assert Settings.of_profile("small").precision == 0.15
    assert Settings.of_profile("standard") == Settings()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"precision": 0.5}, "0.5 is not between 0.02 and 0.25"),
        ({"precision": "exact"}, "'exact' is not a number"),
        ({"happiness": 1}, "There is no setting 'happiness'"),
        ({"lowest_rate": 0.4}, "lies above the one that is low"),
        ({"hardly_classified": 0.85}, "Unreliable lies above limited"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    values: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsRefused, match=said):
        Settings().changed(values)


def change(cast: Cast, **values: float) -> SettingsVersion:
    with acting(cast.acme.pk):
        return change_settings(
            tenant=cast.acme, values=values, reason="we are few", by=SYSTEM, at=NOW
        )


def test_a_change_is_a_version_that_readings_name_and_the_trail_records(cast: Cast) -> None:
    for _ in range(12):
        asked(cast, 5)
    for _ in range(70):
        asked(cast)
    before = read(cast, "csat_share")
    assert (before.settings_version, before.reliability_state) == (1, "unreliable")
    assert change(cast, lowest_rate=0.05, low_rate=0.1).number == 2
    after = read(cast, "csat_share")
    assert (after.settings_version, after.reliability_state) == (2, "limited_low_volume")
    with acting(cast.acme.pk):
        [entry] = AuditEntry.objects.filter(act="settings.changed")
        assert entry.detail["changed"] == {"low_rate": [0.2, 0.1], "lowest_rate": [0.1, 0.05]}


def test_versions_are_never_changed_and_another_organisation_keeps_its_own(cast: Cast) -> None:
    change(cast, many_turns=5)
    with acting(cast.globex.pk):
        assert settings_of(cast.globex) == (1, Settings())
    with acting(cast.acme.pk), connection.cursor() as cursor:
        assert settings_of(cast.acme)[1].many_turns == 5
        with pytest.raises(ProgrammingError), transaction.atomic():
            cursor.execute('UPDATE "metrics_settingsversion" SET number = 9')


def test_the_administrator_changes_a_setting_with_a_reason(cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    page = "/acme/admin/metrics/settingsversion/add/"
    form = {one.name: str(one.value) for one in listed(Settings())}
    same = client.post(page, {**form, "reason": "none"})
    assert "Nothing differs from what is in force" in same.content.decode()
    wrong = client.post(page, {**form, "reason": "x", "lowest_rate": "0.3"})
    assert "lies above the one that is low" in wrong.content.decode()
    done = client.post(page, {**form, "reason": "we are few", "many_turns": "4"})
    assert done.status_code == 302
    with acting(cast.acme.pk):
        version = SettingsVersion.objects.get()
        assert (version.number, version.reason, version.saved_by) == (2, "we are few", "Ada")
        assert version.values == {"many_turns": 4}  # what was left as it is was not decided
    shown = client.get(f"/acme/admin/metrics/settingsversion/{version.pk}/change/")
    assert "we are few" in shown.content.decode()
    assert read(cast, "csat_share", as_of=MAY).settings_version == 2


def test_the_severity_policy_is_chosen_on_the_page_of_the_settings(
    cast: Cast, client: Client
) -> None:
    page = "/acme/admin/metrics/settingsversion/add/"
    form = {one.name: str(one.value) for one in listed(Settings())}
    client.force_login(cast.olga)
    assert client.post(page, form | {"severity_policy": "governed", "reason": "x"}).status_code in (
        403,
        404,
    )
    client.force_login(cast.ada)
    offered = client.get(page).content.decode()
    assert '<option value="recorded" selected>' in offered
    refused = client.post(page, form | {"severity_policy": "strict", "reason": "x"})
    assert "Select a valid choice" in refused.content.decode()
    with acting(cast.acme.pk):
        assert not SettingsVersion.objects.exists()
    assert (
        client.post(page, form | {"severity_policy": "governed", "reason": "x"}).status_code == 302
    )
    with acting(cast.acme.pk):
        assert settings_of(cast.acme)[1].severity_policy == "governed"
        assert fold_rules(cast.acme.pk).severity_policy == "governed"
