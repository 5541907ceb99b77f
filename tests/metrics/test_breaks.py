"""A course begins anew where what its values follow from was changed, found with its date (D4)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from metrics.breaks import breaks_of, changes_of, follows_from
from metrics.definitions import METRICS, names
from metrics.settings import Settings
from metrics.trends import Break
from portal.catalogue.models import Capability, TimeTarget
from portal.tenancy.context import acting
from surveys import wording
from surveys.models import Campaign
from surveys.wording import FOLDER, domain_keys, parse, wording_of
from tests import roles
from tests.factories import Cast
from tests.metrics.told import DAY, HOUR, MONDAY, enter, moved, news

#: Half past midnight in Berlin on the 14th.
AT = datetime(2026, 4, 13, 22, 30, tzinfo=UTC)
THERE = date(2026, 4, 14)


def breaks(cast: Cast, name: str, severity: str = "", of: Capability | None = None) -> list[Break]:
    with acting(cast.acme.pk):
        capability = Capability.objects.select_related("domain", "tenant").get(
            pk=(of or cast.network).pk
        )
        return breaks_of(name, (), changes_of(capability, severity))


def administered(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch, **changed: Any
) -> None:
    """The administrator changes the capability on its page."""
    monkeypatch.setattr(timezone, "now", lambda: AT)
    client.force_login(cast.ada)
    network = cast.network
    form = {
        "slug": network.slug,
        "name": network.name,
        "domain": network.domain_id,
        "business_unit": network.business_unit_id or "",
        "process_owner": network.process_owner_id or "",
        "first_contact_resolvable": "on",
        **changed,
    }
    page = f"/acme/admin/catalogue/capability/{network.pk}/change/"
    assert client.post(page, form).status_code == 302


def test_another_threshold_of_telemetry_breaks_the_estimate_and_nothing_else(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    administered(cast, client, monkeypatch, name="Networks")  # an entry that concerns no figure
    assert breaks(cast, "telemetry_proxy.estimate") == []
    administered(cast, client, monkeypatch, quick_within_ms="900")
    expected = [Break(THERE, "quick within ms changed in the catalogue")]
    assert breaks(cast, "telemetry_proxy.estimate") == expected
    assert breaks(cast, "telemetry_proxy.estimate", of=cast.accounts) == []
    for other in ("csat_share.share", "reopen_rate.rate", "should_have_been_self_service.share"):
        assert breaks(cast, other) == []


def test_what_the_catalogue_says_of_self_service_breaks_the_figures_that_use_it(
    cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    administered(cast, client, monkeypatch, self_service="on", first_contact_resolvable="")
    for name, words in (
        ("should_have_been_self_service.share", "self service"),
        ("self_service_share.share", "self service"),
        ("fcr.net", "first contact resolvable"),
    ):
        assert breaks(cast, name) == [Break(THERE, f"{words} changed in the catalogue")]
    assert breaks(cast, "csat_share.share") == []


def test_another_campaign_breaks_what_follows_from_answers(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        Campaign.objects.for_tenant(cast.acme).delete()
        of = {"tenant": cast.acme}
        Campaign.objects.create(name="All", starts_at=MONDAY, ends_at=AT, **of)
        Campaign.objects.create(name="Half", starts_at=AT, sampling="0.5", **of)
    expected = [
        Break(MONDAY.date(), "asked by “All” from here"),
        Break(THERE, "no longer asked by “All” from here"),
        Break(THERE, "asked by “Half” from here"),
    ]
    for name in ("csat_share.share", "response_rate.rate", "score_comment_mismatch.share"):
        assert breaks(cast, name) == expected
    for name in ("reopen_rate.rate", "sla_attainment.resolution", "backlog.open"):
        assert breaks(cast, name) == []


def test_other_words_break_what_people_answered_in_them(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (FOLDER / "it.toml").read_text(encoding="utf-8")
    assert wording_of("it").changed is None
    dated = parse("it", "changed = 2026-04-14\n" + text)
    monkeypatch.setattr(wording, "_read", lambda key: dated)
    assert breaks(cast, "csat_share.share")[-1] == Break(THERE, "asked in other words from here")
    assert Break(THERE, "asked in other words from here") not in breaks(cast, "reopen_rate.rate")
    for wrong in ('"soon"', "2026-04-14T10:00:00Z"):
        with pytest.raises(wording.FaultyWording, match="changed is a day"):
            parse("it", f"changed = {wrong}\n" + text)


#: SHA-256 of what people are asked, and since when it is asked so.
ASKED = {
    "facilities": ("9b3632b1db31531d", None),
    "finance": ("023715a87f927d47", None),
    "general": ("017652abdc10e7a6", None),
    "hr": ("10a7b87d2d09586e", None),
    "it": ("5585d7964b9981f0", None),
    "legal": ("e696d22b3352001b", None),
}


@pytest.mark.parametrize("key", sorted(domain_keys()))
def test_words_are_changed_with_their_date(key: str) -> None:
    """Another question is another series: whoever changes the words says since when, and here."""
    asked = wording_of(key)
    words = json.dumps([asked.question, list(asked.scale.items())], ensure_ascii=False)
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    assert (digest, asked.changed) == ASKED[key], f"{key}: say `changed` and write both down here"


def test_other_promised_times_break_the_promises_of_their_clock(cast: Cast) -> None:
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for severity, valid_from in (("high", None), ("high", AT), ("low", AT + HOUR)):
            TimeTarget.objects.create(
                tenant=cast.acme,
                domain=cast.it,
                severity=severity,
                clock=TimeTarget.Clock.RESOLUTION,
                seconds=3_600,
                valid_from=valid_from,
            )
    once = [Break(THERE, "other times are promised from here")]
    assert breaks(cast, "sla_attainment.resolution") == once
    assert breaks(cast, "sla_attainment.resolution", "low") == once
    assert breaks(cast, "sla_attainment.resolution", "critical") == []
    for name in (
        "sla_attainment.response",
        "first_response.attainment",
        "resolution_time.cohort_median",
    ):
        assert breaks(cast, name) == []


def test_every_name_that_is_followed_is_known() -> None:
    settings, catalogue = set(Settings.__slots__), {f.name for f in Capability._meta.fields}
    for metric in METRICS:
        assert metric.catalogue_used <= catalogue
        assert metric.settings_used <= settings
    assert {"quick_within_ms", "asking"} <= follows_from("telemetry_proxy.estimate")
    assert all(follows_from(name) for name in names())


def test_the_page_draws_the_break_with_all_its_reasons(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks = [
        news(f"W{week}-{n}", moved(2, "resolved"), opened_at=MONDAY + week * 7 * DAY)
        for week in range(12)
        for n in range(10)
    ]
    with roles.as_role(roles.OWNER), acting(cast.acme.pk):
        for days in (0, 44):
            TimeTarget.objects.create(
                tenant=cast.acme,
                domain=cast.it,
                severity="medium",
                clock=TimeTarget.Clock.RESOLUTION,
                seconds=7_200 + days,
                valid_from=MONDAY + days * DAY if days else None,
            )
    enter(cast, *weeks)
    monkeypatch.setattr(timezone, "now", lambda: MONDAY + 14 * 7 * DAY)
    client = Client()
    client.force_login(cast.olga)
    page = "/acme/capabilities/network/trends/"
    asked = {"metric": "sla_attainment.resolution", "every": "week"}
    said = client.get(page, asked).content.decode()
    assert "other times are promised from here" in said
    assert 'class="anew"' in said
    other = client.get(page, asked | {"metric": "reopen_rate.rate"}).content.decode()
    assert "other times are promised from here" not in other
